"""Time between frames: bridges forget stations that have been silent for too long.

The array counterpart of `Fdb.sweep` (br_fdb_cleanup): when it runs, whom it forgets and when it comes back are the
same. The stamps it compares are those of `Stations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simvlan.devices.bridge_fdb import MIN_SWEEP
from simvlan.engines.batch.stations import STANDING
from simvlan.errors import Unsupported

if TYPE_CHECKING:
    from simvlan.engines.batch.pipeline import Pipeline

NEVER = 1 << 62
NOBODY = np.zeros(0, np.int64)


class Ageing:
    """The garbage collectors of all bridges. Times in ns from the start of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        start = pipeline.start_ns
        bridges = pipeline.prober.bridges
        self.due = {n: b.fdb.sweep_at - start for n, b in bridges.items() if b.fdb.timer is not None}
        self.hold = {n: b.fdb.hold_time for n, b in bridges.items()}
        self._seen: dict[int, tuple[int, list[tuple[int, int]]]] = {}
        """By bridge, how many standings were looked at, and what `_ageing_at` found."""
        self.horizon, self.what = _horizon(pipeline)

    def check_horizon(self, until: int) -> None:
        """Refuse times at which multicast snooping has changed by itself.

        Raises:
            Unsupported: names the bridge.
        """
        if until >= self.horizon:
            raise Unsupported(
                f"{self.what}: a multicast timer runs out {self.horizon} ns from the start: send frames before that, "
                "or set mcast_snooping 0"
            )

    def check_nothing_expires(self, until: int) -> None:
        """Refuse a span in which a station might be forgotten (if it stayed silent).

        Raises:
            Unsupported: names the bridge.
        """
        stations = self.pipeline.stations
        code = stations.code[: len(stations.macs)] & STANDING
        for number, standing in enumerate(stations.standings):
            for place in standing.places:
                if place.static or place.bridge not in self.due:
                    continue
                heard = stations.stamps_of(place.bridge, place.vid)[: len(code)][code == number]
                if len(heard) and int(heard.min()) + self.hold[place.bridge] - self.pipeline.start_ns <= until:
                    raise Unsupported(
                        f"{self.pipeline.paths[place.bridge]} may forget a station before {until} ns: "
                        "send a shorter batch, or set a longer ageing_time"
                    )

    def run_until(self, now: int) -> int:
        """Do all collections due at or before a time; returns when the next is."""
        while self.due:
            bridge = min(self.due, key=self.due.__getitem__)
            due = self.due[bridge]
            if due > now:
                return due
            wait, anybody = self._collect(bridge, due)
            self.due[bridge] = due + wait if anybody else due + wait * ((now - due) // wait + 1)
        return NEVER

    def _collect(self, bridge: int, now: int) -> tuple[int, bool]:
        """Forget who is due at one bridge; returns after how long to come back, and whether anybody may age there."""
        stations, hold = self.pipeline.stations, self.hold[bridge]
        now += self.pipeline.start_ns
        wait, anybody = hold, False
        mine = self._ageing_at(bridge)
        standing = stations.code[: len(stations.macs)] & STANDING if mine else NOBODY
        for number, vid in mine:
            those = np.flatnonzero(standing == number)
            if not len(those):
                continue
            anybody = True
            left = stations.stamps_of(bridge, vid)[those] + (hold - now)
            gone = left <= 0
            wait = min(wait, int(left[~gone].min(initial=wait)))
            self._forget(those[gone], bridge, vid)
        return max(wait, MIN_SWEEP), anybody

    def _ageing_at(self, bridge: int) -> list[tuple[int, int]]:
        """Return the standings that have an entry there that ages, with its VLAN."""
        known = self.pipeline.stations.standings
        first, mine = self._seen.get(bridge, (0, []))
        for number in range(first, len(known)):
            mine += [(number, p.vid) for p in known[number].places if p.bridge == bridge and not p.static]
        self._seen[bridge] = (len(known), mine)
        return list(mine)

    def _forget(self, macs: Any, bridge: int, vid: int) -> None:
        """Take one entry out of the standing of each of these MACs."""
        stations = self.pipeline.stations
        for mac in macs.tolist():
            standing, limb = stations.get(mac)
            role, own = stations.role(standing, limb)
            places = [p for p in stations.places(standing, limb) if (p.bridge, p.vid) != (bridge, vid)]
            stations.set(mac, *stations.abstract(role, own, places))

    def remember(self) -> dict[int, int]:
        """Return what `recall` puts back."""
        return dict(self.due)

    def recall(self, due: dict[int, int]) -> None:
        """Go back to a moment."""
        self.due = dict(due)


def _horizon(pipeline: Pipeline) -> tuple[int, str]:
    """Return until when (ns from the start) no multicast timer changes where frames go, and whose is the first."""
    first, what = NEVER, ""
    for bridge in pipeline.prober.bridges.values():
        mcast = bridge.mcast
        timers: list[Any] = [m.timer for e in mcast.mdb.groups.values() for m in e.members]
        timers += [e.timer for e in mcast.mdb.groups.values()]
        timers += [t for q in mcast.queriers.values() for t in (q.other, q.router)]
        timers += [t for p in bridge.ports for t in p.snooping.router_timers.values()]
        dues = [t.due for t in timers if t.pending]
        dues += [q.delay_until + 1 for q in mcast.queriers.values() if q.delay_until >= pipeline.start_ns]
        if mcast.enabled and dues and min(dues) - pipeline.start_ns < first:
            first, what = min(dues) - pipeline.start_ns, bridge.path
    return first, what
