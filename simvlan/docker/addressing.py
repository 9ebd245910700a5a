"""Which addresses a network and its endpoints get. Mirrors ipamAllocateVersion and assignAddressVersion."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from simvlan.docker.errors import DockerError, forbidden, internal, invalid
from simvlan.docker.ipam import Address, Ipam, NoAddressError, Pool, Prefix
from simvlan.docker.model import Endpoint, Network, PoolUse
from simvlan.docker.netconfig import parse_address, parse_prefix
from simvlan.stack import fib

if TYPE_CHECKING:
    from simvlan.docker.core import Core


class Addressing:
    """The address book of one engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        ula = "fd" + sha256(core.hostname.encode()).hexdigest()[:10]
        self.ipam = Ipam(core.dialect.shared_pool, f"{ula[:4]}:{ula[4:8]}:{ula[8:]}::/48")

    # -- networks ---------------------------------------------------------------------------------------------------

    def allocate(self, network: Network, blocks: list[dict[str, Any]], wants_gateway: bool) -> None:
        """Reserve a network's pools, gateways and auxiliary addresses; a refusal leaves nothing reserved."""
        try:
            for version, on in ((4, network.enable_ipv4), (6, network.enable_ipv6)):
                if on:
                    for block in [b for b in blocks if _version(b) == version] or [{}]:
                        self._allocate_block(network, block, version, wants_gateway)
        except DockerError:
            self.release(network)
            network.pools.clear()
            raise

    def _allocate_block(self, network: Network, block: dict[str, Any], version: int, wants_gateway: bool) -> None:
        pool, sub = self._request_pool(block, version)
        use = PoolUse(str(pool.subnet), str(sub) if sub else "")
        network.pools.append(use)
        gateway = str(block.get("Gateway") or "")
        if gateway or wants_gateway:
            use.gateway = self._take_gateway(pool, sub, gateway)
        for name, text in (block.get("AuxiliaryAddresses") or {}).items():
            self._take_aux(use, pool, name, text)

    def _request_pool(self, block: dict[str, Any], version: int) -> tuple[Pool, Prefix | None]:
        space = self.ipam.space(version)
        if not block.get("Subnet"):
            return space.request_predefined(self.reserved_networks()), None
        subnet, sub = prefixes(block)
        try:
            return space.request(subnet, sub), sub
        except DockerError as error:
            raise forbidden(self.core.dialect.pool_prefix + error.message) from None

    def _take_gateway(self, pool: Pool, sub: Prefix | None, wanted: str) -> str:
        address = parse_address(wanted) if wanted else None
        if wanted and address is None:
            raise invalid(f"invalid gateway address {wanted} in Ipam configuration")
        try:
            if address is None:
                return str(pool.address(pool.lowest(sub)))
            pool.take(address)
        except DockerError as error:
            raise internal(f"failed to allocate gateway ({wanted}): {self._worded(error)}") from None
        return str(address)

    def _worded(self, error: DockerError) -> str:
        """The text of an address that is not to be had; old releases began it with a capital."""
        text = error.message
        return text if self.core.dialect.validates else text[0].upper() + text[1:]

    def _take_aux(self, use: PoolUse, pool: Pool, name: str, text: str) -> None:
        address = parse_address(text)
        if address is None:
            raise invalid(f"non parsable secondary ip address ({name}:{text})")
        if address not in pool.subnet:
            outside = self.core.dialect.aux_outside
            raise forbidden(outside.format(name=name, address=text, subnet=pool.subnet))
        try:
            pool.take(address)
        except DockerError as error:
            raise internal(f"failed to allocate secondary ip address ({name}:{text}): {error.message}") from None
        use.aux[name] = str(address)

    def restore(self, network: Network) -> None:
        """Reserve again what a network held before the engine was restarted."""
        for use in network.pools:
            pool = self.ipam.space(use.prefix.version).request(use.prefix, use.sub_prefix)
            for address in filter(None, (use.gateway, *use.aux.values())):
                parsed = parse_address(address)
                assert parsed is not None
                pool.take(parsed)

    def release(self, network: Network) -> None:
        """Give back everything a network holds."""
        for use in network.pools:
            pool = self.ipam.pool(use.prefix)
            for text in filter(None, (use.gateway, *use.aux.values())):
                self._give_back(pool, text)
            self.ipam.space(use.prefix.version).release(use.prefix, use.sub_prefix)

    @staticmethod
    def _give_back(pool: Pool, text: str) -> None:
        address = parse_address(text)
        assert address is not None
        pool.give_back(address)

    def reserved_networks(self) -> list[Prefix]:
        """What an automatic pool keeps clear of: the node's on-link routes (netutils.InferReservedNetworks)."""
        routes = self.core.host.stack.fib.table(fib.MAIN_TABLE)
        return [ip_network((r.dst, r.plen)) for r in routes if r.plen and r.via is None and r.type == fib.UNICAST]

    # -- endpoints --------------------------------------------------------------------------------------------------

    def assign(self, network: Network, endpoint: Endpoint, wanted: dict[int, str]) -> None:
        """Give an endpoint its addresses, those asked for or the lowest free ones; a refusal leaves none taken."""
        try:
            for version in (4, 6):
                if network.of(version):
                    self._assign_one(network, endpoint, version, wanted.get(version, ""))
        except DockerError:
            self.withdraw(network, endpoint)
            raise

    def _assign_one(self, network: Network, endpoint: Endpoint, version: int, wanted: str) -> None:
        address = parse_address(wanted) if wanted else None
        for use in network.of(version):
            if address is not None and address not in use.prefix:
                continue
            pool = self.ipam.pool(use.prefix)
            try:
                self._enter(endpoint, use, self._take(pool, use, address))
            except NoAddressError:
                continue
            return
        if address is not None:
            word = "invalid address" if self.core.dialect.validates else "Invalid address"
            raise invalid(f"{word} {wanted}: It does not belong to any of this network's subnets")
        what = f"no available IPv{version} addresses on this network's address pools"
        raise internal(f"{what}: {network.name} ({network.id})")

    @staticmethod
    def _take(pool: Pool, use: PoolUse, address: Address | None) -> Address:
        if address is None:
            return pool.address(pool.lowest(use.sub_prefix))
        pool.take(address)
        return address

    @staticmethod
    def _enter(endpoint: Endpoint, use: PoolUse, address: Address) -> None:
        if address.version == 4:
            endpoint.ipv4, endpoint.plen4 = str(address), use.prefix.prefixlen
        else:
            endpoint.ipv6, endpoint.plen6 = str(address), use.prefix.prefixlen

    def withdraw(self, network: Network, endpoint: Endpoint) -> None:
        """Give an endpoint's addresses back."""
        for version, text, plen in ((4, endpoint.ipv4, endpoint.plen4), (6, endpoint.ipv6, endpoint.plen6)):
            if text:
                use = block_of(network, version, text, plen)
                if use is not None:
                    self._give_back(self.ipam.pool(use.prefix), text)
        endpoint.ipv4 = endpoint.ipv6 = ""
        endpoint.plen4 = endpoint.plen6 = 0

    def status(self, network: Network) -> dict[str, dict[str, int]]:
        """`Status.IPAM.Subnets` of API 1.52: what is in use and what is left, per subnet."""
        shown = {}
        for use in network.pools:
            used, free = self.ipam.pool(use.prefix).status(use.sub_prefix)
            shown[use.subnet] = {"IPsInUse": used, "DynamicIPsAvailable": free}
        return shown


def block_of(network: Network, version: int, text: str, plen: int) -> PoolUse | None:
    """The block of a network that an address with its prefix length belongs to."""
    address = parse_address(text)
    for use in network.of(version):
        if address is not None and address in use.prefix and use.prefix.prefixlen == plen:
            return use
    return None


def _version(block: dict[str, Any]) -> int:
    parsed = parse_prefix(block.get("Subnet") or "")
    return parsed[1].version if parsed else 4


def prefixes(block: dict[str, Any]) -> tuple[Prefix, Prefix | None]:
    """Subnet and ip-range of a block. The newer releases have validated it; the older ones refuse it here, or clamp.

    Raises:
        DockerError: 400 `Invalid Address Pool` or `Invalid Address SubPool`.
    """
    parsed, text = parse_prefix(block["Subnet"]), block.get("IPRange") or ""
    if parsed is None:
        raise invalid("Invalid Address Pool")
    subnet = parsed[1]
    if not text:
        return subnet, None
    inner = parse_prefix(text)
    if inner is None or inner[1].version != subnet.version or not inner[1].overlaps(subnet):
        raise invalid("Invalid Address SubPool")
    return subnet, inner[1] if inner[1].prefixlen >= subnet.prefixlen else subnet
