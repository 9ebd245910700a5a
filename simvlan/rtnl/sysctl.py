"""Sysctls of a namespace: get, set, list. What a tool prints for a refusal is the tool's; the errno is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.stack.sysctl import Key, Sysctls, key_of, key_text

if TYPE_CHECKING:
    from simvlan.network import Netns, Network


def sysctl_get(net: Network, ns: Netns, key: str) -> str:
    """The value of a key such as `net.ipv4.ip_forward`.

    Raises:
        RtnlError: ENOENT when there is no such key.
    """
    return Sysctls(ns.stack).read(key_of(key))


def sysctl_set(net: Network, ns: Netns, key: str, value: str) -> None:
    """Set a key.

    Raises:
        RtnlError: ENOENT, EINVAL, EPERM as the kernel answers.
        Unsupported: a value whose meaning is not modelled.
    """
    Sysctls(ns.stack).write(key_of(key), value)
    net.drain()


def sysctl_list(net: Network, ns: Netns) -> list[tuple[str, str]]:
    """Every key with its value, in the order of `sysctl -a`."""
    tree = Sysctls(ns.stack)
    return [(key_text(key), tree.read(key)) for key in tree.every()]


def sysctl_part(net: Network, ns: Netns, device: str | None) -> list[tuple[Key, str]]:
    """The keys of one device (None: those of no device) with their values."""
    tree = Sysctls(ns.stack)
    return [(key, tree.read(key)) for key in tree.part(device)]
