"""What sends and receives in the real namespaces: `python -m benchmarks.live_peers flood|send|receive ...`.

Frames have 60 octets (64 with their FCS): a number and the sender's time behind the header.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time

ETHERTYPE = 0x88B5
BODY = struct.Struct("!IQ")
QUIET_S = 1.5
"""The receiver has all when nothing has come for so long."""
BURST = 8
SO_TIMESTAMPNS = 35


def opened(device: str, protocol: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    sock.bind((device, protocol))
    return sock


def head(sock: socket.socket, dst: str) -> bytes:
    return bytes.fromhex(dst.replace(":", "")) + sock.getsockname()[4] + ETHERTYPE.to_bytes(2, "big")


def flood(device: str, dst: str, seconds: str) -> None:
    """Send as fast as it goes."""
    with opened(device) as sock:
        frame, end = head(sock, dst) + bytes(46), time.monotonic() + float(seconds)
        while time.monotonic() < end:
            for _ in range(100):
                sock.send(frame)


def send(device: str, dst: str, frames: str, rate: str) -> None:
    """Send numbered frames at a steady rate, in short bursts."""
    with opened(device) as sock:
        first, begin, pause = head(sock, dst), time.monotonic(), BURST / float(rate)
        for number in range(int(frames)):
            if number % BURST == 0:
                time.sleep(max(0.0, begin + number // BURST * pause - time.monotonic()))
            sock.send(first + BODY.pack(number, time.time_ns()) + bytes(46 - BODY.size))


def receive(device: str, path: str) -> None:
    """Write (number, latency in ns) of everything that comes, by the kernel's own timestamps."""
    with opened(device, ETHERTYPE) as sock, open(path, "w", encoding="ascii") as out:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        seen: list[tuple[int, int]] = []
        print("listening", flush=True)
        sock.settimeout(30)
        try:
            while True:
                data, told, _, _ = sock.recvmsg(128, 64)
                seconds, ns = struct.unpack("qq", told[0][2])
                number, sent = BODY.unpack_from(data, 14)
                seen.append((number, seconds * 10**9 + ns - sent))
                sock.settimeout(QUIET_S)
        except TimeoutError:
            json.dump(seen, out)


if __name__ == "__main__":
    {"flood": flood, "send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
