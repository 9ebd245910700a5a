"""Simulated images: any name is one; a known few bring their own command. Mirrors the image endpoints of the API.

An image here is only a name with a default command and environment: what runs is simulated (see `programs/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import DockerError, conflict, invalid, not_found
from simvlan.docker.filters import Filters, boolean, check_names, labels_match
from simvlan.docker.times import rfc3339

if TYPE_CHECKING:
    from simvlan.docker.store import Store

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ENTRYPOINT = ["/docker-entrypoint.sh"]
KNOWN: dict[str, dict[str, Any]] = {
    "alpine": {"Cmd": ["/bin/sh"]},
    "busybox": {"Cmd": ["sh"]},
    "debian": {"Cmd": ["bash"]},
    "ubuntu": {"Cmd": ["/bin/bash"]},
    "nginx": {"Cmd": ["nginx", "-g", "daemon off;"], "Entrypoint": _ENTRYPOINT, "StopSignal": "SIGQUIT",
              "ExposedPorts": {"80/tcp": {}}},
    "httpd": {"Cmd": ["httpd-foreground"], "StopSignal": "SIGWINCH", "ExposedPorts": {"80/tcp": {}}},
    "whoami": {"Cmd": None, "Entrypoint": ["/whoami"], "ExposedPorts": {"80/tcp": {}}},
    "python": {"Cmd": ["python3"]},
    "curl": {"Cmd": ["curl"], "Entrypoint": ["/entrypoint.sh"]},
}  # fmt: skip

_REFERENCE = re.compile(
    r"(?:(?:[a-zA-Z0-9.-]+(?::\d+)?)/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


@dataclass
class Image:
    """One image."""

    id: str
    created_ns: int
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    size: int = 2_063_330


def familiar(ref: str) -> str:
    """The short name of a reference, with its tag: `docker.io/library/alpine` -> `alpine:latest`."""
    if not ref or not _REFERENCE.fullmatch(ref):
        case = ": repository name must be lowercase" if ref.lower() != ref else ""
        raise invalid(f"invalid reference format{case}")
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/"):
        ref = ref.removeprefix(prefix)
    name, _, tag = ref.rpartition(":")
    return ref if "@" in ref or (name and "/" not in tag) else f"{ref}:latest"


def repository(ref: str) -> str:
    """The last word of a reference without its tag: what the known images are found by."""
    return familiar(ref).partition("@")[0].rpartition(":")[0].rpartition("/")[2]


def _refers(pattern: str, tag: str) -> bool:
    """Whether `alp*` or `alpine:3*` means a name with its tag; `*` stops at slashes (reference.FamiliarMatch)."""
    return any(PurePosixPath(f"/{name}").match(f"/{pattern}") for name in (tag, tag.rpartition(":")[0]))


class Images:
    """The images of one engine."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.all: dict[str, Image] = {ident: Image(**data) for ident, data in store.load("image").items()}

    def _keep(self, image: Image) -> None:
        self.store.put("image", image.id, asdict(image))

    def find(self, ref: str) -> Image:
        """Find by tag, id or the beginning of an id. Raises 404 `No such image: x`."""
        found = self._by_id(ref)
        if found is None:
            name = familiar(ref)
            found = next((image for image in self.all.values() if name in image.tags), None)
            if found is None:
                raise not_found(f"No such image: {name}")
        return found

    def _by_id(self, ref: str) -> Image | None:
        wanted = ref.removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-f]{4,64}", wanted):
            return None
        found = [image for image in self.all.values() if image.id.startswith(f"sha256:{wanted}")]
        return found[0] if len(found) == 1 else None

    def select(self, filters: Filters) -> Iterator[Image]:
        """The images that filters let through, each with the names that were asked for (daemon/images, Images).

        Raises:
            DockerError: 400 `invalid filter 'x'`, 404 for `before` or `since` an image that is not there.
        """
        check_names(filters, ("before", "dangling", "label", "reference", "since"))
        dangling, patterns = boolean(filters, "dangling"), filters.get("reference")
        before = min((self.find(ref).created_ns for ref in filters.get("before", ())), default=None)
        since = max((self.find(ref).created_ns for ref in filters.get("since", ())), default=None)
        for image in self.all.values():
            names = [tag for tag in image.tags if not patterns or any(_refers(each, tag) for each in patterns)]
            wanted = not patterns or bool(names)
            wanted &= dangling in (None, not image.tags) and labels_match(filters, image.config.get("Labels") or {})
            wanted &= (before is None or image.created_ns < before) and (since is None or image.created_ns > since)
            if wanted:
                yield replace(image, tags=names)

    def pull(self, ref: str, now_ns: int) -> Image:
        """Have an image of this name: every name is a simulated image."""
        name = familiar(ref)
        try:
            return self.find(name)
        except DockerError:
            pass
        config = {"Env": [PATH], "Cmd": ["/bin/sh"], "Entrypoint": None, **KNOWN.get(repository(name), {})}
        image = Image("sha256:" + sha256(name.encode()).hexdigest(), now_ns, [name], config)
        self.all[image.id] = image
        self._keep(image)
        return image

    def tag(self, ref: str, name: str) -> None:
        """Give an image one more name, taking it from whichever had it."""
        image, name = self.find(ref), familiar(name)
        for other in self.all.values():
            if name in other.tags:
                other.tags.remove(name)
                self._keep(other)
        image.tags.append(name)
        self._keep(image)

    def remove(self, ref: str, users: dict[str, str], force: bool) -> list[dict[str, str]]:
        """Take a name away; the last one takes the image with it. *users*: image id -> a container that needs it."""
        image = self.find(ref)
        by_name = self._by_id(ref) is None
        if by_name and len(image.tags) > 1:
            image.tags.remove(familiar(ref))
            self._keep(image)
            return [{"Untagged": familiar(ref)}]
        user = users.get(image.id)
        if user is not None and not force:
            short = image.id.removeprefix("sha256:")[:12]
            what = f'remove repository reference "{ref}"' if by_name else f"delete {short}"
            tail = f"container {user[:12]} is using its referenced image {short}" if by_name else (
                f"image is being used by stopped container {user[:12]}"
            )  # fmt: skip
            raise conflict(f"conflict: unable to {what} (must force) - {tail}")
        del self.all[image.id]
        self.store.drop("image", image.id)
        return [{"Untagged": tag} for tag in image.tags] + [{"Deleted": image.id}]


def summary(image: Image) -> dict[str, Any]:
    """One line of `GET /images/json`."""
    return {
        "Containers": -1, "Created": image.created_ns // 1_000_000_000, "Id": image.id, "Labels": None, "ParentId": "",
        "RepoDigests": [], "RepoTags": list(image.tags), "SharedSize": -1, "Size": image.size,
    }  # fmt: skip


def details(image: Image, version: str) -> dict[str, Any]:
    """Describe an image as `GET /images/{ref}/json` does."""
    config = {
        "Cmd": None, "Entrypoint": None, "Env": None, "Labels": None, "OnBuild": None, "User": "", "Volumes": None,
        "WorkingDir": "", **image.config,
    }  # fmt: skip
    layer = "sha256:" + sha256(image.id.encode()).hexdigest()
    return {
        "Id": image.id, "RepoTags": list(image.tags), "RepoDigests": [], "Parent": "", "Comment": "",
        "Created": rfc3339(image.created_ns), "DockerVersion": version, "Author": "", "Architecture": "amd64",
        "Os": "linux", "Size": image.size, "GraphDriver": {"Data": None, "Name": "vfs"},
        "RootFS": {"Type": "layers", "Layers": [layer]},
        "Metadata": {"LastTagTime": rfc3339(image.created_ns)}, "Config": config,
    }  # fmt: skip


def history(image: Image) -> list[dict[str, Any]]:
    """Describe the layers as `GET /images/{ref}/history` does: there is one."""
    return [{
        "Comment": "", "Created": image.created_ns // 1_000_000_000, "CreatedBy": "", "Id": image.id,
        "Size": image.size, "Tags": list(image.tags),
    }]  # fmt: skip


def pull_progress(ref: str) -> list[dict[str, Any]]:
    """The lines `POST /images/create` streams for an image that was not here."""
    name = familiar(ref)
    repo, _, tag = name.rpartition(":")
    digest = sha256(name.encode()).hexdigest()
    shown = f"library/{repo}" if "/" not in repo else repo
    lines: list[dict[str, Any]] = [{"status": f"Pulling from {shown}", "id": tag}]
    for status in ("Pulling fs layer", "Download complete", "Pull complete"):
        lines.append({"status": status, "progressDetail": {}, "id": digest[:12]})
    lines.append({"status": f"Digest: sha256:{digest}"})
    lines.append({"status": f"Status: Downloaded newer image for {name}"})
    return lines
