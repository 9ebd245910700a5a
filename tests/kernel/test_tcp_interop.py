"""Our TCP against the kernel's own over a TUN device in a private network namespace; and such exchanges, replayed.

Both ways, with losses made by us: every octet arrives, both ends finish, tshark finds no error in what the kernel saw.
Record again (as root): `python tests/kernel/test_tcp_interop.py`.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import require_host_tun
from tests.tcp_peer import ENDS, Plan, content, replay

PEER = Path(__file__).parents[1] / "tcp_peer.py"
GOLDEN = Path(__file__).parents[1] / "golden" / "tcp"

IPV6 = {"mss": 1440, "headers": 60}
PLANS: dict[str, dict[str, Any]] = {
    "clean, we connect": {"we": "connect"},
    "clean, we listen": {"we": "listen"},
    "lossy, we connect": {"we": "connect", "loss": 0.03, "seed": 3},
    "lossy, we listen": {"we": "listen", "loss": 0.03, "seed": 2},
    "no SACK": {"loss": 0.02, "seed": 5, "options": {"sack": False}},
    "no timestamps, Reno": {"loss": 0.02, "seed": 6, "options": {"timestamps": False, "congestion": "reno"}},
    "small windows": {"options": {"window_scaling": False, "rmem": [4096, 16_384, 16_384]}},
    "small segments": {"octets": 40_000, "options": {"mss": 300}},
    "IPv6, we connect": {"family": 6, "we": "connect", "options": IPV6},
    "IPv6, lossy, we listen": {"family": 6, "we": "listen", "loss": 0.03, "seed": 4, "options": IPV6},
}
LOSS_SHOWS = (
    "Previous segment",
    "out-of-order",
    "ACKed segment that wasn't captured",
    "spurious retransmission",
    "D-SACK Sequence",
)
"""Warnings that losses bring about in a capture at one end; D-SACK tells of duplicates (RFC 2883)."""

RESET = "Connection reset (RST)"
"""Only from Linux and as the last word: its FIN repeated in a recovery crosses our ACK, which ends its socket; our ACK
of the repeated one finds none (RFC 9293, 3.10.7.1)."""

WINDOW_FULL = ("window specified by the receiver is now completely full", "TCP Zero Window segment")
"""As it should be when the reader is slower than the writer."""


def run(plan: dict[str, Any]) -> dict[str, Any]:
    command = ["unshare", "-n", sys.executable, str(PEER), json.dumps(plan)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.kernel
@pytest.mark.parametrize("name", PLANS)
def test_every_octet_crosses_to_the_kernel_and_back(name: str, tmp_path: Path) -> None:
    require_host_tun()
    result = run(PLANS[name] | {"pcap": str(tmp_path / "seen.pcap")})
    size = PLANS[name].get("octets", 100_000)
    assert result["kernel_got"] == [size, result["expected"]["ours"]]
    assert result["our_got"] == [size, result["expected"]["kernel"]]
    assert (result["state"] in ("TIME-WAIT", "CLOSED"), result["error"]) == (True, 0)
    known = (*LOSS_SHOWS, *WINDOW_FULL)  # a busy machine repeats in time what was not lost, too
    count = len(tshark(tmp_path / "seen.pcap"))
    fields = ["-T", "fields", "-e", "frame.number", "-e", "ip.src", "-e", "ipv6.src"]
    kernel = ENDS[PLANS[name].get("family", 4)][0]
    resets = tshark(tmp_path / "seen.pcap", "-Y", "tcp.flags.reset==1", *fields)
    if [line.split() for line in resets] == [[str(count), kernel]]:
        known += (RESET,)
    for severity, text in complaints(tmp_path / "seen.pcap"):
        assert severity != "Error", text
        assert severity != "Warning" or any(part in text for part in known), text


def tshark(capture: Path, *words: str) -> list[str]:
    """Its lines about a capture."""
    if shutil.which("tshark") is None:
        if os.environ.get("CI"):
            pytest.fail("tshark is missing: .ci/packages installs it")
        pytest.skip("tshark is missing: apt-get install tshark")
    command = ["tshark", "-r", str(capture), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def complaints(capture: Path) -> list[tuple[str, str]]:
    """What tshark's experts say of a capture, checksums verified: (severity, text)."""
    names = {"8388608": "Error", "6291456": "Warning", "4194304": "Note", "2097152": "Chat"}
    fields = ["-T", "fields", "-e", "_ws.expert.severity", "-e", "_ws.expert.message", "-E", "aggregator=|"]
    sums = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    found = []
    for line in tshark(capture, *sums, *fields):
        severities, _, messages = line.partition("\t")
        found += [(names.get(s, s), messages) for s in severities.split("|") if s]
    return found


def test_tshark_would_have_complained(tmp_path: Path) -> None:
    """The positive twin: a packet with a wrong checksum is an error to it."""
    packet = bytes.fromhex("4500002800010000400600000a0900010a0900020050005100000001000000025010ffff00010000")
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000")
    record = bytes(8) + len(packet).to_bytes(4, "little") * 2
    (tmp_path / "bad.pcap").write_bytes(head + record + packet)
    assert any(severity == "Error" for severity, _ in complaints(tmp_path / "bad.pcap"))


@pytest.mark.parametrize("name", ["clean, we connect", "lossy, we listen", "no SACK"])
def test_a_recorded_exchange_goes_the_same_way(name: str) -> None:
    """Linux's segments at the times they came: our end answers as it did when Linux took every octet from it."""
    recorded = json.loads(gzip.decompress((GOLDEN / f"{slug(name)}.json.gz").read_bytes()))
    plan = Plan(**recorded["plan"])
    app, answers = replay(plan, recorded["events"])
    assert [now for _, now in answers] == [then for then, _ in answers]
    assert sha256(app.got).hexdigest() == sha256(content(plan.seed, "kernel", plan.octets)).hexdigest()


def slug(name: str) -> str:
    return name.lower().replace(", ", "-").replace(" ", "-")


def record() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name in ("clean, we connect", "lossy, we listen", "no SACK"):
        loss = 0.15 if PLANS[name].get("loss") else 0.0
        result = run(PLANS[name] | {"record": True, "octets": 12_000, "loss": loss})
        assert result["kernel_got"] == [12_000, result["expected"]["ours"]], result["kernel_got"]
        kept = {"plan": result["plan"], "kernel": os.uname().release, "events": result["events"]}
        (GOLDEN / f"{slug(name)}.json.gz").write_bytes(gzip.compress(json.dumps(kept).encode(), mtime=0))


if __name__ == "__main__":
    record()
