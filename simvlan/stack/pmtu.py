"""What a destination taught us: path MTUs and redirects. Mirrors the fib_nh_exception half of net/ipv4/route.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND

if TYPE_CHECKING:
    from simvlan.stack.netstack import Stack
    from simvlan.stack.output import RouteResult

MTU_EXPIRES_NS = 600 * SECOND
MIN_PMTU = 552
REDIRECT_TIMEOUT_NS = 300 * SECOND


class Exceptions:
    """Per destination and device: a smaller MTU, another gateway, until when."""

    __slots__ = ("gateways", "mtus", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.mtus: dict[tuple[int, int], tuple[int, bool, int]] = {}
        """(destination, ifindex) -> (mtu, locked, expiry)."""
        self.gateways: dict[tuple[int, int], tuple[int, int]] = {}
        """(destination, ifindex) -> (gateway, expiry)."""

    def apply(self, made: RouteResult) -> None:
        """Let a fresh route follow what is known of its destination (find_exception, rt_bind_exception)."""
        if not self.mtus and not self.gateways:
            return
        key, now = (made.dst, made.dev.ifindex), self.stack.kernel.now
        known = self.mtus.get(key)
        if known is not None:
            if known[2] > now:
                made.mtu, made.mtu_locked, made.expires_ns = known[0], known[1], known[2]
            else:
                del self.mtus[key]
        gateway = self.gateways.get(key)
        if gateway is not None:
            if gateway[1] > now:
                made.gateway, made.redirected = gateway[0], True
                made.expires_ns = made.expires_ns or gateway[1]
            else:
                del self.gateways[key]

    def learn_mtu(self, made: RouteResult, mtu: int) -> None:
        """A router says its next link carries only *mtu* (__ip_rt_update_pmtu)."""
        old = made.path_mtu
        if made.mtu_locked or old < mtu:
            return
        locked = mtu < MIN_PMTU
        if locked:
            mtu = min(old, MIN_PMTU)
        if mtu == old and not made.expires_ns:
            return
        self.mtus[made.dst, made.dev.ifindex] = (mtu, locked, self.stack.kernel.now + MTU_EXPIRES_NS)

    def learn_gateway(self, made: RouteResult, gateway: int) -> None:
        """A router says another one is nearer (__ip_do_redirect)."""
        self.gateways[made.dst, made.dev.ifindex] = (gateway, self.stack.kernel.now + REDIRECT_TIMEOUT_NS)

    def flush(self) -> None:
        """Forget everything, as any change of routes does (rt_cache_flush, a new nexthop has no exceptions)."""
        self.mtus.clear()
        self.gateways.clear()
