"""Which kernels this machine offers as judges, and how to get the missing one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

Kernel = Literal["uml", "host"]
KERNELS: tuple[Kernel, ...] = ("uml", "host")

UML = "linux.uml"
UML_MODULES = Path("/usr/lib/uml/modules")
TOOLS = ("bash", "ip", "bridge", "mkfifo")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class KernelUnavailable(RuntimeError):  # noqa: N818  (says what is the case, like Unsupported)
    """This machine cannot run that kernel, or the kernel did not come through."""


def available(kernel: Kernel) -> str | None:
    """Why `kernel` cannot be used here and what helps, or None when it can."""
    if sys.platform != "linux":
        return "this machine is not Linux: run it in a Linux machine or container"
    if missing := [tool for tool in TOOLS if not which(tool)]:
        return f"commands missing: {', '.join(missing)} (Debian: apt install iproute2)"
    return _uml_unavailable() if kernel == "uml" else _host_unavailable()


def _uml_unavailable() -> str | None:
    if not which(UML) or not UML_MODULES.is_dir():
        return "User Mode Linux is not installed (Debian: apt install user-mode-linux)"
    if not which("modprobe"):
        return "modprobe is missing (Debian: apt install kmod)"
    return None


def _host_unavailable() -> str | None:
    if os.geteuid() != 0:
        return "private namespaces on the host need root (use sudo, or uml, which needs none)"
    return None if _may_make_namespaces() else "this container may not make namespaces (it lacks CAP_SYS_ADMIN)"


def _may_make_namespaces() -> bool:
    """CAP_SYS_ADMIN (bit 21) in the effective set."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return True
    capabilities = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "ffffffff")
    return bool(int(capabilities, 16) >> 21 & 1)


def which(tool: str) -> str | None:
    """Where a command lies, on the caller's path or the system's."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
