"""simvlan: where every Ethernet frame goes in a Linux container network, and why."""

__version__ = "0.1.0"
