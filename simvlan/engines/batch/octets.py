"""Moving octets of many frames at once: out of a buffer into heads, and back into one run of octets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from simvlan.engines.batch.parse import HEAD, I64, U8, U32

CHUNK = 1 << 20
"""Octets moved at a time: they stay in the second-level cache."""


def rows(buffer: U8, size: int) -> NDArray[np.uint8]:
    """Every run of `size` octets of a buffer, as overlapping rows of one view."""
    return as_strided(buffer, (max(len(buffer) - size + 1, 0), size), (1, 1))


def heads(buffer: U8, start: I64, captured: U32) -> U8:
    """Copy the first 64 octets of every frame, zeros after its end; uint8 (n, 64)."""
    inside = start + HEAD <= len(buffer)
    if len(start) and inside.all():
        out = rows(buffer, HEAD)[start]
    else:
        out = np.zeros((len(start), HEAD), np.uint8)
        out[inside] = rows(buffer, HEAD)[start[inside]]
        for n in np.flatnonzero(~inside):
            size = min(int(captured[n]), HEAD)
            out[n, :size] = buffer[start[n] : start[n] + size]
    short = captured < HEAD
    if short.any():
        out[short] *= np.arange(HEAD) < captured[short, None]
    return out


def ends(sizes: NDArray[np.integer]) -> I64:
    """Where each of several pieces laid end to end begins, and where the last ends: n + 1 offsets."""
    out = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


def scatter(out: U8, at: I64, head: U8, buffer: U8, start: I64, captured: U32) -> None:
    """Write every frame's octets to `out`, frame i at `at[i]`: head first, the rest from its buffer."""
    size = captured.astype(np.int64)
    long = np.flatnonzero(size > HEAD)
    for part in _chunks(size[long]):
        mine = long[part]
        _copy(out, at[mine], buffer, start[mine], size[mine])
    full = size >= HEAD
    if full.any():
        rows(out, HEAD)[at[full]] = head[full]
    for n in np.flatnonzero(~full):
        out[at[n] : at[n] + size[n]] = head[n, : size[n]]


def _copy(out: U8, at: I64, buffer: U8, start: I64, size: I64) -> None:
    """Copy what lies behind the heads in blocks of 64 octets, the last of which may overlap the one before.

    It may overlap the head too, which is written afterwards.
    """
    last = size - HEAD
    early = start + last < 0
    for n in np.flatnonzero(early):
        out[at[n] + HEAD : at[n] + size[n]] = buffer[start[n] + HEAD : start[n] + size[n]]
    to, of = rows(out, HEAD), rows(buffer, HEAD)
    for octet in range(HEAD, int(last.max()), HEAD):
        more = np.flatnonzero(last > octet)
        to[at[more] + octet] = of[start[more] + octet]
    fits = slice(None) if not early.any() else ~early
    to[(at + last)[fits]] = of[(start + last)[fits]]


def _chunks(sizes: I64) -> list[slice]:
    """Cut frames into runs of about CHUNK octets."""
    if not len(sizes):
        return []
    marks = np.cumsum(sizes) // CHUNK
    cuts = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), len(sizes)]
    return [slice(a, b) for a, b in pairwise(cuts)]
