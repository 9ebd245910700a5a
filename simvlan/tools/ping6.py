"""ping of iputils 20221126 for IPv6: what differs from IPv4 in what it sends and prints (ping6_common.c)."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from typing import Any

from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import LOOPBACK, ip6_text, is_link_local, is_multicast, multicast_scope, parse_ip6
from simvlan.tools.hosts import Host
from simvlan.tools.ping import Ping, no_way
from simvlan.tools.ping_options import Refused

_UNREACHABLE = (
    "No route", "Administratively prohibited", "Beyond scope of source address", "Address unreachable",
    "Port unreachable",
)  # fmt: skip
_PARAMETER = ("Wrong header field ", "Unknown header ", "Unknown option ")


class Ping6(Ping):
    """One run. `zone` is the device of a link-local address: given with it, or the route's."""

    request = icmp6.ECHO
    zone: Any = None

    family = 6

    def _address(self, host: Host) -> int:
        self.given, self.given_zone = host.address, host.zone
        if host.zone:
            self.zone = self._devices()[host.zone]
        return host.address or 1  # :: is this host

    def _devices(self) -> dict[str, Any]:
        found: dict[str, Any] = self.proc.lab.network.netns[self.proc.netns].devices
        return found

    def _open(self) -> None:
        ip6 = self.stack.ip6
        if ip6 is None:
            raise no_way(errno.ENETUNREACH)  # no device has IPv6
        self.ip6: Any = ip6
        self.sock = self.stack.open_ping(6)

    # -- set up -----------------------------------------------------------------------------------------------------

    def prepare(self) -> Generator[Any, Any, None]:
        """Bind, look for a route, say what is going to happen."""
        options, sock = self.options, self.sock
        sock.pmtudisc, sock.tos, sock.mc_loop = options.pmtudisc, options.tos, not options.no_loop
        sock.ttl, sock.mc_ttl = options.ttl or 0, options.ttl or 1
        named = self._bind()
        source = self._source()
        if named and source not in (ifa.address for ifa in self.ip6.addresses(sock.bind_dev)):
            self._error(f"Warning: source address might be selected on device other than: {options.interface}")
        sock.errors_reported = True
        sock.on_receive = self._hear
        if options.pattern and not options.quiet:
            self.proc.write(f"PATTERN: 0x{options.pattern.hex()}\n")
        origin = f"from {ip6_text(source)} {options.interface if named else ''}: " if options.interface else ""
        yield from self._ask_name(self.address)
        whom = self._text(self.given, self._devices().get(self.given_zone))
        self.proc.write(f"PING {options.target}({whom}) {origin}{options.size} data bytes\n")

    def _bind(self) -> bool:
        name = self.options.interface
        if not name:
            return False
        if ":" in name:
            return self._bind_address(name)
        dev = self._devices().get(name)
        if dev is None:
            raise Refused(f"ping: unknown iface: {name}\n")
        self.sock.bind_dev = dev
        return True

    def _bind_address(self, text: str) -> bool:
        try:
            self.sock.bind_dev = self._devices().get(text.partition("%")[2]) or self.sock.bind_dev
            self.sock.bind(parse_ip6(text.partition("%")[0]))
        except ValueError:
            raise Refused(f"ping: unknown iface: {text}\n") from None
        except OSError as error:
            raise Refused(f"ping: bind icmp socket: {os.strerror(error.errno or 0)}\n") from None
        return False

    def _source(self) -> int:
        """The source, as a connected UDP socket finds it; of an address of one link ping does not ask."""
        local = is_link_local(self.address) or (is_multicast(self.address) and multicast_scope(self.address) <= 2)
        dev = self.zone or self.sock.bind_dev
        found = self.ip6.output.find(self.address or LOOPBACK, self.sock.src, dev, bound=dev is not None)
        if isinstance(found, int):
            raise no_way(found)
        if local and dev is None:
            self.zone = found.dev
        return self.sock.src or (0 if local else int(found.src))

    # -- sending and receiving --------------------------------------------------------------------------------------

    def _send(self, octets: bytes) -> None:
        self.sock.send(octets, self.address, self.zone)

    def _failed_to_send(self, number: int) -> None:
        if number == errno.EMSGSIZE or not self.options.quiet:
            super()._failed_to_send(number)

    def _too_long(self) -> str:
        return f"local error: message too long, mtu: {self.sock.route(self.address, self.zone).path_mtu}"

    def _reply(self, got: Any) -> None:
        if got.data[:1] == bytes((icmp6.ECHO_REPLY,)):
            super()._reply(got)

    def _source_text(self, got: Any) -> str:
        return self._text(got.src, got.dev)

    def _text(self, address: int, dev: Any) -> str:
        """An address, with its device where it means something on one link only, behind its name if it has one."""
        linked = is_link_local(address) or (is_multicast(address) and multicast_scope(address) == 2)
        zone = f"%{dev.name}" if dev is not None and linked else ""
        return self._with_name(address, ip6_text(address) + zone)

    # -- errors -----------------------------------------------------------------------------------------------------

    def _quoted_number(self, about: bytes) -> int:
        found = packet.skip_extensions(about, about[6]) if len(about) > packet.HEADER else None
        return int.from_bytes(about[found.at + 6 : found.at + 8], "big") if found else 0

    def _offender(self, problem: Any) -> str:
        dev = self.zone or self.sock.bind_dev
        return self._text(problem.offender, dev or self.sock.route(self.address).dev)

    def _error_text(self, problem: Any) -> str:
        """Say what an ICMPv6 error says (print_icmp of ping6_common.c)."""
        code = problem.code
        if problem.type == icmp6.UNREACH:
            known = _UNREACHABLE[code] if code < len(_UNREACHABLE) else f"Unknown code {code}"
            return f"Destination unreachable: {known}"
        if problem.type == icmp6.TOO_BIG:
            return f"Packet too big: mtu={problem.info}" + (f", code={code}" if code else "")
        if problem.type == icmp6.TIME_EXCEEDED:
            return "Time exceeded: " + {0: "Hop limit", 1: "Defragmentation failure"}.get(code, f"code {code}")
        known = _PARAMETER[code] if code < len(_PARAMETER) else f"code {code} "
        return f"Parameter problem: {known}at {problem.info}"
