"""Super-packets of a bulk transfer are those of Linux: which octets are in which, at every device on their way.

What is compared is the order, sizes and flags of what carries data. When an acknowledgement comes between two of them
depends on timers of the machine, and so do the sizes where nothing delays frames (tcp_tso_autosize goes by the measured
round trip): neither is compared. The delay gives nc time to write ahead of the acknowledgements.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

import pytest

from simvlan.oracle.kernels import Job, run_script
from simvlan.oracle.observation import Captured
from simvlan.oracle.simulated import simulate
from tests.kernels import require

SCRIPT = """
for n in a b c1 c2; do ip netns add $n; ip -n $n link set lo up; done
for n in c1 c2; do
    ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 1000000 4194304"
done
ip link add eth0 netns a type veth peer name eth0 netns b
container() { # HOST CONTAINER ADDRESS
    ip -n $1 link set eth0 up
    ip -n $1 link add link eth0 name vlan5 type vlan id 5
    ip -n $1 link set vlan5 up
    ip -n $1 link add mv0 link vlan5 type macvlan mode bridge
    ip -n $1 link set mv0 netns $2
    ip -n $2 addr add $3/24 dev mv0
    ip -n $2 link set mv0 up
    tc -n $1 qdisc add dev eth0 root netem delay 100ms
}
container a c1 10.9.0.1
container b c2 10.9.0.2
sleep 2
ip netns exec c1 ping -c 1 -W 5 10.9.0.2 > /dev/null

transfer() { # PORT SIZE
    head -c $2 /dev/zero > /tmp/data
    ip netns exec c2 nc -l $1 < /dev/null > /tmp/got &
    until ip netns exec c1 nc -N 10.9.0.2 $1 < /tmp/data; do sleep 0.3; done
    wait
    cmp /tmp/data /tmp/got && echo "$1: every octet is there"
}

transfer 8001 60000
ip netns exec a ethtool -K eth0 tso off > /dev/null
transfer 8002 60000
ip netns exec b ethtool -K eth0 gro on
transfer 8003 60000
tc -n b qdisc del dev eth0 root
transfer 8004 60000
ip netns exec b ethtool -K vlan5 gro off
ip netns exec c2 ethtool -k mv0 | grep generic-receive
"""
PLACES = ("c1.mv0", "a.vlan5", "a.eth0", "b.eth0", "b.vlan5", "c2.mv0")
Piece = tuple[int, int, int]
"""Octets of data before it, octets in it, flags."""


def turns(captures: Mapping[str, Sequence[Captured]], place: str, port: int) -> list[tuple[str, int]]:
    """What a capture shows of a connection in both directions once data came: direction, octets of data."""
    found: list[tuple[str, int]] = []
    for _, way, octets in captures[place]:
        at = 18 if octets[12:14] == b"\x81\x00" else 14
        tcp = at + (octets[at] & 15) * 4
        if octets[at - 2 : at] != b"\x08\x00" or octets[at + 9] != 6:
            continue
        size = int.from_bytes(octets[at + 2 : at + 4], "big") - (tcp - at) - (octets[tcp + 12] >> 4) * 4
        if port.to_bytes(2, "big") in (octets[tcp : tcp + 2], octets[tcp + 2 : tcp + 4]) and (size or found):
            found.append((way, size))
    return found


def pieces(captures: Mapping[str, Sequence[Captured]], place: str, port: int) -> list[Piece]:
    """What carried data to a port, as a capture shows it; sequence numbers from the first SYN on."""
    found: list[Piece] = []
    first = 0
    for _, _, octets in captures[place]:
        at = 18 if octets[12:14] == b"\x81\x00" else 14
        if octets[at - 2 : at] != b"\x08\x00" or octets[at + 9] != 6:
            continue
        tcp = at + (octets[at] & 15) * 4
        seq, flags = int.from_bytes(octets[tcp + 4 : tcp + 8], "big"), octets[tcp + 13]
        size = int.from_bytes(octets[at + 2 : at + 4], "big") - (tcp - at) - (octets[tcp + 12] >> 4) * 4
        if octets[tcp + 2 : tcp + 4] != port.to_bytes(2, "big"):
            continue
        first = seq + 1 if flags & 2 else first
        if size:
            found.append(((seq - first) & 0xFFFF_FFFF, size, flags))
    return found


@pytest.mark.kernel
def test_bulk_transfers_by_super_packets_are_linux_s() -> None:
    require("uml")
    if shutil.which("nc") is None:
        pytest.skip("nc is missing: apt-get install netcat-openbsd (.ci/packages)")
    theirs = run_script("uml", SCRIPT)
    ours = simulate(Job(SCRIPT, gso=True)).observation
    told = "".join(f"{port}: every octet is there\n" for port in PORTS)
    told += "generic-receive-offload: off [requested on]\n"
    assert (theirs.stdout, ours.stdout) == (told, told), theirs.stderr + ours.stderr
    for port in PORTS:
        for place in PLACES:
            assert pieces(ours.captures, place, port) == pieces(theirs.captures, place, port), (port, place)
    sizes = {(port, place): {size for _, size, _ in pieces(ours.captures, place, port)} for port, place in CHECKED}
    assert max(sizes[8001, "a.eth0"]) == max(sizes[8001, "c2.mv0"]) == 2 * 1448
    assert max(sizes[8002, "a.vlan5"]) == 2 * 1448
    assert max(sizes[8002, "a.eth0"]) == max(sizes[8002, "c2.mv0"]) == 1448
    assert max(sizes[8003, "a.eth0"]) == 1448
    assert max(sizes[8003, "b.eth0"]) == max(sizes[8003, "c2.mv0"]) == 2 * 1448
    # What is polled together is seen together, eight segments at a time, and answered afterwards.
    first_window = turns(ours.captures, "b.eth0", 8004)[:10]
    assert first_window == [*[("in", 2896)] * 4, *[("out", 0)] * 4, ("in", 2896), ("out", 0)]
    assert first_window == turns(theirs.captures, "b.eth0", 8004)[:10]


PORTS = (8001, 8002, 8003, 8004)
CHECKED = [(8001, "a.eth0"), (8001, "c2.mv0"), (8002, "a.vlan5"), (8002, "a.eth0"), (8002, "c2.mv0"),
           (8003, "a.eth0"), (8003, "b.eth0"), (8003, "c2.mv0")]  # fmt: skip
