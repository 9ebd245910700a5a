"""A port: a simulated device's wire that leads to a real endpoint, frames both ways, counted.

The wire takes the place of the cable that was there: what the device transmits leaves by the endpoint; what the
endpoint delivers the device receives. Carrier goes both ways too: a real device that is down is a pulled cable.
"""

from __future__ import annotations

import selectors
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.frame import Frame
from simvlan.links import Arrivals, CableOptions
from simvlan.live.endpoint import Endpoint, Gone, Refused
from simvlan.live.places import Unattachable
from simvlan.segmentation import segments
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.engines.live import LiveEngine
    from simvlan.network import Network

BATCH = 64
"""Frames taken from one endpoint before the others' turn comes."""
CLOCKED = 8
"""In a batch, the clock is read again and due events are done before every so many frames."""
QUEUE = 1000
"""Frames that may wait for an endpoint that takes none just now."""
WIRED = ("veth", "dummy")
"""Kinds whose wire can lead elsewhere: the ends of a pair, and a device that has none."""


class RealWire:
    """What lies on a simulated device in place of a cable (see links.Wire)."""

    ideal = False
    constant_ns = 0
    outside = True
    """The other end is not in this network: carrier is its own."""

    def __init__(self, port: Port | None) -> None:
        self._port = port
        self.plugged = True
        self.sent = self.dropped = 0
        self.options = CableOptions()

    def admit(self, frame: Frame, _now: int, _why: Why = None) -> Drop | Arrivals:
        """Let a frame leave; it arrives nowhere in this network."""
        if not self.plugged:
            return Drop.NO_CARRIER
        self.sent += 1
        if self._port is not None:
            return self._port.send(frame) or ()
        return ()

    def end_up(self, up: bool) -> None:
        """The simulated device came up or went down."""
        if self._port is not None and not self._port.gone:
            self._port.endpoint.set_carrier(up)

    def __deepcopy__(self, _memo: dict[int, Any]) -> RealWire:
        """A copy of the network reaches nobody."""
        twin = RealWire(None)
        twin.plugged, twin.sent = self.plugged, self.sent
        return twin


class Port:
    """A simulated device joined to a real endpoint.

    Attributes:
        received, sent: frames that came in and left.
        received_octets, sent_octets: their octets, header included.
        refused: frames that could not leave, by reason; QDISC_DROP: the endpoint took none and QUEUE waited.
    """

    def __init__(self, network: Network, dev: Device, endpoint: Endpoint, engine: LiveEngine) -> None:
        self.network, self.dev, self.endpoint, self.engine = network, dev, endpoint, engine
        self.received = self.received_octets = self.sent = self.sent_octets = 0
        self.refused: Counter[Drop] = Counter()
        self.gone = False
        self.on_news: Callable[[str], None] = lambda _text: None
        self._queue: deque[Frame] = deque()
        self.wire = RealWire(self)
        take_wire(network, dev, self.wire)
        endpoint.set_carrier(dev.up)
        network.watchers.append(self._watch)
        self._follow()
        engine.selector.register(endpoint, selectors.EVENT_READ, self._ready)
        engine.selector.register(endpoint.state, selectors.EVENT_READ, self._heard)

    def __repr__(self) -> str:
        return f"<port {self.dev.path} = {self.endpoint.label}>"

    # -- frames -----------------------------------------------------------------------------------------------------

    def _ready(self, mask: int) -> None:
        if self.gone:
            return  # both descriptors told of the end at once
        try:
            if mask & selectors.EVENT_WRITE and self._queue:
                self._flush()
            if mask & selectors.EVENT_READ:
                self._take()
        except Refused:
            return  # it went down: rtnetlink tells
        except Gone:
            self.leave(f"{self.endpoint.label} was deleted")

    def _take(self) -> None:
        """Let the device receive what has come, at most a batch; super-packets whole only where the model has them."""
        receive, network, engine = self.endpoint.receive, self.network, self.engine
        for number in range(BATCH):
            frame = receive()
            if frame is None:
                return
            if number % CLOCKED == 0:
                engine.catch_up()
            if frame.csum <= 1 or network.gso:
                self._let_in(frame)
            else:
                for each in segments(frame):
                    self._let_in(each)

    def _let_in(self, frame: Frame) -> None:
        self.received += 1
        self.received_octets += 14 + len(frame.payload)
        self.network.arrive(self.dev, frame)

    def send(self, frame: Frame) -> Drop | None:
        """Send what the device transmits; a drop when it cannot."""
        try:
            if not self._queue and self.endpoint.transmit(frame):
                self._count(frame)
                return None
        except Gone:
            self.leave(f"{self.endpoint.label} was deleted")
            return Drop.NO_CARRIER
        except Refused as refused:
            self.refused[refused.drop] += 1
            return refused.drop
        if len(self._queue) >= QUEUE:
            self.refused[Drop.QDISC_DROP] += 1
            return Drop.QDISC_DROP
        if not self._queue:
            self.engine.selector.modify(self.endpoint, selectors.EVENT_READ | selectors.EVENT_WRITE, self._ready)
        self._queue.append(frame)
        return None

    def _flush(self) -> None:
        try:
            while self._queue and self.endpoint.transmit(self._queue[0]):
                self._count(self._queue.popleft())
        except Refused as refused:
            self.refused[refused.drop] += 1
            self._queue.popleft()
        if not self._queue:
            self.engine.selector.modify(self.endpoint, selectors.EVENT_READ, self._ready)

    def _count(self, frame: Frame) -> None:
        self.sent += 1
        self.sent_octets += 14 + len(frame.payload)

    # -- the cable --------------------------------------------------------------------------------------------------

    def _heard(self, _mask: int) -> None:
        if self.gone:
            return
        before = self.endpoint.state.up
        self.endpoint.state.hear()
        if not self.endpoint.state.there and not self._found_again():
            self.leave(f"{self.endpoint.label} was deleted")
        elif self.endpoint.state.up != before:
            self.on_news(f"{self.endpoint.label} is {'up' if self.endpoint.state.up else 'down'}: {self._carrier()}")
            self._follow()

    def _found_again(self) -> bool:
        """Whether the real device is in another namespace; its state is watched there from now on."""
        old = self.endpoint.state
        self.engine.selector.unregister(old)
        found = self.endpoint.moved()
        self.engine.selector.register(self.endpoint.state, selectors.EVENT_READ, self._heard)
        return found

    def _carrier(self) -> str:
        return f"{self.dev.path} has {'a' if self.endpoint.state.up else 'no'} carrier"

    def _follow(self) -> None:
        """Carry the real device's state over to the simulated one."""
        self.wire.plugged = self.endpoint.state.up and not self.gone
        self.engine.catch_up()
        self.network.set_carrier(self.dev, self.wire.plugged and (self.dev.up or self.dev.kind != "veth"))
        self.network.drain()

    def lost(self) -> int:
        """How many frames the real kernel gave up because they were not read in time."""
        return self.endpoint.lost()

    def _watch(self, dev: Device, what: str) -> None:
        """The simulated device may be deleted too."""
        if dev is self.dev and what == "del":
            self.leave(f"{dev.path} was deleted")

    def leave(self, why: str) -> None:
        """Let go of the endpoint, for good; the device has no carrier from now on."""
        if self.gone:
            return
        self.gone = True
        self.engine.selector.unregister(self.endpoint)
        self.engine.selector.unregister(self.endpoint.state)
        self.endpoint.close()
        self._queue.clear()
        self.network.watchers.remove(self._watch)
        self._follow()
        self.on_news(f"{why}: {self.endpoint.label} and {self.dev.path} are no longer joined")

    def close(self) -> None:
        """Take away what was made; harmless when that is done."""
        self.on_news = lambda _text: None
        self.leave("")


def take_wire(network: Network, dev: Device, wire: RealWire) -> None:
    """Put the wire on a device. Raises Unattachable for one that has none, or whose cable is modelled."""
    if dev.kind not in WIRED:
        below = f"attach {dev.lower.path}, on which it stands" if dev.lower is not None else "attach a veth or a dummy"
        raise Unattachable(f"{dev.path} is a {dev.kind or 'loopback device'}, which has no wire: {below}")
    if dev.leads_out:
        raise Unattachable(f"{dev.path} is attached already")
    if dev.wire is not None:
        raise Unattachable(f"{dev.path} has a modelled cable or underlay already: use tc netem for delay and loss")
    dev.wire = wire
    peer = getattr(dev, "peer", None)
    if peer is not None:
        network.set_carrier(peer, False)
