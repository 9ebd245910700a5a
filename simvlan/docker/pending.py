"""What is not known yet: the exit of a container, the end of a stop's grace time, the output of a process.

An engine runs in one thread and never blocks. What takes time answers with a `Pending`, what talks answers with a
`Stream`; both call back from within the thread that moves the lab's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from simvlan.docker.errors import DockerError

T = TypeVar("T")


class Pending(Generic[T]):
    """A result that comes later: `then` is called once, at once when it is already there."""

    def __init__(self) -> None:
        self.done = False
        self.error: DockerError | None = None
        self._value: T | None = None
        self._waiting: list[Callable[[Pending[T]], None]] = []

    @property
    def value(self) -> T:
        """The result. Raises DockerError when there is none, RuntimeError while it is not known."""
        if self.error is not None:
            raise self.error
        if not self.done:
            raise RuntimeError("the result is not known yet: let time pass")
        return self._value  # type: ignore[return-value]

    def then(self, callback: Callable[[Pending[T]], None]) -> None:
        """Call back with this object when the result is there."""
        if self.done:
            callback(self)
        else:
            self._waiting.append(callback)

    def forget(self, callback: Callable[[Pending[T]], None]) -> None:
        """Do not call back: whoever asked has gone."""
        if callback in self._waiting:
            self._waiting.remove(callback)

    def resolve(self, value: T) -> None:
        """Give the result; a second one is ignored."""
        self._finish(value, None)

    def fail(self, error: DockerError) -> None:
        """Say that there will be none."""
        self._finish(None, error)

    def _finish(self, value: T | None, error: DockerError | None) -> None:
        if self.done:
            return
        self.done, self._value, self.error = True, value, error
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(self)


def resolved(value: T) -> Pending[T]:
    """A result that is known at once."""
    made: Pending[T] = Pending()
    made.resolve(value)
    return made


STDIN, STDOUT, STDERR, SYSTEM = 0, 1, 2, 3
"""Stream numbers of Docker's frames; with a TTY everything is STDOUT."""


class Stream:
    """Output on its way to one client (attach, exec, logs), and that client's input on its way in.

    What came before `listen` is kept and delivered first.
    """

    def __init__(self, tty: bool = False) -> None:
        self.tty = tty
        self.ended = False
        self._kept: list[tuple[int, bytes]] = []
        self._data: Callable[[int, bytes], None] | None = None
        self._end: Callable[[], None] | None = None
        self.on_input: Callable[[bytes | None], None] | None = None
        """Where input goes; None as data is its end. None: the client's input goes nowhere."""
        self.unread: Callable[[], int] = lambda: 0
        """Octets of the client's input that the process has not read (the engine's side)."""
        self.on_detach: Callable[[], None] | None = None
        self.on_listen: Callable[[], None] | None = None
        """Told once somebody listens (the engine's side)."""
        self.room: Callable[[], bool] = lambda: True
        """Whether the client keeps up with what is sent (the client's side)."""
        self.on_room: Callable[[], None] | None = None
        """Told when it does again (the engine's side)."""

    def listen(self, on_data: Callable[[int, bytes], None], on_end: Callable[[], None]) -> None:
        """Be called with (stream number, data) for each piece, then once at the end."""
        self._data, self._end = on_data, on_end
        kept, self._kept = self._kept, []
        for number, data in kept:
            on_data(number, data)
        if self.ended:
            on_end()
        elif self.on_listen is not None:
            self.on_listen()

    def write(self, data: bytes) -> None:
        """Give the process input."""
        if self.on_input is not None and not self.ended:
            self.on_input(data)

    def close_stdin(self) -> None:
        """Tell the process that its input has ended (the client half-closed)."""
        if self.on_input is not None and not self.ended:
            self.on_input(None)

    def detach(self) -> None:
        """The client has gone; the process goes on."""
        self._data, self._end = None, None
        self.ended = True
        if self.on_detach is not None:
            self.on_detach()
        self.resume()

    def resume(self) -> None:
        """The client has room again, or has gone: whoever waits for that may go on."""
        if self.on_room is not None:
            self.on_room()

    def push(self, number: int, data: bytes) -> None:
        """Send a piece of output to the client (the engine's side)."""
        if self.ended:
            return
        if self._data is None:
            self._kept.append((number, data))
        else:
            self._data(number, data)

    def end(self) -> None:
        """Say that nothing more will come (the engine's side)."""
        if not self.ended:
            self.ended = True
            if self._end is not None:
                self._end()
