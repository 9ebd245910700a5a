"""ping of iputils 20221126: what it sends, when, and every line it prints, in virtual time; IPv6 is in ping6.py.

An ICMP socket of the namespace's stack carries the echoes, so identifiers are counted and runs repeat exactly.
"""

from __future__ import annotations

import errno
import math
import os
import struct
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.clock import MILLISECOND, SECOND
from simvlan.tools.common import Waiter, dotted, resolve
from simvlan.tools.hosts import Host
from simvlan.tools.names import look_up, name_of
from simvlan.tools.ping_options import VERSION, Options, Refused, parse
from simvlan.tools.ping_text import REDIRECTS, error_text, milliseconds
from simvlan.tools.ping_whom import candidates, is_address
from simvlan.tools.program import Process


class Unreachable(Refused):
    """There is no way to an address: another one of the same name may be tried."""


class Ping:
    """One run: the socket, what was sent and came back, and the lines about it.

    Args:
        host: whom the target means.
        shown: what IPv4's lines call it: the full name, if the first of the name's addresses is this one.
    """

    family = 4

    def __init__(self, proc: Process, options: Options, host: Host, shown: str) -> None:
        self.proc, self.options, self.shown = proc, options, shown
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        self.waiter = Waiter(proc)
        self.numeric = options.numeric or is_address(options.target)
        self.named: dict[int, str] = {}
        """The names of addresses, where they have one."""
        self.address = self._address(host)
        self.sock: Any = None
        self.raw: Any = None
        self._open()
        self.sent = self.received = self.errors = self.repeats = self.pipe = 0
        self.heard: list[Any] = []
        self.seen: set[int] = set()
        self.times: list[int] = []
        self.ewma = 0
        self.first = self.last = 0
        self.interval_ns = 0 if options.flood else options.interval_ns

    @property
    def now(self) -> int:
        """The current time in ns."""
        return int(self.proc.lab.env.now)

    # -- set up -----------------------------------------------------------------------------------------------------

    def _address(self, host: Host) -> int:
        return host.address or 0x7F00_0001  # 0.0.0.0 is this host

    def _open(self) -> None:
        """Open the ICMP socket, and one that hears of redirects."""
        self.sock, self.raw = self.stack.open_ping(), self.stack.open_raw(1)

    def prepare(self) -> Generator[Any, Any, None]:
        """Bind, look for a route as a connected UDP socket does, say what is going to happen."""
        yield from ()  # IPv6 asks for the address's name
        options, sock = self.options, self.sock
        sock.pmtudisc, sock.tos, sock.mc_loop = options.pmtudisc, options.tos, not options.no_loop
        named = self._bind()
        if options.ttl == 0:
            raise Refused("ping: cannot set unicast time-to-live: Invalid argument\n")
        sock.ttl = options.ttl or 0
        sock.mc_ttl = options.ttl or 1
        source = self._source()
        self._check_size()
        if named and source not in (each.local for each in self.stack.addresses(sock.bind_dev)):
            self._error(f"Warning: source address might be selected on device other than: {options.interface}.")
        sock.errors_reported = True
        sock.on_receive = self.raw.on_receive = self._hear
        if options.pattern and not options.quiet:
            self.proc.write(f"PATTERN: 0x{options.pattern.hex()}\n")
        origin = f"from {dotted(source)} {options.interface if named else ''}: " if options.interface else ""
        sizes = f"{options.size}({options.size + 28}) bytes of data."
        self.proc.write(f"PING {self.shown} ({dotted(self.address)}) {origin}{sizes}\n")

    def _check_size(self) -> None:
        """Refuse what overflows the length of the buffer; warn of what the socket's would not hold (sock_setbufs)."""
        size = self.options.size
        if size + _HEADERS > 0x7FFF_FFFF:
            raise Refused("ping: memory allocation failed: Cannot allocate memory\n")
        held = size + 8 + (size + 8 + 511) // 512 * _PER_BLOCK
        if held > _RECEIVE_BUFFER:
            self._error("WARNING: probably, rcvbuf is not enough to hold preload")

    def _bind(self) -> bool:
        """Bind as -I asks; True when it named a device."""
        name = self.options.interface
        if not name:
            return False
        address = resolve(name)
        if address is not None:
            try:
                self.sock.bind(address)
            except OSError as error:
                raise Refused(f"ping: bind: {os.strerror(error.errno or 0)}\n") from None
            return False
        dev = self.proc.lab.network.netns[self.proc.netns].devices.get(name)
        if dev is None:
            raise Refused(f"ping: SO_BINDTODEVICE {name}: No such device\n")
        self.sock.bind_dev = dev
        return True

    def _source(self) -> int:
        try:
            return int(self.sock.way(self.address).src)
        except OSError as error:
            if error.errno != errno.EACCES:
                raise no_way(error.errno or 0) from None
        if not self.options.broadcast:
            raise Refused("ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules\n")
        self.proc.write_err("WARNING: pinging broadcast address\n")
        self.sock.broadcast = True
        return int(self.sock.way(self.address).src)

    def close(self) -> None:
        """Close the sockets."""
        for each in (self.sock, self.raw):
            if each is not None:
                each.close()

    # -- sending ----------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Send the next echo request."""
        if self.options.outstanding and self.sent and self.sent & 0xFFFF not in self.seen:
            self._line(f"no answer yet for icmp_seq={self.sent & 0xFFFF}")
        self.last = self.now
        if not self.sent:
            self.first = self.now
        self.sent += 1
        octets = struct.pack("!BBHHH", self.request, 0, 0, 0, self.sent & 0xFFFF) + self._data()
        if self.options.flood and not self.options.quiet:
            self.proc.write(".")
        try:
            self._send(octets)
        except OSError as error:
            self._failed_to_send(error.errno or 0)

    request = 8
    """The type of an echo request."""

    def _send(self, octets: bytes) -> None:
        self.sock.send(octets, self.address)

    def _data(self) -> bytes:
        size, pattern = min(self.options.size, 0x10000), self.options.pattern  # longer is refused all the same
        data = (pattern * (size // len(pattern) + 1))[:size] if pattern else bytes(i & 255 for i in range(size))
        if size < 16:
            return data
        return struct.pack("<QQ", self.now // SECOND, self.now % SECOND // 1000) + data[16:]

    def _failed_to_send(self, number: int) -> None:
        if self.options.size + 8 > 0xFFFF:
            return  # longer than any message: ping_v4_sendmsg refuses before there is a path to tell of
        if number == errno.EMSGSIZE:
            self.errors += 1
            if not self.options.quiet:
                self._error(self._too_long())
        elif number not in (errno.ENOBUFS, errno.EPERM) and not self.options.quiet:  # a filter's no is not told
            self._error(f"sendmsg: {os.strerror(number)}")

    def _too_long(self) -> str:
        return f"local error: message too long, mtu={self.sock.route(self.address).path_mtu}"

    # -- receiving --------------------------------------------------------------------------------------------------

    def collect(self) -> Generator[Any, Any, None]:
        """Take everything that has arrived; asking for a name takes its time."""
        while self.sock.errors:
            problem = self.sock.errors.popleft()
            if not self.options.quiet and not self.options.flood:
                yield from self._ask_name(problem.offender)
            self._icmp_error(problem)
        for heard in self.heard:
            if heard.queue:  # empty where an error was heard of
                got = heard.queue.popleft()
                if heard is self.sock or self._is_redirect(got):
                    yield from self._ask_name(got.src)
                    (self._redirect if heard is self.raw else self._reply)(got)
                if self.answered:
                    break  # what else came is left unread
        self.heard.clear()

    def _ask_name(self, address: int) -> Generator[Any, Any, None]:
        """Ask for the name of an address, each time anew (pr_addr)."""
        if not self.numeric:
            self.named[address] = yield from name_of(self.proc, Host(self.family, address))

    def _with_name(self, address: int, text: str) -> str:
        name = self.named.get(address)
        return f"{name} ({text})" if name else text

    def _hear(self, socket: Any) -> None:
        """Note which socket has got something, in the order of arrival: Linux' ping reads everything from one."""
        self.heard.append(socket)
        self.waiter.heard(socket)

    def _acknowledge(self, seq: int) -> None:
        behind = (self.sent - seq) & 0xFFFF
        if behind <= 0x7FFF:
            self.pipe = max(self.pipe, behind + 1)

    def _reply(self, got: Any) -> None:
        octets = got.data
        seq = int.from_bytes(octets[6:8], "big")
        self._acknowledge(seq)
        again = seq in self.seen
        self.seen.add(seq)
        self.repeats += again
        self.received += not again
        took = self._round_trip(octets, got.time_ns)
        if self.options.quiet:
            return
        if self.options.flood:
            self.proc.write("\b \b")
            return
        shown = self._source_text(got)
        ident = f" ident={self.sock.port}" if self.options.verbose else ""
        text = f"{len(octets)} bytes from {shown}: icmp_seq={seq}{ident} ttl={got.ttl}"
        text += "" if took is None else f" time={milliseconds(took)} ms"
        self._line(text + (" (DUP!)" if again else ""))

    def _source_text(self, got: Any) -> str:
        return self._with_name(got.src, dotted(got.src))

    def _round_trip(self, octets: bytes, arrived: int) -> int | None:
        """Return the time the reply took in microseconds, from the time it carries."""
        if self.options.size < 16 or len(octets) < 24:
            return None
        seconds, micros = struct.unpack_from("<QQ", octets, 8)
        took: int = max(0, arrived // 1000 - (seconds * 1_000_000 + micros))
        self.times.append(took)
        self.ewma = self.ewma + took - self.ewma // 8 if self.ewma else took * 8
        if self.options.adaptive:
            self.interval_ns = (self.ewma // 8 + 500) // 1000 * MILLISECOND
        return took

    def _icmp_error(self, problem: Any) -> None:
        seq = self._quoted_number(problem.about)
        self.errors += 1
        self._acknowledge(seq)
        if self.options.quiet:
            return
        if self.options.flood:
            self.proc.write("\bE")
            return
        self._line(f"From {self._offender(problem)} icmp_seq={seq} {self._error_text(problem)}")

    def _quoted_number(self, about: bytes) -> int:
        return int.from_bytes(about[(about[0] & 15) * 4 + 6 :][:2], "big")

    def _offender(self, problem: Any) -> str:
        return self._with_name(problem.offender, dotted(problem.offender))

    def _error_text(self, problem: Any) -> str:
        return error_text(problem)

    def _is_redirect(self, got: Any) -> bool:
        """Whether a packet is a redirect about one of our requests; others are not ours to tell."""
        octets = got.packet[(got.packet[0] & 15) * 4 :]
        if len(octets) < 36 or octets[0] != 5 or self.options.quiet or self.options.flood:
            return False
        return bool(self._about(octets)[4:6] == self.sock.port.to_bytes(2, "big"))

    @staticmethod
    def _about(octets: bytes) -> bytes:
        return octets[8 + (octets[8] & 15) * 4 :]

    def _redirect(self, got: Any) -> None:
        octets = got.packet[(got.packet[0] & 15) * 4 :]
        seq, gateway = int.from_bytes(self._about(octets)[6:8], "big"), dotted(int.from_bytes(octets[4:8], "big"))
        what = REDIRECTS.get(octets[1], f"Redirect, Bad Code: {octets[1]}")
        self._line(f"From {self._source_text(got)}: icmp_seq={seq} {what}(New nexthop: {gateway})")

    # -- lines ------------------------------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        stamp = f"[{self.now // SECOND}.{self.now % SECOND // 1000:06}] " if self.options.timestamps else ""
        self.proc.write(f"{stamp}{text}\n")

    def _error(self, text: str) -> None:
        self.proc.write_err(f"ping: {text}\n")

    def summary(self) -> str:
        """Return the statistics."""
        parts = [f"{self.sent} packets transmitted, {self.received} received"]
        if self.repeats:
            parts.append(f"+{self.repeats} duplicates")
        if self.errors:
            parts.append(f"+{self.errors} errors")
        if self.sent:
            loss = (self.sent - self.received) * 100 / self.sent
            parts.append(f"{loss:g}% packet loss")
            parts.append(f"time {(self.last - self.first) // MILLISECOND}ms")
        return f"\n--- {self.shown} ping statistics ---\n{', '.join(parts)}\n{', '.join(self._tail())}\n"

    def _tail(self) -> list[str]:
        tail = []
        if self.times:
            count = len(self.times)
            mean = sum(self.times) // count
            spread = math.isqrt(max(0, sum(t * t for t in self.times) // count - mean * mean))
            spelt = "/".join(f"{t // 1000}.{t % 1000:03}" for t in (min(self.times), mean, max(self.times), spread))
            tail.append(f"rtt min/avg/max/mdev = {spelt} ms")
        if self.pipe > 1:
            tail.append(f"pipe {self.pipe}")
        if (
            self.times
            and self.sent > 1
            and (not self.options.interval_ns or self.options.flood or self.options.adaptive)
        ):
            gap, ewma = (self.last - self.first) // 1000 // (self.sent - 1), self.ewma // 8
            tail.append(f"ipg/ewma {gap // 1000}.{gap % 1000:03}/{ewma // 1000}.{ewma % 1000:03} ms")
        return tail

    @property
    def status(self) -> int:
        """The exit status."""
        short = self.options.deadline_ns and self.options.count and self.received < self.options.count
        return 1 if not self.received or short else 0

    # -- the loop ---------------------------------------------------------------------------------------------------

    @property
    def answered(self) -> bool:
        """Whether as many answers came as were asked for, or an error did while a deadline stands."""
        options = self.options
        return bool(options.count and self.received + self.errors >= options.count) or bool(
            options.deadline_ns and self.errors
        )

    def run(self) -> Generator[Any, Any, None]:
        """Send and receive until the count, the deadline, or the patience after the last request is reached."""
        deadline = self.now + self.options.deadline_ns if self.options.deadline_ns else None
        due, patience = self.now, None
        while not self.answered:
            if deadline is not None and self.now >= deadline:
                return
            if patience is not None and self.now >= patience:
                return
            if patience is None and self.now >= due:
                self.probe()
                due = self.now + max(self.interval_ns, _FASTEST_NS)
                if self.options.count and self.sent >= self.options.count and deadline is None:
                    yield from self.collect()
                    patience = self._patience()
            yield from self.collect()
            if self.answered:
                return
            wanted = [each for each in (deadline, patience, None if patience is not None else due) if each is not None]
            yield self.waiter.until(min(wanted))
            if self.now < due or patience is not None:
                yield from self.collect()
            if (self.options.flood or self.options.adaptive) and self.received + self.errors >= self.sent:
                due = min(due, self.now + _FASTEST_NS)

    def _patience(self) -> int:
        """Return until when the last answers are waited for."""
        if not self.received:
            return self.now + self.options.linger_ns
        slowest = max(self.times, default=0) * 2000
        return self.now + max(slowest, self.interval_ns)


_FASTEST_NS = 10_000
"""Between two requests of a flood: without it, ideal cables would let time stand still for ever."""

_HEADERS = 60 + 76
"""The longest headers of IP and ICMP, for which ping makes room."""
_PER_BLOCK = 20 + 16 + 64 + 160
"""What ping reckons the kernel needs beside every 512 octets."""
_RECEIVE_BUFFER = 2 * 212_992
"""What a socket may hold at most: twice net.core.rmem_max."""


def no_way(number: int) -> Refused:
    """What connect(2) answers; a host or net that is unreachable leaves other addresses to try."""
    kind = Unreachable if number in (errno.EHOSTUNREACH, errno.ENETUNREACH) else Refused
    return kind(f"ping: connect: {os.strerror(number)}\n")


def _pinger(proc: Process, options: Options, host: Host, shown: str) -> Ping:
    """Choose by the address."""
    if host.family == 4:
        return Ping(proc, options, host, shown)
    from simvlan.tools.ping6 import Ping6

    return Ping6(proc, options, host, options.target)


def _prepared(proc: Process, options: Options, ready: list[Ping]) -> Generator[Any, Any, Ping]:
    """The run to the first address there is a way to; what was opened is in *ready*, to be closed."""
    yield from look_up(proc, options.target)
    hosts = candidates(proc, options)
    for host, shown in hosts:
        try:
            ready.append(_pinger(proc, options, host, shown))
            yield from ready[-1].prepare()
        except Unreachable:
            if host is hosts[-1][0]:
                raise
        else:
            break
    return ready[-1]


def main(proc: Process) -> Generator[Any, Any, int]:
    """Ping."""
    opened: list[Ping] = []
    try:
        options = parse(proc.argv[1:])
        if proc.name == "ping6":
            options.family = 6
        ping = yield from _prepared(proc, options, opened)
        yield from ping.run()
    except Refused as refused:
        if not refused.text and not refused.status:
            proc.write(f"ping {VERSION}")
        proc.write_err(refused.text)
        return refused.status
    except simpy.Interrupt as signal:
        if signal.cause != "SIGINT":
            return 143 if signal.cause == "SIGTERM" else 137
        if not opened:
            return 130
    finally:
        for each in opened:
            each.close()
    proc.write(opened[-1].summary())
    return opened[-1].status
