"""Lines of `ip` and `bridge` as the messages that iproute2 makes of them: the forms that scenarios are made of.

Nothing is decided here that the kernel decides. Any word not known raises `NotKnown`, and a real iproute2 gets the
line; so do lines that iproute2 refuses by itself. Mirrors iproute2 6.1: ip/iplink*.c, ip/ipaddress.c, bridge/fdb.c,
bridge/vlan.c.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from . import rtnetlink as rt
from .links import NotKnown, links
from .rtnetlink import Rtnetlink

_ADDRESS, _MTU, _LINK, _MASTER, _LINKINFO, _AF_SPEC, _NET_NS_FD = 1, 4, 5, 10, 18, 26, 28
_KIND, _DATA, _SLAVE_DATA = 1, 2, 5
_FLAGS = {"up": (1, 1), "down": (1, 0)}
_SWITCHES = {"promisc": (0x100, True), "allmulticast": (0x200, True), "arp": (0x80, False), "multicast": (0x1000, True)}
_NAME_MAX = 15
_PROTOCOLS = {"802.1q": 0x8100, "802.1ad": 0x88A8}
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}
_IPVLAN_MODES, _IPVLAN_FLAGS = {"l2": 0, "l3": 1, "l3s": 2}, {"bridge": 0, "private": 1, "vepa": 2}
_VLAN_FLAGS = {"reorder_hdr": 1, "gvrp": 2, "loose_binding": 4, "mvrp": 8, "bridge_binding": 16}
_BRIDGE: dict[str, tuple[int, str]] = {
    "stp_state": (5, "I"), "priority": (6, "H"), "vlan_filtering": (7, "B"), "group_fwd_mask": (9, "H"),
    "ageing_time": (4, "I"), "mcast_snooping": (23, "B"), "vlan_default_pvid": (39, "H"), "mcast_querier": (25, "B"),
}  # fmt: skip
_PORT = {
    "hairpin": 4, "guard": 5, "root_block": 6, "fastleave": 7, "learning": 8, "flood": 9, "mcast_flood": 27,
    "bcast_flood": 30, "isolated": 33,
}  # fmt: skip
_PORT_COST = 3
_SELF, _MASTER_FLAG, _STICKY = 2, 4, 0x40
_FDB_STATES = {"permanent": 0xC0, "static": 0x42, "dynamic": 2}
_FDB_FLAGS = {"add": rt.CREATE | rt.EXCL, "append": rt.CREATE | rt.APPEND, "replace": rt.CREATE | rt.REPLACE, "del": 0}
_NDA_LLADDR, _NDA_VLAN = 2, 5
_VLAN_PVID, _VLAN_UNTAGGED, _VLAN_BEGIN, _VLAN_END = 2, 4, 8, 16


class NoDevice(Exception):  # noqa: N818 - what the user is told
    """iproute2's own complaint about a name."""


Said = tuple[int, str]
Words = Iterator[str]


def do(tool: str, words: Sequence[str], net: Rtnetlink, spaces: Mapping[str, int]) -> Said:
    """Do a line (without tool and options): status 0 or 1, and what iproute2 would write.

    `spaces`: descriptors of the network namespaces that have names.

    Raises:
        NotKnown: iproute2 has to do it; nothing was done.
    """
    make = _LINES.get((tool, *words[:2]))
    if make is None:
        raise NotKnown
    try:
        code, said = make(iter(words[2:]), net, spaces)
    except NoDevice as error:
        return 1, str(error)
    except (ValueError, KeyError, struct.error) as error:
        raise NotKnown from error
    return (1 if code else 0), said


def _device(net: Rtnetlink, name: str) -> int:
    """ll_name_to_index, and nodev where that finds none."""
    if index := net.index(_name(name)):
        return index
    raise NoDevice(f'Cannot find device "{name}"\n')


def _port_device(net: Rtnetlink, name: str) -> int:
    """The same in `bridge`, which lists all links first: that gives numbers to other namespaces."""
    return {each.name: each.index for each in links(net)}.get(name) or _device(net, name)


def _name(name: str) -> str:
    if not 0 < len(name) <= _NAME_MAX:
        raise NotKnown
    return name


def _next(words: Words) -> str:
    """The next word, which has to be there."""
    if (word := next(words, None)) is None:
        raise NotKnown
    return word


def _ipv4(text: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except OSError as error:
        raise NotKnown from error


def _mac(text: str) -> bytes:
    octets = bytes.fromhex(text.replace(":", ""))
    if len(octets) != 6 or text.count(":") != 5:
        raise NotKnown
    return octets


def _on(word: str) -> int:
    return {"on": 1, "off": 0}[word]


# -- ip link ----------------------------------------------------------------------------------------------------------


class _Link:
    """The words of `ip link add` and `ip link set` (iplink_parse)."""

    def __init__(self, words: Words, net: Rtnetlink, spaces: Mapping[str, int], *, bare: bool = True) -> None:
        """`bare`: one word may stand alone, the name."""
        self.name = self.lower = ""
        self.index = 0
        self._bare = bare
        self.flags = self.change = 0
        self.body = b""
        self.info = b""
        self._net, self._spaces = net, spaces
        for word in words:
            self._take(word, words)

    def _take(self, word: str, words: Words) -> None:
        if word in _FLAGS:
            self._flag(*_FLAGS[word])
        elif word in _SWITCHES:
            bit, straight = _SWITCHES[word]
            self._flag(bit, bit if _on(_next(words)) == straight else 0)
        elif word == "type":
            self.info = self._linkinfo(_next(words), words)
        elif word in _LINK_WORDS:
            _LINK_WORDS[word](self, words)
        elif self._bare and not self.name:
            self.name = _name(word)
        else:
            raise NotKnown

    def _flag(self, bit: int, value: int) -> None:
        self.change |= bit
        self.flags = self.flags & ~bit | value

    def _linkinfo(self, kind: str, words: Words) -> bytes:
        slave = kind.endswith("_slave")
        data = self._peer(words) if kind == "veth" else b"".join(_OPTIONS[kind](words))
        inner = rt.attribute(_SLAVE_DATA if slave else _DATA, data) if data else b""
        return rt.attribute(_LINKINFO, rt.attribute(_KIND, kind.encode()) + inner)

    def _peer(self, words: Words) -> bytes:
        if next(words, "peer") != "peer":
            raise NotKnown
        peer = _Link(words, self._net, self._spaces)
        body = peer.body + (rt.text(rt.IFLA_IFNAME, peer.name) if peer.name else b"")
        return rt.attribute(1, rt.link_head(0, peer.index, peer.flags, peer.change) + body) if peer.name else b""

    def named(self, words: Words) -> None:
        self.name = _name(_next(words))

    def numbered(self, words: Words) -> None:
        self.index = int(_next(words))

    def below(self, words: Words) -> None:
        self.lower = _next(words)

    def address(self, words: Words) -> None:
        self.body += rt.attribute(_ADDRESS, _mac(_next(words)))

    def mtu(self, words: Words) -> None:
        self.body += rt.u32(_MTU, int(_next(words)))

    def master(self, words: Words) -> None:
        index = self._net.index(_name(_next(words)))
        if not index:
            raise NotKnown
        self.body += rt.u32(_MASTER, index)

    def nomaster(self, words: Words) -> None:
        self.body += rt.u32(_MASTER, 0)

    def netns(self, words: Words) -> None:
        self.body += rt.u32(_NET_NS_FD, self._spaces[_next(words)])


_LINK_WORDS: dict[str, Callable[[_Link, Words], None]] = {
    "name": _Link.named, "link": _Link.below, "address": _Link.address, "mtu": _Link.mtu, "master": _Link.master,
    "nomaster": _Link.nomaster, "netns": _Link.netns, "index": _Link.numbered,
}  # fmt: skip


def _add_link(words: Words, net: Rtnetlink, spaces: Mapping[str, int]) -> Said:
    link = _Link(words, net, spaces)
    if not link.info or not link.name:
        raise NotKnown
    lower = rt.u32(_LINK, _device(net, link.lower)) if link.lower else b""
    body = link.body + lower + rt.text(rt.IFLA_IFNAME, link.name) + link.info
    head = rt.link_head(0, link.index, link.flags, link.change)
    return net.request(rt.NEWLINK, rt.CREATE | rt.EXCL, head + body)


def _set_link(words: Words, net: Rtnetlink, spaces: Mapping[str, int]) -> Said:
    name = _name(_next(words))
    link = _Link(words, net, spaces, bare=False)
    if link.lower or link.index:
        raise NotKnown
    body = link.body + (rt.text(rt.IFLA_IFNAME, link.name) if link.name not in ("", name) else b"") + link.info
    return net.request(rt.NEWLINK, 0, rt.link_head(0, _device(net, name), link.flags, link.change) + body)


def _delete_link(words: Words, net: Rtnetlink, _spaces: Mapping[str, int]) -> Said:
    index = _device(net, _next(words))
    _end(words)
    return net.request(rt.DELLINK, 0, rt.link_head(0, index))


def _end(words: Words) -> None:
    if next(words, None) is not None:
        raise NotKnown


# -- what comes after `type` ------------------------------------------------------------------------------------------


def _plain_kind(words: Words) -> Iterator[bytes]:
    _end(words)
    yield b""


def _vlan(words: Words) -> Iterator[bytes]:
    flags = mask = 0
    for word in words:
        if word == "id":
            yield rt.u16(1, int(_next(words)))
        elif word == "protocol":
            yield rt.attribute(5, _PROTOCOLS[_next(words).lower()].to_bytes(2, "big"))
        elif word in _VLAN_FLAGS:
            mask |= _VLAN_FLAGS[word]
            flags |= _VLAN_FLAGS[word] * _on(_next(words))
        elif word in ("ingress-qos-map", "egress-qos-map"):
            # the maps end the line in all scenarios: what follows them is `from:to`
            yield rt.attribute(4 if word[0] == "i" else 3, b"".join(_qos(pair) for pair in words))
        else:
            raise NotKnown
    if mask:
        yield rt.attribute(2, struct.pack("=II", flags, mask))


def _qos(pair: str) -> bytes:
    near, far = pair.split(":")
    return rt.attribute(1, struct.pack("=II", int(near), int(far)))


def _macvlan(words: Words) -> Iterator[bytes]:
    mode, flags, known = 0, 0, False
    for word in words:
        if word == "mode":
            mode = _MACVLAN_MODES[_next(words)]
        elif word == "nopromisc":
            flags, known = 1, True
        elif word == "macaddr":
            yield rt.u32(3, {"add": 0, "del": 1}[_next(words)]) + rt.attribute(4, _mac(_next(words)))
        else:
            raise NotKnown
    if known and mode != _MACVLAN_MODES["passthru"]:
        raise NotKnown
    yield (rt.u32(1, mode) if mode else b"") + (rt.u16(2, flags) if known else b"")


def _ipvlan(words: Words) -> Iterator[bytes]:
    flag = 0
    for word in words:
        if word == "mode":
            yield rt.u16(1, _IPVLAN_MODES[_next(words)])
        else:
            flag = _IPVLAN_FLAGS[word]
    yield rt.u16(2, flag)


def _bridge(words: Words) -> Iterator[bytes]:
    for word in words:
        if word == "vlan_protocol":
            yield rt.attribute(8, _PROTOCOLS[_next(words).lower()].to_bytes(2, "big"))
        else:
            kind, size = _BRIDGE[word]
            yield rt.attribute(kind, struct.pack("=" + size, int(_next(words), 0)))


def _port(words: Words) -> Iterator[bytes]:
    for word in words:
        yield rt.u32(_PORT_COST, int(_next(words))) if word == "cost" else rt.u8(_PORT[word], _on(_next(words)))


_OPTIONS: dict[str, Callable[[Words], Iterator[bytes]]] = {
    "dummy": _plain_kind, "vlan": _vlan, "macvlan": _macvlan, "ipvlan": _ipvlan, "bridge": _bridge,
    "bridge_slave": _port,
}  # fmt: skip


# -- ip addr, bridge fdb, bridge vlan ---------------------------------------------------------------------------------


def _add_address(words: Words, net: Rtnetlink, _spaces: Mapping[str, int]) -> Said:
    address, _, length = _next(words).partition("/")
    if _next(words) != "dev":
        raise NotKnown
    name, octets = _next(words), _ipv4(address)
    _end(words)
    if octets[0] == 127:
        raise NotKnown
    head = struct.pack("=BBBBI", socket.AF_INET, int(length), 0, 0, _device(net, name))
    return net.request(rt.NEWADDR, rt.CREATE | rt.EXCL, head + rt.attribute(2, octets) + rt.attribute(1, octets))


def _fdb(verb: str) -> Callable[[Words, Rtnetlink, Mapping[str, int]], Said]:
    def make(words: Words, net: Rtnetlink, _spaces: Mapping[str, int]) -> Said:
        mac, name, flags, state, vid = _mac(_next(words)), "", 0, 0, b""
        for word in words:
            if word == "dev":
                name = _next(words)
            elif word in ("self", "master", "sticky"):
                flags |= {"self": _SELF, "master": _MASTER_FLAG, "sticky": _STICKY}[word]
            elif word == "vlan":
                vid = rt.u16(_NDA_VLAN, int(_next(words)))
            else:
                state |= _FDB_STATES[word]
        flags = flags if flags & (_SELF | _MASTER_FLAG) else flags | _SELF
        state = state or _FDB_STATES["permanent"]
        head = struct.pack("=BxHiHBB", socket.AF_BRIDGE, 0, _port_device(net, name), state, flags, 0)
        kind = rt.DELNEIGH if verb == "del" else rt.NEWNEIGH
        return net.request(kind, _FDB_FLAGS[verb], head + rt.attribute(_NDA_LLADDR, mac) + vid)

    return make


def _vlans(verb: str) -> Callable[[Words, Rtnetlink, Mapping[str, int]], Said]:
    def make(words: Words, net: Rtnetlink, _spaces: Mapping[str, int]) -> Said:
        name, first, last, flags, own = "", 0, "", 0, b""
        for word in words:
            if word == "dev":
                name = _next(words)
            elif word == "vid":
                low, _, last = _next(words).partition("-")
                first = int(low)
            elif word in ("self", "master"):
                own = rt.u16(0, {"master": 1, "self": 2}[word])
            else:
                flags |= {"pvid": _VLAN_PVID, "untagged": _VLAN_UNTAGGED}[word]
        if not 0 < first < 4095 or (last and (flags & _VLAN_PVID or not first < int(last) < 4095)):
            raise NotKnown
        index = _port_device(net, name)
        spec = own + _range(first, int(last or 0), flags)
        kind = rt.SETLINK if verb == "add" else rt.DELLINK
        return net.request(kind, 0, rt.link_head(socket.AF_BRIDGE, index) + rt.attribute(_AF_SPEC, spec))

    return make


def _range(first: int, last: int, flags: int) -> bytes:
    """struct bridge_vlan_info, of one VLAN or of both ends of a range."""
    if not last:
        return rt.attribute(2, struct.pack("=HH", flags, first))
    ends = ((_VLAN_BEGIN, first), (_VLAN_END, last))
    return b"".join(rt.attribute(2, struct.pack("=HH", flags | end, vid)) for end, vid in ends)


_LINES: dict[tuple[str, ...], Callable[[Words, Rtnetlink, Mapping[str, int]], Said]] = {
    ("ip", "link", "add"): _add_link,
    ("ip", "link", "set"): _set_link,
    ("ip", "link", "del"): _delete_link,
    ("ip", "addr", "add"): _add_address,
    **{("bridge", "fdb", verb): _fdb(verb) for verb in _FDB_FLAGS},
    **{("bridge", "vlan", verb): _vlans(verb) for verb in ("add", "del")},
}
