"""Fixtures for all tests."""

import pytest

pytest.register_assert_rewrite("shell_stage")

from shell_stage import stage  # noqa: E402, F401
