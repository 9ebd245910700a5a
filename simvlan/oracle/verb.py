"""The command line of `simvlan diff`: exit status 0 agreement, 1 none, 2 wrong usage, 4 no such kernel here."""

from __future__ import annotations

import argparse
import json
import sys

from simvlan.oracle.availability import KernelUnavailable
from simvlan.oracle.diff import diff
from simvlan.oracle.guests import Guest, Interrupted, noting_signals
from simvlan.oracle.report import as_dict, text
from simvlan.oracle.run import NO_KERNEL, TIMEOUT_S, UnreadableScriptError, complain, job_of
from simvlan.shell.run import Forbidden, ScriptMissing

DISAGREE, USAGE = 1, 2


def run(options: argparse.Namespace) -> int:
    """Compare and report; `options` as simvlan.cli reads them."""
    limit = options.timeout or TIMEOUT_S
    try:
        job = job_of(
            options.script,
            options.args,
            timeout_s=limit,
            capture=True,
            listings=True,
            ipv6=options.ipv6,
            gso=options.gso,
        )
        with noting_signals() as stop, Guest(options.kernel, stop) as guest:
            made = diff(guest, job, seed=options.seed or 0, tries=options.tries, confined=not options.unconfined)
    except (UnreadableScriptError, ScriptMissing) as error:
        return complain(str(error), USAGE)
    except Forbidden as error:
        return complain(f"no private namespaces here ({error}): --unconfined does without", USAGE)
    except KernelUnavailable as error:
        return complain(f"--kernel {error}", NO_KERNEL)
    except Interrupted as interrupted:
        return complain(f"{options.script}: ended by {interrupted}", 128 + interrupted.number)
    print(json.dumps(as_dict(options.script, made)) if options.json else text(options.script, made), flush=True)
    sys.stdout.flush()
    return 0 if made.agree else DISAGREE
