"""Packet filters and policy routing: the same scripts on Linux, every frame, every line of output.

Filters, tracking and NAT print every counter of a rule. All scripts run on the host's kernel (nf_tables), one of each
folder on User Mode Linux (ip_tables), where they take long; `make scripts-uml` runs all of them there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.cli import main
from simvlan.oracle.kernels import Kernel
from tests.kernels import require

HERE = Path(__file__).parent
SCRIPTS = sorted(path for folder in ("netfilter", "routes") for path in (HERE / folder).glob("*.sh"))
ON_UML = ("masquerade", "merged")
CASES: list[tuple[Path, Kernel]] = [(script, "host") for script in SCRIPTS]
CASES += [(script, "uml") for script in SCRIPTS if script.stem in ON_UML]


@pytest.mark.kernel
@pytest.mark.parametrize(("script", "kernel"), CASES, ids=[f"{script.stem}-{kernel}" for script, kernel in CASES])
def test_frames_and_output_are_linux_s(script: Path, kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    require(kernel)
    status = main(["diff", "--kernel", kernel, "--tries", "3", str(script)])
    assert status == 0, capsys.readouterr().out
