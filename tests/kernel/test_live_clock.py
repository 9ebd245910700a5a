"""The wall clock is set while `simvlan live` runs: in a guest with a clock, a TAP and a ping of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from simvlan.oracle.kernels import run_script
from tests.kernels import require

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
SCRIPT = """
set -e
modprobe tun
ip link set lo up
cp examples/live/macvlan.sh /tmp/lab.sh
echo 'tc -n node qdisc add dev eth0 root netem delay 200ms' >> /tmp/lab.sh
"$1" -m simvlan.cli live --sockets /tmp/s --attach node/eth0=tap:tap0 /tmp/lab.sh 2> /tmp/said &
live=$!
until grep -q "live; change it" /tmp/said; do kill -0 $live || { cat /tmp/said; exit 1; }; sleep 0.05; done
ip addr add 10.80.0.1/24 dev tap0
ping -c 1 -W 9 10.80.0.2

step() {  # a ping is under way in the lab while the clock jumps
    ping -c 1 -W 9 10.80.0.2 &
    sleep 0.1
    date -s "@$(($(date +%s) + $1))" +"the clock is %s"
    wait $!
    ping -c 1 -W 9 10.80.0.2
}

date +"the clock is %s"
step 3600
step -3600
kill -INT $live
wait $live
cat /tmp/said
"""


def test_setting_the_clock_changes_nothing() -> None:
    """An hour forward, an hour back: every ping is answered, nothing is called late or a pause."""
    require("uml")
    run = run_script("uml", SCRIPT, args=(sys.executable,), cwd=str(ROOT), capture=False)
    assert run.exit_code == 0, run.stdout + run.stderr
    before, forward, back = (int(each) for each in re.findall("the clock is ([0-9]+)", run.stdout))
    assert 3600 <= forward - before < 3660  # it did jump
    assert 3540 <= forward - back <= 3600
    assert run.stdout.count(" 0% packet loss") == 5, run.stdout
    late, pauses = re.findall("lateness: [0-9]+ events .*?([0-9.e+]+) ms .all.(.*)", run.stdout)[0]
    assert float(late) < 60_000, run.stdout  # whatever else the machine does, far from an hour
    assert not pauses or float(pauses.split()[-2]) < 60, run.stdout
