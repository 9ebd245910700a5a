"""A script for a kernel and what it did: the job that goes into a guest's folder and the result that comes out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simvlan.oracle.guest.recorder import HEAD
from simvlan.oracle.observation import Captured, Observation, subjects

OUTPUT_LIMIT = 64 << 20
FRAMES_LIMIT = 256 << 20
"""Octets of one stream, or of all captures, after which a script is ended as flooding."""

LIMITS = {
    "time": "its time was up after {timeout_s:g} s (--timeout)",
    "hung": "the kernel no longer answered after {timeout_s:g} s (--timeout)",
    "output": f"it wrote more than {OUTPUT_LIMIT >> 20} MiB",
    "frames": f"its network floods: more than {FRAMES_LIMIT >> 20} MiB of frames were captured (a loop without STP?)",
}
"""Why a script was ended before its own end."""


@dataclass(frozen=True)
class Job:
    """A script and how to start it.

    Attributes:
        script: its text; not used when `path` is given.
        path: a script file, run under this name relative to `cwd`, so that `$0` is what it would be.
        args: its arguments.
        cwd: the directory it is started in: the only one it can write to (besides /tmp and /run of its own).
        env: its environment.
        timeout_s: after so many seconds it is ended.
        capture: record frames.
        listings: ask for the state of every namespace (observation.LISTINGS) at the end.
        ipv6: its namespaces start with IPv6 on.
        gso: the simulator sends super-packets, as kernels do.
    """

    script: str = ""
    args: Sequence[str] = ()
    cwd: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 60.0
    capture: bool = True
    path: str | None = None
    listings: bool = False
    ipv6: bool = False
    gso: bool = False


@dataclass(frozen=True)
class KernelRun:
    """What one script did.

    Attributes:
        exit_code: the script's own; 124 when a limit ended it.
        captures: frames by `netns.device`, in order.
        limit: which limit ended it (a key of LIMITS), or "".
        lost: by namespace, frames that the kernel dropped because they came too fast: the captures lack them.
        listings: (netns, subject) -> parsed JSON at the end.
        asked: by namespace from when to when it was asked for `link`, in ns as frames have them.
        appeared: (capture point, hardware address) of every device when it first came under that name, in order.
    """

    exit_code: int
    stdout: str
    stderr: str
    captures: dict[str, list[Captured]]
    kernel_release: str
    limit: str = ""
    lost: Mapping[str, int] = field(default_factory=dict)
    listings: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    appeared: Sequence[tuple[str, str]] = ()
    asked: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def timed_out(self) -> bool:
        """Whether its time was up."""
        return self.limit in ("time", "hung")

    def observation(self) -> Observation:
        """What is compared."""
        return Observation(
            captures=self.captures,
            exit_code=self.exit_code,
            stdout=self.stdout,
            stderr=self.stderr,
            listings=self.listings,
            asked=self.asked,
            release=self.kernel_release,
        )


def write_job(out: Path, job: Job, module_base: str | None) -> None:
    """Hand a job to the guest that watches the folder."""
    out.mkdir()
    if job.path is None:
        (out / "script").write_text(job.script)
    text = _text(job)
    form = {
        "bash": [job.path if job.path is not None else str(out / "script"), *job.args],
        "script_folder": str(Path(job.cwd, job.path).resolve().parent) if job.path is not None else None,
        "cwd": str(Path(job.cwd).resolve()),
        "env": dict(job.env),
        "timeout_s": job.timeout_s,
        "capture": job.capture,
        "listings": subjects(job.ipv6) if job.listings else {},
        "ipv6": job.ipv6,
        "output_limit": OUTPUT_LIMIT,
        "frames_limit": FRAMES_LIMIT,
        "module_base": module_base,
        # what a guest makes ready; a script that sends unseen waits longer, and paces its frames by the clock alone
        "sends": bool(_SENDS.search(text)),
        "scapy": bool(_SENDS_LAYERS.search(text)),
    }
    (out / "job.part").write_text(json.dumps(form))
    (out / "job.part").rename(out / "job.json")


_SENDS = re.compile(r"simvlan\s+send\b")
_SENDS_LAYERS = re.compile(_SENDS.pattern + r".*\b(Ether|Dot3|Raw)\(")


def _text(job: Job) -> str:
    return job.script if job.path is None else Path(job.cwd, job.path).read_text(errors="replace")


def read_result(out: Path, release: str) -> KernelRun:
    """What the guest has left in the folder."""
    result = json.loads((out / "result").read_text())
    stdout, stderr = ((out / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    return KernelRun(
        result["exit_code"],
        stdout,
        stderr,
        read_frames(out / "frames", result["points"]),
        release,
        result["limit"],
        result["lost"],
        {(netns, subject): value for netns, subject, value in result["listings"] if subject != "asked"},
        [(point, mac) for point, mac in result["appeared"]],
        {netns: (value[0], value[1]) for netns, subject, value in result["listings"] if subject == "asked"},
    )


def read_frames(path: Path, points: Sequence[str]) -> dict[str, list[Captured]]:
    """Frames by capture point from a guest's recording (guest/recorder.py)."""
    captures: dict[str, list[Captured]] = {point: [] for point in points}
    if not points:
        return captures
    data, at = path.read_bytes(), 0
    logs = [captures[point] for point in points]
    while at < len(data):
        time_ns, number, outgoing, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        logs[number].append((time_ns, "out" if outgoing else "in", data[at : at + length]))
        at += length
    return captures
