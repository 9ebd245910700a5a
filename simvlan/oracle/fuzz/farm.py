"""Guests that run generated scenarios: started once, fed through files, replaced when they hang.

The other half is `simvlan.oracle.guest.farm`. Knows nothing of what scenarios mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simvlan.oracle import guests
from simvlan.oracle.availability import Kernel, KernelUnavailable, available
from simvlan.oracle.observation import Captured

_BOOT_S = 60.0
_BEAT_S = 5.0


class Unlucky(RuntimeError):  # noqa: N818 - nobody's mistake
    """This boot drew a secret with which filters let groups through by chance: boot another."""


def start(kernel: Kernel, workers: int, groups: Sequence[int], *, rounds: bool = False) -> Guest:
    """A guest that is no such."""
    for _ in range(50):
        with contextlib.suppress(Unlucky):
            return Guest(kernel, workers, groups, rounds=rounds)
    raise KernelUnavailable("no boot drew a usable secret for ipvlan's filters")


@dataclass(frozen=True)
class Answer:
    """What a kernel did with one scenario: a status and a text per line, frames per device."""

    said: list[tuple[int, str]]
    captures: dict[str, list[Captured]]
    seconds: float
    crash: str = ""
    slowest_s: float = 0.0
    """How long frames took at most, between two true sleeps."""
    restless: int = 0
    """How often the guest gave up waiting for its kernel's queues: frames may have come late."""


class Guest:
    """One kernel at work."""

    def __init__(self, kernel: Kernel, workers: int, groups: Sequence[int] = (), *, rounds: bool = False) -> None:
        """`workers` scenarios at a time; `groups` are those whose filtering must not be in doubt (guest/luck.py).

        `rounds`: linkwatch has a round each second for sure (guest/linkwatch.py), which many commands then wait for.
        """
        if why := available(kernel):
            raise KernelUnavailable(why)
        self.kernel = kernel
        self.pending: dict[int, float] = {}
        """Scenarios under way, and when they were given."""
        self._folder = Path(tempfile.mkdtemp(prefix="simvlan-fuzz-"))
        for name in ("todo", "taken", "done"):
            (self._folder / name).mkdir()
        (self._folder / "pulse").touch()
        self._closed = threading.Event()
        virtual = kernel == "uml"
        base = guests.link_modules(self._folder) if virtual else None
        plan: dict[str, Any] = {"virtual_machine": virtual, "module_base": base, "workers": workers, "rounds": rounds}
        plan["groups"] = [f"{group:012x}" for group in groups]
        (self._folder / "plan.json").write_text(json.dumps(plan))
        self._process = guests.start(guests.command(self._folder, kernel, "farm"), self._folder)
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            self.release = self._await_release()
        except BaseException:
            self.close()
            raise

    def _await_release(self) -> str:
        path, end = self._folder / "release", time.monotonic() + _BOOT_S
        while not path.exists() or not path.read_text():
            if (self._folder / "unlucky").exists():
                raise Unlucky
            if self._process.poll() is not None or time.monotonic() > end:
                raise KernelUnavailable(f"the guest did not start:\n{self.complaint()}")
            time.sleep(0.02)
        return path.read_text()

    def give(self, number: int, lines: Sequence[str], *, programs: bool = False, shift: int = 0) -> None:
        """Queue a scenario.

        `programs`: iproute2 does its lines; else the guest sends itself what iproute2 would. `shift`: so many pairs of
        devices stand beside it, so that its own lie elsewhere in memory (guest/luck.py).
        """
        partial = self._folder / f"{number}.part"
        partial.write_text(json.dumps({"lines": list(lines), "programs": programs, "shift": shift}))
        partial.rename(self._folder / "todo" / str(number))
        self.pending[number] = time.monotonic()

    def take(self) -> dict[int, Answer]:
        """Whatever is done by now."""
        found = {}
        for name in os.listdir(self._folder / "done"):
            path = self._folder / "done" / name
            found[int(name)] = _answer(json.loads(path.read_text()))
            path.unlink()
            (self._folder / "taken" / name).unlink(missing_ok=True)
            self.pending.pop(int(name), None)
        return found

    def _beat(self) -> None:
        """Show the guest that somebody is there, until this process ends or the guest is closed."""
        while not self._closed.wait(_BEAT_S):
            with contextlib.suppress(OSError):
                (self._folder / "pulse").touch()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """What it left behind when it died."""
        texts = [path.read_text() for path in sorted(self._folder.glob("crash*"))]
        console = self._folder / "console"
        return "".join(texts) or (console.read_text(errors="replace")[-2000:] if console.exists() else "")

    def close(self) -> None:
        """End it and all it started."""
        self._closed.set()
        guests.end_session(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)


def _answer(result: dict[str, Any]) -> Answer:
    if "crash" in result:
        return Answer([], {}, result["seconds"], result["crash"])
    if result["lost"]:
        frames = ", ".join(f"{count} in {netns}" for netns, count in sorted(result["lost"].items()))
        return Answer([], {}, result["seconds"], f"the kernel dropped frames of the captures: {frames}")
    captures = {
        device: [(stamp, way, bytes.fromhex(octets)) for stamp, way, octets in frames]
        for device, frames in result["captures"].items()
    }
    said = [(status, text) for status, text in result["said"]]
    how = {"slowest_s": result["slowest"], "restless": result["restless"]}
    return Answer(said, captures, result["seconds"], **how)
