"""Runs on the kernel that is measured (standard library only): what a packet costs between two sockets, by path.

    probe.py ROUNDS SIZE,... WRITE,... NAME=NETNS1,NETNS2,ADDRESS,DESTINATION,TARGET ...

UDP: a window of packets is sent by one sendmmsg and taken by one recvmmsg, often, and the fastest window is kept:
whatever else the machine does only adds. TCP: one octet there and one back; and a megabyte in writes of each size, with
the time spent in sending and in taking apart (the first is one core's work when the ends have a core each). Paths take
turns, so that their differences are taken inside a round; a path named `unheard` only sends. Prints JSON: `udp`, `take`
(recvmmsg alone) and `tcp`, each path -> size or figure -> ns a packet, transaction or write, one for each round.
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
TRANSACTIONS, STREAM, PIECE = 100, 1 << 20, 1 << 17
"""One-octet transactions in a window; octets in a stream's window, and between two looks at the receiver."""


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


class Ends:
    """The sockets of one path, in their network namespaces."""

    def __init__(self, words: str) -> None:
        self.name, _, rest = words.partition("=")
        near, far, source, destination, self.target = rest.split(",")
        self.sender, self.receiver = (opened(*where) for where in ((near, source, 0), (far, destination, PORT)))
        if self.name == "unheard":
            self.sender.connect((self.target, PORT))
            return
        self.receiver.settimeout(5)
        self.sender.sendto(b"first", (self.target, PORT))  # neighbours are found, connections tracked
        self.receiver.recv(9)
        self.sender.connect((self.target, PORT))
        listening = opened(far, destination, PORT, socket.SOCK_STREAM)
        listening.listen()
        self.near = opened(near, source, 0, socket.SOCK_STREAM)
        self.near.settimeout(5)
        self.near.connect((self.target, PORT))
        self.far = listening.accept()[0]
        listening.close()
        for end in (self.near, self.far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def opened(netns: str, address: str, port: int, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket in a network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if LIBC.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {netns}")
        made = socket.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_DGRAM:
            for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
                made.setsockopt(socket.SOL_SOCKET, option, 1 << 25)
        made.bind((address, port))
        return made
    finally:
        LIBC.setns(home, CLONE_NEWNET)
        os.close(there)
        os.close(home)


# -- UDP ------------------------------------------------------------------------------------------------------------


def window_ns(ends: Ends, out: Window, into: Window, count: int) -> tuple[float, float]:
    """Send a window, take it, and return ns a packet, and of it what taking took; infinite if one was lost."""
    sender, receiver = ends.sender.fileno(), ends.receiver.fileno()
    begin = time.perf_counter()
    sent = LIBC.sendmmsg(sender, out.messages, count, 0)
    middle = time.perf_counter()
    if ends.name == "unheard":
        return (middle - begin) / count * 1e9, 0.0
    got = LIBC.recvmmsg(receiver, into.messages, count, socket.MSG_DONTWAIT, None)
    end = time.perf_counter()
    while got < count and LIBC.recvmmsg(receiver, into.messages, count, socket.MSG_DONTWAIT, None) > 0:
        pass
    whole = (end - begin, end - middle) if sent == got == count else (float("inf"), float("inf"))
    return whole[0] / count * 1e9, whole[1] / count * 1e9


def packet_ns(ends: Ends, size: int) -> tuple[float, float]:
    """Return the fastest of several windows."""
    count = WINDOWS[size]
    out, into = Window(count, size), Window(count, 66_000)
    best, tries = (float("inf"), float("inf")), 0
    while tries < TRIES or (best[0] == float("inf") and tries < LOST):
        best = min(best, window_ns(ends, out, into, count))
        tries += 1
    return best


# -- TCP ------------------------------------------------------------------------------------------------------------


def transaction_ns(ends: Ends) -> float:
    """Return what an octet there and an octet back cost, both ends together."""
    near, far = ends.near, ends.far
    begin = time.perf_counter()
    for _ in range(TRANSACTIONS):
        near.send(b"x")
        far.recv(9)
        far.send(b"y")
        near.recv(9)
    return (time.perf_counter() - begin) / TRANSACTIONS * 1e9


def stream_ns(ends: Ends, size: int) -> tuple[float, float]:
    """Return what a write costs the sender's core (the way and the receiver's TCP with it), and the receiver's."""
    data, into = bytes(size), bytearray(1 << 18)
    out = got = 0
    sending = taking = 0.0
    while got < STREAM:
        begin = time.perf_counter()
        for _ in range(PIECE // size):
            if out < STREAM:
                out += _sent(ends.near, data)
        middle = time.perf_counter()
        got += _taken(ends.far, into)
        sending, taking = sending + middle - begin, taking + time.perf_counter() - middle
    return sending / STREAM * size * 1e9, taking / STREAM * size * 1e9


def _sent(end: socket.socket, data: bytes) -> int:
    try:
        return end.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0


def _taken(end: socket.socket, into: bytearray) -> int:
    try:
        return end.recv_into(into, 0, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0


def figures(ends: Ends, writes: list[int]) -> dict[str, float]:
    """Return the best of several windows of each kind."""
    found = {"transaction": min(transaction_ns(ends) for _ in range(TRIES // 2))}
    for size in writes:
        found[f"send {size}"], found[f"take {size}"] = min(stream_ns(ends, size) for _ in range(3 * TRIES))
    return found


def main(rounds: int, sizes: list[int], writes: list[int], paths: list[str]) -> None:
    """Measure every path in turns."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {"udp": {}, "take": {}, "tcp": {}}
    every = [Ends(path) for path in paths]

    def note(part: str, name: str, figure: object, ns: float) -> None:
        found[part].setdefault(name, {}).setdefault(str(figure), []).append(round(ns, 1))

    for _ in range(rounds):
        for ends in every:
            for size in sizes:
                for part, ns in zip(("udp", "take"), packet_ns(ends, size), strict=True):
                    note(part, ends.name, size, ns)
            if writes and ends.name != "unheard":
                for figure, ns in figures(ends, writes).items():
                    note("tcp", ends.name, figure, ns)
    print(json.dumps(found))


if __name__ == "__main__":
    numbers = [[int(each) for each in word.split(",") if each] for word in sys.argv[2:4]]
    main(int(sys.argv[1]), *numbers, sys.argv[4:])
