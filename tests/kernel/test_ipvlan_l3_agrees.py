"""ipvlan l3 and l3s through the host's IP stack against Linux: the same commands and frames, every capture compared.

The host routes what no slave claims (output forced to the parent, no route taken for on-link), the wire's host answers.
"""

from __future__ import annotations

import pytest
from wires import Captures, Shot, sending, simulate

from simvlan.oracle import STACK, compare_captures, run_many
from simvlan.stack.packet import checksum
from tests.kernels import require

PARENT, WIRE = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B
BROADCAST, FOREIGN = 0xFFFF_FFFF_FFFF, 0x02_00_00_00_00_0F
DF = 0x4000
BEFORE_S, AFTER_S = 0.3, 4


def ip4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def packet(src: str, dst: str, body: bytes, proto: int = 1, ttl: int = 64, frag: int = 0) -> bytes:
    head = b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + b"\x12\x34" + frag.to_bytes(2, "big")
    head += bytes((ttl, proto))
    sum_ = checksum(head + b"\0\0" + ip4(src) + ip4(dst)).to_bytes(2, "big")
    return head + sum_ + ip4(src) + ip4(dst) + body


def icmp(kind: int, size: int) -> bytes:
    rest = b"\0\7\0\1" + bytes(range(256)) * (size // 256 + 1)
    rest = rest[:size]
    return bytes((kind, 0)) + checksum(bytes((kind, 0, 0, 0)) + rest).to_bytes(2, "big") + rest


def ping(src: str, dst: str, size: int = 60, kind: int = 8, **how: int) -> bytes:
    return packet(src, dst, icmp(kind, size), **how)


def frame(payload: bytes, dst: int = PARENT, src: int = PARENT, proto: int = 0x0800) -> bytes:
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + proto.to_bytes(2, "big") + payload


def commands(mode: str, flag: str, routes: bool) -> list[str]:
    """host/p0 10.0.0.254 == wire/w0 10.0.0.200; slaves 10.1.0.1 and 10.1.0.2 in namespaces of their own."""
    lines = [
        "ip netns add host",
        "ip netns add wire",
        "ip link add p0 address 02:00:00:00:00:0a netns host"
        " type veth peer name w0 address 02:00:00:00:00:0b netns wire",
        "ip -n wire link set lo up",
        "ip -n host link set lo up",
        "ip -n wire link set w0 up",
        "ip -n host link set p0 up",
        "ip -n host addr add 10.0.0.254/24 dev p0",
        "ip -n wire addr add 10.0.0.200/24 dev w0",
        "ip -n wire addr add 192.0.2.1/32 dev lo",
        "ip -n wire route add 10.1.0.0/24 via 10.0.0.254",
    ]
    for at in ("host/p0", "wire/w0"):  # who is in use is not probed before the script is over
        space, device = at.split("/")
        knob = f"net.ipv4.neigh.{device}.delay_first_probe_time=600"
        lines.append(f"ip netns exec {space} sysctl -qw {knob}")
    if routes:
        lines.append("ip -n host route add default via 10.0.0.200")
        lines.append("ip -n host route add unreachable 203.0.113.0/24")
    for n in (1, 2):
        lines += [
            f"ip netns add s{n}",
            f"ip -n host link add i{n} link p0 netns s{n} type ipvlan mode {mode} {flag}",
            f"ip -n s{n} link set i{n} mtu 3000",
            f"ip -n s{n} link set lo up",
            f"ip -n s{n} addr add 10.1.0.{n}/24 dev i{n}",
            f"ip -n s{n} link set i{n} up",
            f"ip -n s{n} route add default dev i{n}",
        ]
    return lines


def shots(routes: bool) -> list[Shot]:
    """What is sent: from slaves, from the wire."""
    me, other = "10.1.0.1", "10.1.0.2"
    sent = [
        ping(me, "10.0.0.200"),
        ping(me, "10.0.0.200"),
        ping(me, other),
        ping(me, me),
        ping(me, "10.1.0.77", kind=0),
        ping(me, "10.0.0.254"),
        ping(me, "10.0.0.200", ttl=1),
        ping(me, "10.0.0.200", 2000),
        ping(me, "10.0.0.200", 2000, frag=DF, kind=0),
        ping(me, "10.0.0.200", 2500, kind=0),
        ping("10.7.7.7", "10.0.0.200", kind=0),
        packet(me, "10.0.0.200", bytes(30), 253)[:-10] + bytes(30),
    ]
    if routes:
        sent += [ping(me, "192.0.2.1"), ping(me, "203.0.113.5", kind=0), ping(me, "198.51.100.1", kind=0)]
    found = [("s1", "i1", frame(p)) for p in sent]
    found += [
        ("s1", "i1", frame(ping(me, "224.0.0.1", kind=0))),
        ("s1", "i1", frame(ping(me, "255.255.255.255", kind=0))),
        ("s1", "i1", frame(ping(me, "10.0.0.255", kind=0))),
        ("s1", "i1", frame(ping(me, "10.0.0.200", kind=0), FOREIGN)),
        ("s1", "i1", frame(ping(me, other), FOREIGN)),
    ]
    whole = icmp(8, 1600)
    inward = [
        frame(ping("10.0.0.200", me), PARENT, WIRE),
        frame(ping("10.0.0.200", other, ttl=1), PARENT, WIRE),
        frame(ping("10.0.0.200", me), FOREIGN, WIRE),
        frame(ping("10.0.0.200", me), BROADCAST, WIRE),
        frame(ping("10.0.0.200", "10.1.0.77"), PARENT, WIRE),
        frame(ping("10.0.0.200", "10.0.0.254"), PARENT, WIRE),
        frame(packet("10.0.0.200", me, whole[:1000], frag=0x2000), PARENT, WIRE),
        frame(packet("10.0.0.200", me, whole[1000:], frag=125), PARENT, WIRE),
        frame(packet("10.0.0.200", me, bytes(20), 17), PARENT, WIRE),
    ]
    return found + [("wire", "w0", f) for f in inward]


PLANS = [
    ("l3", "bridge", True),
    ("l3s", "bridge", True),
    ("l3", "vepa", True),
    ("l3s", "private", True),
    ("l3", "bridge", False),
    ("l3s", "bridge", False),
]


def script(mode: str, flag: str, routes: bool) -> str:
    lines = ["set -e", *commands(mode, flag, routes), f"sleep {BEFORE_S}", "set +e", *sending(shots(routes))]
    return "\n".join([*lines, f"sleep {AFTER_S}"])


def comparable(captures: Captures) -> Captures:
    """Without the headers of what slaves send: Linux rewrites them while the capture's clone waits.

    That is the MAC addresses, and in the IP header total length and checksum.
    """
    return {
        name: [(t, way, _unwritten(f) if way == "out" and ".i" in name else f) for t, way, f in frames]
        for name, frames in captures.items()
        if not name.startswith("root.")
    }


def _unwritten(octets: bytes) -> bytes:
    return bytes(12) + octets[12:16] + bytes(2) + octets[18:24] + bytes(2) + octets[26:]


@pytest.mark.kernel
def test_the_hosts_stack_carries_l3_and_l3s_as_linux_does() -> None:
    """Re-routing in the host's namespace, on-link by default, fragments, ICMP errors, l3s local input."""
    require("uml")
    runs = run_many("uml", [script(*plan) for plan in PLANS], timeout_s=60)
    for plan, run in zip(PLANS, runs, strict=True):
        assert run.exit_code == 0, run.stderr
        ours, _ = simulate(commands(*plan), shots(plan[2]), BEFORE_S, AFTER_S)
        differences = compare_captures(comparable(ours), comparable(run.captures), STACK)
        assert not differences, f"{plan}:\n" + "\n".join(map(str, differences))
