"""IPv6 routes: add, append, replace, change, delete. Mirrors ip6_route_info_create, fib6_add_rt2node, ip6_route_del."""

from __future__ import annotations

from errno import EACCES, EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENODEV, ENOENT, ESRCH
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError, Unsupported
from simvlan.stack import fib
from simvlan.stack.ipv6.addr import is_link_local, is_multicast, mask
from simvlan.stack.ipv6.fib6 import Flow6, Route6
from simvlan.stack.ipv6.settings import PRIORITY_USER

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns, Network
    from simvlan.stack.ipv6.host import Ip6


def route6_add(net: Network, ns: Netns, route: Route6) -> None:
    """Add a route; one of the same prefix and metric is in the way (`ip -6 route add`)."""
    ip6 = _stack(ns)
    made = _checked(ip6, route)
    if _peers(ip6, made):
        raise RtnlError(EEXIST)
    _insert(ip6, made)


def route6_append(net: Network, ns: Netns, route: Route6) -> None:
    """Add a route beside others of its metric; two gateways would share the load, which is not modelled."""
    ip6 = _stack(ns)
    made = _checked(ip6, route)
    peers = _peers(ip6, made)
    if any((p.dev, p.via, p.type) == (made.dev, made.via, made.type) for p in peers):
        raise RtnlError(EEXIST)
    if made.via is not None and any(p.via is not None for p in peers):
        raise Unsupported("two gateways of one metric: multipath routes of IPv6 are not modelled")
    _insert(ip6, made)


def route6_replace(net: Network, ns: Netns, route: Route6) -> None:
    """Put a route in the place of the first of its prefix and metric, or add it (`ip -6 route replace`)."""
    ip6 = _stack(ns)
    made = _checked(ip6, route)
    for peer in _peers(ip6, made)[:1]:
        ip6.fib.remove(peer)
    _insert(ip6, made)


def route6_change(net: Network, ns: Netns, route: Route6) -> None:
    """Change a route that is there (`ip -6 route change`)."""
    ip6 = _stack(ns)
    made = _checked(ip6, route)
    peers = _peers(ip6, made)
    if not peers:
        raise RtnlError(ENOENT, "Can not replace route - no match found.")
    ip6.fib.remove(peers[0])
    _insert(ip6, made)


def route6_del(net: Network, ns: Netns, **keys: object) -> None:
    """Delete the first route that fits what is given; what is None fits anything (`ip -6 route del`)."""
    ip6: Ip6 | None = ns.stack.ip6
    number = int(keys.get("table") or fib.MAIN_TABLE)  # type: ignore[call-overload]
    if ip6 is None or number not in ip6.fib.tables:
        raise RtnlError(ESRCH, "FIB table does not exist.")
    dst, plen = int(keys.get("dst") or 0), int(keys.get("plen") or 0)  # type: ignore[call-overload]
    for route in list(ip6.fib.tables[number].of_prefix(dst & mask(plen), plen)):
        if _fits(route, keys):
            ip6.fib.remove(route)
            return
    raise RtnlError(ESRCH)


def route6_remove(ns: Netns, route: Route6) -> None:
    """Delete exactly this route."""
    _stack(ns).fib.remove(route)


def _fits(route: Route6, keys: dict[str, object]) -> bool:
    exact = (("dev", route.dev), ("via", route.via), ("src", route.src))
    if any(keys.get(name) not in (None, have) for name, have in exact):
        return False
    if keys.get("type") not in (None, fib.UNICAST, route.type):
        return False
    loose = (("proto", route.proto), ("metric", route.metric))
    return all(keys.get(name) in (None, 0, have) for name, have in loose)


def _stack(ns: Netns) -> Ip6:
    made: Ip6 = ns.stack.with_ip6()
    return made


def _peers(ip6: Ip6, route: Route6) -> list[Route6]:
    return [r for r in ip6.fib.table(route.table).of_prefix(route.dst, route.plen) if r.metric == route.metric]


def _insert(ip6: Ip6, route: Route6) -> None:
    ip6.fib.insert(route)
    if route.expires_ns is not None:
        ip6.expire_route(route, route.expires_ns)


def _checked(ip6: Ip6, route: Route6) -> Route6:
    """Refuse what ip6_route_info_create and fib6_nh_init refuse; find the device of a gateway."""
    made = route.copy(dst=route.dst & mask(route.plen), metric=route.metric or PRIORITY_USER)
    lo = ip6.stack.lo
    if made.error:
        made.dev, made.via = lo, None
        return made
    if made.dev is not None and ip6.idev(made.dev) is None:
        raise RtnlError(ENODEV)
    if made.onlink:
        _check_onlink(made)
    if made.dev is lo and made.type == fib.UNICAST and made.via is None:
        return _with_source(ip6, made)
    if made.via is not None:
        made.dev = _gateway(ip6, made)
    return _with_source(ip6, _check_device(ip6, made))


def _check_onlink(route: Route6) -> None:
    """A gateway that is said to be there needs a device that is up."""
    if route.dev is None:
        raise RtnlError(ENODEV, "Nexthop device required for onlink.")
    if not route.dev.up:
        raise RtnlError(ENETDOWN, "Nexthop device is not up.")


def _check_device(ip6: Ip6, route: Route6) -> Route6:
    """The device takes part in IPv6 and is up."""
    idev = ip6.idev(route.dev)
    if route.dev is None:
        raise RtnlError(ENODEV)
    if idev is None or idev.disabled:
        raise RtnlError(EACCES, "IPv6 is disabled on nexthop device.")
    if not route.dev.up:
        raise RtnlError(ENETDOWN, "Nexthop device is not up.")
    return route


def _with_source(ip6: Ip6, route: Route6) -> Route6:
    if route.src is not None and ip6.owner(route.src) is None:
        raise RtnlError(EINVAL, "Invalid source address.")
    return route


def _gateway(ip6: Ip6, route: Route6) -> Device:
    """Check a gateway: a neighbour that is not ourselves (ip6_validate_gw)."""
    via, dev = route.via, route.dev
    assert via is not None
    if dev is not None:
        _refuse_own(ip6, via, dev)
    if not is_link_local(via):
        if is_multicast(via) or not via:
            raise RtnlError(EINVAL, "Invalid gateway address.")
        found = _reached(ip6, route, via)
    elif dev is None:
        raise RtnlError(EINVAL, "Egress device not specified.")
    else:
        found = dev
    if not found.kind:
        raise RtnlError(EINVAL, "Egress device can not be loopback device for this route.")
    if dev is None:
        _refuse_own(ip6, via, found)
    return found


def _refuse_own(ip6: Ip6, via: int, dev: Device) -> None:
    """An address of the host's own leads nowhere, in use or not yet (ipv6_chk_addr_and_flags)."""
    where = [ip6.idev(dev)] if is_link_local(via) else ip6.devices.values()
    if any(idev is not None and idev.find(via) for idev in where):
        raise RtnlError(EINVAL, "Gateway can not be a local address.")


def _reached(ip6: Ip6, route: Route6, via: int) -> Device:
    """The device by which a gateway is a neighbour (ip6_route_check_nh, ip6_route_check_nh_onlink)."""
    dev = route.dev
    if route.onlink and dev is not None:
        main = ip6.fib.table(fib.MAIN_TABLE).lookup(Flow6(via, 0, dev, False, False), ip6.reach, ip6.now)
        if main is not None and main.dst and not main.error and (main.type != fib.UNICAST or main.dev is not dev):
            raise RtnlError(EINVAL, "Nexthop has invalid gateway or device mismatch.")
        return dev
    found = ip6.fib.lookup(Flow6(via, 0, dev, dev is not None, False), ip6.reach, ip6.now)
    if found is None or found.error or found.via is not None or found.dev is None:
        raise RtnlError(EHOSTUNREACH)
    return found.dev
