"""Runs scripts on the fake lab of `shell_driver.py`, and checks that a run leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent / "shell_driver.py"
PYTHON = sys.executable


def namespaces_allowed() -> bool:
    return subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not namespaces_allowed(), reason="the kernel forbids private namespaces")


class Stage:
    """Runs scripts with a temporary directory of its own, and knows what they left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = Path(tempfile.mkdtemp(prefix="sv", dir="/tmp"))
        self.mark = f"STAGE={uuid.uuid4().hex}"
        self.command: list[str] = [PYTHON, str(DRIVER)]
        self.user: str | None = None

    def env(self, **more: str) -> dict[str, str]:
        key, _, value = self.mark.partition("=")
        return {**os.environ, "TMPDIR": str(self.tmp), key: value, **more}

    def start(self, text: str, *args: str, env: dict[str, str] | None = None, **more) -> subprocess.Popen[str]:
        script = self.folder / f"script-{uuid.uuid4().hex[:6]}.sh"
        script.write_text(text)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [*self.command, str(script), *args],
            env=self.env(**(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            **more,
        )

    def play(self, text: str, *args: str, timeout: float = 120, **more) -> subprocess.CompletedProcess[str]:
        process = self.start(text, *args, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"still running after {timeout} s:\n{out}\n{err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def out(self, text: str, *args: str, **more) -> str:
        """The script's output; it must succeed and say nothing on stderr."""
        done = self.play(text, *args, **more)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def left_processes(self) -> list[str]:
        """What still runs of the run; it is ended here, so that one failure does not disturb other tests."""
        left = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    if self.mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                        left.append(Path(f"/proc/{name}/cmdline").read_text().replace("\0", " "))
                        os.kill(int(name), signal.SIGKILL)
                except OSError:
                    pass
        return left


@pytest.fixture
def stage(tmp_path):
    """A stage; afterwards nothing may be left of the run: process, mount or file."""
    made = Stage(tmp_path)
    yield made
    left = made.left_processes()
    try:
        assert left == []
        assert os.listdir(made.tmp) == []
        assert str(made.tmp) not in Path("/proc/self/mountinfo").read_text()
    finally:
        shutil.rmtree(made.tmp, ignore_errors=True)
