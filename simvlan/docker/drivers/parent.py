"""The parent of a macvlan or ipvlan network: used as it is, made as a VLAN sub-interface, or a dummy of its own.

Mirrors drivers/macvlan/macvlan_setup.go and its ipvlan twin, which differ in one word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simvlan.docker.drivers.driver import go_errno
from simvlan.docker.errors import internal
from simvlan.docker.model import Network
from simvlan.errors import RtnlError
from simvlan.rtnl import LinkSpec, link_add, link_del, link_set

if TYPE_CHECKING:
    from simvlan.docker.core import Core


def dummy_name(prefix: str, network: Network) -> str:
    """`dm-` or `di-` and twelve digits of the network's id: fifteen characters, the longest name there is."""
    return f"{prefix}-{network.id[:12]}"


def ensure_parent(core: Core, network: Network, dummy: str, word: str) -> bool:
    """Make the parent unless it is there; True when it was made."""
    parent = network.state["parent"]
    if parent in core.host.devices:
        return False
    if parent == dummy:
        _make_dummy(core, dummy, word)
    else:
        _make_vlan(core, parent, word)
    return True


def _make_dummy(core: Core, name: str, word: str) -> None:
    try:
        dev = link_add(core.net, core.host, LinkSpec("dummy", name))
        link_set(core.net, dev, up=True)
    except RtnlError as error:
        raise internal(f"failed to create the dummy link {name} of the {word} network: {go_errno(error)}") from None


def parse_vlan(name: str) -> tuple[str, int]:
    """Split `eth0.10` into the device below and the VLAN id."""
    if "." not in name:
        raise internal(f"invalid subinterface vlan name {name}, example formatting is eth0.10")
    parts = name.split(".")
    if len(parts) != 2:
        raise internal(
            f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        )
    if not re.fullmatch(r"[+-]?[0-9]+", parts[1]):
        raise internal(f"unable to parse a valid vlan id from: {parts[1]} (ex. eth0.10 for vlan 10)")
    return parts[0], int(parts[1])


def _make_vlan(core: Core, name: str, word: str) -> None:
    """Make a VLAN sub-interface and bring it up; one that cannot come up is left behind, as Docker leaves it."""
    below, vid = parse_vlan(name)
    if below not in core.host.devices:
        raise internal(core.dialect.parent_missing.format(parent=below))
    if not 1 <= vid <= 4094:
        raise internal(f"vlan id must be between 1-4094, received: {vid}")
    try:
        spec = LinkSpec("vlan", name, link=core.host.devices[below], info={"id": vid})
        dev = link_add(core.net, core.host, spec)
    except RtnlError as error:
        raise internal(f"failed to create {name} vlan link: {go_errno(error)}") from None
    try:
        link_set(core.net, dev, up=True)
    except RtnlError as error:
        raise internal(f"failed to enable {name} the {word} parent link {go_errno(error)}") from None


def remove_parent(core: Core, name: str, dummy: str) -> None:
    """Delete a parent the driver made: its dummy, or a link named `X.N` that stands on another."""
    dev = core.host.devices.get(name)
    if dev is None:
        return
    if name == dummy or (name.count(".") == 1 and dev.lower is not None):
        link_del(core.net, dev)
