"""Unix sockets for their owner only: who may speak on one, and what a dead server left behind."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from pathlib import Path

CREDENTIALS = struct.Struct("3i")
CONTROL = "control.sock"
"""Beside the engines' sockets: simvlan's own commands in the lab's namespaces."""


class SocketTaken(Exception):  # noqa: N818 - an answer to the user
    """A socket cannot be made; the text says why."""


def may_speak(sock: socket.socket) -> bool:
    """Only the owner of the process, and root, may talk to an engine."""
    _, uid, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return uid in (0, os.geteuid())


def clear(path: Path) -> None:
    """Take a socket away that nobody serves any more. Raises SocketTaken."""
    if not path.is_socket():
        if path.exists():
            raise SocketTaken(f"{path}: there is a file of that name")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise SocketTaken(f"{path}: somebody serves it already")


def socket_folder(given: str | None) -> Path:
    """Where the sockets go: a folder of our own that nobody else may look into."""
    base = os.environ.get("XDG_RUNTIME_DIR") or f"{tempfile.gettempdir()}/simvlan-{os.geteuid()}"
    folder = Path(given) if given else Path(base) / "simvlan"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise OSError(1, "it belongs to somebody else", str(folder))
    return folder
