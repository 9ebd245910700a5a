"""The program iperf3: a client or a server, its errors and signals."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from simvlan.tools.common import Refused
from simvlan.tools.iperf.client import Client
from simvlan.tools.iperf.options import read
from simvlan.tools.iperf.server import Server
from simvlan.tools.program import Process


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run iperf3."""
    end: Client | Server | None = None
    try:
        options = read(proc.argv[1:])
        end = Server(proc, options) if options.server else Client(proc, options)
        return (yield from end.run())
    except Refused as refused:
        proc.write_err(str(refused))
        return 1
    except OSError as error:
        proc.write_err(f"iperf3: error - {error.strerror}\n")
        return 1
    except simpy.Interrupt as signal:
        return {"SIGINT": 1, "SIGTERM": 1}.get(str(signal.cause), 137)
    finally:
        if end is not None:
            end.talk.close()
