"""How control leaves a command of the shell."""

from __future__ import annotations


class Leave(Exception):  # noqa: N818 - `exit`
    """The shell ends."""

    def __init__(self, status: int) -> None:
        self.status = status


class Jump(Exception):  # noqa: N818 - `break`, `continue`, `return`
    """Control leaves a loop or function."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.count = kind, count


class Fault(Exception):  # noqa: N818 - what the shell reports
    """The command fails; a non-interactive shell ends."""
