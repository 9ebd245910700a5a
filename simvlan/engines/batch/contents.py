"""What a frame carries beside its MACs, sorted into kinds: frames of one kind get the same answer from every rule.

Lengths matter where a device's MTU is near; ethertypes where a rule names them; tags in full; addresses inside only
where ipvlan or multicast snooping look at them. A kind may be finer than need be, never coarser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simvlan.devices import bridge_igmp
from simvlan.devices.ipvlan import IpvlanPort
from simvlan.devices.macvlan_port import MacvlanPort
from simvlan.engines.batch.interner import U64, Interner
from simvlan.frame import ARP, DOT1Q, IPV4, IPV6, MAX_SIZE, QINQ, Frame

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.engines.batch.frames import FrameBatch

EXACT = 128
"""Shorter frames have a kind for every length: headers may be cut anywhere."""
AROUND_MTU = range(-8, 48)
"""Distances from an MTU (plus the Ethernet header) at which a tag more or less may matter."""

UNTAGGED, WHOLE = np.uint64(1 << 58), 1 << 59


class Contents:
    """Kinds of content, numbered as they are met.

    Attributes:
        deep: somebody looks at IP addresses of unicast frames (ipvlan): `addresses` are then part of a frame's class.
        snooped: somebody reads multicast packets (snooping bridges, macvlan's reassembly).
        exact: by kind, whether it fixes the length.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.deep = any(isinstance(dev.rx_handler, IpvlanPort) for dev in anatomy.devices)
        self.snooped = any(
            (dev.kind == "bridge" and dev.mcast.enabled) or isinstance(dev.rx_handler, MacvlanPort)  # type: ignore[attr-defined]
            for dev in anatomy.devices
        )
        self.length_kind, self.length_exact = _length_kinds({dev.mtu for dev in anatomy.devices})
        self.ether_kind = _ether_kinds()
        self.kinds = Interner()
        self._outer, self._inner = Interner(), Interner()
        self._whole: dict[bytes, int] = {}
        self._messages: dict[Any, int] = {}
        self._plain: NDArray[np.int32] = np.full(
            (int(self.ether_kind.max()) + 1, int(self.length_kind.max()) + 1), -1, np.int32
        )
        self.exact: list[bool] = []

    def of(self, batch: FrameBatch, group: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return the kind of every frame, int32 (n). *group*: whether the frame is to a group."""
        words = batch.head.view(np.uint64)
        types = (words[:, 1] >> np.uint64(32)).astype(np.uint16)  # octets 12 and 13 as they lie
        lengths = batch.length
        kind_of_type, kind_of_length = self.ether_kind[types], self.length_kind[lengths]
        tagged = kind_of_type <= 1
        looked_at = self._looked_at(kind_of_type, tagged, group)
        if not tagged.any() and not looked_at.any():
            return self._untagged(kind_of_type, kind_of_length)
        lengths_in_key = np.where(
            looked_at, lengths.astype(np.uint64) | np.uint64(1 << 17), kind_of_length.astype(np.uint64)
        )
        keys = UNTAGGED | kind_of_type.astype(np.uint64) | lengths_in_key << np.uint64(8)
        inner = kind_of_type.copy()
        offset = np.full(len(batch), 14, np.int64)
        at = np.flatnonzero(tagged)
        if len(at):
            keys[at], inner[at], offset[at] = self._tagged(batch, at, lengths_in_key[at])
        kinds = self._number(keys)
        fine = np.flatnonzero(looked_at | tagged)
        return self._look_inside(batch, kinds, fine, inner, offset, group) if len(fine) else kinds

    def stretch(self, length: int) -> int:
        """Return by how many octets a frame may grow or shrink and stay of its kind."""
        same = self.length_kind[length]
        return 2 if self.length_kind[length + 2] == same else -2 if self.length_kind[length - 2] == same else 0

    def uniform(self, batch: FrameBatch, second: U64) -> int | None:
        """Return the kind that all frames are of, where a glance shows it; else None. *second*: octets 8 to 15."""
        lengths = batch.length
        if self.deep or not (lengths == lengths[0]).all():
            return None
        types = second & np.uint64(0xFFFF << 32)  # octets 12 and 13
        if not (types == types[0]).all():
            return None
        kind = int(self.ether_kind[int(types[0]) >> 32])
        ip = 2 <= kind <= 4
        if kind <= 1 or (ip and self.snooped and (batch.head[:, 0] & 1).any()):
            return None
        return int(self._untagged(np.array([kind]), self.length_kind[lengths[:1]])[0])

    def whatever(self, kind: int) -> bool:
        """Whether a kind holds for group frames too: then ethertype and length alone decide it."""
        return not self.snooped or self._plain_type(kind) not in (2, 4)

    def _plain_type(self, kind: int) -> int:
        """Return the kind of ethertype of plain frames."""
        return int(self.kinds.keys[kind]) & 0xFF

    def _looked_at(self, types: Any, tagged: Any, group: Any) -> NDArray[np.bool_]:
        """Whether a rule may look behind the ethertype."""
        ip = (types >= 2) & (types <= 4)
        wanted = np.zeros(len(types), bool)
        if self.deep:
            wanted |= ip | tagged
        if self.snooped:
            wanted |= group & (ip | tagged)
        return wanted

    def _untagged(self, types: Any, lengths: Any) -> NDArray[np.int32]:
        """Number plain frames by a small table."""
        kinds: NDArray[np.int32] = self._plain[types, lengths]
        if kinds.min(initial=0) < 0:
            for at in np.flatnonzero(kinds < 0):
                if self._plain[types[at], lengths[at]] < 0:
                    key = UNTAGGED | np.uint64(types[at]) | np.uint64(lengths[at]) << np.uint64(8)
                    self._plain[types[at], lengths[at]] = self._number(np.array([key], np.uint64))[0]
            kinds = self._plain[types, lengths]
        return kinds

    def _number(self, keys: U64) -> NDArray[np.int32]:
        before = len(self.kinds)
        found = self.kinds.intern(keys).astype(np.int32)
        for key in self.kinds.keys[before : len(self.kinds)].tolist():
            length = key >> 8 & 0x3FFFF
            self.exact.append(bool(key >> 59 or key >> 57 & 1 or length >> 17 or self.length_exact[length]))
        return found

    def _tagged(self, batch: FrameBatch, at: Any, lengths: U64) -> tuple[U64, Any, Any]:
        """Number frames with tags: key, kind of the innermost ethertype, where the packet begins."""
        head = batch.head[at]
        first, second = _big(head, 12, 4), _big(head, 16, 4)
        after, last = second >> np.uint64(16), _big(head, 20, 2)
        double = (after == DOT1Q) | (after == QINQ)
        triple = double & ((last == DOT1Q) | (last == QINQ))
        kind = self.ether_kind[_swap16(np.where(double, last, after))]
        keys = self._outer.intern(first) << np.uint64(26) | kind.astype(np.uint64) | lengths << np.uint64(8)
        keys |= self._inner.intern(np.where(double, second, np.uint64(0))) << np.uint64(42)
        for n in np.flatnonzero(triple):
            octets = batch.octets(int(at[n]))[12:] + int(batch.length[at[n]]).to_bytes(4, "big")
            keys[n] = WHOLE | self._whole.setdefault(octets, len(self._whole))
        return keys, np.where(triple, 255, kind), np.where(double, 22, 18)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _look_inside(
        self, batch: FrameBatch, kinds: Any, at: Any, inner: Any, offset: Any, group: Any
    ) -> NDArray[np.int32]:
        """Refine the kinds of frames whose packet somebody reads."""
        numbers = np.zeros(len(at), np.uint64)
        inside = inner[at]
        headers = (inside == 2) if self.deep else np.zeros(len(at), bool)
        if headers.any():
            which = at[headers]
            numbers[headers] = _header(batch, which, offset[which])
        if self.snooped:
            for n in np.flatnonzero(group[at] & ((inside == 2) | (inside == 4))):
                numbers[n] |= np.uint64(self._message(batch, int(at[n]), int(offset[at[n]])) << 16)
        if not numbers.any():
            return kinds  # type: ignore[no-any-return]
        keys = UNTAGGED >> np.uint64(1) | kinds[at].astype(np.uint64) | numbers << np.uint64(16)
        changed = numbers != 0
        kinds[at[changed]] = self._number(keys[changed])
        return kinds  # type: ignore[no-any-return]

    def _message(self, batch: FrameBatch, at: int, offset: int) -> int:
        """Number what a snooping bridge and macvlan's reassembly make of a multicast packet."""
        octets = batch.octets(at)
        octets += bytes(int(batch.length[at]) - len(octets))
        frame = Frame(0, 0, octets[offset - 2] << 8 | octets[offset - 1], octets[offset:])
        message = bridge_igmp.read(frame)
        whole = bridge_igmp.destination(frame) if message == bridge_igmp.PLAIN else None
        piece = (
            frame.proto == IPV4
            and len(octets) >= offset + 8
            and bool((octets[offset + 6] << 8 | octets[offset + 7]) & 0x3FFF)
        )
        head = octets[offset : offset + 10] if piece or message != bridge_igmp.PLAIN else b""
        control = octets[offset + 9] if frame.proto == IPV4 and len(octets) > offset + 9 else 0
        return self._messages.setdefault((message, whole, piece, head, control), len(self._messages) + 1)


def _header(batch: FrameBatch, at: Any, offset: Any) -> U64:
    """Number what ipvlan's length checks see of an IPv4 header: 8 bits of it, and how its total length relates."""
    head = batch.head
    first = head[at, offset].astype(np.int64)
    total = head[at, np.minimum(offset + 2, 63)].astype(np.int64) << 8 | head[at, np.minimum(offset + 3, 63)]
    size = batch.length[at].astype(np.int64) - offset
    beyond = np.clip(total - size, 0, 15)
    number: U64 = (first | beyond << 8 | (total < (first & 15) * 4) << 12).astype(np.uint64)
    return number


def _big(head: Any, at: int, size: int) -> U64:
    """Read a big-endian field of every head."""
    value = np.zeros(len(head), np.uint64)
    for octet in range(size):
        value = value << np.uint64(8) | head[:, at + octet]
    return value


def _swap16(values: Any) -> Any:
    return (values.astype(np.uint16)).byteswap()


def _ether_kinds() -> NDArray[np.uint8]:
    """Map an ethertype as it lies to its kind: 0 and 1 tags, 2 IPv4, 3 ARP, 4 IPv6, then the other named ones."""
    big = np.where(np.arange(1 << 16) < 0x600, 8, 9).astype(np.uint8)
    for kind, value in enumerate((DOT1Q, QINQ, IPV4, ARP, IPV6, 0x8808, 0x8035, 0x9000)):
        big[value] = kind
    return big[np.arange(1 << 16, dtype=np.uint16).byteswap()]


def _length_kinds(mtus: set[int]) -> tuple[NDArray[np.uint16], list[bool]]:
    """Map a length to its kind; and which kinds are one length."""
    edges = set(range(EXACT + 1)) | {m + 14 + d for m in mtus for d in AROUND_MTU}
    edges |= {m + 14 + AROUND_MTU.stop for m in mtus}
    marks = np.zeros(MAX_SIZE + 2, np.uint16)
    marks[[e for e in edges if 0 < e < len(marks)]] = 1
    kinds = np.cumsum(marks).astype(np.uint16)
    return kinds, (np.bincount(kinds) == 1).tolist()
