"""Frames of IPv6 that Linux sends at moments it draws at random: compared apart, without order and repetition.

Duplicate address detection waits up to a second (addrconf_dad_kick), listener reports come again within another
(mld_ifc_start_timer), and how many memberships share a report follows from that; router solicitations follow the
detection. What answers them to all nodes comes when they come, and routers draw when they advertise (radvd). So of
solicitations, such answers and advertisements counts whether each was seen, of reports whether each group's was
(`split`); one that the simulator sent shortly before the end may come later on the other side, and one of the other
side's is among those the simulator would still send (`missing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from simvlan.oracle.masks6 import ipv6_offset, upper
from simvlan.oracle.order import Shown

WAIT_NS = 3_500_000_000
"""How long all that may take from what began it: two delays of a second each, and the second of the detection."""

_ICMPV6 = 58
_RS, _RA, _NS, _NA, _REPORT2 = 133, 134, 135, 136, 143
_REPORTS = (131, 132)
_ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")

Token = tuple[str, bytes]
"""Way, and what identifies it."""


def tokens(way: str, octets: bytes, reports_only: bool = False) -> list[Token]:
    """What an ambient frame says below which addresses and tags, one item per membership; none for other frames."""
    ip = ipv6_offset(octets)
    if ip is None or octets[ip + 24] != 0xFF or not (found := upper(octets, ip)) or found[0] != _ICMPV6:
        return []
    at = found[1]
    kind = octets[at]
    head = octets[:ip]
    if kind == _REPORT2:
        return [(way, head + b"report" + record) for record in _records(octets, at)]
    if kind in _REPORTS:
        return [(way, head + octets[at : at + 1] + octets[at + 8 : at + 24])]
    detection = kind == _NS and not any(octets[ip + 8 : ip + 24])
    answer = kind in (_NA, _RA) and octets[ip + 24 : ip + 40] == _ALL_NODES
    if reports_only:
        return []
    return [(way, octets)] if kind == _RS or detection or answer else []


def _records(octets: bytes, at: int) -> list[bytes]:
    """Kind, group and sources of each record of an MLDv2 report."""
    count, found = int.from_bytes(octets[at + 6 : at + 8], "big"), []
    at += 8
    for _ in range(count):
        size = 20 + int.from_bytes(octets[at + 2 : at + 4], "big") * 16
        found.append(octets[at : at + 1] + octets[at + 4 : at + size])
        at += size + (octets[at + 1] if at + 1 < len(octets) else 0) * 4
    return found


Item = tuple[int, Token, bytes]
"""When, what, and the frame that says so."""


def split(seen: Sequence[Shown], reports_only: bool = False) -> tuple[list[Shown], list[Item]]:
    """The frames whose order counts, and what the others say."""
    rest: list[Shown] = []
    apart: list[Item] = []
    for when, way, octets in seen:
        if said := tokens(way, octets, reports_only):
            apart += [(when, token, octets) for token in said]
        else:
            rest.append((when, way, octets))
    return rest, apart


def missing(
    ours: Sequence[Item], later: Sequence[Item], theirs: Sequence[Item], end: int
) -> tuple[list[Shown], list[Shown]]:
    """Frames that must be on the other side and are not: ours, theirs. `end`: when our script had ended; 0: unknown."""
    there = {token for _, token, _ in theirs}
    here = {token for _, token, _ in (*ours, *later)}
    due = [item for item in ours if item[1] not in there and (not end or item[0] < end - WAIT_NS)]
    return _frames(due), _frames([item for item in theirs if item[1] not in here])


def _frames(items: Sequence[Item]) -> list[Shown]:
    return [(when, way, octets) for when, (way, _), octets in items]
