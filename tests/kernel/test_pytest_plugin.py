"""The pytest plugin as a user meets it: the documented example, disagreement, a kernel that is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import require

PAGE = Path(__file__).parents[2] / "docs" / "testing-your-network.md"
BASE = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]


def run(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(("PYTEST", "SIMVLAN"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *BASE, *options],
        cwd=folder, capture_output=True, text=True, env={**outside, **env}, timeout=170, check=False,
    )  # fmt: skip


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found[0])


@pytest.mark.kernel
def test_the_documented_example_runs(tmp_path: Path) -> None:
    require("uml")
    (tmp_path / "net.sh").write_text(block("sh"))
    (tmp_path / "test_net.py").write_text(block("python"))
    done = run(tmp_path)
    assert "3 passed" in done.stdout, done.stdout


@pytest.mark.kernel
def test_a_script_that_disagrees_fails_with_the_first_difference(tmp_path: Path) -> None:
    require("host")
    (tmp_path / "net.sh").write_text('ip netns add a\n[ -n "$(ls /run/simvlan 2>/dev/null)" ] && ip netns add b\ntrue')
    test = "import pytest\n@pytest.mark.agrees('net.sh', kernel='host', tries=1)\ndef test_it(): pass\n"
    (tmp_path / "test_it.py").write_text(test)
    done = run(tmp_path)
    assert done.returncode == 1
    assert "DISAGREE" in done.stdout
    assert "first difference: listing b " in done.stdout, done.stdout


def test_a_missing_kernel_is_skipped_aloud_and_in_ci_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import simvlan.oracle.availability as a, simvlan.oracle.guests as g\n"
        "g.available = lambda kernel: 'User Mode Linux is not installed (Debian: apt install user-mode-linux)'\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it(kernel): pass\n")
    skipped = run(tmp_path, "-rs")
    assert "1 skipped" in skipped.stdout
    assert "apt install user-mode-linux" in skipped.stdout
    failed = run(tmp_path, CI="true")
    assert failed.returncode == 1
    assert "apt install user-mode-linux" in failed.stdout


def test_wrong_use_of_the_marker_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.agrees('x.sh', speed=3)\ndef test_it(): pass\n")
    done = run(tmp_path, "--strict-markers")
    assert done.returncode != 0
    assert "expected agrees(script" in done.stdout + done.stderr


def test_the_plugin_costs_nothing_unused(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n"
        "    assert 'simvlan.pytest_plugin' in sys.modules\n"
        "    heavy = {'scapy', 'numpy', 'simpy', 'simvlan.lab', 'simvlan.oracle'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    assert "1 passed" in run(tmp_path).stdout
