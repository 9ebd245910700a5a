"""What a NIC hangs on: the networks that do not carry every frame, each as one word (`words.py`)."""

from simvlan.underlay.rules import ALLOW_ALL, DENY, POLICIES, Underlay, VirtualBox
from simvlan.underlay.wire import UnderlayWire, lay, underlay_of

__all__ = ["ALLOW_ALL", "DENY", "POLICIES", "Underlay", "UnderlayWire", "VirtualBox", "lay", "underlay_of"]
