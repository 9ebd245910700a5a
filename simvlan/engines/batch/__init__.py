"""Millions of frames at once: struct-of-arrays batches and the vectorised core that forwards them.

Needs NumPy, which every module here imports; `import simvlan` alone loads none of them.
"""

from simvlan.engines.batch.frames import FrameBatch

__all__ = ["FrameBatch"]
