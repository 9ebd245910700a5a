"""Listings of `ip -j` and `bridge -j` made from the kernel's messages: the same JSON, without the program.

Which keys there are, in which order and form, is iproute2 6.1's (ip/ipaddress.c, ip/iplink_*.c, ip/ipneigh.c,
bridge/fdb.c, bridge/vlan.c); tests hold the two against each other. A device of a kind not known here raises
`NotKnown`, and iproute2 itself is asked.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from . import rtnetlink as rt
from .links import Link, NotKnown, links, name_of
from .rtnetlink import Rtnetlink, attributes, each_attribute
from .shown_kinds import linkinfo

_FLAGS = (
    (0x8, "LOOPBACK"), (0x2, "BROADCAST"), (0x10, "POINTOPOINT"), (0x1000, "MULTICAST"), (0x80, "NOARP"),
    (0x200, "ALLMULTI"), (0x100, "PROMISC"), (0x400, "MASTER"), (0x800, "SLAVE"), (0x4, "DEBUG"), (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"), (0x2000, "PORTSEL"), (0x20, "NOTRAILERS"), (0x1, "UP"), (0x10000, "LOWER_UP"),
    (0x20000, "DORMANT"), (0x40000, "ECHO"),
)  # fmt: skip
_UP, _RUNNING = 1, 0x40
_OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")
_LINK_TYPES = {1: "ether", 772: "loopback"}
_ADDRESS, _BROADCAST, _MTU, _LINK, _QDISC, _MASTER, _TXQLEN, _OPERSTATE, _LINKMODE = 1, 2, 4, 5, 6, 10, 13, 16, 17
_LINKINFO, _STATS64, _AF_SPEC, _GROUP, _LINK_NETNSID, _PERMANENT, _EXT_MASK = 18, 23, 26, 27, 37, 54, 29
_ALTERNATIVE, _ALIAS = 52, 20
_DETAILS = ((30, "promiscuity"), (61, "allmulti"), (50, "min_mtu"), (51, "max_mtu"))
_QUEUES = (
    (31, "num_tx_queues"), (32, "num_rx_queues"), (41, "gso_max_size"), (40, "gso_max_segs"), (59, "tso_max_size"),
    (60, "tso_max_segs"), (58, "gro_max_size"),
)  # fmt: skip
_ADDRESS_MODES = ("eui64", "none", "stable_secret", "random")
_RX = (("bytes", 2), ("packets", 0), ("errors", 4), ("dropped", 6), ("over_errors", 11), ("multicast", 8))
_TX = (("bytes", 3), ("packets", 1), ("errors", 5), ("dropped", 7), ("carrier_errors", 17), ("collisions", 9))
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_NUD = (
    (1, "INCOMPLETE"), (2, "REACHABLE"), (4, "STALE"), (8, "DELAY"), (16, "PROBE"), (32, "FAILED"), (64, "NOARP"),
    (128, "PERMANENT"),
)  # fmt: skip
_NOARP, _NUD_PERMANENT = 64, 128
_NTF = ((2, "self"), (128, "router"), (16, "extern_learn"), (32, "offload"), (64, "sticky"))
_FDB_STATES = {128: "permanent", 64: "static", 4: "stale", 2: ""}
_VLAN_FLAGS = ((2, "PVID"), (4, "Egress Untagged"))
_BEGIN, _END = 8, 16


def show(tool: str, flags: Sequence[str], words: Sequence[str], net: Rtnetlink) -> str:
    """What the tool prints with these options (`-j` among them) and words.

    Raises:
        NotKnown: another listing, or one with a device of another kind: iproute2 has to do it.
    """
    make = _SHOWS.get((tool, *words))
    if make is None or "-j" not in flags or not set(flags) <= {"-j", "-d", "-s"}:
        raise NotKnown
    try:
        return json.dumps(make(net, set(flags)), separators=(",", ":")) + "\n"
    except (KeyError, IndexError, struct.error) as error:
        raise NotKnown from error


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _mac(data: bytes) -> str:
    return data.hex(":")


# -- links ------------------------------------------------------------------------------------------------------------


def _link_rows(net: Rtnetlink, flags: set[str]) -> list[dict[str, Any]]:
    found = links(net, socket.AF_PACKET)
    return [_link_row(each, found, flags) for each in found]


def _link_row(link: Link, all_links: list[Link], flags: set[str], *, brief: bool = False) -> dict[str, Any]:
    """print_linkinfo; `brief`: as `ip addr` has it."""
    it = link.attributes
    if _ALTERNATIVE in it or _ALIAS in it:
        raise NotKnown
    row: dict[str, Any] = {"ifindex": link.index, **_below(link, all_links), "ifname": link.name}
    row["flags"] = _flag_words(link, all_links)
    row |= {"mtu": _number(it[_MTU]), "qdisc": it[_QDISC].rstrip(b"\0").decode()}
    if _MASTER in it:
        row["master"] = name_of(_number(it[_MASTER]), all_links)
    row["operstate"] = _OPERSTATES[it[_OPERSTATE][0]]
    if not brief:
        row["linkmode"] = ("DEFAULT", "DORMANT")[it[_LINKMODE][0]]
    if _number(it[_GROUP]):
        raise NotKnown
    row["group"] = "default"
    if _number(it[_TXQLEN]):
        row["txqlen"] = _number(it[_TXQLEN])
    row |= _identity(link)
    if "-d" in flags:
        row |= _details(link, all_links, brief)
    if "-s" in flags:
        row["stats64"] = _statistics(it[_STATS64])
    return row


def _below(link: Link, all_links: list[Link]) -> dict[str, Any]:
    """What a device stands on or is connected with: a name here, or a number elsewhere."""
    data = link.attributes.get(_LINK)
    if data is None:
        return {}
    index = _number(data)
    if not index:
        return {"link": None}
    return {"link_index": index} if _LINK_NETNSID in link.attributes else {"link": name_of(index, all_links)}


def _flag_words(link: Link, all_links: list[Link]) -> list[str]:
    words = ["NO-CARRIER"] if link.flags & _UP and not link.flags & _RUNNING else []
    left = link.flags & ~_RUNNING
    for bit, word in _FLAGS:
        if left & bit:
            words.append(word)
            left &= ~bit
    if left:
        raise NotKnown
    below = _number(link.attributes.get(_LINK, b""))
    if below and _LINK_NETNSID not in link.attributes:
        lower = next((each for each in all_links if each.index == below), None)
        words += [] if lower is None or lower.flags & _UP else ["M-DOWN"]
    return words


def _identity(link: Link) -> dict[str, Any]:
    it = link.attributes
    row: dict[str, Any] = {"link_type": _LINK_TYPES[link.type]}
    if _ADDRESS in it:
        row["address"] = _mac(it[_ADDRESS])
    if _BROADCAST in it:
        row["broadcast"] = _mac(it[_BROADCAST])
    if _PERMANENT in it and it[_PERMANENT] != it.get(_ADDRESS):
        row["permaddr"] = _mac(it[_PERMANENT])
    if _LINK_NETNSID in it:
        row["link_netnsid"] = struct.unpack("=i", it[_LINK_NETNSID])[0]
    return row


def _details(link: Link, all_links: list[Link], brief: bool) -> dict[str, Any]:
    it = link.attributes
    row: dict[str, Any] = {name: _number(it[kind]) for kind, name in _DETAILS if kind in it}
    if _LINKINFO in it:
        row["linkinfo"] = linkinfo(it[_LINKINFO], all_links)
    inet6 = attributes(it.get(_AF_SPEC, b"")).get(socket.AF_INET6)
    if inet6 and not brief and (mode := attributes(inet6).get(8)):
        row["inet6_addr_gen_mode"] = _ADDRESS_MODES[mode[0]]
    return row | {name: _number(it[kind]) for kind, name in _QUEUES if kind in it}


def _statistics(data: bytes) -> dict[str, Any]:
    """struct rtnl_link_stats64."""
    values = struct.unpack_from("=24Q", data)
    if values[21] or values[22]:
        raise NotKnown
    return {way: {name: values[at] for name, at in keys} for way, keys in (("rx", _RX), ("tx", _TX))}


# -- addresses and neighbours -----------------------------------------------------------------------------------------


def _address_rows(net: Rtnetlink, flags: set[str]) -> list[dict[str, Any]]:
    found = links(net)
    by_index: dict[int, list[dict[str, Any]]] = {each.index: [] for each in found}
    for body in net.dump(rt.GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        by_index[struct.unpack_from("=I", body, 4)[0]].append(_address_row(body))
    return [{**_link_row(each, found, flags, brief=True), "addr_info": by_index[each.index]} for each in found]


def _address_row(body: bytes) -> dict[str, Any]:
    family, length, _, scope = struct.unpack_from("=BBBB", body)
    it = attributes(body[8:])
    bits = _number(it.get(8, b"\0\0\0\0"))
    if family != socket.AF_INET or bits & ~0x81 or it[1] != it[2]:
        raise NotKnown
    row: dict[str, Any] = {"family": "inet", "local": socket.inet_ntoa(it[2]), "prefixlen": length}
    if 4 in it:
        row["broadcast"] = socket.inet_ntoa(it[4])
    row["scope"] = _SCOPES[scope]
    if bits & 1:
        row["secondary"] = True
    if not bits & 0x80:
        row["dynamic"] = True
    if 3 in it:
        row["label"] = it[3].rstrip(b"\0").decode()
    preferred, valid = struct.unpack_from("=II", it[6])
    return {**row, "valid_life_time": valid, "preferred_life_time": preferred}


def _neighbour_rows(net: Rtnetlink, _flags: set[str]) -> list[dict[str, Any]]:
    found = links(net)
    rows = []
    for body in net.dump(rt.GETNEIGH, struct.pack("=BxHiHBB", 0, 0, 0, 0, 0, 0)):
        family, index, state, flags, _ = struct.unpack_from("=BxxxiHBB", body)
        if not state & ~_NOARP or family == socket.AF_BRIDGE:
            continue
        it = attributes(body[12:])
        if family != socket.AF_INET or flags:
            raise NotKnown
        row: dict[str, Any] = {"dst": socket.inet_ntoa(it[1]), "dev": name_of(index, found)}
        if 2 in it:
            row["lladdr"] = _mac(it[2])
        rows.append({**row, "state": [word for bit, word in _NUD if state & bit]})
    return rows


# -- bridges ----------------------------------------------------------------------------------------------------------


def _fdb_rows(net: Rtnetlink, _flags: set[str], *, dynamic: bool = False) -> list[dict[str, Any]]:
    found = links(net)
    rows = []
    for body in net.dump(rt.GETNEIGH, struct.pack("=BxHiHBB", socket.AF_BRIDGE, 0, 0, 0, 0, 0)):
        _, index, state, flags, _ = struct.unpack_from("=BxxxiHBB", body)
        if dynamic and state & _NUD_PERMANENT:
            continue
        it = attributes(body[12:])
        row: dict[str, Any] = {"mac": _mac(it[2]), "ifname": name_of(index, found)}
        if 5 in it:
            row["vlan"] = _number(it[5])
        row["flags"] = [word for bit, word in _NTF if flags & bit]
        if 9 in it:
            row["master"] = name_of(_number(it[9]), found)
        rows.append({**row, "state": _FDB_STATES[state]})
    return rows


def _vlan_rows(net: Rtnetlink, _flags: set[str]) -> list[dict[str, Any]]:
    found = links(net)
    rows = []
    for body in net.dump(rt.GETLINK, rt.link_head(socket.AF_BRIDGE) + rt.u32(_EXT_MASK, rt.FILTER_BRVLAN)):
        index = struct.unpack_from("=i", body, 4)[0]
        spec = attributes(body[16:]).get(_AF_SPEC)
        vlans = [_vlan_entry(data) for kind, data in each_attribute(spec or b"") if kind == 2]
        if vlans:
            rows.append({"ifname": name_of(index, found), "vlans": vlans})
    return rows


def _vlan_entry(data: bytes) -> dict[str, Any]:
    flags, vid = struct.unpack("=HH", data)
    if flags & (_BEGIN | _END):
        raise NotKnown
    words = [word for bit, word in _VLAN_FLAGS if flags & bit]
    return {"vlan": vid, **({"flags": words} if words else {})}


_SHOWS: dict[tuple[str, ...], Callable[[Rtnetlink, set[str]], list[dict[str, Any]]]] = {
    ("ip", "link", "show"): _link_rows,
    ("ip", "addr", "show"): _address_rows,
    ("ip", "neigh", "show"): _neighbour_rows,
    ("bridge", "fdb", "show"): _fdb_rows,
    ("bridge", "fdb", "show", "dynamic"): lambda net, flags: _fdb_rows(net, flags, dynamic=True),
    ("bridge", "vlan", "show"): _vlan_rows,
}
