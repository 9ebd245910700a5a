"""IPv6 of hosts against Linux: addresses and duplicates, switches, routers; what `ip` says, and every frame.

Pauses in the scripts are longer than what is drawn at random: up to a second before DAD's question, one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simvlan.oracle.kernels import Kernel
from simvlan.oracle.report import text
from tests.kernel.ahead import GUESTS, Ahead, coming, job_of
from tests.kernels import require

SCRIPTS = sorted((Path(__file__).parent / "ipv6").glob("*.sh"))
BOTH = ("routers", "sequences", "switches")
"""What the host's kernel is asked about too: bring-up, routers, duplicates, redirects, fragments, nobody there."""
HOST = ("optimistic",)
"""What it alone is asked about: User Mode Linux is built without."""
CASES = [(script, "uml") for script in SCRIPTS if script.stem not in HOST]
CASES += [(script, "host") for script in SCRIPTS if script.stem in (*BOTH, *HOST)]


@pytest.fixture(scope="module")
def kernels() -> Iterator[Callable[[Kernel], Ahead]]:
    """Each kernel's guests, for all."""
    booted: dict[Kernel, Ahead] = {}

    def of(kernel: Kernel) -> Ahead:
        require(kernel)
        if kernel not in booted:
            booted[kernel] = Ahead(kernel)
        return booted[kernel]

    yield of
    for each in booted.values():
        each.close()


@pytest.mark.kernel
@pytest.mark.parametrize(("script", "kernel"), CASES, ids=[f"{script.stem}-{kernel}" for script, kernel in CASES])
def test_a_host_of_ipv6_does_what_linux_does(
    script: Path, kernel: Kernel, kernels: Callable[[Kernel], Ahead], request: pytest.FixtureRequest
) -> None:
    params = [item.callspec.params for item in coming(request.node, GUESTS + 1)]
    kernels(kernel).order([job_of(each["script"]) for each in params if each["kernel"] == kernel])
    compared = kernels(kernel).diff(job_of(script))
    assert compared.agree, text(script.name, compared)
