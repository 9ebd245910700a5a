"""Record what the real dnsmasq and udhcpc do: NAME.sh -> NAME.json (what they said, the DHCP frames).

python tests/dhcp/record.py NAME [...]   (root: it runs on this machine's kernel, in private namespaces)

isc-scripts.sh is ISC's dhclient: the package need not be installed, its programs are found by PATH.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from tests.dhcp.exchange import heard, said  # noqa: E402
from tests.radvd.exchange import heard as routers_heard  # noqa: E402


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
            record = {"versions": versions(), "said": said(run.stdout + run.stderr), "frames": told(name, Path(folder))}
        script.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")


def told(name: str, folder: Path) -> dict[str, list[str]]:
    """The frames of a script: of `ra` those of routers."""
    return routers_heard(folder) if name == "ra" else heard(folder)


def versions() -> dict[str, str]:
    """Of everything that took part."""
    first = {"kernel": ["uname", "-r"], "dnsmasq": ["dnsmasq", "--version"], "udhcpc": ["busybox"],
             "dhclient": ["dhclient", "--version"]}  # fmt: skip
    there = {name: words for name, words in first.items() if shutil.which(words[0])}
    runs = {name: subprocess.run(words, capture_output=True, text=True) for name, words in there.items()}
    return {name: (run.stdout + run.stderr).split("\n")[0] for name, run in runs.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
