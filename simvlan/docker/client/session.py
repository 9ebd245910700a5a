"""One run of the command: whom it speaks to, how it waits, what several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import simpy

from simvlan.docker.client.options import Line
from simvlan.docker.client.show import template
from simvlan.docker.errors import DockerError
from simvlan.docker.pending import STDERR, Pending, Stream

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine
    from simvlan.tools.program import Process

Running = Generator[Any, Any, int]


def missing(error: DockerError) -> bool:
    """Whether the command itself found nothing of a name, and says so in its own words."""
    return error.message.startswith("No such object")


class Session:
    """A command and its engine."""

    def __init__(self, proc: Process, engine: Engine) -> None:
        self.proc, self.engine = proc, engine

    def filters(self, line: Line) -> dict[str, list[str]]:
        """The `--filter` options."""
        found: dict[str, list[str]] = {}
        for word in line.many("filter"):
            name, _, value = word.partition("=")
            found.setdefault(name, []).append(value)
        return found

    def inspect(self, line: Line, look: Callable[[str], Any]) -> int:
        """Print objects as JSON, or by a template; those that are not there are complained about."""
        found, failed = [], ""
        for name in line.rest:
            try:
                found.append(look(name))
            except DockerError as error:
                failed += f"{'Error' if missing(error) else 'Error response from daemon'}: {error.message}\n"
        form = line.one("format")
        if form:
            self.proc.write("".join(template(form, each) + "\n" for each in found))
        else:
            text = json.dumps(found, indent=4, ensure_ascii=False)
            self.proc.write((text if found else "[]") + "\n")
        self.proc.write_err(failed)
        return int(bool(failed))

    def wait(self, pending: Pending[Any], interrupted: Callable[[str], None] | None = None) -> Generator[Any, Any, Any]:
        """Wait for a result; signals go to *interrupted*, if there is one."""
        env = self.proc.lab.env
        done = env.event()
        pending.then(lambda _: done.triggered or done.succeed())
        while not done.processed:
            try:
                yield done
            except simpy.Interrupt as interrupt:
                if interrupted is None or interrupt.cause == "SIGKILL":
                    raise
                interrupted(str(interrupt.cause).removeprefix("SIG"))
        return pending.value

    def copy(self, stream: Stream) -> Pending[None]:
        """Print what a stream says; resolved at its end."""
        ended: Pending[None] = Pending()

        def data(number: int, piece: bytes) -> None:
            (self.proc.write_err if number == STDERR else self.proc.write)(piece)

        stream.listen(data, lambda: ended.resolve(None))
        return ended
