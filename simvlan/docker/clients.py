"""Clients of a container's input and output: attach, logs, exec. Mirrors daemon/attach.go, logs.go, exec.go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import conflict, invalid, not_found
from simvlan.docker.lifecycle import Lifecycle
from simvlan.docker.live import environment
from simvlan.docker.logs import Brake, LogQuery
from simvlan.docker.model import Container
from simvlan.docker.pending import STDERR, STDOUT, Stream
from simvlan.docker.runtime import Handle, NotRunnable, ProcessSpec
from simvlan.docker.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from simvlan.docker.core import Core
    from simvlan.docker.runtime import Runtime

Json = dict[str, Any]
KEPT_NS = 300 * 1_000_000_000
"""How long an exec that has ended can be inspected."""
OCI_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "


class Clients:
    """Attach and logs."""

    def __init__(self, core: Core, lifecycle: Lifecycle) -> None:
        self.core, self.lifecycle = core, lifecycle

    def attach(self, container: Container, ref: str, wants: Json) -> Stream:
        """Attach to a container that runs or is about to.

        *wants*: stream, stdin, stdout, stderr, logs as booleans.
        """
        if container.status == "paused":
            raise conflict(f"container {ref} is paused, unpause the container before attach")
        if container.status == "restarting":
            raise conflict(f"container {ref} is restarting, wait until the container is running")
        stream, output = Stream(bool(container.config.get("Tty"))), self.lifecycle.live(container).output
        wanted = {n for n, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if wants.get(name)}
        if wants.get("logs"):
            output.replay(stream, LogQuery(STDOUT in wanted, STDERR in wanted))
        if not wants.get("stream"):
            stream.end()
            return stream
        output.attach(stream, wanted)
        stream.on_detach = partial(output.detach, stream)
        if wants.get("stdin") and container.config.get("OpenStdin"):
            stream.on_input = partial(self._input, container)
            stream.unread = partial(self._unread, container)
        self.lifecycle.containers.tell(container, "attach")
        return stream

    def _input(self, container: Container, data: bytes | None) -> None:
        """Pass input on; its end reaches the process only when stdin is meant for one client (StdinOnce)."""
        handle = self.lifecycle.live_handle(container)
        if data is None and not container.config.get("StdinOnce"):
            return
        if handle is None:
            self.lifecycle.live(container).early.append(data)
        elif data is None:
            handle.close_stdin()
        else:
            handle.write(data)

    def _unread(self, container: Container) -> int:
        live = self.lifecycle.live(container)
        return sum(len(data or b"") for data in live.early) + (live.handle.unread() if live.handle is not None else 0)

    def logs(self, container: Container, wants: Json) -> Stream:
        """What a container wrote; *wants*: stdout, stderr, follow, timestamps, since, until, tail."""
        if not (wants.get("stdout") or wants.get("stderr")):
            raise invalid("Bad parameters: you must choose at least one stream")
        stream, output = Stream(bool(container.config.get("Tty"))), self.lifecycle.live(container).output
        query = self._query(wants)
        stream.on_detach = partial(output.detach, stream)

        def read() -> None:
            follow = bool(wants.get("follow")) and (container.running or container.status == "created")
            output.read(stream, query, follow)

        stream.on_listen = read
        return stream

    def _query(self, wants: Json) -> LogQuery:
        now = self.core.now()
        since, until = str(wants.get("since") or ""), str(wants.get("until") or "")
        tail = str(wants.get("tail") or "all")
        return LogQuery(
            stdout=bool(wants.get("stdout")),
            stderr=bool(wants.get("stderr")),
            timestamps=bool(wants.get("timestamps")),
            since_ns=parse_time(since, now) if since not in ("", "0") else 0,
            until_ns=parse_time(until, now) if until not in ("", "0") else None,
            tail=int(tail) if tail.isdigit() else None,
        )


@dataclass
class Exec:
    """One `docker exec`."""

    id: str
    container: Container
    body: Json
    handle: Handle | None = None
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    ended_ns: int = 0

    @property
    def argv(self) -> list[str]:
        """The command."""
        return list(self.body.get("Cmd") or [])

    @property
    def words(self) -> str:
        """The command as events show it."""
        return f"{self.argv[0]} {' '.join(self.argv[1:])}"


class Execs:
    """The execs of one engine."""

    def __init__(self, core: Core, lifecycle: Lifecycle, runtime: Callable[[], Runtime]) -> None:
        self.core, self.lifecycle = core, lifecycle
        self._runtime = runtime
        self.all: dict[str, Exec] = {}

    def create(self, container: Container, ref: str, body: Json) -> Exec:
        """Prepare a command in a running container."""
        if not body.get("Cmd"):
            raise invalid("No exec command specified")
        if container.status == "paused":
            raise conflict(f"Container {ref} is paused, unpause the container before exec")
        if container.status == "restarting":
            raise conflict(f"Container {container.id} is restarting, wait until the container is running")
        if not container.running:
            raise conflict(f"container {container.id} is not running")
        self._forget_old()
        made = Exec(self.core.new_id(), container, body)
        self.all[made.id] = made
        self._tell(made, f"exec_create: {made.words}")
        return made

    def _forget_old(self) -> None:
        """What ended some minutes ago is no longer asked for (daemon/exec.go, execCommandGC)."""
        before = self.core.now() - KEPT_NS
        for ident in [each.id for each in self.all.values() if each.ended_ns and each.ended_ns < before]:
            del self.all[ident]

    def find(self, ident: str) -> Exec:
        """Find by id. Raises 404 `No such exec instance: x`."""
        if ident not in self.all:
            raise not_found(f"No such exec instance: {ident}")
        return self.all[ident]

    def start(self, run: Exec, body: Json) -> Stream | None:
        """Run it; None when detached. What cannot be run says so in the stream, as the engine does."""
        if run.running or run.exit_code is not None:
            raise conflict(f"exec command {run.id} is already running" if run.running else
                           f"exec command {run.id} has already run")  # fmt: skip
        if not run.container.running:
            raise conflict(f"container {run.container.id} is not running")
        stream = Stream(bool(run.body.get("Tty")))
        wanted = {n for n, key in ((STDOUT, "AttachStdout"), (STDERR, "AttachStderr")) if run.body.get(key)}
        detached = bool(body.get("Detach"))
        self._tell(run, f"exec_start: {run.words}")
        try:
            self._run(run, stream, frozenset() if detached else frozenset(wanted), body)
        except NotRunnable as refusal:
            run.exit_code, run.ended_ns = refusal.code, self.core.now()
            self.core.note(f"container {run.container.name}: {refusal.message}{refusal.instead}")
            stream.push(STDOUT, f"{OCI_EXEC}{refusal.message}\r\n".encode())
            stream.end()
        return None if detached else stream

    def _run(self, run: Exec, stream: Stream, wanted: frozenset[int], body: Json) -> None:
        def output(number: int, data: bytes) -> None:
            if number in wanted:
                stream.push(number, data)
                brake.check(stream)

        brake = Brake()
        brake.hold = partial(self.lifecycle.hold, lambda: run.handle)
        run.running = True
        try:
            run.handle = self._runtime().start(self._spec(run, body), output, partial(self._exited, run, stream))
        except NotRunnable:
            run.running = False
            raise
        run.pid = run.handle.pid
        if run.body.get("AttachStdin"):
            stream.on_input = partial(self._input, run)
            stream.unread = run.handle.unread
        else:
            run.handle.close_stdin()
        self.lifecycle.live(run.container).execs.append(run.handle)

    @staticmethod
    def _input(run: Exec, data: bytes | None) -> None:
        if run.handle is None or not run.running:
            return
        if data is None:
            run.handle.close_stdin()
        else:
            run.handle.write(data)

    def _spec(self, run: Exec, body: Json) -> ProcessSpec:
        container, config, tty = run.container, run.container.config, bool(run.body.get("Tty"))
        rows, columns = body.get("ConsoleSize") or run.body.get("ConsoleSize") or (0, 0)
        given = [*(config.get("Env") or []), *(run.body.get("Env") or [])]
        return ProcessSpec(
            container=container.id,
            name=container.name,
            argv=run.argv,
            netns=self.lifecycle.networking.netns(container),
            image=container.image,
            hostname=container.hostname or self.core.hostname,
            env=environment(given, tty, container.hostname),
            cwd=run.body.get("WorkingDir") or config.get("WorkingDir") or "/",
            user=run.body.get("User") or config.get("User") or "",
            tty=tty,
            stdin_open=bool(run.body.get("AttachStdin")),
            init=False,
            privileged=bool(run.body.get("Privileged")),
            disk=self.lifecycle.live(container).disk,
            resolver=self.lifecycle.networking.resolver(container),
            rows=rows or 24,
            columns=columns or 80,
        )

    def _exited(self, run: Exec, stream: Stream, code: int) -> None:
        run.running, run.exit_code, run.ended_ns = False, code, self.core.now()
        execs = self.lifecycle.live(run.container).execs
        if run.handle in execs:
            execs.remove(run.handle)
        self._tell(run, "exec_die", exitCode=str(code))
        stream.end()

    def resize(self, run: Exec, rows: int, columns: int) -> None:
        """Tell the process the window's size."""
        if run.handle is not None and run.running:
            run.handle.resize(rows, columns)

    def describe(self, run: Exec) -> Json:
        """`GET /exec/{id}/json`."""
        body, argv = run.body, run.argv
        return {
            "ID": run.id,
            "Running": run.running,
            "ExitCode": run.exit_code,
            "ProcessConfig": {
                "tty": bool(body.get("Tty")),
                "entrypoint": argv[0],
                "arguments": argv[1:],
                "privileged": bool(body.get("Privileged")),
            },
            "OpenStdin": bool(body.get("AttachStdin")),
            "OpenStderr": bool(body.get("AttachStderr")),
            "OpenStdout": bool(body.get("AttachStdout")),
            "CanRemove": False,
            "ContainerID": run.container.id,
            "DetachKeys": "",
            "Pid": run.pid,
        }

    def forget(self, container: Container) -> None:
        """The container is gone, and its execs with it."""
        for ident in [run.id for run in self.all.values() if run.container is container]:
            del self.all[ident]

    def of(self, container: Container) -> list[str] | None:
        """Ids of the execs that run in a container."""
        return [run.id for run in self.all.values() if run.container is container and run.running] or None

    def _tell(self, run: Exec, action: str, **attributes: str) -> None:
        self.lifecycle.containers.tell(run.container, action, execID=run.id, **attributes)
