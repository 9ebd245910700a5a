"""What the guest sends itself is what iproute2 would send, octet for octet (recorded by tests/record_messages.py)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simvlan.oracle.fuzz.scenario import generate
from simvlan.oracle.fuzz.world import words
from simvlan.oracle.guest import iproute, rtnetlink
from simvlan.oracle.guest.links import NotKnown
from simvlan.oracle.guest.rtnetlink import Rtnetlink, attribute, text

GOLDEN = Path(__file__).parent / "golden" / "iproute-messages.txt"
INDICES = {"v1": 3, "v3": 5, "br5": 7, "m7": 9, "i9": 11}
SPACES = {"n2": 7}


class Told:
    """A kernel that knows the devices of the recording, and keeps what it is asked."""

    def __init__(self, *, everything: bool = False) -> None:
        self.asked: list[tuple[int, int, bytes]] = []
        self._everything = everything

    def index(self, name: str) -> int:
        return INDICES.get(name, 99 if self._everything else 0)

    def request(self, kind: int, flags: int, payload: bytes) -> tuple[int, str]:
        self.asked.append((kind, flags | 5, payload))
        return 0, ""

    def dump(self, _kind: int, _payload: bytes) -> list[bytes]:
        return [struct.pack("=BxHiII", 0, 1, index, 0, 0) + text(3, name) for name, index in INDICES.items()]


def do(line: str, told: Any) -> tuple[int, str]:
    tool, *rest = words(line)
    return iproute.do(tool, rest, told, SPACES)


def recorded() -> Iterator[Any]:
    for row in GOLDEN.read_text().splitlines():
        line, kind, flags, body = row.split("\t")
        yield pytest.param(line, int(kind), int(flags, 16), bytes.fromhex(body), id=line)


@pytest.mark.parametrize(("line", "kind", "flags", "body"), list(recorded()))
def test_a_line_becomes_the_message_that_iproute2_makes_of_it(line, kind, flags, body):
    told = Told()
    assert do(line, told) == (0, "")
    ((its_kind, its_flags, its_body),) = told.asked
    assert (its_kind, f"{its_flags:#x}", its_body.hex()) == (kind, f"{flags:#x}", body.hex())


def test_a_device_that_is_not_there_is_told_as_iproute2_tells_it():
    told = Told()
    assert do("ip link set nobody up", told) == (1, 'Cannot find device "nobody"\n')
    assert do("ip link add link nobody name q9 type vlan id 5", told) == (1, 'Cannot find device "nobody"\n')
    assert told.asked == []


@pytest.mark.parametrize(
    "line",
    [
        "ip link add name a-name-that-is-long type dummy",
        "ip link set v1 netns nowhere",
        "ip link set v1 master nobody",
        "ip link set v1 mtu many",
        "ip link set v1 mtu",
        "ip link set v1 promisc perhaps",
        "ip link add link v1 name q9 type vlan id",
        "ip link set v1 frobnicate on",
        "ip link set v1 address 02:00",
        "ip link add d9 type frobnicate",
        "ip link add link v1 name m9 type macvlan mode bridge nopromisc",
        "ip link add v9 type veth peer name w9 extra",
        "ip addr add 10.0.0.300/24 dev v1",
        "ip addr add 10.0.0.1/24 brd + dev v1",
        "bridge vlan add dev v1 vid 2-7 pvid",
        "bridge vlan add dev v1 vid 4095",
        "bridge fdb add zz dev v1 master",
        "bridge mdb add dev br5 port v1 grp 224.1.2.3",
    ],
)
def test_what_iproute2_refuses_or_alone_knows_is_left_to_it(line):
    told = Told()
    with pytest.raises(NotKnown):
        do(line, told)
    assert told.asked == []


def test_nearly_every_generated_line_is_known():
    """Else the guest is as slow as it was: a living iproute2 costs it twenty times as much."""
    told: Any = Told(everything=True)
    lines = [
        line for seed in range(40) for line in generate(seed, "uml", 0).lines if line.split()[0] in ("ip", "bridge")
    ]
    made = [line for line in lines if "netns add" not in line and "netns exec" not in line and " show" not in line]
    left = []
    for line in made:
        tool, _, _, *rest = words(line)
        try:
            iproute.do(tool, rest, told, {"n1": 4, "n2": 5, "n3": 6})
        except NotKnown:
            left.append(line)
    assert len(left) < len(made) / 50, left


# -- answers -----------------------------------------------------------------------------------------------------------


def error(code: int, words: str = "", *, capped: bool = True) -> bytes:
    """An NLMSG_ERROR as the kernel sends it: the request is left out where it is `capped` or all went well."""
    request = b"" if capped else bytes(16)
    body = struct.pack("=i", -code) + struct.pack("=IHHII", 16 + len(request), 16, 5, 1, 0) + request
    more = text(1, words) if words else b""
    flags = (0x100 if capped else 0) | (0x200 if words else 0)
    return struct.pack("=IHHII", 16 + len(body) + len(more), 2, flags, 1, 0) + body + more


@pytest.mark.parametrize("capped", [True, False])
@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (0, "", ""),
        (errno.EBUSY, "", "RTNETLINK answers: Device or resource busy\n"),
        (errno.EINVAL, "8021q: Invalid VLAN id", "Error: 8021q: Invalid VLAN id.\n"),
        (errno.EINVAL, "Full stop.", "Error: Full stop.\n"),
        (0, "Be careful", "Warning: Be careful.\n"),
    ],
)
def test_what_the_kernel_answers_is_said_as_iproute2_says_it(monkeypatch, code, words, said, capped):
    net = Rtnetlink.__new__(Rtnetlink)
    net._number = 0
    net._sock = Replay(error(code, words, capped=capped or not code))
    assert net.request(rtnetlink.NEWLINK, 0, b"") == (code, said)


class Replay:
    """A socket that answers each request alike."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def send(self, _octets: bytes) -> None:
        pass

    def recv(self, _size: int) -> bytes:
        return self._answer


def test_attributes_are_padded():
    assert attribute(4, b"\1\2\3").hex() == "0700040001020300"
    assert rtnetlink.attributes(attribute(4, b"\1\2\3") + attribute(0x8005, b"")) == {4: b"\1\2\3", 5: b""}
