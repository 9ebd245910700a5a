"""Policy routing: the same scripts on Linux, every frame, every line of output.

All of them on the host's kernel, one on User Mode Linux, where they take long: `make routes-uml` runs all there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.cli import main
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "routes").glob("*.sh"))
CASES = [(script, "host") for script in SCRIPTS] + [(s, "uml") for s in SCRIPTS if s.stem == "merged"]


@pytest.mark.kernel
@pytest.mark.parametrize(("script", "kernel"), CASES, ids=[f"{script.stem}-{kernel}" for script, kernel in CASES])
def test_ways_are_linux_s(script: Path, kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    require(kernel)  # type: ignore[arg-type]
    status = main(["diff", "--kernel", kernel, "--tries", "3", str(script)])
    assert status == 0, capsys.readouterr().out
