"""Numbers that have names: routing protocols, scopes, tables, route types. Mirrors lib/rt_names.c and ip/rtm_map.c."""

from __future__ import annotations

from collections.abc import Mapping

from simvlan.tools.iproute.args import Word, look_up, number, table

PROTOCOLS: Mapping[int, str] = {
    0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
    12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 99: "openr",
    186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
SCOPES: Mapping[int, str] = {0: "global", 255: "nowhere", 254: "host", 253: "link", 200: "site"}
TABLES: Mapping[int, str] = {0: "unspec", 253: "default", 254: "main", 255: "local"}
GROUPS: Mapping[int, str] = {0: "default"}
TYPES: Mapping[int, str] = {
    0: "none", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole",
    7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
}  # fmt: skip

_TYPE_WORDS: list[tuple[Word, str]] = table(
    [
        ("=local", "local"),
        ("=nat", "nat"),
        ("broadcast|=brd", "broadcast"),
        ("anycast", "anycast"),
        ("multicast", "multicast"),
        ("prohibit", "prohibit"),
        ("unreachable", "unreachable"),
        ("blackhole", "blackhole"),
        ("xresolve", "xresolve"),
        ("unicast", "unicast"),
        ("=throw", "throw"),
    ]
)


def name_of(names: Mapping[int, str], value: int) -> str:
    """Return a number's name, or its digits."""
    return names.get(value, str(value))


def value_of(names: Mapping[int, str], text: str, high: int = 255) -> int | None:
    """Return the number of a name or of digits."""
    for value, name in names.items():
        if name == text:
            return value
    return number(text, 0, high)


def route_type(text: str) -> str | None:
    """Read a route type; None when the word is none."""
    found = look_up(_TYPE_WORDS, text)
    if found is not None:
        return found
    value = number(text, 0, 255)
    return None if value is None else name_of(TYPES, value)
