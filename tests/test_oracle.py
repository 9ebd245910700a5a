"""The kernel harness itself: isolation, captures, injection, clean-up, on each kernel this machine has."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from simvlan.oracle import EXACT, KernelRun, available, compare_captures, run_many, run_script
from simvlan.oracle.guest import sysctls
from simvlan.oracle.guest.inject import UsageError, parse
from simvlan.oracle.guest.recvmsg import retag
from simvlan.oracle.kernels import Kernel
from simvlan.oracle.masks import STACK_MASKS, ipv4_offset, mask_ip_id, masked
from tests.kernels import require

PAIR = """
ip netns add n1; ip netns add n2
ip link add v1 address 02:00:00:00:00:01 netns n1 type veth peer name v2 address 02:00:00:00:00:02 netns n2
ip -n n1 link set v1 up; ip -n n2 link set v2 up
"""
UNTAGGED = "02000000000202000000000188b5cafe"
TAGGED = "020000000002020000000001810000058100000788b5cafe"

SCRIPTS = {
    "tag": PAIR + f"simvlan send --netns n1 v1 --hex {TAGGED}",
    "caller": PAIR + f"ip netns exec n1 simvlan send v1 --hex {UNTAGGED} --count 2",
    "down": PAIR + f"ip -n n1 link set v1 down; simvlan send --netns n1 v1 --hex {UNTAGGED}",
    "batch": PAIR
    + f"printf 'n1 v1 {UNTAGGED}\\n- lo {UNTAGGED}\\nn2 v2 {TAGGED}\\n' >/run/frames; simvlan send --batch /run/frames",
    "fresh": "ip netns list; ip -o link | wc -l; cat /proc/sys/net/ipv6/conf/default/disable_ipv6",
    "netns-del": PAIR + "ip netns del n2; sleep 0.5; ip -n n1 -o link | wc -l",
    "rename": PAIR
    + f"""
simvlan send --netns n1 v1 --hex {UNTAGGED}
ip -n n1 link set v1 down; ip -n n1 link set v1 name w1; ip -n n1 link set w1 up
simvlan send --netns n1 w1 --hex {TAGGED}; ip -n n1 link del w1""",
    "scapy": PAIR
    + "simvlan send --netns n1 v1 "
    + """'Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01", type=0x88b5)/Raw(b"hi")'""",
    "macvlan-queue": """
ip link add p0 address 02:00:00:00:00:0a type veth peer name w0
ip link add m1 link p0 address 02:00:00:00:00:0b type macvlan mode bridge
ip link set w0 up; ip link set p0 up; ip link set m1 up
simvlan send w0 --hex ffffffffffff02000000000988b5cafe
""",
    "pace": """
ip link add p0 address 02:00:00:00:00:0a type veth peer name w0
ip link add m1 link p0 address 02:00:00:00:00:0b type macvlan mode bridge
ip link set w0 up; ip link set p0 up; ip link set m1 up
for n in 1 2 3 4 5 6; do
    for to in ffffffffffff 02000000000b; do echo "- w0 ${to}02000000000988b50$n"; done
done >/run/f
simvlan send --pause 0 --batch /run/f
""",
}

KERNELS: tuple[Kernel, ...] = ("uml", "host")


@pytest.fixture(params=KERNELS, scope="module")
def runs(request: pytest.FixtureRequest) -> dict[str, KernelRun]:
    """All scripts' runs on one kernel, with one boot."""
    kernel = request.param
    require(kernel)
    return dict(zip(SCRIPTS, run_many(kernel, list(SCRIPTS.values()), timeout_s=20), strict=True))


def octets(run: KernelRun, device: str) -> list[tuple[str, str]]:
    return [(way, frame.hex()) for _, way, frame in run.captures[device]]


@pytest.mark.kernel
def test_tag_is_back_in_place_on_both_ends(runs: dict[str, KernelRun]) -> None:
    assert runs["tag"].exit_code == 0, runs["tag"].stderr
    assert octets(runs["tag"], "n1.v1") == [("out", TAGGED)]
    assert octets(runs["tag"], "n2.v2") == [("in", TAGGED)]


@pytest.mark.kernel
def test_send_acts_in_the_callers_namespace(runs: dict[str, KernelRun]) -> None:
    assert octets(runs["caller"], "n2.v2") == [("in", UNTAGGED)] * 2


@pytest.mark.kernel
def test_send_reports_the_errno(runs: dict[str, KernelRun]) -> None:
    assert runs["down"].exit_code == 1
    assert runs["down"].stderr == "simvlan send: n1/v1: Network is down\n"
    assert octets(runs["down"], "n1.v1") == []


@pytest.mark.kernel
def test_batch_goes_on_after_a_failure(runs: dict[str, KernelRun]) -> None:
    assert runs["batch"].exit_code == 1
    assert runs["batch"].stderr == "simvlan send: lo: Network is down\n"
    assert octets(runs["batch"], "n1.v1") == [("out", UNTAGGED), ("in", TAGGED)]


@pytest.mark.kernel
def test_every_script_starts_afresh_without_ipv6(runs: dict[str, KernelRun]) -> None:
    disable_ipv6 = runs["fresh"].stdout.split()
    assert disable_ipv6 == ["1", "1"]  # one link, lo; IPv6 disabled


@pytest.mark.kernel
def test_deferred_broadcast_is_waited_for(runs: dict[str, KernelRun]) -> None:
    assert octets(runs["macvlan-queue"], "root.m1") == [("in", "ffffffffffff02000000000988b5cafe")]


@pytest.mark.kernel
def test_the_next_frame_is_sent_when_the_kernel_is_through_with_the_one_before(runs: dict[str, KernelRun]) -> None:
    """A broadcast waits in a work queue, in which a frame to one station would overtake it."""
    to = ("ffffffffffff", "02000000000b")
    assert octets(runs["pace"], "root.m1") == [("in", f"{mac}02000000000988b50{n}") for n in range(1, 7) for mac in to]


@pytest.mark.kernel
def test_watching_does_not_keep_a_namespace_alive(runs: dict[str, KernelRun]) -> None:
    assert runs["netns-del"].stdout == "1\n"  # the veth end in n1 went with its peer


@pytest.mark.kernel
def test_a_renamed_device_is_captured_under_each_name(runs: dict[str, KernelRun]) -> None:
    assert octets(runs["rename"], "n1.v1") == [("out", UNTAGGED)]
    assert octets(runs["rename"], "n1.w1") == [("out", TAGGED)]


@pytest.mark.kernel
def test_scapy_expressions_are_understood(runs: dict[str, KernelRun]) -> None:
    pytest.importorskip("scapy")
    assert octets(runs["scapy"], "n2.v2") == [("in", "02000000000202000000000188b56869")], runs["scapy"].stderr


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("ending", ["exit 3", "sleep 600"])
def test_nothing_outlives_a_run(kernel: Kernel, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(kernel)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    marker = f"sleep 77{os.getpid()}"
    run = run_script(kernel, PAIR + f"{marker} & echo started; {ending}", timeout_s=2)
    assert run.stdout == "started\n"
    assert (run.timed_out, run.exit_code) == ((True, 124) if ending == "sleep 600" else (False, 3))
    assert marker not in _processes()
    assert str(tmp_path) not in _processes()
    assert not list(tmp_path.iterdir())


def _processes() -> str:
    return subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout


def test_host_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in (available("host") or "")


def test_retag_uses_the_tpid_when_valid() -> None:
    frame = bytes(range(14))
    aux = bytes.fromhex("51000000 00000000 00000000 0000 0000 0500 a888")
    assert retag(frame, aux) == frame[:12] + bytes.fromhex("88a80005") + frame[12:]
    assert retag(frame, bytes(20)) == frame


@pytest.mark.parametrize("args", [[], ["run"], ["send"], ["send", "d", "--hex", "0g"], ["send", "d", "x", "y"]])
def test_bad_send_lines_are_refused(args: Sequence[str]) -> None:
    with pytest.raises(UsageError):
        parse(list(args), "/")


def _ip(identification: int, protocol: int = 17, body: bytes = b"") -> bytes:
    header = b"\x45\0\0\x14" + identification.to_bytes(2, "big") + b"\0\0\x40" + bytes([protocol]) + b"\0\0"
    return b"\xff" * 6 + b"\2" * 6 + b"\x08\0" + header + b"\x0a\0\0\1\x0a\0\0\2" + body


def test_compare_masks_ip_id_and_nothing_else() -> None:
    ours, theirs = {"n.d": [(1, "in", _ip(7))]}, {"n.d": [(2, "in", _ip(8))]}
    assert compare_captures(ours, theirs) == []
    assert len(compare_captures(ours, theirs, replace(EXACT, masks=()))) == 1
    assert len(compare_captures(ours, {"n.d": [(2, "out", _ip(8))]})) == 1
    assert len(compare_captures(ours, {})) == 1
    assert len(compare_captures(ours, {"n.d": [(2, "in", _ip(8)), (3, "in", _ip(9))]})) == 1


def test_mask_reaches_behind_tags_and_into_quotations() -> None:
    tagged = _ip(7)[:12] + bytes.fromhex("88a80005 81000007") + _ip(7)[12:]
    assert ipv4_offset(tagged) == 22
    error = _ip(7, 1, b"\3\1\xab\xcd\0\0\0\0" + _ip(9)[14:])
    other = _ip(8, 1, b"\3\1\xdc\xba\0\0\0\0" + _ip(5)[14:])
    assert masked(error, [mask_ip_id]) == masked(other, [mask_ip_id])


def test_stack_masks_leave_addresses_alone() -> None:
    echo = _ip(7, 1, b"\x08\0\x12\x34\xab\xcd\0\1" + bytes(range(56)))
    assert masked(echo, STACK_MASKS)[26:34] == echo[26:34]
    assert masked(echo, STACK_MASKS)[-40:] == echo[-40:]


def test_what_a_script_loads_itself_starts_as_the_kernel_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """br_netfilter is switched off in a guest's namespaces only where it was there before."""
    written: list[str] = []
    monkeypatch.setattr(sysctls, "set_sysctl", lambda name, _value: written.append(name))
    for there in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(os.path, "exists", lambda _path, there=there: there)
            sysctls._filtered_before.cache_clear()
            sysctls._make_plain(False, False)
        assert ("bridge/bridge-nf-call-iptables" in written) is there
        assert {"ipv4/conf/all/rp_filter", "ipv4/tcp_rmem"} <= set(written)
        written.clear()
    sysctls._filtered_before.cache_clear()
