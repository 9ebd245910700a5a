"""The synchronous engine: send one frame, read its whole walk. The living definition the other engines are held to.

Nothing here decides: the network's own receive and transmit order runs on whatever clock it has, and a tracer notes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.verdict import Drop, Emit

if TYPE_CHECKING:
    from simvlan.network import Network


class Visit(NamedTuple):
    """One step of a frame's walk: where, in which direction, as what, and how it ended there (None: it went on)."""

    time_ns: int
    fid: int
    parent: int
    device: str
    way: str
    frame: Frame
    notes: tuple[str, ...]
    drop: Drop | None


class Walker:
    """A tracer that keeps every step."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []

    def step(
        self,
        now: int,
        fid: int,
        parent: int,
        dev: Device,
        way: str,
        frame: Frame,
        notes: list[str],
        drop: Drop | None,
        emits: Sequence[Emit] = (),
    ) -> None:
        """Keep one step (the network's Tracer protocol)."""
        self.visits.append(Visit(now, fid, parent, dev.path, way, frame, tuple(notes), drop))


def walk(network: Network, dev: Device, frame: Frame) -> list[Visit]:
    """Send a frame through a device and return every step it and its copies took in this instant.

    What waits in a link or behind a timer goes on when the network's clock does, and is not in the list.
    """
    walker, outer = Walker(), network.tracer
    network.tracer = walker
    try:
        network.send(dev, frame)
    finally:
        network.tracer = outer
    return walker.visits
