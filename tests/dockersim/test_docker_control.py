"""`simvlan exec`: simvlan's own commands in a served lab; and the engine's log."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SIMVLAN = Path(sys.executable).parent / "simvlan"


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("s")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([SIMVLAN, "serve", "--fast", "--sockets", folder], stdout=log, stderr=log)
    until = time.monotonic() + 30
    while not (folder / "control.sock").exists() and time.monotonic() < until:
        time.sleep(0.05)
    yield folder
    process.terminate()
    process.wait(10)
    assert not list(folder.glob("*.sock"))


def inside(sockets: Path, *words: str, netns: str = "node-1") -> subprocess.CompletedProcess[str]:
    command = [SIMVLAN, "exec", "--sockets", sockets, "--netns", netns, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_commands(sockets: Path) -> None:
    assert "eth1" in inside(sockets, "ip", "-br", "link").stdout
    done = inside(sockets, "ping", "-c", "3", "-W", "1", "172.17.0.9")
    assert (done.returncode, "3 packets transmitted, 0 received" in done.stdout) == (1, True)
    done = inside(
        sockets, "simvlan", "trace", "--from", "node-1/eth1", 'Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="10.0.0.1")'
    )
    assert "Verdict: " in done.stdout


def test_refusals(sockets: Path) -> None:
    assert (inside(sockets, "ls").returncode, inside(sockets, "ip6tables", "-L").returncode) == (127, 95)
    done = inside(sockets, "ip", "link", netns="nowhere")
    assert (done.returncode, done.stderr) == (2, 'simvlan: exec: no network namespace "nowhere"\n')
    done = inside(sockets, "tcpdump", "-i", "eth1", "-w", "file.pcap")
    assert done.returncode == 95
    assert "writes no files" in done.stderr


def test_nobody_serves(tmp_path: Path) -> None:
    done = inside(tmp_path, "ip", "link")
    assert done.returncode == 2
    assert "is `simvlan serve` or `simvlan live` running?" in done.stderr
