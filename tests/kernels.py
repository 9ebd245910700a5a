"""What a test does about a kernel that is not there: skip, aloud; in CI, fail."""

from __future__ import annotations

from simvlan.oracle import available
from simvlan.oracle.kernels import Kernel
from simvlan.pytest_plugin import missing_kernel


def require(kernel: Kernel) -> None:
    """Go on only with this kernel. In CI it must be there."""
    if why := available(kernel):
        missing_kernel(kernel, why)
