"""Random frames: whom they are for and from, their tags, and what they carry."""

from __future__ import annotations

from random import Random

from simvlan.devices.device import Device
from simvlan.frame import BROADCAST, DOT1Q, QINQ
from simvlan.oracle.fuzz import mld_timed, routers_timed
from simvlan.oracle.fuzz.frames6 import ipv6
from simvlan.oracle.fuzz.ipv6 import within_earshot
from simvlan.oracle.fuzz.sketch import FOREIGN, WANTED, Sketch

NOBODY = 0x02_DE_AD_00_00_01
JOINED = 0x0100_5E00_0001
REPORTS = 0x0100_5E00_0016
HEARD = "sleep 0.3"
"""After a query bridges let a tenth of a second pass before they believe that they know all."""
LONGEST = 65_000
"""A dummy may have an MTU beyond what a frame can have here."""

_VIDS = (0, 0, 1, 5, 5, 5, 6, 7, 4094, 4095)


def shoot(sketch: Sketch, count: int) -> None:
    """Send frames, nearly all from devices that can."""
    for _ in range(count):
        ready = [dev for dev in sketch.devices if dev.up and dev.carrier]
        dev = sketch.rng.choice(ready) if ready and sketch.chance(0.95) else sketch.pick()
        if dev:
            if sketch.listeners and sketch.chance(0.6):
                mld_timed.speak(sketch, dev)
                continue
            if sketch.neighbours and sketch.chance(0.06):
                routers_timed.tell(sketch)
                continue
            octets = igmp(sketch, dev) if sketch.snooping and sketch.chance(0.35) else frame(sketch, dev)
            sketch.send(dev, octets)
            if b"\x11\x01\xee\xfe" in octets:
                sketch.do(HEARD)


def frame(sketch: Sketch, dev: Device) -> bytes:
    """One frame for a device to send."""
    rng = sketch.rng
    src = _source(sketch, dev)
    tags = b"".join(tag(rng) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))))
    dst = _destination(sketch, dev)
    if sketch.ipv6 and sketch.chance(0.6):
        near = rng.choice(heard) if (heard := within_earshot(dev)) and sketch.chance(0.6) else None
        payload, mac = ipv6(sketch, dev, src, near)
        dst = dst if mac is None or not sketch.certain(mac) else mac
        tags = b"" if near is not None and sketch.chance(0.9) else tags
        return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + tags + payload
    head = dst.to_bytes(6, "big") + src.to_bytes(6, "big") + tags
    return head + _payload(sketch, dev, len(tags), src)


def igmp(sketch: Sketch, dev: Device) -> bytes:
    """A station's membership, a general query, or something for a group; broadcast where a filter is in doubt."""
    rng = sketch.rng
    group = rng.choice(WANTED)
    address = bytes((239, 1, 1, group & 3))
    kind = rng.choice(("query", "report", "report", "older", "newer", "data", "data", "data"))
    dst, ip_dst, body = {
        "query": (JOINED, b"\xe0\0\0\1", b"\x11\x01\xee\xfe" + bytes(4)),
        "report": (group, address, _summed(b"\x16\0\0\0" + address)),
        "older": (group, address, _summed(b"\x12\0\0\0" + address)),
        "newer": (REPORTS, b"\xe0\0\0\x16", _summed(b"\x22" + bytes(6) + b"\1" + b"\4" + bytes(3) + address)),
        "data": (group, address, bytes(12)),
    }[kind]
    dst = dst if sketch.certain(dst) else BROADCAST
    proto, router_alert = (17, b"") if kind == "data" else (2, b"\x94\4\0\0")
    source = rng.choice((b"\x0a\0\0\x09", b"\x0a\0\0\x0a", bytes(4))) if kind == "query" else b"\x0a\0\0\x0b"
    length = 20 + len(router_alert) + len(body)
    head = bytes((0x45 + len(router_alert) // 4, 0xC0, 0, length, 0, 0, 0, 0, 1, proto, 0, 0)) + source + ip_dst
    head = _summed(head + router_alert, at=10)
    tags = tag(rng) if sketch.chance(0.3) else b""
    return dst.to_bytes(6, "big") + dev.mac.to_bytes(6, "big") + tags + b"\x08\0" + head + body


def _summed(octets: bytes, at: int = 2) -> bytes:
    """With the Internet checksum of it all written into it."""
    total = sum(int.from_bytes(octets[k : k + 2], "big") for k in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return octets[:at] + (~total & 0xFFFF).to_bytes(2, "big") + octets[at + 2 :]


def _destination(sketch: Sketch, dev: Device) -> int:
    """Known and unknown addresses, own, sibling's and parent's, broadcast, and groups no filter is in doubt about."""
    rng = sketch.rng
    macs = [each.mac for each in sketch.devices]
    near = [each.mac for each in sketch.devices if each.lower is dev.lower or each is dev.lower]
    group = rng.choice((BROADCAST, BROADCAST, BROADCAST, JOINED, *FOREIGN))
    dst = rng.choice((rng.choice(macs), rng.choice(macs), rng.choice(near or macs), group, NOBODY))
    return dst if sketch.certain(dst) else BROADCAST


def _source(sketch: Sketch, dev: Device) -> int:
    """Mostly its own; somebody else's, nobody's, and now and then none that a frame may come from."""
    rng = sketch.rng
    strange = rng.choice((0, JOINED, BROADCAST)) if sketch.chance(0.1) else NOBODY + 1 + rng.randint(0, 2)
    return rng.choice((dev.mac, dev.mac, dev.mac, rng.choice(sketch.devices).mac, strange))


def tag(rng: Random) -> bytes:
    """A VLAN tag of either kind, any priority."""
    tci = rng.choice(_VIDS) | rng.choice((0, 0, 0x6000, 0xA000, 0x1000))
    return rng.choice((DOT1Q, DOT1Q, QINQ)).to_bytes(2, "big") + tci.to_bytes(2, "big")


def _payload(sketch: Sketch, dev: Device, tags: int, src: int) -> bytes:
    rng = sketch.rng
    if sketch.addressed and sketch.chance(0.5):
        return _arp(sketch, src) if sketch.chance(0.5) else _ipv4(sketch)
    size = rng.choice((0, 1, 2, 46, 46, 46, 500, 1300, dev.mtu - tags, dev.mtu - tags + 1, dev.mtu, dev.mtu + 4))
    return rng.choice((0x88B5, 0x88B5, 0x88B5, 0x88B6, 0x8808)).to_bytes(2, "big") + bytes(max(0, min(size, LONGEST)))


def _ip(sketch: Sketch) -> bytes:
    """An address that somebody has, or may have."""
    rng = sketch.rng
    return bytes((10, 0, rng.randint(0, 1), rng.choice((0, 255, *range(1, len(sketch.devices) + 2)))))


def _arp(sketch: Sketch, src: int) -> bytes:
    """Requests, replies, probes, announcements, of other hardware, cut short, of operations nobody knows."""
    rng = sketch.rng
    sender, target = rng.choice((_ip(sketch), _ip(sketch), bytes(4))), _ip(sketch)
    target = sender if sketch.chance(0.1) else target
    op = rng.choice((1, 1, 1, 2, 2, 3, 9)).to_bytes(2, "big")
    kind = rng.choice((b"\0\1", b"\0\1", b"\0\1", b"\0\6")) + b"\x08\0\6\4"
    body = kind + op + src.to_bytes(6, "big") + sender + rng.choice((bytes(6), b"\xff" * 6)) + target
    return b"\x08\6" + body[: rng.choice((28, 28, 28, 28, 20))] + bytes(rng.choice((0, 18)))


def _ipv4(sketch: Sketch) -> bytes:
    """An echo request: whole or in parts, with a life left or none, its header sound or not."""
    rng = sketch.rng
    echo = bytes.fromhex("0800f7fe00000001")
    part = rng.choice((0, 0, 0, 0, 0x2000, 1, 0x4000))
    ttl = rng.choice((64, 64, 64, 1, 0))
    head = bytes((0x45, 0, 0, 28, 0, 7, part >> 8, part & 255, ttl, 1, 0, 0)) + _ip(sketch) + _ip(sketch)
    total = sum(int.from_bytes(head[k : k + 2], "big") for k in range(0, 20, 2))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    total = total ^ 1 if sketch.chance(0.05) else total
    whole = head[:10] + total.to_bytes(2, "big") + head[12:] + echo
    return b"\x08\0" + whole[: rng.choice((28, 28, 28, 28, 22))] + bytes(rng.choice((0, 0, 18)))
