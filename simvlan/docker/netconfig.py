"""The shape of a network's addresses in a request. Mirrors api/types/network (ValidateIPAM) and getIpamConfig."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from simvlan.docker.errors import invalid
from simvlan.docker.ipam import Address, Prefix


def parse_prefix(text: str) -> tuple[Address, Prefix] | None:
    """Read CIDR notation: the address as written, and its network; None when it is none (netip.ParsePrefix)."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit() or (length != "0" and length.startswith("0")):
        return None
    try:
        return ip_address(address), ip_network(text, strict=False)
    except ValueError:
        return None


def parse_address(text: str) -> Address | None:
    """Read an address; None when it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def joined(errors: Iterable[str]) -> str:
    """One error as it is, several as a list (errJoin)."""
    texts = list(errors)
    return texts[0] if len(texts) == 1 else "\n".join(f"* {text}" for text in texts)


def validate_ipam(ipam: dict[str, Any] | None, ipv4: bool, ipv6: bool) -> None:
    """Refuse blocks that make no sense; blocks of a family that is off are not looked at.

    Raises:
        DockerError: 400 `invalid network config:` and what is wrong.
    """
    errors = [text for block in (ipam or {}).get("Config") or [] for text in _block_errors(block, ipv4, ipv6)]
    if errors:
        raise invalid("invalid network config:\n" + joined(errors))


def _block_errors(block: dict[str, Any], ipv4: bool, ipv6: bool) -> Iterator[str]:
    text = block.get("Subnet") or ""
    parsed = parse_prefix(text)
    if parsed is None:
        yield f"invalid subnet {text}: invalid CIDR block notation"
        return
    address, subnet = parsed
    if not (ipv6 if subnet.version == 6 else ipv4):
        return
    if address != subnet.network_address:
        yield f"invalid subnet {text}: it should be {subnet}"
    yield from _range_errors(block.get("IPRange") or "", subnet)
    gateway = block.get("Gateway") or ""
    yield from (f"invalid gateway {gateway}: {why}" for why in _address_errors(gateway, subnet))
    for name, aux in (block.get("AuxiliaryAddresses") or {}).items():
        yield from (f"invalid auxiliary address {name}: {why}" for why in _address_errors(aux, subnet))


def _range_errors(text: str, subnet: Prefix) -> Iterator[str]:
    if not text:
        return
    parsed = parse_prefix(text)
    if parsed is None:
        yield f"invalid ip-range {text}: invalid CIDR block notation"
        return
    address, sub = parsed
    if sub.version != subnet.version:
        yield f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block"
        return
    if sub.prefixlen < subnet.prefixlen:
        yield f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"
    if address != sub.network_address:
        yield f"invalid ip-range {text}: it should be {sub}"
    if not sub.overlaps(subnet):
        yield f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"


def _address_errors(text: str, subnet: Prefix) -> Iterator[str]:
    if not text:
        return
    address = parse_address(text)
    if address is None:
        yield "invalid address"
    elif address.version != subnet.version:
        yield f"parent subnet is an IPv{subnet.version} block"
    elif address not in subnet:
        yield f"parent subnet {subnet} doesn't contain this address"
