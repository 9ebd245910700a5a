"""Millions of frames at once: struct-of-arrays batches and the vectorised core that forwards them.

Needs NumPy, which every module here imports; `import simvlan` alone loads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.engines.batch.copies import Copies
from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.outcome import Outcome
from simvlan.engines.batch.pipeline import Pipeline

if TYPE_CHECKING:
    from simvlan.network import Network

__all__ = ["Copies", "FrameBatch", "Outcome", "Pipeline", "compile"]


def compile(  # noqa: A001 - the word for it, as in re.compile
    lab: Network | object, engine: str = "auto", threads: int | None = None
) -> Pipeline:
    """Turn a lab (or its network) as it is now into tables.

    *engine* is "numpy", "numba" or "auto" (Numba where it is installed); *threads* (default: all cores) are for Numba.

    Raises:
        Unsupported: it has something whose answers cannot be tabulated; says what, and what to do.
    """
    return Pipeline(getattr(lab, "network", lab), engine, threads)  # type: ignore[arg-type]
