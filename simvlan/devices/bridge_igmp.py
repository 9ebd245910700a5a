"""IGMP and MLD as a snooping bridge reads them, and the queries it writes.

Mirrors ip_mc_check_igmp (net/ipv4/igmp.c), ipv6_mc_check_mld (net/ipv6/mcast_snoop.c) and the query builder of
net/bridge/br_multicast.c (6.1). Reading answers with a `Message`, PLAIN for any other packet, or BAD for what the
kernel frees as malformed. Times in ns, addresses as integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from simvlan.clock import SECOND
from simvlan.frame import IPV4, IPV6, Frame
from simvlan.stack.ipv6 import mld, packet
from simvlan.stack.ipv6.addr import multicast_mac
from simvlan.stack.packet import checksum

PLAIN: Final = "plain"
BAD: Final = "bad"
ROUTER: Final = "router"
"""A multicast router says that it is one (RFC 4286), by IPv6; by IPv4 it is PLAIN."""
MRD_ADVERTISEMENT6 = 151

IGMP, ICMPV6, HOP_BY_HOP = 2, 58, 0
ALL_HOSTS = 0xE000_0001
ALL_NODES = 0xFF02 << 112 | 1
LOCAL_CONTROL = 0xE000_0000 >> 8
TENTH = SECOND // 10


@dataclass(frozen=True)
class Query:
    """A question who listens to a group (0: to any)."""

    group: int
    source: int
    max_delay: int
    counts: bool = True
    """False for source-specific queries, which tell the bridge nothing."""


@dataclass(frozen=True)
class Report:
    """Groups joined and left, in the order they are named; `to_routers`: only routers hear it, all else every port."""

    changes: tuple[tuple[int, bool], ...]
    """A group, and whether it is joined."""
    to_routers: bool


Message: TypeAlias = "Query | Report | str"


def is_link_local_group(family: int, group: int) -> bool:
    """Whether a group is never snooped: 224.0.0.0/24, ff02::1."""
    return group >> 8 == LOCAL_CONTROL if family == IPV4 else group == ALL_NODES


def destination(frame: Frame) -> int:
    """Return the IP destination of a packet already found sound."""
    data = frame.payload
    return int.from_bytes(data[16:20] if frame.proto == IPV4 else data[24:40], "big")


def read(frame: Frame) -> Message:
    """Read a multicast IP packet."""
    return _read_ipv4(frame.payload) if frame.proto == IPV4 else _read_ipv6(frame.payload)


# -- IPv4 -----------------------------------------------------------------------------------------------------------


def _read_ipv4(data: bytes) -> Message:
    """Check the header, then the IGMP message if it is one (ip_mc_check_iphdr)."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return BAD
    header, total = (data[0] & 0xF) * 4, int.from_bytes(data[2:4], "big")
    if header < 20 or len(data) < total or total < header or checksum(data[:header]):
        return BAD
    if data[9] != IGMP:
        return PLAIN
    body = data[header:total]
    if len(body) < 8 or checksum(body):
        return BAD
    return _read_igmp(body, int.from_bytes(data[12:16], "big"), int.from_bytes(data[16:20], "big"))


def _read_igmp(body: bytes, source: int, target: int) -> Message:
    """Tell the message types apart (ip_mc_check_igmp_msg)."""
    kind, group = body[0], int.from_bytes(body[4:8], "big")
    if kind in (0x12, 0x16):
        return Report(((group, True),), True)
    if kind == 0x17:
        return Report(((group, False),), False)
    if kind == 0x22:
        return _records(body, 4)
    if kind != 0x11:
        return PLAIN
    if (len(body) != 8 and len(body) < 12) or (not group and target != ALL_HOSTS):
        return BAD
    return _igmp_query(body, group, source)


def _igmp_query(body: bytes, group: int, source: int) -> Query:
    """Read a query's time: version 1 asks for 10 s, version 3 may use a floating code."""
    code = body[1]
    if len(body) == 8:
        return Query(group if code else 0, source, code * TENTH if code else 10 * SECOND)
    delay = _floating(code, 4) * TENTH if code else TENTH // 10
    return Query(group, source, delay, counts=body[10:12] == b"\0\0")


def _floating(code: int, mantissa_bits: int) -> int:
    """Read a response code: above the first half, mantissa and exponent (IGMPV3_MRC, MLDV2_MRC)."""
    top = 1 << (mantissa_bits + 3)
    if code < top:
        return code
    exponent = code >> mantissa_bits & 7
    return (code & (1 << mantissa_bits) - 1 | 1 << mantissa_bits) << exponent + 3


def _records(body: bytes, size: int) -> Report:
    """Read the group records of a version 3 (MLD version 2) report; sources are not kept apart."""
    changes: list[tuple[int, bool]] = []
    at = 8
    for _ in range(int.from_bytes(body[6:8], "big")):
        record = body[at : at + 4 + size]
        if len(record) < 4 + size:
            break
        kind, sources = record[0], int.from_bytes(record[2:4], "big")
        group = int.from_bytes(record[4:], "big")
        at += 4 + size + sources * size + record[1] * 4
        if not 1 <= kind <= 6:
            continue
        changes.append((group, bool(sources) or kind not in (1, 3)))
    return Report(tuple(changes), False)


# -- IPv6 -----------------------------------------------------------------------------------------------------------


def _read_ipv6(data: bytes) -> Message:
    """Check the header; MLD hides behind a hop-by-hop header (ipv6_mc_check_ip6hdr)."""
    if len(data) < 40 or data[0] >> 4 != 6:
        return BAD
    length = int.from_bytes(data[4:6], "big")
    if not length or len(data) < 40 + length:
        return BAD
    if data[6] != HOP_BY_HOP:
        return PLAIN
    if length < 8:
        return BAD
    start = 40 + (data[41] + 1) * 8
    if start > 40 + length:
        return BAD
    return _read_mld(data, data[start : 40 + length]) if data[40] == ICMPV6 else PLAIN


def _read_mld(data: bytes, body: bytes) -> Message:
    """Tell the message types apart (ipv6_mc_check_mld_msg)."""
    pseudo = data[8:40] + len(body).to_bytes(4, "big") + ICMPV6.to_bytes(4, "big")
    if len(body) < 8 or checksum(pseudo + body):
        return BAD
    kind = body[0]
    if kind == MRD_ADVERTISEMENT6:
        return ROUTER
    if len(body) < 24 or kind not in (130, 131, 132, 143):
        return PLAIN
    if kind == 143:
        return _records(body, 16)
    group = int.from_bytes(body[8:24], "big")
    if kind == 131:
        return Report(((group, True),), True)
    if kind == 132:
        return Report(((group, False),), False)
    return _mld_query(data, body, group)


def _mld_query(data: bytes, body: bytes, group: int) -> Message:
    source, target = int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big")
    if source >> 118 != 0xFE80 >> 6 or (len(body) != 24 and len(body) < 28) or (not group and target != ALL_NODES):
        return BAD
    code = int.from_bytes(body[4:6], "big")
    millis = code if len(body) == 24 else _floating(code, 12)
    return Query(group, source, max(millis, 1) * SECOND // 1000, counts=len(body) == 24 or body[26:28] == b"\0\0")


# -- writing --------------------------------------------------------------------------------------------------------


def igmp_query(mac: int, source: int, group: int, max_delay: int) -> Frame:
    """Write an IGMPv2 query as the bridge sends it (br_ip4_multicast_alloc_query)."""
    igmp = bytes((0x11, max_delay // TENTH & 0xFF, 0, 0)) + group.to_bytes(4, "big")
    igmp = igmp[:2] + checksum(igmp).to_bytes(2, "big") + igmp[4:]
    ip = b"\x46\xc0\x00\x20\x00\x00\x40\x00\x01\x02\x00\x00" + source.to_bytes(4, "big") + ALL_HOSTS.to_bytes(4, "big")
    ip += b"\x94\x04\x00\x00"
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    return Frame(0x0100_5E00_0001, mac, IPV4, ip + igmp)


def mld_query(mac: int, source: int, group: int, max_delay: int) -> Frame:
    """Write an MLDv1 query as the bridge sends it, to all nodes (br_ip6_multicast_alloc_query)."""
    body = mld.build_query(source, ALL_NODES, mld.Query(group, max_delay * 1000 // SECOND & 0xFFFF, robustness=None))
    head = packet.options(ICMPV6, packet.ROUTER_ALERT_MLD)[:6] + bytes(2)  # Pad1 twice, where hosts pad at once
    return Frame(multicast_mac(ALL_NODES), mac, IPV6, packet.build(source, ALL_NODES, HOP_BY_HOP, head + body, hops=1))


def family_of(frame: Frame) -> int:
    """Return IPV4, IPV6, or 0 for anything that is not IP."""
    return frame.proto if frame.proto in (IPV4, IPV6) else 0
