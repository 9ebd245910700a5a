"""One frame through the scalar rules, written down, and the network as it was before.

A probe sends a frame by `Network.send` itself, so every rule is the one in `devices/`: nothing is copied here. What the
probe must not do is leave traces: counters are put back, forwarding databases hold only what the question is about,
cables carry at once, and no stack acts. What would change more than a forwarding database (IGMP heard by a snooping
bridge, fragments, packets for the host to route) is refused by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from simvlan.devices.bridge import Bridge
from simvlan.devices.device import Device
from simvlan.devices.ipvlan import IpvlanPort
from simvlan.devices.macvlan_defrag import Reassembly
from simvlan.devices.macvlan_port import MacvlanPort
from simvlan.engines.batch.anatomy import six
from simvlan.engines.batch.known import NEVER, VID_BITS, Known, Place, Places
from simvlan.errors import Unsupported
from simvlan.frame import ARP, IPV4, IPV6, OTHERHOST, Frame
from simvlan.transmission import NOBODY
from simvlan.verdict import Drop, Why
from simvlan.workers import Workers

if TYPE_CHECKING:
    from simvlan.devices.bridge_fdb import FdbEntry
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.network import Network, Told

COUNTERS = (
    "rx_packets", "rx_bytes", "rx_dropped", "rx_errors", "multicast", "tx_packets", "tx_bytes", "tx_dropped",
    "tx_errors",
)  # fmt: skip
_COUNTERS = attrgetter(*COUNTERS)


class End(NamedTuple):
    """Where one copy ended: *drop* None means that the stack of the device's namespace got it, as *octets*.

    *after* is the last cable it crossed, an index of the recording's crossings (-1: none).
    """

    device: int
    drop: Drop | None
    octets: bytes
    ptype: int
    after: int


class Crossing(NamedTuple):
    """A copy put on a cable by a device: after crossing number *after* (-1: none), *size* octets with all tags."""

    device: int
    size: int
    after: int


class Recording(NamedTuple):
    """All that one probe showed. *deltas*: device number -> counters; *heard*: slots whose entry was refreshed.

    *moved*: the slots where the source is known otherwise than before, and how (None: no longer).
    """

    ends: list[End]
    deltas: dict[int, tuple[int, ...]]
    moved: dict[tuple[int, int], Place | None]
    heard: list[tuple[int, int]]
    crossings: list[Crossing]


class _AtOnce:
    """Stands in for a cable during a probe: everything arrives in the same instant."""

    ideal = False
    constant_ns = 0
    child = None

    def __init__(self, device: int, probe: Prober) -> None:
        self.device, self.probe = device, probe
        self.dropped = self.sent = 0
        self.plugged = True

    def admit(self, frame: Frame, now: int, why: object = None) -> tuple[tuple[int, Frame]]:
        """Note the crossing."""
        self.probe.crossed(self.device, frame)
        return ((now, frame),)


class Prober:
    """Asks the rules of one network, through the network itself. Use inside `with prober.session():`."""

    def __init__(self, network: Network, anatomy: Anatomy) -> None:
        self.network = network
        self.anatomy = anatomy
        self.bridges = {anatomy.number[dev]: dev for dev in anatomy.devices if isinstance(dev, Bridge)}
        self.known = {number: Known(self._port) for number in self.bridges}
        self.lent = False
        """Whether a session is under way."""
        self._before: list[tuple[int, ...]] = []
        self._touched: set[Device] = set()
        self._ends: list[End] = []
        self._crossings: list[Crossing] = []
        self._crossed_by: dict[int, int] = {}
        self._sent_as = (0, 0)

    # -- a session: the network lent out ----------------------------------------------------------------------------

    @contextmanager
    def session(self) -> Iterator[None]:
        """Borrow the network; whatever happens, it is afterwards what it was."""
        net = self.network
        with ExitStack() as undo:
            lent = {"protocols": self._arrived, "_tracer": self, "_why": None, "_parent_of": {}, "storms": Counter()}
            for name, value in (lent | {"_last_fid": net._last_fid, "_fid": 0, "_journey": NOBODY}).items():
                _lend(undo, net, name, value)
            for dev in self.anatomy.devices:
                self._lend_device(undo, dev)
            for number, bridge in self.bridges.items():
                self._lend_bridge(undo, bridge, self.known[number])
            self._before = [_COUNTERS(dev) for dev in self.anatomy.devices]
            undo.callback(self._quiet)
            undo.callback(setattr, self, "lent", False)
            self.lent = True
            yield

    def _lend_device(self, undo: ExitStack, dev: Device) -> None:
        if dev.wire is not None:
            _lend(undo, dev, "wire", _AtOnce(self.anatomy.number[dev], self))
        if dev.taps:
            _lend(undo, dev, "taps", [_deaf])
        if isinstance(dev.rx_handler, MacvlanPort):
            _lend_key(undo, dev.netns.__dict__, "macvlan_reassembly", _Whole(dev.path))
        if isinstance(dev.rx_handler, IpvlanPort):
            _lend(undo, dev.netns.stack, "route_out", _refuser(
                f"{dev.path}: ipvlan {dev.rx_handler.mode.value} hands what belongs to no slave to the host's routing, "
                "which answers with state of its own: use lab.send for these frames"))  # fmt: skip

    def _lend_bridge(self, undo: ExitStack, bridge: Bridge, known: Known) -> None:
        for owner in (bridge.fdb, *bridge.ports):
            _lend(undo, owner, "entries", known)
        refuse = _refuser(
            f"{bridge.path}: IGMP, MLD and PIM change what a snooping bridge knows: send such frames with lab.send "
            "before compiling, or set mcast_snooping 0"
        )
        for name in ("_query", "_report", "mark_router"):
            _lend(undo, bridge.mcast, name, refuse)

    def _quiet(self) -> None:
        """Forget what a refused probe left in the queues."""
        net = self.network
        net._backlog.clear()
        net.workers = Workers()
        net._depth, net._draining = 0, False
        self._restore_counters()

    # -- one probe --------------------------------------------------------------------------------------------------

    def ask(self, ingress: int, frame: Frame, places: Mapping[int, Places]) -> Recording:
        """Send a frame on a device, with these MACs known at these places (all others unknown)."""
        for number, known in self.known.items():
            known.know({mac: at[number] for mac, at in places.items() if number in at})
        self._ends, self._crossings, self._crossed_by = [], [], {}
        self._touched = {self.anatomy.devices[ingress]}
        self._sent_as = (frame.dst, frame.src)
        self.network.send(self.anatomy.devices[ingress], frame)
        moved, heard = self._learned(frame.src)
        return Recording(self._ends, self._restore_counters(), moved, heard, self._crossings)

    def _port(self, number: int) -> Any:
        """Return the bridge port that a device is."""
        return self.anatomy.devices[number].rx_handler

    def _learned(self, mac: int) -> tuple[dict[tuple[int, int], Place | None], list[tuple[int, int]]]:
        """Return where a source is known otherwise than before, and which entries were refreshed."""
        moved: dict[tuple[int, int], Place | None] = {}
        heard = []
        for number, known in self.known.items():
            for vid in sorted(key & (1 << VID_BITS) - 1 for key in known.asked if key >> VID_BITS == mac):
                entry = known.get(mac << VID_BITS | vid)
                place = None if entry is None else self.place(number, entry)
                if place != known.before(mac, vid):
                    moved[number, vid] = place
                if entry is not None and entry.updated != NEVER:
                    heard.append((number, vid))
        return moved, heard

    def place(self, bridge: int, entry: FdbEntry) -> Place:
        """Write an entry down."""
        port = self.anatomy.number[entry.port.dev] if entry.port is not None else -1
        return Place(bridge, entry.vid, port, entry.local, entry.static, entry.sticky, entry.by_user)

    def _restore_counters(self) -> dict[int, tuple[int, ...]]:
        """Put back every counter that moved; returns by how much."""
        deltas = {}
        for dev in _around(self._touched):
            number = self.anatomy.number[dev]
            now, before = _COUNTERS(dev), self._before[number]
            if now != before:
                deltas[number] = tuple(new - old for new, old in zip(now, before, strict=True))
                for name, value in zip(COUNTERS, before, strict=True):
                    setattr(dev, name, value)
        self._touched = set()
        return deltas

    # -- what the network tells -------------------------------------------------------------------------------------

    def step(self, told: Told) -> None:
        """Take note of one step (the network's tracer)."""
        _, fid, _, dev, way, frame, _, drop, emits = told
        if drop is Drop.STORM:
            raise Unsupported(f"{dev.path}: a forwarding loop: break it, or use the event engine")
        if (frame.dst, frame.src) != self._sent_as:
            raise Unsupported(f"{dev.path}: a rule gave the frame another address: use the event engine")
        self._touched.add(dev)
        for _, target, _ in emits:
            self._touched.add(target)
        if drop is not None or way == "up":
            self._ends.append(
                End(self.anatomy.number[dev], drop, bytes(frame), int(frame.ptype), self._last_crossing(fid))
            )

    def _arrived(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Answer for the stacks: what needs no look into the packet is theirs to say, the rest counts as delivered."""
        if frame.ptype is not OTHERHOST and (frame.proto in (IPV4, ARP) or (frame.proto == IPV6 and six(dev) == 2)):
            return None
        answer: Drop | None = dev.netns.stack.receive(dev, frame, why)
        return answer

    def crossed(self, device: int, frame: Frame) -> None:
        """Note a frame put on a cable."""
        size = len(frame) + (4 if frame.accel else 0)
        fid = self.network._fid
        self._crossings.append(Crossing(device, size, self._last_crossing(fid)))
        self._crossed_by[fid] = len(self._crossings) - 1

    def _last_crossing(self, fid: int) -> int:
        """Return the last cable that a copy, or what it was copied from, crossed."""
        while fid and fid not in self._crossed_by:
            fid = self.network._parent_of.get(fid, 0)
        return self._crossed_by.get(fid, -1)


class _Whole(Reassembly):
    """Passes whole packets; fragments would be kept, which a probe must not."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _take(self, *fragment: object) -> NoReturn:
        raise Unsupported(f"{self.path}: macvlan reassembles multicast fragments over time: use the event engine")


def _refuser(text: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise Unsupported(text)

    return refuse


def _deaf(now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
    """Stand in for packet sockets."""


def _around(devices: Iterable[Device]) -> set[Device]:
    """Return devices and their neighbours: a rule may count on the other end, below, or on the bridge."""
    near = set(devices)
    for dev in tuple(near):
        near.update(d for d in (getattr(dev, "peer", None), dev.lower, dev.master) if d is not None)
    return near


def _lend(undo: ExitStack, owner: Any, name: str, value: object) -> None:
    """Set an attribute until the end of the session."""
    if name in getattr(owner, "__dict__", {}) or name in _slots(owner):
        undo.callback(setattr, owner, name, getattr(owner, name))
    else:
        undo.callback(delattr, owner, name)
    setattr(owner, name, value)


def _lend_key(undo: ExitStack, table: dict[str, Any], name: str, value: object) -> None:
    """Set an entry until the end of the session."""
    if name in table:
        undo.callback(table.__setitem__, name, table[name])
    else:
        undo.callback(table.pop, name, None)
    table[name] = value


def _slots(owner: Any) -> set[str]:
    return {slot for kind in type(owner).__mro__ for slot in getattr(kind, "__slots__", ())}
