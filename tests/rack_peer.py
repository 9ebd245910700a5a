"""The kernel's own sender over a TUN device, losses by name: `unshare -n rack_peer.py JSON`.

The JSON is a `tcp_cases.Case`. Our end hears and answers 50 ms late. Printed: what the kernel sent, as [ms after the
first data, number of the segment], in order.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from heapq import heappop, heappush
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simvlan.stack.tcp import segment as wire
from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection
from tests.tcp_peer import ENDS, PORT, Tun, step, unwrapped, wrapped

MSS, LATE_NS, PATIENCE_S = 1460, 50_000_000, 1.5


def serve(octets: int, listening: threading.Event) -> None:
    """The kernel's end: everything in one write, a while after the handshake."""
    with socket.socket() as server:
        server.bind((ENDS[4][0], PORT))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")  # of the machine it may be any
        server.listen(1)
        listening.set()
        sock, _ = server.accept()
    time.sleep(0.3)
    sock.sendall(bytes(octets))
    time.sleep(PATIENCE_S)


def main() -> None:
    plan = json.loads(sys.argv[1])
    tun, listening = Tun("", 4), threading.Event()
    switches = {"tcp_timestamps": plan["stamps"]}
    words = [f"net.ipv4.{name}={value}" for name, value in switches.items()]
    subprocess.run(["sysctl", "-qw", *words], check=True)
    octets = plan["segments"] * (MSS - 12 * plan["stamps"])
    threading.Thread(target=serve, args=(octets, listening), daemon=True).start()
    listening.wait(5)
    conn = Connection(Config(timestamps=bool(plan["stamps"])), 5_000_000, 77)
    lost, late = ({int(at): number for at, number in plan[name].items()} for name in ("lost", "late"))
    print(json.dumps(converse(tun, conn, lost, late)))


def converse(tun: Tun, conn: Connection, left: dict[int, int], late: dict[int, int]) -> list[list[int]]:
    """Take what is not to be lost, late; what was sent meanwhile."""
    seen: list[list[int]] = []
    waiting: list[tuple[int, int, bytes]] = []
    first_ns, ports, ident, base = 0, (40_000, PORT), 0, None
    end = time.monotonic_ns() + int((PATIENCE_S + 0.8) * 10**9)

    def event(kind: str, what: bytes = b"") -> None:
        nonlocal ident
        now = time.monotonic_ns()
        step(conn, kind, now, wire.decode(what) if what else None)
        while conn.recv.data:
            conn.read(65_536, now)
        out, conn.out = conn.out, []
        for segment in out:
            ident += 1
            heappush(waiting, (now + LATE_NS, -ident, wrapped(4, segment, ports, ident)))

    event("connect")
    while (now := time.monotonic_ns()) < end:
        while waiting and waiting[0][0] <= now:
            _, number, octets = heappop(waiting)
            os.write(tun.fd, octets) if number < 0 else event("in", octets)
        due = [waiting[0][0]] if waiting else []
        due += [conn.deadline] if conn.deadline is not None else []
        if conn.deadline is not None and conn.deadline <= now:
            event("timer")
        if not select.select([tun.fd], [], [], max(0.0, min(0.05, (min(due, default=now + LATE_NS) - now) / 1e9)))[0]:
            continue
        while (data := tun.read()) is not None:
            if data[0] >> 4 != 4 or data[9] != 6:
                continue
            heard = unwrapped(data)
            told = wire.decode(heard)
            base = told.seq + 1 if told.flags & wire.SYN else base
            takes = LATE_NS
            if told.payload and base is not None:
                number = (told.seq - base) // (MSS - 12 * conn.stamping)
                first_ns = first_ns or time.monotonic_ns()
                seen.append([(time.monotonic_ns() - first_ns) // 1_000_000, number])
                takes += late.pop(number, 0) * 1_000_000
                if left.get(number):
                    left[number] -= 1
                    continue
            heappush(waiting, (time.monotonic_ns() + takes, len(seen) + 1 + ident, heard))
    return seen


if __name__ == "__main__":
    main()
