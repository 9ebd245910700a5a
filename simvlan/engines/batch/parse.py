"""Header fields of many frames at once, read from the first 64 octets of each.

The array counterpart of `Frame.parse` and of `eth_type_trans`, `vlan_get_protocol` and `ip_hdr`: every function takes
`head`, uint8 (n, 64), and returns one value per frame. A field counts only when its header is whole: frames whose
captured octets end before it read as if it were not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simvlan.frame import ARP, DOT1Q, ETH_HLEN, IPV4, QINQ, VLAN_HLEN

HEAD = 64
"""Octets of every frame that a batch keeps in its own array."""

MAX_TAGS = 2
IPV4_HLEN, ARP_LEN = 20, 28

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


def at(head: U8, octet: int, kind: str) -> NDArray[Any]:
    """Return a view of one big-endian field, `kind` as in NumPy (">u2" ...), of every frame."""
    if not len(head):
        return np.empty(0, kind)
    return np.ndarray((len(head),), kind, head.data, octet, (HEAD,))


def dst(head: U8) -> U64:
    """Destination MACs as 48-bit integers."""
    words = at(head, 0, ">u8").astype(np.uint64)
    words >>= np.uint64(16)
    return words


def src(head: U8) -> U64:
    """Source MACs as 48-bit integers."""
    words = at(head, 4, ">u8").astype(np.uint64)
    words &= np.uint64(0xFFFF_FFFF_FFFF)
    return words


def tags(head: U8, captured: U32) -> U32:
    """The two outermost tags as `tpid << 16 | tci`, outermost first, 0 where there is none; shape (n, 2)."""
    found = np.zeros((len(head), MAX_TAGS), np.uint32)
    tagged: NDArray[np.bool_] | None = None
    for level in range(MAX_TAGS):
        octet = ETH_HLEN - 2 + VLAN_HLEN * level
        here = _is_tag(at(head, octet, ">u2")) & (captured >= octet + VLAN_HLEN + 2)
        tagged = here if tagged is None else tagged & here
        if not tagged.any():
            break
        np.multiply(at(head, octet, ">u4"), tagged, out=found[:, level], casting="unsafe")
    return found


def _is_tag(ethertype: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which of the ethertypes announce a tag (eth_type_vlan)."""
    return np.asarray((ethertype == DOT1Q) | (ethertype == QINQ))


def depth(tags: U32) -> NDArray[np.intp]:
    """How many of the two outermost tags each frame has."""
    return np.asarray((tags[:, 0] != 0).astype(np.intp) + (tags[:, 1] != 0))


def after_tags(head: U8, tags: U32, octet: int, kind: str) -> NDArray[Any]:
    """Return the field at `octet` of an untagged frame, wherever the tags have moved it."""
    native = kind.replace(">", "=")
    value = at(head, octet, kind).astype(native)
    if tags.any():
        levels = depth(tags)
        for level in (1, 2):
            np.copyto(value, at(head, octet + VLAN_HLEN * level, kind), where=levels == level)
    return value


def ethertype(head: U8, tags: U32) -> U16:
    """What follows the (at most two) tags."""
    return after_tags(head, tags, ETH_HLEN - 2, ">u2")


def whole(tags: U32, captured: U32, ethertype: U16, protocol: int, size: int) -> NDArray[np.bool_]:
    """Say which frames carry `protocol` with all `size` octets of its header."""
    is_it = np.asarray(ethertype == protocol)
    if not is_it.any():
        return is_it
    need = (ETH_HLEN + size + VLAN_HLEN * depth(tags)).astype(np.uint32)
    return np.asarray(is_it & (captured >= need))


def addresses(head: U8, tags: U32, captured: U32, ethertype: U16, ipv4_octet: int, arp_octet: int) -> U32:
    """One IPv4 address per frame: at one place in IPv4, at another in ARP, 0 in everything else."""
    out = np.zeros(len(head), np.uint32)
    for protocol, size, octet in ((IPV4, IPV4_HLEN, ipv4_octet), (ARP, ARP_LEN, arp_octet)):
        there = whole(tags, captured, ethertype, protocol, size)
        if there.any():
            np.copyto(out, after_tags(head, tags, octet, ">u4"), where=there)
    return out


def ip_src(head: U8, tags: U32, captured: U32, ethertype: U16) -> U32:
    """IPv4 source, or the sender's protocol address of ARP."""
    return addresses(head, tags, captured, ethertype, ETH_HLEN + 12, ETH_HLEN + 14)


def ip_dst(head: U8, tags: U32, captured: U32, ethertype: U16) -> U32:
    """IPv4 destination, or the target's protocol address of ARP."""
    return addresses(head, tags, captured, ethertype, ETH_HLEN + 16, ETH_HLEN + 24)


def ip_proto(head: U8, tags: U32, captured: U32, ethertype: U16) -> U8:
    """The IPv4 protocol number, 0 in everything else."""
    there = whole(tags, captured, ethertype, IPV4, IPV4_HLEN)
    return np.asarray(after_tags(head, tags, ETH_HLEN + 9, ">u1") * there, np.uint8)
