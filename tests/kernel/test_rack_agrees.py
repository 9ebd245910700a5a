"""What is sent again, in which order, with RACK and tail loss probes: the host kernel's own sender and ours.

Times are not compared: they are those of a busy machine, which may also add repetitions; so of three tries one counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import require_host_tun
from tests.test_tcp_rack import BOTH, again, sent_with

PEER = Path(__file__).parents[1] / "rack_peer.py"
CASES = {
    "two at the end: the probe first": (8, {6: 1, 7: 1}, [7, 6]),
    "one at the end": (8, {7: 1}, [7]),
    "the first of three": (3, {0: 1}, [0]),
    "twice": (10, {0: 2, 1: 1}, [0, 1, 0]),
}


@pytest.mark.kernel
@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_again_is_what_linux_sends_again(name: str) -> None:
    require_host_tun()
    segments, lost, expected = CASES[name]
    wire, _, _ = sent_with(BOTH, segments, lost)
    assert [number for _, number in again(wire)] == expected
    plan = json.dumps({"segments": segments, "lost": lost, "rack": 1, "probes": 1})
    tries = []
    for _ in range(3):
        command = ["unshare", "-n", sys.executable, str(PEER), plan]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        tries.append([number for _, number in json.loads(done.stdout)])
        if tries[-1] == expected:
            return
    pytest.fail(f"{name}: {tries}")
