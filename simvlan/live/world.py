"""A lab on the wall's time with ports to the real world and a control socket, until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simvlan.engines.live import LiveEngine
from simvlan.live.attach import Attachment, attach, close
from simvlan.live.port import Port

IDLE_S = 0.5
"""Waiting is never longer: a longer pause was one of the process itself."""


class LiveWorld:
    """What runs: the control socket sees it as it sees a served world.

    Attributes:
        tasks: commands of the control socket that wait for time to pass.
        rounds: called after every turn; each answers in how many seconds at the latest it is to be called again.
    """

    def __init__(self, lab: Any, say: Callable[[str], None]) -> None:
        self.lab, self.say = lab, say
        self.engine = LiveEngine(lab.clock)
        self.selector: selectors.BaseSelector = self.engine.selector
        self.tasks: set[object] = set()
        self.ports: list[Port] = []
        self.rounds: list[Callable[[], float]] = []
        self.closing: list[Callable[[], None]] = []
        self.stopped = False
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self.selector.register(self._woken, selectors.EVENT_READ, lambda _mask: self._woken.recv(4096))

    def attach(self, wanted: Sequence[Attachment]) -> None:
        """Join simulated devices to real endpoints. Raises Unattachable; then none is."""
        self.ports = attach(self.lab, self.engine, wanted)
        for port in self.ports:
            port.on_news = self.say

    def run(self, until_ns: int | None = None) -> None:
        """Run until stopped, a monotonic time, or all ports are gone."""
        gc.collect()
        gc.freeze()  # what the network is made of need not be looked through while frames wait
        wall, engine = self.engine.wall, self.engine
        while not self.stopped and not (self.ports and all(port.gone for port in self.ports)):
            patience = min([IDLE_S, *(each() for each in self.rounds)])
            if until_ns is not None:
                left = (until_ns - wall()) / 1e9
                if left <= 0:
                    return
                patience = min(patience, left)
            engine.step(patience)

    def catch_up(self) -> None:
        """Do what is due and stand at the present."""
        self.engine.catch_up()

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self.stopped = True
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """Ctrl-C and its like end it in order."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Let go of everything."""
        close(self.ports)
        while self.closing:
            self.closing.pop()()
        self.engine.close()
        self._woken.close()
        self._waker.close()


def enter_command(pid: int = 0) -> str:
    """How somebody else gets into namespaces that this process made for itself."""
    return f"nsenter --preserve-credentials -U -n -t {pid or os.getpid()}"
