"""What multicast snooping keeps for each port. Mirrors struct net_bridge_mcast_port (net/bridge/br_multicast.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.bridge_timer import BridgeTimer, TickTimer
from simvlan.frame import IPV4, IPV6

if TYPE_CHECKING:
    from simvlan.devices.bridge_port import BridgePort

ROUTER_NEVER, ROUTER_AUTO, ROUTER_ALWAYS, ROUTER_TEMPORARY = range(4)
"""MDB_RTR_TYPE_*: multicast_router of a port; a bridge knows the first three."""

FAMILIES = (IPV4, IPV6)


class PortQuery:
    """The queries this bridge itself sends out of one port, for one protocol."""

    __slots__ = ("startup_sent", "timer")

    def __init__(self, port: BridgePort, family: int) -> None:
        self.startup_sent = 0
        mcast = port.bridge.mcast
        self.timer = TickTimer(port.bridge.kernel, mcast.port_query_expired, port, family)


class PortSnooping:
    """Whether a multicast router is behind a port, and the port's own queries.

    Attributes:
        router: ROUTER_*; router_timers: until when a router heard there counts, per protocol.
    """

    __slots__ = ("queries", "router", "router_timers")

    def __init__(self, port: BridgePort) -> None:
        kernel = port.bridge.kernel
        self.router = ROUTER_AUTO
        self.router_timers = {f: BridgeTimer(kernel, port.bridge.mcast.router_expired, port) for f in FAMILIES}
        self.queries = {f: PortQuery(port, f) for f in FAMILIES}

    def is_router(self, family: int) -> bool:
        """Whether group traffic of a protocol goes to this port regardless of membership."""
        if self.router == ROUTER_ALWAYS:
            return True
        return self.router != ROUTER_NEVER and self.router_timers[family].pending

    def forget_temporary(self) -> None:
        """Who was a router for a time is one by queries from now on (br_multicast_rport_del_notify)."""
        if self.router == ROUTER_TEMPORARY:
            self.router = ROUTER_AUTO

    def stop(self) -> None:
        """Forget routers and stop querying (the port went down)."""
        if any(timer.pending for timer in self.router_timers.values()):
            self.forget_temporary()
        for family in FAMILIES:
            self.router_timers[family].stop()
            self.queries[family].timer.stop()
