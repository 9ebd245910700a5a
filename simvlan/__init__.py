"""simvlan: where every Ethernet frame goes in a Linux container network, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.lab import Lab as Lab

__version__ = "0.1.0"
__all__ = ["Lab", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the lab only for those who ask for it: the command line's `--help` does not."""
    if name != "Lab":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from simvlan.lab import Lab

    return Lab
