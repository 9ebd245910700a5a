"""/proc/sys/net as a script sees it: plain files, kept in step with the simulated kernel's sysctls; and /run/netns.

Only namespaces a real program has been started in are on show. What a script writes goes to the kernel before anything
else happens there; a value the kernel refuses is said aloud, for the writer cannot be told.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from simvlan.errors import RtnlError, Unsupported
from simvlan.shell.sysnet import ROOT, SysNet

IN_CLOSE_WRITE, IN_NONBLOCK, IN_CLOEXEC = 8, os.O_NONBLOCK, os.O_CLOEXEC
EVENT = struct.Struct("iIII")


class Kernel(Protocol):
    """What the files are made from. Paths are those below /proc/sys/net."""

    def namespaces(self) -> Iterable[str]:
        """Names of all but the initial namespace."""

    def devices(self, netns: str) -> Iterable[str]:
        """Devices of a namespace."""

    def listing(self, netns: str, device: str | None) -> Iterable[tuple[str, str]]:
        """(path, value) of what belongs to a device; None: of what belongs to no device."""

    def write(self, netns: str, path: str, value: str) -> None:
        """Set a value; RtnlError or Unsupported where it is refused."""


class NetworkKernel:
    """The sysctls of a simulated network."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def namespaces(self) -> Iterable[str]:
        """Names of all but the initial namespace."""
        return [name for name in self.network.netns if name]

    def devices(self, netns: str) -> Iterable[str]:
        """Devices of a namespace; none where it has gone."""
        found = self.network.netns.get(netns)
        return list(found.devices) if found is not None else []

    def listing(self, netns: str, device: str | None) -> Iterable[tuple[str, str]]:
        """(path, value) of a part of the tree."""
        from simvlan.rtnl.sysctl import sysctl_part

        found = self.network.netns.get(netns)
        if found is None:
            return []
        return [("/".join(key[1:]), value) for key, value in sysctl_part(self.network, found, device)]

    def write(self, netns: str, path: str, value: str) -> None:
        """Set a value."""
        from simvlan.rtnl.sysctl import sysctl_set

        sysctl_set(self.network, self.network.netns[netns], f"net/{path}", value)


class Watch:
    """inotify(7): which files of some directories have been written."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._directories: dict[int, Path] = {}

    def add(self, directory: Path) -> None:
        """Watch a directory too."""
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(directory), IN_CLOSE_WRITE)
        if number < 0:
            raise OSError(ctypes.get_errno(), "inotify", str(directory))
        self._directories[number] = directory

    def written(self) -> list[Path]:
        """Files written since, each once, in the order of their last writing."""
        seen: dict[Path, None] = {}
        while data := self._read():
            for number, name in _events(data):
                if number in self._directories:
                    path = self._directories[number] / name
                    seen.pop(path, None)
                    seen[path] = None
        return list(seen)

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Stop."""
        os.close(self.fd)


def _events(data: bytes) -> Iterable[tuple[int, str]]:
    at = 0
    while at < len(data):
        number, _mask, _cookie, size = EVENT.unpack_from(data, at)
        at += EVENT.size + size
        yield number, os.fsdecode(data[at - size : at].rstrip(b"\0"))


class Sysctls:
    """The files, and what the simulated kernel thinks they hold."""

    def __init__(self, kernel: Kernel, directory: Path, links: SysNet | None = None) -> None:
        self.kernel = kernel
        self.links = links
        self.directory = directory
        self._watch = Watch()
        self._names: list[str] = []
        self._shown: dict[str, dict[str, str]] = {}
        """Per namespace on show: path -> text as the kernel last had it."""
        self._devices: dict[str, list[str]] = {}
        """Per namespace on show: the devices that have files."""
        self._stale: set[str] = set()
        self.show("")

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def show(self, netns: str) -> None:
        """Make a namespace's files, from now on kept in step."""
        if self.links is not None:
            self.links.show(netns)
        if netns in self._shown:
            return
        (self._base(netns)).mkdir(parents=True, exist_ok=True)
        (self.directory / "names" / (netns or ROOT)).write_text(netns + "\n")
        self._watch.add(self._base(netns))
        self._shown[netns] = {}
        self._devices[netns] = []
        self._write(netns, self.kernel.listing(netns, None))
        self._follow_devices(netns)

    def touched(self, netns: str) -> None:
        """A command may have set values there."""
        self._stale.add(netns)

    def publish(self) -> None:
        """Write down what has changed in the kernel."""
        self._publish_names()
        if self.links is not None:
            self.links.publish()
        for netns in list(self._shown):
            self._follow_devices(netns)
        for netns in sorted(self._stale & self._shown.keys()):
            for device in [None, *self._devices[netns]]:
                self._write(netns, self.kernel.listing(netns, device))
        self._stale.clear()

    def _base(self, netns: str) -> Path:
        return self.directory / "sysctl" / (netns or ROOT)

    def _publish_names(self) -> None:
        names = sorted(self.kernel.namespaces())
        if names == self._names:
            return
        for name in sorted(set(names) - set(self._names)):
            (self.directory / "netns" / name).touch()
        for name in sorted(set(self._names) - set(names)):
            (self.directory / "netns" / name).unlink(missing_ok=True)
        self._names = names

    def _follow_devices(self, netns: str) -> None:
        """Files come and go with their device."""
        now, before = list(self.kernel.devices(netns)), self._devices[netns]
        if now == before:
            return
        for device in [device for device in before if device not in now]:
            self._forget(netns, device)
        for device in [device for device in now if device not in before]:
            self._write(netns, self.kernel.listing(netns, device))
        self._devices[netns] = now

    def _forget(self, netns: str, device: str) -> None:
        for path in [path for path in self._shown[netns] if f"/{device}/" in path]:
            del self._shown[netns][path]
            shutil.rmtree((self._base(netns) / path).parent, ignore_errors=True)

    def _write(self, netns: str, values: Iterable[tuple[str, str]]) -> None:
        base, known = self._base(netns), self._shown[netns]
        for path, text in values:
            if known.get(path) != text:
                file = base / path
                if path not in known and not file.parent.is_dir():
                    file.parent.mkdir(parents=True)
                    self._watch_below(base, file.parent)
                file.write_text(text + "\n")
                known[path] = text

    def _watch_below(self, base: Path, directory: Path) -> None:
        """Watch a new directory, and those made on the way to it."""
        while directory != base:
            self._watch.add(directory)
            directory = directory.parent

    def collect(self, complain: Callable[[str], None]) -> None:
        """Hand to the kernel what the script has written since, in the order in which it was written."""
        for file in self._watch.written():
            name, _, path = str(file.relative_to(self.directory / "sysctl")).partition("/")
            netns = "" if name == ROOT else name
            if netns in self._shown and file.is_file():
                text = file.read_text(errors="replace").strip()
                if self._shown[netns].get(path) != text:
                    self._apply(netns, path, text, complain)

    def _apply(self, netns: str, path: str, text: str, complain: Callable[[str], None]) -> None:
        try:
            self.kernel.write(netns, path, text)
            self._shown[netns][path] = text
            self._stale.add(netns)  # a value of `all` may have become that of others
            self.publish()
        except (RtnlError, Unsupported) as error:
            why = os.strerror(error.errno) if isinstance(error, RtnlError) and error.errno else str(error)
            complain(f"/proc/sys/net/{path}: not written: {why}")
            self._restore(netns, path)

    def _restore(self, netns: str, path: str) -> None:
        file, before = self._base(netns) / path, self._shown[netns].get(path)
        if before is None:
            file.unlink()
        else:
            file.write_text(before + "\n")
