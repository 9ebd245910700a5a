"""The run's directory, the stand-ins for network commands, and the confined shell process, seen from the simulator.

Everything lives in one temporary directory; when the run ends its processes, mounts (they die with their namespace) and
directory are gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simvlan.shell.processes import Tree
from simvlan.shell.scratch import Scratch
from simvlan.tools import PYTHONS, REFUSED, TOOLS

HERE = Path(__file__).parent
STANDARD_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
MULTI_CALL = frozenset({"busybox", "toybox", "coreutils", "toolbox"})
"""One program under many names: covering it would take ordinary commands away."""
REAL = ("docker", "docker-compose", "getent", "hostname")
"""Programs that talk to the simulator over a socket: the real ones serve, where they are installed."""
START_PATIENCE_S = 120.0


class Forbidden(Exception):  # noqa: N818
    """The machine does not allow private namespaces; the text says which step failed."""


@dataclass(frozen=True)
class Streams:
    """File descriptors for the script; None: our own."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


OWN = Streams()


class Sandbox:
    """One shell and all it starts. Use as a context manager."""

    def __init__(self, *, confined: bool = True) -> None:
        self.confined = confined
        self._scratch = Scratch()
        self.directory = self._scratch.path
        self.listener = self._listen()
        self.has_terminal = False
        self.real: dict[str, str] = {}
        """Where the script's processes find real programs that are covered: by name."""
        self.etc = -1
        """A descriptor of the script's /etc."""
        self._stand_ins()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.directory / "socket"))
        listener.listen(4096)
        listener.setblocking(False)
        return listener

    def _stand_ins(self) -> None:
        """Write the shim once, and a link to it for every command, found on this machine or not."""
        base = self.directory
        for name in ("bin", "run", "etc", "netns", "names", "sysctl/@root", "sysnet/@root"):
            (base / name).mkdir(parents=True)
        (base / "netns-self").touch()
        (base / "names/@root").touch()
        (base / "python").symlink_to(os.path.realpath(sys.executable))
        source = (HERE / "shim.py").read_text().replace("@DIRECTORY@", str(base))
        (base / "shim").write_text(f"#!{base}/python -IS\n{source}")
        (base / "shim").chmod(0o755)
        (base / "shim_rare.py").write_text((HERE / "shim_rare.py").read_text())
        if self.confined:
            (base / "confined").touch()
        for name in sorted({*TOOLS, *REFUSED}):
            (base / "bin" / name).symlink_to(base / "shim")
        for name in PYTHONS:
            (base / "bin" / name).write_text((HERE / "python.sh").read_text().replace("@BIN@", str(base / "bin")))
            (base / "bin" / name).chmod(0o755)

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        streams: Streams = OWN,
        *,
        interactive: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Confine and start the shell; `Forbidden` where the machine does not let us."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        covers = list(self._covers(env.get("PATH", ""))) if self.confined else []
        kept = list(self._keep_real(env.get("PATH", "")))
        self.has_terminal = not interactive and streams == OWN and _is_ours()
        spec = {
            "argv": list(argv),
            "env": {**env, "PATH": f"{self.directory}/bin:{env.get('PATH') or ':'.join(STANDARD_DIRECTORIES)}"},
            "directory": str(self.directory),
            "confined": self.confined,
            "covers": covers,
            "kept": kept,
            "own_group": not interactive,
            "terminal": self.has_terminal,
        }
        if not self.confined:
            spec["env"]["BASH_ENV"] = self._full_paths(env)  # type: ignore[index]
        (self.directory / "spec").write_text(json.dumps(spec))
        python = str(self.directory / "python")
        program = [python, "-I", "-S", str(HERE / "confine.py"), str(theirs.fileno()), f"{self.directory}/spec"]
        self.launcher = subprocess.Popen(
            program,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            pass_fds=(theirs.fileno(), *pass_fds),
        )
        theirs.close()
        self.control = ours
        self._await_ready()

    def _covers(self, path: str) -> Iterable[tuple[str, str]]:
        """(shim, file) for every file on this machine that is one of our commands."""
        shim = str(self.directory / "shim")
        done: set[str] = set()
        for file in _installed(path):
            target = os.path.realpath(file)
            if target not in done and os.path.basename(target) not in MULTI_CALL:
                done.add(target)
                yield shim, target

    def _keep_real(self, path: str) -> Iterable[tuple[str, str]]:
        """(program, file that shows it) for programs that run really, though with our word for them."""
        for name in REAL:
            found = shutil.which(name, path=path or None)
            if found is None:
                continue
            self.real[name] = os.path.realpath(found)
            if self.confined:
                shown = self.directory / "real" / name
                shown.parent.mkdir(exist_ok=True)
                shown.touch()
                yield self.real[name], str(shown)
                self.real[name] = str(shown)

    def _full_paths(self, env: Mapping[str, str]) -> str:
        """Without mounts, functions catch commands that bash scripts call by full path."""
        lines = [f'function {file} {{ {os.path.basename(file)} "$@"; }}' for file in _installed(env.get("PATH", ""))]
        first = [f". {env['BASH_ENV']}"] if env.get("BASH_ENV") else []
        (self.directory / "functions").write_text("\n".join([*first, *lines]) + "\n")
        return str(self.directory / "functions")

    def _await_ready(self) -> None:
        self.control.settimeout(START_PATIENCE_S)
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 4096, 2)
        except TimeoutError:
            data, fds = b"", []
        news = json.loads(data or b'{"refused": "its set-up did not come to an end"}')
        if "refused" in news:
            self.close()
            raise Forbidden(str(news["refused"]))
        self.own_pids = bool(news["ready"])
        self.tree = Tree(fds[0], None if self.own_pids else int(news["init"]))
        self.etc = fds[1]
        self.control.setblocking(False)
        self._order("go")

    def news(self) -> Iterable[dict[str, Any]]:
        """What the script's init has to tell; `{"over": True}` when nobody is left."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := self.control.recv(4096):
                yield json.loads(data)
            yield {"over": True}

    def signal_group(self, number: int) -> None:
        """Signal the script's process group, as a terminal does."""
        self._order(f"group {int(number)}")

    def signal_all(self, number: int) -> None:
        """Signal every process of the script."""
        self._order(f"all {int(number)}")
        if not self.own_pids:
            # The first is the init, which must live to reap.
            for pid in self.tree.pids()[1:]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def _order(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.control.send(text.encode())

    def take_terminal(self) -> None:
        """Take the terminal back from the script."""
        with contextlib.suppress(OSError, ValueError):
            previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            if os.isatty(0):
                os.tcsetpgrp(0, os.getpgrp())
            signal.signal(signal.SIGTTOU, previous)

    def at_prompt(self) -> bool:
        """Whether an interactive shell itself, not a command of it, has the terminal."""
        try:
            front = os.tcgetpgrp(0)
            with open(f"/proc/{front}/cmdline", "rb") as file:
                return b"--rcfile" in file.read()
        except OSError:
            return False

    def stop_with_script(self) -> None:
        """Ctrl-Z stopped the script: stop too, and go on together."""
        if self.has_terminal:
            self.take_terminal()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._order("front")

    def close(self) -> None:
        """End everything and leave nothing."""
        if hasattr(self, "tree"):
            self.signal_all(signal.SIGKILL)
            self.take_terminal()
            os.close(self.tree.proc)
            os.close(self.etc)
            del self.tree
        if hasattr(self, "control"):
            self.control.close()
        if hasattr(self, "launcher"):
            try:
                self.launcher.wait(5)
            except subprocess.TimeoutExpired:
                self.launcher.kill()
                self.launcher.wait()
        self.listener.close()
        self._scratch.remove()


def _is_ours() -> bool:
    """Whether the terminal is ours alone: all three streams are on it and we are in front."""
    try:
        return all(os.isatty(fd) for fd in (0, 1, 2)) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _installed(path: str) -> list[str]:
    """Every file on the search path or in a standard place that has the name of one of our commands."""
    directories = dict.fromkeys([*path.split(":"), *STANDARD_DIRECTORIES])
    wanted = {*TOOLS, *REFUSED}
    found: list[str] = []
    for directory in directories:
        with contextlib.suppress(OSError):
            here = wanted.intersection(os.listdir(directory)) if directory.startswith("/") else set()
            found.extend(os.path.join(directory, name) for name in sorted(here))
    return found
