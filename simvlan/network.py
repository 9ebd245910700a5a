"""The network: namespaces, devices, and the order in which Linux takes a frame through them.

Mirrors net/core/dev.c: the receive pipeline (__netif_receive_skb_core), the CPU backlog and the work queue. Sending is
in `transmission.py`; what happens to devices themselves (up, carrier, deletion, moves) is in `lifecycle.py`. Rules live
in `devices/` and `stack/`; here they are called and obeyed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

from simvlan.clock import Clock, HeapClock, Timer
from simvlan.devices.device import Device
from simvlan.devices.dummy import Loopback
from simvlan.devices.veth import Veth
from simvlan.errors import RtnlError
from simvlan.frame import DOT1Q, OTHERHOST, QINQ, Frame
from simvlan.linkwatch import Linkwatch
from simvlan.softirq import Softirq, Together
from simvlan.stack.netstack import Stack
from simvlan.transmission import NOBODY, Queued
from simvlan.verdict import Drop, Emit, Verdict, Way, Why
from simvlan.workers import Workers

_BACKLOG, _TX, _UP, _RX, _WORK, _NAPI = Way.BACKLOG, Way.TX, Way.UP, Way.RX, Way.WORK, Way.NAPI
"""Bound here because looking a member up in its enum costs more than comparing it."""


class Told(NamedTuple):
    """What a tracer is told of one step."""

    now: int
    """Virtual time in ns."""
    fid: int
    """The frame's number."""
    parent: int
    """The number of the frame that it is a copy of; 0: of none."""
    dev: Device
    way: str
    """Through which hook of the device: tx, rx, work, up or out."""
    frame: Frame
    notes: list[str]
    """What rules said on the way."""
    drop: Drop | None
    """Why it ended here."""
    emits: Sequence[Emit] = ()
    """Where it goes on."""


class Tracer(Protocol):
    """Somebody who reads every step; None while nobody does."""

    def step(self, told: Told) -> None:
        """Take note of one."""


class Netns:
    """One network namespace: its devices in order of creation, its protocols, its sysctls."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.devices: dict[str, Device] = {}
        self.indexes: dict[int, Device] = {}
        self.next_ifindex = 1
        self.nsids: dict[str, int] = {}
        """Ids of other namespaces as seen from here (`link-netnsid`), by name."""
        self.nameservers: list[int] = []
        """What a DHCP client was told of name servers here."""
        self.kept: dict[str, object] = {}
        """What programs keep here in files of their own, by the path they have on a machine."""
        self.listeners: list[Callable[[Device, str], None]] = []
        """Programs that listen to rtnetlink: told of (device, "link" | "address") when either has changed."""
        self.stack = Stack(self, network)

    def __repr__(self) -> str:
        return f"<netns {self.name or 'root'}: {', '.join(self.devices)}>"

    def tell(self, dev: Device, what: str) -> None:
        """Let programs know that a link or its addresses changed (rtnl_notify)."""
        for listener in tuple(self.listeners):
            listener(dev, what)

    def by_index(self, ifindex: int) -> Device | None:
        """Return the device with an index."""
        return self.indexes.get(ifindex)

    def id_of(self, other: Netns) -> int:
        """Return the id of another namespace as seen from here, the lowest free one at first (peernet2id_alloc)."""
        if other.name not in self.nsids:
            taken = set(self.nsids.values())
            self.nsids[other.name] = next(n for n in range(len(taken) + 1) if n not in taken)
        return self.nsids[other.name]

    def free_ifindex(self) -> int:
        """Take the next index (dev_new_index)."""
        while self.next_ifindex in self.indexes:
            self.next_ifindex += 1
        self.next_ifindex += 1
        return self.next_ifindex - 1


class Network(Softirq):
    """All namespaces and devices of one simulated world, and the frames in flight.

    Time comes from *clock*; every random choice from *seed*. *ipv6*: booted without ipv6.disable_ipv6=1.
    *gso*: with super-packets.
    """

    def __init__(self, clock: Clock | None = None, seed: int = 0, *, ipv6: bool = False, gso: bool = False) -> None:
        self.clock: Clock = clock if clock is not None else HeapClock()
        self.seed = seed
        self.ipv6 = ipv6
        """Whether namespaces start with IPv6 on, as on a machine booted without ipv6.disable_ipv6=1."""
        self.gso = gso
        """Whether TCP and real endpoints hand down super-packets (segmentation.py); else frames of the MTU only."""
        self.rng = Random(f"{seed}/kernel")
        self.netns: dict[str, Netns] = {}
        self._why: Why = None
        self.tracer = None
        self.protocols: Callable[[Device, Frame, Why], Drop | None] | None = None
        """Somebody who takes what comes up in place of the namespaces' stacks; None when nobody does."""
        self.linkwatch = Linkwatch(self)
        self.watchers: list[Callable[[Device, str], None]] = []
        """Called with (device, "add" | "del" | "move") after the fact: captures attach here."""
        self.storms: Counter[str] = Counter()
        """Frames given up as a storm, by device path."""
        self.qdisc_handle = 0x8000
        """The last major number given to a queueing discipline without a handle of its own (qdisc_alloc_handle)."""
        self.population = 0
        self._backlog: deque[Queued] = deque()
        self.workers = Workers()
        self._polls: deque[Veth | None] = deque()
        self._together: list[Together] | None = None
        self._depth = 0
        self._journey = NOBODY
        """The journey that the frame being carried is part of."""
        self._draining = False
        self._fid = self._cause = 0
        self._last_fid = 0
        self._parent_of: dict[int, int] = {}
        self.parents_kept = 0
        """How many frames' origins a tracer is told of at most; 0: all, for runs that end."""
        self._notes: list[str] = []
        self.add_netns("")

    # -- namespaces -------------------------------------------------------------------------------------------------

    def add_netns(self, name: str) -> Netns:
        """Create a namespace with its loopback device (down)."""
        if name in self.netns:
            raise RtnlError(17, None, name)
        ns = self.netns[name] = Netns(name, self)
        self.register(Loopback("lo", ns), ns)
        return ns

    def del_netns(self, name: str) -> None:
        """Delete a namespace: virtual devices die with it (default_device_exit_batch)."""
        ns = self.netns[name]
        for dev in reversed(list(ns.devices.values())):
            if ns.devices.get(dev.name) is dev and dev.kind:
                self.unregister(dev)
        for dev in list(ns.devices.values()):
            self._forget(dev)
        del self.netns[name]

    def device(self, path: str) -> Device:
        """Return a device by `netns/device` (`root/eth0` or `eth0` for the initial namespace).

        Raises:
            KeyError: no such namespace or device; the text says which.
        """
        space, _, name = path.rpartition("/")
        ns = self.netns.get("" if space == "root" else space)
        if ns is None:
            raise KeyError(f'no network namespace "{space}"')
        if name not in ns.devices:
            raise KeyError(f'no device "{name}" in namespace "{space or "root"}"')
        return ns.devices[name]

    def devices(self) -> Iterable[Device]:
        """Return every device, by namespace and then by creation."""
        for ns in self.netns.values():
            yield from ns.devices.values()

    # -- time -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The current time in ns."""
        return self.clock.now

    def at(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Run *action* at a time, then let what it queued be received.

        What a program that a frame wakes sends at once is an answer to that frame; what a later timer makes is none.
        """
        if self._fid and time_ns <= self.clock.now:
            return self.clock.at(time_ns, partial(self._answering, self._fid, action))
        return self.clock.at(time_ns, partial(self._timed, action))

    def timer(self, time_ns: int, action: Callable[[], object]) -> Timer:
        """Do the same as Linux' timers: of those that end at once the one armed last is first (enqueue_timer)."""
        return self.clock.at(time_ns, partial(self._timed, action), first=True)

    def soon(self, action: Callable[[], object]) -> None:
        """Run *action* once what goes on is over, by a worker of this processor; `drain` comes to it."""
        self.workers.queue_work(action, bound=True)

    def unbound(self, action: Callable[[], object]) -> None:
        """The same by a worker of no certain processor."""
        self.workers.queue_work(action, bound=False)

    def _timed(self, action: Callable[[], object]) -> None:
        self._fid, self._journey = self._cause, self._depart()
        action()
        self.drain()

    def _answering(self, cause: int, action: Callable[[], object]) -> None:
        """The same for who was woken by a frame: whatever it changes on the way, what it sends is caused by that."""
        self._cause = cause
        try:
            self._timed(action)
        finally:
            self._cause = self._fid = 0

    # -- receive ----------------------------------------------------------------------------------------------------

    def arrive(self, dev: Device, frame: Frame) -> Drop | None:
        """Have a device receive a frame from outside the network, and everything that follows; the drop if it is down.

        Stands for a driver's receive interrupt: eth_type_trans, then netif_receive_skb.
        """
        self._journey = self._depart()
        if self._tracer is not None:
            self._fid = self._new_fid()
        if not dev.up:
            return self._dropped(dev, "rx", frame, Drop.DEV_READY)
        dev.rx_packets += 1
        dev.rx_bytes += 14 + len(frame.payload)
        self._backlog.append((dev, frame.received_by(dev.mac), self._fid, self._journey))
        self.drain()
        return None

    def receive(self, dev: Device, frame: Frame) -> None:
        """Take a frame through one round of a device's receive path (__netif_receive_skb_core)."""
        if (frame.proto == DOT1Q or frame.proto == QINQ) and not frame.accel:
            popped = frame.pop_inband()
            if popped is None:
                self._dropped(dev, "rx", frame, Drop.VLAN_TOO_SHORT)
                return
            frame = popped
        if dev.taps:
            for tap in dev.taps:
                tap(self.clock.now, dev, frame, False)
        if frame.accel and dev.vlans is not None and self._claimed(dev, frame):
            return
        handler = dev.rx_handler
        if handler is not None:
            self._carry(handler.rx(frame, self.clock.now, self._why), dev, frame, "rx")
        else:
            self.up(dev, frame)

    def _claimed(self, dev: Device, frame: Frame) -> bool:
        """Offer a tagged frame to the VLAN device for its tag (vlan_do_receive)."""
        vlan = dev.vlans.get(frame.accel & 0xFFFF_0FFF) if dev.vlans else None
        if vlan is None:
            return False
        self._carry(vlan.claim(frame, self.clock.now, self._why), dev, frame, "rx")
        return True

    def up(self, dev: Device, frame: Frame) -> None:
        """Finish the tag and hand the frame to the protocols of the namespace (deliver_ptype_list_skb)."""
        if self._together is not None:
            self._up_together(dev, frame)
            return
        tagged = frame.accel
        if not tagged and self._tracer is None:
            (self.protocols or dev.netns.stack.receive)(dev, frame, None)
            return
        unclaimed = False
        while frame.accel:
            if frame.accel & 0xFFF:
                unclaimed = True
                frame = frame.with_accel(0).as_ptype(OTHERHOST)
                break
            frame = frame.with_accel(0)
            if frame.proto != DOT1Q and frame.proto != QINQ:
                break
            popped = frame.pop_inband()
            if popped is None:
                self._dropped(dev, "up", frame, Drop.VLAN_TOO_SHORT)
                return
            frame = popped
            if dev.vlans is not None and self._claimed(dev, frame):
                return
        why = self._why
        drop = (self.protocols or dev.netns.stack.receive)(dev, frame, why)
        if tagged and drop is Drop.UNHANDLED_PROTO and dev.taps and dev.rx_handler is None and frame.proto >= 0x600:
            dev.rx_dropped += 1  # the VLAN step had served the taps: nobody was left to take it
        if unclaimed and drop in (Drop.OTHERHOST, Drop.UNHANDLED_PROTO):
            drop = Drop.VLAN_UNCLAIMED
        if self._tracer is not None:
            self._trace(dev, "up", frame, drop)

    # -- performing verdicts ----------------------------------------------------------------------------------------

    def carry(self, verdict: Verdict, dev: Device, frame: Frame) -> Drop | None:
        """Perform a verdict that arose outside a rule, such as a timer's."""
        if not self._journey.family:
            self._journey = self._depart()
        if self._tracer is None:
            return self._carry(verdict, dev, frame, "timer")
        outer, self._fid = self._fid, self._new_fid(self._fid)
        drop = self._carry(verdict, dev, frame, "timer")
        self._fid = outer
        return drop

    def _carry(self, verdict: Verdict, dev: Device, frame: Frame, way: str) -> Drop | None:
        """Do what a rule said; returns the drop that the last transmit in it met."""
        if self._tracer is not None:
            return self._carry_traced(verdict, dev, frame, way)
        if verdict.__class__ is Drop:
            return verdict
        refused: Drop | None = None
        for how, target, sent in verdict:  # type: ignore[union-attr]
            if how is _BACKLOG:
                self._backlog.append((target, sent, 0, self._journey))
            elif how is _TX:
                refused = self.transmit(target, sent)
            elif how is _UP:
                self.up(target, sent)
            elif how is _RX:
                self.receive(target, sent)
            elif how is _WORK:
                self.workers.queue((target, sent, 0, self._journey))
            elif how is _NAPI:
                self._to_poll(target, sent)
            elif how is Way.IP_OUT:
                refused = target.netns.stack.route_out(sent, target)
        return refused

    def _carry_traced(self, verdict: Verdict, dev: Device, frame: Frame, way: str) -> Drop | None:
        """Do the same, telling the tracer; each copy beyond the first gets an id of its own."""
        if isinstance(verdict, Drop):
            self._trace(dev, way, frame, verdict)
            return verdict
        self._trace(dev, way, frame, None, verdict)
        mine, refused = self._fid, None
        for emit in verdict:
            self._fid = mine if len(verdict) == 1 else self._new_fid(mine)
            refused = self._perform(emit, way, refused)
        self._fid = mine
        return refused

    def _perform(self, emit: Emit, way: str, refused: Drop | None = None) -> Drop | None:
        """Do one thing that a rule said; returns the drop that a transmit met, else the one before."""
        how, target, sent = emit
        if isinstance(how, Drop):
            self._trace(target, way, sent, how)
        elif how is Way.BACKLOG:
            self._backlog.append((target, sent, self._fid, self._journey))
        elif how is Way.WORK:
            self.workers.queue((target, sent, self._fid, self._journey))
        elif how is Way.TX:
            return self.transmit(target, sent)
        elif how is Way.UP:
            self.up(target, sent)
        elif how is Way.NAPI:
            self._to_poll(target, sent)
        elif how is Way.IP_OUT:
            refused = target.netns.stack.route_out(sent, target)
            self._trace(target, "up", sent, refused)  # the frame ends here; the packet goes on in another
        else:
            self.receive(target, sent)
        return refused

    def _carry_work(self, dev: Device, frame: Frame) -> None:
        """Do what a worker has to; each copy may be received at once (netif_rx)."""
        verdict = dev.deferred(frame, self.clock.now, self._why)
        if isinstance(verdict, Drop):
            self._trace(dev, "work", frame, verdict)
            return
        self._trace(dev, "work", frame, None, verdict)
        mine, journey = self._fid, self._journey
        for emit in verdict:
            self._fid = mine if len(verdict) == 1 or self._tracer is None else self._new_fid(mine)
            self._journey = journey
            self._perform(emit, "work")
            if self.workers.at_once:
                self._run_backlog()

    # -- tracing ----------------------------------------------------------------------------------------------------

    @property
    def tracing_frame(self) -> int:
        """The id of the frame that is being carried; meaningful only while somebody traces."""
        return self._fid

    @property
    def tracer(self) -> Tracer | None:
        """Somebody who reads every step, or None."""
        return self._tracer

    @tracer.setter
    def tracer(self, tracer: Tracer | None) -> None:
        self._tracer = tracer
        self._why = None if tracer is None else self._note

    def _note(self, text: str) -> None:
        self._notes.append(text)

    def _new_fid(self, parent: int = 0) -> int:
        self._last_fid += 1
        self._parent_of[self._last_fid] = parent
        if self.parents_kept and len(self._parent_of) >= 2 * self.parents_kept:
            oldest = self._last_fid - self.parents_kept
            self._parent_of = {fid: of for fid, of in self._parent_of.items() if fid > oldest}
        return self._last_fid

    def _trace(self, dev: Device, way: str, frame: Frame, drop: Drop | None, emits: Sequence[Emit] = ()) -> None:
        if self._tracer is not None:
            notes, self._notes = self._notes, []
            parent = self._parent_of.get(self._fid, 0)
            self._tracer.step(Told(self.clock.now, self._fid, parent, dev, way, frame, notes, drop, emits))

    @property
    def why(self) -> Why:
        """Where rules tell what they matched, while somebody traces."""
        return self._why

    def lost(self, dev: Device, frame: Frame, drop: Drop) -> None:
        """A packet never became a frame: tell whoever traces."""
        if self._tracer is not None:
            outer, self._fid = self._fid, self._new_fid(self._fid)
            self._trace(dev, "tx", frame, drop)
            self._fid = outer

    def _dropped(self, dev: Device, way: str, frame: Frame, drop: Drop) -> Drop:
        if self._tracer is not None:
            self._trace(dev, way, frame, drop)
        return drop
