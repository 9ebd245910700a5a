"""Whether the spanning trees of a kernel are at rest: the states of all bridge ports, as rtnetlink tells them.

A guest that got no processor for some seconds hears no hellos meanwhile, so ports take others for gone, and the tree
moves: entries are forgotten that a tree at rest would have kept, and ports forward that would have been closed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable

from . import rtnetlink as rt
from .rtnetlink import Rtnetlink, attributes

_AF_BRIDGE = 7
_IFLA_PROTINFO, _BRPORT_STATE = 12, 1
_REST = 0.4
"""The part of a pause in which nothing may move any more."""
_LOOK_S = 0.5
_LIMIT = 3
"""So many pauses at most: a tree may have no rest."""

States = tuple[tuple[int, bytes], ...]


def states(nets: Iterable[Rtnetlink]) -> tuple[States, ...]:
    """(index, state) of every bridge port, by namespace."""
    return tuple(tuple(map(_state, net.dump(rt.GETLINK, rt.link_head(_AF_BRIDGE)))) for net in nets)


def _state(body: bytes) -> tuple[int, bytes]:
    (index,) = struct.unpack_from("=i", body, 4)
    return index, attributes(attributes(body[16:]).get(_IFLA_PROTINFO, b"")).get(_BRPORT_STATE, b"")


def rest(
    seconds: float,
    look: Callable[[], object],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Sleep, and go on until nothing has moved for the last part of it; how often something moved in that part."""
    part, moved = seconds * _REST, 0
    sleep(seconds - part)
    last, since = look(), now()
    end = since + seconds * _LIMIT
    while now() < min(since + part, end):
        sleep(_LOOK_S)
        if (seen := look()) != last:
            last, since, moved = seen, now(), moved + 1
    return moved
