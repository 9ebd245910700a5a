"""Links of type ipvlan. Mirrors ipvlan_nl_validate, ipvlan_link_new, ipvlan_nl_changelink and ipvlan_fill_info (6.1).

Mode and flags belong to the port: the latest creation or change decides for every slave of the parent. A creation
without a mode means l3; flags stay as they are unless the request names them (iproute2 names them with any option).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EBUSY, EINVAL, ENOSPC
from typing import TYPE_CHECKING

from simvlan.devices.device import Device
from simvlan.devices.dummy import Loopback
from simvlan.devices.ipvlan import Flag, Ipvlan, IpvlanPort, Mode
from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.spec import LinkSpec
from simvlan.rtnl.stacking import check_level

if TYPE_CHECKING:
    from simvlan.network import Netns, Network

_FLAGS = {flag.value: flag for flag in Flag}


def read_options(info: Mapping[str, object]) -> tuple[Mode | None, Flag | None]:
    """Read `mode` and the flag words (`bridge`, `private`, `vepa`: true) of a request (ipvlan_nl_validate)."""
    for key in info:
        if key != "mode" and key not in _FLAGS:
            raise Unsupported(f"ipvlan takes no option {key!r}")
    try:
        mode = Mode(info["mode"]) if "mode" in info else None
    except ValueError:
        raise RtnlError(EINVAL) from None
    flags = [flag for word, flag in _FLAGS.items() if info.get(word)]
    if Flag.PRIVATE in flags and Flag.VEPA in flags:
        raise RtnlError(EINVAL)
    return mode, flags[-1] if flags else None


def find_port(lower: Device | None) -> IpvlanPort:
    """Return the port of the real parent, or a new one where there is none yet."""
    if lower is None:
        raise RtnlError(EINVAL)
    if isinstance(lower, Ipvlan):
        return lower.port
    if isinstance(lower.rx_handler, IpvlanPort):
        return lower.rx_handler
    if isinstance(lower, Loopback):
        raise RtnlError(EINVAL)
    if lower.rx_handler is not None or lower.master is not None:
        raise RtnlError(EBUSY)
    return IpvlanPort(lower)


class IpvlanKind:
    """`type ipvlan [mode l2|l3|l3s] [bridge|private|vepa]`."""

    name = "ipvlan"

    def create(self, net: Network, ns: Netns, spec: LinkSpec) -> Device:
        """Make a slave; an address given is ignored, the parent's is used."""
        mode, flag = read_options(spec.info)
        if spec.mtu is not None and spec.mtu < Ipvlan.min_mtu:
            raise RtnlError(EINVAL, "mtu less than device minimum.")
        if spec.mtu is not None and spec.mtu > Ipvlan.max_mtu:
            raise RtnlError(EINVAL, "mtu greater than device maximum.")
        port = find_port(spec.link)
        check_level(port.dev)
        slave = Ipvlan(str(spec.name), ns, port)
        if not port.join(slave):
            raise RtnlError(ENOSPC)
        slave.mtu = slave.mtu if spec.mtu is None else spec.mtu
        net.register(slave, ns, spec.ifindex or 0)
        net.announce(port.dev)
        port.flag = flag or port.flag
        port.set_mode(net, mode or Mode.L3)
        port.slaves.append(slave)
        return slave

    def change(self, net: Network, dev: Device, info: Mapping[str, object]) -> None:
        """Change mode and flags, for every slave of the parent."""
        assert isinstance(dev, Ipvlan)
        mode, flag = read_options(info)
        if mode is not None:
            dev.port.set_mode(net, mode)
        dev.port.flag = flag or dev.port.flag

    def delete(self, net: Network, dev: Device) -> None:
        """Delete the slave."""
        net.unregister(dev)

    def info(self, dev: Device) -> dict[str, object]:
        """Return mode and flag as `ip -d -j link` shows them."""
        assert isinstance(dev, Ipvlan)
        return {"mode": dev.port.mode.value, dev.port.flag.value: True}
