"""nsenter of util-linux 2.38: a command in the network namespace of a process (of a container too) or of a file."""

from __future__ import annotations

from simvlan.docker.cluster import clusters
from simvlan.tools.common import Refused
from simvlan.tools.program import REFUSED_STATUS, Process

NAME = "nsenter from util-linux 2.38.1\n"
TRY = "Try 'nsenter --help' for more information.\n"
USAGE = "\nUsage:\n nsenter -t <pid> -n[=<file>] [<program> [<argument>...]]\n (simvlan: see nsenter(1))\n"
FOLDERS = ("/run/netns/", "/var/run/netns/")
LONG = {"target": "t", "net": "n", "version": "V", "help": "h", "mount": "m", "uts": "u", "ipc": "i", "pid": "p",
        "all": "a", "cgroup": "C", "user": "U", "time": "T", "root": "r", "wd": "w"}  # fmt: skip
OTHERS = frozenset("amuipCUTrwSGFZ")
"""Options about what is not a network."""


def main(proc: Process) -> int:
    """Become another command there."""
    try:
        return _run(proc, proc.argv[1:])
    except Refused as refused:
        proc.write_err(str(refused))
        return refused.status


def _run(proc: Process, words: list[str]) -> int:
    """Read the options; -n may have a file only in the same word (optional_argument of getopt)."""
    target, file, wanted = "", "", False
    words = list(words)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        name, value = _option(word)
        if name == "t":
            target = value or (words.pop(0) if words else "")
        elif name == "n":
            wanted, file = True, value
        elif name in ("V", "h"):
            proc.write(NAME if name == "V" else USAGE)
            return 0
        elif name in OTHERS:
            raise Refused(f"simvlan: nsenter {word} is not modelled; there are -t PID and -n[=FILE]\n", REFUSED_STATUS)
        else:
            what = f"unrecognized option '{word}'" if word.startswith("--") else f"invalid option -- '{name}'"
            raise Refused(f"nsenter: {what}\n{TRY}")
    pid = _pid(target)
    netns = _netns(proc, pid, file) if wanted else proc.netns
    return proc.execute(words or [proc.env.get("SHELL", "/bin/sh")], netns=netns)


def _option(word: str) -> tuple[str, str]:
    """(letter, value in the same word)."""
    if not word.startswith("--"):
        return word[1:2], word[2:]
    name, _, value = word[2:].partition("=")
    return LONG.get(name, "?"), value


def _pid(text: str) -> int:
    if text and not text.isdigit():
        raise Refused(f"nsenter: failed to parse pid: '{text}'\n")
    return int(text or 0)


def _netns(proc: Process, pid: int, file: str) -> str:
    if not file and not pid:
        raise Refused("nsenter: neither filename nor target pid supplied for ns/net\n")
    if file:
        name = next((file.removeprefix(folder) for folder in FOLDERS if file.startswith(folder)), "")
        found = name if name in proc.lab.network.netns and name else None
    else:
        known = _containers(proc)
        found = known[pid] if pid in known else proc.processes().get(pid)
    if found is None:
        raise Refused(f"nsenter: cannot open {file or f'/proc/{pid}/ns/net'}: No such file or directory\n")
    return found


def _containers(proc: Process) -> dict[int, str]:
    """The processes of the containers of this node's engine (`docker inspect -f '{{.State.Pid}}'`)."""
    cluster = clusters.get(proc.lab)
    engine = None if cluster is None else cluster.engines.get(proc.netns)
    if engine is None:
        return {}
    running = [each for each in engine.containers.all.values() if each.running]
    return {each.pid: str(engine.networking.netns(each).name) for each in running}
