"""Record what the real iptables (nf_tables) answers: `sudo python tests/record_iptables.py` in the project's folder.

Each command of tests/golden/netfilter/commands.txt is run in one fresh network namespace; answers go beside it.
"""

from __future__ import annotations

import ctypes
import json
import shlex
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x4000_0000
HERE = Path(__file__).parent / "golden/netfilter"


def main() -> None:
    """Run all commands in order."""
    ctypes.CDLL(None).unshare(CLONE_NEWNET)
    with open(HERE / "answers.jsonl", "w") as file:
        for line in (HERE / "commands.txt").read_text().splitlines():
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
            done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=False, env=env)
            answer = {"cmd": line, "status": done.returncode, "out": done.stdout, "err": done.stderr}
            file.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
