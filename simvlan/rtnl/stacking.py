"""What may stand on a device, and how high.

Mirrors netdev_rx_handler_register and the checks of __netdev_upper_dev_link (net/core/dev.c).
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EBUSY, EINVAL, EMLINK

from simvlan.devices.device import Device
from simvlan.errors import RtnlError

MAX_NEST_DEV = 8


def lowers(dev: Device) -> Iterable[Device]:
    """Return what a device stands on: its lower device, or a bridge's ports."""
    if dev.lower is not None:
        return (dev.lower,)
    return tuple(port.dev for port in getattr(dev, "ports", ()))


def stands_on(dev: Device, other: Device) -> bool:
    """Whether a device is another, or stacked on it at any distance: joined the other way, that would be a loop."""
    return dev is other or any(stands_on(lower, other) for lower in lowers(dev))


def check_rx_handler(dev: Device) -> None:
    """Refuse to take a device's frames first where somebody does or nobody may (netdev_rx_handler_register)."""
    if dev.rx_handler is not None:
        raise RtnlError(EBUSY, None, dev.path)
    if dev.no_rx_handler:
        raise RtnlError(EINVAL, None, dev.path)


def level(dev: Device) -> int:
    """Count the devices from the ground up to this one (lower_level)."""
    return 1 + max((level(lower) for lower in lowers(dev)), default=0)


def check_level(lower: Device) -> None:
    """Refuse a new device on a stack that is as high as stacks go."""
    if level(lower) >= MAX_NEST_DEV:
        raise RtnlError(EMLINK)
