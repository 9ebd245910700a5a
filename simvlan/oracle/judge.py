"""A kernel as a test holds it: booted once, asked about one script after the other, started anew if it was lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from simvlan.oracle.availability import Kernel
from simvlan.oracle.diff import TRIES, Comparison, diff
from simvlan.oracle.guests import Guest, Stop
from simvlan.oracle.report import text
from simvlan.oracle.runs import Job, KernelRun


class _Booted:
    """The guest of one kernel, shared by its judges."""

    def __init__(self, kernel: Kernel, stop: Stop | None) -> None:
        self.kernel = kernel
        self._stop = stop
        self._guest: Guest | None = Guest(kernel, stop)

    def guest(self) -> Guest:
        if self._guest is None or not self._guest.alive:
            self.close()
            self._guest = Guest(self.kernel, self._stop)
        return self._guest

    def close(self) -> None:
        if self._guest is not None:
            self._guest.close()
        self._guest = None


class Judge:
    """A real Linux kernel. `stop` ends it and raises Interrupted where it is waited for.

    Raises:
        KernelUnavailable: this machine does not have it.
    """

    def __init__(
        self, kernel: Kernel, folder: Path | None = None, booted: _Booted | None = None, stop: Stop | None = None
    ) -> None:
        self.name = kernel
        self.folder = folder or Path.cwd()
        self._booted = booted or _Booted(kernel, stop)

    def at(self, folder: Path) -> Judge:
        """The same kernel, with scripts relative to another folder."""
        return Judge(self.name, folder, self._booted)

    @property
    def release(self) -> str:
        """`uname -r`."""
        return self._booted.guest().release

    def run(self, script: str | os.PathLike[str], *args: str, timeout: float = 600) -> KernelRun:
        """Run a script (a path, or its text if it has several lines or blanks) in a network of its own."""
        return self._booted.guest().run(self._job(script, args, timeout))

    def diff(
        self, script: str | os.PathLike[str], *args: str, timeout: float = 600, tries: int = TRIES, seed: int = 0
    ) -> Comparison:
        """Run a script here and on the simulator and compare everything."""
        job = replace(self._job(script, args, timeout), listings=True)
        return diff(self._booted.guest(), job, seed=seed, tries=tries)

    @staticmethod
    def report(script: str, compared: Comparison) -> str:
        """What `simvlan diff` would print."""
        return text(script, compared)

    def close(self) -> None:
        """Switch it off."""
        self._booted.close()

    def _job(self, script: str | os.PathLike[str], args: tuple[str, ...], timeout: float) -> Job:
        job = Job(args=args, cwd=str(self.folder), env=dict(os.environ), timeout_s=timeout)
        if isinstance(script, str) and any(mark in script for mark in "\n ;"):
            return replace(job, script=script)
        path = self.folder / script
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such script")
        return replace(job, path=str(path))
