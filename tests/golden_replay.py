"""Recorded runs of real tools, replayed on the simulator: what may differ (durations, random numbers) is masked."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from simvlan.lab import Lab
from simvlan.oracle.agreement import PROBE_MASKS, tidy_text
from simvlan.tools.program import call

GOLDEN = Path(__file__).parent / "golden" / "iproute2"
USAGE = re.compile(r"Usage.*", re.DOTALL)


def masked(text: str) -> str:
    """Hide durations and identifiers, and usage texts: ours are in our own words."""
    return USAGE.sub("Usage", tidy_text(text, PROBE_MASKS))


def records(file: str, script: str) -> list[dict[str, Any]]:
    """Return the recorded commands of one script."""
    lines = (GOLDEN / f"{file}.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["script_id"] == f"{file}/{script}"]


def differences(file: str, script: str, skip: str) -> list[str]:
    """Replay a script; return each command whose output, errors or status differ. *skip*: commands left out."""
    lab, found = Lab(), []
    for record in records(file, script):
        command = record["cmd"]
        if re.search(r"[|><;&$]|^cat |^timeout ", command) or re.search(skip, command):
            continue
        argv, netns = shlex.split(command), ""
        if argv[:3] == ["ip", "netns", "exec"]:
            netns, argv = argv[3], argv[4:]
        done = call(lab, argv, netns=netns)
        want = (masked(record["stdout"]), masked(record["stderr"]), record["exit"])
        got = (masked(done.out), masked(done.err), done.status)
        if want != got:
            found.append(f"{command}\n  want {want}\n  got  {got}")
    return found
