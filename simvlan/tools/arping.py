"""arping of iputils 20221126: ARP requests or announcements on a device through a packet socket, in virtual time."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.frame import ARP, BROADCAST, OTHERHOST, Frame
from simvlan.tools.common import Waiter, dotted, find, permute
from simvlan.tools.ping_options import VERSION
from simvlan.tools.program import Process

USAGE = """
Usage: arping [-AbDfqUV] [-c COUNT] [-i SECONDS] [-I DEVICE] [-s ADDRESS] [-w SECONDS] DESTINATION
What each means: arping(8).
"""
REQUEST, REPLY = 1, 2


class Refused(Exception):  # noqa: N818
    """arping gives up; the text goes to standard error, in two cases to standard output."""

    def __init__(self, text: str, status: int = 2, on_stdout: bool = False) -> None:
        self.status, self.on_stdout = status, on_stdout
        super().__init__(text)


class Arping:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc = proc
        self.network: Any = proc.lab.network
        self.stack: Any = self.network.netns[proc.netns].stack
        flags, rest, fault = permute(proc.argv[1:], "h?bfDUAqc:w:i:s:I:V")
        self.given = dict(flags)
        if fault:
            raise Refused(f"arping: {fault}\n{USAGE}")
        if len(rest) != 1 or "h" in self.given:
            raise Refused(USAGE)
        self.quiet, self.dad = "q" in self.given, "D" in self.given
        self.unsolicited = "U" in self.given or "A" in self.given
        self.count = self._number("c")
        self.timeout_ns = self._number("w") * SECOND
        self.interval_ns = (self._number("i") or 1) * SECOND
        self.target = self._address(rest[0])
        self.dev = self._device()
        self.source = self._source()
        self.unicast_to = BROADCAST
        self.sent = self.broadcasts = self.received = self.requests = 0
        self.last = 0

    def _number(self, flag: str) -> int:
        value = self.given.get(flag, "0")
        if not value.isdigit():
            raise Refused(f"arping: invalid argument: '{value}'\n", 1)
        return int(value)

    def _address(self, text: str) -> int:
        address = find(self.proc, text)
        if isinstance(address, str):
            raise Refused(f"arping: {text}: {address}\n")
        return address

    def _device(self) -> Any:
        name = self.given.get("I") or self._routed_by()
        dev = self.network.netns[self.proc.netns].devices.get(name)
        if dev is None:
            raise Refused(f"arping: Device {name} not available.\n")
        if not dev.up:
            raise Refused(f'Interface "{name}" is down\n', on_stdout=True)
        if not dev.kind or dev.noarp:
            raise Refused(f'Interface "{name}" is not ARPable\n', on_stdout=True)
        return dev

    def _routed_by(self) -> str:
        try:
            return str(self.stack.open_udp().route(self.target).dev.name)
        except OSError:
            raise Refused("arping: no device that can be used for ARP; use -I\n") from None

    def _source(self) -> int:
        if "s" in self.given:
            source = self._address(self.given["s"])
            if source not in self._own():
                raise Refused("arping: bind: Cannot assign requested address\n")
            return source
        if self.dad:
            return 0
        if self.unsolicited:
            if self.target not in self._own():
                raise Refused("arping: bind: Cannot assign requested address\n")
            return self.target
        probe = self.stack.open_udp()
        probe.bind_dev = self.dev
        try:
            return int(probe.route(self.target).src)
        except OSError as error:
            raise Refused(f"arping: connect: {os.strerror(error.errno or 0)}\n") from None
        finally:
            probe.close()

    def _own(self) -> set[int]:
        return {a.local for d in self.network.netns[self.proc.netns].devices.values() for a in self.stack.addresses(d)}

    # -- frames -----------------------------------------------------------------------------------------------------

    def probe(self, sock: Any) -> None:
        """Send one request or announcement."""
        op = REPLY if "A" in self.given else REQUEST
        mine = self.dev.mac.to_bytes(6, "big")
        wanted = mine if op == REPLY else self.unicast_to.to_bytes(6, "big")
        body = bytes.fromhex("0001080006040000")[:6] + op.to_bytes(2, "big") + mine + self.source.to_bytes(4, "big")
        frame = Frame(self.unicast_to, self.dev.mac, ARP, body + wanted + self.target.to_bytes(4, "big"))
        self.last = int(self.proc.lab.env.now)
        self.sent += 1
        self.broadcasts += self.unicast_to == BROADCAST
        sock.send(frame)

    def take(self, when: int, frame: Frame) -> None:
        """Look at one ARP frame: is it an answer to us?"""
        data = frame.payload
        if frame.ptype is OTHERHOST or len(data) < 28 or data[:6] != bytes.fromhex("000108000604"):
            return
        op, sender, spa = int.from_bytes(data[6:8], "big"), data[8:14], int.from_bytes(data[14:18], "big")
        tha, tpa = data[18:24], int.from_bytes(data[24:28], "big")
        if op not in (REQUEST, REPLY) or not self._concerns_us(sender, spa, tha, tpa):
            return
        self.received += 1
        self.requests += op == REQUEST
        if not self.quiet:
            self._tell(frame, op, sender, spa, tpa, when)
        if not self.unsolicited and "b" not in self.given:
            self.unicast_to = int.from_bytes(sender, "big")

    def _concerns_us(self, sender: bytes, spa: int, tha: bytes, tpa: int) -> bool:
        mine = self.dev.mac.to_bytes(6, "big")
        if spa != self.target:
            return False
        if self.dad:
            return sender != mine and (not self.source or tpa == self.source)
        return tpa == self.source and tha == mine

    def _tell(self, frame: Frame, op: int, sender: bytes, spa: int, tpa: int, when: int) -> None:
        cast = "Unicast" if frame.dst == self.dev.mac else "Broadcast"
        what = "request" if op == REQUEST else "reply"
        whom = f"for {dotted(tpa)} " if tpa != self.source else ""
        took = (when - self.last) // 1000
        address = sender.hex(":").upper()
        self.proc.write(
            f"{cast} {what} from {dotted(spa)} [{address}]{' ' + whom.rstrip() if whom else ''}"
            f"  {took // 1000}.{took % 1000:03}ms\n"
        )

    # -- the loop ---------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the answers suffice."""
        if self.received and ("f" in self.given or self.dad):
            return True
        return bool(self.count and self.sent >= self.count and self.received >= self.sent)

    def run(self) -> Generator[Any, Any, None]:
        """Probe once an interval until the count, the deadline or enough answers."""
        sock, waiter, env = self.stack.open_packet(self.dev, ARP), Waiter(self.proc), self.proc.lab.env
        sock.on_receive = waiter.heard
        deadline = env.now + self.timeout_ns if self.timeout_ns else None
        try:
            due = env.now
            while not self.finished and (deadline is None or env.now < deadline or env.now == due == deadline):
                if env.now >= due:
                    if self.count and self.sent >= self.count and deadline is None:
                        return
                    if not self.count or self.sent < self.count:
                        self.probe(sock)
                    due += self.interval_ns
                self._collect(sock)
                if not self.finished:
                    yield waiter.until(due if deadline is None else min(due, deadline))
                    self._collect(sock)
        finally:
            sock.close()

    def _collect(self, sock: Any) -> None:
        while sock.queue:
            when, _, frame = sock.queue.popleft()
            self.take(when, frame)

    def summary(self) -> str:
        """Return the closing lines."""
        asked = f" ({self.requests} request(s))" if self.requests else ""
        return (
            f"Sent {self.sent} probes ({self.broadcasts} broadcast(s))\n"
            f"Received {self.received} response(s){asked}\n"
        )  # fmt: skip

    @property
    def status(self) -> int:
        """The exit status."""
        if self.dad:
            return int(self.received > 0)
        return 0 if self.unsolicited or self.received else 1


def main(proc: Process) -> Generator[Any, Any, int]:
    """Send ARP."""
    if "-V" in proc.argv[1:]:
        proc.write(f"arping {VERSION}")
        return 0
    try:
        arping = Arping(proc)
    except Refused as refused:
        (proc.write if refused.on_stdout else proc.write_err)(str(refused))
        return refused.status
    if not arping.quiet:
        proc.write(f"ARPING {dotted(arping.target)} from {dotted(arping.source)} {arping.dev.name}\n")
    if not arping.source and not arping.dad:
        proc.write_err("arping: no source address in not-DAD mode\n")
        return 2
    try:
        yield from arping.run()
    except simpy.Interrupt as signal:
        if signal.cause != "SIGINT":
            return 143 if signal.cause == "SIGTERM" else 137
    except OSError as error:
        proc.write_err(f"arping: sendto: {os.strerror(error.errno or 0)}\n")
        return 2
    if not arping.quiet:
        proc.write(arping.summary())
    return arping.status
