"""A second opinion: the same script on a real kernel, and the comparison. Imports none of the simulator's rules."""

from __future__ import annotations

from simvlan.oracle.agreement import STACK_MASKS, Difference, compare
from simvlan.oracle.kernels import (
    Job,
    KernelRun,
    KernelUnavailable,
    available,
    run_jobs,
    run_many,
    run_script,
)

__all__ = [
    "STACK_MASKS",
    "Difference",
    "Job",
    "KernelRun",
    "KernelUnavailable",
    "available",
    "compare",
    "run_jobs",
    "run_many",
    "run_script",
]
