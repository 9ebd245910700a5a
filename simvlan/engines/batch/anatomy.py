"""Which parts of a network are alike: hubs, and limbs that could change places without anybody noticing.

Bridges, and devices that carry macvlans or ipvlans, are hubs. Take the hubs away and the rest falls into pieces: a veth
pair whose near end is a bridge port, one macvlan. A piece that hangs on exactly one hub by one device is a limb. Limbs
of one *breed* (same devices, same options, same hub) are interchangeable up to their own MAC and IP addresses: what the
rules answer for one they answer for every other, with the names changed. So one probe serves all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.ipvlan import IpvlanPort
from simvlan.devices.macvlan_port import MacvlanPort

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Network

Options: TypeAlias = "tuple[Hashable, ...]"

_DEVICE = attrgetter(
    "kind", "up", "active", "mtu", "broadcast", "noarp", "multicast_flag", "promiscuity", "allmulti", "opened"
)
_PORT = attrgetter(
    "bcast_flood", "fastleave", "flood", "group_fwd_mask", "guard", "hairpin", "isolated", "learning", "locked",
    "mcast_flood", "mcast_to_unicast", "neigh_suppress", "open", "promisc", "proxy_arp", "proxy_arp_wifi", "quick",
    "root_block", "state", "vlans.pvid", "snooping.router",
)  # fmt: skip
_MACVLAN = attrgetter("mode", "nodst", "nopromisc", "bc_queue_len")
_VLAN = attrgetter("tag", "reorder_hdr", "loose_binding", "bridge_binding")


class Limb(NamedTuple):
    """One piece: its devices from the hub outwards, and the MACs nobody else has."""

    devices: tuple[int, ...]
    macs: tuple[int, ...]


class Anatomy:
    """A network's devices by number, and how they fall into hubs and limbs.

    Attributes:
        devices: every device; `number` is the way back.
        limb_of, place_of: int32 (devices), the limb a device is in (-1: none) and its place there.
        limbs: all limbs; breed_of: int32 (limbs); breeds: the limbs of each breed.
        table: int32 (limbs, places), the device at each place, -1: none; rank_of: int32 (limbs), rank within its breed.
        own: MAC -> (limb, which of its MACs), for MACs that one limb alone has.
        taken: MACs of devices outside limbs, or of several limbs.
    """

    def __init__(self, network: Network) -> None:
        self.devices: list[Device] = list(network.devices())
        self.number: dict[Device, int] = {dev: n for n, dev in enumerate(self.devices)}
        self.limb_of: NDArray[np.int32] = np.full(len(self.devices), -1, np.int32)
        self.place_of: NDArray[np.int32] = np.zeros(len(self.devices), np.int32)
        self.limbs: list[Limb] = []
        self.breeds: list[list[int]] = []
        self.own: dict[int, tuple[int, int]] = {}
        self._bearers = Counter(mac for dev in self.devices if dev.kind for mac in _addresses(dev))
        self._bearers.update(mac for dev in self.devices for mac in getattr(dev, "allowed", ()))
        self._names: dict[Options, int] = {}
        breeds = []
        for piece in _pieces(self.devices):
            breed = self._breed(piece)
            if breed is not None:
                breeds.append(breed)
                self._enter(piece)
        self.breed_of: NDArray[np.int32] = np.array(self._last_apart(breeds), np.int32)
        for limb, number in enumerate(self.breed_of.tolist()):
            while len(self.breeds) <= number:
                self.breeds.append([])
            self.breeds[number].append(limb)
        self.table, self.rank_of = self._tables()
        self.taken = {mac for mac in self._bearers if mac not in self.own}

    def _tables(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the devices of limbs, and the ranks of limbs, as arrays."""
        width = max((len(limb.devices) for limb in self.limbs), default=0)
        table: NDArray[np.int32] = np.full((len(self.limbs), width), -1, np.int32)
        for number, limb in enumerate(self.limbs):
            table[number, : len(limb.devices)] = limb.devices
        rank: NDArray[np.int32] = np.zeros(len(self.limbs), np.int32)
        for members in self.breeds:
            rank[members] = np.arange(len(members))
        return table, rank

    def path(self, number: int) -> str:
        """Return a device's name."""
        return self.devices[number].path

    def _enter(self, piece: list[Device]) -> None:
        """Make a piece a limb."""
        numbers = tuple(self.number[dev] for dev in piece)
        macs = self._own_of(piece)
        limb = len(self.limbs)
        self.limbs.append(Limb(numbers, macs))
        for place, number in enumerate(numbers):
            self.limb_of[number], self.place_of[number] = limb, place
        for which, mac in enumerate(macs):
            self.own[mac] = (limb, which)

    def _own_of(self, piece: Iterable[Device]) -> tuple[int, ...]:
        """Return the MACs that devices of this piece have and nobody else, groups they listen to included."""
        found = Counter(mac for dev in piece for mac in _addresses(dev))
        return tuple(mac for mac, times in found.items() if self._bearers[mac] == times)

    def _breed(self, piece: list[Device]) -> int | None:
        """Number what a piece is, addresses aside; None when it is no limb."""
        described: list[Hashable] = []
        macs = self._own_of(piece)
        for dev in piece:
            own = _described(dev, piece)
            if own is None:
                return None
            described.append((own, tuple(macs.index(m) if m in macs else ("mac", m) for m in _addresses(dev))))
        return self._names.setdefault(tuple(described), len(self._names))

    def _last_apart(self, breeds: list[int]) -> list[int]:
        """Give the last port in flooding order a breed of its own: its refusal is the one a bridge remembers."""
        fresh = max(breeds, default=-1) + 1
        renamed = list(breeds)
        for bridge in (dev for dev in self.devices if isinstance(dev, Bridge)):
            seen: set[int] = set()
            for port in reversed(bridge.ports):
                limb = int(self.limb_of[self.number[port.dev]])
                if limb >= 0 and breeds[limb] not in seen:
                    seen.add(breeds[limb])
                    renamed[limb], fresh = fresh, fresh + 1
        numbers = {old: new for new, old in enumerate(sorted(set(renamed)))}
        return [numbers[breed] for breed in renamed]


def _addresses(dev: Device) -> list[int]:
    """A device's MAC, then the groups that its filter lets in."""
    return [dev.mac, *sorted(getattr(dev, "filter", ()))]


def six(dev: Device) -> int:
    """Say what a device's namespace does with IPv6: 0 has none, 1 has it switched off on this device, 2 takes it."""
    ip6 = dev.netns.stack.ip6
    if ip6 is None:
        return 0
    side = ip6.idev(dev)
    return 1 if side is None or side.disabled else 2


def _pieces(devices: list[Device]) -> list[list[Device]]:
    """Return what hangs together without hubs and on one hub by one device, from that device outwards."""
    pieces = []
    for dev in devices:
        if _on_hub(dev) and not _is_hub(dev):
            piece = _outwards(dev)
            if piece is not None:
                pieces.append(piece)
    return pieces


def _is_hub(dev: Device) -> bool:
    return dev.kind == "bridge" or isinstance(dev.rx_handler, (MacvlanPort, IpvlanPort))


def _on_hub(dev: Device) -> bool:
    return dev.master is not None or dev.kind in ("macvlan", "ipvlan")


def _outwards(start: Device) -> list[Device] | None:
    """Walk from the device at the hub over veth pairs and VLAN devices; None when another hub is met."""
    piece, at = [start], 0
    while at < len(piece):
        dev = piece[at]
        at += 1
        if _is_hub(dev) or (dev is not start and _on_hub(dev)):
            return None
        lower = dev.lower if dev.kind == "vlan" else None
        for other in (getattr(dev, "peer", None), lower, *(upper for _, upper in sorted((dev.vlans or {}).items()))):
            if other is not None and other not in piece:
                piece.append(other)
        if dev.master is not None and dev.kind in ("macvlan", "ipvlan"):
            return None  # it hangs on two hubs
    return piece


def _described(dev: Device, piece: list[Device]) -> Hashable | None:
    """Everything a rule may read of a device of a limb, addresses aside; None when it holds something unforeseen."""
    relations = [
        piece.index(other) if other in piece else id(other)
        for other in (getattr(dev, "peer", None), dev.lower, dev.master)
        if other is not None
    ]
    if any(upper not in piece for upper in dev.uppers):
        return None
    tags = tuple(sorted((tag, piece.index(upper)) for tag, upper in (dev.vlans or {}).items()))
    common = (*_DEVICE(dev), bool(dev.taps), dev.qdisc is None, _wire(dev), six(dev), tags, *relations)
    kind = _KINDS.get(dev.kind)
    port = _port(dev.rx_handler) if isinstance(dev.rx_handler, BridgePort) else ()
    return None if kind is None or port is None else (common, kind(dev), port)


def _wire(dev: Device) -> Hashable:
    """What lies between the ends of a pair."""
    return None if dev.wire is None else (dev.wire.options, dev.wire.plugged)


def _port(port: BridgePort) -> Hashable | None:
    """A bridge port's options; None for one that is somebody in the multicast database."""
    groups = port.bridge.mcast.mdb.groups.values()
    if any(member.port is port for entry in groups for member in entry.members):
        return None
    if any(timer.pending for timer in port.snooping.router_timers.values()):
        return None
    return (*_PORT(port), tuple(sorted(port.vlans.vids.items())))


def _macvlan(dev: Any) -> Hashable:
    listed = dev.port.by_mac.get(dev.mac) is dev
    below = tuple(group in dev.port.groups for group in sorted(dev.filter))
    return (*_MACVLAN(dev), tuple(dev.allowed), id(dev.port), listed, below)


def _ipvlan(dev: Any) -> Hashable:
    return id(dev.port), len(dev.addresses), len([a for a in dev.addresses if dev.port.table.get(a) is dev])


def _vlan(dev: Any) -> Hashable:
    return (*_VLAN(dev), tuple(sorted(dev.ingress.items())), tuple(sorted(dev.egress.items())))


def _nothing(dev: Any) -> Hashable:
    return ()


_KINDS = {"veth": _nothing, "vlan": _vlan, "macvlan": _macvlan, "ipvlan": _ipvlan, "dummy": _nothing}
