"""IPv6 over devices, and ping's lines about it, against Linux: whole scripts, every frame, listing and line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simvlan.oracle.diff import diff
from simvlan.oracle.filters import WHY, ask
from simvlan.oracle.guests import Guest
from simvlan.oracle.report import text
from simvlan.oracle.runs import Job
from tests.kernels import require

QUIET = """
for n in a r b; do
  ip netns add $n
  ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
done
"""
"""Addresses are there at once: what detection does has tests of its own."""

PATIENT = """
for d in DEVICES; do ip netns exec ${d%/*} sysctl -qw net.ipv6.neigh.${d#*/}.delay_first_probe_time=600; done
"""
"""A neighbour in use is not asked again before the script is over, however slow the kernel is."""

ROUTED = """
ip link add eth0 netns a address 02:00:00:00:00:01 type veth peer name eth0 netns r address 02:00:00:00:00:02
ip link add eth1 netns r address 02:00:00:00:00:03 type veth peer name eth0 netns b address 02:00:00:00:00:04
for d in a/eth0 r/eth0 r/eth1 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
PATIENT
ip -n a addr add 2001:db8:1::1/64 dev eth0; ip -n r addr add 2001:db8:1::2/64 dev eth0
ip -n r addr add 2001:db8:2::2/64 dev eth1; ip -n b addr add 2001:db8:2::1/64 dev eth0
sleep 3
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip -n a -6 route add default via 2001:db8:1::2; ip -n b -6 route add default via 2001:db8:2::2
ip -n r -6 route add prohibit 2001:db8:8::/64
sleep 1
p() { ip netns exec a ping "$@" 2>&1; echo "status $?"; }
p -c 2 -i 0.2 2001:db8:1::2
p -6 -c 1 -n 2001:db8:2::1
p -c 1 fe80::ff:fe00:2%eth0
p -c 1 -I eth0 fe80::ff:fe00:2
p -c 1 -I 2001:db8:1::1 2001:db8:2::1
p -c 1 -I eth0 2001:db8:2::1
p -c 1 -t 1 2001:db8:2::1
p -c 1 -W 1 2001:db8:3::1
p -c 1 -W 1 2001:db8:8::1
p -c 1 ff02::1%eth0
p -c 1 -s 2000 2001:db8:2::1
ip -n r link set eth1 mtu 1280
p -c 1 -s 1400 -W 1 2001:db8:2::1
p -c 1 -s 1400 -M do 2001:db8:2::1
p -4 -c 1 2001:db8:1::2
p -c 1 -I eth7 2001:db8:8::1
p -c 1 -I 2001:db8:1::99 2001:db8:8::1
"""

IPVLAN = """
ip link add p0 netns r address 02:00:00:00:0a:01 type veth peer name eth0 netns b address 02:00:00:00:0a:02
ip netns add c
ip netns exec c sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
ip -n r link add link p0 name i1 netns a type ipvlan mode MODE
ip -n r link add link p0 name i2 netns c type ipvlan mode MODE
PATIENT
ip -n r link set p0 up; ip -n b link set eth0 up
sleep 3
ip -n a link set i1 up; ip -n c link set i2 up
ip -n r addr add 2001:db8::1/64 dev p0; ip -n b addr add 2001:db8::2/64 dev eth0
ip -n a addr add 2001:db8::11/64 dev i1; ip -n c addr add 2001:db8::12/64 dev i2
ip -n c addr add 2001:db8::11/64 dev i2
sleep 3
ip -n a -6 addr; ip -n c -6 addr
ip netns exec a ping -c 1 -W 1 2001:db8::12; sleep 1
ip netns exec a ping -c 1 -W 1 2001:db8::2; sleep 1
ip netns exec b ping -c 1 -W 1 2001:db8::12
"""


SCRIPTS = {"ping": ROUTED.replace("PATIENT\n", PATIENT.replace("DEVICES", "a/eth0 r/eth0 r/eth1 b/eth0"))} | {
    f"ipvlan {mode}": IPVLAN.replace("MODE", mode).replace(
        "PATIENT\n", PATIENT.replace("DEVICES", "r/p0 b/eth0 a/i1 c/i2")
    )
    for mode in ("l2", "l3")
}


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    require("uml")
    with Guest("uml") as booted:
        yield booted


@pytest.mark.kernel
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_agrees(guest: Guest, script: str) -> None:
    made = diff(guest, Job(QUIET + script, listings=True, ipv6=True))
    assert made.agree, text("script", made)


STRANGE = """
ip link add p0 netns b type veth peer name w0 netns r
ip -n b link add link p0 name i0 netns a type ipvlan mode l2
ip -n a addr add 2001:db8::1:0/64 dev i0
ip -n r link set w0 up; ip -n b link set p0 up; ip -n a link set i0 up
simvlan send --netns r w0 --hex {group:012x}02000000005188b5{0:092x}
"""
"""A frame for a group that the ipvlan has not joined: the simulator's hears nothing of it."""
JOINED = 0x3333_FF01_0000


@pytest.mark.kernel
def test_what_an_ipvlans_filter_takes_for_one_is_asked_and_given(guest: Guest) -> None:
    """ipvlan_mac_hash: 256 places and a secret drawn at boot, so each boot hears other groups that nobody joined."""
    groups, taken = range(JOINED + 1), frozenset[tuple[int, int]]()
    while JOINED not in {joined for joined, _ in taken}:
        groups = range(groups.stop, groups.stop + 200)
        taken = ask(guest, {JOINED}, groups)
    heard = next(group for joined, group in taken if joined == JOINED)
    clear = min({*groups} - {group for _, group in taken})
    for group, times in ((heard, 1), (clear, 0)):
        made = diff(guest, Job(QUIET + STRANGE.format(0, group=group), listings=True, ipv6=True))
        assert made.agree, text("script", made)
        assert made.theirs is not None
        there = [octets for _, _, octets in made.theirs.captures["a.i0"] if octets[:6] == group.to_bytes(6, "big")]
        assert (len(there), [each.known for each in made.known]) == (times, [WHY] * times)
