"""Millions of frames at once: struct-of-arrays batches and the vectorised core that forwards them.

Needs NumPy, which every module here imports; `import simvlan` alone loads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.engines.batch.frames import FrameBatch
from simvlan.engines.batch.outcome import Copies, Outcome
from simvlan.engines.batch.pipeline import Pipeline

if TYPE_CHECKING:
    from simvlan.network import Network

__all__ = ["Copies", "FrameBatch", "Outcome", "Pipeline", "compile"]


def compile(lab: Network | object) -> Pipeline:  # noqa: A001 - the word for it, as in re.compile
    """Turn a lab (or its network) as it is now into tables.

    Raises:
        Unsupported: it has something whose answers cannot be tabulated; says what, and what to do.
    """
    return Pipeline(getattr(lab, "network", lab))  # type: ignore[arg-type]
