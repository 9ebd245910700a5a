"""tracepath of iputils 20221126: long datagrams with rising TTL find the hops of a path and what it carries.

A datagram too long for the path as it is known is refused at once, one too long further on by a router: each tells the
MTU, and the same hop is tried again with it. Who is reached says that nobody listens there.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Generator
from typing import Any

from simvlan.clock import SECOND
from simvlan.stack.family import DO
from simvlan.stack.ipv6 import icmp6
from simvlan.tools.common import Refused, Waiter, permute
from simvlan.tools.hosts import WRONG_FAMILY, Host, find_all
from simvlan.tools.names import look_up, name_of
from simvlan.tools.program import Process
from simvlan.tools.running import Client, run

USAGE = "\nUsage\n  tracepath [-46nbhV] [-l LENGTH] [-m HOPS] [-p PORT] DESTINATION\n\nWhat each means: tracepath(8).\n"
TRIES, TRIED, COLUMN, SLOTS = 3, 10, 52, 64
LONGEST = {4: 65_535, 6: 128_000}
HEADERS = {4: 28, 6: 48}
END_OF_LIFE = ((11, 0), (icmp6.TIME_EXCEEDED, 0))
REFUSALS = {errno.EPROTO: "!P", errno.EHOSTUNREACH: "!H", errno.ENETUNREACH: "!N", errno.EACCES: "!A"}


class Tracepath:
    """One run."""

    def __init__(self, proc: Process) -> None:
        from simvlan.tools.talk import Talk

        self.proc, self.talk = proc, Talk(proc)
        flags, rest, fault = permute(proc.argv[1:], "46nbh?l:m:p:V")
        self.given = dict(flags)
        if fault or len(rest) != 1 or {"h", "?"} & set(self.given):
            raise Refused(f"{f'tracepath: {fault}' + chr(10) if fault else ''}{USAGE}", 255)
        self.name, self.most = rest[0], self._number("m", 30, 255)
        self.port, self.mtu = self._number("p", 0, 65_535) or 44_444, self._number("l", 0, 2**31 - 1)
        self.family = next((int(flag) for flag, _ in flags if flag in "46"), 0)
        self.host, self.stack = Host(4, 0), proc.lab.network.netns[proc.netns].stack
        self.waiter, self.sent, self.ttl = Waiter(proc), 0, 0
        self.sock: Any = None
        self.hops = self.back = -1

    def _number(self, flag: str, usual: int, most: int) -> int:
        text = self.given.get(flag, str(usual))
        if not text.isdigit():
            raise Refused(f"tracepath: invalid argument: '{text}'\n")
        if int(text) > most:
            raise Refused(f"tracepath: invalid argument: '{text}': out of range: 0 <= value <= {most}\n")
        return int(text)

    @property
    def now(self) -> int:
        """The time in ns."""
        return int(self.proc.lab.env.now)

    def run(self) -> Generator[Any, Any, int]:
        """Find the path; the exit status."""
        yield from self._find()
        self._open()
        ended = False
        while not ended and self.ttl < self.most:
            self.ttl += 1
            ended = yield from self._hop()
        self.proc.write("" if ended else f"     Too many hops: pmtu {self.mtu}\n")
        ends = (f"hops {self.hops} " if self.hops >= 0 else "") + (f"back {self.back} " if self.back >= 0 else "")
        self.proc.write(f"     Resume: pmtu {self.mtu} {ends}\n")
        return 0

    def _find(self) -> Generator[Any, Any, None]:
        yield from look_up(self.proc, self.name)
        found = find_all(self.proc, self.name, self.family if self.name == "localhost" else 0)
        fits = found if isinstance(found, str) else [host for host in found if self.family in (0, host.family)]
        if not fits or isinstance(fits, str):
            raise Refused(f"tracepath: {self.name}: {fits or WRONG_FAMILY}\n")
        self.host = fits[0]

    def _open(self) -> None:
        family = self.host.family
        self.mtu = self.mtu or LONGEST[family]
        if self.mtu <= HEADERS[family]:
            raise Refused(f"tracepath: pktlen must be within: {HEADERS[family]} < value <= 2147483647\n")
        if family == 6 and self.stack.ip6 is None:
            raise Refused("tracepath: socket/connect: Address family not supported by protocol\n")
        self.sock = self.talk.udp(family)
        self.sock.pmtudisc, self.sock.on_receive = DO, self.waiter.heard

    # -- one hop ------------------------------------------------------------------------------------------------------

    def _hop(self) -> Generator[Any, Any, bool]:
        """Probe until the hop answers or was silent three times, from the beginning after a new MTU; True: the end."""
        tried, came = 0, False
        while tried < TRIES and not came:
            before = self.mtu
            ended, came = yield from self._probe()
            if self.mtu != before:
                tried, came = 0, False
            elif ended:
                return True
            else:
                tried += 1
        self.proc.write("" if came else f"{self.ttl:2}:  no reply\n")
        return False

    def _probe(self) -> Generator[Any, Any, tuple[bool, bool]]:
        """Send one probe and hear what it brings (probe_ttl): whether it was the last, whether anything came."""
        for _ in range(TRIED):
            try:
                self._send()
                break
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    self._local(self.sock.route(self.host.address, self._device()).path_mtu)
        else:
            self.proc.write(f"{self.ttl:2}:  send failed\n")
            return True, False
        if not self.sock.errors and not self.sock.queue:
            yield self.waiter.until(self.now + SECOND - 1)  # a neighbour fails after three seconds, not within them
        if self.sock.queue:
            self.proc.write(f"{self.ttl:2}?: reply received 8)\n")
            return True, False
        came = bool(self.sock.errors)
        while self.sock.errors:
            if (yield from self._heard(self.sock.errors.popleft())):
                return True, came
        return False, came

    def _device(self) -> Any:
        return self.host.device(self.stack)

    def _send(self) -> None:
        head = struct.pack("<IIQQ", self.ttl, 0, self.now // SECOND, self.now % SECOND)
        size = self.mtu - HEADERS[self.host.family]
        self.sock.ttl, port = self.ttl, self.port + self.sent % SLOTS
        self.sock.send(head[:size].ljust(size, b"\0"), self.host.address, port & 0xFFFF, self._device())
        self.sent += 1

    def _local(self, mtu: int) -> None:
        """This host knows already that it is too long; over IPv6 the time is told too."""
        took = "  0.000ms " if self.host.family == 6 else ""
        self.proc.write(f"{self.ttl:2}?: {'[LOCALHOST]':<32} {took}pmtu {mtu}\n")
        self.mtu = mtu

    def _heard(self, problem: Any) -> Generator[Any, Any, bool]:
        """Print an error that came back (recverr); whether the path ends there."""
        shown = yield from self._shown(problem.offender)
        ttl, took = self._probed(problem)
        micros = (problem.time_ns - took) // 1000
        self.proc.write(f"{ttl:2}:  {shown}{micros // 1000:3}.{micros % 1000:03}ms ")
        arrived = problem.packet[8 if self.host.family == 4 else 7]
        back = 65 - arrived if arrived <= 64 else 129 - arrived if arrived <= 128 else 256 - arrived
        if problem.errno == errno.EMSGSIZE:
            self.proc.write(f"pmtu {problem.info}\n")
            self.mtu = problem.info
        elif problem.errno == errno.ECONNREFUSED:
            self.proc.write("reached\n")
            self.hops, self.back = ttl, back
            return True
        elif problem.errno == errno.EHOSTUNREACH and (problem.type, problem.code) in END_OF_LIFE:
            self.proc.write(f"asymm {back:2} \n" if back != ttl else "\n")
        else:
            self.proc.write(f"{REFUSALS.get(problem.errno, '')}\n")
            if problem.errno not in REFUSALS:
                self.proc.write_err(f"tracepath: NET ERROR: {os.strerror(problem.errno)}\n")
            return True
        return False

    def _probed(self, problem: Any) -> tuple[int, int]:
        """The TTL and the moment of the probe that an error is about, as its payload says."""
        at = 28 if self.host.family == 4 else 48
        told = problem.about[at : at + 24]
        if len(told) < 24:
            return self.ttl, problem.time_ns
        ttl, _, seconds, rest = struct.unpack("<IIQQ", told)
        return ttl, seconds * SECOND + rest

    def _shown(self, address: int) -> Generator[Any, Any, str]:
        """The host column: name, address or both."""
        text, name = Host(self.host.family, address).text, ""
        if "n" not in self.given:
            name = (yield from name_of(self.proc, Host(self.host.family, address))) or "???"
        elif "b" in self.given:
            name = "???"
        first, second = (text, name) if "n" in self.given else (name, text)
        shown = f"{first} ({second})" if "b" in self.given else first
        return shown + " " * (COLUMN - min(len(shown), COLUMN - 1))


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run tracepath."""
    if "-V" in proc.argv[1:]:
        proc.write("tracepath from iputils 20221126\n")
        return 0

    def make(mine: Process) -> Client:
        return Tracepath(mine)

    return (yield from run(proc, make))
