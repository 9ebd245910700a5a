"""Every example agrees with Linux 6.1, and with the host's kernel where that has what the example needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from simvlan.oracle.judge import Judge
from simvlan.oracle.kernels import Kernel
from simvlan.oracle.kinds import kinds_of
from simvlan.oracle.report import text
from simvlan.pytest_plugin import missing_kernel
from tests.kernels import require

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.sh") if path.name != "check.sh")
NEEDS = {
    "vlan_filtering": "bridge VLAN filtering",
    "type vlan": "vlan",
    "802.1ad": "vlan 802.1ad",
    "type macvlan": "macvlan",
    "type ipvlan": "ipvlan",
}


@pytest.fixture(scope="module")
def judges() -> Iterator[Callable[[Kernel], Judge]]:
    """One boot of each kernel for all."""
    booted: dict[Kernel, Judge] = {}

    def judge(kernel: Kernel) -> Judge:
        require(kernel)
        if kernel not in booted:
            booted[kernel] = Judge(kernel, EXAMPLES)
        return booted[kernel]

    yield judge
    for each in booted.values():
        each.close()


@pytest.fixture(scope="module")
def kinds(judges: Callable[[Kernel], Judge]) -> Callable[[Kernel], dict[str, bool]]:
    """What each kernel can do."""
    return cache(lambda kernel: kinds_of(judges(kernel).run))


OUTLASTS = {
    ("dual-stack", "uml"): "a guest takes longer for its pings than its neighbours' 5 s of DELAY; its output is"
    " recorded there, and tests/radvd/ holds what its router says",
    ("netfilter-publish", "uml"): "so many iptables commands take a guest longer than its neighbours' 5 s of DELAY;"
    " tests/kernel/netfilter/publish.sh holds the same rules, and the host's kernel this script",
}
"""Examples whose timers a guest crosses, and what is held instead."""


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["uml", "host"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_agrees(
    kernel: Kernel,
    script: Path,
    judges: Callable[[Kernel], Judge],
    kinds: Callable[[Kernel], dict[str, bool]],
) -> None:
    judge = judges(kernel)
    words = script.read_text()
    if re.search(r"^[^#\n]*\bdocker (?:network|pull|run)\b", words, re.MULTILINE):
        pytest.skip("it talks to the simulated Docker engine; no kernel has one")
    if (script.stem, kernel) in OUTLASTS:
        pytest.skip(OUTLASTS[script.stem, kernel])
    if "dnsmasq" in words and not (shutil.which("dnsmasq") and shutil.which("udhcpc")):
        missing_kernel(kernel, "the real dnsmasq and udhcpc are missing: apt-get install dnsmasq-base udhcpc")
    if "radvd" in words and not shutil.which("radvd"):
        missing_kernel(kernel, "the real radvd is missing: apt-get install radvd")
    lacking = [kind for word, kind in NEEDS.items() if word in words and not kinds(kernel)[kind]]
    if lacking:
        assert kernel == "host", f"User Mode Linux lacks {lacking}"
        pytest.skip(f"this host's kernel lacks {', '.join(lacking)}")
    compared = judge.diff(str(script), timeout=150)
    assert compared.agree, text(script.name, compared)
