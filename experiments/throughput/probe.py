"""Runs on the kernel that is measured (standard library only): what a packet costs between two UDP sockets, by path.

    probe.py ROUNDS SIZE,... NAME=NETNS1,NETNS2,ADDRESS,DESTINATION ...

A round sends a window of packets by one sendmmsg and takes them by one recvmmsg, often, and keeps the fastest window:
whatever else the machine does only adds. Paths take turns, so that their differences are taken inside a round. Prints
JSON: path -> size -> ns a packet, one for each round.
"""

import ctypes
import json
import os
import socket
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 0x4000_0000, 32, 33
PORT = 9999
WINDOWS = {18: 128, 1472: 128, 65000: 16}
"""Octets of payload, and how many packets a window has: a small one, a full Ethernet frame, a super-packet."""
TRIES, LOST = 20, 50


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_long), ("len", ctypes.c_long),
    )  # fmt: skip


class Window:
    """A vector of messages that share one buffer."""

    def __init__(self, count: int, size: int) -> None:
        self.buffer = ctypes.create_string_buffer(size)
        self.iov = Iovec(ctypes.addressof(self.buffer), size)
        self.messages = (Message * count)()
        for message in self.messages:
            message.iov, message.iovlen = ctypes.pointer(self.iov), 1


def opened(netns: str, address: str, port: int) -> socket.socket:
    """A UDP socket in a network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if LIBC.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {netns}")
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
            made.setsockopt(socket.SOL_SOCKET, option, 1 << 25)
        made.bind((address, port))
        return made
    finally:
        LIBC.setns(home, CLONE_NEWNET)
        os.close(there)
        os.close(home)


def window_ns(sender: socket.socket, receiver: socket.socket, out: Window, into: Window, count: int) -> float:
    """Send a window, take it, and return ns a packet; infinite if one was lost."""
    begin = time.perf_counter()
    sent = LIBC.sendmmsg(sender.fileno(), out.messages, count, 0)
    got = LIBC.recvmmsg(receiver.fileno(), into.messages, count, socket.MSG_DONTWAIT, None)
    took = time.perf_counter() - begin
    while got < count and LIBC.recvmmsg(receiver.fileno(), into.messages, count, socket.MSG_DONTWAIT, None) > 0:
        pass
    return took / count * 1e9 if sent == got == count else float("inf")


def cost_ns(sender: socket.socket, receiver: socket.socket, size: int) -> float:
    """Return the fastest of several windows."""
    count = WINDOWS[size]
    out, into = Window(count, size), Window(count, 66_000)
    best, tries = float("inf"), 0
    while tries < TRIES or (best == float("inf") and tries < LOST):
        best = min(best, window_ns(sender, receiver, out, into, count))
        tries += 1
    return best


def main(rounds: int, sizes: list[int], paths: list[str]) -> None:
    """Measure every path in turns."""
    ends = {}
    for path in paths:
        name, _, words = path.partition("=")
        near, far, source, destination, target = words.split(",")
        sender, receiver = opened(near, source, 0), opened(far, destination, PORT)
        receiver.settimeout(5)
        sender.sendto(b"first", (target, PORT))  # neighbours are found, connections tracked
        receiver.recv(9)
        sender.connect((target, PORT))
        ends[name] = sender, receiver
    found: dict[str, dict[int, list[float]]] = {name: {size: [] for size in sizes} for name in ends}
    for _ in range(rounds):
        for name, (sender, receiver) in ends.items():
            for size in sizes:
                found[name][size].append(round(cost_ns(sender, receiver, size), 1))
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(size) for size in sys.argv[2].split(",")], sys.argv[3:])
