"""Fixtures for all tests."""

import signal

import pytest

pytest.register_assert_rewrite("shell_stage")

from shell_stage import stage  # noqa: E402, F401

# A shell starts what it puts in the background deaf to Ctrl-C, nohup starts it deaf to a hang-up, and children
# inherit that: no test may depend on it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

RERUNS = 2
"""How often a test that asks a real kernel may try again.

Such a test runs against a clock that nobody holds: where a machine is busy, a guest that got no processor for a while
crosses a timer and shows what it should. A true disagreement is there each time, for scripts and seeds are fixed. The
summary names each test that needed this and what was wrong. Tests of the simulator alone are never tried again.
"""


LONGEST_FIRST = (
    "test_live_soak.py",
    "test_scenarios_again.py",
    "test_examples_agree.py",
    "test_experiments.py",
    "test_fuzz_agrees.py",
    "test_fuzz_faults.py",
    "test_batch.py",
    "test_ipv6_agrees.py",
    "test_bridge_agrees.py",
    "test_examples.py",
    "test_cli.py",
)
"""Files that take long: they begin, so that no worker is left alone with one when the other is done."""


def turn(item: pytest.Item) -> int:
    """Whose turn is how early."""
    return LONGEST_FIRST.index(item.path.name) if item.path.name in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=turn)
    for item in items:
        if item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A new try starts afresh: what the tests of a module share, a guest or its answers, may be what failed."""
    if getattr(item, "execution_count", 1) > 1:
        for fixtures in item._fixtureinfo.name2fixturedefs.values():
            for fixture in fixtures:
                if fixture.scope == "module":
                    fixture.finish(item._request)
