"""A packet as a rule sees it. Mirrors struct xt_action_param: the devices of the hook, header fields, tracking."""

from __future__ import annotations

from collections.abc import Callable

from simvlan.netfilter.conntrack import ESTABLISHED, NEW, RELATED, Seen
from simvlan.stack.packet import ICMP, OFFSET, TCP, UDP, Packet

__all__ = ["ESTABLISHED", "NEW", "RELATED", "View"]


class View:
    """What rules match: made once per table and packet."""

    __slots__ = ("address_kind", "bridged", "dport", "dst", "icmp_code", "icmp_type", "in_dev", "later_fragment",
                 "out_dev", "proto", "size", "sport", "src", "states")  # fmt: skip

    def __init__(
        self, found: Packet, in_dev: str, out_dev: str, seen: Seen | None, kind: Callable[[int], str], bridged: bool
    ) -> None:
        self.in_dev, self.out_dev, self.bridged = in_dev, out_dev, bridged
        self.src, self.dst, self.proto = found.src, found.dst, found.proto
        self.size = len(found.data)
        self.later_fragment = bool(found.frag & OFFSET)
        self.address_kind = kind
        self.states = states_of(seen)
        self.sport = self.dport = self.icmp_type = self.icmp_code = -1
        at, data = found.header_len, found.data
        if self.later_fragment or len(data) < at + 4:
            return
        if self.proto in (TCP, UDP):
            self.sport, self.dport = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
        elif self.proto == ICMP:
            self.icmp_type, self.icmp_code = data[at], data[at + 1]

    def kind_of(self, address: int) -> str:
        """LOCAL, UNICAST, BROADCAST or MULTICAST."""
        return self.address_kind(address).upper()


def states_of(seen: Seen | None) -> frozenset[str]:
    """The states a packet is in: one of tracking, and SNAT or DNAT where its connection is translated."""
    if seen is None:
        return _INVALID
    if seen.conn is None or not (seen.conn.src_nat or seen.conn.dst_nat):
        return _PLAIN[seen.state]
    translated = {name for name, on in (("SNAT", seen.conn.src_nat), ("DNAT", seen.conn.dst_nat)) if on}
    return _PLAIN[seen.state] | translated


_PLAIN = {name: frozenset((name,)) for name in (NEW, ESTABLISHED, RELATED, "INVALID")}
_INVALID = _PLAIN["INVALID"]
