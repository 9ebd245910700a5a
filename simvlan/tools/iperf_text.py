"""What iperf3 3.12 prints: its units, its lines, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RULE = " ".join("-" * 25) + "\n"
SECOND = 1_000_000_000


def scaled(value: float, base: int, names: str) -> str:
    """Three digits and a unit, as unit_snprintf chooses them."""
    step = 0
    while value >= base and step < len(names) - 1:
        value /= base
        step += 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:4.{digits}f} {names[step].strip()}"


def octets(value: float) -> str:
    """`2.50 MBytes`."""
    return f"{scaled(value, 1024, ' KMGT')}Bytes"


def rate(bits: float) -> str:
    """`21.0 Mbits/sec`."""
    return f"{scaled(bits, 1000, ' KMGT')}bits/sec"


@dataclass
class Interval:
    """What happened between two moments, in seconds since the test began."""

    start: float
    end: float
    size: int
    repeats: int = 0
    cwnd: int = 0
    packets: int = 0
    lost: int = 0
    jitter_ms: float = 0.0

    @property
    def bps(self) -> float:
        """Bits per second."""
        return self.size * 8 / (self.end - self.start) if self.end > self.start else 0.0

    def _head(self, number: int) -> str:
        return f"[{number:3}] {self.start:6.2f}-{self.end:<6.2f} sec  {octets(self.size)}  {rate(self.bps)}"

    def sending(self, number: int, udp: bool) -> str:
        """One line of a client's report."""
        if udp:
            return f"{self._head(number)}  {self.packets}  \n"
        return f"{self._head(number)}  {self.repeats:3}   {octets(self.cwnd)}       \n"

    def receiving(self, number: int, udp: bool) -> str:
        """One line of a server's report."""
        return f"{self._head(number)}  {self._losses()}  \n" if udp else f"{self._head(number)}{'':18}\n"

    def _losses(self) -> str:
        share = 100 * self.lost / self.packets if self.packets else 0
        return f"{self.jitter_ms:5.3f} ms  {self.lost}/{self.packets} ({share:.2g}%)"

    def total(self, number: int, udp: bool, side: str) -> str:
        """One line of the totals."""
        if udp:
            return f"{self._head(number)}  {self._losses()}  {side}\n"
        return f"{self._head(number)}  {self.repeats:3}{'':13}{side}\n" if side == "sender" else (
            f"{self._head(number)}{'':18}{side}\n")  # fmt: skip

    def as_json(self, udp: bool, sender: bool) -> dict[str, Any]:
        """The same for -J."""
        found: dict[str, Any] = {
            "start": self.start, "end": self.end, "seconds": self.end - self.start, "bytes": self.size,
            "bits_per_second": self.bps,
        }  # fmt: skip
        if udp:
            found |= {"jitter_ms": self.jitter_ms, "lost_packets": self.lost, "packets": self.packets}
            found["lost_percent"] = 100 * self.lost / self.packets if self.packets else 0
        elif sender:
            found["retransmits"] = self.repeats
        return found | {"sender": sender}


def heading(udp: bool, sender: bool, total: bool = False) -> str:
    """The line above a report."""
    if udp:
        tail = "Total Datagrams" if sender and not total else "Jitter    Lost/Total Datagrams"
        return f"[ ID] Interval           Transfer     Bitrate         {tail}\n"
    tail = ("         Retr" if total else "         Retr  Cwnd") if sender else ""
    return f"[ ID] Interval           Transfer     Bitrate{tail}\n"
