"""Our TCP against the kernel's own, over a TUN device in a network namespace: `unshare -n tcp_peer.py JSON`.

The JSON says: `family` (4 or 6), `we` ("connect" or "listen"), `octets` each way, `loss` (a chance), `seed`, `options`
of our end.
Printed: what each side received (digests), the end states, and with `record` every event of our end, to be replayed
without a kernel (`replay`). `pcap` names a file for the packets as the kernel saw them.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from random import Random
from struct import pack
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from simvlan.stack.ipv6 import packet as packet6
from simvlan.stack.packet import DF, TCP, build, checksum, pseudo_sum
from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.packets import packed
from simvlan.stack.tcp.segment import Segment
from simvlan.stack.tcp.states import State

ENDS = {4: ("10.9.0.1", "10.9.0.2"), 6: ("2001:db8:9::1", "2001:db8:9::2")}
"""The kernel's address, and ours."""
PORT = 8000
LIMIT_S = 30


@dataclass
class Plan:
    family: int = 4
    we: str = "connect"
    octets: int = 100_000
    loss: float = 0.0
    seed: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    pcap: str = ""
    record: bool = False


class Application:
    """Sends its octets, closes its side, reads until the other closes. Both ends of our side's replay use it."""

    def __init__(self, conn: Connection, data: bytes) -> None:
        self.conn, self.left, self.got = conn, data, bytearray()

    def run(self, now: int) -> None:
        conn = self.conn
        while conn.recv.data:
            self.got += conn.read(65_536, now)
        if conn.state not in (State.ESTABLISHED, State.CLOSE_WAIT) or conn.queue.finishing:
            return
        while self.left and (taken := conn.write(self.left[:16_384], now)):
            self.left = self.left[taken:]
        if not self.left:
            conn.shutdown(now)

    @property
    def done(self) -> bool:
        return self.conn.state in (State.CLOSED, State.TIME_WAIT)


def content(seed: int, side: str, octets: int) -> bytes:
    return Random(f"{seed}/{side}").randbytes(octets)


class Recorder:
    """Every event of our end, and what it answered."""

    def __init__(self) -> None:
        self.events: list[list[Any]] = []

    def note(self, kind: str, now: int, what: bytes, out: list[Segment]) -> None:
        self.events.append([kind, now, what.hex(), [wire.encode(s, 0, 0).hex() for s in out]])


def replay(plan: Plan, events: list[list[Any]]) -> tuple[Application, list[tuple[Any, list[str]]]]:
    """Run our end through recorded events; what it answered now, beside what it answered then."""
    conn = Connection(Config(**plan.options), 5_000_000, 77)
    app = Application(conn, content(plan.seed, "ours", plan.octets))
    answers: list[tuple[Any, list[str]]] = []
    for kind, now, what, then in events:
        step(conn, kind, now, wire.decode(bytes.fromhex(what)) if what else None)
        app.run(now)
        answers.append((then, [wire.encode(s, 0, 0).hex() for s in conn.out]))
        conn.out.clear()
    return app, answers


def step(conn: Connection, kind: str, now: int, segment: Segment | None) -> None:
    if kind == "connect":
        conn.connect(now)
    elif kind == "timer":
        conn.on_timer(now)
    elif segment is not None:
        conn.accept(segment, now) if conn.state is State.CLOSED else conn.arrive(segment, now)


class Tun:
    """The device, and the packets on it as the kernel sees them."""

    def __init__(self, path: str, family: int) -> None:
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, 0x4004_54CA, pack("16sH", b"tun0", 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
        for command in (
            "ip link set lo up", f"sysctl -qw net.ipv6.conf.all.disable_ipv6={int(family == 4)}",
            "ip link set tun0 up", f"ip addr add {ENDS[family][0]}/{24 if family == 4 else 64} dev tun0",
        ):  # fmt: skip
            subprocess.run(command.split(), check=True)
        self.pcap = open(path, "wb") if path else None  # noqa: SIM115 - open as long as the device
        if self.pcap:
            self.pcap.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101))

    def note(self, now: int, packet: bytes) -> None:
        if self.pcap:
            self.pcap.write(pack("<IIII", now // 10**9, now % 10**9 // 1000, len(packet), len(packet)) + packet)

    def read(self) -> bytes | None:
        try:
            return os.read(self.fd, 65_536)
        except BlockingIOError:
            return None


def kernel_side(plan: Plan, result: dict[str, Any], listening: threading.Event) -> None:
    """The kernel's end: an ordinary program."""
    data = content(plan.seed, "kernel", plan.octets)
    here, there = ENDS[plan.family]
    if plan.we == "connect":
        with socket.socket(socket.AF_INET if plan.family == 4 else socket.AF_INET6) as server:
            server.bind((here, PORT))
            server.listen(1)
            listening.set()
            sock, _ = server.accept()
    else:
        listening.set()
        sock = socket.create_connection((there, PORT), timeout=LIMIT_S)
    sock.settimeout(LIMIT_S)
    writer = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
    writer.start()
    digest, size = sha256(), 0
    while piece := sock.recv(65_536):
        digest.update(piece)
        size += len(piece)
    writer.join()
    sock.close()
    result["kernel_got"] = [size, digest.hexdigest()]


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    tun, result, listening = Tun(plan.pcap, plan.family), {}, threading.Event()
    thread = threading.Thread(target=kernel_side, args=(plan, result, listening), daemon=True)
    thread.start()
    listening.wait(LIMIT_S)
    conn = Connection(Config(**plan.options), 5_000_000, 77)
    app = Application(conn, content(plan.seed, "ours", plan.octets))
    recorder = converse(plan, tun, conn, app)
    thread.join(LIMIT_S)
    if tun.pcap:
        tun.pcap.close()
    got = [len(app.got), sha256(app.got).hexdigest()]
    result |= {"our_got": got, "state": conn.state.value, "error": conn.error, "plan": asdict(plan)}
    result["recoveries"], result["timeouts"] = conn.recovery.recoveries, conn.recovery.timeouts
    sides = {side: content(plan.seed, side, plan.octets) for side in ("ours", "kernel")}
    result["expected"] = {side: sha256(data).hexdigest() for side, data in sides.items()}
    if plan.record:
        result["events"] = recorder.events
    print(json.dumps(result))


def converse(plan: Plan, tun: Tun, conn: Connection, app: Application) -> Recorder:
    """Turn the kernel's packets and the passing of time into events of our end, until both sides have finished."""
    recorder, draw = Recorder(), Random(plan.seed).random
    ports, ident = {"mine": PORT if plan.we == "listen" else 40_000, "theirs": PORT}, 0
    started = time.monotonic_ns()
    give_up, quiet_from = started + LIMIT_S * 10**9, None

    def event(kind: str, what: bytes = b"") -> None:
        nonlocal ident
        now = time.monotonic_ns() - started + 10**9
        step(conn, kind, now, wire.decode(what) if what else None)
        app.run(now)
        out, conn.out = conn.out, []
        recorder.note(kind, now, what, out)
        for segment in out:
            ident += 1
            packet = wrapped(plan.family, segment, (ports["mine"], ports["theirs"]), ident & 0xFFFF)
            if draw() >= plan.loss:
                tun.note(now, packet)
                os.write(tun.fd, packet)

    if plan.we == "connect":
        event("connect")
    while time.monotonic_ns() < give_up:
        now = time.monotonic_ns() - started + 10**9
        quiet_from = quiet_from or now if app.done else None
        if quiet_from is not None and now - quiet_from > 300_000_000:  # the kernel's last words have come
            break
        due = conn.deadline
        wait = 0.05 if due is None else max(0.0, min(0.05, (due - now) / 1e9))
        if select.select([tun.fd], [], [], wait)[0]:
            while (data := tun.read()) is not None:
                if data[0] >> 4 == plan.family and data[9 if plan.family == 4 else 6] == TCP:
                    tun.note(time.monotonic_ns() - started + 10**9, data)
                    heard = unwrapped(data)
                    ports["theirs"] = int.from_bytes(heard[:2], "big")
                    if draw() >= plan.loss:
                        event("in", heard)
        if conn.deadline is not None and conn.deadline <= time.monotonic_ns() - started + 10**9:
            event("timer")
    return recorder


def wrapped(family: int, segment: Segment, ports: tuple[int, int], ident: int) -> bytes:
    """A segment of ours as a packet."""
    theirs, ours = (int(ip_address(text)) for text in ENDS[family])
    flow = (ours, ports[0], theirs, ports[1])
    if family == 4:
        return build(ours, theirs, TCP, packed(segment, flow, partial=False), 64, 0, ident, DF)
    return packet6.build(ours, theirs, TCP, packed(segment, flow, partial=False, summed=packet6.pseudo_sum))


def unwrapped(data: bytes) -> bytes:
    """The segment of a packet of the kernel's, whose checksum must be right."""
    at, size = (20, 4) if data[0] >> 4 == 4 else (40, 16)
    src, dst = (int.from_bytes(data[at - n * size :][:size], "big") for n in (2, 1))
    summed = pseudo_sum if size == 4 else packet6.pseudo_sum
    assert checksum(summed(src, dst, TCP, len(data) - at).to_bytes(2, "big") + data[at:]) == 0
    return data[at:]


if __name__ == "__main__":
    main()
