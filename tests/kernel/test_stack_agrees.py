"""A router's IPv4 stack against Linux: random frames under random sysctls, everything it sends compared.

Router r stands between two wires whose far ends have no addresses, so that every frame the wires carry back is of r.
Each sender is used once, for limits and backoffs are per destination. Repeated ARP requests are compared once: Linux
repeats them on a clock of 10 ms ticks.
"""

from __future__ import annotations

from random import Random

import pytest
from wires import Captures, Plan, Router, Shot, total

from tests.kernels import require

R0, R1, W0, W1 = 0x02_00_00_00_00_A0, 0x02_00_00_00_00_A1, 0x02_00_00_00_00_B0, 0x02_00_00_00_00_B1
BROADCAST, FOREIGN, GROUP = 0xFFFF_FFFF_FFFF, 0x02_00_00_00_00_0F, 0x01_00_5E_00_00_01

FRAMES, PLANS = 60, 12

KNOBS = {
    "ip_forward": (1, 1, 1, 0),
    "conf.all.rp_filter": (0, 0, 1, 2),
    "conf.eth0.arp_ignore": (0, 0, 1, 2, 8),
    "conf.all.arp_filter": (0, 0, 1),
    "conf.eth0.proxy_arp": (0, 1),
    "conf.eth0.arp_accept": (0, 1, 2),
    "conf.all.accept_local": (0, 0, 1),
    "conf.eth0.route_localnet": (0, 0, 1),
    "conf.all.drop_gratuitous_arp": (0, 0, 1),
    "conf.all.send_redirects": (1, 0),
    "conf.eth0.send_redirects": (1, 0),
    "icmp_echo_ignore_broadcasts": (1, 0),
    "icmp_echo_ignore_all": (0, 0, 0, 1),
    "icmp_ratelimit": (0, 1000),
    "ip_default_ttl": (64, 37),
}

HERE = ("10.0.1.254", "10.0.2.254", "10.0.1.253", "192.168.7.1")
TARGETS = (
    *HERE, "10.0.1.254", "10.0.2.1", "10.0.2.1", "10.9.3.4", "10.9.3.4", "10.0.1.3", "10.0.1.255", "10.0.2.255",
    "255.255.255.255", "10.0.1.0", "224.0.0.1", "239.1.2.3", "127.0.0.1", "0.0.0.0", "203.0.113.5", "198.51.100.5",
    "192.0.2.200", "8.8.8.8", "10.7.0.1", "10.6.0.1",
)  # fmt: skip
ODD_SOURCES = ("10.0.1.254", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.5", "10.0.2.77", "8.8.4.4")


def ip4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def setup(rng: Random) -> list[str]:
    lines = [
        "ip netns add r", "ip netns add one", "ip netns add two",
        "ip link add eth0 address 02:00:00:00:00:a0 netns r"
        " type veth peer name w0 address 02:00:00:00:00:b0 netns one",
        "ip link add eth1 address 02:00:00:00:00:a1 netns r"
        " type veth peer name w1 address 02:00:00:00:00:b1 netns two",
        "ip -n one link set w0 up", "ip -n two link set w1 up",
        "ip -n r link set lo up", "ip -n r link set eth0 up", "ip -n r link set eth1 up",
        "ip -n r addr add 10.0.1.254/24 dev eth0", "ip -n r addr add 10.0.1.253/24 dev eth0",
        "ip -n r addr add 10.0.2.254/24 dev eth1", "ip -n r addr add 192.168.7.1/32 dev lo",
        "ip -n r neigh add 10.0.2.1 lladdr 02:00:00:00:00:b1 dev eth1",
        "ip -n r neigh add 10.0.1.3 lladdr 02:00:00:00:00:b0 dev eth0",
        "ip -n r neigh add 10.0.1.2 lladdr 02:00:00:00:00:b0 dev eth0",
        "ip -n r route add 10.9.0.0/16 via 10.0.2.1", "ip -n r route add 10.8.0.0/16 via 10.0.1.2",
        "ip -n r route add 10.7.0.0/16 via 10.0.1.3", "ip -n r route add 10.6.0.0/16 via 10.0.2.1 mtu 900",
        "ip -n r route add unreachable 203.0.113.0/24", "ip -n r route add prohibit 198.51.100.0/24",
        "ip -n r route add blackhole 192.0.2.128/25",
    ]  # fmt: skip
    if rng.random() < 0.5:
        lines.append("ip -n r link set eth1 mtu 1000")
    lines.append("ip netns exec r sysctl -qw net.ipv4.neigh.eth0.proxy_delay=0")
    for n in (0, 1):  # who is in use is not probed before the script is over, however slow the kernel is
        lines.append(f"ip netns exec r sysctl -qw net.ipv4.neigh.eth{n}.delay_first_probe_time=600")
    for name, values in KNOBS.items():
        lines.append(f"ip netns exec r sysctl -qw net.ipv4.{name}={rng.choice(values)}")
    for n in range(10, 10 + FRAMES):
        lines.append(f"ip -n r neigh add 10.0.1.{n} lladdr 02:00:00:00:00:b0 dev eth0")
    return lines


def arp(rng: Random, number: int) -> bytes:
    """ARP as hosts, probes, announcements and nonsense send it."""
    learnt = f"10.0.1.{200 + rng.randrange(4)}"
    sip = rng.choice([f"10.0.1.{number}", learnt, learnt, "10.8.1.1", "0.0.0.0", "10.0.1.254", "8.8.4.4", "10.0.2.9"])
    tip = rng.choice([*HERE, "10.0.1.254", sip, "10.0.2.1", "10.9.1.1", "10.0.1.77", "127.0.0.1", "224.0.0.1",
                      "10.0.1.255", "8.8.8.8", "203.0.113.1"])  # fmt: skip
    sha = W0 if rng.random() < 0.7 else 0x02_00_00_00_00_C0 + rng.randrange(3)
    tha = rng.choice([0, R0, sha])
    op = rng.choice([1, 1, 1, 2, 2, 3])
    body = b"\0\1\x08\0\6\4" + op.to_bytes(2, "big")
    if rng.random() < 0.05:
        body = b"\0\7" + body[2:]
    body += sha.to_bytes(6, "big") + ip4(sip) + tha.to_bytes(6, "big") + ip4(tip)
    return body if rng.random() < 0.95 else body[: rng.randrange(28)]


def transport(rng: Random, src: str, dst: str) -> tuple[int, bytes]:
    data = bytes(rng.randrange(256) for _ in range(rng.choice([0, 8, 20, 56, 700, 990, 1400])))
    kind = rng.choice(["echo", "echo", "echo", "udp", "udp", "stamp", "error", "odd", "raw"])
    if kind == "udp":
        head = b"\x30\x39" + rng.choice([b"\x00\x09", b"\x13\x88"]) + (8 + len(data)).to_bytes(2, "big")
        pseudo = ip4(src) + ip4(dst) + b"\0\x11" + (8 + len(data)).to_bytes(2, "big")
        sum_ = rng.choice([total(pseudo + head + b"\0\0" + data) or 0xFFFF, 0, 0x1234])
        return 17, head + sum_.to_bytes(2, "big") + data
    if kind == "raw":
        return rng.choice([253, 47, 50]), data
    first = {"echo": b"\x08\0", "stamp": b"\x0d\0", "error": b"\x03\1", "odd": bytes((rng.choice([0, 17, 30]), 0))}
    rest = b"\0\1\0\2" + (data if kind != "stamp" else data + bytes(12))
    sum_ = total(first[kind] + b"\0\0" + rest) ^ (rng.random() < 0.05)
    return 1, first[kind] + sum_.to_bytes(2, "big") + rest


def packet(rng: Random, number: int) -> bytes:
    src = rng.choice([f"10.0.1.{number}", f"10.0.1.{number}", f"10.8.5.{number}", rng.choice(ODD_SOURCES)])
    dst = rng.choice(TARGETS)
    proto, body = transport(rng, src, dst)
    frag = rng.choice([0, 0, 0, 0x4000, 0x4000, 0x2000, 0x0010])
    if frag & 0x2000:
        body = body[: len(body) & ~7]
    ttl = rng.choice([64, 64, 64, 2, 1, 0])
    version = 0x45 if rng.random() < 0.95 else rng.choice([0x46, 0x44, 0x65])
    size = 20 + len(body) if rng.random() < 0.95 else rng.choice([10, 3000, 20])
    head = bytes((version, rng.choice([0, 0x10, 0xB8]))) + size.to_bytes(2, "big") + number.to_bytes(2, "big")
    head += frag.to_bytes(2, "big") + bytes((ttl, proto))
    sum_ = total(head + b"\0\0" + ip4(src) + ip4(dst)) ^ (rng.random() < 0.04)
    padding = bytes(rng.choice([0, 0, 0, 30]))
    return (head + sum_.to_bytes(2, "big") + ip4(src) + ip4(dst) + body + padding)[:1500]


def shots(rng: Random) -> list[Shot]:
    found = []
    for number in range(10, 10 + FRAMES):
        dst = rng.choice([R0, R0, R0, R0, BROADCAST, BROADCAST, GROUP, FOREIGN])
        head = dst.to_bytes(6, "big") + W0.to_bytes(6, "big")
        if rng.random() < 0.4:
            found.append(("one", "w0", head + b"\x08\x06" + arp(rng, number)))
        else:
            found.append(("one", "w0", head + b"\x08\x00" + packet(rng, number)))
    return found


def plan(seed: int) -> Plan:
    rng = Random(seed)
    return setup(rng), shots(rng)


def comparable(captures: Captures) -> Captures:
    """The router's wires, each ARP question and timestamp reply's clock taken once and out."""
    kept: Captures = {}
    for name in ("r.eth0", "r.eth1"):
        asked: set[bytes] = set()
        kept[name] = []
        for when, way, octets in captures.get(name, []):
            question = way == "out" and octets[12:14] == b"\x08\x06" and octets[21] == 1
            if not question or octets not in asked:
                kept[name].append((when, way, _clockless(octets)))
            asked.add(octets)
    return kept


def _clockless(octets: bytes) -> bytes:
    """Without the time of day in an ICMP timestamp reply."""
    if octets[12:14] == b"\x08\x00" and len(octets) > 50 and octets[23] == 1 and octets[34] == 14:
        return octets[:36] + bytes(2) + octets[38:46] + bytes(8) + octets[54:]
    return octets


@pytest.mark.kernel
def test_a_router_answers_forwards_and_learns_as_linux_does() -> None:
    """720 random frames over 12 random configurations; captures of both wires and the neighbour table agree."""
    require("uml")
    router = Router(0.2, "ip -n r neigh show", comparable)
    problems = router.problems([plan(seed) for seed in range(PLANS)], "uml")
    assert not problems, "\n".join(problems)
