"""Underlays by name: `virtualbox`, `vmware:promiscuous`, `port-security:2` ...; and which NICs a place means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, TypeAlias

from simvlan.devices.veth import Veth
from simvlan.stack.ipv6.addr import LINK_LOCAL, eui64
from simvlan.underlay.rules import (
    POLICIES,
    VMWARE_ACCEPTS,
    Cloud,
    FiniteFdb,
    Network46,
    OffloadStripsVlan,
    PortSecurity,
    Underlay,
    VirtualBox,
    VMware,
    WifiStation,
    acceptable,
)
from simvlan.underlay.wire import lay

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Network

FORMS = {
    "virtualbox": f"virtualbox[:{'|'.join(POLICIES)}]",
    "vmware": f"vmware[:{'+'.join(VMWARE_ACCEPTS)}] (what is accepted)",
    "wifi-sta": "wifi-sta",
    "port-security": "port-security:N[:shutdown]",
    "cloud": "cloud[:ADDRESS[/LEN]+...] (what else the NIC may send from)",
    "finite-fdb": "finite-fdb:N",
    "offload-strips-vlan": "offload-strips-vlan",
    "none": "none",
}
"""The words, as they are written."""
ALSO_CALLED = {
    "virtualbox": "vbox oracle",
    "vmware": "esx esxi vsphere vswitch workstation fusion",
    "wifi-sta": "wifi wlan wireless 802.11 sta",
    "cloud": "aws aws-vpc ec2 vpc gcp azure openstack hetzner",
    "port-security": "portsecurity cisco sticky",
    "finite-fdb": "fdb mac-table cam",
    "offload-strips-vlan": "offload rxvlan strips-vlan",
}
"""What people say instead: told in the refusal."""


Maker: TypeAlias = "Callable[[Veth], Underlay]"
"""What a word makes for a NIC."""


def checked(word: str) -> Maker:
    """Read a word, with what is behind its colon.

    Raises:
        ValueError: there is no such word, or what is behind the colon is missing, too much or wrong.
    """
    name, _, rest = word.partition(":")
    if name not in FORMS:
        meant = next((ours for ours, names in ALSO_CALLED.items() if name.lower() in names.split()), "")
        hint = f"; it is called {meant}" if meant else ""
        raise ValueError(f"{word!r} is no underlay: there are {', '.join(FORMS)}{hint}")
    if not rest and name in ("port-security", "finite-fdb"):
        raise ValueError(f"{word!r} lacks a number: {FORMS[name]}")
    if rest and FORMS[name] == name:
        raise ValueError(f"{word!r}: {name} takes nothing behind a colon")
    return _READERS[name](rest)


def _virtualbox(rest: str) -> Maker:
    policy = rest or POLICIES[0]
    VirtualBox(0, policy)  # refuses one that is none
    return lambda nic: VirtualBox(nic.mac, policy)


def _vmware(rest: str) -> Maker:
    accepts = acceptable(frozenset(rest.split("+") if rest else ()))
    return lambda nic: VMware(nic, accepts)


def _port_security(rest: str) -> Maker:
    number, _, mode = rest.partition(":")
    if mode not in ("", "shutdown", "restrict"):
        raise ValueError(f"port-security: {mode!r} is no violation mode: there are restrict and shutdown")
    limit = _count(number, "port-security")
    return lambda nic: PortSecurity(limit, nic.mac, mode == "shutdown")


def _cloud(rest: str) -> Maker:
    named = tuple(_network(text) for text in rest.split("+") if text)
    return lambda nic: Cloud(nic, (*given_to(nic), *named))


def _network(text: str) -> Network46:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"cloud: {text!r} is no address or network") from None


def given_to(nic: Veth) -> tuple[Network46, ...]:
    """The addresses a NIC has now, its own or those of the bridge it is a port of, and the one made of its MAC."""
    stack: Any = nic.netns.stack
    owners = [nic] if nic.master is None else [nic, nic.master]
    four = [IPv4Network(each.local) for dev in owners for each in stack.addresses(dev)]
    sides = [] if stack.ip6 is None else [side for dev in owners if (side := stack.ip6.idev(dev)) is not None]
    six = [IPv6Network(each.address) for side in sides for each in side.addresses]
    return (*four, *six, IPv6Network(LINK_LOCAL | eui64(nic.mac)))


def _finite_fdb(rest: str) -> Maker:
    limit = _count(rest, "finite-fdb")
    return lambda nic: FiniteFdb(nic, limit)


def _count(text: str, name: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name}: {text!r} is no number of MACs: at least 1 is expected")
    return int(text)


_READERS: dict[str, Callable[[str], Maker]] = {
    "virtualbox": _virtualbox,
    "vmware": _vmware,
    "wifi-sta": lambda _: WifiStation,
    "port-security": _port_security,
    "cloud": _cloud,
    "finite-fdb": _finite_fdb,
    "offload-strips-vlan": lambda _: lambda _nic: OffloadStripsVlan(),
    "none": lambda _: lambda _nic: Underlay(),
}


def put(network: Network, place: str, word: str) -> list[str]:
    """Lay an underlay at a place; returns the paths of the NICs it lies under.

    Args:
        place: a NIC (`node-1/eth1`) or the switch's port it is plugged into, a bridge that is the segment's switch
            (`lan/br0`: the NICs at its ports), or empty: every switch that a macvlan, ipvlan or VLAN hangs on.
        word: as in `FORMS`.

    Raises:
        KeyError: no such device.
        ValueError: no such word, or nothing there that an underlay can lie under.
    """
    make = checked(word)
    nics = places(network, place)
    made = [(nic, make(nic)) for nic in nics]
    for nic, rule in made:
        lay(network, nic, rule)
    return [nic.path for nic in nics]


def places(network: Network, place: str) -> list[Veth]:
    """The NICs that a place means."""
    if not place:
        found = [nic for bridge in switches(network) for nic in nics_of(bridge)]
        if not found:
            raise ValueError("no macvlan, ipvlan or VLAN hangs on a bridge's port: name the NIC, NETNS/DEV=WORD")
        return found
    dev = network.device(place)
    if dev.kind == "bridge" and (nics := list(nics_of(dev))):
        return nics
    if not isinstance(dev, Veth) or dev.peer is None:
        raise ValueError(f"{dev.path} is neither an end of a veth pair nor a bridge with such ports")
    at_the_switch = dev.master is not None and dev.peer.master is None
    return [dev.peer if at_the_switch else dev]


def nics_of(bridge: Any) -> Iterable[Veth]:
    """What hangs on a bridge's ports."""
    return [port.dev.peer for port in bridge.ports if isinstance(port.dev, Veth) and port.dev.peer is not None]


def switches(network: Network) -> list[Device]:
    """The bridges that a parent hangs on."""
    parents = {id(dev.lower) for dev in network.devices() if dev.kind in ("macvlan", "ipvlan", "vlan")}
    return [
        dev for dev in network.devices() if dev.kind == "bridge" and any(id(nic) in parents for nic in nics_of(dev))
    ]
