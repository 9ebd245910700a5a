"""Random IPv6 packets: neighbours, routers, echoes, datagrams, fragments, options; sound ones and broken ones."""

from __future__ import annotations

from random import Random

from simvlan.devices.device import Device
from simvlan.oracle.fuzz.ipv6 import address, addresses_of, owned, routers_of
from simvlan.oracle.fuzz.sketch import Sketch
from simvlan.stack.ipv6 import icmp6, mld, ndp, packet
from simvlan.stack.ipv6.addr import is_link_local, is_multicast, multicast_mac, parse_ip6, solicited_node

ALL_NODES, ALL_ROUTERS, MLD2 = (parse_ip6(f"ff02::{last}") for last in ("1", "2", "16"))
LIFETIMES = ((86_400, 14_400), (ndp.FOREVER, ndp.FOREVER), (0, 0), (5000, 6000))
SOON = ((86_400, 14_400), (ndp.FOREVER, ndp.FOREVER), (0, 0), (9, 6), (9, 6), (ndp.FOREVER, 6))
"""Lifetimes of prefixes, valid and preferred; where sleeps are true, such as end in one."""
_HOPS = (255, 255, 255, 64, 64, 2, 1, 0)
_PADDING = (0, 0, 0, 18)


def ipv6(sketch: Sketch, dev: Device, src_mac: int, near: Device | None = None) -> tuple[bytes, int | None]:
    """Ethertype and packet; and the MAC that it is for, if that follows from it.

    `near`: it is for this device, as one that could well come from *dev*; else anything goes.
    """
    rng = sketch.rng
    src, dst = _ends(sketch, dev, near)
    kind = rng.choice(tuple(_KINDS))
    if near is not None and sketch.chance(0.8):
        src = _sender(rng, kind, dev, near, src)
    following, body = _KINDS[kind](sketch, src, dst, src_mac)
    for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 1, 2) if near is not None else (0, 0, 0, 0, 1, 2))):
        following, body = _extended(sketch, following, body)
    hops = 255 if following == packet.ICMPV6 and sketch.chance(0.7) else rng.choice(_HOPS)
    whole = packet.build(src, dst, following, body, hops, rng.choice((0, 0, 0xB8)), rng.choice((0, 0, 0x12345)))
    if sketch.chance(0.05):
        whole = whole[: rng.choice((20, 39, 44, len(whole) - 1))]
    if sketch.chance(0.03):
        whole = b"\x50" + whole[1:]
    mac = multicast_mac(dst) if is_multicast(dst) else near.mac if near is not None else None
    return b"\x86\xdd" + whole + bytes(rng.choice(_PADDING)), mac if sketch.chance(0.9) else None


def _ends(sketch: Sketch, dev: Device, near: Device | None) -> tuple[int, int]:
    """Source and destination: of these two devices, or anybody's; a router near by gets what is for others, too."""
    rng = sketch.rng
    src, dst = _address(sketch), _address(sketch)
    if near is not None and (own := addresses_of(dev)) and sketch.chance(0.8):
        src = rng.choice(own)
    if near is not None and sketch.chance(0.75):
        dst = rng.choice(addresses_of(near))
    dst = rng.choice((dst, dst, dst, dst, ALL_NODES, ALL_ROUTERS, solicited_node(dst)))
    return rng.choice((src, src, src, src, 0, ALL_NODES)) if sketch.chance(0.2) else src, dst


def _sender(rng: Random, kind: str, dev: Device, near: Device, src: int) -> int:
    """Who may say such a thing: routers by their link-local address, redirects those that are asked to pass it on."""
    if kind == "redirect" and (routers := routers_of(near)):
        return rng.choice(routers)
    local = [address for address in addresses_of(dev) if is_link_local(address)]
    return rng.choice(local) if kind in ("router", "redirect") and local else src


def _address(sketch: Sketch) -> int:
    """An address that somebody has, or may have."""
    known = owned(sketch)
    if known and sketch.chance(0.8):
        return parse_ip6(sketch.rng.choice(known))
    strange = address(sketch, sketch.rng.randint(1, 60))
    return parse_ip6(sketch.rng.choice((strange, strange, "fe80::77:0:1", "2001:db8:0:5::1", "2001:db8:0:6::1", "::1")))


# -- what packets carry -----------------------------------------------------------------------------------------------


def _broken(rng: Random, octets: bytes) -> bytes:
    """Now and then with a wrong checksum, or cut short."""
    if rng.random() < 0.05:
        return octets[:2] + bytes((octets[2] ^ 1,)) + octets[3:]
    return octets[: rng.choice((4, 8, 20))] if rng.random() < 0.03 else octets


def _solicit(sketch: Sketch, src: int, dst: int, mac: int) -> tuple[int, bytes]:
    target = sketch.rng.choice((dst, _address(sketch), _address(sketch)))
    options = (ndp.link_layer(ndp.SLLA, mac),) if sketch.chance(0.7) else ()
    return packet.ICMPV6, _broken(sketch.rng, ndp.build_ns(src, dst, target, options))


def _advertise(sketch: Sketch, src: int, dst: int, mac: int) -> tuple[int, bytes]:
    router, solicited, override = (sketch.chance(0.5) for _ in range(3))
    options = (ndp.link_layer(ndp.TLLA, mac),) if sketch.chance(0.7) else ()
    target = sketch.rng.choice((src, _address(sketch)))
    said = ndp.Advertisement(target, router, solicited, override, options)
    return packet.ICMPV6, _broken(sketch.rng, ndp.build_na(src, dst, said))


def _ask_router(sketch: Sketch, src: int, dst: int, mac: int) -> tuple[int, bytes]:
    options = (ndp.link_layer(ndp.SLLA, mac),) if sketch.chance(0.7) else ()
    return packet.ICMPV6, _broken(sketch.rng, ndp.build_rs(src, dst, options))


def router(sketch: Sketch, src: int, dst: int, mac: int, lifetime: int | None = None) -> tuple[int, bytes]:
    """A router's advertisement; `lifetime`: how long it is one, in seconds."""
    rng = sketch.rng
    options = [ndp.link_layer(ndp.SLLA, mac)] if sketch.chance(0.7) else []
    if sketch.chance(0.3):
        options.append(ndp.mtu(rng.choice((1280, 1400, 1000))))
    if sketch.chance(0.5):
        first = parse_ip6(f"2001:db8:0:{rng.randint(7, 8)}::")
        lifetimes = rng.choice(SOON if sketch.clock else LIFETIMES)
        info = ndp.Prefix(first, rng.choice((64, 64, 64, 48)), sketch.chance(0.8), sketch.chance(0.8), *lifetimes)
        options.append(ndp.prefix(info))
    if lifetime is None:
        lifetime = rng.choice((1800, 8, 0) if sketch.clock else (1800, 1800, 0))
    said = ndp.RouterAdvertisement(rng.choice((0, 64, 32)), lifetime=lifetime, options=tuple(options))
    return packet.ICMPV6, _broken(rng, ndp.build_ra(src, dst, said))


def _redirect(sketch: Sketch, src: int, dst: int, mac: int) -> tuple[int, bytes]:
    said = ndp.Redirect(_address(sketch), _address(sketch), (ndp.link_layer(ndp.TLLA, mac),))
    return packet.ICMPV6, _broken(sketch.rng, ndp.build_redirect(src, dst, said))


def _echo(sketch: Sketch, src: int, dst: int, _mac: int) -> tuple[int, bytes]:
    data = bytes(sketch.rng.choice((0, 8, 56, 1400)))
    kind = sketch.rng.choice((icmp6.ECHO, icmp6.ECHO, icmp6.ECHO, icmp6.ECHO_REPLY))
    return packet.ICMPV6, _broken(sketch.rng, icmp6.build_echo(src, dst, kind, 7, 1, data))


def _other_icmp(sketch: Sketch, src: int, dst: int, _mac: int) -> tuple[int, bytes]:
    """Errors about packets nobody sent, and messages nobody knows."""
    kind = sketch.rng.choice((1, 2, 3, 4, 99, 127, 200, 255))
    quoted = packet.build(_address(sketch), _address(sketch), packet.UDP, bytes(8))
    return packet.ICMPV6, icmp6.build(src, dst, kind, sketch.rng.choice((0, 1, 3)), 1280, quoted)


def _listener(sketch: Sketch, src: int, dst: int, _mac: int) -> tuple[int, bytes]:
    group = parse_ip6(sketch.rng.choice(("ff02::1:ff00:1", "ff0e::1")))
    if sketch.chance(0.5):
        return packet.ICMPV6, mld.build_v1(src, dst, sketch.rng.choice((mld.MLD_REPORT, mld.MLD_DONE)), group)
    return packet.ICMPV6, mld.build_report(src, dst, (mld.Record(mld.TO_EX, group),))


def _datagram(sketch: Sketch, src: int, dst: int, _mac: int) -> tuple[int, bytes]:
    head = (4000).to_bytes(2, "big") + (9).to_bytes(2, "big") + (12).to_bytes(2, "big")
    total = packet.transport_checksum(src, dst, packet.UDP, head + b"\0\0data") or 0xFFFF
    total = sketch.rng.choice((total, total, total, total ^ 1, 0))
    return packet.UDP, head + total.to_bytes(2, "big") + b"data"


def _unknown(sketch: Sketch, _src: int, _dst: int, _mac: int) -> tuple[int, bytes]:
    return sketch.rng.choice((200, 59, 253)), bytes(12)


_KINDS = {
    "solicit": _solicit,
    "solicit more": _solicit,
    "advertise": _advertise,
    "ask": _ask_router,
    "router": router,
    "redirect": _redirect,
    "echo": _echo,
    "echo more": _echo,
    "echo again": _echo,
    "icmp": _other_icmp,
    "listener": _listener,
    "datagram": _datagram,
    "unknown": _unknown,
}


ROUTING, PLAIN_ROUTING = (0, 2, 4), (0, 0, 4)
"""Types of routing headers: 2 is known where Mobile IPv6 is built in (CONFIG_IPV6_MIP6), which a host may lack."""


def _extended(sketch: Sketch, following: int, body: bytes) -> tuple[int, bytes]:
    """With one more header in front: a fragment's, or options, known ones and such that no host knows."""
    rng = sketch.rng
    kind = rng.choice((packet.FRAGMENT, packet.HOPOPTS, packet.DSTOPTS, packet.DSTOPTS, packet.ROUTING))
    if kind == packet.FRAGMENT:
        offset, more = rng.choice(((0, False), (0, True), (8, False), (8, True)))
        return kind, packet.fragment(following, offset, more, 0x1234) + body
    if kind == packet.ROUTING:
        types = PLAIN_ROUTING if sketch.host else ROUTING
        return kind, bytes((following, 0, rng.choice(types), rng.choice((0, 0, 1)))) + bytes(4) + body
    option = rng.choice(
        (b"\1\4\0\0\0\0", b"\x05\2\0\0\1\0", b"\x1e\4\0\0\0\0", b"\x5e\4abcd", b"\x9e\4abcd", b"\xde\4abcd")
    )
    return kind, packet.options(following, option) + body
