"""What iperf3 3.12 prints: its units and its lines (units.c, iperf_locale.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RULE = " ".join("-" * 25) + "\n"
NAMES = " KMGT"


def digits(value: float) -> str:
    """Three digits, as unit_snprintf chooses them."""
    return f"{value:4.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def scaled(value: float, base: int) -> str:
    """A number with the letter it is counted in."""
    step = 0
    while value >= base and step < len(NAMES) - 1:
        value /= base
        step += 1
    return f"{digits(value)} {NAMES[step].strip()}"


def octets(value: float) -> str:
    """`2.50 MBytes`."""
    return f"{scaled(value, 1024)}Bytes"


def rate(bits: float, unit: str = "a") -> str:
    """`21.0 Mbits/sec`; in bits (-f kmgt) or octets (-f KMGT) of one size."""
    if unit == "a":
        return f"{scaled(bits, 1000)}bits/sec"
    step = NAMES.index(unit.upper())
    if unit.isupper():
        return f"{digits(bits / 8 / 1024**step)} {unit}Bytes/sec"
    return f"{digits(bits / 1000**step)} {unit.upper()}bits/sec"


@dataclass
class Interval:
    """What one stream, or all of a direction, did between two moments, in seconds since the test began."""

    start: float
    end: float
    size: int
    repeats: int = 0
    cwnd: int = 0
    packets: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    rtt_us: int = 0
    sending: bool = False
    number: int = 0
    """0: the sum of several streams."""
    role: str = ""
    """`TX-C`, where both directions are shown."""
    omitted: bool = False
    """Of the beginning that does not count (-O)."""

    @property
    def bps(self) -> float:
        """Bits per second."""
        return self.size * 8 / (self.end - self.start) if self.end > self.start else 0.0

    @property
    def lost_percent(self) -> float:
        """Datagrams that did not come."""
        return 100 * self.lost / self.packets if self.packets else 0

    def _head(self, unit: str) -> str:
        who = f"[{self.number:3}]" if self.number else "[SUM]"
        who += f"[{self.role}]" if self.role else ""
        return f"{who} {self.start:6.2f}-{self.end:<6.2f} sec  {octets(self.size)}  {rate(self.bps, unit)}"

    def _losses(self) -> str:
        return f"{self.jitter_ms:5.3f} ms  {self.lost}/{self.packets} ({self.lost_percent:.2g}%)"

    def line(self, udp: bool, unit: str = "a") -> str:
        """A line of the reports."""
        made = self._plain_line(udp, unit)
        return f"{made[:-1]}(omitted)\n" if self.omitted else made

    def _plain_line(self, udp: bool, unit: str) -> str:
        head = self._head(unit)
        if udp and self.sending:
            return f"{head}{'':{12 if self.role else 2}}{self.packets}  \n"
        if udp:
            return f"{head}  {self._losses()}  \n"
        if not self.sending:
            return f"{head}{'':18}\n"
        return f"{head}  {self.repeats:3}{f'   {octets(self.cwnd)}       ' if self.number else ' ' * 13}\n"

    def total(self, udp: bool, side: str, unit: str = "a") -> str:
        """A line of the totals."""
        head = self._head(unit)
        if udp:
            return f"{head}  {self._losses()}  {side}\n"
        return f"{head}  {self.repeats:3}{'':13}{side}\n" if side == "sender" else f"{head}{'':18}{side}\n"


def summed(parts: Sequence[Interval]) -> Interval:
    """Several streams of one direction together."""
    count = len(parts) or 1
    return Interval(
        parts[0].start, parts[0].end, sum(p.size for p in parts), sum(p.repeats for p in parts), 0,
        sum(p.packets for p in parts), sum(p.lost for p in parts), sum(p.jitter_ms for p in parts) / count,
        sending=parts[0].sending, role=parts[0].role, omitted=parts[0].omitted,
    )  # fmt: skip


def heading(udp: bool, *, sending: bool, bidir: bool = False, total: bool = False) -> str:
    """The line above a report."""
    begin = f"[ ID]{'[Role]' if bidir else ''} Interval           Transfer     Bitrate"
    if udp:
        plain = sending and not total and not bidir
        return f"{begin}         {'Total Datagrams' if plain else 'Jitter    Lost/Total Datagrams'}\n"
    return f"{begin}{('         Retr' if total else '         Retr  Cwnd') if sending or bidir else ''}\n"
