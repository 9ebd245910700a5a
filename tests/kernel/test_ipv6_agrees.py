"""IPv6 of hosts against Linux: addresses and duplicates, switches, routers; what `ip` says, and every frame.

Pauses in the scripts are longer than what is drawn at random: up to a second before DAD's question, one after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simvlan.oracle.judge import Judge
from simvlan.oracle.report import text
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "ipv6").glob("*.sh"))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One boot for all."""
    require("uml")
    made = Judge("uml", SCRIPTS[0].parent)
    yield made
    made.close()


@pytest.mark.kernel
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_host_of_ipv6_does_what_linux_does(judge: Judge, script: Path) -> None:
    compared = judge.diff(str(script), timeout=100)
    assert compared.agree, text(script.name, compared)


@pytest.mark.kernel
def test_sequences_of_ipv6_are_those_of_the_host_s_kernel_too() -> None:
    """Bring-up, a router's advertisement, a duplicate, a redirect, fragments, nobody there."""
    require("host")
    script = SCRIPTS[0].parent / "sequences.sh"
    judge = Judge("host", script.parent)
    try:
        compared = judge.diff(str(script), timeout=100)
    finally:
        judge.close()
    assert compared.agree, text(script.name, compared)
