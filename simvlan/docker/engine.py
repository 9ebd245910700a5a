"""One node's engine: Docker's operations, in the API's JSON shapes. Mirrors the daemon's API router and its backends.

Every method takes and returns plain dictionaries as the HTTP API has them and raises `DockerError` with Docker's text
and status. What takes time returns a `Pending`, what talks a `Stream`. Only the thread that moves the clock calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from simvlan.docker import bodies
from simvlan.docker import images as image_shapes
from simvlan.docker.archive import Archive
from simvlan.docker.clients import Clients, Execs
from simvlan.docker.containers import Containers
from simvlan.docker.core import Core
from simvlan.docker.dialects import dialect_named
from simvlan.docker.errors import not_implemented
from simvlan.docker.events import Event
from simvlan.docker.filters import Filters
from simvlan.docker.images import Images
from simvlan.docker.lifecycle import Lifecycle
from simvlan.docker.membership import Membership
from simvlan.docker.networking import Networking
from simvlan.docker.networks import Networks
from simvlan.docker.pending import Pending, Stream
from simvlan.docker.shapes import Shapes
from simvlan.docker.system import System

if TYPE_CHECKING:
    from simvlan.docker.runtime import Runtime
    from simvlan.docker.store import Store
    from simvlan.lab import Lab

Json = dict[str, Any]
NONE: Mapping[str, list[str]] = {}


class Engine:
    """The engine of one node.

    Args:
        lab: the simulated world.
        node: the network namespace that is the node ("" for the initial one).
        dialect: "28" (the default), "27", "29" or "1.12".
        now: the time in ns since 1970; default: 2026-01-01 and the lab's virtual time.
        rng: where ids and MAC addresses come from; default: seeded by the lab's seed and the node.
        store: where networks and containers are kept; default: nowhere.
        runtime: what runs processes.
        nameservers: the node's own DNS servers, as /etc/resolv.conf names them.
        upstream: what they answer: IPv4 addresses, [] for no such name, None for no answer.
    """

    def __init__(
        self,
        lab: Lab,
        node: str = "",
        *,
        dialect: str = "28",
        now: Callable[[], int] | None = None,
        rng: Random | None = None,
        store: Store | None = None,
        runtime: Runtime | None = None,
        nameservers: tuple[str, ...] = ("10.0.2.3",),
        upstream: Callable[[str], list[str] | None] | None = None,
    ) -> None:
        rng = rng or Random(f"{lab.network.seed}/docker/{node}/{boots(store)}")
        self.core = Core(lab, node, dialect_named(dialect), now, rng, store)
        self._given_runtime = runtime
        self.images = Images(self.core.store)
        self.networks = Networks(self.core)
        self.containers = Containers(self.core, self.networks, self.images)
        self.networking = Networking(self.core, self.containers, self.networks, nameservers, upstream)
        self.lifecycle = Lifecycle(self.core, self.containers, self.networking, lambda: self.runtime)
        self.membership = Membership(self.core, self.containers, self.networks, self.networking)
        self.clients = Clients(self.core, self.lifecycle)
        self.execs = Execs(self.core, self.lifecycle, lambda: self.runtime)
        self.shapes = Shapes(self.core, self.containers, self.lifecycle, self.networks, self.execs.of)
        self.system = System(self.core, self.containers, self.images)
        self._begin()

    def _begin(self) -> None:
        """Bring back what the store kept: networks first, then containers, then those that are to run again."""
        self.networks.load()
        ran = self.containers.load()
        for container in self.containers.all.values():
            self.images.pull(container.image, container.created_ns)
        self.lifecycle.recover(ran)

    def power_off(self) -> None:
        """The node goes down: every process ends at once, the links are the node's to lose."""
        self.lifecycle.power_off()

    def power_on(self) -> None:
        """The node is back: links are made again, containers started as their policies say."""
        self.networks.make_links()
        self.lifecycle.power_on()

    @property
    def runtime(self) -> Runtime:
        """What runs processes on this node."""
        if self._given_runtime is None:
            raise not_implemented("this engine was given nothing that runs processes (Engine(runtime=...))")
        return self._given_runtime

    def finish(self, pending: Pending[Any], limit_s: float = 3600) -> Any:
        """Let virtual time pass until a result is there; for those who hold the lab themselves.

        Raises:
            DockerError: the result is a refusal.
            TimeoutError: nothing more happens, or it takes longer than *limit_s*.
        """
        clock = self.core.lab.clock
        limit = clock.now + round(limit_s * 1_000_000_000)
        while not pending.done:
            due = clock.peek()
            if due is None or due > limit:
                raise TimeoutError("it is not over, and nothing more will happen in time")
            clock.step()
        return pending.value

    # -- system -----------------------------------------------------------------------------------------------------

    def ping(self) -> dict[str, str]:
        """The headers of `GET /_ping`."""
        return self.system.ping()

    def version(self) -> Json:
        """`GET /version`."""
        return self.system.version()

    def info(self) -> Json:
        """`GET /info`."""
        return self.system.info()

    def df(self) -> Json:
        """`GET /system/df`."""
        return self.system.df(self.shapes.listing(True, 0, True, NONE))

    def events(self, callback: Callable[[Event], None], filters: Filters = NONE) -> Callable[[], None]:
        """Tell *callback* of each event from now on; call what is returned to stop."""
        return self.core.events.subscribe(filters, callback)

    def past_events(self, filters: Filters = NONE, since_ns: int = 0, until_ns: int | None = None) -> list[Event]:
        """The events that were kept (the last 256)."""
        return self.core.events.past(filters, since_ns, until_ns)

    # -- networks ---------------------------------------------------------------------------------------------------

    def network_create(self, body: Json, *, api: str | None = None) -> Json:
        """`POST /networks/create`: {"Id", "Warning"}."""
        body = bodies.read(bodies.NETWORK, body, "CreateRequest")
        network = self.networks.create(body, self._api(api))
        return {"Id": network.id, "Warning": ""}

    def network_inspect(self, ref: str, *, verbose: bool = False, scope: str = "", api: str | None = None) -> Json:
        """`GET /networks/{ref}`."""
        return self.networks.describe(self.networks.find(ref), self._api(api))

    def network_list(self, filters: Filters = NONE, *, api: str | None = None) -> list[Json]:
        """`GET /networks`."""
        described = self.networks.select(filters)
        return [self.networks.describe(each, self._api(api), containers=False) for each in described]

    def network_remove(self, ref: str) -> None:
        """`DELETE /networks/{ref}`."""
        self.networks.remove(self.networks.find(ref))

    def network_connect(self, ref: str, body: Json) -> None:
        """`POST /networks/{ref}/connect`: {"Container", "EndpointConfig"}."""
        self.membership.connect(ref, bodies.read(bodies.CONNECT, body, "ConnectOptions"))

    def network_disconnect(self, ref: str, body: Json) -> None:
        """`POST /networks/{ref}/disconnect`: {"Container", "Force"}."""
        self.membership.disconnect(ref, bodies.read(bodies.DISCONNECT, body, "DisconnectOptions"))

    def network_prune(self, filters: Filters = NONE) -> Json:
        """`POST /networks/prune`: {"NetworksDeleted": names or null}."""
        return {"NetworksDeleted": self.networks.prune(filters) or None}

    # -- containers -------------------------------------------------------------------------------------------------

    def container_create(self, body: Json, name: str = "", *, platform: str = "", api: str | None = None) -> Json:
        """`POST /containers/create`: {"Id", "Warnings"}."""
        body = bodies.read(bodies.CONTAINER, body, "CreateRequest")
        container, warnings = self.containers.create(body, name, self._api(api))
        return {"Id": container.id, "Warnings": warnings}

    def container_inspect(self, ref: str, *, size: bool = False, api: str | None = None) -> Json:
        """`GET /containers/{ref}/json`."""
        shown = self.shapes.inspect(self.containers.find(ref), self._api(api))
        return shown | ({"SizeRw": 0} | self.shapes.sizes(self.containers.find(ref)) if size else {})

    def container_list(
        self,
        *,
        all: bool = False,  # noqa: A002 - the API's word
        limit: int = 0,
        size: bool = False,
        filters: Filters = NONE,
    ) -> list[Json]:
        """`GET /containers/json`."""
        return self.shapes.listing(all, limit, size, filters)

    def container_start(self, ref: str) -> bool:
        """`POST /containers/{ref}/start`; False when it runs already (304)."""
        return self.lifecycle.start(self.containers.find(ref))

    def container_stop(self, ref: str, t: int | None = None, signal: str | None = None) -> Pending[bool]:
        """`POST /containers/{ref}/stop`; False when it did not run (304). t: seconds of grace, -1 for ever."""
        return self.lifecycle.stop(self.containers.find(ref), t, signal)

    def container_restart(self, ref: str, t: int | None = None, signal: str | None = None) -> Pending[None]:
        """`POST /containers/{ref}/restart`."""
        return self.lifecycle.restart(self.containers.find(ref), t, signal)

    def container_kill(self, ref: str, signal: str = "") -> None:
        """`POST /containers/{ref}/kill`; no signal is SIGKILL."""
        self.lifecycle.kill(self.containers.find(ref), ref, signal)

    def container_pause(self, ref: str) -> None:
        """`POST /containers/{ref}/pause`."""
        self.lifecycle.pause(self.containers.find(ref), True)

    def container_unpause(self, ref: str) -> None:
        """`POST /containers/{ref}/unpause`."""
        self.lifecycle.pause(self.containers.find(ref), False)

    def container_rename(self, ref: str, name: str) -> None:
        """`POST /containers/{ref}/rename`."""
        container = self.containers.find(ref)
        self.containers.rename(container, name)
        self.networking.rename(container)

    def container_remove(self, ref: str, *, force: bool = False, v: bool = False, link: bool = False) -> None:
        """`DELETE /containers/{ref}`."""
        container = self.containers.find(ref)
        self.lifecycle.remove(container, ref, force)
        self.execs.forget(container)

    def container_wait(self, ref: str, condition: str = "") -> Pending[Json]:
        """`POST /containers/{ref}/wait`: not-running (the default), next-exit or removed; {"StatusCode"}."""
        return self.lifecycle.wait(self.containers.find(ref), condition)

    def container_top(self, ref: str, ps_args: str = "") -> Json:
        """`GET /containers/{ref}/top`."""
        return self.shapes.top(self.containers.find(ref), ps_args)

    def container_stats(self, ref: str) -> Json:
        """`GET /containers/{ref}/stats`, one sample."""
        return self.shapes.stats(self.containers.find(ref))

    def container_changes(self, ref: str) -> list[Json] | None:
        """`GET /containers/{ref}/changes`."""
        changes = self.lifecycle.live(self.containers.find(ref)).disk.changes()
        return [{"Path": path, "Kind": kind} for kind, path in changes] or None

    def container_archive(self, ref: str) -> Archive:
        """`/containers/{ref}/archive` and `/export`: the container's files."""
        container = self.containers.find(ref)
        return Archive(self.lifecycle.live(container).disk, ref, container.created_ns)

    def container_update(self, ref: str, body: Json) -> Json:
        """`POST /containers/{ref}/update`: {"Warnings"}."""
        return self.containers.update(self.containers.find(ref), bodies.read(bodies.UPDATE, body, "UpdateConfig"))

    def container_resize(self, ref: str, h: int, w: int) -> None:
        """`POST /containers/{ref}/resize`."""
        self.lifecycle.resize(self.containers.find(ref), h, w)

    def container_prune(self, filters: Filters = NONE) -> Json:
        """`POST /containers/prune`."""
        return {"ContainersDeleted": self.lifecycle.prune(filters) or None, "SpaceReclaimed": 0}

    def container_logs(
        self,
        ref: str,
        *,
        stdout: bool = False,
        stderr: bool = False,
        follow: bool = False,
        timestamps: bool = False,
        since: str = "",
        until: str = "",
        tail: str = "all",
    ) -> Stream:
        """`GET /containers/{ref}/logs`; the stream ends with the log, or with the container when followed."""
        wants = {
            "stdout": stdout, "stderr": stderr, "follow": follow, "timestamps": timestamps,
            "since": since, "until": until, "tail": tail,
        }  # fmt: skip
        return self.clients.logs(self.containers.find(ref), wants)

    def container_attach(
        self,
        ref: str,
        *,
        stream: bool = False,
        stdin: bool = False,
        stdout: bool = False,
        stderr: bool = False,
        logs: bool = False,
    ) -> Stream:
        """`POST /containers/{ref}/attach`; `stream.tty` says which framing the client expects."""
        wants = {"stream": stream, "stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs}
        return self.clients.attach(self.containers.find(ref), ref, wants)

    # -- exec -------------------------------------------------------------------------------------------------------

    def exec_create(self, ref: str, body: Json) -> Json:
        """`POST /containers/{ref}/exec`: {"Id"}."""
        body = bodies.read(bodies.EXEC, body, "ExecOptions")
        return {"Id": self.execs.create(self.containers.find(ref), ref, body).id}

    def exec_start(self, ident: str, body: Json) -> Stream | None:
        """`POST /exec/{id}/start`; None when it is detached. What cannot be run is told in the stream."""
        return self.execs.start(self.execs.find(ident), bodies.read(bodies.EXEC_START, body, "ExecStartOptions"))

    def exec_inspect(self, ident: str) -> Json:
        """`GET /exec/{id}/json`."""
        return self.execs.describe(self.execs.find(ident))

    def exec_resize(self, ident: str, h: int, w: int) -> None:
        """`POST /exec/{id}/resize`."""
        self.execs.resize(self.execs.find(ident), h, w)

    # -- images -----------------------------------------------------------------------------------------------------

    def image_list(self, filters: Filters = NONE) -> list[Json]:
        """`GET /images/json`."""
        return [image_shapes.summary(image) for image in self.images.select(filters)]

    def image_inspect(self, ref: str) -> Json:
        """`GET /images/{ref}/json`."""
        return image_shapes.details(self.images.find(ref), self.core.dialect.version)

    def image_create(self, ref: str, tag: str = "") -> list[Json]:
        """`POST /images/create?fromImage=&tag=`: the lines of progress; the image is here when this returns."""
        name = ref if not tag or ":" in ref.rpartition("/")[2] else f"{ref}:{tag}"
        self.images.pull(name, self.core.now())
        return image_shapes.pull_progress(name)

    def image_history(self, ref: str) -> list[Json]:
        """`GET /images/{ref}/history`."""
        return image_shapes.history(self.images.find(ref))

    def image_tag(self, ref: str, repo: str, tag: str = "") -> None:
        """`POST /images/{ref}/tag`."""
        self.images.tag(ref, f"{repo}:{tag}" if tag else repo)

    def image_remove(self, ref: str, *, force: bool = False) -> list[Json]:
        """`DELETE /images/{ref}`."""
        users = {each.image_id: each.id for each in self.containers.all.values()}
        return self.images.remove(ref, users, force)

    def image_prune(self, filters: Filters = NONE) -> Json:
        """`POST /images/prune`: there are no dangling images here."""
        return {"ImagesDeleted": None, "SpaceReclaimed": 0}

    def volume_list(self, filters: Filters = NONE) -> Json:
        """`GET /volumes`: there are none."""
        return {"Volumes": [], "Warnings": None}

    def _api(self, text: str | None) -> tuple[int, int]:
        """The API version of a request; the engine's own when it names none."""
        major, _, minor = (text or self.core.dialect.api).partition(".")
        return int(major), int(minor)


def boots(store: Store | None) -> int:
    """Count how often an engine has begun with this store: ids must not repeat themselves after a restart."""
    if store is None:
        return 0
    count = int(store.load("engine").get("boots", {}).get("count", 0))
    store.put("engine", "boots", {"count": count + 1})
    return count
