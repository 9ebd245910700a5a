"""Record what the real radvd does: of scripts what is said and sent (NAME.json), of configurations what -c says.

python tests/radvd/record.py [NAME ...]   (root: it runs on this machine's kernel, in private namespaces)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from tests.radvd.configurations import CONFIGURATIONS, FILE  # noqa: E402
from tests.radvd.exchange import heard, said  # noqa: E402

RADVD = "/usr/sbin/radvd"


def main(names: list[str]) -> None:
    """Everything, or the scripts that are named."""
    for script in [HERE / f"{name}.sh" for name in names] or sorted(HERE.glob("*.sh")):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(Path(sys.executable).parent / "simvlan"), "run", "--on", "host", "--pcap", folder]
            run = subprocess.run([*command, str(script)], capture_output=True, text=True, check=True)
            record = {"versions": versions(), "said": said(run.stdout + run.stderr), "frames": heard(Path(folder))}
        script.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")
    if names:
        return
    with tempfile.TemporaryDirectory() as folder:
        answers = {name: checked(text, Path(folder)) for name, text in CONFIGURATIONS.items()}
    record = {"versions": versions(), "answers": answers}
    (HERE / "configurations.json").write_text(json.dumps(record, indent=0) + "\n")


def checked(text: str, folder: Path) -> list[object]:
    """Exit status and standard error of radvd -c."""
    (folder / FILE).write_text(text)
    command = [RADVD, "-c", "-C", FILE, "-m", "stderr_clean"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return [run.returncode, run.stderr]


def versions() -> dict[str, str]:
    """Of everything that took part."""
    radvd = subprocess.run([RADVD, "-v"], capture_output=True, text=True, check=False)
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=False)
    return {"kernel": kernel.stdout.strip(), "radvd": (radvd.stdout + radvd.stderr).split("\n")[0]}


if __name__ == "__main__":
    main(sys.argv[1:])
