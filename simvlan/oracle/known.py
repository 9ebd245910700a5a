"""Differences that a kernel other than the 6.1 we follow makes by a rule or a build of its own, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from simvlan.oracle.observation import Observation

FOLLOWED = (6, 1)


@dataclass(frozen=True)
class Newer:
    """One rule that changed: since which release, where it shows, what either side then has, and why."""

    since: tuple[int, int]
    where: re.Pattern[str]
    ours: re.Pattern[str]
    theirs: re.Pattern[str]
    why: str


def _words(since: tuple[int, int], command: str, ours: str, theirs: str, why: str) -> Newer:
    """A refusal of a command that newer kernels put in other words."""
    return Newer(
        since,
        re.compile(command),
        re.compile(rf"\d {re.escape(ours)}\n"),
        re.compile(rf"\d {re.escape(theirs)}\n"),
        why,
    )


def _address(text: str, says: str) -> Newer:
    """A refusal of an IPv6 address that got a text of its own (inet6_addr_add, inet6_addr_del)."""
    command, why = r"^ip (-\S+ (\w+ )?)*addr(ess)? (add|del) \S*:", "says in words why it refuses an IPv6 address"
    return _words((6, 6), command, f"RTNETLINK answers: {text}", f"Error: ipv6: {says}.", why)


RULES = (
    _address("Cannot assign requested address", "address not found"),
    _address("No such device or address", "IPv6 is disabled on this device"),
    _address("Permission denied", "IPv6 is disabled on this device"),
    _address("Invalid argument", "IPv6 is disabled on this device"),
    _address("Invalid argument", "Invalid prefix length"),
    _address("Invalid argument", "address lifetime invalid"),
    _address("File exists", "address already assigned"),
    _address("Cannot assign requested address", "Invalid address"),
    _address("Cannot assign requested address", "Cannot assign loopback address on this device"),
    _address("Cannot assign requested address", 'Cannot assign multicast address without "IFA_F_MCAUTOJOIN" flag'),
    _words(
        (6, 4),
        "^bridge .*mdb (add|del) ",
        "Error: bridge: IPv6 entry group address is link-local all nodes.",
        "Error: IPv6 entry group address is link-local all nodes.",
        "asks rtnetlink, not the bridge, whether a group may be given (rtnl_validate_mdb_entry)",
    ),
    _words(
        (6, 2),
        "^bridge .*mdb add ",
        "Error: bridge: Group is already joined by port.",
        "Error: bridge: (*, G) group is already joined by port.",
        "says which kind of entry a port has already (br_mdb_add_group_star_g)",
    ),
    _words(
        (6, 18),
        "^bridge .*mdb del ",
        "RTNETLINK answers: Invalid argument",
        "Error: bridge: Bridge's multicast processing is disabled.",
        "says in words why no group can be taken away",
    ),
    Newer(
        (6, 2),
        re.compile(r"stats64\.tx\.dropped$"),
        re.compile(r"\d+"),
        re.compile(r"[1-9]\d*"),
        "counts a tx_dropped for what a device without carrier swallows (noop_enqueue)",
    ),
    Newer(
        (6, 2),
        re.compile(r"\.operstate$"),
        re.compile("LOWERLAYERDOWN"),
        re.compile("DOWN"),
        "looks for the lower device's state in the own namespace only (default_operstate)",
    ),
    Newer(
        (6, 2),
        re.compile(r" (link|addr|vlan|route): \[[^\]]+\]\."),
        re.compile("None"),
        re.compile(r"(?!None)"),
        "has attributes that 6.1 has not",
    ),
)


def release(text: str) -> tuple[int, int]:
    """(6, 18) from "6.18.44-x"; (0, 0) if that is none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def reason(kernel: Observation, where: str, ours: Any, theirs: Any) -> str:
    """Why that kernel differs at a place; "" when no rule of its own says so."""
    if theirs is None and _FILTERING.search(where) and lacks_filtering(kernel):
        return "this kernel is built without VLAN filtering in bridges (CONFIG_BRIDGE_VLAN_FILTERING)"
    if (theirs_is := release(kernel.release)) <= FOLLOWED:
        return ""
    for rule in RULES:
        if theirs_is >= rule.since and _fits(rule, where, ours, theirs):
            return f"Linux {theirs_is[0]}.{theirs_is[1]} {rule.why}"
    return ""


_FILTERING = re.compile(r"\.vlan_\w+$| vlan: | fdb: vlan$")


def without_vlans(fdb: Any) -> Any:
    """An FDB as a kernel without VLAN filtering has it."""
    return [row for row in fdb if "vlan" not in row] if isinstance(fdb, list) else fdb


def lacks_filtering(kernel: Observation) -> bool:
    """Whether a kernel shows a bridge, and shows it without what VLAN filtering would add."""
    shown = [
        row["linkinfo"].get("info_data", {})
        for (_, subject), rows in kernel.listings.items()
        for row in (rows if subject == "link" and isinstance(rows, list) else ())
        if row.get("linkinfo", {}).get("info_kind") == "bridge"
    ]
    return bool(shown) and not any("vlan_default_pvid" in data for data in shown)


def _fits(rule: Newer, where: str, ours: Any, theirs: Any) -> bool:
    return bool(rule.where.search(where) and rule.ours.fullmatch(str(ours)) and rule.theirs.match(str(theirs)))
