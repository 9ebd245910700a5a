"""ping, arping and traceroute as busybox prints them (networking/ping.c, arping.c, traceroute.c of 1.38)."""

from __future__ import annotations

import os
import struct
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.docker.programs.process import Proc
from simvlan.tools.arping import Arping
from simvlan.tools.arping import Refused as ArpingRefused
from simvlan.tools.common import Waiter, dotted, permute
from simvlan.tools.common import resolve as numeric
from simvlan.tools.hosts import Host, literal

Running = Generator[Any, Any, int]
PATIENCE_S = 10


class Refused(Exception):  # noqa: N818
    """The program gives up; the text goes to standard error."""

    def __init__(self, text: str, status: int = 1) -> None:
        self.text, self.status = text, status
        super().__init__(text)


def address_of(proc: Proc, name: str, complaint: str) -> int:
    """The address of a name or number. Raises Refused."""
    found = numeric(name)
    if found is not None:
        return found
    names = [text for text in proc.lookup(name) or () if ":" not in text]
    if literal(name) is not None:
        raise Refused(f"simvlan: {proc.name} of IPv6 addresses is not built in containers\n")
    if not names:
        raise Refused(complaint)
    return numeric(names[0]) or 0


def host_of(proc: Proc, name: str, complaint: str, family: int) -> Host:
    """The address of a name or number, of one family (0: of either, IPv4 first). Raises Refused."""
    given = literal(name)
    found = [given] if given is not None else [host for host in map(literal, proc.lookup(name) or ()) if host]
    fits = [host for host in found if family in (0, host.family)]
    if not fits:
        raise Refused(complaint)
    return min(fits, key=lambda host: host.family)


def seconds(text: str, what: str) -> int:
    """A number of seconds in ns. Raises Refused as busybox does."""
    try:
        value = float(text)
    except ValueError:
        raise Refused(f"{what}: invalid number '{text}'\n") from None
    if value < 0:
        raise Refused(f"{what}: invalid number '{text}'\n")
    return round(value * SECOND)


class Ping:
    """One run of ping."""

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        flags, rest, fault = permute(proc.argv[1:], "46c:s:i:At:I:W:w:qp:")
        if fault:
            raise Refused(f"ping: {fault}\n{USAGE}")
        given = dict(flags)
        if len(rest) != 1:
            raise Refused(USAGE)
        self.name = rest[0]
        self.count = self._whole(given.get("c", "0"))
        self.size = self._whole(given.get("s", "56"))
        self.interval_ns = seconds(given.get("i", "1"), "ping")
        self.linger_ns = seconds(given.get("W", str(PATIENCE_S)), "ping")
        self.deadline_ns = seconds(given.get("w", "0"), "ping")
        self.quiet, self.adaptive = "q" in given, "A" in given
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        wanted = 4 if "4" in given else 6 if "6" in given or proc.argv[0].endswith("ping6") else 0
        self.host = host_of(proc, self.name, f"ping: bad address '{self.name}'\n", wanted)
        self.waiter = Waiter(proc)
        if self.host.family == 6 and self.stack.ip6 is None:
            raise Refused("ping: sendto: Network unreachable\n")
        self.sock: Any = self.stack.open_ping(self.host.family)
        self.sock.ttl = self._whole(given.get("t", "0"))
        self._bind(given.get("I", ""))
        self.sent = self.received = self.repeats = 0
        self.seen: set[int] = set()
        self.times: list[int] = []

    @staticmethod
    def _whole(text: str) -> int:
        if not text.isdigit() or len(text) > 9:
            raise Refused(f"ping: invalid number '{text}'\n")
        return int(text)

    def _bind(self, source: str) -> None:
        if not source:
            return
        given = literal(source)
        address = given.address if given is not None and given.family == self.host.family else None
        dev = self.proc.lab.network.netns[self.proc.netns].devices.get(source)
        if address is None and dev is None:
            raise Refused(f"ping: can't bind to interface {source}: No such device\n")
        try:
            if address is not None:
                self.sock.bind(address)
            else:
                self.sock.bind_dev = dev
        except OSError as error:
            raise Refused(f"ping: bind: {os.strerror(error.errno or 0)}\n") from None

    @property
    def now(self) -> int:
        """The current time in ns."""
        return self.proc.world.env.now

    def run(self) -> Running:
        """Send and receive."""
        self.sock.on_receive = self.waiter.heard
        self.proc.write(f"PING {self.name} ({self._shown()}): {self.size} data bytes\n")
        due, give_up = self.now, None
        end = self.now + self.deadline_ns if self.deadline_ns else None
        while not (self.count and self.received >= self.count):
            now = self.now
            if (end is not None and now >= end) or (give_up is not None and now >= give_up):
                break
            if give_up is None and now >= due:
                self._send()
                self._collect()  # what is near answers before anybody waits for it
                due += self.interval_ns
                if self.count and self.sent >= self.count:
                    give_up = now + self._patience()
                continue
            yield self.waiter.until(min(t for t in (end, give_up or due) if t is not None))
            self._collect()
        return int(not self.received)

    def _shown(self) -> str:
        zone = f"%{self.host.zone}" if self.host.zone else ""
        return self.host.text + zone

    def _patience(self) -> int:
        """How long to wait after the last request: -W, but twice the longest round trip once answers came."""
        if not self.received:
            return self.linger_ns
        return max(2 * max(self.times, default=0) * 1000, SECOND)

    def _send(self) -> None:
        stamp = struct.pack("<I", self.now // 1000 & 0xFFFF_FFFF)[: self.size]
        octets = struct.pack("!BBHHH", self.request, 0, 0, 0, self.sent & 0xFFFF) + stamp.ljust(self.size, b"\0")
        self.sent += 1
        try:
            self._send_to(octets)
        except OSError as error:
            raise Refused(f"ping: sendto: {musl(error)}\n") from None

    def _send_to(self, octets: bytes) -> None:
        if self.host.family == 4:
            self.sock.send(octets, self.host.address)
        else:
            self.sock.send(octets, self.host.address, self.host.device(self.stack) or self.sock.bind_dev)

    @property
    def request(self) -> int:
        """ICMP's number for an echo request."""
        return 8 if self.host.family == 4 else 128

    def _collect(self) -> None:
        self.sock.errors.clear()
        while self.sock.queue:
            self._reply(self.sock.queue.popleft())

    def _reply(self, got: Any) -> None:
        seq = int.from_bytes(got.data[6:8], "big")
        again = seq in self.seen
        self.seen.add(seq)
        self.received += not again
        self.repeats += again
        took = None
        if len(got.data) >= 12:
            took = (got.time_ns // 1000 - struct.unpack_from("<I", got.data, 8)[0]) & 0xFFFF_FFFF
            self.times.append(took)
        if self.quiet:
            return
        timing = "" if took is None else f" time={took // 1000}.{took % 1000:03} ms"
        tail = " (DUP!)" if again else ""
        who = self.sock.family.text(got.src)
        self.proc.write(f"{len(got.data)} bytes from {who}: seq={seq} ttl={got.ttl}{timing}{tail}\n")

    def summary(self) -> str:
        """The statistics."""
        lost = (self.sent - self.received) * 100 // self.sent if self.sent else 0
        again = f"{self.repeats} duplicates, " if self.repeats else ""
        text = (
            f"\n--- {self.name} ping statistics ---\n{self.sent} packets transmitted, {self.received} packets received,"
            f" {again}{lost}% packet loss\n"
        )
        if self.times:
            shown = (min(self.times), sum(self.times) // len(self.times), max(self.times))
            text += "round-trip min/avg/max = " + "/".join(f"{t // 1000}.{t % 1000:03}" for t in shown) + " ms\n"
        return text


USAGE = "BusyBox ping: usage: ping [-4Aq] [-c CNT] [-s SIZE] [-i SECS] [-t TTL] [-I IFACE/IP] [-W SEC] [-w SEC] HOST\n"


def musl(error: OSError) -> str:
    """An error in the words of Alpine's C library."""
    words = {
        101: "Network unreachable",
        113: "Host is unreachable",
        99: "Address not available",
        13: "Permission denied",
    }
    return words.get(error.errno or 0) or os.strerror(error.errno or 0)


def ping(proc: Proc) -> Running:
    """`ping`: its lines and summary; ended by -c, -w or SIGINT, 1 when nobody answered."""
    made: Ping | None = None
    try:
        made = Ping(proc)
        status = yield from made.run()
    except Refused as refused:
        proc.write_err(refused.text)
        return refused.status
    except simpy.Interrupt as interrupt:
        if interrupt.cause != "SIGINT" or made is None:
            raise
        status = int(not made.received)
    finally:
        if made is not None:
            made.sock.close()
    proc.write(made.summary())
    return status


# -- arping ----------------------------------------------------------------------------------------------------------


class BusyboxArping(Arping):
    """arping with busybox's lines."""

    def _tell(self, frame: Any, op: int, sender: bytes, spa: int, tpa: int, when: int) -> None:
        took = (when - self.last) // 1000
        cast = "Unicast" if frame.dst == self.dev.mac else "Broadcast"
        what = "request" if op == 1 else "reply"
        self.proc.write(f"{cast} {what} from {dotted(spa)} [{sender.hex(':')}] {took // 1000}.{took % 1000:03}ms\n")

    def summary(self) -> str:
        """The closing lines."""
        return (
            f"Sent {self.sent} probe(s) (0 broadcast(s))\n"
            f"Received {self.received} response(s) ({self.requests} request(s), 0 broadcast(s))\n"
        )


def arping(proc: Proc) -> Running:
    """`arping`: names are looked up first; the probes are those of iputils, the lines busybox's."""
    target = proc.argv[-1]
    if numeric(target) is None and not target.startswith("-"):
        found = [text for text in proc.lookup(target) or () if ":" not in text]
        if not found:
            proc.write_err(f"arping: bad address '{target}'\n")
            return 1
        proc.argv = [*proc.argv[:-1], found[0]]
    try:
        made = BusyboxArping(proc)
    except ArpingRefused as refused:
        text = str(refused).replace("arping: Device ", "arping: interface ").replace(" not available.", " not found")
        proc.write_err(text.replace("iputils", "busybox"))
        return 1
    if not made.quiet:
        proc.write(f"ARPING {dotted(made.target)} from {dotted(made.source)} {made.dev.name}\n")
    try:
        yield from made.run()
    except simpy.Interrupt as interrupt:
        if interrupt.cause != "SIGINT":
            raise
    if not made.quiet:
        proc.write(made.summary())
    return made.status


# -- traceroute ------------------------------------------------------------------------------------------------------


class Traceroute:
    """One run of traceroute: UDP to rising ports, one probe after the other."""

    FIRST_PORT = 33434

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        flags, rest, fault = permute(proc.argv[1:], "46FIlnrvf:m:p:q:s:t:w:z:i:")
        given = dict(flags)
        if fault or not rest:
            raise Refused(
                "BusyBox traceroute: usage: traceroute [-FIlnrv] [-f 1ST_TTL] [-m MAXTTL] [-q PROBES] HOST [BYTES]\n"
            )
        for flag in given:
            if flag not in "4nfmqw":  # -6 among them
                raise Refused(f"simvlan: traceroute -{flag} is not built\n")
        try:
            self.first, self.most = int(given.get("f", 1)), int(given.get("m", 30))
            self.probes, self.wait_ns = int(given.get("q", 3)), int(given.get("w", 5)) * SECOND
        except ValueError:
            raise Refused("traceroute: invalid number\n") from None
        self.name, self.numeric = rest[0], "n" in given
        self.address = address_of(proc, self.name, f"traceroute: bad address '{self.name}'\n")
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        self.port = self.FIRST_PORT

    def run(self) -> Running:
        """Probe hop by hop until the destination answers."""
        write = self.proc.write
        write(f"traceroute to {self.name} ({dotted(self.address)}), {self.most} hops max, 46 byte packets\n")
        for ttl in range(self.first, self.most + 1):
            write(f"{ttl:2}")
            arrived, last = False, 0
            for _ in range(self.probes):
                sent = self.proc.world.env.now
                problem = yield from self._probe(ttl)
                if problem is None:
                    write("  *")
                    continue
                if problem.offender != last:
                    write(f"  {self._shown(problem.offender)}")
                    last = problem.offender
                took = (problem.time_ns - sent) // 1000
                write(f"  {took // 1000}.{took % 1000:03} ms{NOTES.get(problem.code, '') if problem.type == 3 else ''}")
                arrived = arrived or problem.type == 3
            write("\n")
            if arrived:
                break
        return 0

    def _shown(self, address: int) -> str:
        text = dotted(address)
        if self.numeric:
            return text
        resolver = self.proc.container.resolver
        return f"{(resolver.reverse(text) if resolver is not None else None) or text} ({text})"

    def _probe(self, ttl: int) -> Generator[Any, Any, Any]:
        waiter, sock = Waiter(self.proc), self.stack.open_udp()
        sock.ttl, sock.errors_reported, sock.on_receive = ttl, True, waiter.heard
        until = self.proc.world.env.now + self.wait_ns
        self.port += 1
        try:
            sock.send(bytes(18), self.address, self.port)
            while not sock.errors and self.proc.world.env.now < until:
                yield waiter.until(until)
            return sock.errors.popleft() if sock.errors else None
        except OSError as error:
            raise Refused(f"\ntraceroute: sendto: {musl(error)}\n") from None
        finally:
            sock.close()


NOTES = {0: " !N", 1: " !H", 2: " !P", 3: "", 4: " !F", 5: " !S", 9: " !A", 10: " !C", 13: " !X"}


def traceroute(proc: Proc) -> Running:
    """`traceroute`: one line for each hop."""
    try:
        return (yield from Traceroute(proc).run())
    except Refused as refused:
        proc.write_err(refused.text)
        return refused.status
