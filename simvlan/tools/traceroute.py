"""traceroute 2.1.2: UDP probes to rising ports, ICMP echoes (-I) or SYNs (-T), sixteen at a time, in virtual time.

What differs for IPv6 is in `traceroute6.py`, SYNs are in `traceroute_tcp.py`.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.stack.family import DO, DONT
from simvlan.tools.common import Refused, Waiter, dotted, permute
from simvlan.tools.hosts import Host, find_all
from simvlan.tools.names import look_up, name_of
from simvlan.tools.program import Process
from simvlan.tools.traceroute_tcp import SynProbes

SPEC = "46dFITnreAUDVf:g:i:m:N:p:t:l:w:q:s:z:M:O:P:"
BUILT = frozenset("46nIFfimNptwqsUT")
PRECISION = SECOND // 1000
ANNOTATION = {0: " !N", 1: " !H", 2: " !P", 3: "", 4: " !F", 5: " !S", 9: " !X", 10: " !X", 13: " !X", 14: " !V",
              15: " !C"}  # fmt: skip


@dataclass
class Probe:
    """One probe and what became of it."""

    ttl: int
    sent_ns: int = -1
    came_ns: int = -1
    address: int = 0
    note: str = ""
    final: bool = False
    done: bool = False
    sock: Any = None

    @property
    def took_ns(self) -> int:
        """The round trip; 0 when there was none."""
        return self.came_ns - self.sent_ns if self.came_ns >= 0 else 0


class Traceroute:
    """One run."""

    family, header, usual_size, echo_request, unfragmented = 4, 28, 60, 8, DO
    """Octets in front of a probe's data, of a whole one, what asks for an echo, and what -F is to the socket."""

    def __init__(self, proc: Process) -> None:
        self.proc = proc
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        flags, rest, fault = permute(proc.argv[1:], SPEC)
        if fault:
            raise Refused(f"Bad option `-{fault[-2]}' (argc 1)\n" if "invalid" in fault else f"traceroute: {fault}\n")
        given = dict(flags)
        for flag in given:
            if flag not in BUILT:
                raise Refused(f"simvlan: traceroute -{flag} is not built\n")
        if not rest:
            raise Refused('Specify "host" missing argument.\n')
        method = [flag for flag, _ in flags if flag in "IUT"][-1:]
        self.icmp, self.given, self.name = method == ["I"], given, rest[0]
        self.udp_port = 53 if method == ["U"] else 0
        self.syns = SynProbes(self) if method == ["T"] else None
        self.per_hop, self.most = self._number("q", 3), self._number("m", 30)
        self.first, self.together = self._number("f", 1), self._number("N", 16)
        self.wait_ns = round(float(given.get("w", "5").split(",")[0]) * SECOND)
        wanted = int(rest[1]) if len(rest) > 1 and self.syns is None else self.usual_size
        self.size = max(wanted, self.header)
        at = proc.argv.index(self.name)
        target = self._host(self.name, f'"host" cmdline arg `{self.name}\' on position 1 (argc {at})')
        self.address, self.zone = target.address, target.device(self.stack)
        self.source = self._from(given["s"]) if "s" in given else 0
        self.probes = [Probe(ttl) for ttl in range(self.first, self.most + 1) for _ in range(self.per_hop)]
        self.waiter = Waiter(proc)
        self.echo: Any = None

    def _host(self, name: str, where: str) -> Host:
        """The first address of a name, of the family of this run."""
        found = find_all(self.proc, name, self.family)
        if isinstance(found, str):
            raise Refused(f"{name}: {found}\nCannot handle {where}\n")
        return found[0]

    def _from(self, text: str) -> int:
        found = find_all(self.proc, text)
        if not isinstance(found, str) and self.family not in (host.family for host in found):
            raise Refused("IP version mismatch in addresses specified\n")
        return self._host(text, f"`-s' option with arg `{text}' (argc 2)").address

    def _number(self, flag: str, default: int) -> int:
        value = self.given.get(flag, str(default))
        if not value.isdigit() or not int(value):
            raise Refused(f"Cannot handle `-{flag}' option with arg `{value}' (argc 1)\n")
        return int(value)

    # -- sending ----------------------------------------------------------------------------------------------------

    def open(self, index: int) -> Any:
        """Return the socket that probe *index* goes through."""
        if self.icmp:
            if self.echo is None:
                self.echo = self.bound(self.stack.open_ping(self.family))
            return self.echo
        if self.syns is not None:
            return self.syns.open()
        sock = self.bound(self.stack.open_udp(self.family))
        port = self._port(self.udp_port or 33434) + (0 if self.udp_port else index)
        sock.connect(self.address, port, self.zone)
        return sock

    def _port(self, default: int) -> int:
        text = self.given.get("p", str(default))
        if not text.isdigit():
            raise Refused(f"Cannot handle `-p' option with arg `{text}' (argc 1)\n")
        return int(text) & 0xFFFF

    def bound(self, sock: Any) -> Any:
        """A socket with what the options say of it."""
        if "s" in self.given:
            sock.bind(self.source)
        if "i" in self.given:
            sock.bind_dev = self.proc.lab.network.netns[self.proc.netns].devices.get(self.given["i"])
            if sock.bind_dev is None:
                raise Refused("setsockopt SO_BINDTODEVICE: No such device\n")
        sock.on_receive = self.waiter.heard
        sock.tos = int(self.given.get("t", "0"), 0)
        sock.pmtudisc = self.unfragmented if "F" in self.given else DONT
        return sock

    def send(self, index: int) -> None:
        """Send one probe."""
        probe, data = self.probes[index], bytes(0x40 + (i & 0x3F) for i in range(self.size - self.header))
        probe.sock = self.open(index)
        probe.sock.ttl = probe.ttl
        probe.sent_ns = int(self.proc.lab.env.now)
        try:
            if self.syns is not None:
                self.syns.send(index, self._port(80))
            elif self.icmp:
                asked = bytes((self.echo_request, 0, 0, 0, 0, 0)) + (index + 1).to_bytes(2, "big")
                probe.sock.send(asked + data, self.address, self.zone)
            else:
                probe.sock.send(data)
        except OSError as error:
            raise Refused(f"send: {os.strerror(error.errno or 0)}\n") from None

    # -- receiving --------------------------------------------------------------------------------------------------

    def collect(self) -> bool:
        """Look at everything that has come; whether there was anything."""
        came = False
        for index, probe in enumerate(self.probes):
            if probe.sock is None:
                continue
            came = came or bool(probe.sock.errors or probe.sock.queue)
            while probe.sock.errors:
                problem = probe.sock.errors.popleft()
                meant = self._meant(index, self._quoted(problem.about))
                if meant is not None:
                    self._failed(self.probes[meant], problem)
            while probe.sock.queue:
                got = probe.sock.queue.popleft()
                meant = self.syns.answered(got) if self.syns is not None else self._meant(index, got.data)
                if meant is not None:
                    self._answered(self.probes[meant], got)
        return came

    def _meant(self, index: int, message: bytes) -> int | None:
        """Which probe a message is, or is about; *index*: that of the socket that has it."""
        if self.syns is not None:
            return self.syns.asked(message)
        return int.from_bytes(message[6:8], "big") - 1 if self.icmp else index

    def _quoted(self, about: bytes) -> bytes:
        """What follows the headers of a packet that an error quotes."""
        return about[(about[0] & 15) * 4 :]

    def _failed(self, probe: Probe, problem: Any) -> None:
        if probe.done:
            return
        probe.came_ns, probe.address, probe.done = problem.time_ns, problem.offender, True
        self._judge(probe, problem)

    def _judge(self, probe: Probe, problem: Any) -> None:
        """What an error says beside who sent it (parse_icmp_res)."""
        if problem.type == 3:
            probe.final = True
            probe.note = ANNOTATION.get(problem.code, f" !<{problem.code}>")
            if problem.code == 4:
                probe.note = f" !F-{problem.info}"

    def _answered(self, probe: Probe, got: Any) -> None:
        if not probe.done:
            probe.came_ns, probe.address, probe.final, probe.done = got.time_ns, got.src, True, True

    # -- the loop ---------------------------------------------------------------------------------------------------

    def patience(self, index: int) -> int:
        """How long an unanswered probe is waited for: by its hop's answers, else by a later hop's, else the most."""
        probe = self.probes[index]
        for factor, others in ((3, self._same_hop(probe)), (10, self._later_hop(probe))):
            if others:
                return min(self.wait_ns, (others[0].took_ns + PRECISION) * factor)
        return self.wait_ns

    def _same_hop(self, probe: Probe) -> list[Probe]:
        return [p for p in self.probes if p.ttl == probe.ttl and p.took_ns > 0]

    def _later_hop(self, probe: Probe) -> list[Probe]:
        return [p for p in self.probes if p.ttl > probe.ttl and p.took_ns > 0]

    def run(self) -> Generator[Any, Any, None]:
        """Keep up to sixteen probes under way, looked after once all are sent; print hops in order (do_it)."""
        env, printed, following = self.proc.lab.env, 0, 0
        end = len(self.probes)
        while printed < end:
            for index in range(following, end):
                if sum(1 for p in self.probes[:index] if p.sent_ns >= 0 and not p.done) >= self.together:
                    break
                self.send(index)
                following = index + 1
            if not self.collect():  # what came meanwhile is not waited for
                yield self.waiter.until(self._next(end))
                self.collect()
            end = self._end()
            self._expire(int(env.now), end)
            printed = yield from self._print(printed, end)

    def _end(self) -> int:
        """Where the list of probes ends: after the hop that reached the target."""
        ttl = next((p.ttl for p in self.probes if p.final), self.most)
        return (ttl - self.first + 1) * self.per_hop

    def _next(self, end: int) -> int:
        waiting = [
            p.sent_ns + self.patience(i) for i, p in enumerate(self.probes[:end]) if p.sent_ns >= 0 and not p.done
        ]
        return min(waiting, default=int(self.proc.lab.env.now))

    def _expire(self, now: int, end: int) -> None:
        for index, probe in enumerate(self.probes[:end]):
            if probe.sent_ns >= 0 and not probe.done and now >= probe.sent_ns + self.patience(index):
                probe.done = True

    def _print(self, printed: int, end: int) -> Generator[Any, Any, int]:
        while printed < end and self.probes[printed].done:
            text = yield from self._text(printed)
            self.proc.write(text)
            printed += 1
        return printed

    def _text(self, index: int) -> Generator[Any, Any, str]:
        probe, number = self.probes[index], index % self.per_hop
        text = ("\n" if index == 0 else "") + (f"{probe.ttl:2} " if number == 0 else "")
        if probe.came_ns < 0:
            text += " *"
        else:
            before = [p for p in self.probes[index - number : index] if p.came_ns >= 0]
            if not before or before[-1].address != probe.address:
                named = yield from self._named(probe.address)
                text += f" {named}"
            micros = probe.took_ns // 1000
            text += f"  {micros // 1000}.{micros % 1000:03} ms{probe.note}"
        return text + ("\n" if number == self.per_hop - 1 else "")

    def _named(self, address: int) -> Generator[Any, Any, str]:
        """An address with its name, looked for each time anew (print_addr)."""
        shown = self.text(address)
        if "n" in self.given:
            return shown
        name = yield from name_of(self.proc, Host(self.family, address))
        return f"{name or shown} ({shown})"

    def text(self, address: int) -> str:
        """Write an address."""
        return dotted(address)

    def close(self) -> None:
        """Close the sockets."""
        for probe in self.probes:
            if probe.sock is not None:
                probe.sock.close()
        if self.syns is not None:
            self.syns.close()


def of_family(proc: Process) -> Generator[Any, Any, type[Traceroute]]:
    """The family that -6 or the command's name asks for, else that of the target: IPv4 where it has both (getaddr)."""
    flags, rest, _ = permute(proc.argv[1:], SPEC)
    given = dict(flags)
    family = 6 if "6" in given or (proc.name.endswith("6") and "4" not in given) else 4 if "4" in given else 0
    if rest:
        if "s" in given:
            yield from look_up(proc, given["s"])
        yield from look_up(proc, rest[0], family)
        found = find_all(proc, rest[0])
        families = [] if isinstance(found, str) else [host.family for host in found]
        family = family or (6 if families and 4 not in families else 4)
    if family != 6:
        return Traceroute
    from simvlan.tools.traceroute6 import Traceroute6

    return Traceroute6


def main(proc: Process) -> Generator[Any, Any, int]:
    """Trace the route."""
    try:
        kind = yield from of_family(proc)
        trace = kind(proc)
    except Refused as refused:
        proc.write_err(str(refused))
        return 2
    proc.write(
        f"traceroute to {trace.name} ({trace.text(trace.address)}), {trace.most} hops max, {trace.size} byte packets"
    )
    try:
        yield from trace.run()
    except Refused as refused:
        proc.write_err(f"\n{refused}")
        return 1
    except OSError as error:
        proc.write_err(f"\nconnect: {os.strerror(error.errno or 0)}\n")
        return 1
    except simpy.Interrupt as signal:
        return {"SIGINT": 130, "SIGTERM": 143}.get(str(signal.cause), 137)
    finally:
        trace.close()
    return 0
