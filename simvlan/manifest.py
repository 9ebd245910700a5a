"""What a figure was made with, so that anyone can make it again: command, seed, versions, kernel, machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from simvlan import __version__

PACKAGES = ("simpy", "scapy", "numpy", "numba", "pandas", "pyarrow", "matplotlib", "distributed")


def manifest(command: str, seed: int, packages: Iterable[str] = PACKAGES, **more: Any) -> dict[str, Any]:
    """Return what to write beside a result; *more* goes after the seed."""
    return {
        "command": command,
        "seed": seed,
        **more,
        "machine": machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {"simvlan": __version__, **versions(packages)},
    }


def machine() -> dict[str, Any]:
    """Return the processor, how many there are, and how busy they are."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
