"""`simvlan fuzz`: the command line of a campaign."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from simvlan.oracle.fuzz.campaign import Folder, Limits, Plan, State, replay, run
from simvlan.oracle.kernels import KernelUnavailable, available

AGREED, DISAGREED, USAGE, NO_KERNEL = 0, 1, 2, 4
INTERRUPTED = 130
BAR = 24


def fuzz(options: argparse.Namespace) -> int:
    """Run a campaign; options are those of cli.py."""
    if not options.replay and (why := available(options.kernel)):
        return _complain(f"--kernel {options.kernel}: {why}", NO_KERNEL)
    plan = Plan(options.kernel, options.scenarios, options.frames, options.seed, options.ipv6, options.timed)
    try:
        folder = Folder(Path(options.out or f"fuzz-{plan.kernel}{_kind(plan)}-{plan.seed}"))
        if options.fresh:
            folder.clear()
        state = folder.load(plan)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _complain(f"fuzz: {error}", USAGE)
    if options.replay:
        return _replay(state, folder, options)
    limits = Limits(
        options.jobs, options.time_limit, options.shrink_time, 20 if options.shrink_time else 0, _path(options.reuse)
    )
    return _play(state, folder, limits, options)


def _kind(plan: Plan) -> str:
    return ("-ipv6" if plan.ipv6 else "") + ("-timed" if plan.timed else "")


def _play(state: State, folder: Folder, limits: Limits, options: argparse.Namespace) -> int:
    progress = Progress(state)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if not state.complete or (limits.shrinks and any(not each.shrunk for each in state.found)):
            run(state, folder, limits, progress.show)
    except KeyboardInterrupt:
        progress.end()
        _complain(f"fuzz: interrupted after {len(state.done)} of {state.plan.scenarios}; the same command goes on", 0)
        return INTERRUPTED
    except KernelUnavailable as error:
        return _complain(f"--kernel {options.kernel}: {error}", NO_KERNEL)
    except OSError as error:
        return _complain(f"fuzz: {folder.path}: {error.strerror}; what was done is kept as far as it could be", USAGE)
    progress.end()
    print(json.dumps(state.as_json(), indent=1) if options.json else report(state, folder))
    return DISAGREED if state.found else AGREED


def _interrupt(_number: int, _frame: object) -> None:
    """Being ended is being interrupted: nothing is left running."""
    raise KeyboardInterrupt


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _replay(state: State, folder: Folder, options: argparse.Namespace) -> int:
    """The campaign's kernel answers against the simulator as it is now; the new result replaces the old."""
    progress = Progress(state)
    try:
        again = replay(state, folder, progress.show)
    except FileNotFoundError:
        return _complain(f"fuzz: {folder.path} holds no campaign of this plan to replay", USAGE)
    folder.save(again)
    progress.end()
    print(json.dumps(again.as_json(), indent=1) if options.json else report(again, folder))
    return DISAGREED if again.found else AGREED


def _complain(text: str, status: int) -> int:
    print(f"simvlan: {text}", file=sys.stderr)
    return status


class Progress:
    """A bar on a terminal, a line every ten seconds elsewhere; on standard error."""

    def __init__(self, state: State) -> None:
        self._already = len(state.done)
        self._tty = sys.stderr.isatty()
        self._last = 0.0 if self._tty else time.monotonic()

    def show(self, state: State) -> None:
        """Say how far it is, not too often."""
        now = time.monotonic()
        if now - self._last < (0.1 if self._tty else 10.0):
            return
        self._last = now
        print(self._line(state), end="\r" if self._tty else "\n", file=sys.stderr, flush=True)

    def _line(self, state: State) -> str:
        plan, done = state.plan, len(state.done)
        filled = BAR * done // plan.scenarios
        left = (plan.scenarios - done) / state.rate if state.rate else 0
        return (
            f"[{'#' * filled}{'.' * (BAR - filled)}] {done}/{plan.scenarios}  {state.rate:.1f}/s"
            f"  {len(state.found)} disagree  {left / 60:.0f} min left  "
        )

    def end(self) -> None:
        """Leave the bar's line."""
        if self._tty:
            print(file=sys.stderr)


def report(state: State, folder: Folder) -> str:
    """The result for a person."""
    tally, plan = state.tally, state.plan
    head = (
        f"{plan.kernel} {state.release}: {tally.scenarios} of {plan.scenarios} scenarios, {tally.commands} commands"
        f" ({tally.refused} refused), {tally.sent} frames sent, {tally.captured} captured;"
        f" {tally.agreeing} agree, {len(state.found)} disagree; {state.rate:.1f} scenarios a second"
    )
    lines = [head]
    for each in state.found:
        lines.append(f"\nseed {each.seed}{' (shrunk)' if each.shrunk else ''}: {folder.path / each.script}")
        lines.append(each.text)
    if tally.known:
        lines.append("\nWhat this kernel does by a newer rule, and was not counted:")
        lines += [f"  {why} ({count} scenarios)" for why, count in sorted(tally.known.items())]
    return "\n".join(lines)
