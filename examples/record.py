"""Run every example but those of Docker on a real kernel (User Mode Linux), write what it printed to NAME.out.

`make examples` does it.

The tests hold the simulator to these files; they are the kernel's answers, never the simulator's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simvlan.oracle import kernels

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Record all; an example that fails its own checks on the kernel is an error, and its file stays as it was."""
    found = [*HERE.glob("*.sh"), *HERE.glob("hosts/*.sh")]
    scripts = sorted(p for p in found if p.name != "check.sh" and not p.name.startswith("docker-"))
    runs = kernels.run_many("uml", [f"bash {script}" for script in scripts])
    failed = 0
    for script, run in zip(scripts, runs, strict=True):
        if run.exit_code != 0:
            print(f"{script.name}: exit {run.exit_code} on {run.kernel_release}", file=sys.stderr)
            print(run.stdout + run.stderr, file=sys.stderr)
            failed += 1
            continue
        script.with_suffix(".out").write_text(run.stdout)
        print(f"{script.name}: {len(run.stdout.splitlines())} lines, kernel {run.kernel_release}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
