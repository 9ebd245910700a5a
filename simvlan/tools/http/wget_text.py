"""How GNU Wget 1.21.3 writes sizes, times and rates, and its dots (utils.c, progress.c)."""

from __future__ import annotations

from collections.abc import Callable

from simvlan.clock import SECOND

ROW, DOT, CLUSTER = 51_200, 1024, 10
HALF_TICK_S = 5e-10
"""What a time of 0 is taken for: half the clock's resolution (calc_rate)."""


def decimal(number: float) -> str:
    """A time in seconds (print_decimal)."""
    if number >= 9.95:
        return f"{number:.0f}"
    if number >= 0.95:
        return f"{number:.1f}"
    return f"{number:.1g}" if number >= 0.001 else "0.001" if number >= 0.0005 else "0"


def human(count: int) -> str:
    """A size with one letter (human_readable)."""
    value, letter = float(count), ""
    for letter in ("", "K", "M", "G", "T"):
        if value < 1024 or letter == "T":
            break
        value /= 1024
    if not letter:
        return str(count)
    return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"


def scaled(count: int, elapsed_ns: int) -> tuple[float, int, int]:
    """Octets a second: number, digits after the point, unit (0 to 3)."""
    value, unit = count / (elapsed_ns / SECOND or HALF_TICK_S), 0
    while value >= 1024 and unit < 3:
        value, unit = value / 1024, unit + 1
    return value, 0 if value >= 99.95 else 1 if value >= 9.995 else 2, unit


def rate(count: int, elapsed_ns: int) -> str:
    """`626 KB/s`."""
    value, digits, unit = scaled(count, elapsed_ns)
    return f"{value:.{digits}f} {('B', 'KB', 'MB', 'GB')[unit]}/s"


def eta(seconds: float) -> str:
    """A time that is left (eta_to_human_short)."""
    whole = int(seconds + 0.5)
    if whole < 100:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60}s" if whole < 6000 else f"{whole // 3600}h{whole // 60 % 60}m"


class Dots:
    """The progress of one download, a dot for each kilobyte.

    Args:
        say: where it goes.
        length: the whole, if that is known.
        now: the time in ns.
    """

    def __init__(self, say: Callable[[str], None], length: int | None, now: Callable[[], int]) -> None:
        self.say, self.length, self.now = say, length, now
        self.began = self.row_began = now()
        self.count = self.shown = self.dots = self.rows = 0

    @property
    def elapsed(self) -> int:
        """How long it has taken, in ns."""
        return self.now() - self.began

    def add(self, count: int) -> None:
        """So many octets came."""
        self.count += count
        self.shown += count
        while self.shown >= DOT:
            self.shown -= DOT
            self._dot()

    def _dot(self) -> None:
        if not self.dots:
            self._begin()
        self.say(("" if self.dots % CLUSTER else " ") + ".")
        self.dots += 1
        if self.dots == ROW // DOT:
            self.dots, self.rows = 0, self.rows + 1
            self._stats(ROW, last=False)

    def _begin(self) -> None:
        self.say(f"\n{self.rows * ROW // 1024:6d}K")

    def _stats(self, octets: int, last: bool) -> None:
        """What stands behind a row."""
        text = ""
        if self.length:
            text = f"{(self.count if last else self.rows * ROW) * 100 // self.length:3d}%"
        value, digits, unit = scaled(octets, self.now() - self.row_began)
        self.row_began = self.now()
        text += f" {value:4.{digits}f}{' KMG'[unit]}"
        if last:
            text += f"={decimal(self.elapsed / SECOND)}s"
        elif self.length:
            done = self.rows * ROW
            text += f" {eta(self.elapsed / SECOND * (self.length - done) / done)}"
        self.say(text)

    def end(self) -> None:
        """Fill the last row."""
        if not self.dots:
            self._begin()
        blanks = "".join((" " if i % CLUSTER == 0 else "") + " " for i in range(self.dots, ROW // DOT))
        self.say(blanks)
        self._stats(self.dots * DOT + self.shown, last=True)
        self.say("\n\n")
