"""What `simvlan diff` says: frames as they were seen, and of a kernel that lacks what the script makes that it does."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from simvlan.oracle import Observation, compare
from simvlan.oracle.availability import KernelUnavailable
from simvlan.oracle.diff import Comparison, diff
from simvlan.oracle.filters import WHY
from simvlan.oracle.guests import Guest, Stop
from simvlan.oracle.report import as_dict, text
from simvlan.oracle.runs import Job, KernelRun
from simvlan.oracle.simulated import Simulated

MACS = "020000000002" + "020000000001"
UDP = "0800" + "4500001c{id}0000{ttl}1100000a0000010a000002" + "0035003500080000"
SCRIPT = "ip link add p type veth peer name q\nip link add link p name i0 type ipvlan\n"


def udp(ident: str, ttl: str) -> bytes:
    return bytes.fromhex(MACS + UDP.format(id=ident, ttl=ttl))


def reported(ours: bytes, theirs: bytes) -> tuple[str, dict[str, object]]:
    mine, its = (Observation(captures={"n1.a": [(5, "in", frame)]}) for frame in (ours, theirs))
    made = Comparison("uml", "6.1", Simulated(mine), None, compare(mine, its), tries=1)
    return text("net.sh", made), as_dict("net.sh", made)


def test_frames_are_shown_as_they_were_seen() -> None:
    said, data = reported(udp("1234", "40"), udp("abcd", "3f"))
    assert said.count("10.0.0.1.53 > 10.0.0.2.53") == 2
    assert " 12 34 " in said
    assert " ab cd " in said
    marks = next(line for line in said.splitlines() if "^^" in line)
    assert marks.count("^^") == 1  # the TTL; the identification is masked
    assert [each["ours"]["octets"] for each in data["differences"]] == [udp("1234", "40").hex()]  # type: ignore[attr-defined]


def test_what_is_masked_alone_is_no_difference() -> None:
    said, data = reported(udp("1234", "40"), udp("abcd", "40"))
    assert (said, data["differences"]) == ("net.sh: the simulator and Linux 6.1 (uml) agree", [])


class Built:
    """A kernel as far as `diff` asks: it refuses all scripts, and says what it was built with."""

    kernel, release = "host", "6.18"

    def __init__(self, ipvlan: str) -> None:
        self.stop = Stop()
        self._said = f"veth=yes\nipvlan={ipvlan}\n"

    def run(self, job: Job) -> KernelRun:
        return KernelRun(0, self._said if "=yes" in job.script else "", "Error: Unknown device type.\n", {}, "6.18")


def test_a_kernel_that_lacks_what_the_script_makes_is_no_judge() -> None:
    with pytest.raises(KernelUnavailable, match=r"6\.18 lacks what the script makes: ipvlan; --kernel uml has it"):
        diff(cast(Guest, Built("no")), Job(SCRIPT, listings=True))


def test_one_that_has_it_and_does_otherwise_disagrees() -> None:
    assert not diff(cast(Guest, Built("yes")), Job(SCRIPT, listings=True)).agree


HEARD = bytes.fromhex("333300010001" + "02000000005188b5") + bytes(46)
LISTENING = """ip link add p0 type veth peer name w0
ip link add link p0 name i0 type ipvlan mode l2
for d in p0 w0 i0; do ip link set $d up; done
"""


class Hashing(Built):
    """A kernel whose ipvlan heard a group that it has not joined; asked again, its filter lets the same in or not."""

    def __init__(self, confuses: bool) -> None:
        super().__init__("yes")
        self._confuses = confuses

    def run(self, job: Job) -> KernelRun:
        if job.script != LISTENING:
            heard = {"root.i0": [(0, "in", HEARD)]} if self._confuses else {}
            return replace(super().run(job), captures=heard)
        seen = [(0, "in", HEARD)]
        return KernelRun(0, "", "", {"root.i0": seen}, "6.1")


@pytest.mark.parametrize("confuses", [True, False])
def test_what_a_filter_lets_in_is_given_only_if_it_is_the_filter(confuses: bool) -> None:
    """That one heard a group proves nothing: it may have joined it, and the simulator may have forgotten to."""
    made = diff(cast(Guest, Hashing(confuses)), Job(LISTENING))
    assert [each.known for each in made.known] == ([WHY] if confuses else [])
    assert made.ours.joined == {"root.i0": {0x0100_5E00_0001}}
