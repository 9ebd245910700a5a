"""The state of every namespace when a script has ended, as the machine's own `ip` and `bridge` list it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any

from .syscalls import setns

_LIMIT_S = 10.0
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def listings(namespaces: Iterable[tuple[str, int]], commands: dict[str, list[str]]) -> list[tuple[str, str, Any]]:
    """(netns, subject, parsed JSON) for every namespace and subject; a text in place of JSON says what went wrong."""
    if not commands:
        return []
    return [(name, subject, _ask(fd, argv)) for name, fd in namespaces for subject, argv in commands.items()]


def _ask(ns_fd: int, argv: list[str]) -> Any:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=_ENV,
            preexec_fn=lambda: setns(ns_fd),
        )  # fmt: skip
        return json.loads(done.stdout or "[]") if done.returncode == 0 else done.stderr
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
