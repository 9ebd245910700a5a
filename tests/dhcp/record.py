"""Record what the real dnsmasq and udhcpc do: NAME.sh -> NAME.json (what they said, the DHCP frames).

python tests/dhcp/record.py NAME [...]   (root: it runs on this machine's kernel, in private namespaces)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from tests.dhcp.exchange import heard, said  # noqa: E402


def main(names: list[str]) -> None:
    """Run the scripts on the host's kernel."""
    for name in names:
        script = HERE / f"{name}.sh"
        with tempfile.TemporaryDirectory() as folder:
            command = [
                str(Path(sys.executable).parent / "simvlan"),
                *["run", "--on", "host", "--timeout", "500", "--pcap"],
                folder,
            ]
            run = subprocess.run([*command, str(script)], capture_output=True, text=True, check=True)
            record = {"versions": versions(), "said": said(run.stdout + run.stderr), "frames": heard(Path(folder))}
        script.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")


def versions() -> dict[str, str]:
    """Of everything that took part."""
    first = {"kernel": ["uname", "-r"], "dnsmasq": ["dnsmasq", "--version"], "udhcpc": ["busybox"]}
    said = {name: subprocess.run(words, capture_output=True, text=True).stdout for name, words in first.items()}
    return {name: text.split("\n")[0] for name, text in said.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
