"""Every example agrees with Linux 6.1, and with the host's kernel where that has what the example needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from simvlan.oracle.kernels import Kernel
from simvlan.oracle.kinds import kinds_of
from simvlan.oracle.report import text
from simvlan.oracle.runs import Job
from simvlan.pytest_plugin import missing_kernel
from tests.kernel.ahead import Ahead, coming, job_of, patient
from tests.kernels import require

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path for where in ("*.sh", "hosts/*.sh") for path in EXAMPLES.glob(where) if path.name != "check.sh")
PROGRAMS = {"dnsmasq-base udhcpc": ("dnsmasq", "udhcpc"), "radvd": ("radvd",)}
NEEDS = {
    "vlan_filtering": "bridge VLAN filtering",
    "type vlan": "vlan",
    "802.1ad": "vlan 802.1ad",
    "type macvlan": "macvlan",
    "type ipvlan": "ipvlan",
}
AHEAD = 8
"""Of so many tests that come next the scripts are begun."""
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def kernels() -> Iterator[Callable[[Kernel], Ahead]]:
    """One boot of each kernel, for all."""
    booted: dict[Kernel, Ahead] = {}

    def of(kernel: Kernel) -> Ahead:
        require(kernel)
        if kernel not in booted:
            booted[kernel] = Ahead(kernel, guests=1)  # both kernels are at work anyway
        return booted[kernel]

    yield of
    for each in booted.values():
        each.close()


@pytest.fixture(scope="module")
def kinds(kernels: Callable[[Kernel], Ahead]) -> Callable[[Kernel], dict[str, bool]]:
    """What each kernel can do."""
    return cache(lambda kernel: kinds_of(kernels(kernel).say))


PATIENT = {("dual-stack", "uml"), ("netfilter-publish", "uml")}
"""Examples that take a guest longer than its neighbours' 5 s of DELAY: there these are trusted for longer."""


def obstacle(script: Path, kernel: Kernel, has: dict[str, bool]) -> str:
    """Why an example is not for a kernel; "" if it is."""
    words = script.read_text()
    if re.search(r"^[^#\n]*\bdocker (?:network|pull|run)\b", words, re.MULTILINE):
        return "it talks to the simulated Docker engine; no kernel has one"
    if lacking := [kind for word, kind in NEEDS.items() if word in words and not has[kind]]:
        assert kernel == "host", f"User Mode Linux lacks {lacking}"
        return f"this host's kernel lacks {', '.join(lacking)}"
    return ""


def job(script: Path, kernel: Kernel) -> Job:
    made = patient if (script.stem, kernel) in PATIENT else job_of
    return made(script, timeout_s=TIMEOUT_S)


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["uml", "host"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_agrees(
    kernel: Kernel,
    script: Path,
    kernels: Callable[[Kernel], Ahead],
    kinds: Callable[[Kernel], dict[str, bool]],
    request: pytest.FixtureRequest,
) -> None:
    asked = kernels(kernel)
    if why := obstacle(script, kernel, kinds(kernel)):
        pytest.skip(why)
    for package, programs in PROGRAMS.items():
        if any(program in script.read_text() and not shutil.which(program) for program in programs):
            missing_kernel(kernel, f"the real {' and '.join(programs)} are missing: apt-get install {package}")
    params = [item.callspec.params for item in coming(request.node, AHEAD)]
    scripts = [each["script"] for each in params if each["kernel"] == kernel]
    asked.order([job(each, kernel) for each in scripts if not obstacle(each, kernel, kinds(kernel))])
    compared = asked.diff(job(script, kernel))
    assert compared.agree, text(script.name, compared)
