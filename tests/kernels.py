"""What a test does about a kernel that is not there: skip, aloud; in CI, fail."""

from __future__ import annotations

import os
import subprocess

from simvlan.oracle import available
from simvlan.oracle.kernels import Kernel
from simvlan.pytest_plugin import missing_kernel


def require(kernel: Kernel) -> None:
    """Go on only with this kernel. In CI it must be there."""
    if why := available(kernel):
        missing_kernel(kernel, why)


def require_host_tun() -> None:
    """Go on only with the host's kernel and a TUN device in a namespace of ours. In CI they must be there."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
        subprocess.run(["unshare", "-n", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        missing_kernel("host", f"no TUN device in a namespace of its own: {error}")
