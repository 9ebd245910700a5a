"""A server of many connections: one program that waits for all of them and lets none block it.

What is served is told by a `Site`: octets that came go in, octets to send and whether to close come out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from simvlan.tools.talk import Talk


class Visit(Protocol):
    """A server's side of one connection, without input or output."""

    closing: bool
    """Nothing more will be sent once what was answered is out."""

    def hear(self, data: bytes) -> list[bytes]:
        """Take what came (b"": the end); what to write, one item for each write."""


@dataclass
class _Open:
    sock: Any
    visit: Visit
    left: list[bytes] = field(default_factory=list)
    ended: bool = False


class Service:
    """Accepts on a listening socket and serves.

    Args:
        meet: makes the visit of a socket that has connected.
    """

    def __init__(self, talk: Talk, listener: Any, meet: Callable[[Any], Visit]) -> None:
        self.talk, self.listener, self.meet = talk, listener, meet
        self.open: list[_Open] = []

    def run(self) -> Generator[Any, Any, None]:
        """Serve until interrupted."""
        while True:
            while self.listener.listener.waiting:
                sock = self.talk.own(self.listener.accept())
                self.open.append(_Open(sock, self.meet(sock)))
            over = [each for each in list(self.open) if not self._serve(each)]
            if over:
                yield self.talk.proc.lab.env.timeout(1)  # who was woken by the last octets runs before the end is told
            for each in over:
                self._end(each)
            if not self._ready():
                yield self.talk.waiter.until(None)

    def _ready(self) -> bool:
        """Something came while others were served: nobody is told of it again."""
        return bool(self.listener.listener.waiting) or any(
            (each.sock.readable and not each.ended and not each.left) or (each.left and each.sock.writable)
            for each in self.open
        )

    def _serve(self, each: _Open) -> bool:
        """Read, answer, write what there is room for; False when it is over."""
        sock = each.sock
        try:
            while sock.readable and not each.ended and not each.visit.closing and not each.left:
                data = sock.recv(8192)
                each.ended = not data
                each.left += each.visit.hear(data)
                self._write(each)
            self._write(each)
            if each.left:
                return True
        except OSError:
            return False
        return not (each.visit.closing or each.ended)

    def _end(self, each: _Open) -> None:
        self.open.remove(each)
        if each.visit.closing and each.sock.connected:
            each.sock.shutdown()
        self.talk.drop(each.sock)

    @staticmethod
    def _write(each: _Open) -> None:
        while each.left and each.sock.writable:
            taken = each.sock.send(each.left[0])
            each.left[0] = each.left[0][taken:]
            if not each.left[0]:
                each.left.pop(0)
