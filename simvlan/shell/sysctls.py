"""/proc/sys/net as a script sees it: plain files, kept in step with the simulated kernel's sysctls.

What a script writes there goes through the `sysctl` command; a value the kernel refuses is said aloud, for the writer
cannot be told. /run/netns is kept in step too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from simvlan.tools.program import call

ROOT = "@root"
"""The directory of the initial namespace, whose name is empty."""


def path_of(key: str) -> str:
    """`net.ipv4.conf.eth1/100.rp_filter` -> `ipv4/conf/eth1.100/rp_filter` (sysctl(8) swaps the two)."""
    return key.translate(str.maketrans("./", "/.")).removeprefix("net/")


def key_of(path: str) -> str:
    """The other way round."""
    return "net." + path.translate(str.maketrans("./", "/."))


class Sysctls:
    """The files, and what the simulated kernel thinks they hold."""

    def __init__(self, lab: Any, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self._shown: dict[str, dict[str, tuple[str, int]]] = {}
        """Per namespace on show: path -> (text, mtime_ns) as last written by us."""
        self.show("")

    def show(self, netns: str) -> None:
        """Make a namespace's files, from now on kept in step."""
        name = netns or ROOT
        (self.directory / "sysctl" / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "names" / name).write_text(netns + "\n")
        self._shown.setdefault(netns, {})
        self._publish_values(netns)

    def publish(self) -> None:
        """Write down what the kernel now holds."""
        self._publish_names()
        for netns in list(self._shown):
            if netns and netns not in self._namespaces():
                del self._shown[netns]
            else:
                self._publish_values(netns)

    def _namespaces(self) -> list[str]:
        return sorted(name for name in getattr(self.lab.network, "netns", {}) if name)

    def _publish_names(self) -> None:
        wanted, have = set(self._namespaces()), set(os.listdir(self.directory / "netns"))
        for name in sorted(wanted - have):
            (self.directory / "netns" / name).touch()
        for name in sorted(have - wanted):
            (self.directory / "netns" / name).unlink()

    def _publish_values(self, netns: str) -> None:
        base, known = self.directory / "sysctl" / (netns or ROOT), self._shown[netns]
        values = self._values(netns)
        for path, text in values.items():
            if known.get(path, ("", 0))[0] != text:
                (base / path).parent.mkdir(parents=True, exist_ok=True)
                (base / path).write_text(text + "\n")
                known[path] = (text, os.stat(base / path).st_mtime_ns)
        for path in [path for path in known if path not in values]:
            (base / path).unlink(missing_ok=True)
            del known[path]
            if (base / path).parent != base and not os.listdir((base / path).parent):
                (base / path).parent.rmdir()

    def _values(self, netns: str) -> dict[str, str]:
        try:
            result = call(self.lab, ["sysctl", "-a"], netns=netns)
        except ModuleNotFoundError:
            return {}
        pairs = (line.partition(" = ") for line in result.out.splitlines())
        return {path_of(key): value for key, sep, value in pairs if sep and key.startswith("net.")}

    def collect(self, complain: Callable[[str], None]) -> None:
        """Hand to the kernel what the script has written since, in the order it was written."""
        written = []
        for netns, known in self._shown.items():
            for path, mtime in _files(self.directory / "sysctl" / (netns or ROOT)):
                if known.get(path, ("", 0))[1] != mtime:
                    written.append((mtime, netns, path))
        for mtime, netns, path in sorted(written):
            self._apply(netns, path, mtime, complain)

    def _apply(self, netns: str, path: str, mtime: int, complain: Callable[[str], None]) -> None:
        file = self.directory / "sysctl" / (netns or ROOT) / path
        text = file.read_text(errors="replace").strip()
        before = self._shown[netns].get(path)
        try:
            result = call(self.lab, ["sysctl", "-w", f"{key_of(path)}={text}"], netns=netns)
            status, said = result.status, result.err.strip()
        except ModuleNotFoundError:
            status, said = 1, "sysctl is not simulated yet"
        if status == 0:
            self._shown[netns][path] = (text, mtime)
            return
        complain(f"/proc/sys/net/{path}: not written: {said}")
        if before is None:
            file.unlink()
        else:
            file.write_text(before[0] + "\n")
            self._shown[netns][path] = (before[0], os.stat(file).st_mtime_ns)


def _files(base: Path, inside: str = "") -> Iterator[tuple[str, int]]:
    """(path below base, mtime_ns) of every file."""
    with os.scandir(base / inside) as entries:
        for entry in entries:
            path = f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _files(base, path + "/")
            else:
                yield path, entry.stat(follow_symlinks=False).st_mtime_ns
