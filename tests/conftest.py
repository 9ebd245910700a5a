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
