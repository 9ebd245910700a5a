"""The program iperf3: a client or a server, its errors and signals."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.tools.common import Refused
from simvlan.tools.iperf.client import Client
from simvlan.tools.iperf.options import Options, read
from simvlan.tools.iperf.server import Server
from simvlan.tools.program import Process


def _behind(proc: Process, options: Options) -> int:
    """-D: a server in the background; nobody reads what it says."""
    mute = Process(proc.argv, proc.lab, netns=proc.netns, env=proc.env, cwd=proc.cwd)
    running = proc.lab.env.process(_serve(Server(mute, options)))

    def stop() -> None:
        if running.is_alive:
            running.interrupt("SIGTERM")

    proc.detach(stop, options.pidfile)
    return 0


def _serve(server: Server) -> Generator[Any, Any, None]:
    with contextlib.suppress(Refused, OSError, simpy.Interrupt):
        yield from server.run()
    server.talk.close()


def _writable(proc: Process, name: str) -> None:
    try:
        proc.open(name, "ab").close()
    except OSError as error:
        raise Refused(f"iperf3: error - unable to open log file: {error.strerror}\n") from None


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run iperf3."""
    end: Client | Server | None = None
    try:
        options = read(proc.argv[1:])
        if options.daemon:
            return _behind(proc, options)
        if options.logfile:
            _writable(proc, options.logfile)
        end = Server(proc, options) if options.server else Client(proc, options)
        if options.pidfile and options.server:
            proc.note_pid(options.pidfile)
        return (yield from end.run())
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status
    except OSError as error:
        proc.write_err(f"iperf3: error - {error.strerror}\n")
        return 1
    except simpy.Interrupt as signal:
        if isinstance(end, Server) and signal.cause != "SIGKILL":
            proc.write_err("iperf3: interrupt - the server has terminated\n")
        return {"SIGINT": 1, "SIGTERM": 1}.get(str(signal.cause), 137)
    finally:
        if end is not None:
            end.talk.close()
