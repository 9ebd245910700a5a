"""Ids by which one namespace knows another (`link-netnsid`). Mirrors peernet2id_alloc of net/core/net_namespace.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns, Network


def nsid(ns: Netns, other: Netns) -> int:
    """Return the id of *other* as seen from *ns*, giving it the lowest free one if it has none."""
    if other.name not in ns.nsids:
        taken = set(ns.nsids.values())
        ns.nsids[other.name] = next(n for n in range(len(taken) + 1) if n not in taken)
    return ns.nsids[other.name]


def name_of_id(ns: Netns, ident: int) -> str | None:
    """Return the name (never the initial namespace's, which has none) behind an id."""
    return next((name for name, known in ns.nsids.items() if known == ident and name), None)


def other_end(dev: Device) -> Device | None:
    """Return the device that `link` names: a veth's peer or the lower device (dev_get_iflink)."""
    peer: Device | None = getattr(dev, "peer", None)
    return peer or dev.lower


def announce(dev: Device) -> int | None:
    """Return the id of the namespace the other end is in, None when it is this one (rtnl_fill_link_netnsid)."""
    other = other_end(dev)
    if other is None or other.netns is dev.netns:
        return None
    return nsid(dev.netns, other.netns)


def forget(net: Network, name: str) -> None:
    """Let every namespace forget one that goes away."""
    for ns in net.netns.values():
        ns.nsids.pop(name, None)
