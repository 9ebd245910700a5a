"""How curl 7.88.1 connects: one family first, the other 200 ms later or once the first has failed (lib/connect.c)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simvlan.clock import MILLISECOND
from simvlan.tools.hosts import Host
from simvlan.tools.talk import reason

if TYPE_CHECKING:
    from simvlan.tools.http.curl_transfer import Session

HAPPY_EYEBALLS_NS = 200 * MILLISECOND


class Race:
    """Attempts to connect to the addresses of a host.

    Args:
        prepare: makes a fresh socket ready (--interface).
    """

    def __init__(self, session: Session, port: int, hosts: list[Host], prepare: Callable[[Any], None]) -> None:
        self.session, self.talk, self.port, self.prepare = session, session.talk, port, prepare
        first = hosts[0].family
        self.lanes = [[h for h in hosts if h.family == first], [h for h in hosts if h.family != first]]
        self.going: dict[int, tuple[Host, Any]] = {}
        self.began = self.talk.now
        self.error = 0
        """The errno of the last attempt that failed."""

    def run(self, by_ns: int) -> Generator[Any, Any, tuple[Host, Any] | None]:
        """The first connection that comes about; None where none does, or the time is over."""
        self._start(0)
        while self.going or self.lanes[1]:
            other = self.began + HAPPY_EYEBALLS_NS if self.lanes[1] and 1 not in self.going else None
            if other is not None and (not self.going or self.talk.now >= other):
                self._start(1)
                continue
            yield from self.talk.until(self._decided, by_ns if other is None else min(by_ns, other))
            won = self._judged()
            if won is not None:
                return won
            if self.talk.now >= by_ns:
                self._late()
                return None
        return None

    def _decided(self) -> bool:
        return any(sock.connected or sock.error for _, sock in self.going.values())

    def _judged(self) -> tuple[Host, Any] | None:
        """Let go of those that lost; what failed is followed by the next of its family."""
        for lane, (host, sock) in list(self.going.items()):
            if sock.connected:
                self._stop(lane)
                return host, sock
            if sock.error:
                self.error = sock.error
                self.session.say(f"connect to {host.text} port {self.port} failed: {reason(self.error)}")
                del self.going[lane]
                self.talk.drop(sock)
                self._start(lane)
        return None

    def _stop(self, winner: int = -1) -> None:
        for lane, (_, sock) in self.going.items():
            if lane != winner:
                self.talk.drop(sock)

    def _late(self) -> None:
        waited = (self.talk.now - self.began) // MILLISECOND
        for host, _ in self.going.values():
            self.session.say(f"ipv{host.family} connect timeout after {waited}ms, move on!")
        self._stop()

    def _start(self, lane: int) -> None:
        """Begin with the next address of a family that does not fail at once."""
        while self.lanes[lane]:
            host = self.lanes[lane].pop(0)
            self.session.say(f"  Trying {host.bracketed}:{self.port}...")
            sock = self.talk.tcp(host.family)
            sock.nodelay = True
            self.prepare(sock)
            try:
                sock.connect(host.address, self.port, host.device(self.talk.stack) or sock.bind_dev)
            except OSError as error:
                self.error = error.errno or errno.EIO
                self.session.say(f"Immediate connect fail for {host.text}: {reason(self.error)}")
                self.talk.drop(sock)
                continue
            self.going[lane] = host, sock
            return
