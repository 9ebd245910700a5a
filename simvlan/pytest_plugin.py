"""pytest plugin, loaded by installing simvlan: fixtures `lab` and `kernel`, and a marker for scripts that must agree.

    @pytest.mark.agrees("net.sh", kernel="uml")
    def test_my_network(lab): ...

Nothing of simvlan is imported before a test asks for it, and pytest starts as fast as without.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from simvlan.lab import Lab
    from simvlan.oracle.judge import Judge

_MARKER = (
    "agrees(script, *args, kernel=None, timeout=600, tries=3): the script (a path beside the test file) shows on the"
    " simulator what it shows on a Linux kernel, or the test fails with the first difference. kernel: uml or host;"
    " default: --simvlan-kernel"
)
_JUDGES: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--simvlan-kernel."""
    parser.getgroup("simvlan").addoption(
        "--simvlan-kernel",
        choices=("uml", "host"),
        default="uml",
        help="the kernel of the `kernel` fixture and of @pytest.mark.agrees (default: uml)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_JUDGES] = {}


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the kernels that were booted."""
    for judge in config.stash.get(_JUDGES, {}).values():
        judge.close()


@pytest.fixture
def lab() -> Lab:
    """An empty simulated world: a simvlan.Lab with seed 0."""
    from simvlan.lab import Lab

    return Lab()


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Judge:
    """A real Linux kernel (--simvlan-kernel), booted once per session: `run(script)` and `diff(script)`.

    The test is skipped where there is no such kernel; with CI set, it fails.
    """
    return _judge(request.config, request.config.getoption("--simvlan-kernel"), request.path.parent)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Compare what the markers name, then run the test."""
    for marker in _markers(pyfuncitem):
        _check(pyfuncitem, marker)
    return (yield)


def _markers(item: pytest.Function) -> Iterator[pytest.Mark]:
    return reversed(list(item.iter_markers("agrees")))


def _check(item: pytest.Function, marker: pytest.Mark) -> None:
    options = dict(marker.kwargs)
    name = options.pop("kernel", None) or item.config.getoption("--simvlan-kernel")
    if not marker.args or {*options} - {"timeout", "tries"} or name not in ("uml", "host"):
        raise pytest.UsageError(f"{item.nodeid}: expected agrees(script, *args, kernel='uml'|'host', timeout=, tries=)")
    from simvlan.oracle.availability import KernelUnavailable

    script, *args = map(os.fspath, marker.args)
    judge = _judge(item.config, name, item.path.parent)
    try:
        compared = judge.diff(script, *args, timeout=options.get("timeout", 600), tries=options.get("tries", 3))
    except KernelUnavailable as error:
        missing_kernel(name, str(error))
    if not compared.agree:
        pytest.fail(judge.report(script, compared), pytrace=False)


def _judge(config: pytest.Config, name: str, folder: Path) -> Judge:
    """The kernel of a name, booted when it is first asked for; paths are relative to `folder`."""
    from simvlan.oracle.availability import KernelUnavailable
    from simvlan.oracle.judge import Judge

    judges = config.stash[_JUDGES]
    try:
        if name not in judges:
            judges[name] = Judge(name)  # type: ignore[arg-type]
        judge: Judge = judges[name].at(folder)
        return judge
    except KernelUnavailable as error:
        missing_kernel(name, str(error))


def missing_kernel(name: str, why: str) -> NoReturn:
    """Skip, saying why; where CI is set, fail: there, a judge that is missing must be noticed."""
    text = f"no kernel {name}: {why} (`simvlan doctor` tells more)"
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
