"""What programs say over TCP is, segment for segment, what Linux 6.1 says: flags, lengths, windows, options, order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simvlan.cli import main
from simvlan.oracle.connections import Connections
from simvlan.stack.packet import DF, TCP, build
from simvlan.stack.tcp.options import Options
from simvlan.stack.tcp.packets import packed
from simvlan.stack.tcp.segment import ACK, SYN, Segment
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "tcp").glob("*.sh"))


@pytest.mark.kernel
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_segments_are_linux_s(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("uml")
    if shutil.which("nc") is None:
        pytest.skip("nc is missing: apt-get install netcat-openbsd (.ci/packages)")
    status = main(["diff", "--kernel", "uml", "--tries", "3", str(script)])
    assert status == 0, capsys.readouterr().out


def frame(seq: int, ack: int, flags: int, port: int, window: int = 500, stamp: int = 5) -> bytes:
    segment = Segment(seq, ack, flags, window, Options(stamp=(stamp, stamp)))
    octets = packed(segment, (1, port, 2, 80), partial=False)
    return bytes(12) + b"\x08\x00" + build(1, 2, TCP, octets, frag=DF)


def test_only_what_is_drawn_is_hidden() -> None:
    """Two runs of one conversation look alike from elsewhere; another window, length or flag shows."""

    def seen(first: int, port: int, window: int = 500, step: int = 1) -> list[bytes]:
        plain = Connections().plain
        return [
            plain(frame(first, 0, SYN, port, stamp=first)),
            plain(frame(first + step, 77, ACK, port, window, stamp=first)),
        ]

    def without_header_sum(frames: list[bytes]) -> list[bytes]:
        return [octets[:24] + b"\0\0" + octets[26:] for octets in frames]

    one = without_header_sum(seen(1000, 40_000))
    assert without_header_sum(seen(2**32 - 1, 50_000)) == one
    assert without_header_sum(seen(1000, 40_000, window=501)) != one
    assert without_header_sum(seen(1000, 40_000, step=2)) != one
