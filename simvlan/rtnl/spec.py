"""What a request for a new device says (`ip link add`), and what every device kind must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from simvlan.devices.device import Device

if TYPE_CHECKING:
    from simvlan.network import Netns, Network


@dataclass
class PeerSpec:
    """The other end of a pair, as far as the request names it."""

    name: str | None = None
    netns: Netns | None = None
    mac: int | None = None
    mtu: int | None = None
    txqlen: int | None = None
    ifindex: int | None = None


@dataclass
class LinkSpec:
    """A request for a new device; None means the kernel chooses.

    `info` holds the kind's own options, keyed as `ip -d -j link` spells them under info_data.
    """

    kind: str
    name: str | None = None
    link: Device | None = None
    mac: int | None = None
    mtu: int | None = None
    txqlen: int | None = None
    ifindex: int | None = None
    group: int | None = None
    alias: str | None = None
    info: Mapping[str, object] = field(default_factory=dict)
    peer: PeerSpec | None = None


class Kind(Protocol):
    """One `type` of `ip link add` (struct rtnl_link_ops)."""

    name: str

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Validate, make and register a device; spec.name is final and free. Raises RtnlError, leaving nothing."""

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """Change the kind's options: validate all, then apply (changelink)."""

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the device (dellink)."""

    def info(self, dev: Device) -> dict[str, object]:
        """Return the options as `ip -d -j link` shows them under info_data."""
