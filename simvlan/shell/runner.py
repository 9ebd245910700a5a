"""Runs the commands that clients ask for: tools of ours, in the simulated network, one SimPy process each."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simvlan.errors import Unsupported
from simvlan.shell import wire
from simvlan.shell.client import Client, ClientProcess, paced
from simvlan.shell.shim import ALWAYS_SIGINT
from simvlan.tools import REFUSED, TOOLS, load
from simvlan.tools.program import REFUSED_STATUS, InputNeeded, refusal

if TYPE_CHECKING:
    from simvlan.shell.server import Server
    from simvlan.shell.sysctls import Sysctls

INTERNAL_ERROR = 70


class Runner:
    """Begins commands for a server.

    Args:
        server: whose clients they are; commands see it as their surroundings.
        sysctls: the files under /proc/sys that commands may have touched.
        ended: told of each command that has ended at once, and its status.
    """

    def __init__(self, server: Server, sysctls: Sysctls, ended: Callable[[Client, int], None]) -> None:
        self.lab, self.sysctls = server.lab, sysctls
        self._server, self._ended = server, ended

    def begin(self, client: Client) -> None:
        """Run what a client asks for."""
        if client.gone or client.request is None:
            return
        request = client.request
        process = ClientProcess(client, request, self.lab, self._server)
        process.inputs = client.inputs
        client.process = process
        if process.name in REFUSED:
            process.write_err(refusal(process.name))
            self._ended(client, REFUSED_STATUS)
        elif process.name not in TOOLS:
            process.write_err(f"{process.name}: command not found\n")
            self._ended(client, 127)
        else:
            self._start(client, process)

    def _start(self, client: Client, process: ClientProcess) -> None:
        try:
            if process.name == "sysctl":
                self.sysctls.touched(process.netns)
            outcome = self._load(process)(process)
            if not isinstance(outcome, int) and hasattr(outcome, "send"):
                client.running = self.lab.env.process(self._drive(client, process, outcome))
                return
            status = int(outcome or 0)
        except InputNeeded as needed:
            client.ask(needed.path)
            return
        except Exception as error:
            status = self._failed(process, error)
        self._ended(client, status) if process.handover is None else self._replace(client, process)

    def _load(self, process: ClientProcess) -> Any:
        try:
            return load(process.name)
        except ModuleNotFoundError as error:
            if error.name and TOOLS[process.name].startswith(error.name):
                raise Unsupported(f"{process.name} is not simulated yet") from None
            raise

    def _drive(
        self, client: Client, process: ClientProcess, tool: Generator[Any, Any, int]
    ) -> Generator[Any, Any, None]:
        """The SimPy process around a tool: whatever becomes of it, the client is told."""
        import simpy

        try:
            status = yield from paced(client, tool, self.lab.env)
        except simpy.Interrupt as interrupt:
            status = -int(signal.Signals[str(interrupt.cause)])
        except InputNeeded as needed:
            client.running = None
            client.ask(needed.path)
            return
        except Exception as error:
            status = self._failed(process, error)
        client.finish(status) if process.handover is None else self._replace(client, process)

    def _failed(self, process: ClientProcess, error: Exception) -> int:
        """A refusal the tool left to us, or a bug in it."""
        if isinstance(error, Unsupported):
            process.write_err(f"simvlan: {process.name}: {error}\n")
            return REFUSED_STATUS
        text = "".join(traceback.format_exception(error))
        process.write_err(f"simvlan: {' '.join(process.argv)}: internal error, please report it\n{text}")
        return INTERNAL_ERROR

    def _replace(self, client: Client, process: ClientProcess) -> None:
        """Run what the command has named to run in its place (exec)."""
        handover = process.handover
        assert handover is not None
        if "/" not in handover.argv[0] and handover.argv[0] in {*TOOLS, *REFUSED}:
            client.request = wire.Request(
                handover.argv, handover.netns, process.cwd, handover.env, process.stdout_isatty
            )
            client.running = None
            if os.fsencode(handover.argv[0]) in ALWAYS_SIGINT:
                client.send("H")
            self.begin(client)
        else:
            self.sysctls.show(handover.netns)
            client.become(process.name, handover)
