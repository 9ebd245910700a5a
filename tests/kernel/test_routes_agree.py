"""Policy routing: the same scripts on Linux, every frame, every line of output."""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.cli import main
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "routes").glob("*.sh"))


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["host", "uml"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ways_are_linux_s(script: Path, kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    require(kernel)  # type: ignore[arg-type]
    status = main(["diff", "--kernel", kernel, "--tries", "3", str(script)])
    assert status == 0, capsys.readouterr().out
