"""How a program with sockets (nc, curl, wget) runs: its errors and signals; its sockets are closed whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import simpy

from simvlan.tools.common import Refused
from simvlan.tools.program import Process
from simvlan.tools.talk import Talk


class Client(Protocol):
    """One run of a program."""

    @property
    def talk(self) -> Talk:
        """Its sockets."""

    def run(self) -> Generator[Any, Any, int]:
        """Do what the command line says; the exit status."""


def run(proc: Process, make: Callable[[Process], Client]) -> Generator[Any, Any, int]:
    """Run a program to its end."""
    client: Client | None = None
    try:
        client = make(proc)
        return (yield from client.run())
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    except simpy.Interrupt as signal:
        return {"SIGINT": 130, "SIGTERM": 143}.get(str(signal.cause), 137)
    finally:
        if client is not None:
            client.talk.close()
