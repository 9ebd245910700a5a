"""Files of containers as tar archives: docker cp and export. Mirrors daemon/archive.go."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from typing import Any

from simvlan.docker.disk import Disk
from simvlan.docker.errors import DockerError, forbidden, invalid, not_found
from simvlan.docker.times import rfc3339

GO_DIRECTORY = 1 << 31
"""os.ModeDir."""


class Archive:
    """One container's disk as clients copy from it and to it.

    Args:
        disk: its files.
        ref: what the client calls it.
        time_ns: when its files were made.
    """

    def __init__(self, disk: Disk, ref: str, time_ns: int) -> None:
        self.disk, self.ref, self.time_ns = disk, ref, time_ns

    def find(self, path: str) -> tuple[str, bool]:
        """The absolute path of a file or folder, and whether it is a folder. Raises DockerError 404."""
        whole = posixpath.normpath(f"/{path}").replace("//", "/")
        if whole in self.disk.directories:
            return whole, True
        if whole not in self.disk.files() or path.endswith("/"):
            raise not_found(f"Could not find the file {path} in container {self.ref}")
        return whole, False

    def stat(self, path: str) -> str:
        """X-Docker-Container-Path-Stat."""
        whole, folder = self.find(path)
        told: dict[str, Any] = {
            "name": posixpath.basename(whole) or "/",
            "size": 4096 if folder else len(self.disk.read(whole)),
            "mode": GO_DIRECTORY | 0o755 if folder else 0o644,
            "mtime": rfc3339(self.time_ns),
            "linkTarget": "",
        }
        return base64.b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()

    def pack(self, path: str) -> bytes:
        """A file, or a folder and all in it; names begin with the last part of the path."""
        whole, folder = self.find(path)
        above = posixpath.dirname(whole)
        return self._tar(sorted(self._under(whole)) if folder else [whole], len(above.rstrip("/")) + 1)

    def export(self) -> bytes:
        """Everything, but for what the kernel shows."""
        return self._tar([each for each in sorted(self._under("/")) if each != "/"], 1)

    def _under(self, folder: str) -> Iterator[str]:
        start = folder.rstrip("/") + "/"
        for each in (*self.disk.directories, *self.disk.files()):
            if each == folder or (each.startswith(start) and not each.startswith(("/proc/", "/sys/"))):
                yield each

    def _tar(self, paths: list[str], cut: int) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in paths:
                made = tarfile.TarInfo(path[cut:] or "./")
                made.mtime = self.time_ns // 1_000_000_000
                if path in self.disk.directories:
                    made.type, made.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(made)
                else:
                    data = self.disk.read(path)
                    made.size = len(data)
                    tar.addfile(made, io.BytesIO(data))
            end = tar.offset
        return out.getvalue()[:end] + bytes(2 * tarfile.BLOCKSIZE)

    def unpack(self, path: str, octets: bytes) -> None:
        """Put an archive's files into a folder; all of them or none. Raises DockerError."""
        whole, folder = self.find(path)
        if not folder:
            raise invalid("extraction point is not a directory")
        if self.disk.readonly:
            raise forbidden("container rootfs is marked read-only")
        members, before = self._members(octets), self.disk.state()
        try:
            for name, data in members:
                self._put(whole, name, data)
        except DockerError:
            self.disk.restore(before)
            raise

    def _put(self, whole: str, name: str, data: bytes | None) -> None:
        target = posixpath.normpath(posixpath.join(whole, name.lstrip("/")))
        if not (target + "/").startswith(whole.rstrip("/") + "/"):
            raise invalid(f'"{name}" is outside of "{whole}"')
        try:
            if data is None:
                self.disk.make_directory(target)
            else:
                self.disk.make_directory(posixpath.dirname(target))
                self.disk.store(target, data)
        except OSError as error:
            raise DockerError(500, f"{target}: {error.strerror}") from None

    @staticmethod
    def _members(octets: bytes) -> list[tuple[str, bytes | None]]:
        """Names and contents, None for a folder; what is neither is refused by name."""
        found: list[tuple[str, bytes | None]] = []
        try:
            with tarfile.open(fileobj=io.BytesIO(octets)) as tar:
                for member in tar:
                    if not (member.isdir() or member.isreg()):
                        raise DockerError(501, f"{member.name}: only files and folders can be copied: not simulated")
                    content = tar.extractfile(member) if member.isreg() else None
                    found.append((member.name, content.read() if content is not None else None))
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise invalid(f"invalid tar archive: {error}") from None
        return found
