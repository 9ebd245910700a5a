"""radvd 2.19: router advertisements of a namespace; what they say is in `simvlan/radv/`. Mirrors radvd.c, process.c.

Real ones send an advertisement when they start, then up to two more after 16 seconds at most, then at random between
the two intervals; they answer solicitations, take note of changed links and addresses a second later, and say at the
end that they are routers no more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

from simvlan.radv import advert
from simvlan.radv.config import ConfigError, Interface, NotModelledError, Reader, settle
from simvlan.stack.ipv6 import icmp6, ndp
from simvlan.stack.ipv6.addr import ALL_NODES, ALL_ROUTERS, ip6_text, is_link_local
from simvlan.stack.ipv6.packet import ICMPV6
from simvlan.tools.common import SECOND, Refused, permute
from simvlan.tools.dhcp_io import Voice
from simvlan.tools.program import Process

SPEC = "d:C:l:m:p:t:u:vhcnf:"
INITIAL, INITIAL_INTERVAL = 3, 16.0
SETUP_DELAY = 1.0
DELAY_S = 0.5
"""MAX_RA_DELAY_SECONDS."""
HOPS = 255
TUNED = (("link_mtu", "conf", "mtu", 1280, 131_072), ("hop_limit", "conf", "hop_limit", 2, 255),
         ("reachable", "neigh", "base_reachable_time_ms", 100, 3_600_000),
         ("retrans", "neigh", "retrans_time_ms", 10, 3_600_000))  # fmt: skip
"""What radvd sets on its own interface as it advertises it: attribute, branch, key and bounds (privsep-linux.c)."""


@dataclass(eq=False)
class Link:
    """An interface and where its advertisements stand (struct state_info, struct times)."""

    conf: Interface
    changed: bool = True
    ready: bool = False
    sent: int = 0
    last_ns: int = 0
    last_multicast_ns: int = 0
    source: int = 0
    mac: int = 0
    room: int = 0
    known: list[int] = field(default_factory=list)
    dev: Any = None
    timer: Any = None


class Radvd:
    """The daemon of a namespace: its socket, its interfaces, its timers."""

    def __init__(self, network: Any, ns: Any, interfaces: list[Interface], voice: Voice) -> None:
        self.network, self.ns, self.voice = network, ns, voice
        self.ip6 = ns.stack.with_ip6()
        self.rng = Random(f"{network.seed}/radvd/{ns.name}")
        self.links = [Link(each) for each in interfaces]
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

    def stop(self) -> None:
        """Say everywhere that we are no router any more (stop_adverts), and close."""
        self.ceasing = True
        for link in self.links:
            if not link.conf.unicast_only:
                self._advertise(link, None)
        self.close()

    def close(self) -> None:
        """Close everything."""
        for link in self.links:
            if link.timer is not None:
                link.timer.cancel()
        if self._told in self.ns.listeners:
            self.ns.listeners.remove(self._told)
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    # -- interfaces -------------------------------------------------------------------------------------------------

    def _set_up(self, link: Link) -> bool:
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

    def _settled(self, link: Link) -> bool:
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

    def _addressed(self, link: Link) -> bool:
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

    def _tune(self, link: Link) -> None:
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
                link.changed, link.ready, link.sent = True, False, 0
                self._reschedule(link, 0)

    # -- time -------------------------------------------------------------------------------------------------------

    def _kick_off(self, link: Link) -> None:
        """The first advertisement (kickoff_adverts)."""
        link.last_ns = self.network.now
        if not link.conf.unicast_only:
            link.last_multicast_ns = self.network.now
            self._advertise(link, None)
            self._reschedule(link, min(INITIAL_INTERVAL, link.conf.max_interval))

    def _reschedule(self, link: Link, seconds: float) -> None:
        """When the next one comes: the first few soon, none for long where nothing can be sent (reschedule_iface)."""
        if not link.changed and not link.ready:
            seconds = 10 * link.conf.max_interval
        elif not seconds:
            seconds = SETUP_DELAY
        elif link.sent < INITIAL:
            seconds = min(INITIAL_INTERVAL, link.conf.max_interval)
        self._wait(link, seconds)

    def _wait(self, link: Link, seconds: float) -> None:
        if link.timer is not None:
            link.timer.cancel()
        link.timer = self.network.at(self.network.now + round(seconds * SECOND), _Due(self, link))

    def due(self, link: Link) -> None:
        """An advertisement is due (timer_handler)."""
        self._advertise(link, None)
        self._reschedule(link, self._between(link))

    def _between(self, link: Link) -> float:
        least, most = max(link.conf.min_interval, 0.0), link.conf.max_interval
        return least + (most - least) * self.rng.random()

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

    def _solicited(self, link: Link, got: Any) -> None:
        """Answer: to who asks, or to all, but to all no more often than every three seconds (process_rs)."""
        found = ndp.parse_rs(got.data) if got.ttl == HOPS else None
        if found is None or (not got.src and ndp.read_mac(found, ndp.SLLA) is not None):
            return
        delay = DELAY_S * self.rng.random()
        since = (self.network.now - link.last_multicast_ns) / SECOND
        if link.conf.unicast_only or (link.conf.solicited_unicast and got.src):
            self._advertise(link, got.src)
        elif since < link.conf.min_delay:
            self._reschedule(link, link.conf.min_delay - since + delay)
        else:
            self._advertise(link, None)
            self._reschedule(link, self._between(link))

    # -- advertisements ---------------------------------------------------------------------------------------------

    def _advertise(self, link: Link, dst: int | None) -> None:
        """Advertise to one, to all, or to each of the clients that are listed (send_ra_forall)."""
        if link.changed:
            self._set_up(link)
        if not link.ready:
            return
        link.sent = min(link.sent + 1, INITIAL)
        clients = link.conf.clients
        if clients:
            for each in clients:
                if dst in (None, each):
                    self._send(link, each)
        elif dst is not None or not link.conf.unicast_only:
            self._send(link, dst)

    def _send(self, link: Link, dst: int | None) -> None:
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

    def _put(self, link: Link, dst: int, said: ndp.RouterAdvertisement) -> None:
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
    link: Link

    def __call__(self) -> None:
        self.link.timer = None
        self.daemon.due(self.link)


# -- the command line -------------------------------------------------------------------------------------------------


METHODS = ("syslog", "stderr_syslog", "stderr", "stderr_clean", "logfile", "none")


@dataclass
class Asked:
    """What the command line asked for."""

    config: str = "/etc/radvd.conf"
    foreground: bool = False
    test: bool = False
    method: str = ""
    logfile: str = ""
    pidfile: str = ""


def read(words: list[str]) -> Asked:
    """Read a command line.

    Raises:
        Refused: an option that is unknown or not modelled; the text names it.
    """
    asked = Asked()
    given, _, fault = permute(words, SPEC)
    if fault is not None:
        raise Refused(f"radvd: {fault}\n")
    for letter, value in given:
        match letter:
            case "C":
                asked.config = value
            case "n":
                asked.foreground = True
            case "c":
                asked.test = True
            case "p":
                asked.pidfile = value
            case "l":
                asked.logfile = value
            case "m" if value in METHODS:
                asked.method = value
            case "m":
                raise Refused(f"radvd: unknown log method: {value}\n")
            case "u" | "f":
                pass  # whose rights it has changes no frame
            case "d" if value == "0":
                pass
            case _:
                raise Refused(f"simvlan: radvd: -{letter} {value} is not modelled\n".replace("  ", " "), 95)
    if asked.pidfile and not asked.foreground:
        raise Refused("simvlan: radvd: -p without -n is not modelled, no process has that pid: use -n and &\n", 95)
    return asked


def voice_of(proc: Process, asked: Asked) -> Voice:
    """Where what is said goes: lines on standard error with -n or -m stderr, a file, or nobody reads it."""
    method = asked.method or ("stderr" if asked.foreground else "stderr_syslog")
    if asked.test and method != "stderr_clean":
        method = "stderr"
    if method == "stderr_clean":
        return Voice(proc.write_err)
    if method == "stderr" or (method == "logfile" and asked.logfile):
        if method == "stderr":
            return Voice(lambda text: proc.write_err(stamp(proc) + text))
        return Voice(lambda text: _append(proc, asked.logfile, stamp(proc) + text))
    return Voice()


def stamp(proc: Process) -> str:
    """What stands before a line, with the lab's time."""
    now = time.strftime("%b %d %H:%M:%S", time.gmtime(int(proc.lab.env.now) // SECOND))
    return f"[{now}] radvd ({proc.pid}): "


def _append(proc: Process, name: str, text: str) -> None:
    with proc.open(name, "ab") as file:
        file.write(text.encode())


def configured(proc: Process, asked: Asked, voice: Voice) -> list[Interface]:
    """Read the configuration.

    Raises:
        Refused: it cannot be read, or is wrong.
    """
    text, problem = _text(proc, asked.config)
    if not asked.test:
        voice.say("version 2.19 started")
    if problem:
        voice.say(f"can't open {asked.config}: {problem}")
        voice.say("exiting, permissions on conf_file invalid")
        raise Refused("")
    return parsed(proc, Reader(text, asked.config), asked, voice)


def _text(proc: Process, name: str) -> tuple[str, str]:
    """A file's text, or why there is none."""
    if not name.startswith("/dev/") and not proc.exists(name):
        return "", os.strerror(errno.ENOENT)
    try:
        return proc.read_file(name).decode(errors="replace"), ""
    except OSError as error:
        return "", error.strerror or ""


def parsed(proc: Process, reader: Reader, asked: Asked, voice: Voice) -> list[Interface]:
    """What the configuration says; a syntax error is told whatever the log method is."""
    try:
        found = reader.file()
    except NotModelledError as error:
        raise Refused(f"simvlan: radvd: {error}\n", 95) from None
    except ConfigError as error:
        text = str(error)
        if text.endswith("syntax error"):
            proc.write_err(text + "\n")
        else:
            voice.say(text)
        voice.say("exiting, failed to read config file")
        raise Refused("") from None
    for said in reader.said:
        voice.say(said)
    if asked.test:
        voice.say(f"config file, {asked.config}, syntax ok")
    return found


def main(proc: Process) -> Generator[Any, Any, int]:
    """Advertise until a signal (-n), or go to the background."""
    network, ns = proc.lab.network, proc.lab.network.netns[proc.netns]
    try:
        asked = read(proc.argv[1:])
        voice = voice_of(proc, asked)
        interfaces = configured(proc, asked, voice)
        if asked.test:
            return 0
        daemon = Radvd(network, ns, interfaces, voice)
        if not daemon.ip6.conf_all.get("forwarding"):
            voice.say("IPv6 forwarding setting is: 0, should be 1 or 2")
            voice.say("IPv6 forwarding seems to be disabled, but continuing anyway")
        if asked.pidfile:
            with proc.open(asked.pidfile) as file:
                file.write(f"{proc.pid}\n".encode())
        daemon.start()
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    if not asked.foreground:
        return 0
    try:
        yield proc.lab.env.event()
    except simpy.Interrupt as signal:
        if signal.cause == "SIGKILL":
            daemon.close()
            return 137
        voice.say(f"exiting, 1 {str(signal.cause).lower()}(s) received")
    voice.say("sending stop adverts")
    daemon.stop()
    if asked.pidfile:
        voice.say(f"removing {asked.pidfile}")
        os.unlink(proc.path(asked.pidfile))
    voice.say("returning from radvd main")
    return 0
