"""Filters, tracking and NAT: the same scripts on both kernels, every frame, every counter of a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.cli import main
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "netfilter").glob("*.sh"))


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["host", "uml"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_packets_and_counters_are_linux_s(script: Path, kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    require(kernel)  # type: ignore[arg-type]
    status = main(["diff", "--kernel", kernel, "--tries", "3", str(script)])
    assert status == 0, capsys.readouterr().out
