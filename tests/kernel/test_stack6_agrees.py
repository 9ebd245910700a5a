"""A router's IPv6 stack against Linux: random packets under random sysctls, everything it sends compared.

As test_stack_agrees.py does for IPv4: router r between two wires whose far ends have no addresses. What r says of
itself (DAD, listener reports) is over before the first packet; each sender is used once, for limits are per sender.
"""

from __future__ import annotations

import ipaddress
from random import Random

import pytest
from wires import Captures, Plan, Router, Shot, total

from simvlan.oracle.kernels import Kernel
from tests.kernels import require

R0, R1, W0, W1 = 0x02_00_00_00_00_A0, 0x02_00_00_00_00_A1, 0x02_00_00_00_00_B0, 0x02_00_00_00_00_B1
BROADCAST, FOREIGN = 0xFFFF_FFFF_FFFF, 0x02_00_00_00_00_0F
FRAMES = 60
PLANS = {"uml": range(6), "host": range(6, 9)}
QUIET_S = 4

KNOBS = {
    "conf.all.forwarding": (1, 1, 1, 0),
    "icmp.echo_ignore_all": (0, 0, 0, 1),
    "icmp.echo_ignore_multicast": (0, 1),
    "icmp.ratelimit": (0, 1000),
    "conf.eth0.hop_limit": (64, 37),
    "conf.eth0.accept_redirects": (1, 0),
    "conf.eth0.accept_ra": (1, 0, 2),
    "conf.eth0.drop_unsolicited_na": (0, 0, 1),
    "conf.eth0.force_tllao": (0, 1),
    "conf.eth0.suppress_frag_ndisc": (1, 0),
    "neigh.eth0.proxy_delay": (0,),
    "conf.eth0.proxy_ndp": (0, 1),
}

LINK0, LINK1 = "fe80::ff:fe00:a0", "fe80::ff:fe00:a1"
HERE = ("2001:db8:1::fe", "2001:db8:2::fe", "2001:db8:1::fd", "2001:db8:7::1", LINK0)
TARGETS = (
    *HERE, "2001:db8:1::fe", "2001:db8:2::1", "2001:db8:2::1", "2001:db8:9::4", "2001:db8:9::4", "2001:db8:1::3",
    "ff02::1", "ff02::2", "ff02::1:ff00:fe", "ff05::2", "ff0e::5", "ff01::1", "::", "::1", LINK1, "2001:db8:203::5",
    "2001:db8:198::5", "2001:db8:192::5", "2600::8", "2001:db8:8::1", "2001:db8:6::1", "2001:db8:1::", "fe80::99",
)  # fmt: skip
ODD_SOURCES = ("2001:db8:1::fe", "::", "::1", "ff02::5", "2001:db8:2::77", "2600::4", "::ffff:10.0.0.1", "fe80::b0")


def ip6(text: str) -> bytes:
    return ipaddress.IPv6Address(text).packed


def summed(src: str, dst: str, proto: int, octets: bytes, at: int, wrong: bool = False) -> bytes:
    """Put the checksum in its place."""
    pseudo = ip6(src) + ip6(dst) + len(octets).to_bytes(4, "big") + bytes((0, 0, 0, proto))
    value = total(pseudo + octets[:at] + b"\0\0" + octets[at + 2 :]) ^ wrong
    return octets[:at] + value.to_bytes(2, "big") + octets[at + 2 :]


def setup(rng: Random) -> list[str]:
    lines = [
        "ip netns add r", "ip netns add one", "ip netns add two",
        "ip netns exec r sysctl -qw net.ipv6.conf.all.disable_ipv6=0",
        "ip netns exec r sysctl -qw net.ipv6.conf.default.router_solicitations=0",
        "ip link add eth0 address 02:00:00:00:00:a0 netns r"
        " type veth peer name w0 address 02:00:00:00:00:b0 netns one",
        "ip link add eth1 address 02:00:00:00:00:a1 netns r"
        " type veth peer name w1 address 02:00:00:00:00:b1 netns two",
        "ip -n one link set w0 up", "ip -n two link set w1 up",
        "ip -n r link set lo up", "ip -n r link set eth0 up", "ip -n r link set eth1 up",
        "ip -n r addr add 2001:db8:1::fe/64 dev eth0 nodad", "ip -n r addr add 2001:db8:1::fd/64 dev eth0 nodad",
        "ip -n r addr add 2001:db8:2::fe/64 dev eth1 nodad", "ip -n r addr add 2001:db8:7::1/128 dev lo",
        "ip -n r neigh add 2001:db8:2::1 lladdr 02:00:00:00:00:b1 dev eth1",
        "ip -n r neigh add 2001:db8:1::3 lladdr 02:00:00:00:00:b0 dev eth0",
        "ip -n r neigh add fe80::3 lladdr 02:00:00:00:00:b0 dev eth0",
        "ip -n r neigh add fe80::b0 lladdr 02:00:00:00:00:b0 dev eth0",
        "ip -n r neigh add proxy 2001:db8:1::55 dev eth0",
        "ip -n r -6 route add 2001:db8:9::/48 via 2001:db8:2::1", "ip -n r -6 route add 2001:db8:8::/48 via fe80::3 dev"
        " eth0", "ip -n r -6 route add 2001:db8:6::/48 via 2001:db8:2::1 mtu 1400",
        "ip -n r -6 route add unreachable 2001:db8:203::/64", "ip -n r -6 route add prohibit 2001:db8:198::/64",
        "ip -n r -6 route add blackhole 2001:db8:192::/64",
    ]  # fmt: skip
    if rng.random() < 0.5:
        lines.append("ip -n r link set eth1 mtu 1300")
    for name, values in KNOBS.items():
        lines.append(f"ip netns exec r sysctl -qw net.ipv6.{name}={rng.choice(values)}")
    for n in range(16, 16 + FRAMES):
        lines.append(f"ip -n r neigh add 2001:db8:1::{n:x} lladdr 02:00:00:00:00:b0 dev eth0")
    return lines


def option(rng: Random, kind: int) -> bytes:
    """A link-layer address option, now and then another or a broken one."""
    mac = (W0 if rng.random() < 0.7 else 0x02_00_00_00_00_C0 + rng.randrange(3)).to_bytes(6, "big")
    right = [bytes((kind, 1)) + mac] * 8
    wrong = [b"", bytes((kind, 0)) + mac, bytes((kind, 2)) + mac, bytes((kind, 2)) + mac + bytes(8)]
    return rng.choice([*right, *wrong, b"\x1e\1" + bytes(6)])


def discovery(rng: Random, number: int) -> tuple[str, str, int, bytes]:
    """Neighbour discovery as hosts, routers and nonsense send it: source, destination, hop limit, message."""
    kind = rng.choice([135, 135, 135, 136, 136, 133, 134, 137])
    src = rng.choice([f"2001:db8:1::{number:x}", f"2001:db8:1::{number:x}", f"fe80::{number:x}", "fe80::b0", "::"])
    target = rng.choice([*HERE, "2001:db8:1::fe", "2001:db8:1::55", "2001:db8:1::77", "ff02::1", src, "fe80::b0"])
    group = f"ff02::1:ff{ip6(target)[13]:02x}:{ip6(target)[14]:02x}{ip6(target)[15]:02x}"
    dst = rng.choice([group, group, "2001:db8:1::fe", LINK0, "ff02::1"])
    flags = rng.choice([0, 0x20, 0x40, 0x60, 0xE0, 0x60, 0x80])
    if kind == 135:
        body = bytes(4) + ip6(target) + option(rng, 1)
    elif kind == 136:
        body = bytes((flags, 0, 0, 0)) + ip6(target) + option(rng, 2)
    elif kind == 133:
        dst, body = rng.choice(["ff02::2", LINK0]), bytes(4) + option(rng, 1)
    elif kind == 134:
        src, dst = rng.choice(["fe80::b0", f"fe80::{number:x}", f"2001:db8:1::{number:x}"]), "ff02::1"
        body = bytes((rng.choice([0, 64, 50]), 0)) + b"\0\0" + bytes(8) + option(rng, 1)
    else:
        src, dst = rng.choice(["fe80::3", "fe80::b0"]), LINK0
        body = bytes(4) + ip6(rng.choice(["fe80::b0", "2001:db8:8::1"])) + ip6("2001:db8:8::1") + option(rng, 2)
    octets = bytes((kind, rng.random() < 0.04, 0, 0)) + body
    octets = octets if rng.random() < 0.95 else octets[: rng.randrange(8, len(octets))]
    hops = 255 if rng.random() < 0.93 else 64
    return src, dst, hops, summed(src, dst, 58, octets, 2, rng.random() < 0.03)


PIECES = (0, 1, 4, 7, 8, 16, 19, 20, 24)


def transport(rng: Random, src: str, dst: str) -> tuple[int, bytes]:
    data = bytes(rng.randrange(256) for _ in range(rng.choice([0, 8, 20, 56, 700, 1240, 1300, 1390])))
    wrong = rng.random() < 0.05
    kind = rng.choice(["echo", "echo", "echo", "echo", "udp", "udp", "tcp", "error", "odd", "raw", "none"])
    if kind == "udp":
        head = b"\x30\x39\x00\x09" + (8 + len(data)).to_bytes(2, "big") + b"\0\0"
        return 17, head + data if wrong else summed(src, dst, 17, head + data, 6)
    if kind == "tcp":
        flags = rng.choice([0x02, 0x10, 0x12, 0x04])
        head = b"\x30\x39\x00\x50" + bytes(3) + b"\7" + bytes(3) + b"\x09" + bytes((0x50, flags)) + b"\x10\0" + bytes(4)
        return 6, summed(src, dst, 6, head + data[:20], 16, wrong)
    if kind in ("raw", "none"):
        return 59 if kind == "none" else rng.choice([253, 47]), data
    first = {"echo": b"\x80\0", "error": b"\1\3", "odd": bytes((rng.choice([0, 100, 150, 200, 127]), 0))}
    return 58, summed(src, dst, 58, first[kind] + bytes(2) + b"\0\1\0\2" + data, 2, wrong)


def extended(rng: Random, proto: int, body: bytes, number: int) -> tuple[int, bytes]:
    """Put extension headers in front, right and wrong ones."""
    kind = rng.choice(["", "", "", "", "hop", "dst", "route", "frag", "atom", "cut", "unknown"])
    if kind == "hop":
        return 0, bytes((proto, 0)) + rng.choice([b"\1\4\0\0\0\0", b"\5\2\0\0\1\0", b"\x3e\4\0\0\0\0"]) + body
    if kind == "dst":
        return 60, bytes((proto, 0)) + rng.choice([b"\1\4\0\0\0\0", b"\0\0\0\0\0\0", b"\1\3\0\0\0\0"]) + body
    if kind == "unknown":
        return rng.choice([0, 60]), bytes((proto, 0, rng.choice([0x1F, 0x5F, 0x9F, 0xDF]), 4)) + bytes(4) + body
    if kind == "route":
        return 43, bytes((proto, 0, rng.choice([0, 0, 4]), rng.choice([0, 1]))) + bytes(4) + body
    if kind == "atom":
        return 44, bytes((proto, 0, 0, 0)) + number.to_bytes(4, "big") + body
    if kind == "cut":  # a piece that may be too short for the headers it ought to hold
        field, behind = rng.choice([1, 1, 1, 9]), rng.random() < 0.4
        piece = bytes((proto, 0)) + field.to_bytes(2, "big") + number.to_bytes(4, "big") + body[: rng.choice(PIECES)]
        return (60, b"\x2c\0\1\4\0\0\0\0" + piece) if behind else (44, piece)
    if kind == "frag":
        field = rng.choice([1, 8, 9, 0xFFF8])
        return 44, bytes((proto, 0)) + field.to_bytes(2, "big") + number.to_bytes(4, "big") + body
    return proto, body


def packet(rng: Random, number: int) -> tuple[int, bytes]:
    """A packet, and the MAC that fits its destination."""
    if rng.random() < 0.4:
        src, dst, hops, body = discovery(rng, number)
        proto = 58
    else:
        near = [f"2001:db8:1::{number:x}"] * 3 + [f"fe80::{number:x}"]
        src = rng.choice([*near, f"2001:db8:8::{number:x}", rng.choice(ODD_SOURCES)])
        dst = rng.choice(TARGETS)
        proto, body = extended(rng, *transport(rng, src, dst), number)
        hops = rng.choice([64, 64, 64, 2, 1, 0])
    version = 0x60 if rng.random() < 0.97 else 0x40
    size = len(body) if rng.random() < 0.95 else rng.choice([10, 3000, 0])
    head = bytes((version, rng.choice([0, 0, 8]) << 4 & 0xF0, 0, 0)) + size.to_bytes(2, "big") + bytes((proto, hops))
    octets = head + ip6(src) + ip6(dst) + body + bytes(rng.choice([0, 0, 0, 30]))
    group = ip6(dst)[0] == 0xFF
    mac = 0x3333_0000_0000 | int.from_bytes(ip6(dst)[12:], "big") if group else R0
    return mac, octets[:1500]


def shots(rng: Random) -> list[Shot]:
    found = []
    for number in range(16, 16 + FRAMES):
        mac, octets = packet(rng, number)
        mac = mac if rng.random() < 0.85 else rng.choice([R0, BROADCAST, 0x3333_0000_0001, FOREIGN])
        head = mac.to_bytes(6, "big") + W0.to_bytes(6, "big")
        found.append(("one", "w0", head + b"\x86\xdd" + octets))
    return found


def plan(seed: int) -> Plan:
    rng = Random(seed)
    return setup(rng), shots(rng)


def comparable(captures: Captures) -> Captures:
    """The router's wires from the first packet on; each question, repeated on a coarse clock, once."""
    begin = min(when for when, way, _ in captures["r.eth0"] if way == "in")
    kept: Captures = {}
    for name in ("r.eth0", "r.eth1"):
        asked: set[bytes] = set()
        kept[name] = []
        for when, way, octets in captures.get(name, []):
            question = way == "out" and (octets[12:14], octets[20:21], octets[54:55]) == (b"\x86\xdd", b"\x3a", b"\x87")
            if when >= begin and (not question or octets not in asked):
                kept[name].append((when, way, octets))
            asked.add(octets if question else b"")
    return kept


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["uml", "host"])
def test_a_router_of_ipv6_answers_forwards_and_learns_as_linux_does(kernel: Kernel) -> None:
    """540 random packets over 9 random configurations; captures of both wires and the neighbour table agree."""
    require(kernel)
    router = Router(QUIET_S, "ip -n r -6 neigh show", comparable)
    problems = router.problems([plan(seed) for seed in PLANS[kernel]], kernel)
    assert not problems, "\n".join(problems)
