"""A second opinion: the same script on a real kernel, and the comparison. Imports none of the simulator's rules."""

from __future__ import annotations

from simvlan.oracle.agreement import (
    DEFAULT,
    EXACT,
    STACK,
    Difference,
    Rules,
    compare,
    compare_captures,
    disagreements,
)
from simvlan.oracle.kernels import (
    Job,
    KernelRun,
    KernelUnavailable,
    available,
    run_jobs,
    run_many,
    run_script,
)
from simvlan.oracle.observation import LISTINGS, Observation

__all__ = [
    "DEFAULT",
    "EXACT",
    "LISTINGS",
    "STACK",
    "Difference",
    "Job",
    "KernelRun",
    "KernelUnavailable",
    "Observation",
    "Rules",
    "available",
    "compare",
    "compare_captures",
    "disagreements",
    "run_jobs",
    "run_many",
    "run_script",
]
