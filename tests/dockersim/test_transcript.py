"""761 recorded steps of a real engine 28.5.2: the docker command says the same of ours, and makes the same calls."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from tests.dockersim.served import DOCKER, Served, serving, two_nodes
from tests.dockersim.transcript import LEFT_OUT, Outcome, Record, Replay, masked, records, same

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker command of version 28 or later is installed")

RECORDS = records()
COMPARED = [record for record in RECORDS if record["kind"] in ("docker", "api")]


def disagreement(done: Outcome) -> str:
    """What differs; nothing when all is the same."""
    record, said = done.record, ""
    if record["exit"] != done.exit:
        said += f"exit {record['exit']}, ours {done.exit}\n"
    for name, theirs, ours in (("stdout", record["stdout"], done.out), ("stderr", record["stderr"], done.err)):
        if not same(record, theirs, ours):
            lines = difflib.unified_diff(masked(theirs).split("\n"), masked(ours).split("\n"), "theirs", name, "", "")
            said += "\n".join(list(lines)[:20]) + "\n"
    if record["kind"] == "docker" and not record.get("tty"):
        theirs, ours = sorted(map(masked, record.get("calls") or [])), sorted(map(masked, done.calls))
        if theirs != ours:
            said += f"calls {theirs}, ours {ours}\n"
    return f"#{record['i']} {' '.join(record['argv'])}\n{said}" if said else ""


def host_command(served: Served, record: Record) -> None:
    """What was changed on a node outside Docker."""
    argv = record["argv"]
    lines = [part.split() for part in argv[2].split("&&")] if argv[0] == "sh" else [argv]
    for line in lines:
        if line[0] == "ip" and line[2:3] and line[2] in ("add", "del", "set"):
            done = served.do(lambda line=line: served.lab.command(*line, netns=record["node"]))
            assert not done.exit, (line, done.stderr)


def replay(section: str, **how: Any) -> list[str]:
    """Replay a section on two fresh nodes; what disagreed."""
    found: list[str] = []
    with serving(two_nodes(), ["node-1", "node-2"], **how) as served:
        for engine in served.engines.values():
            served.do(lambda engine=engine: engine.image_create("alpine", "latest"))
        run = Replay(served)
        for record in RECORDS:
            if record["section"] != section or record["i"] in LEFT_OUT:
                continue
            if record["kind"] == "host":
                host_command(served, record)
            elif record in COMPARED:
                outcomes = [*run.before(record["i"]), run.run(record)]
                found += filter(None, map(disagreement, outcomes))
        found += filter(None, map(disagreement, run.finish()))
    return found


@pytest.mark.parametrize("section", ["version", "tutorial", "opts"])
def test_records(section: str) -> None:
    assert replay(section) == []


def test_records_of_the_command_line() -> None:
    assert replay("cli", speed=4.0) == []


def test_little_is_left_out() -> None:
    numbers = {record["i"] for record in COMPARED}
    left = numbers & set(LEFT_OUT)
    assert len(left) <= 0.08 * len(numbers), f"{len(left)} of {len(numbers)}"
