"""`simvlan doctor`: what this machine's kernels and tools can do, which judges there are, how to get the missing one.

What a kernel can do is asked of the kernel: a guest tries to make each kind of device.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal

from simvlan import __version__
from simvlan.oracle.availability import KERNELS, Kernel, KernelUnavailable, available, which
from simvlan.oracle.guests import Interrupted, noting_signals
from simvlan.oracle.judge import Judge
from simvlan.oracle.kinds import kinds_of

State = Literal["ok", "missing", "broken"]

TOOLS = {
    "ip": ("iproute2", "-V"),
    "bridge": ("iproute2", "-V"),
    "tc": ("iproute2", "-V"),
    "ping": ("iputils-ping", "-V"),
    "arping": ("iputils-arping", "-V"),
    "traceroute": ("traceroute", "--version"),
    "tcpdump": ("tcpdump", "--version"),
    "ethtool": ("ethtool", "--version"),
    "sysctl": ("procps", "--version"),
}
"""Commands that a script on a real kernel runs for real: package, and how to ask the version."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    text: str
    remedy: str = ""


def examine(kernels: tuple[Kernel, ...] = KERNELS) -> Iterator[Finding]:
    """Everything, one finding after the other; booting a kernel takes seconds."""
    yield Finding("simvlan", "ok", f"{__version__}, Python {platform.python_version()}")
    yield Finding("machine", "ok", f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs")
    yield _simulator()
    for tool, (package, option) in TOOLS.items():
        yield _tool(tool, package, option)
    for kernel in kernels:
        yield _kernel(kernel)


def _simulator() -> Finding:
    from simvlan.lab import Lab
    from simvlan.shell.run import Forbidden

    try:
        done = Lab().sh("ip -br link")
    except Forbidden as error:
        return Finding("simulator", "missing", f"no private namespaces for scripts: {error}", "use --unconfined")
    except (OSError, RuntimeError) as error:
        return Finding("simulator", "broken", str(error), "report this")
    if done.exit:
        return Finding("simulator", "broken", done.stderr.strip(), "report this")
    return Finding("simulator", "ok", "runs scripts in private namespaces")


def _tool(tool: str, package: str, option: str) -> Finding:
    if (path := which(tool)) is None:
        return Finding(tool, "missing", "scripts cannot use it on a real kernel", f"Debian: apt install {package}")
    done = subprocess.run([path, option], capture_output=True, text=True, check=False, timeout=20)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return Finding(tool, "ok", lines[0] if lines else path)


def _kernel(kernel: Kernel) -> Finding:
    name = f"kernel {kernel}"
    if why := available(kernel):
        text, _, remedy = why.partition(" (")
        return Finding(name, "missing", text, remedy.rstrip(")"))
    try:
        with noting_signals() as stop, closing(Judge(kernel, stop=stop)) as judge:
            kinds, release = kinds_of(judge.run), judge.release
    except KernelUnavailable as error:
        space = (
            f"; {shutil.disk_usage('/dev/shm').free >> 20} MiB free in /dev/shm" if os.path.isdir("/dev/shm") else ""
        )
        return Finding(name, "broken", f"{error}{space}", "it needs 512 MiB of memory and a writable TMPDIR")
    lacking = [kind for kind, there in kinds.items() if not there]
    return Finding(
        name, "ok", f"Linux {release}" + (f"; lacks {', '.join(lacking)}" if lacking else "; has everything")
    )


def as_text(findings: list[Finding]) -> str:
    """A table, with what helps below what is missing."""
    width = max(len(each.what) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{each.state:<8} {each.what:<{width}}  {each.text}")
        if each.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {each.remedy}")
    return "\n".join(lines)


def as_dicts(findings: list[Finding]) -> list[dict[str, Any]]:
    """For --json."""
    return [asdict(each) for each in findings]


def status(findings: list[Finding], asked: str | None) -> int:
    """0 when all is there; 1: the simulator does not run; 4: the kernel asked for is not there; 3: something else."""
    states = {each.what: each.state for each in findings}
    if states["simulator"] == "broken":
        return 1
    if asked and states[f"kernel {asked}"] != "ok":
        return 4
    relevant = [state for what, state in states.items() if not asked or not what.startswith("kernel")]
    return 0 if all(state == "ok" for state in relevant) else 3


def run(options: Any) -> int:
    """simvlan doctor."""
    kernels: tuple[Kernel, ...] = (options.kernel,) if options.kernel else KERNELS
    try:
        findings = [_noted(finding) for finding in examine(kernels)]
    except Interrupted as interrupted:
        return 128 + interrupted.number
    if sys.stderr.isatty():
        print("\r" + " " * 24 + "\r", end="", file=sys.stderr, flush=True)
    print(json.dumps(as_dicts(findings), indent=1) if options.json else as_text(findings))
    return status(findings, options.kernel)


def _noted(finding: Finding) -> Finding:
    """Show on a terminal that something happens."""
    if sys.stderr.isatty():
        print(f"\r{finding.what:<24}", end="", file=sys.stderr, flush=True)
    return finding
