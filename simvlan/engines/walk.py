"""The synchronous engine: send one frame, read its whole walk. The living definition the other engines are held to.

Nothing here decides: the network runs its own receive and transmit order on whatever clock it has; a listener notes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.trace import Listener, Step

if TYPE_CHECKING:
    from simvlan.network import Network


def walk(network: Network, dev: Device, frame: Frame) -> list[Step]:
    """Send a frame through a device and return every step it and its copies took in this instant.

    What waits in a link or behind a timer goes on when the network's clock does, and is not in the list.
    """
    steps: list[Step] = []
    listener, outer = Listener(), network.tracer
    listener.ears.append(steps.append)
    network.tracer = listener
    try:
        network.send(dev, frame)
    finally:
        network.tracer = outer
    return steps
