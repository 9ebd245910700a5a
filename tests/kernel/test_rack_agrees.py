"""What is sent again, and when something new goes instead: the order in which the host kernel's own sender sends.

RACK, tail loss probes, F-RTO, undoing. Times are not compared: they are those of a busy machine, which may also add
repetitions; so of three tries one counts. Ours is held to the same orders in `tests/test_tcp_rack.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.kernels import require_host_tun
from tests.tcp_cases import CASES, Case, numbers

PEER = Path(__file__).parents[1] / "rack_peer.py"
Running = subprocess.Popen[str]


def started(case: Case) -> Running:
    """Most of its time it waits."""
    command = ["unshare", "-n", sys.executable, str(PEER), json.dumps(asdict(case))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(running: Running) -> list[int]:
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    return [number for _, number in json.loads(out)]


@pytest.fixture(scope="module")
def together() -> Iterator[dict[str, Running]]:
    """The first try of all at once: two at a time would take a minute."""
    require_host_tun()
    running = {name: started(case) for name, case in CASES.items()}
    yield running
    for each in running.values():
        each.kill()
        each.communicate()


@pytest.mark.kernel
@pytest.mark.parametrize("name", CASES)
def test_the_order_is_that_of_linux(name: str, together: dict[str, Running]) -> None:
    case = CASES[name]
    tries = [said(together[name])]
    while tries[-1] != numbers(case.order) and len(tries) < 3:
        tries.append(said(started(case)))
    assert tries[-1] == numbers(case.order), tries
