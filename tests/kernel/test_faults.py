"""Whatever happens to a script on a kernel, or to the guest: a clear message, an exit code, and nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simvlan.oracle import run as run_verb
from simvlan.oracle import runs
from simvlan.oracle.kernels import Kernel
from tests.kernels import require

SIMVLAN = Path(sys.executable).parent / "simvlan"
KERNELS: tuple[Kernel, ...] = ("uml", "host")
MARK = f"7{os.getpid()}"
"""A number that only this run's scripts sleep for."""
NETNS = f"fault-{os.getpid()}"

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", KERNELS)]


def processes(*marks: str) -> list[str]:
    """Command lines that hold one of the marks, however long they are."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if any(mark in line for mark in marks)]


@contextmanager
def nothing_left(work: Path) -> Iterator[None]:
    """Afterwards: no process, no namespace, no mount, and no file in the work folder."""
    yield
    end = time.monotonic() + 60
    while processes(str(work), f"sleep {MARK}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes(str(work), f"sleep {MARK}")
    assert NETNS not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert "simvlan-kernel-" not in "".join(
        line for line in Path("/proc/self/mounts").read_text().splitlines() if str(work) in line
    )
    assert not list(work.glob("simvlan-*"))


def start(kernel: Kernel, script: str, work: Path, *options: str) -> subprocess.Popen[str]:
    work.mkdir(exist_ok=True)
    (work / "script.sh").write_text(script)
    return subprocess.Popen(
        [str(SIMVLAN), "run", "--on", kernel, *options, str(work / "script.sh")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(work)},
        cwd=work,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_script_that_never_ends(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    with nothing_left(tmp_path):
        script = f"ip netns add {NETNS}; echo begun; setsid sleep {MARK} & sleep {MARK}"
        status, out, err = ended(start(kernel, script, tmp_path, "--timeout", "2"))
    assert (status, out) == (124, "begun\n")
    assert "its time was up after 2 s" in err


def test_a_script_that_removes_its_own_namespace_and_names(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    script = f"""ip netns add {NETNS}
ip netns exec {NETNS} bash -c 'ip netns del {NETNS}; ip link add v type veth peer name w; ip link set v up; sleep 0.2'
ip netns add {NETNS}; umount /run/netns/{NETNS}; rm -rf /run/netns /run/simvlan
kill -9 -1
echo through; exit 3"""
    with nothing_left(tmp_path):
        status, out, err = ended(start(kernel, script, tmp_path, "--pcap", str(tmp_path / "p")))
    assert (status, out) == (3, "through\n"), err


def test_a_script_that_writes_without_end(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require(kernel)
    monkeypatch.setattr(runs, "OUTPUT_LIMIT", 1 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "script.sh").write_text("yes")
    with nothing_left(tmp_path):
        status = run_verb.run_on_kernel(kernel, str(tmp_path / "script.sh"), [], pcap=None, timeout_s=60)
    out, err = capfd.readouterr()
    assert status == 124
    assert out.startswith("y\ny\n")
    assert len(out) <= 1 << 20
    assert "ended: it wrote more than" in err


def test_a_network_that_floods(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require(kernel)
    monkeypatch.setattr(runs, "FRAMES_LIMIT", 1 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "script.sh").write_text(f"""ip netns add {NETNS}
for b in 1 2; do ip link add br$b type bridge mcast_snooping 0; ip link set br$b up; done
for v in 1 2; do
    ip link add a$v type veth peer name b$v
    ip link set a$v master br1 up; ip link set b$v master br2 up
done
simvlan send br1 --hex ffffffffffff0200000000aa88b500000000
sleep {MARK}""")
    with nothing_left(tmp_path):
        status = run_verb.run_on_kernel(kernel, str(tmp_path / "script.sh"), [], pcap=str(tmp_path / "p"), timeout_s=30)
    assert status == 124
    assert "ended: " in capfd.readouterr().err


def test_a_guest_that_is_killed(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    with nothing_left(tmp_path):
        running = start(kernel, f"ip netns add {NETNS}; echo begun; sleep {MARK}", tmp_path)
        assert running.stdout
        assert running.stdout.readline() == "begun\n"
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        status, _, err = ended(running)
    assert status == 4
    assert "the guest ended before the script did" in err


def test_a_work_folder_that_is_full(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    if os.geteuid():
        pytest.skip("a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(small)], check=True)
    try:
        with nothing_left(small):
            status, _, err = ended(start(kernel, f"yes | head -c 4000000; sleep {MARK}", small))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert status == 4
    assert f"the work folder {small} is full" in err
    assert "set TMPDIR" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_any_moment(kernel: Kernel, tmp_path: Path, number: signal.Signals) -> None:
    require(kernel)
    moments = random.Random(f"{kernel} {number}")
    for _ in range(4 if kernel == "host" else 2):
        with nothing_left(tmp_path):
            running = start(kernel, f"ip netns add {NETNS}; setsid sleep {MARK} & sleep {MARK}", tmp_path)
            time.sleep(moments.uniform(0.1, 2 if kernel == "host" else 6))
            running.send_signal(number)
            status, _, err = ended(running)
        assert status in (128 + number, -number), err
        assert "Traceback" not in err or status == -number  # Python itself was still starting


def test_simvlan_itself_is_killed(kernel: Kernel, tmp_path: Path) -> None:
    """Then its folder stays, but no process, namespace or mount."""
    require(kernel)
    with nothing_left(tmp_path):
        running = start(kernel, f"ip netns add {NETNS}; echo begun; setsid sleep {MARK} & sleep {MARK}", tmp_path)
        assert running.stdout
        assert running.stdout.readline() == "begun\n"
        running.kill()
        running.communicate(timeout=60)
        for folder in tmp_path.glob("simvlan-kernel-*"):
            subprocess.run(["rm", "-rf", str(folder)], check=True)
