"""radvd 2.19: router advertisements of a namespace; what they say and when is in `simvlan/radv/`. Mirrors radvd.c.

Real ones send an advertisement when they start, then up to two more after 16 seconds at most, then at random between
the two intervals; they answer solicitations, take note of changed links and addresses a second later, and say at the
end that they are routers no more.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.radv import advert
from simvlan.radv.config import Interface, settle
from simvlan.radv.link import Link
from simvlan.stack.ipv6 import icmp6, ndp
from simvlan.stack.ipv6.addr import ALL_NODES, ALL_ROUTERS, ip6_text, is_link_local
from simvlan.stack.ipv6.packet import ICMPV6
from simvlan.tools.common import Refused
from simvlan.tools.dhcp_io import Voice
from simvlan.tools.program import Process
from simvlan.tools.radvd_options import Asked, configured, read, voice_of

HOPS = 255
TUNED = (("link_mtu", "conf", "mtu", 1280, 131_072), ("hop_limit", "conf", "hop_limit", 2, 255),
         ("reachable", "neigh", "base_reachable_time_ms", 100, 3_600_000),
         ("retrans", "neigh", "retrans_time_ms", 10, 3_600_000))  # fmt: skip
"""What radvd sets on its own interface as it advertises it: attribute, branch, key and bounds (privsep-linux.c)."""


@dataclass(eq=False)
class Face(Link):
    """A link with its device and the timer of its next advertisement."""

    dev: Any = None
    timer: Any = None


class Radvd:
    """The daemon of a namespace: its socket, its interfaces, its timers."""

    def __init__(self, network: Any, ns: Any, interfaces: list[Interface], voice: Voice) -> None:
        self.network, self.ns, self.voice = network, ns, voice
        self.ip6 = ns.stack.with_ip6()
        self.rng = Random(f"{network.seed}/radvd/{ns.name}")
        self.links = [Face(each) for each in interfaces]
        self.ceasing = False
        self.sock: Any = None

    # -- beginning and end ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the socket, and begin on every interface.

        Raises:
            Refused: an interface that may not be missing is.
        """
        self.sock = self.ns.stack.open_raw(ICMPV6, 6)
        self.sock.ttl = self.sock.mc_ttl = HOPS
        self.sock.on_receive = self._hear
        self.ns.listeners.append(self._told)
        self._begin()

    def _begin(self) -> None:
        """Begin on every interface (setup_ifaces, kickoff_adverts)."""
        for link in self.links:
            if self._set_up(link):
                self._tune(link)
                self._kick_off(link)
            elif not link.conf.ignore_if_missing:
                text = f"interface {link.conf.name} does not exist or is not set up properly"
                self.voice.say(text)
                raise Refused("", 1)
            if link.timer is None:
                self._wait(link, 0)

    def reread(self, interfaces: list[Interface]) -> None:
        """Go on with another configuration: what was advertised before is not taken back (reload_config).

        Raises:
            Refused: an interface that may not be missing is.
        """
        self._cancel()
        self.links = [Face(each) for each in interfaces]
        self._begin()

    def _cancel(self) -> None:
        for link in self.links:
            if link.timer is not None:
                link.timer.cancel()

    def stop(self) -> None:
        """Say everywhere that we are no router any more (stop_adverts), and close."""
        self.ceasing = True
        for link in self.links:
            if not link.conf.unicast_only:
                self._advertise(link, None)
        self.close()

    def close(self) -> None:
        """Close everything."""
        self._cancel()
        if self._told in self.ns.listeners:
            self.ns.listeners.remove(self._told)
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    # -- interfaces -------------------------------------------------------------------------------------------------

    def _set_up(self, link: Face) -> bool:
        """See whether an interface can be used, and what it has (setup_iface)."""
        link.changed = link.ready = False
        dev = link.dev = self.ns.devices.get(link.conf.name)
        if dev is None:
            self.voice.say(f"{link.conf.name} not found: No such device")
            return False
        if not dev.up or not dev.running:
            return False
        if not (dev.multicast_flag or link.conf.unicast_only):
            self.voice.say(f"{dev.name} does not support multicast or point-to-point, forcing UnicastOnly")
            link.conf.unicast_only = True
        link.mac, link.room = dev.mac, advert.room(link.conf, dev.mtu, self.ip6.mtu_of(dev))
        return self._settled(link) and self._addressed(link)

    def _settled(self, link: Face) -> bool:
        for each in link.conf.prefixes:
            if each.length != 64:
                self.voice.say(f"{link.dev.name} prefix length should be: 64")
        idev = self.ip6.idev(link.dev)
        if idev is not None and not idev.conf.get("forwarding"):
            self.voice.say("IPv6 forwarding on interface seems to be disabled, but continuing anyway")
        wrong = settle(link.conf, link.dev.mtu)
        for text in wrong:
            self.voice.say(text)
        return not wrong

    def _addressed(self, link: Face) -> bool:
        """Find the source and join the routers' group (setup_iface_addrs, setup_allrouters_membership)."""
        link.known = self._addresses(link.dev)
        local = next((address for address in link.known if is_link_local(address)), None)
        if local is None:
            if not link.conf.ignore_if_missing:
                self.voice.say(f"no linklocal address configured on {link.dev.name}")
            return False
        wanted = [address for address in link.conf.sources if address in link.known]
        if link.conf.sources and not wanted:
            return False
        link.source = wanted[0] if wanted else local
        with contextlib.suppress(OSError):  # it has joined before
            self.sock.join(ALL_ROUTERS, link.dev)
        link.ready = True
        return True

    def _addresses(self, dev: Any) -> list[int]:
        return [ifa.address for ifa in self.ip6.addresses(dev)]

    def _own(self, name: str) -> list[tuple[int, int]]:
        dev = self.ns.devices.get(name)
        return [(ifa.address, ifa.prefixlen) for ifa in self.ip6.addresses(dev)] if dev is not None else []

    def _tune(self, link: Face) -> None:
        """The router itself does as it advertises (config_interface)."""
        from simvlan.rtnl.sysctl import sysctl_set

        for attribute, branch, key, least, most in TUNED:
            value = getattr(link.conf, attribute)
            if value and least <= value <= most:
                sysctl_set(self.network, self.ns, f"net/ipv6/{branch}/{link.dev.name}/{key}", str(value))

    def _told(self, dev: Any, what: str) -> None:
        """Rtnetlink tells of a link or an address: what has changed is looked at a second later (touch_iface)."""
        for link in self.links:
            fits = link.conf.name == dev.name if what == "link" else link.dev is dev
            if fits and (what == "link" or self._addresses(dev) != link.known):
                self._wait(link, link.touch())

    # -- time -------------------------------------------------------------------------------------------------------

    def _kick_off(self, link: Face) -> None:
        """The first advertisement (kickoff_adverts)."""
        link.last_ns = self.network.now
        if not link.conf.unicast_only:
            link.last_multicast_ns = self.network.now
            self._advertise(link, None)
            self._wait(link, link.wait(link.first_wait))

    def _wait(self, link: Face, seconds: float) -> None:
        if link.timer is not None:
            link.timer.cancel()
        link.timer = self.network.at(self.network.now + round(seconds * SECOND), _Due(self, link))

    def due(self, link: Face) -> None:
        """An advertisement is due (timer_handler)."""
        self._advertise(link, None)
        self._wait(link, link.after(self.rng.random))

    # -- solicitations ----------------------------------------------------------------------------------------------

    def _hear(self, _socket: object) -> None:
        """Something came: the program runs after what the kernel is doing now."""
        self.network.at(self.network.now, self._collect)

    def _collect(self) -> None:
        while self.sock is not None and self.sock.queue:
            got = self.sock.queue.popleft()
            link = next((each for each in self.links if each.dev is got.dev), None)
            if link is not None and got.data[:2] == bytes((icmp6.RS, 0)) and (link.ready or self._set_up(link)):
                self._solicited(link, got)

    def _solicited(self, link: Face, got: Any) -> None:
        """Answer: to who asks, or to all, but to all no more often than every three seconds (process_rs)."""
        found = ndp.parse_rs(got.data) if got.ttl == HOPS else None
        if found is None or (not got.src and ndp.read_mac(found, ndp.SLLA) is not None):
            return
        answer = link.solicited(got.src, self.network.now, self.rng.random)
        if answer.now:
            self._advertise(link, answer.dst)
        if answer.next_s is not None:
            self._wait(link, answer.next_s or link.after(self.rng.random))

    # -- advertisements ---------------------------------------------------------------------------------------------

    def _advertise(self, link: Face, dst: int | None) -> None:
        """Advertise to one, to all, or to each of the clients that are listed (send_ra_forall)."""
        if link.changed:
            self._set_up(link)
        if not link.ready:
            return
        link.count()
        clients = link.conf.clients
        if clients:
            for each in clients:
                if dst in (None, each):
                    self._send(link, each)
        elif dst is not None or not link.conf.unicast_only:
            self._send(link, dst)

    def _send(self, link: Face, dst: int | None) -> None:
        """Send one, in as many parts as it takes (send_ra)."""
        if not link.conf.send:
            return
        now = self.network.now
        if dst is None:
            dst, link.last_multicast_ns = ALL_NODES, now
        advert.age(link.conf, (now - link.last_ns) // SECOND, self.ceasing)
        link.last_ns = now
        found = advert.options(link.conf, link.mac, self._own, self.ceasing)
        try:
            for part in advert.parts(found, link.room):
                self._put(link, dst, advert.header(link.conf, self.ceasing, part))
        except OSError as error:
            if not link.conf.ignore_if_missing or error.errno not in (errno.EINVAL, errno.ENODEV):
                self.voice.say(f"sendmsg: {os.strerror(error.errno or 0)}")

    def _put(self, link: Face, dst: int, said: ndp.RouterAdvertisement) -> None:
        ifa = next((each for each in self.ip6.addresses(link.dev) if each.address == link.source), None)
        if ifa is None or not ifa.usable:
            raise OSError(errno.EINVAL, ip6_text(link.source))
        self.sock.src = link.source
        try:
            self.sock.send(ndp.build_ra(link.source, dst, said), dst, link.dev)
        finally:
            self.sock.src = 0


@dataclass(slots=True)
class _Due:
    """A link's timer; an object, so that a copy of the network has its own."""

    daemon: Radvd
    link: Face

    def __call__(self) -> None:
        self.link.timer = None
        self.daemon.due(self.link)


def main(proc: Process) -> Generator[Any, Any, int]:
    """Advertise until a signal (-n), or go to the background."""
    try:
        asked = read(proc.argv[1:])
        run = Run(proc, asked)
        if asked.test:
            return 0
        run.start()
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    if not asked.foreground:
        return run.leave()
    if asked.pidfile:
        proc.note_pid(asked.pidfile)
    try:
        while (yield from run.waits()):
            if not run.reread():
                return 1
    except simpy.Interrupt:
        run.daemon.close()
        return 137
    run.end()
    proc.forget_pid(asked.pidfile)
    run.voice.say("returning from radvd main")
    return 0


class Run:
    """One run of the program: its configuration, its daemon, its signals."""

    def __init__(self, proc: Process, asked: Asked) -> None:
        self.proc, self.asked, self.voice = proc, asked, voice_of(proc, asked)
        if not asked.test:
            self.voice.say("version 2.19 started")
        network = proc.lab.network
        self.daemon = Radvd(network, network.netns[proc.netns], configured(proc, asked, self.voice), self.voice)

    def start(self) -> None:
        """Begin."""
        if not self.daemon.ip6.conf_all.get("forwarding"):
            self.voice.say("IPv6 forwarding setting is: 0, should be 1 or 2")
            self.voice.say("IPv6 forwarding seems to be disabled, but continuing anyway")
        self.daemon.start()

    def leave(self) -> int:
        """Go to the background; with -p a process stays that can be signalled."""
        if self.asked.pidfile:
            try:
                self.proc.detach(self.daemon.stop, self.asked.pidfile, {"SIGHUP": self.reread})
            except OSError as error:
                self.daemon.close()
                self.voice.say(f"unable to open pid file, {self.asked.pidfile}: {error.strerror}")
                return 255
        return 0

    def waits(self) -> Generator[Any, Any, bool]:
        """Until a signal: True for SIGHUP, False where it is to end."""
        try:
            yield self.proc.lab.env.event()
        except simpy.Interrupt as signal:
            if signal.cause == "SIGHUP":
                return True
            if signal.cause == "SIGKILL":
                raise
            self.voice.say(f"exiting, 1 {str(signal.cause).lower()}(s) received")
        return False

    def reread(self) -> bool:
        """Read the configuration again; False where it is wrong: then this is the end, and nobody is told."""
        self.voice.say("attempting to reread config file")
        try:
            self.daemon.reread(configured(self.proc, self.asked, self.voice))
        except Refused as refused:
            self.proc.write_err(str(refused))
            self.daemon.close()
            return False
        self.voice.say("resuming normal operation")
        return True

    def end(self) -> None:
        """Say that this is no router any more."""
        self.voice.say("sending stop adverts")
        self.daemon.stop()
        if self.asked.pidfile:
            self.voice.say(f"removing {self.asked.pidfile}")
