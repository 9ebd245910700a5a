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


def _refusal(text: str, says: str) -> Newer:
    """A refusal of an IPv6 address that got a text of its own (inet6_addr_add, inet6_addr_del)."""
    return Newer(
        (6, 6),
        re.compile(r"^ip (-\S+ (\w+ )?)*addr(ess)? (add|del) \S*:"),
        re.compile(f"\\d RTNETLINK answers: {text}\n"),
        re.compile(rf"\d Error: ipv6: {re.escape(says)}\.\n"),
        "says in words why it refuses an IPv6 address",
    )


RULES = (
    _refusal("Cannot assign requested address", "address not found"),
    _refusal("No such device or address", "IPv6 is disabled on this device"),
    _refusal("Permission denied", "IPv6 is disabled on this device"),
    _refusal("Invalid argument", "IPv6 is disabled on this device"),
    _refusal("Invalid argument", "Invalid prefix length"),
    _refusal("Invalid argument", "address lifetime invalid"),
    _refusal("File exists", "address already assigned"),
    _refusal("Cannot assign requested address", "Invalid address"),
    _refusal("Cannot assign requested address", "Cannot assign loopback address on this device"),
    _refusal("Cannot assign requested address", 'Cannot assign multicast address without "IFA_F_MCAUTOJOIN" flag'),
    Newer(
        (6, 4),
        re.compile(r"^bridge .*mdb (add|del) "),
        re.compile(r"\d Error: bridge: (IPv6 entry group address is link-local all nodes\.\n)"),
        re.compile(r"\d Error: IPv6 entry group address is link-local all nodes\.\n"),
        "asks rtnetlink, not the bridge, whether a group may be given (rtnl_validate_mdb_entry)",
    ),
    Newer(
        (6, 2),
        re.compile(r"^bridge .*mdb add "),
        re.compile(r"\d Error: bridge: Group is already joined by port\.\n"),
        re.compile(r"\d Error: bridge: \(\*, G\) group is already joined by port\.\n"),
        "says which kind of entry a port has already (br_mdb_add_group_star_g)",
    ),
    Newer(
        (6, 18),
        re.compile(r"^bridge .*mdb del "),
        re.compile(r"\d RTNETLINK answers: Invalid argument\n"),
        re.compile(r"\d Error: bridge: Bridge's multicast processing is disabled\.\n"),
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
