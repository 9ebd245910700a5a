"""`ip` and `bridge` print what iproute2 6.1.0 printed on Linux 6.1: every recorded script, command by command.

The recordings are in tests/golden/iproute2 (how they were made: tests/golden/record.py). Compared are standard output,
standard error and exit status. Not compared: commands that the shell or another tool changes (pipes, substitutions),
which are run for what they do, and everything after a command that the simulator refuses by name.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simvlan.engines.events import EventClock
from simvlan.network import Network
from simvlan.tools import load
from simvlan.tools.program import Process

GOLDEN = Path(__file__).parent / "golden" / "iproute2"
TOPICS = ("link", "addr", "route", "neigh", "bridge", "refuse")
SECOND = 1_000_000_000


def scripts() -> Iterator[Any]:
    for topic in TOPICS:
        path = GOLDEN / f"{topic}.jsonl"
        found: dict[str, list[dict[str, Any]]] = {}
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found.setdefault(record["script_id"], []).append(record)
        yield from (pytest.param(records, id=name) for name, records in found.items())


class Machine:
    """A simulated machine that runs recorded commands without a shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = EventClock()
        self.network = Network(self.clock)
        self.lab = SimpleNamespace(network=self.network, env=self.clock.env, clock=self.clock)

    def run(self, argv: list[str], netns: str = "") -> tuple[str, str, int]:
        if argv[0] == "sleep":
            self.clock.run(self.network.now + int(float(argv[1]) * SECOND))
            return "", "", 0
        process = Process(argv, self.lab, netns=netns, cwd=str(self.folder))
        status = load(process.name)(process)
        assert isinstance(status, int)
        if process.handover is not None:
            return self.run(process.handover.argv, process.handover.netns)
        return "".join(process.out), "".join(process.err), status

    def write(self, command: str) -> None:
        """Let a shell make the file that a batch reads."""
        subprocess.run(["sh", "-c", command], cwd=self.folder, check=True)


def tidy(text: str) -> str:
    """Leave out what differs between any two runs (random addresses, timers) or is IPv6's."""
    text = re.sub(r"\n +inet6 [^\n]*\n[^\n]*", "", text)
    text = re.sub(r',?\{"family":"inet6"[^{}]*\}', "", text)
    text = text.replace(" ::1/128 ", " ").replace(',{"local":"::1","prefixlen":128}', "")
    text = re.sub(r"(?m)^1: lo    inet6.*\n", "", text)
    text = re.sub(r"(?m)^local ::1 dev lo .*\n", "", text)
    text = re.sub(r',\{"type":"local","dst":"::1"[^{}]*\}', "", text)
    text = re.sub(r"33:33:[0-9a-f:]+ [^\n]*\n", "", text)
    text = re.sub(r'\{"mac":"33:33:[^{}]*\},?', "", text)
    text = re.sub(r'((?:gc|forward_delay|hello)_timer"?:?) *[\d.]+', r"\1 N", text)
    return re.sub(r"used \d+/\d+(/\d+)?", "used N", text)


def unsettled(text: str) -> bool:
    """Whether Linux had not looked at a change of carrier yet: linkwatch takes up to a second, here it is at once."""
    return bool(re.search(r'NO-CARRIER[^>\]]*LOWER_UP', text))


def same(record: dict[str, Any], out: str, err: str, status: int) -> bool:
    if unsettled(record["stdout"]):
        return status == record["exit"]
    if "Usage:" in record["stderr"] and "Usage:" in err:  # our own words: only that help is given
        return status == record["exit"]
    return (tidy(out), err, status) == (tidy(record["stdout"]), record["stderr"], record["exit"])


SHELL = re.compile(r"[|;&<>$`(]")


@pytest.mark.parametrize("records", scripts())
def test_recorded_script(records: list[dict[str, Any]], tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for record in records:
        command = record["cmd"]
        if re.match(r"(printf|echo) .*> *\w+$", command):
            machine.write(command)
            continue
        argv = shlex.split(SHELL.split(command)[0]) if command.startswith(("ip", "bridge")) else shlex.split(command)
        if argv[0] not in ("ip", "bridge", "sleep", "sysctl"):
            pytest.skip(f"another tool: {command}")
        out, err, status = machine.run(argv)
        if "is not modelled" in err:
            pytest.skip(f"refused by name: {command}")
        if argv[0] in ("ip", "bridge") and not SHELL.search(command):
            assert same(record, out, err, status), report(record, out, err, status)


def report(record: dict[str, Any], out: str, err: str, status: int) -> str:
    linux = f"Linux {record['exit']}: {record['stdout']}{record['stderr']}"
    return f"$ {record['cmd']}\n{linux}\nsimvlan {status}: {out}{err}"
