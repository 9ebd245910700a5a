"""The examples with real programs run, and show what they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import require_host_tun
from tests.live_bench import machine

pytestmark = pytest.mark.kernel
FOLDER = Path(__file__).parents[2] / "examples" / "live"

SHOWS = {
    "ping": (r"5 packets transmitted, 5 received.*== and 10 ms later.*5 received", ()),
    "iperf3": (
        r"3 received.*receiver\n.*receiver\n.*== without the loss\n.*receiver\n",
        ("iperf3",),
    ),
    "dnsmasq": (
        r"(DHCPACK\(eth0\) 10\.81\.0\.1\d\d .*){2}(2 packets transmitted, 2 received.*){2}",
        ("dnsmasq",),
    ),
    "flap": (r"trunk down at \d+ octets\ntrunk up\ndownloaded 4000000 octets in .*\nevery octet is there\n", ("curl",)),
}


@pytest.mark.parametrize("name", SHOWS)
def test_an_example_shows_what_it_is_for(name: str) -> None:
    require_host_tun()
    pattern, programs = SHOWS[name]
    for program in programs:
        if shutil.which(program) is None:
            assert not os.environ.get("CI"), f"{program} is missing: .ci/packages installs it"
            pytest.skip(f"{program} is missing: apt-get install {program}")
    before = machine()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "SECONDS_EACH": "1"}
    command = ["bash", str(FOLDER / f"{name}.sh")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(pattern, done.stdout, re.DOTALL), done.stdout
    assert machine() == before
