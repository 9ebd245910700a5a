"""`simvlan run --on host|uml`: one script on a real kernel, its streams passed through, its captures written."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from simvlan.capture import file_header, record
from simvlan.oracle.availability import Kernel, KernelUnavailable
from simvlan.oracle.guests import Guest, Interrupted, Sink, noting_signals
from simvlan.oracle.observation import Captured
from simvlan.oracle.runs import LIMITS, Job, KernelRun

TIMEOUT_S = 600.0
"""How long a script may take unless told otherwise."""
NO_KERNEL = 4


class UnreadableScriptError(ValueError):
    """The script cannot be read; the text says why."""


def job_of(
    script: str,
    args: Sequence[str],
    *,
    timeout_s: float,
    capture: bool,
    listings: bool = False,
    ipv6: bool = False,
    gso: bool = False,
) -> Job:
    """The job of a script file as the command line names it (`-`: standard input), in the caller's surroundings.

    Raises:
        UnreadableScriptError: in the words a shell would use.
    """
    job = Job(args=args, cwd=os.getcwd(), env=dict(os.environ), timeout_s=timeout_s, capture=capture)
    fields = job.__dict__ | {"listings": listings, "ipv6": ipv6, "gso": gso} | _source(script)
    return Job(**fields)


def _source(script: str) -> dict[str, str]:
    """A file is run in place, so that `$0` and what lies beside it are found; a pipe is read first."""
    try:
        if script == "-":
            return {"script": sys.stdin.read()}
        if os.path.isfile(script):
            with open(script, "rb"):
                return {"path": script if "/" in script else f"./{script}"}
        if os.path.isdir(script):
            raise UnreadableScriptError(f"{script}: Is a directory")
        return {"script": Path(script).read_text()}
    except OSError as error:
        raise UnreadableScriptError(f"{script}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableScriptError(f"{script}: not text in UTF-8") from None


def run_on_kernel(
    kernel: Kernel,
    script: str,
    args: Sequence[str],
    *,
    pcap: str | None,
    timeout_s: float = TIMEOUT_S,
    ipv6: bool = False,
) -> int:
    """Run it and say loudly what went wrong besides; the script's exit status, 124 when a limit ended it.

    4 when the kernel is not to be had or did not come through; 128 + N after signal N.
    """
    try:
        job = job_of(script, args, timeout_s=timeout_s, capture=pcap is not None, ipv6=ipv6)
    except UnreadableScriptError as error:
        return complain(str(error), 2)
    try:
        with noting_signals() as stop, Guest(kernel, stop) as guest:
            done = guest.run(job, _sink(sys.stdout.buffer), _sink(sys.stderr.buffer))
    except KernelUnavailable as error:
        return complain(f"--on {error}", NO_KERNEL)
    except Interrupted as interrupted:
        return complain(f"{script}: ended by {interrupted}", 128 + interrupted.number)
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    for warning in warnings(done, script, timeout_s):
        complain(warning)
    if pcap is not None:
        try:
            write_captures(pcap, done.captures)
        except OSError as error:
            return complain(f"{error.filename or pcap}: {error.strerror}", 1)
    return done.exit_code


def warnings(done: KernelRun, script: str, timeout_s: float) -> list[str]:
    """What a user must not overlook: limits that ended the script, frames that the kernel dropped."""
    said = []
    if done.limit:
        said.append(f"{script}: ended: {LIMITS[done.limit].format(timeout_s=timeout_s)}")
    for netns, frames in sorted(done.lost.items()):
        said.append(f"the captures of {netns} are INCOMPLETE: the kernel dropped {frames} frames that came too fast")
    return said


def write_captures(folder: str, captures: Mapping[str, Sequence[Captured]]) -> None:
    """Write one pcap per device, as the simulator's `--pcap` does."""
    os.makedirs(folder, exist_ok=True)
    for device, frames in sorted(captures.items()):
        with open(os.path.join(folder, f"{device}.pcap"), "wb") as file:
            file.write(file_header())
            for time_ns, _, octets in frames:
                file.write(record(time_ns, octets))


def _sink(stream: BinaryIO) -> Sink:
    def take(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return take


def complain(text: str, status: int = 0) -> int:
    """Say what is wrong and give the status back."""
    print(f"simvlan: {text}", file=sys.stderr)
    return status
