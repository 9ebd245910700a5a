"""A test that asks a real kernel may try again, all that it uses made anew, and the summary says so; no other may."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent

WRITTEN = """
import pytest

made, tried = [], []

@pytest.fixture(scope="module")
def guest():
    made.append("guest")
    yield len(made)
    made.append("gone")

@pytest.mark.kernel
def test_good_at_once(guest):
    assert guest == 1

@pytest.mark.kernel
def test_good_later(guest):
    assert guest > 1, "starved"

@pytest.mark.kernel
def test_after_it(guest):
    assert made == ["guest", "gone", "guest"]

@pytest.mark.kernel
def test_never_good(guest):
    tried.append("kernel")
    assert False

def test_it_was_tried_three_times():
    assert tried == ["kernel"] * 3

def test_without_kernel():
    tried.append("plain")
    assert tried.count("plain") > 1
"""


def test_only_who_asks_a_kernel_tries_again(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(WRITTEN)
    command = [sys.executable, "-m", "pytest", "-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-p", "conftest", "-p", "no:cacheprovider", "-n", "1", "--dist", "loadfile", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, cwd=TESTS.parent, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert named("FAILED", done.stdout) == {"test_never_good": 2, "test_without_kernel": 1}
    assert named("RERUN", done.stdout) == {"test_good_later": 1, "test_never_good": 2}
    assert named("PASSED", done.stdout) == {"test_good_later": 1}
    assert "AssertionError: starved" in done.stdout


def named(word: str, summary: str) -> dict[str, int]:
    """The tests that a summary names with a word, and how often: reruns and failures have each a list."""
    found = re.findall(rf"^{word} \S*::(\w+)", summary, re.MULTILINE)
    return {name: found.count(name) for name in found}
