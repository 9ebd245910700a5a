"""The bridge driver: a Linux bridge on the node with the gateway's address, and a veth pair for each endpoint.

Mirrors libnetwork/drivers/bridge. What keeps networks apart, lets them out and leads published ports in are the
rules of `firewall`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from simvlan.docker.drivers.driver import choose_mac, device_name, gateway_of, go_errno, require_pools
from simvlan.docker.errors import DockerError, forbidden, internal, invalid
from simvlan.docker.firewall import Firewall, truth
from simvlan.docker.model import Endpoint, Network
from simvlan.docker.sandbox6 import switch as switch6
from simvlan.errors import RtnlError
from simvlan.frame import parse_mac
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.address6 import address6_replace
from simvlan.rtnl.filters import bridges_load
from simvlan.rtnl.sysctl import sysctl_get, sysctl_set
from simvlan.stack.ipaddr import UNIVERSE, Ifaddr, parse_ip
from simvlan.stack.ipv6.addr import parse_ip6
from simvlan.stack.ipv6.inet6dev import Ifaddr6

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.docker.core import Core
    from simvlan.network import Netns

NAME_OPTION = "com.docker.network.bridge.name"
MTU_OPTION = "com.docker.network.driver.mtu"
GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")
BRIDGE_LINK_LOCAL = "fe80::1"
AUX_GATEWAY = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}


class BridgeDriver:
    """`-d bridge`, the default."""

    name = "bridge"
    prefix = "eth"

    def __init__(self, core: Core, networks: Callable[[], Iterable[Network]], firewall: Firewall) -> None:
        self.core = core
        self._networks = networks
        self.firewall = firewall

    def read_options(self, network: Network) -> None:
        """Check the MTU and the gateway modes; note the bridge's name."""
        options = network.options
        mtu = options.get(MTU_OPTION, "")
        if mtu and not mtu.isdigit():
            raise invalid(f'failed to parse {MTU_OPTION} value: "{mtu}" is not a number')
        for version in (4, 6):
            option = f"com.docker.network.bridge.gateway_mode_ipv{version}"
            mode = options.get(option, "nat")
            if mode not in GATEWAY_MODES:
                raise invalid(f"unknown gateway mode {mode}")
            if mode == "isolated" and not network.internal:
                raise invalid("gateway mode 'isolated' can only be used for an internal network")
        name = options.get(NAME_OPTION) or f"br-{network.id[:12]}"
        isolated = options.get("com.docker.network.bridge.gateway_mode_ipv4") == "isolated"
        network.state.update(bridge=name, made=False, inward=network.internal, isolated=isolated)
        chosen = options.get("com.docker.network.bridge.gateway_mode_ipv4")
        network.state.update(routed=chosen == "routed", unprotected=chosen == "nat-unprotected")

    def wants_gateway(self, network: Network) -> bool:
        """The bridge itself is the gateway; an isolated one has no address."""
        return not network.state["isolated"]

    def create(self, network: Network) -> None:
        """Make the bridge, or take one that is there, and give it the gateway's address."""
        require_pools(self.core, network)
        name = network.state["bridge"]
        for other in self._networks():
            if other.driver == "bridge" and other.id != network.id and other.state.get("bridge") == name:
                raise forbidden(
                    f"cannot create network {network.id} ({name}): conflicts with network {other.id} ({name}): "
                    "networks have same bridge name"
                )
        self._make(network)

    def _make(self, network: Network) -> None:
        core, name = self.core, network.state["bridge"]
        dev = core.host.devices.get(name)
        try:
            if dev is None:
                dev = link_add(core.net, core.host, LinkSpec("bridge", name, mtu=self._mtu(network)))
                network.state["made"] = True
            elif dev.kind != "bridge":
                raise invalid(f"{name} is not a bridge")
            inhibited = network.options.get("com.docker.network.bridge.inhibit_ipv4", "").lower() in ("true", "1", "t")
            for use in () if inhibited else network.of(4):
                self._address(name, use.gateway, use.prefix.prefixlen)
            self._addresses6(dev, network)
            link_set(core.net, dev, up=True)
        except RtnlError as error:
            raise internal(f"failed to create bridge {name}: {go_errno(error)}") from None
        self._forward(network)

    def _forward(self, network: Network) -> None:
        """Let the node route; bridged frames pass the filters where containers of a network are kept apart."""
        core = self.core
        if not network.internal and sysctl_get(core.net, core.host, "net.ipv4.ip_forward") != "1":
            sysctl_set(core.net, core.host, "net.ipv4.ip_forward", "1")
            self.firewall.drop_forwarded()
        if not truth(network, "enable_icc"):
            bridges_load(core.net)
        self.firewall.add_network(network)

    def _address(self, name: str, gateway: str, plen: int) -> None:
        dev = self.core.host.devices[name]
        if not gateway or any(each.local == parse_ip(gateway) for each in self.core.host.stack.addresses(dev)):
            return
        host_bits = (1 << (32 - plen)) - 1
        local = parse_ip(gateway)
        broadcast = local | host_bits if plen < 31 else None
        address_add(self.core.net, dev, Ifaddr(local, plen, broadcast=broadcast, scope=UNIVERSE))

    def _addresses6(self, dev: Device, network: Network) -> None:
        """IPv6 on the bridge: fe80::1 and the gateways (setupBridgeIPv6)."""
        if not network.enable_ipv6:
            return
        switch6(self.core, dev, True)
        gateways = [(use.gateway, use.prefix.prefixlen) for use in network.of(6) if use.gateway]
        for text, plen in [(BRIDGE_LINK_LOCAL, 64), *gateways]:
            address6_replace(self.core.net, dev, Ifaddr6(parse_ip6(text), plen, nodad=True))

    def _mtu(self, network: Network) -> int | None:
        text = network.options.get(MTU_OPTION, "")
        return int(text) if text and text != "1500" else None

    def delete(self, network: Network) -> None:
        """Delete the bridge if the driver made it, and its rules."""
        self.firewall.forget(network.id)
        dev = self.core.host.devices.get(network.state["bridge"])
        if dev is not None and network.state["made"]:
            link_del(self.core.net, dev)

    def restore(self, network: Network) -> None:
        """Make the bridge again if it is gone."""
        self._make(network)

    def create_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """Choose the MAC address."""
        choose_mac(self.core, endpoint)

    def join(self, network: Network, endpoint: Endpoint, netns: Netns) -> None:
        """Make a veth pair: one end a port of the bridge, the other the container's."""
        core, host = self.core, self.core.host
        bridge = host.devices.get(network.state["bridge"])
        if bridge is None:
            raise internal(f"failed to add the host interface to bridge {network.state['bridge']}: no such device")
        port, inner = device_name(core), device_name(core)
        try:
            peer = PeerSpec(inner, netns, mac=parse_mac(endpoint.mac), mtu=bridge.mtu)
            link_add(core.net, host, LinkSpec("veth", port, mtu=bridge.mtu, peer=peer))
            endpoint.source, endpoint.port = inner, port
            link_set(core.net, host.devices[port], master=bridge)
            link_set(core.net, host.devices[port], up=True)
        except RtnlError as error:
            raise internal(f"failed to add the host ({port}) <=> sandbox ({inner}) pair interfaces: "
                           f"{go_errno(error)}") from None  # fmt: skip
        self._set_gateways(network, endpoint)
        self.firewall.add_endpoint(network, endpoint)

    def _set_gateways(self, network: Network, endpoint: Endpoint) -> None:
        if network.internal:
            return
        endpoint.gateway4 = self._gateway(network, endpoint, 4)
        endpoint.gateway6 = self._gateway(network, endpoint, 6)

    def _gateway(self, network: Network, endpoint: Endpoint, version: int) -> str:
        """The bridge, or the router an auxiliary address of a special name stands for."""
        for use in network.of(version):
            if AUX_GATEWAY[version] in use.aux:
                return use.aux[AUX_GATEWAY[version]]
        return gateway_of(network, endpoint, version)

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """Delete the pair, unless it went with the container's end, and the endpoint's rules."""
        self.firewall.forget(endpoint.id)
        dev = self.core.host.devices.get(endpoint.port)
        if dev is not None:
            link_del(self.core.net, dev)


class OnlyOneDriver:
    """`-d host` and `-d null`: there is one network of each, and it has nothing to make."""

    prefix = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def read_options(self, network: Network) -> None:
        """There are none."""

    def wants_gateway(self, network: Network) -> bool:
        """There are no addresses."""
        return False

    def create(self, network: Network) -> None:
        """Refuse a second network."""
        raise DockerError(403, f'only one instance of "{self.name}" network is allowed')

    def delete(self, network: Network) -> None:
        """Nothing was made."""

    def create_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """There is nothing to choose."""

    def join(self, network: Network, endpoint: Endpoint, netns: Netns) -> None:
        """There is nothing to make."""

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """There is nothing to delete."""

    def restore(self, network: Network) -> None:
        """There is nothing to make again."""
