"""A campaign that is ended, or whose guest is: nothing is left running, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simvlan.oracle.fuzz.crew import Crew
from simvlan.oracle.fuzz.scenario import generate
from simvlan.oracle.kernels import Kernel
from tests.kernels import require


def users_of(folder: Path) -> list[str]:
    """Command lines of processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kernel", ["host", "uml"])
def test_an_ended_campaign_leaves_nothing_and_goes_on(kernel: Kernel, number: int, tmp_path: Path) -> None:
    require(kernel)
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    command = [sys.executable, "-m", "simvlan.cli", "fuzz", "--kernel", kernel, "--scenarios", "400", "--seed", "1"]
    command += ["--frames", "20", "--out", str(out), "--shrink-time", "0"]
    fuzz = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (out / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert users_of(temporary)
    fuzz.send_signal(number)
    _, errors = fuzz.communicate(timeout=60)
    assert fuzz.returncode == 130
    assert b"the same command goes on" in errors
    assert users_of(temporary) == []
    assert list(temporary.iterdir()) == []
    state = json.loads((out / "state.json").read_text())
    assert 0 < len(state["done"]) < 400


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["host", "uml"])
def test_a_guest_that_is_killed_is_replaced(kernel: Kernel) -> None:
    """Its scenarios are run again, and agree as if nothing had happened."""
    require(kernel)
    scenarios = [generate(seed, kernel, 10) for seed in range(1, 13)]
    with Crew(kernel, 1) as crew:
        verdicts = crew.run(scenarios)
        done = [next(verdicts)]
        os.killpg(crew._guests[0]._process.pid, signal.SIGKILL)
        done += verdicts
    assert sorted(verdict.scenario.seed for verdict in done) == list(range(1, 13))
    assert not any(verdict.crash for verdict in done)
