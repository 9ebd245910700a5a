"""sysctl of procps-ng 4: read, set and list the kernel parameters of the namespace."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.sysctl import sysctl_get, sysctl_list, sysctl_set
from simvlan.tools.program import Process

USAGE = """
Usage: sysctl [-aAbdehnNqwX] [-p FILE] [-r PATTERN] [NAME[=VALUE] ...]
What each means: sysctl(8).
"""
LONG = {"--all": "a", "--deprecated": "", "--dry-run": "dry", "--binary": "b", "--ignore": "e", "--names": "N",
        "--values": "n", "--quiet": "q", "--write": "w", "--help": "h", "--version": "V"}  # fmt: skip


class Sysctl:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc = proc
        self.net: Any = proc.lab.network
        self.ns: Any = self.net.netns[proc.netns]
        self.flags: set[str] = set()
        self.pattern: re.Pattern[str] | None = None
        self.file: str | None = None
        self.words: list[str] = []
        self.status = 0

    def parse(self, argv: list[str]) -> str | None:
        """Read the command line; the text of a complaint, or None."""
        words = list(argv)
        while words:
            word = words.pop(0)
            name, _, value = word.partition("=")
            if word in LONG:
                self.flags.add(LONG[word])
            elif name in ("--load", "--pattern"):
                self._valued("p" if name == "--load" else "r", value or (words.pop(0) if words else ""))
            elif word.startswith("-") and len(word) > 1:
                complaint = self._letters(word[1:], words)
                if complaint:
                    return complaint
            else:
                self.words.append(word)
        return None

    def _letters(self, letters: str, words: list[str]) -> str | None:
        for at, letter in enumerate(letters):
            if letter == "r":
                self._valued("r", letters[at + 1 :] or (words.pop(0) if words else ""))
                return None
            if letter in "pf":
                self._valued("p", letters[at + 1 :] or (words.pop(0) if words else "/etc/sysctl.conf"))
                return None
            if letter not in "aAXbenNqwoxdhV":
                return f"sysctl: invalid option -- '{letter}'\n{USAGE}"
            self.flags.add({"A": "a", "X": "a", "d": "h"}.get(letter, letter))
        return None

    def _valued(self, flag: str, value: str) -> None:
        if flag == "r":
            self.pattern = re.compile(value)
        else:
            self.file = value

    # -- doing ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Do what was asked; the exit status."""
        if "a" in self.flags:
            for key, value in sysctl_list(self.net, self.ns):
                if self.pattern is None or self.pattern.search(key):
                    self._show(key, value)
            return self.status
        if self.file is not None:
            self._load(self.file)
            return self.status
        for word in self.words:
            self._one(word)
        return self.status

    def _load(self, name: str) -> None:
        """Set what a file says (sysctl -p)."""
        for line in self.proc.read_file(name).decode().splitlines():
            text = line.strip()
            if text and text[0] not in "#;":
                self._one(text, f"{name}(0)")

    def _one(self, word: str, place: str = "command line(0)") -> None:
        name, equals, value = (part.strip() for part in word.partition("="))
        key = _dotted(name)
        if equals:
            self._set(key, value)
        elif "w" in self.flags or self.file is not None:
            self._complain(f"{place}: invalid syntax, continuing...")
        else:
            self._get(key)

    def _set(self, key: str, value: str) -> None:
        try:
            if "dry" not in self.flags:
                sysctl_set(self.net, self.ns, key, value)
        except RtnlError as error:
            self._refused(key, error, "setting")
        except Unsupported as error:
            self._complain(f"simvlan: {error}")
        else:
            if "q" not in self.flags:
                self._show(key, value)

    def _get(self, key: str) -> None:
        below = [(k, v) for k, v in sysctl_list(self.net, self.ns) if k.startswith(f"{key}.")]
        if below:
            for name, value in below:
                self._show(name, value)
            return
        try:
            self._show(key, sysctl_get(self.net, self.ns, key))
        except RtnlError as error:
            self._refused(key, error, "reading")
        except Unsupported as error:
            self._complain(f"simvlan: {error}")

    def _refused(self, key: str, error: RtnlError, doing: str) -> None:
        if error.errno != errno.ENOENT:
            self._complain(f'{doing} key "{key}": {os.strerror(error.errno)}')
        elif "e" not in self.flags:
            self._complain(f"cannot stat {_path(key)}: No such file or directory")

    def _complain(self, text: str) -> None:
        self.proc.write_err(f"sysctl: {text}\n")
        self.status = 1

    def _show(self, key: str, value: str) -> None:
        if "N" in self.flags:
            self.proc.write(f"{key}\n")
        elif "b" in self.flags:
            self.proc.write(value)
        elif "n" in self.flags:
            self.proc.write(f"{value}\n")
        else:
            self.proc.write(f"{key} = {value}\n")


_SWAP = str.maketrans("./", "/.")


def _dotted(name: str) -> str:
    """Write a key with dots: the first separator says which of the two was meant."""
    first = next((c for c in name if c in "./"), ".")
    return name.translate(_SWAP) if first == "/" else name


def _path(key: str) -> str:
    return "/proc/sys/" + key.translate(_SWAP)


def main(proc: Process) -> int:
    """Read or set kernel parameters."""
    tool = Sysctl(proc)
    complaint = tool.parse(proc.argv[1:])
    if complaint is not None:
        proc.write_err(complaint)
        return 1
    if "h" in tool.flags:
        proc.write(USAGE)
        return 0
    if "V" in tool.flags:
        proc.write("sysctl from procps-ng 4.0.2\n")
        return 0
    if not tool.words and "a" not in tool.flags and tool.file is None:
        if tool.flags:
            proc.write_err("sysctl: no variables specified\nTry `sysctl --help' for more information.\n")
        else:
            proc.write_err(USAGE)
        return 1
    return tool.run()
