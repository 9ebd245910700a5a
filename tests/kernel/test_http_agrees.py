"""What curl and python3 -m http.server say to each other is, octet for octet, what the real ones say on Linux.

Compared are both directions of every connection; who acknowledges or ends first hangs on who is faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dpkt
import pytest

from simvlan.oracle.connections import DATE
from tests.kernels import require
from tests.test_tool_http import HTTP, MASKS, normal

Talk = tuple[bytes, bytes]


def said(folder: Path) -> list[Talk]:
    """What went from client to server and back on each connection at a/eth0, in order of their beginnings."""
    ways: dict[tuple[int, int], dict[bool, dict[int, bytes]]] = {}
    with (folder / "a.eth0.pcap").open("rb") as file:
        for _, octets in dpkt.pcap.Reader(file):
            tcp = dpkt.ethernet.Ethernet(octets).data.data if octets[12:14] == b"\x08\x00" else None
            if isinstance(tcp, dpkt.tcp.TCP):
                ports = (tcp.sport, tcp.dport) if tcp.sport > 32_767 else (tcp.dport, tcp.sport)
                pieces = ways.setdefault(ports, {True: {}, False: {}})[tcp.sport == ports[0]]
                if tcp.data:
                    pieces.setdefault(tcp.seq, tcp.data)
    whole = [
        tuple(b"".join(way[out][seq] for seq in sorted(way[out])) for out in (True, False)) for way in ways.values()
    ]
    return [(DATE.sub(b"DATE", there), DATE.sub(b"DATE", back)) for there, back in whole]


@pytest.mark.kernel
def test_both_say_the_same(tmp_path: Path) -> None:
    require("host")
    if shutil.which("curl") is None or shutil.which("nc") is None:
        pytest.skip("curl or nc is missing: apt-get install curl netcat-openbsd (.ci/packages)")
    # The same Python on both sides, as the server tells its version.
    env = os.environ | {"LC_ALL": "C.UTF-8", "PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}"}
    shown, talks = [], []
    for kernel in ("sim", "host"):
        command = [
            str(Path(sys.executable).with_name("simvlan")),
            "run",
            "--on",
            kernel,
            "--pcap",
            str(tmp_path / kernel),
        ]
        done = subprocess.run(
            [*command, str(HTTP / "curl.sh")], capture_output=True, text=True, timeout=120, check=True, env=env
        )
        shown.append(normal(done.stdout))
        talks.append(said(tmp_path / kernel))
    assert shown[0] == shown[1]
    assert len(talks[0]) > 30
    assert talks[0] == talks[1]


def test_a_date_is_all_that_is_hidden() -> None:
    assert MASKS[0][1] == "DATE"
    assert DATE.sub(b"DATE", b"Date: Thu, 01 Jan 1970 00:00:03 GMT\r\nAge: 3\r\n") == b"Date: DATE GMT\r\nAge: 3\r\n"
