"""What there is of a container beyond its definition: its process, output, files, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simvlan.docker.pending import Pending

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.docker.disk import Disk
    from simvlan.docker.logs import Output
    from simvlan.docker.runtime import Handle

Json = dict[str, Any]


@dataclass
class Live:
    """What there is of a container beyond its definition."""

    output: Output
    disk: Disk
    handle: Handle | None = None
    next_exit: list[Pending[Json]] = field(default_factory=list)
    removed: list[Pending[Json]] = field(default_factory=list)
    backoff_ns: int = 0
    retry: Timer | None = None
    leaving: bool = False
    """It is being removed by force: no restart, no second removal."""
    execs: list[Handle] = field(default_factory=list)
    """What `docker exec` started and has not ended; it dies with the first process."""
    early: list[bytes | None] = field(default_factory=list)
    """Input that came before the process was started."""
    restarting: bool = False
    """`docker restart`: it ends only to start again."""


def environment(given: list[str] | None, tty: bool, hostname: str) -> dict[str, str]:
    """The environment of a process: what Docker always sets, then the container's own."""
    made = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": hostname}
    if tty:
        made["TERM"] = "xterm"
    for each in given or []:
        name, sign, value = each.partition("=")
        if sign:
            made[name] = value
        else:
            made.pop(name, None)
    return made
