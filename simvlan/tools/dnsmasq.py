"""dnsmasq 2.90: a DHCP and DNS server in a namespace; the rules are in `simvlan/dhcp/server.py` and `simvlan/dns/`."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from random import Random
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.asking import Interface
from simvlan.dhcp.leases import FOREVER, Reservation
from simvlan.dhcp.message import Message
from simvlan.dhcp.server import Action, Log, Probe, Reply, Server
from simvlan.dns.message import PORT
from simvlan.dns.zone import Zone
from simvlan.stack.family import DONT
from simvlan.stack.ipv6.addr import ip6_text
from simvlan.stack.packet import checksum
from simvlan.tools.common import Refused
from simvlan.tools.dhcp_io import Voice
from simvlan.tools.dhcp_serving import Port67, RelayService
from simvlan.tools.dns_service import DnsService
from simvlan.tools.dnsmasq_options import Asked, read
from simvlan.tools.hosts import Host, literal
from simvlan.tools.names import etc_file
from simvlan.tools.program import Process
from simvlan.tools.ra_service import RaAsked, RaService

PROBE_NS = 3 * SECOND
"""PING_WAIT."""


class DhcpService(Port67):
    """A DHCP server on the interfaces of a namespace: sockets, probes, replies."""

    def __init__(self, network: Any, ns: Any, asked: Asked, voice: Voice) -> None:
        super().__init__(network, ns)
        self.asked, self.voice = asked, voice
        self.server = Server(asked.dhcp)
        self.shared = asked.bound or bool(asked.relays)  # a relay beside it has a socket of its own here
        self.rng = Random(f"{network.seed}/dnsmasq/{ns.name}")
        self.raw: Any = None
        self.waiting: deque[tuple[Message, Any, bool]] = deque()
        self.probing: tuple[Message, Any, int, int] | None = None
        """The message that waits for a probe, its device, the address, the echo's identifier."""
        self.timer: Any = None

    def stop(self) -> None:
        """Close everything."""
        super().stop()
        if self.raw is not None:
            self.raw.close()
        if self.timer is not None:
            self.timer.cancel()

    # -- hearing ----------------------------------------------------------------------------------------------------

    def take(self, msg: Message, dev: Any, unicast: bool) -> None:
        """Take a message, in its turn."""
        if self._serves(dev):
            self.waiting.append((msg, dev, unicast))
            self._serve()

    def _serves(self, dev: Any) -> bool:
        asked = self.asked
        listens = {host.address for host in map(literal, asked.listen) if host is not None and host.family == 4}
        wanted = dev.name in asked.interfaces or any(ifa.local in listens for ifa in self.ns.stack.addresses(dev))
        anywhere = not asked.interfaces and not asked.listen
        return dev.name not in asked.excepted and (anywhere or wanted) and bool(dev.kind)

    def _serve(self) -> None:
        """One message after the other; a probe holds up those behind it."""
        while self.waiting and self.probing is None:
            msg, dev, unicast = self.waiting.popleft()
            here = self._interface(dev, unicast)
            if here is not None:
                self._perform(self.server.receive(msg, here, self._now_s), msg, dev)

    @property
    def _now_s(self) -> int:
        return int(self.network.now // SECOND)

    def _interface(self, dev: Any, unicast: bool = False) -> Interface | None:
        ifa = next(iter(self.ns.stack.addresses(dev)), None)
        if ifa is None:
            return None
        mask = 0xFFFF_FFFF << (32 - ifa.prefixlen) & 0xFFFF_FFFF
        return Interface(dev.name, ifa.local, mask, unicast)

    # -- doing ------------------------------------------------------------------------------------------------------

    def _perform(self, actions: Sequence[Action], msg: Message, dev: Any) -> None:
        for action in actions:
            match action:
                case Log(text, fault):
                    if fault or not self.asked.quiet:
                        self.voice.say(f"dnsmasq-dhcp: {text}")
                case Probe(address):
                    self._probe(msg, dev, address)
                case Reply(reply):
                    with contextlib.suppress(OSError):
                        self._reply(reply, dev)
        if self.asked.leasefile:
            self.voice.write(self.asked.leasefile, self.leases())

    def _reply(self, reply: Message, dev: Any) -> None:
        if reply.giaddr:
            self.sock.send(reply.pack(), reply.giaddr, m.SERVER_PORT)
        else:
            self.to_client(reply, dev)

    def _probe(self, msg: Message, dev: Any, address: int) -> None:
        """Ping an address before it is offered (icmp_ping)."""
        ident = self.rng.getrandbits(16)
        self.probing = (msg, dev, address, ident)
        self.raw = self.ns.stack.open_raw(1)
        self.raw.pmtudisc = DONT
        self.raw.on_receive = self._echoed
        body = b"\x08\0" + bytes(2) + ident.to_bytes(2, "big") + bytes(22)
        with contextlib.suppress(OSError):
            self.raw.send(body[:2] + checksum(body).to_bytes(2, "big") + body[4:], address)
        self.timer = self.network.at(self.network.now + PROBE_NS, self._probe_over)

    def _echoed(self, _socket: object) -> None:
        self.network.at(self.network.now, self._look)

    def _look(self) -> None:
        while self.raw is not None and self.raw.queue and self.probing is not None:
            got = self.raw.queue.popleft()
            body = got.data[(got.data[0] & 15) * 4 :]
            _, _, address, ident = self.probing
            if got.src == address and body[:1] == b"\0" and body[4:6] == ident.to_bytes(2, "big"):
                self._probed(True)

    def _probe_over(self) -> None:
        self._probed(False)

    def _probed(self, answered: bool) -> None:
        if self.probing is None:
            return
        msg, dev, address, _ = self.probing
        self.timer.cancel()
        self.raw.close()
        self.raw = self.probing = None
        here = self._interface(dev)
        if here is not None:
            self._perform(self.server.probed(msg, here, address, answered, self._now_s), msg, dev)
        self._serve()

    def leases(self) -> str:
        """The lease file: expiry, MAC, address, name, client identifier."""
        lines = []
        for lease in self.server.leases:
            where, client = IPv4Address(lease.address), lease.client.hex(":") or "*"
            lines.append(f"{lease.expires_s or 0} {lease.mac.hex(':')} {where} {lease.name or '*'} {client}\n")
        return "".join(lines)


def spoken(seconds: int) -> str:
    """A lease time as dnsmasq says it: `1h`, `1d12h`, `infinite`."""
    if seconds == FOREVER:
        return "infinite"
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def greeting(asked: Asked, made: Sequence[tuple[int, str]] = ()) -> str:
    """What dnsmasq says when it starts; *made*: the networks of constructed ranges, and their devices."""
    dns = "cachesize 150" if asked.port else "DNS disabled"
    lines = [f"dnsmasq: started, version 2.90 {dns}\n"]
    for each in reversed(asked.dhcp.ranges):
        first, last, time = IPv4Address(each.first), IPv4Address(each.last), spoken(each.lease_s)
        what = f"static leases only on {first}" if each.static else f"IP range {first} -- {last}"
        lines.append(f"dnsmasq-dhcp: DHCP, {what}, lease time {time}\n")
    for found in reversed(asked.ra):
        lines.append(f"dnsmasq-dhcp: router advertisement on {found.device or ip6_text(found.network)}\n")
    for network, name in made:
        lines.append(f"dnsmasq-dhcp: router advertisement on {ip6_text(network)}, constructed for {name}\n")
    lines += ["dnsmasq-dhcp: IPv6 router advertisement enabled\n"] if asked.ra else []
    return "".join(lines)


def main(proc: Process) -> Generator[Any, Any, int]:
    """Serve until a signal (-d, -k), or go to the background."""
    network, ns = proc.lab.network, proc.lab.network.netns[proc.netns]
    try:
        asked = read(proc.argv[1:], lambda name: proc.read_file(name).decode(errors="replace"))
        _check(asked, ns)
        services = _services(proc, network, ns, asked)
        _start(services, asked, ns)
        _hold(proc, services)
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    if not asked.foreground:
        return _leave(proc, asked, services)
    pidfile = "" if asked.debug else asked.pidfile
    if pidfile:
        proc.note_pid(pidfile)
    absent = [name for name in asked.interfaces if name not in ns.devices]
    warnings = "".join(f"dnsmasq: warning: interface {name} does not currently exist\n" for name in absent)
    made = [each for service in services if isinstance(service, RaService) for each in service.constructed()]
    proc.write_err(greeting(asked, made) + warnings if asked.aloud else "")
    while True:
        try:
            yield proc.lab.env.event()
        except simpy.Interrupt as signal:
            if signal.cause == "SIGHUP":
                _read_again(proc, asked, services)
                continue
            if signal.cause != "SIGKILL" and asked.aloud:
                proc.write_err("dnsmasq: exiting on receipt of SIGTERM\n")
            break
    for service in services:
        service.stop()
    proc.forget_pid(pidfile)
    return 0


def _read_again(proc: Process, asked: Asked, services: list[Any]) -> bool:
    """SIGHUP: read the files of names again; one that is gone has none."""
    for service in services:
        if isinstance(service, DnsService):
            with contextlib.suppress(Refused):
                service.zone = zone_of(proc, asked)
                _tell_names(asked, service.zone)
    return True


def _start(services: list[Any], asked: Asked, ns: Any) -> None:
    """Open the sockets; who finds a port taken says which, and nothing is left open."""
    try:
        for service in services:
            service.start()
    except OSError as error:
        where = f"failed to create listening socket for {_listening(asked, ns)}"
        if isinstance(service, Port67):
            where = "failed to bind DHCP server socket"
        for each in services:
            each.stop()
        raise Refused(f"\ndnsmasq: {where}: {error.strerror}\n", 2) from None


def _hold(proc: Process, services: list[Any]) -> None:
    """Say whose the sockets are, by the numbers they have in the real one (its others are TCP's and raw ones)."""
    dhcp = [service.sock for service in services if isinstance(service, Port67)]
    for sock in dhcp:
        proc.hold(sock, 4)
    asked = [sock for service in services if isinstance(service, DnsService) for sock in service.socks]
    for at, sock in enumerate(asked):
        proc.hold(sock, (6 if dhcp else 4) + 2 * at)


def _listening(asked: Asked, ns: Any) -> str:
    """What the first socket for questions is bound to."""
    devices = [ns.devices[name] for name in asked.interfaces if name in ns.devices] if asked.bound else []
    own = [str(IPv4Address(ifa.local)) for dev in devices for ifa in ns.stack.addresses(dev)]
    return next(iter([*own, *(asked.listen if asked.bound else ())]), f"port {asked.port}")


def _leave(proc: Process, asked: Asked, services: list[Any]) -> int:
    """Go on in the background, or not at all where the file for the process number cannot be written."""

    def stop() -> None:
        for service in services:
            service.stop()

    try:
        proc.detach(stop, asked.pidfile, {"SIGHUP": lambda: _read_again(proc, asked, services)})
    except OSError as error:
        stop()
        proc.write_err(f"\ndnsmasq: failed to open pidfile {asked.pidfile}: {error.strerror}\n")
        return 3
    return 0


def _services(proc: Process, network: Any, ns: Any, asked: Asked) -> list[Any]:
    voice = Voice(proc.write_err if asked.aloud else None, write=lambda name, text: _write(proc, name, text))
    dhcp = DhcpService(network, ns, asked, voice) if asked.dhcp.ranges else None
    made: list[Any] = [dhcp] if dhcp is not None else []
    if asked.ra:
        faces, out = asked.interfaces, asked.excepted
        ra = RaAsked(asked.ra, asked.ra_params, faces, out, asked.port == PORT, asked.quiet_ra)
        made.append(RaService(network, ns, ra, voice))
    if asked.relays:
        made.append(RelayService(network, ns, asked.relays, []))
    if asked.port:
        servers = [host for host in map(literal, asked.servers) if host is not None]
        dns = DnsService(network, ns, zone_of(proc, asked), servers, asked.interfaces)
        _tell_names(asked, dns.zone)
        dns.port = asked.port
        dns.excepted, dns.bogus, dns.full = asked.excepted, asked.bogus, asked.full
        dns.listens = [host for host in map(literal, asked.listen) if host is not None]
        usual = servers[0] if servers else None
        dns.forward = [(domain, usual if who == "#" else literal(who)) for domain, who in asked.forward]
        dns.leases = dhcp.server.leases if dhcp is not None else None
        made.append(dns)
    return made


def zone_of(proc: Process, asked: Asked) -> Zone:
    """What the command line says of names, then the namespace's hosts file (the machine's own is not the lab's)."""
    zone, domain = Zone(), asked.domain if asked.expand else ""
    for place, found in asked.addresses:
        known = ip_address(found or "0.0.0.0")
        (zone.domains if known.version == 4 else zone.domains6).append((place, int(known)))
    for names, addresses in asked.records:
        for name in names:
            for address in addresses:
                zone.enter(name, ip_address(address))
    if not asked.no_hosts:
        zone.read_hosts(etc_file(proc, "hosts") or "", domain)
    for path in asked.hosts:
        try:
            zone.read_hosts(proc.read_file(path).decode(errors="replace"), domain)
        except OSError as error:
            raise Refused(f"dnsmasq: failed to load names from {path}: {error.strerror}\n") from None
    return zone


def _tell_names(asked: Asked, zone: Zone) -> None:
    """Tell the DHCP server what addresses are called, and where reservations that only have a name lie."""
    config = asked.dhcp
    config.names.clear()
    for name, addresses in zone.hosts.items():
        for address in addresses:
            config.names.setdefault(address, name)
    for address, name in list(config.names.items()):
        short, dot, domain = name.partition(".")
        config.names[address] = "" if dot and domain != asked.domain.lower() else short
    taken = {each.address for each in asked.reserved}
    config.reservations[:] = [_placed(each, zone, taken) for each in asked.reserved]


def _placed(kept: Reservation, zone: Zone, taken: set[int]) -> Reservation:
    """A reservation at the first address of its name, unless it has one or another has that (dhcp_update_configs)."""
    found = zone.hosts.get(kept.name.lower()) if kept.name and not kept.address else None
    if not found or found[0] in taken:
        return kept
    taken.add(found[0])
    return replace(kept, address=found[0])


def _write(proc: Process, name: str, text: str) -> None:
    with proc.open(name) as file:
        file.write(text.encode())


def _check(asked: Asked, ns: Any) -> None:
    unknown = [name for name in asked.interfaces if name not in ns.devices]
    if unknown and asked.bound:
        raise Refused(f"\ndnsmasq: unknown interface {unknown[0]}\n", 2)
    for address in asked.listen:
        host = literal(address)
        if asked.bound and (host is None or not _own(ns.stack, host)):
            why = os.strerror(errno.EADDRNOTAVAIL)
            raise Refused(f"\ndnsmasq: failed to create listening socket for {address}: {why}\n", 2)


def _own(stack: Any, host: Host) -> bool:
    if host.family == 6 and stack.ip6 is None:
        return False
    return bool(stack.family_of(host.family).is_own(host.address, host.device(stack)))
