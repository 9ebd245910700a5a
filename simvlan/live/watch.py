"""The live view: devices with their rates, drops by name with their remedy, lateness; redrawn every second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.table import Table
from simvlan.trace import Listener
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.live.world import LiveWorld
    from simvlan.network import Network, Told

PERIOD_NS = 1_000_000_000
DROPS_SHOWN = 8
HOME_AND_CLEAR = "\x1b[H\x1b[J"
COUNTERS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes")


class DropCounter(Listener):
    """A tracer that counts drops by name and place; it tells others only when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.drops: Counter[tuple[Drop, str]] = Counter()

    def step(self, told: Told) -> None:
        """Count a drop."""
        if told.drop is not None:
            self.drops[told.drop, told.dev.path] += 1
        if self.ears:
            super().step(told)


def count_drops(network: Network) -> DropCounter:
    """Have a network's drops counted from now on; who listens already goes on hearing."""
    counter = DropCounter()
    if isinstance(network.tracer, Listener):
        counter.ears = network.tracer.ears
    network.tracer = counter
    return counter


class Watch:
    """Writes the table when a second has passed.

    Args:
        world: what is watched.
        out: where to; a terminal is redrawn, anything else gets one table after the other.
        wall: monotonic time in ns.
    """

    def __init__(self, world: LiveWorld, out: IO[str], wall: Callable[[], int]) -> None:
        self.world, self.out, self.wall = world, out, wall
        self.drops = count_drops(world.lab.network).drops
        self._shown = wall()
        self._before: dict[str, tuple[int, ...]] = self._counters()

    def __call__(self) -> float:
        """Draw if it is time; seconds until the next time."""
        now = self.wall()
        if now - self._shown >= PERIOD_NS:
            clear = HOME_AND_CLEAR if self.out.isatty() else ""
            self.out.write(f"{clear}{self.text((now - self._shown) / 1e9)}\n\n")
            self.out.flush()
            self._shown = now
        return max(0.0, (self._shown + PERIOD_NS - now) / 1e9)

    def text(self, seconds: float) -> str:
        """The whole view, rates over the last *seconds*."""
        before, self._before = self._before, self._counters()
        ends = {port.dev.path: port.endpoint.label for port in self.world.ports if not port.gone}
        rows = [
            _row(dev, before.get(dev.path, (0, 0, 0, 0)), seconds, ends.get(dev.path, "")) for dev in self._devices()
        ]
        parts = [f"t = {self.world.lab.now / 1e9:.1f} s   {self.world.engine.lateness}", str(Table(rows))]
        return "\n".join([*parts, *self._drop_lines()])

    def _devices(self) -> list[Device]:
        return [dev for dev in self.world.lab.network.devices() if dev.kind]

    def _counters(self) -> dict[str, tuple[int, ...]]:
        return {dev.path: tuple(getattr(dev, name) for name in COUNTERS) for dev in self._devices()}

    def _drop_lines(self) -> list[str]:
        lines = [
            f"{count:>9}  {drop.name} at {place}: {drop.remedy}"
            for (drop, place), count in self.drops.most_common(DROPS_SHOWN)
        ]
        for port in self.world.ports:
            if lost := port.lost():
                lines.append(f"{lost:>9}  lost by {port.endpoint.label} before they could be read: send less")
        return ["drops:", *lines] if lines else []


def _row(dev: Device, before: tuple[int, ...], seconds: float, end: str) -> dict[str, Any]:
    rx, tx, rx_octets, tx_octets = (
        (getattr(dev, name) - was) / seconds for name, was in zip(COUNTERS, before, strict=True)
    )
    return {
        "device": dev.path,
        "state": "up" if dev.up and dev.carrier else "no carrier" if dev.up else "down",
        "rx/s": f"{rx:.0f}",
        "tx/s": f"{tx:.0f}",
        "rx Mb/s": f"{rx_octets * 8e-6:.3f}",
        "tx Mb/s": f"{tx_octets * 8e-6:.3f}",
        "rx dropped": str(dev.rx_dropped),
        "tx dropped": str(dev.tx_dropped),
        "real": end,
    }
