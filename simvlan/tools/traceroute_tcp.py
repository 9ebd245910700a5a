"""traceroute -T of traceroute 2.1.2 (mod-tcp.c): half-open connections, each SYN from a port of its own.

A raw socket carries them. Whoever answers (SYN and ACK, or RST) is the target; the kernel knows no such connection and
resets it.
"""

from __future__ import annotations

from struct import pack
from typing import Any

from simvlan.stack.packet import TCP, checksum, pseudo_sum

SYN, RST, ACK = 2, 4, 16
OPTIONS = 20
WSCALE = 2
"""What mod-tcp asks for; its window is four segments."""


class SynProbes:
    """The sockets of one run: one that sends and hears all probes, and a port kept for each."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace
        self.stack, self.family = trace.stack, trace.stack.family_of(trace.family)
        self.rng = trace.proc.lab.network.rng
        self.raw: Any = None
        self.ports: dict[int, int] = {}
        """Which probe a port belongs to."""
        self.kept: list[Any] = []
        self.stamp = self.rng.getrandbits(32)

    def open(self) -> Any:
        """The raw socket."""
        if self.raw is None:
            self.raw = self.trace.bound(self.stack.open_raw(TCP, self.trace.family))
        return self.raw

    def send(self, index: int, port: int) -> None:
        """Send the SYN of a probe."""
        trace, route = self.trace, self.raw.route(self.trace.address, self.trace.zone)
        holder = self.stack.open_tcp(trace.family)
        self.kept.append(holder)
        holder.tcp.take_port(holder, 0)
        self.ports[holder.port] = index
        mss = route.path_mtu - (40 if trace.family == 4 else 60)
        options = pack("!BBHBBBBIIBBBB", 2, 4, mss, 4, 2, 8, 10, self.stamp, 0, 1, 3, 3, WSCALE)
        seq, window = self.rng.getrandbits(32), min(4 * mss, 0xFFFF)
        head = pack("!HHIIHHHH", holder.port, port, seq, 0, (20 + OPTIONS) << 10 | SYN, window, 0, 0) + options
        body = head[:16] + self._sum(route, head) + head[18:]
        self.raw.send(body, trace.address, trace.zone)

    def _sum(self, route: Any, octets: bytes) -> bytes:
        """The checksum, over the pseudo header too."""
        if self.trace.family == 4:
            front = pseudo_sum(route.src, route.dst, TCP, len(octets)).to_bytes(2, "big")
        else:
            front = route.src.to_bytes(16, "big") + route.dst.to_bytes(16, "big") + pack("!II", len(octets), TCP)
        return checksum(front + octets).to_bytes(2, "big")

    def asked(self, ports: bytes) -> int | None:
        """The probe that a quoted segment is, by its ports."""
        return self.ports.get(int.from_bytes(ports[:2], "big"))

    def answered(self, got: Any) -> int | None:
        """The probe that a segment answers, None for any other segment."""
        data = got.data[(got.data[0] & 15) * 4 :] if self.trace.family == 4 else got.data
        if len(data) < 20 or got.src != self.trace.address or (not data[13] & RST and data[13] & 0x17 != SYN | ACK):
            return None
        return self.ports.get(int.from_bytes(data[2:4], "big"))

    def close(self) -> None:
        """Give the ports back."""
        for each in self.kept:
            each.close()
