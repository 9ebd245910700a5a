"""Device names: which are valid, which is free. Mirrors dev_valid_name and dev_alloc_name of net/core/dev.c."""

from __future__ import annotations

from errno import EINVAL, ERANGE
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError

if TYPE_CHECKING:
    from simvlan.network import Netns

IFNAMSIZ = 16


def valid_name(name: str) -> None:
    """Refuse what the kernel refuses as a name."""
    if len(name.encode()) >= IFNAMSIZ:
        raise RtnlError(ERANGE, "Attribute failed policy validation.")
    if not name or name in (".", "..") or any(c in "/:" or c.isspace() for c in name):
        raise RtnlError(EINVAL)


def free_name(ns: Netns, stem: str, taken: set[str] | None = None) -> str:
    """Return the first unused `stemN`."""
    number = 0
    while f"{stem}{number}" in ns.devices or (taken and f"{stem}{number}" in taken):
        number += 1
    return f"{stem}{number}"
