"""Containers as they live: start, exit, stop, kill, pause, restart, wait. Mirrors daemon/start.go and monitor.go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.docker.containers import Containers
from simvlan.docker.disk import Disk
from simvlan.docker.errors import DockerError, conflict, internal, invalid
from simvlan.docker.filters import Filters, check_names, labels_match
from simvlan.docker.hostconfig import mount_points
from simvlan.docker.live import Live, environment
from simvlan.docker.logs import Output
from simvlan.docker.model import Container
from simvlan.docker.networking import Networking
from simvlan.docker.pending import Pending, resolved
from simvlan.docker.runtime import Handle, NotRunnable, ProcessSpec, later
from simvlan.docker.signals import parse_signal
from simvlan.docker.times import parse_time

if TYPE_CHECKING:
    from simvlan.docker.core import Core
    from simvlan.docker.runtime import Runtime

Json = dict[str, Any]
GRACE_S = 10
SIGKILL, SIGTERM = 9, 15
BACKOFF_NS, BACKOFF_MOST_NS, CALM_NS = SECOND // 10, 60 * SECOND, 10 * SECOND
"""A restart waits 0.1 s, then twice as long each time, at most a minute; ten good seconds make it short again."""

OCI_CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)


class Lifecycle:
    """What runs on one engine."""

    def __init__(
        self,
        core: Core,
        containers: Containers,
        networking: Networking,
        runtime: Callable[[], Runtime],
    ) -> None:
        self.core, self.containers, self.networking = core, containers, networking
        self._runtime = runtime
        self._live: dict[str, Live] = {}
        self._cut_off: list[Container] = []
        """What ran when the node lost its power."""

    def live(self, container: Container) -> Live:
        """The living part of a container."""
        if container.id not in self._live:
            host = container.host_config
            disk = Disk(partial(self.networking.files, container), bool(host.get("ReadonlyRootfs")), mount_points(host))
            made = self._live[container.id] = Live(Output(lambda: self.core.now()), disk)
            made.output.brake.hold = partial(self.hold, lambda: made.handle)
        return self._live[container.id]

    def hold(self, handle: Callable[[], Handle | None], held: bool) -> None:
        """Stop a process until its clients have read what it wrote; it goes on as an event of its own."""
        running = handle()
        if held and running is not None:
            running.hold(True)
        elif running is not None:
            later(self.core.net, 0, partial(running.hold, False))

    # -- start ------------------------------------------------------------------------------------------------------

    def start(self, container: Container) -> bool:
        """Start a container; False when it runs already.

        Raises:
            DockerError: no place on a network, no such command ...; the container is then as before, or gone with --rm.
        """
        if container.status == "paused":
            raise conflict("cannot start a paused container, try unpause instead")
        if container.running:
            return False
        self._cancel_retry(container)
        container.stopped_by_user = False
        try:
            self._start(container)
        except DockerError as error:
            self._failed(container, error)
            raise
        return True

    def _start(self, container: Container) -> None:
        try:
            self.networking.set_up(container)
        except DockerError as error:
            raise DockerError(error.status, self.core.dialect.start_prefix + error.message) from None
        live = self.live(container)
        started = partial(self._exited, container, live)
        try:
            self.networking.apply_sysctls(container)
            live.handle = self._runtime().start(self._spec(container), live.output.write, started)
        except NotRunnable as refusal:
            self.networking.tear_down(container)
            container.exit_code = refusal.code
            self.core.note(f"container {container.name}: {refusal.message}{refusal.instead}")
            raise invalid(OCI_CREATE + refusal.message) from None
        container.status, container.exit_code, container.error = "running", 0, ""
        container.started_ns, container.pid = self.core.now(), live.handle.pid
        container.host_config["OomKillDisable"] = None
        self.containers.keep(container)
        self.containers.tell(container, "start")
        early, live.early = live.early, []
        for data in early:
            if data is None:
                live.handle.close_stdin()
            else:
                live.handle.write(data)

    def _failed(self, container: Container, error: DockerError) -> None:
        container.error = error.message
        container.exit_code = container.exit_code or 128
        if container.status == "restarting":
            container.status = "exited"
        self.containers.keep(container)
        if self.core.dialect.failed_start_dies:
            self.containers.tell(container, "die", exitCode=str(container.exit_code))
        live = self.live(container)
        if container.host_config["AutoRemove"]:
            self._remove(container, live)

    def _spec(self, container: Container) -> ProcessSpec:
        config = container.config
        rows, columns = container.host_config.get("ConsoleSize") or (0, 0)
        return ProcessSpec(
            container=container.id,
            name=container.name,
            argv=container.argv,
            netns=self.networking.netns(container),
            image=container.image,
            hostname=container.hostname or self.core.hostname,
            env=environment(config.get("Env"), bool(config.get("Tty")), container.hostname),
            cwd=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
            tty=bool(config.get("Tty")),
            stdin_open=bool(config.get("OpenStdin")),
            privileged=bool(container.host_config.get("Privileged")),
            helper=bool(container.host_config.get("Init")),
            disk=self.live(container).disk,
            resolver=self.networking.resolver(container),
            rows=rows or 24,
            columns=columns or 80,
        )

    # -- exit -------------------------------------------------------------------------------------------------------

    def _exited(self, container: Container, live: Live, code: int) -> None:
        """The first process has ended: networks left, state kept, waiters told; then restart or remove."""
        live.handle = None
        for other in live.execs[:]:
            other.kill(SIGKILL)
        live.output.end()
        self.networking.tear_down(container)
        now = self.core.now()
        duration = (now - (container.started_ns or now)) // SECOND
        container.status, container.exit_code, container.pid = "exited", code, 0
        container.finished_ns = now
        again = not live.leaving and self._restarts(container, code)
        if again:
            container.status = "restarting"
        self.containers.keep(container)
        self.containers.tell(container, "die", exitCode=str(code), execDuration=str(duration))
        waiting, live.next_exit = live.next_exit, []
        for pending in waiting:
            pending.resolve({"StatusCode": code})
        if again:
            self._retry_later(container, live, now)
        elif container.host_config["AutoRemove"] and not live.leaving and not live.restarting:
            self._remove(container, live)

    def _restarts(self, container: Container, code: int) -> bool:
        policy = container.host_config["RestartPolicy"]
        if container.stopped_by_user or policy["Name"] == "no":
            return False
        if policy["Name"] == "on-failure":
            most = policy.get("MaximumRetryCount") or 0
            return code != 0 and (not most or container.restart_count < most)
        return True

    def _retry_later(self, container: Container, live: Live, now: int) -> None:
        lived = now - (container.started_ns or now)
        live.backoff_ns = BACKOFF_NS if lived >= CALM_NS or not live.backoff_ns else live.backoff_ns * 2
        live.backoff_ns = min(live.backoff_ns, BACKOFF_MOST_NS)
        container.restart_count += 1
        live.retry = later(self.core.net, live.backoff_ns, partial(self._retry, container))

    def _retry(self, container: Container) -> None:
        if container.status != "restarting" or container.id not in self.containers.all:
            return
        try:
            self._start(container)
        except DockerError as error:
            self._failed(container, error)
            self.core.note(f"container {container.name}: restart: {error.message}")

    def _cancel_retry(self, container: Container) -> None:
        live = self.live(container)
        if live.retry is not None:
            live.retry.cancel()
            live.retry = None

    def _remove(self, container: Container, live: Live) -> None:
        self.containers.forget(container)
        self._live.pop(container.id, None)
        for pending in (*live.next_exit, *live.removed):
            pending.resolve({"StatusCode": container.exit_code})
        live.output.end()

    # -- ending -----------------------------------------------------------------------------------------------------

    def kill(self, container: Container, name: str, text: str) -> None:
        """Send a signal (SIGKILL when none is named)."""
        number = parse_signal(text) if text else SIGKILL
        if number is None:
            raise invalid(f"cannot kill container: {name}: invalid signal: {text}")
        handle = self.live(container).handle
        if not container.running or handle is None:
            raise conflict(f"cannot kill container: {name}: container {container.id} is not running")
        if number == SIGKILL or number == self._stop_signal(container, None):
            container.stopped_by_user = True
        self._signal(container, handle, number)

    def _signal(self, container: Container, handle: Handle, number: int) -> None:
        self.containers.tell(container, "kill", signal=str(number))
        if container.status == "paused" and number == SIGKILL:
            container.status = "running"
            handle.pause(False)
        handle.kill(number)

    def _stop_signal(self, container: Container, text: str | None) -> int:
        wanted = text or container.config.get("StopSignal") or "TERM"
        number = parse_signal(wanted)
        if number is None:
            raise invalid(f"invalid signal: {wanted}")
        return number

    def stop(self, container: Container, seconds: int | None, signal: str | None) -> Pending[bool]:
        """Ask a container to end, and end it after the grace time; False when it did not run."""
        number = self._stop_signal(container, signal)
        live = self.live(container)
        if container.status == "restarting":
            self._cancel_retry(container)
            container.status, container.stopped_by_user = "exited", True
            self.containers.keep(container)
            return resolved(True)
        if not container.running or live.handle is None:
            return resolved(False)
        if seconds is None:
            seconds = container.config.get("StopTimeout") or GRACE_S
        container.stopped_by_user = True
        done: Pending[bool] = Pending()
        self._after_exit(live, partial(self._stopped, container, done))
        handle = live.handle
        self._signal(container, handle, number)
        if not done.done and seconds >= 0:
            later(self.core.net, seconds * SECOND, partial(self._grace_over, container, handle))
        return done

    @staticmethod
    def _after_exit(live: Live, action: Callable[[], None]) -> None:
        waiter: Pending[Json] = Pending()
        waiter.then(lambda _: action())
        live.next_exit.append(waiter)

    def _stopped(self, container: Container, done: Pending[bool]) -> None:
        self.containers.tell(container, "stop")
        done.resolve(True)

    def _grace_over(self, container: Container, handle: Handle) -> None:
        if self.live_handle(container) is handle:
            self._signal(container, handle, SIGKILL)

    def live_handle(self, container: Container) -> Handle | None:
        """The process of a container, if it runs."""
        live = self._live.get(container.id)
        return live.handle if live is not None else None

    def restart(self, container: Container, seconds: int | None, signal: str | None) -> Pending[None]:
        """Stop, then start."""
        done: Pending[None] = Pending()
        self.live(container).restarting = True
        self.stop(container, seconds, signal).then(lambda _: self._again(container, done))
        return done

    def _again(self, container: Container, done: Pending[None]) -> None:
        """The second half of a restart, once the first process is quite gone."""
        later(self.core.net, 0, partial(self._start_again, container, done))

    def _start_again(self, container: Container, done: Pending[None]) -> None:
        self.live(container).restarting = False
        try:
            self.start(container)
        except DockerError as error:
            done.fail(DockerError(error.status, f"Cannot restart container {container.name}: {error.message}"))
            return
        self.containers.tell(container, "restart")
        done.resolve(None)

    def pause(self, container: Container, frozen: bool) -> None:
        """Freeze or thaw a container."""
        live = self.live(container)
        if not container.running or live.handle is None:
            raise conflict(f"container {container.id} is not running")
        if frozen and container.status == "paused":
            raise conflict(f"container {container.id} is already paused")
        if not frozen and container.status != "paused":
            raise internal(f"Container {container.id} is not paused")
        live.handle.pause(frozen)
        container.status = "paused" if frozen else "running"
        self.containers.keep(container)
        self.containers.tell(container, "pause" if frozen else "unpause")

    def remove(self, container: Container, ref: str, force: bool) -> None:
        """Remove a container; a running one only by force."""
        live = self.live(container)
        if container.running or container.status == "restarting":
            state = "paused and must be unpaused first" if container.status == "paused" else container.status
            if not force:
                what = "" if container.status == "paused" else ": stop the container before removing or force remove"
                raise conflict(f'cannot remove container "{ref.removeprefix("/")}": container is {state}{what}')
            self._end_for_good(container, live)
        self._remove(container, live)

    def _end_for_good(self, container: Container, live: Live) -> None:
        live.leaving = True
        self._cancel_retry(container)
        container.stopped_by_user = True
        if live.handle is not None:
            self._signal(container, live.handle, SIGKILL)
        if live.handle is not None:
            raise internal(f"cannot remove container {container.name}: it did not end when killed")

    def prune(self, filters: Filters) -> list[str]:
        """Remove every container that does not run; returns their ids."""
        check_names(filters, ("label", "label!", "until"))
        until = [parse_time(text, self.core.now()) for text in filters.get("until", ())]
        gone = []
        for container in list(self.containers.all.values()):
            spared = container.running or container.status == "restarting"
            spared = spared or any(container.created_ns > moment for moment in until)
            if spared or not labels_match(filters, container.labels):
                continue
            if filters.get("label!") and labels_match(filters, container.labels, "label!"):
                continue
            self._remove(container, self.live(container))
            gone.append(container.id)
        self.core.events.tell("container", "prune", "", {"reclaimed": "0"})
        return gone

    def resize(self, container: Container, rows: int, columns: int) -> None:
        """Tell the process the size of its window."""
        handle = self.live_handle(container)
        if not container.running or handle is None:
            raise conflict(f"container {container.id} is not running")
        handle.resize(rows, columns)
        self.containers.tell(container, "resize", height=str(rows), width=str(columns))

    # -- waiting ----------------------------------------------------------------------------------------------------

    def wait(self, container: Container, condition: str) -> Pending[Json]:
        """Wait for an exit: at once when it does not run, for the next one, or for the removal."""
        if condition not in ("", "not-running", "next-exit", "removed"):
            raise invalid(f'invalid condition: "{condition}"')
        live = self.live(container)
        if condition in ("", "not-running") and not container.running and container.status != "restarting":
            return resolved({"StatusCode": container.exit_code})
        made: Pending[Json] = Pending()
        (live.removed if condition == "removed" else live.next_exit).append(made)
        return made

    # -- after a restart of the engine ------------------------------------------------------------------------------

    def recover(self, ran: list[Container]) -> None:
        """What ran when the engine was cut off has ended (status 255); policies may start it again."""
        for container in ran:
            container.status, container.exit_code, container.pid = "exited", 255, 0
            container.finished_ns = self.core.now()
            self.containers.keep(container)
        for container in list(self.containers.all.values()):
            if container.host_config["AutoRemove"] and container in ran:
                self._remove(container, self.live(container))
            elif self._starts_with_engine(container, container in ran):
                self._retry_now(container)

    def power_off(self) -> None:
        """End every process at once, as a node that loses its power."""
        self._cut_off = [each for each in self.containers.all.values() if each.running or each.status == "restarting"]
        for container in self._cut_off:
            live = self.live(container)
            self._cancel_retry(container)
            live.leaving = True
            if live.handle is not None:
                live.handle.kill(SIGKILL)
            live.leaving = False

    def power_on(self) -> None:
        """The engine finds them ended, and starts what is to be started."""
        cut_off, self._cut_off = self._cut_off, []
        self.recover([each for each in cut_off if each.id in self.containers.all])

    @staticmethod
    def _starts_with_engine(container: Container, ran: bool) -> bool:
        name = container.host_config["RestartPolicy"]["Name"]
        if name == "always":
            return container.started_ns is not None
        if name == "unless-stopped":
            return container.started_ns is not None and not container.stopped_by_user
        return name == "on-failure" and ran

    def _retry_now(self, container: Container) -> None:
        try:
            self.start(container)
        except DockerError as error:
            self.core.note(f"container {container.name}: {error.message}")
