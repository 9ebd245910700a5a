"""Record what the real tools print on a real kernel: scripts/TOPIC.txt -> iproute2/TOPIC.jsonl.

    python tests/golden/record.py [--kernel uml] [TOPIC ...]

A topic file holds scripts (`=== name`) of one command per line, run in order by one shell in a fresh network; `@macro
WORDS` stands for the commands of that macro (scripts/macros), `{}` replaced by WORDS. Every command is recorded.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

from simvlan.oracle import Job, run_jobs
from simvlan.oracle.kernels import Kernel

HERE = Path(__file__).parent
SCRIPTS, GOLDEN = HERE / "scripts", HERE / "iproute2"
TOOLS = ("ip -V", "bridge -V", "ping -V", "arping -V", "traceroute --version", "tcpdump --version", "ethtool --version")

# one shell for all commands, so that variables and background jobs last; $1 is the folder for the streams
_RECORDER = r"""
folder=$1; number=0; mkdir /run/work; cd /run/work
while IFS= read -r line <&9; do
    eval "$line" >"$folder/$number.out" 2>"$folder/$number.err" 9<&-
    echo $? >"$folder/$number.rc"
    number=$((number + 1))
done 9<"$folder/commands"
"""


def without_usage(text: str) -> str:
    """Keep that a tool gave help, not its words: those are its authors'."""
    return re.sub(r"Usage:.*|Usage\n.*", "Usage: (the tool's own text is not kept)\n", text, flags=re.DOTALL)


def macros() -> dict[str, list[str]]:
    """name -> command templates."""
    found: dict[str, list[str]] = {}
    for line in (SCRIPTS / "macros").read_text().splitlines():
        if match := re.fullmatch(r"(\S+):", line):
            commands = found[match[1]] = []
        elif line.strip():
            commands.append(line.strip())
    return found


def parse(text: str, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """script name -> commands, macros expanded."""
    scripts: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("=== "):
            commands = scripts[line[4:]] = []
        elif line.startswith("@"):
            name, _, words = line[1:].partition(" ")
            commands += [" ".join(template.replace("{}", words).split()) for template in known[name]]
        elif line and not line.startswith("#"):
            commands.append(line)
    return scripts


def record(kernel: Kernel, topics: list[str]) -> None:
    """Run all scripts of the topics with one boot, write one file per topic."""
    known = macros()
    chosen = {topic: parse((SCRIPTS / f"{topic}.txt").read_text(), known) for topic in topics}
    with tempfile.TemporaryDirectory(prefix="simvlan-golden-") as base:
        jobs = []
        for topic, scripts in chosen.items():
            for name, commands in scripts.items():
                folder = Path(base, f"{topic}.{name}")
                folder.mkdir()
                (folder / "commands").write_text("".join(command + "\n" for command in commands))
                jobs.append(Job(_RECORDER, [str(folder)], cwd=str(folder), capture=False, timeout_s=240))
        runs = run_jobs(kernel, jobs)
        for topic, scripts in chosen.items():
            _write(topic, scripts, Path(base))
    _write_versions(runs[0].kernel_release)


def _write(topic: str, scripts: dict[str, list[str]], base: Path) -> None:
    with (GOLDEN / f"{topic}.jsonl").open("w") as target:
        for name, commands in scripts.items():
            for number, command in enumerate(commands):
                streams = {kind: (base / f"{topic}.{name}" / f"{number}.{kind}") for kind in ("out", "err", "rc")}
                entry = {
                    "script_id": f"{topic}/{name}",
                    "cmd": command,
                    "stdout": without_usage(streams["out"].read_text()),
                    "stderr": without_usage(streams["err"].read_text()),
                    "exit": int(streams["rc"].read_text()),
                }
                target.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _write_versions(release: str) -> None:
    versions = {tool.split()[0]: _version(tool) for tool in TOOLS}
    (GOLDEN / "versions.json").write_text(json.dumps({"kernel": release, **versions}, indent=1) + "\n")


def _version(command: str) -> str:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="uml", choices=("uml", "host"))
    parser.add_argument("topics", nargs="*", help="default: all")
    options = parser.parse_args()
    record(options.kernel, options.topics or sorted(path.stem for path in SCRIPTS.glob("*.txt")))


if __name__ == "__main__":
    main()
