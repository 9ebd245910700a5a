"""Routes: add, append, replace, change, delete. Mirrors fib_table_insert, fib_table_delete and fib_create_info."""

from __future__ import annotations

from dataclasses import replace
from errno import EEXIST, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ENOENT, ESRCH
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.stack import fib
from simvlan.stack.fib import LOCAL_TABLE, Flow, Route
from simvlan.stack.ipaddr import HOST, LINK, MASKS, NOWHERE

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns, Network
    from simvlan.stack.netstack import Stack

_LEAST_SCOPE = {fib.LOCAL: HOST, fib.BROADCAST: LINK}


def route_add(net: Network, ns: Netns, route: Route) -> None:
    """Add a route; one of the same prefix, TOS and metric is in the way (`ip route add`)."""
    made = _checked(ns.stack, route)
    if _peers(ns.stack, made):
        raise RtnlError(EEXIST)
    _insert(ns.stack, made)


def route_append(net: Network, ns: Netns, route: Route) -> None:
    """Add a route behind its equals (`ip route append`)."""
    made = _checked(ns.stack, route)
    if any(_identical(made, other) for other in _peers(ns.stack, made)):
        raise RtnlError(EEXIST)
    _insert(ns.stack, made)


def route_replace(net: Network, ns: Netns, route: Route) -> None:
    """Put a route in the place of the first of its prefix, TOS and metric, or add it (`ip route replace`)."""
    made = _checked(ns.stack, route)
    peers = _peers(ns.stack, made)
    if peers:
        ns.stack.fib.remove(peers[0])
        ns.stack.pmtu.flush()
        ns.stack.fib.insert(made)
        return
    _insert(ns.stack, made)


def route_change(net: Network, ns: Netns, route: Route) -> None:
    """Change a route that is there (`ip route change`)."""
    made = _checked(ns.stack, route)
    peers = _peers(ns.stack, made)
    if not peers:
        raise RtnlError(ENOENT)
    ns.stack.fib.remove(peers[0])
    ns.stack.pmtu.flush()
    ns.stack.fib.insert(made)


def route_del(net: Network, ns: Netns, **keys: object) -> None:
    """Delete the first route that fits what is given; what is None fits anything (`ip route del`)."""
    number = int(keys.get("table") or fib.MAIN_TABLE)  # type: ignore[call-overload]
    table = ns.stack.fib.tables.get(number)
    if table is None:
        raise RtnlError(ESRCH, "FIB table does not exist.")
    dst, plen = int(keys.get("dst") or 0), int(keys.get("plen") or 0)  # type: ignore[call-overload]
    if dst & ~MASKS[plen] & 0xFFFF_FFFF:
        raise RtnlError(EINVAL, "Invalid prefix for given prefix length.")
    for route in table.of_prefix(dst, plen):
        if _fits(route, keys):
            route_remove(net, ns, route)
            return
    raise RtnlError(ESRCH)


def _fits(route: Route, keys: dict[str, object]) -> bool:
    """Compare what a deletion names (the loop of fib_table_delete, fib_nh_match)."""
    if route.tos != (keys.get("tos") or 0):
        return False
    scope = keys.get("scope")
    if scope not in (None, NOWHERE) and route.scope != scope:
        return False
    exact = (("type", route.type), ("dev", route.dev), ("via", route.via), ("src", route.src))
    if any(keys.get(name) not in (None, have) for name, have in exact):
        return False
    loose = (("proto", route.proto), ("metric", route.metric))
    return all(keys.get(name) in (None, 0, have) for name, have in loose)


def route_remove(net: Network, ns: Netns, route: Route) -> None:
    """Delete exactly this route."""
    ns.stack.flush_routes([route])
    ns.stack.custom_local = any(
        r.type == fib.LOCAL and r.proto != fib.PROTO_KERNEL for r in ns.stack.fib.routes()
    )  # fmt: skip


def _peers(stack: Stack, route: Route) -> list[Route]:
    """The routes of the same prefix, TOS and metric."""
    aliases = stack.fib.table(route.table).of_prefix(route.dst, route.plen)
    return [r for r in aliases if r.tos == route.tos and r.metric == route.metric]


def _identical(a: Route, b: Route) -> bool:
    return (a.type, a.dev, a.via, a.src, a.scope, a.proto, a.metrics) == (
        b.type, b.dev, b.via, b.src, b.scope, b.proto, b.metrics
    )  # fmt: skip


def _insert(stack: Stack, route: Route) -> None:
    stack.fib.insert(route, after_equals=True)
    stack.pmtu.flush()
    if route.type == fib.LOCAL:
        stack.custom_local = True


def _checked(stack: Stack, route: Route) -> Route:
    """Refuse what fib_create_info refuses; find the device of a gateway."""
    stack.fib.table(route.table)  # made before the checks, and not unmade by them
    if route.dst & ~MASKS[route.plen] & 0xFFFF_FFFF:
        raise RtnlError(EINVAL, "Invalid prefix for given prefix length.")
    if route.scope < _LEAST_SCOPE.get(route.type, 0):
        raise RtnlError(EINVAL, "Invalid scope.")
    if route.error:
        if route.via is not None or route.dev is not None:
            raise RtnlError(EINVAL, "Gateway, device and multipath can not be specified for this route type.")
        return route
    made = replace(route)
    if made.src is not None and stack.addr_type(made.src) != fib.LOCAL and not _brings(made):
        raise RtnlError(EINVAL, "Invalid prefsrc address.")
    if made.scope >= HOST and made.via is not None:
        raise RtnlError(EINVAL, "Route with host scope can not have a gateway.")
    made.dev = _gateway(stack, made) if made.via is not None else _direct(stack, made)
    return made


def _brings(route: Route) -> bool:
    """A local route may prefer the very address it makes local (fib_valid_prefsrc)."""
    return route.type == fib.LOCAL and route.src == route.dst and route.table == LOCAL_TABLE


def _direct(stack: Stack, route: Route) -> Device:
    """Check the device of a route without gateway (fib_check_nh_nongw)."""
    if route.dev is None or route.dev in stack.without_ip:
        raise RtnlError(ENODEV)
    if not route.dev.up and route.type != fib.LOCAL:
        raise RtnlError(ENETDOWN, "Device for nexthop is not up.")
    return route.dev


def _gateway(stack: Stack, route: Route) -> Device:
    """Check a gateway: on a subnet we have a route to, not ourselves (fib_check_nh_v4_gw)."""
    via, dev = route.via, route.dev
    assert via is not None
    if route.onlink:
        if route.scope >= LINK:
            raise RtnlError(EINVAL, "Nexthop has invalid scope.")
        return _onlink(stack, via, dev)
    found = stack.fib.lookup(Flow(via, 0, 0, dev, stack.lo, 0, max(route.scope + 1, LINK)))
    if found is None or found.error:
        raise RtnlError(ENETUNREACH if found is None else found.error, "Nexthop has invalid gateway.")
    if found.type not in (fib.UNICAST, fib.LOCAL):
        raise RtnlError(EINVAL, "Nexthop has invalid gateway.")
    assert found.dev is not None  # routes of these types have one
    if not found.dev.up:
        raise RtnlError(ENETDOWN)
    return found.dev


def _onlink(stack: Stack, via: int, dev: Device | None) -> Device:
    if dev is None:
        raise RtnlError(ENODEV, "Nexthop device required for onlink.")
    if not dev.up:
        raise RtnlError(ENETDOWN, "Nexthop device is not up.")
    if stack.addr_type(via) != fib.UNICAST:
        raise RtnlError(EINVAL, "Nexthop has invalid gateway.")
    return dev
