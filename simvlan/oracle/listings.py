"""Listings of `ip -j` and `bridge -j` compared: what is left out of them, and which order means nothing.

Left out is what a clock, chance or the hardware decides: timers, the state of a neighbour that is known (reachable time
is drawn at random), the order of hash tables (FDB, neighbours), multicast FDB entries of IPv6, the number of queues (as
many as CPUs), and which of several devices got its route to fe80::/64 first: each gets it when linkwatch has looked at
its carrier, at once or up to a second later (addrconf_notify). Intervals are compared to a tick of the kernel's HZ,
lifetimes that count down to as long as a script's commands may take there. Interfaces are matched by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

IGNORED_KEYS = frozenset({"used", "updated", "inet6_addr_gen_mode", "num_tx_queues", "num_rx_queues"})
KNOWN_STATES = {"REACHABLE", "STALE", "DELAY", "PROBE"}
UNKNOWN_STATES = {"INCOMPLETE", "FAILED"}
COUNTERS = "stats64"
LIFETIMES = ("valid_life_time", "preferred_life_time", "expires")
PASSED_S, PASSED_PART = 30, 0.01
"""How far lifetimes may be apart, in seconds or as a part of the shorter: commands take time on a kernel, ours none."""


@dataclass(frozen=True)
class Unlike:
    """One value that differs: where in the listing, and what each side has (None: nothing)."""

    path: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.path}: ours {self.ours}, theirs {self.theirs}"


def plain(value: Any, ipv6: bool = False) -> Any:
    """A listing without what a clock or chance decides, and without IPv6's groups where IPv6 is off."""
    if isinstance(value, dict):
        return {k: plain(v, ipv6) for k, v in value.items() if not k.endswith("_timer") and k not in IGNORED_KEYS}
    if isinstance(value, list):
        return [plain(v, ipv6) for v in value if ipv6 or not _is_group6(v)]
    return value


def _is_group6(row: Any) -> bool:
    return isinstance(row, dict) and str(row.get("mac", "")).startswith("33:33:")


def _neighbour(entry: Any) -> Any:
    """Known or not known: how fresh an entry is depends on the clock."""
    if not isinstance(entry, dict) or "state" not in entry:
        return entry
    words = {"KNOWN" if s in KNOWN_STATES else "UNKNOWN" if s in UNKNOWN_STATES else s for s in entry["state"]}
    return {**entry, "state": sorted(words)}


def at_some_time(mine: Any, later: Sequence[Any], its: Any) -> Any:
    """Our neighbours, each as it is now or as timers make it further on, whichever the other side has.

    One that only comes then is taken too: the probe of somebody else's entry has told of the prober (arp_process).
    """
    if not isinstance(mine, list) or not isinstance(its, list):
        return mine
    there = {_text(_neighbour(row)): row for row in its}
    now = {(row.get("dst"), row.get("dev")): row for row in mine}
    for rows in later:
        for row in rows:
            key = row.get("dst"), row.get("dev")
            known = key in now and _text(_neighbour(now[key])) in there
            if not known and _text(_neighbour(row)) in there:
                now[key] = row
    return list(now.values())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


_NEIGHBOUR_LINE = re.compile(r"(\d+(?:\.\d+){3} (?:dev \S+ )?(?:lladdr \S+ )?(?:\w+ )*?)([A-Z]+) ?")
_FDB_LINE = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2} (?:dev|vlan|self|master)\b.*")


_LINK_LOCAL = "fe80::/64"
_LINK_LOCAL_LINE = re.compile(rf"(?:unicast )?{_LINK_LOCAL} dev \S+ .*\bproto kernel\b.*")


_CONN_LINE = re.compile(r"((?:ipv4 +2 )?(?:tcp|udp|icmp) +\d+) (\d+) ((?:[A-Z_12]+ )?src=.*) use=\d+")
_DRAWN = re.compile(r"\b(id=|[sd]port=)(\d+)")
_EPHEMERAL = range(32_768, 61_000)
"""net.ipv4.ip_local_port_range."""
_LEFT = re.compile(r"(.*) (\d+) s left")


def printed(lines: Sequence[str]) -> list[str]:
    """Lines that a script printed, with tables of neighbours and FDBs among them as listings have them.

    Lines of one kind that follow each other are one table, in the order of a hash; of a neighbour counts whether it is
    known. Routes to link-local addresses are such a table, and tracked connections (see `same_line`).
    """
    shown: list[str] = []
    for kind, group in groupby(lines, _table):
        table = [_SHOWN[kind](line) if kind in _SHOWN else line for line in group]
        shown += sorted(table) if kind else table
    return shown


def same_line(ours: str | None, theirs: str | None) -> bool:
    """Whether two lines of `printed` are the same; connections may have somewhat less time left (`_passed`)."""
    mine, its = (_LEFT.fullmatch(line or "") for line in (ours, theirs))
    if not mine or not its:
        return ours == theirs
    return mine[1] == its[1] and _passed(int(mine[2]), int(its[2]))


def _table(line: str) -> str:
    if _CONN_LINE.fullmatch(line):
        return "conn"
    found = _NEIGHBOUR_LINE.fullmatch(line)
    if found and found[2] in KNOWN_STATES | UNKNOWN_STATES | {"PERMANENT", "NOARP"}:
        return "neigh"
    if _LINK_LOCAL_LINE.fullmatch(line):
        return "link-local"
    return "fdb" if _FDB_LINE.fullmatch(line) else ""


def _known(line: str) -> str:
    found = _NEIGHBOUR_LINE.fullmatch(line)
    assert found
    state = "KNOWN" if found[2] in KNOWN_STATES else "UNKNOWN" if found[2] in UNKNOWN_STATES else found[2]
    return found[1] + state


def _connection(line: str) -> str:
    """A line of `conntrack -L` without what is drawn: a connection's ephemeral ports and ping's identifier.

    They are counted in each line, so that one which NAT has changed is seen. `use` grows while a packet is under way.
    """
    found = _CONN_LINE.fullmatch(line)
    assert found
    drawn: dict[str, str] = {}

    def name(word: re.Match[str]) -> str:
        if word[1] != "id=" and int(word[2]) not in _EPHEMERAL:
            return word[0]
        return word[1] + drawn.setdefault(word[2], f"drawn{len(drawn) + 1}")

    return f"{found[1]} {_DRAWN.sub(name, found[3])} {found[2]} s left"


_SHOWN: dict[str, Callable[[str], str]] = {"neigh": _known, "conn": _connection}


def _addresses(entry: Any) -> Any:
    """`ip addr` repeats `ip link`, which is compared by itself."""
    return {key: entry[key] for key in ("ifname", "addr_info") if key in entry} if isinstance(entry, dict) else entry


def _link(row: Any) -> Any:
    """Without the root of a bridge that is not it: there iproute2 6.1 prints the bridge's own id.

    Its ports tell the root too, and iproute2 prints those.
    """
    info = row.get("linkinfo", {}) if isinstance(row, dict) else {}
    data = info.get("info_data", {})
    if info.get("info_kind") != "bridge" or not data.get("root_port"):
        return row
    kept = {key: value for key, value in data.items() if key != "root_id"}
    return {**row, "linkinfo": {**info, "info_data": kept}}


def _groups(row: Any) -> Any:
    """A group's ports are in the order of their addresses in memory (br_multicast_new_port_group)."""
    return {**row, "mdb": sorted(row["mdb"], key=_text)} if isinstance(row, dict) and "mdb" in row else row


def _link_local_in_order(rows: list[Any]) -> list[Any]:
    """Routes to link-local addresses that follow each other, equal but for the device, by its name."""
    found: list[Any] = []
    for metric, group in groupby(rows, _link_local_metric):
        alike = list(group)
        found += alike if metric is None else sorted(alike, key=lambda row: str(row.get("dev")))
    return found


def _link_local_metric(row: Any) -> int | None:
    if not isinstance(row, dict) or (row.get("dst"), row.get("protocol")) != (_LINK_LOCAL, "kernel"):
        return None
    return int(row.get("metric", 0))


_TIDY: dict[str, Callable[[list[Any]], list[Any]]] = {
    "link": lambda rows: [_link(row) for row in rows],
    "addr": lambda rows: [_addresses(row) for row in rows if row],
    "neigh": lambda rows: sorted(map(_neighbour, rows), key=_text),
    "fdb": lambda rows: sorted(rows, key=_text),
    "mdb": lambda rows: [_groups(row) for row in rows],
    "route6": _link_local_in_order,
}


def differences(subject: str, ours: Any, theirs: Any, *, ipv6: bool = False) -> list[Unlike]:
    """Every value in which two listings of one subject differ."""
    left, right = plain(ours, ipv6), plain(theirs, ipv6)
    if (tidy := _TIDY.get(subject)) and isinstance(left, list) and isinstance(right, list):
        left, right = tidy(left), tidy(right)
    return list(walk("", left, right))


def walk(path: str, left: Any, right: Any) -> Iterator[Unlike]:
    """Every leaf that differs; rows with an interface name are matched by it, others by position."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right} - IGNORED_KEYS):
            yield from walk(f"{path}.{key}", left.get(key), right.get(key))
    elif isinstance(left, list) and isinstance(right, list):
        yield from _rows(path, left, right)
    elif left != right and not _within_a_tick(path, left, right) and not _counted_down(path, left, right):
        yield Unlike(path.lstrip("."), left, right)


def _within_a_tick(path: str, left: Any, right: Any) -> bool:
    """Bridges tell intervals in hundredths of a second, whatever HZ they keep them in."""
    return path.endswith(("_intvl", "_interval")) and None not in (left, right) and abs(left - right) <= 1


def _counted_down(path: str, left: Any, right: Any) -> bool:
    """Lifetimes of one beginning; one without an end is far from all others."""
    if not path.endswith(LIFETIMES) or None in (left, right):
        return False
    return _passed(left, right)


def _passed(left: float, right: float) -> bool:
    return abs(left - right) <= max(PASSED_S, PASSED_PART * min(left, right, 86_400))


def _rows(path: str, left: list[Any], right: list[Any]) -> Iterator[Unlike]:
    mine, its = _by_name(left), _by_name(right)
    if mine is not None and its is not None:
        for name in [*mine, *(name for name in its if name not in mine)]:
            yield from walk(f"{path}[{name}]", mine.get(name), its.get(name))
    elif len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from walk(f"{path}[{number}]", one, other)
    else:
        only, other_only = [v for v in left if v not in right], [v for v in right if v not in left]
        yield Unlike(path.lstrip("."), only, other_only)


def _by_name(rows: list[Any]) -> dict[str, Any] | None:
    """Rows by interface name, when that tells them apart."""
    names = [row.get("ifname") if isinstance(row, dict) else None for row in rows]
    if None in names or len(set(names)) != len(names):
        return None
    return dict(zip(map(str, names), rows, strict=True))
