"""Ids by which one namespace knows another (`link-netnsid`). Mirrors peernet2id of net/core/net_namespace.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvlan.network import Netns, Network


def name_of_id(ns: Netns, ident: int) -> str | None:
    """Return the name (never the initial namespace's, which has none) behind an id."""
    return next((name for name, known in ns.nsids.items() if known == ident and name), None)


def forget(net: Network, name: str) -> None:
    """Let every namespace forget one that goes away."""
    for ns in net.netns.values():
        ns.nsids.pop(name, None)
