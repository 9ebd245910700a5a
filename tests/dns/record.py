"""Record what the real dig, host, nslookup and getent say of a real dnsmasq: asks.sh -> asks.json.

python tests/dns/record.py   (root: it runs on this machine's kernel, in private namespaces)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from tests.dns.said import asked, said  # noqa: E402


def main() -> None:
    """Run the script on the host's kernel."""
    script = HERE / "asks.sh"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).parent / "simvlan"), "run", "--on", "host", "--pcap", folder, str(script)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        record = {"versions": versions(), "said": said(run.stdout), "messages": asked(Path(folder))}
    script.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")


def versions() -> dict[str, str]:
    """Of everything that took part."""
    told = {"kernel": ["uname", "-r"], "dnsmasq": ["dnsmasq", "--version"], "dig": ["dig", "-v"],
            "getent": ["getent", "--version"]}  # fmt: skip
    runs = {name: subprocess.run(words, capture_output=True, text=True, check=False) for name, words in told.items()}
    return {name: (run.stdout + run.stderr).split("\n")[0] for name, run in runs.items()}


if __name__ == "__main__":
    main()
