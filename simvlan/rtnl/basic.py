"""The kinds without a lower device: veth and dummy. Mirrors veth_newlink and the dummy driver's link operations."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EADDRNOTAVAIL, EEXIST, EINVAL
from typing import TYPE_CHECKING

from simvlan.devices.device import Device
from simvlan.devices.dummy import Dummy
from simvlan.devices.veth import Veth, join
from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import is_valid_ether_addr
from simvlan.rtnl.names import free_name, valid_name
from simvlan.rtnl.spec import LinkSpec, PeerSpec

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

ETH_MIN_MTU, ETH_MAX_MTU = 68, 65_535


def refuse_options(kind: str, info: Mapping[str, object]) -> None:
    """Refuse options a kind does not have."""
    if info:
        raise Unsupported(f"{kind} takes no option {next(iter(info))!r}")


def check_address(mac: int | None) -> None:
    """Refuse a group or zero address in a request (veth_validate, dummy_validate)."""
    if mac is not None and not is_valid_ether_addr(mac):
        raise RtnlError(EADDRNOTAVAIL)


def check_mtu_range(mtu: int | None, least: int = ETH_MIN_MTU) -> None:
    """Refuse an MTU that no device of the kind has (rtnl_create_link, dev_validate_mtu)."""
    if mtu is not None and mtu < least:
        raise RtnlError(EINVAL, "mtu less than device minimum.")
    if mtu is not None and mtu > ETH_MAX_MTU:
        raise RtnlError(EINVAL, "mtu greater than device maximum.")


class VethKind:
    """`type veth [peer ...]`."""

    name = "veth"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make both ends, the peer first, as veth_newlink does."""
        peer = spec.peer or PeerSpec()
        refuse_options("veth", spec.info)
        for mac, mtu in ((spec.mac, spec.mtu), (peer.mac, peer.mtu)):
            check_address(mac)
            if mtu is not None and not ETH_MIN_MTU <= mtu <= ETH_MAX_MTU:
                raise RtnlError(EINVAL)
        peer_ns = peer.netns or ns
        peer_name = self._peer_name(peer, peer_ns, ns, spec)
        far = Veth(peer_name, peer_ns, net.random_mac() if peer.mac is None else peer.mac, peer.mtu or 1500)
        near = Veth(str(spec.name), ns, net.random_mac() if spec.mac is None else spec.mac, spec.mtu or 1500)
        for end, space, index in ((far, peer_ns, peer.ifindex), (near, ns, spec.ifindex)):
            net.register(end, space, index or 0)
            net.set_carrier(end, False)
        if peer.txqlen is not None:
            far.txqlen = peer.txqlen
        join(near, far)
        return near

    @staticmethod
    def _peer_name(peer: PeerSpec, peer_ns: Netns, ns: Netns, spec: LinkSpec) -> str:
        """Find the peer's name, free in its namespace and different from the near end's."""
        if peer.name is None:
            taken = {str(spec.name)} if peer_ns is ns else set()
            return free_name(peer_ns, "veth", taken)
        valid_name(peer.name)
        if peer.name in peer_ns.devices or (peer_ns is ns and peer.name == spec.name):
            raise RtnlError(EEXIST)
        return peer.name

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """A veth has nothing to change."""
        refuse_options("veth", info)

    def delete(self, net: Network, dev: Device) -> None:
        """Delete both ends."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return no options: a veth has none."""
        return {}


class DummyKind:
    """`type dummy`."""

    name = "dummy"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a dummy device."""
        refuse_options("dummy", spec.info)
        check_address(spec.mac)
        dev = Dummy(str(spec.name), ns, net.random_mac() if spec.mac is None else spec.mac, spec.mtu or 1500)
        net.register(dev, ns, spec.ifindex or 0)
        return dev

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """A dummy has nothing to change."""
        refuse_options("dummy", info)

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the device."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return no options: a dummy has none."""
        return {}
