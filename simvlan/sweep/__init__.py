"""Parameter sweeps: a scenario, which is a function of parameters and a seed, at every point of a grid.

    def scenario(containers, mode, seed):
        lab = ...
        return {"delivered": ...}

    found = sweep(scenario, grid(containers=[1, 10, 100], mode=["bridge", "vepa"]), seed=1, out="out/mine")
    found.to_dataframe()

Points are computed on all cores, or on a Dask cluster (`scheduler="tcp://..."`), and recorded one by one as they come:
a sweep that was interrupted, or killed, goes on where it stopped when it is called again. A point that fails is told
with its parameters and does not end the others. A point's seed depends on the sweep's seed and the point's parameters
alone, and results stand in the order of the grid: who computed what, and when, changes nothing.
"""

from __future__ import annotations

from simvlan.sweep.command import add_arguments
from simvlan.sweep.plan import Params, Point, Scenario, grid
from simvlan.sweep.record import Busy, OtherSweep
from simvlan.sweep.results import Failure, Results
from simvlan.sweep.run import sweep

__all__ = ["Busy", "Failure", "OtherSweep", "Params", "Point", "Results", "Scenario", "add_arguments", "grid", "sweep"]
