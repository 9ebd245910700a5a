"""Mixed stacks: random networks of every device kind on each other agree with Linux, command by command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mixed
import pytest

from simvlan.oracle import KernelRun, run_many
from simvlan.oracle.kernels import Kernel
from tests import scenario
from tests.kernels import require

NETWORKS: dict[Kernel, int] = {"uml": 14, "host": 14}


def run(kernel: Kernel, cases: list[mixed.Mixed]) -> list[KernelRun]:
    """Two guests, half of the networks each: they mostly wait."""
    halves = [cases[::2], cases[1::2]]
    with ThreadPoolExecutor(2) as pool:
        even, odd = pool.map(
            lambda half: run_many(kernel, [scenario.script(c.lines) for c in half], timeout_s=90), halves
        )
    return [each for pair in zip(even, odd, strict=True) for each in pair]


def false_positive(kernel: Kernel, case: mixed.Mixed) -> bool:
    """Whether Linux itself does otherwise in one of two more runs.

    A macvlan's multicast filter is a hash with a secret: what it lets through by chance is not let through twice; and
    a carrier change reaches stacked devices up to a second late on a loaded machine (linkwatch).
    """
    return any(
        not mixed.differences(case, run_many(kernel, [scenario.script(case.lines)], timeout_s=90)[0]) for _ in range(2)
    )


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["uml", "host"])
def test_mixed_stacks_agree_with_linux(kernel: Kernel) -> None:
    """Captures at every device, statuses and messages, counters, link, FDB and VLAN listings."""
    require(kernel)
    cases = mixed.networks(1000, NETWORKS[kernel], host=kernel == "host", frames=12)
    assert sum(case.frames for case in cases) >= 500
    report = []
    for case, theirs in zip(cases, run(kernel, cases), strict=True):
        found = mixed.differences(case, theirs)
        if found and not false_positive(kernel, case):
            report.append(f"seed {case.seed}:\n" + "\n".join(found))
    assert not report, "\n".join(report)
