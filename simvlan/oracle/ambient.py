"""Frames of IPv6 that Linux sends at moments it draws at random: compared apart, without order and repetition.

Duplicate address detection waits up to a second (addrconf_dad_kick), listener reports come again within another
(mld_ifc_start_timer), and how many memberships share a report follows from that; router solicitations follow the
detection. What answers them to all nodes comes when they come, and routers draw when they advertise (radvd). So of
solicitations, such answers and advertisements counts whether each was seen, of reports whether each group's was
(`split`); one that the simulator sent shortly before the end may come later on the other side, and one of the other
side's is among those the simulator would still send (`missing`).

A device that comes up joins the groups of its addresses in works (addrconf_dad_work), while a report about those it
left on its way down is due in two ticks (mld_ifc_start_work). Which comes first is the machine's: so a report that a
group is left counts only where it is not joined again within WAIT_NS.
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
_LEFT, _JOINED = b"\3", b"\4"
"""Records of a report that name no source: CHANGE_TO_INCLUDE and CHANGE_TO_EXCLUDE of RFC 3810."""
_RECORD = b"report"

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
        return [(way, head + _RECORD + record) for record in _records(octets, at)]
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
    ours: Sequence[Item], later: Sequence[Item], theirs: Sequence[Item], end: int, waited_for: bool = False
) -> tuple[list[Shown], list[Shown]]:
    """Frames that must be on the other side and are not: ours, theirs. `end`: when our script had ended; 0: unknown.

    `waited_for`: each command was, so that no work was late.
    """
    there = {token for _, token, _ in theirs}
    here = {token for _, token, _ in (*ours, *later)}
    due = [item for item in ours if item[1] not in there and (not end or item[0] < end - WAIT_NS)]
    its = [item for item in theirs if item[1] not in here]
    if not waited_for:
        due = [item for item in due if not _joined_again(item, (*ours, *later))]
        its = [item for item in its if not _joined_again(item, theirs)]
    return _frames(due), _frames(its)


def _joined_again(item: Item, side: Sequence[Item]) -> bool:
    """Whether a report that a group is left is followed by one that it is joined."""
    when, (way, said), _ = item
    head, _, record = said.partition(_RECORD)
    if record[:1] != _LEFT or len(record) != 17:
        return False
    joined = (way, head + _RECORD + _JOINED + record[1:])
    return any(token == joined and when <= at <= when + WAIT_NS for at, token, _ in side)


def _frames(items: Sequence[Item]) -> list[Shown]:
    return [(when, way, octets) for when, (way, _), octets in items]
