"""How high devices may be stacked. Mirrors the level check of __netdev_upper_dev_link (net/core/dev.c)."""

from __future__ import annotations

from collections.abc import Iterable
from errno import EMLINK

from simvlan.devices.device import Device
from simvlan.errors import RtnlError

MAX_NEST_DEV = 8


def lowers(dev: Device) -> Iterable[Device]:
    """Return what a device stands on: its lower device, or a bridge's ports."""
    if dev.lower is not None:
        return (dev.lower,)
    return tuple(port.dev for port in getattr(dev, "ports", ()))


def level(dev: Device) -> int:
    """Count the devices from the ground up to this one (lower_level)."""
    return 1 + max((level(lower) for lower in lowers(dev)), default=0)


def check_level(lower: Device) -> None:
    """Refuse a new device on a stack that is as high as stacks go."""
    if level(lower) >= MAX_NEST_DEV:
        raise RtnlError(EMLINK)
