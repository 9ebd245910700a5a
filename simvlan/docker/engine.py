"""One node's engine: Docker's operations, in the API's JSON shapes. Mirrors the daemon's API router and its backends.

Every method takes and returns plain dictionaries as the HTTP API has them and raises `DockerError` with Docker's text
and status. What takes time returns a `Pending`, what talks a `Stream`. Only the thread that moves the clock calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from simvlan.docker import images as image_shapes
from simvlan.docker.core import Core
from simvlan.docker.dialects import dialect_named
from simvlan.docker.errors import DockerError
from simvlan.docker.events import Event
from simvlan.docker.filters import Filters
from simvlan.docker.images import Images
from simvlan.docker.pending import Pending, Stream
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
        runtime: what runs processes; default: the simulated programs.
        upstream: what the node's own DNS server answers: IPv4 addresses, [] for no such name, None for no answer.
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
        upstream: Callable[[str], list[str] | None] | None = None,
    ) -> None:
        rng = rng or Random(f"{lab.network.seed}/docker/{node}")
        self.core = Core(lab, node, dialect_named(dialect), now, rng, store)
        self.images = Images()
        self.runtime = runtime
        self.upstream = upstream
        self.system = System(self.core)

    # -- system -----------------------------------------------------------------------------------------------------

    def ping(self) -> dict[str, str]:
        """The headers of `GET /_ping`."""
        return self.system.ping()

    def version(self) -> Json:
        """`GET /version`."""
        return self.system.version()

    def info(self) -> Json:
        """`GET /info`."""
        raise _later("info")

    def df(self) -> Json:
        """`GET /system/df`."""
        raise _later("df")

    def events(self, callback: Callable[[Event], None], filters: Filters = NONE) -> Callable[[], None]:
        """Tell *callback* of each event from now on; call what is returned to stop."""
        return self.core.events.subscribe(filters, callback)

    def past_events(self, filters: Filters = NONE, since_ns: int = 0, until_ns: int | None = None) -> list[Event]:
        """The events that were kept (the last 256)."""
        return self.core.events.past(filters, since_ns, until_ns)

    # -- networks ---------------------------------------------------------------------------------------------------

    def network_create(self, body: Json, *, api: str | None = None) -> Json:
        """`POST /networks/create`: {"Id", "Warning"}."""
        raise _later("network create")

    def network_inspect(self, ref: str, *, verbose: bool = False, scope: str = "", api: str | None = None) -> Json:
        """`GET /networks/{ref}`."""
        raise _later("network inspect")

    def network_list(self, filters: Filters = NONE, *, api: str | None = None) -> list[Json]:
        """`GET /networks`."""
        raise _later("network ls")

    def network_remove(self, ref: str) -> None:
        """`DELETE /networks/{ref}`."""
        raise _later("network rm")

    def network_connect(self, ref: str, body: Json) -> None:
        """`POST /networks/{ref}/connect`: {"Container", "EndpointConfig"}."""
        raise _later("network connect")

    def network_disconnect(self, ref: str, body: Json) -> None:
        """`POST /networks/{ref}/disconnect`: {"Container", "Force"}."""
        raise _later("network disconnect")

    def network_prune(self, filters: Filters = NONE) -> Json:
        """`POST /networks/prune`: {"NetworksDeleted": names or null}."""
        raise _later("network prune")

    # -- containers -------------------------------------------------------------------------------------------------

    def container_create(self, body: Json, name: str = "", *, platform: str = "", api: str | None = None) -> Json:
        """`POST /containers/create`: {"Id", "Warnings"}."""
        raise _later("create")

    def container_inspect(self, ref: str, *, size: bool = False, api: str | None = None) -> Json:
        """`GET /containers/{ref}/json`."""
        raise _later("inspect")

    def container_list(
        self,
        *,
        all: bool = False,  # noqa: A002 - the API's word
        limit: int = 0,
        size: bool = False,
        filters: Filters = NONE,
    ) -> list[Json]:
        """`GET /containers/json`."""
        raise _later("ps")

    def container_start(self, ref: str) -> bool:
        """`POST /containers/{ref}/start`; False when it runs already (304)."""
        raise _later("start")

    def container_stop(self, ref: str, t: int | None = None, signal: str | None = None) -> Pending[bool]:
        """`POST /containers/{ref}/stop`; False when it did not run (304). t: seconds of grace, -1 for ever."""
        raise _later("stop")

    def container_restart(self, ref: str, t: int | None = None, signal: str | None = None) -> Pending[None]:
        """`POST /containers/{ref}/restart`."""
        raise _later("restart")

    def container_kill(self, ref: str, signal: str = "") -> None:
        """`POST /containers/{ref}/kill`; no signal is SIGKILL."""
        raise _later("kill")

    def container_pause(self, ref: str) -> None:
        """`POST /containers/{ref}/pause`."""
        raise _later("pause")

    def container_unpause(self, ref: str) -> None:
        """`POST /containers/{ref}/unpause`."""
        raise _later("unpause")

    def container_rename(self, ref: str, name: str) -> None:
        """`POST /containers/{ref}/rename`."""
        raise _later("rename")

    def container_remove(self, ref: str, *, force: bool = False, v: bool = False, link: bool = False) -> None:
        """`DELETE /containers/{ref}`."""
        raise _later("rm")

    def container_wait(self, ref: str, condition: str = "") -> Pending[Json]:
        """`POST /containers/{ref}/wait`: not-running (the default), next-exit or removed; {"StatusCode"}."""
        raise _later("wait")

    def container_top(self, ref: str, ps_args: str = "") -> Json:
        """`GET /containers/{ref}/top`."""
        raise _later("top")

    def container_stats(self, ref: str) -> Json:
        """`GET /containers/{ref}/stats`, one sample."""
        raise _later("stats")

    def container_changes(self, ref: str) -> list[Json] | None:
        """`GET /containers/{ref}/changes`: nothing ever changes."""
        raise _later("diff")

    def container_update(self, ref: str, body: Json) -> Json:
        """`POST /containers/{ref}/update`: {"Warnings"}."""
        raise _later("update")

    def container_resize(self, ref: str, h: int, w: int) -> None:
        """`POST /containers/{ref}/resize`."""
        raise _later("resize")

    def container_prune(self, filters: Filters = NONE) -> Json:
        """`POST /containers/prune`."""
        raise _later("container prune")

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
        raise _later("logs")

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
        raise _later("attach")

    # -- exec -------------------------------------------------------------------------------------------------------

    def exec_create(self, ref: str, body: Json) -> Json:
        """`POST /containers/{ref}/exec`: {"Id"}."""
        raise _later("exec")

    def exec_start(self, ident: str, body: Json) -> Stream | None:
        """`POST /exec/{id}/start`; None when it is detached. What cannot be run is told in the stream."""
        raise _later("exec")

    def exec_inspect(self, ident: str) -> Json:
        """`GET /exec/{id}/json`."""
        raise _later("exec")

    def exec_resize(self, ident: str, h: int, w: int) -> None:
        """`POST /exec/{id}/resize`."""
        raise _later("exec")

    # -- images -----------------------------------------------------------------------------------------------------

    def image_list(self, filters: Filters = NONE) -> list[Json]:
        """`GET /images/json`."""
        return [image_shapes.summary(image) for image in self.images.all.values()]

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
        return self.images.remove(ref, {}, force)

    def image_prune(self, filters: Filters = NONE) -> Json:
        """`POST /images/prune`: there are no dangling images here."""
        return {"ImagesDeleted": None, "SpaceReclaimed": 0}

    def volume_list(self, filters: Filters = NONE) -> Json:
        """`GET /volumes`: there are none."""
        return {"Volumes": [], "Warnings": None}


def _later(what: str) -> DockerError:
    return DockerError(501, f"{what}: not there yet")
