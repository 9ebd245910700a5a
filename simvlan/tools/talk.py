"""What programs that speak TCP share: waiting for a connection, for data, for room; in virtual time.

Each is a generator for `yield from`. Sockets tell of changes by `on_receive`; the condition is looked at before every
wait, so that nothing told meanwhile is missed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

from simvlan.tools.common import Waiter
from simvlan.tools.hosts import Host
from simvlan.tools.program import Process

Waiting = Generator[Any, Any, bool]


class Talk:
    """The sockets of one program, and how it waits for them."""

    def __init__(self, proc: Process, first_fd: int = 3) -> None:
        self.proc = proc
        self.first_fd = first_fd
        """Its first socket's number: after its standard streams, and what it opens before."""
        self.stack: Any = proc.lab.network.netns[proc.netns].stack
        self.waiter = Waiter(proc)
        self._open: list[Any] = []

    @property
    def now(self) -> int:
        """The current time in ns."""
        return int(self.proc.lab.env.now)

    def tcp(self, family: int = 4) -> Any:
        """Open a TCP socket that wakes the program."""
        return self.own(self.stack.open_tcp(family))

    def udp(self, family: int = 4) -> Any:
        """Open a UDP socket that wakes the program."""
        return self.own(self.stack.open_udp(family))

    def own(self, sock: Any) -> Any:
        """Have a socket (an accepted one) wake the program, and be closed with it."""
        sock.on_receive = self.waiter.heard
        self.proc.hold(sock, self._free_fd())
        self._open.append(sock)
        return sock

    def _free_fd(self) -> int:
        """The lowest number that is not taken."""
        taken = {sock.holder.fd for sock in self._open}
        return next(fd for fd in count(self.first_fd) if fd not in taken)

    def drop(self, sock: Any) -> None:
        """Close one socket."""
        sock.close()
        if sock in self._open:
            self._open.remove(sock)

    def close(self) -> None:
        """Close whatever is open, as the end of a process does: the last opened first (task_work_run)."""
        for sock in reversed(self._open):
            sock.close()
        self._open.clear()

    def until(self, condition: Callable[[], object], by_ns: int | None = None) -> Waiting:
        """Wait until something holds; False when the time came first."""
        while not condition():
            if by_ns is not None and self.now >= by_ns:
                return False
            yield self.waiter.until(by_ns)
        return True

    def connect(self, sock: Any, host: Host, port: int, by_ns: int | None = None) -> Generator[Any, Any, int]:
        """Connect; 0 or an errno, ETIMEDOUT (from the kernel) and EINPROGRESS (the time given was over) among them."""
        try:
            sock.connect(host.address, port, host.device(self.stack))
        except OSError as error:
            return error.errno or errno.EIO
        done = yield from self.until(lambda: sock.connected or sock.error, by_ns)
        return int(sock.error) if done else errno.EINPROGRESS

    def accept(self, listener: Any, by_ns: int | None = None) -> Generator[Any, Any, Any]:
        """The next connection; None when the time came first."""
        yield from self.until(lambda: listener.listener.waiting, by_ns)
        child = listener.accept()
        return None if child is None else self.own(child)

    def send(self, sock: Any, data: bytes) -> Generator[Any, Any, None]:
        """Write everything.

        Raises:
            OSError: the connection ended.
        """
        while data:
            yield from self.until(lambda: sock.writable or sock.error or not sock.connected)
            taken = sock.send(data)
            data = data[taken:]


def reason(number: int) -> str:
    """What strerror(3) says."""
    return os.strerror(number)
