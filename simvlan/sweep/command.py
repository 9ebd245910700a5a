"""The options that every program made of a sweep has on its command line."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --seed, --workers, --scheduler and --fresh, for `sweep(seed=..., workers=..., ...)`."""
    group = parser.add_argument_group("sweep")
    group.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything random (default: 1)")
    group.add_argument("--workers", type=_count, metavar="N", help="processes (default: all cores)")
    group.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's, such as tcp://10.0.0.1:8786")
    group.add_argument("--fresh", action="store_true", help="forget the points of an interrupted run")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least one process is expected")
    return value
