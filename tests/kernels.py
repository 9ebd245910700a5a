"""What a test does about a kernel that is not there: skip, aloud; in CI, fail."""

from __future__ import annotations

import os

import pytest

from simvlan.oracle import available
from simvlan.oracle.kernels import Kernel


def require(kernel: Kernel) -> None:
    """Go on only with this kernel. In CI it must be there; the host's own still needs root, which CI may lack."""
    why = available(kernel)
    if why is None:
        return
    if os.environ.get("CI", "").lower() in ("1", "true", "yes") and kernel == "uml":
        pytest.fail(f"{kernel}: {why}", pytrace=False)
    pytest.skip(f"{kernel}: {why}")
