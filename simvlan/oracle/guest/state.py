"""The state of every namespace when a script has ended, as the machine's own `ip` and `bridge` list it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .syscalls import setns

_LIMIT_S = 10.0
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def listings(namespaces: Iterable[tuple[str, int]], commands: dict[str, list[str]]) -> list[tuple[str, str, Any]]:
    """(netns, subject, parsed JSON) for every namespace and subject; a text in place of JSON says what went wrong.

    And (netns, "asked", [from, to]) for when `link`, with its counters, was asked for, in ns of the captures' clock.
    """
    if not commands:
        return []
    wanted = ((name, subject, fd, argv) for name, fd in namespaces for subject, argv in commands.items())
    return [row for each in wanted for row in _rows(*each)]


def _rows(name: str, subject: str, fd: int, argv: list[str]) -> Iterator[tuple[str, str, Any]]:
    began = time.time_ns()
    yield name, subject, _ask(fd, argv)
    if subject == "link":
        yield name, "asked", [began, time.time_ns()]


def _ask(ns_fd: int, argv: list[str]) -> Any:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=_ENV,
            preexec_fn=lambda: setns(ns_fd),
        )  # fmt: skip
        return json.loads(done.stdout or "[]") if done.returncode == 0 else done.stderr
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
