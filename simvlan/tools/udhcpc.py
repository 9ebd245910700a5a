"""udhcpc of busybox 1.35: a DHCP client for one interface, in virtual time; the rules are in `simvlan/dhcp/client.py`.

What its script would do (/etc/udhcpc/default.script) is done here: address, mask, broadcast address and default route.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from simvlan.clock import MILLISECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.client import (
    RENEWING,
    Action,
    Background,
    Bound,
    Check,
    Client,
    Deconfigured,
    Exit,
    Say,
    Send,
    Told,
)
from simvlan.errors import RtnlError
from simvlan.frame import ARP, BROADCAST, IPV4, Frame
from simvlan.rtnl import link_set
from simvlan.rtnl.address import address_add, address_flush
from simvlan.rtnl.route import route_add, route_remove
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import Ifaddr
from simvlan.tools.common import Refused
from simvlan.tools.dhcp_io import Voice, broadcast, heard
from simvlan.tools.dhcp_script import Script, variables
from simvlan.tools.program import Process
from simvlan.tools.udhcpc_options import read

if TYPE_CHECKING:
    from simvlan.devices.device import Device


class Interface:
    """One client at work on a device: its sockets, its timers, its address."""

    prefix = "udhcpc: "
    """What stands before each line."""
    tos, ttl = 0, 64
    """Of what is broadcast."""

    def __init__(self, network: Any, dev: Device, client: Client, voice: Voice) -> None:
        self.network, self.dev, self.voice, self.client = network, dev, voice, client
        self.stack: Any = dev.netns.stack
        self.raw: Any = None
        self.udp: Any = None
        self.probe: Any = None
        self.timer: Any = None
        self.lease: m.Message | None = None
        self.script = Script()
        self.pending: deque[Action] = deque()
        """What is to be done once the script has ended."""
        self.background = False
        """Whether the program leaves its terminal once it has a lease."""

    def start(self) -> None:
        """Begin."""
        self.perform(self.client.start(self.network.now))

    def stop(self, release: bool) -> None:
        """End: give the address back if that was asked for, close everything."""
        self.script.busy = False
        if release:
            self.perform(self.client.release(self.network.now))
        self.client.state, self.client.due = "gone", None
        self._arm()

    # -- what the rules want ----------------------------------------------------------------------------------------

    def perform(self, actions: Sequence[Action]) -> None:
        """Do what the client's rules answered, then wait for what they wait for."""
        self.pending.extend(actions)
        self._go_on()

    def _go_on(self) -> None:
        """Do what is pending; while a script runs, nothing."""
        while self.pending and not self.script.busy:
            self._do(self.pending.popleft())
        if not self.script.busy:
            self._arm()
            self._hear(None)

    def _tell(self, event: str, msg: m.Message | None) -> bool:
        """Have a script of one's own do what there is to do, if there is one."""
        return self.script.start([event], variables(self.dev.name, msg), self._go_on)

    def _do(self, action: Action) -> None:
        match action:
            case Say(text):
                self.voice.say(f"{self.prefix}{text}")
            case Send(msg, src, dst):
                self._send(msg, src, dst)
            case Deconfigured():
                if self._tell("deconfig", None):
                    self.lease = None
                else:
                    self._deconfigure()
            case Bound(msg, new):
                if self._tell("bound" if new else "renew", msg):
                    self.lease = msg
                    self._name_servers(msg)
                    self.pending.appendleft(Told(""))
                else:
                    self._configure(action)
                    self._bound()
            case Told("", None):
                self._bound()
            case Told(event, told):
                self._tell(event, told)
            case Check(address):
                self._check(address)
            case Background():
                self._left_behind()
            case Exit(status):
                self.client.state, self.client.due = "gone", None
                self.voice.end(status)

    def _bound(self) -> None:
        """There is a lease: the program may leave."""
        self._leave()

    def _left_behind(self) -> None:
        """There is none: the program leaves all the same."""
        self.voice.say("udhcpc: no lease, forking to background")
        self.background = True
        self._leave()

    def _leave(self) -> None:
        """To the background, where nobody reads what it says."""
        if self.background:
            self.voice.end(0)
            self.voice = Voice()

    def _arm(self) -> None:
        """One timer, and sockets only while an answer is expected."""
        if self.timer is not None:
            self.timer.cancel()
        due = self.client.due
        self.timer = None if due is None else self.network.at(max(due, self.network.now), self._wake)
        self._listen(self.client.listens)
        if self.client.state != RENEWING:
            self._close_udp()

    def _listen(self, wanted: bool) -> None:
        if wanted and self.raw is None:
            self.raw = self.stack.open_packet(self.dev, IPV4)
            self.raw.on_receive = self._hear
        elif not wanted and self.raw is not None:
            self.raw.close()
            self.raw = None

    def _wake(self) -> None:
        self.timer = None
        if self.script.busy:
            return  # when it has ended this is due at once
        self.client.due = None
        self.perform(self.client.wake(self.network.now))

    def _hear(self, _socket: object) -> None:
        """Something came: the program runs after what the kernel is doing now."""
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        while self.raw is not None and self.raw.queue and not self.script.busy:
            _, _, frame = self.raw.queue.popleft()
            self._take(heard(frame))
        while self.udp is not None and self.udp.queue and not self.script.busy:
            data = self.udp.queue.popleft().data
            with contextlib.suppress(m.MessageError):
                self._take(m.parse(data))

    def _take(self, msg: m.Message | None) -> None:
        if msg is not None:
            self.perform(self.client.receive(msg, self.network.now))

    # -- what they mean ---------------------------------------------------------------------------------------------

    def _send(self, msg: m.Message, src: int, dst: int) -> None:
        """As an unconfigured host through the packet socket, else by the kernel; who is down sends nothing."""
        try:
            if dst:
                self._unicast(msg, src, dst)
            else:
                sock = self.raw or self.stack.open_packet(self.dev, IPV4)
                sock.send(broadcast(self.dev, msg, src, self.tos, self.ttl))
                if sock is not self.raw:
                    sock.close()
        except OSError as error:
            self.voice.say(f"udhcpc: sendto: {error.strerror}")

    def _unicast(self, msg: m.Message, src: int, dst: int) -> None:
        """By the kernel, from a socket of its own; another one hears the answer to a renewal."""
        if self.udp is None:
            self.udp = self._open_udp(0)
            self.udp.on_receive = self._hear
        sock = self._open_udp(src)
        try:
            sock.send(msg.pack(), dst, m.SERVER_PORT)
        finally:
            sock.close()

    def _open_udp(self, src: int) -> Any:
        sock: Any = self.stack.open_udp()
        sock.bind_dev, sock.reuse = self.dev, True
        sock.bind(src, m.CLIENT_PORT)
        return sock

    def _close_udp(self) -> None:
        if self.udp is not None:
            self.udp.close()
        self.udp = None

    def _deconfigure(self) -> None:
        self.lease = None
        try:
            link_set(self.network, self.dev, up=True)
            address_flush(self.network, self.dev)
        except RtnlError as error:
            self.voice.say(f"udhcpc: {self.dev.name}: {error}")
        for route in [each for each in self._routes() if each.proto != 2]:
            route_remove(self.network, self.dev.netns, route)

    def _routes(self) -> list[Route]:
        return [route for route in self.stack.fib.routes() if route.dev is self.dev]

    def _configure(self, action: Bound) -> None:
        """Address and default route, unless they are as they were."""
        msg = action.message
        old, self.lease = self.lease, msg
        mask = msg.number(m.MASK) or 0xFFFF_FF00
        if old is None or old.yiaddr != msg.yiaddr or old.number(m.MASK) != msg.number(m.MASK):
            address_flush(self.network, self.dev)
            end = msg.number(m.BROADCAST) or msg.yiaddr & mask | ~mask & 0xFFFF_FFFF
            ifa = Ifaddr(msg.yiaddr, mask.bit_count(), broadcast=end, label=self.dev.name)
            self._try("ifconfig: SIOCSIFADDR", partial(address_add, self.network, self.dev, ifa))
        self._name_servers(msg)
        self._route(int.from_bytes(msg.options.get(m.ROUTER, b"")[:4], "big"))

    def _name_servers(self, msg: m.Message) -> None:
        servers = msg.options.get(m.DNS, b"")
        found = (servers[at : at + 4] for at in range(0, len(servers), 4))
        self.dev.netns.nameservers = [int.from_bytes(each, "big") for each in found]

    def _route(self, router: int) -> None:
        """A default route to another router goes; one to the same is added again, in vain, as the script does."""
        now = [route for route in self._routes() if not route.plen and route.via is not None]
        for route in now if [route.via for route in now] != [router] else ():
            route_remove(self.network, self.dev.netns, route)
        if router:
            made = Route(0, 0, via=router, dev=self.dev)
            self._try("ip: RTNETLINK answers", partial(route_add, self.network, self.dev.netns, made))

    def _try(self, what: str, change: Callable[[], None]) -> None:
        """Change something as the script does: what the kernel refuses is said, and the client goes on."""
        try:
            change()
        except RtnlError as error:
            self.voice.say(f"{what}: {os.strerror(error.errno or 0)}")

    def _check(self, address: int) -> None:
        """Probe the address by ARP and wait (arpping)."""
        self.probe = self.stack.open_packet(self.dev, ARP)
        self.probe.on_receive = self._hear_arp
        mine = self.client.mac
        body = bytes.fromhex("0001080006040001") + mine + bytes(4) + bytes(6) + address.to_bytes(4, "big") + bytes(18)
        self.probe.send(Frame(BROADCAST, self.dev.mac, ARP, body))
        until = self.network.now + self.client.options.check_ms * MILLISECOND
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None
        self.network.at(until, partial(self._checked, self.probe, False))

    def _hear_arp(self, _socket: object) -> None:
        self.network.at(self.network.now, self._look)

    def _look(self) -> None:
        probe = self.probe
        wanted = self.client.address.to_bytes(4, "big")
        while probe is not None and probe.queue:
            _, _, frame = probe.queue.popleft()
            data = frame.payload
            if len(data) >= 28 and data[7] == 2 and data[14:18] == wanted and data[8:14] != self.client.mac:
                self._checked(probe, True)
                return

    def _checked(self, probe: Any, in_use: bool) -> None:
        if probe is not None and self.probe is probe:
            probe.close()
            self.probe = None
            self.perform(self.client.checked(in_use, self.network.now))


def main(proc: Process) -> Generator[Any, Any, int]:
    """Get a lease; stay in the foreground (-f), leave (-q), or go to the background once there is one."""
    try:
        asked = read(proc)
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    ended = proc.lab.env.event()

    def end(status: int) -> None:
        if not ended.triggered:
            ended.succeed(status)

    proc.write_err("udhcpc: started, v1.35.0\n")
    client = Client(asked.dev.mac.to_bytes(6, "big"), asked.options, proc.lab.network.rng.getrandbits(32))
    it = Interface(proc.lab.network, asked.dev, client, Voice(proc.write_err, end))
    it.background = asked.background
    it.script = asked.script
    try:
        if asked.pidfile and not asked.background:
            proc.note_pid(asked.pidfile)
        it.start()
        status = int((yield ended))
        if it.background and status == 0:
            proc.detach(partial(it.stop, asked.release), asked.pidfile)
        else:
            proc.forget_pid(asked.pidfile)
    except OSError as error:
        it.stop(False)
        proc.write_err(f"udhcpc: can't open '{asked.pidfile}': {error.strerror}\n")
        return 1
    except simpy.Interrupt as signal:
        proc.forget_pid(asked.pidfile)
        if signal.cause == "SIGKILL":
            it.stop(False)
            return 137
        proc.write_err(f"udhcpc: received {signal.cause}\n")
        it.stop(asked.release)
        return 0 if signal.cause == "SIGTERM" else 130
    if asked.release and status == 0 and asked.options.quit:
        proc.write_err("udhcpc: entering released state\n")
    return status
