"""What curl 7.88.1 prints of a transfer: the progress meter (progress.c) and -w's variables (tool_writeout.c)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from simvlan.clock import SECOND

HEADING = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed\n"
)


def size5(count: int) -> str:
    """A number of octets in five characters (max5data)."""
    kilo, mega = 1024, 1024 * 1024
    if count < 100_000:
        return f"{count:5d}"
    if count < 10_000 * kilo:
        return f"{count // kilo:4d}k"
    if count < 100 * mega:
        return f"{count // mega:2d}.{count % mega // (mega // 10)}M"
    if count < 10_000 * mega:
        return f"{count // mega:4d}M"
    giga = 1024 * mega
    return f"{count // giga:2d}.{count % giga // (giga // 10)}G"


def clock(seconds: int) -> str:
    """A time in eight characters (time2str); nothing where there is none to tell."""
    if seconds <= 0:
        return "--:--:--"
    hours, rest = divmod(seconds, 3600)
    return f"{hours:2d}:{rest // 60:02d}:{rest % 60:02d}" if hours <= 99 else f"{hours // 24:3d}d {hours % 24:02d}h"


def speed(count: int, elapsed_ns: int) -> int:
    """Octets a second (trspeed)."""
    micros = elapsed_ns // 1000
    return count * 1_000_000 if micros < 1 else count * 1_000_000 // micros


def percent(part: int, whole: int) -> int:
    """How much of it, rounded down."""
    return part * 100 // whole if whole > 0 else 0


class Meter:
    """The progress of one transfer.

    Args:
        write: where it goes; None: nowhere (-s).
        now: the time in ns.
    """

    def __init__(self, write: Callable[[str], None] | None, now: Callable[[], int]) -> None:
        self.write, self.now = write, now
        self.began = now()
        self.total_down = self.total_up = -1
        self.down = self.up = 0
        self.past = [(self.began, 0)]
        """(time, octets) of each second, the last five of them (speeder)."""
        self.headed = False

    @property
    def due(self) -> int | None:
        """When it is drawn next."""
        if self.write is None or not self.headed:
            return None
        return self.began + ((self.now() - self.began) // SECOND + 1) * SECOND

    def start(self) -> None:
        """The heading and the first line, with nothing in it yet."""
        if self.write is not None and not self.headed:
            self.write(HEADING)
            self.headed = True
            self.draw()

    def note(self) -> None:
        """A second has passed."""
        self.past.append((self.now(), self.down + self.up))
        del self.past[:-6]
        self.draw()

    def draw(self) -> None:
        """One line, over the last one."""
        if self.write is None:
            return
        elapsed = self.now() - self.began
        average, average_up = speed(self.down, elapsed), speed(self.up, elapsed)
        whole = max(self.total_down, 0) + max(self.total_up, 0)
        done = self.down + self.up
        left = 0
        if self.total_down > 0 and average:
            left = self.total_down // average
        if self.total_up > 0 and average_up:
            left = max(left, self.total_up // average_up)
        spent = elapsed // SECOND
        row = (
            f"\r{percent(done, whole):3d} {size5(whole or done)}  {percent(self.down, self.total_down):3d}"
            f" {size5(self.down)}  {percent(self.up, self.total_up):3d} {size5(self.up)}  {size5(average)}"
            f"  {size5(average_up)} {clock(left)} {clock(spent)} {clock(left - spent)} {size5(self._current())}"
        )
        self.write(row)

    def _current(self) -> int:
        """The speed of the last five seconds, or of all there were."""
        when, count = self.past[0]
        return speed(self.down + self.up - count, self.now() - when)

    def end(self) -> None:
        """The last line stays."""
        if self.write is not None and self.headed:
            self.draw()
            self.write("\n")
            self.headed = False


def write_out(form: str, values: Mapping[str, str], complain: Callable[[str], None]) -> str:
    """Fill in -w's text."""

    def fill(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] is not None:
            if found[1] not in values:
                complain(f"curl: unknown --write-out variable: '{found[1]}'\n")
            return values.get(found[1], "")
        return {"\\n": "\n", "\\t": "\t", "\\r": "\r"}.get(found[0], found[0])

    return re.sub(r"%%|%\{([^}]*)\}|\\.", fill, form, flags=re.DOTALL)
