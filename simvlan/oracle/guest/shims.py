"""The commands a script finds on its PATH besides the machine's own: `simvlan send`, and a modprobe that knows where.

Starting Python costs 150 ms in User Mode Linux, so `simvlan` is a few lines of shell that hand the request to
the agent.
"""

from __future__ import annotations

import os
from pathlib import Path

RUN = Path("/run/simvlan")
BIN = RUN / "bin"
REQUESTS = RUN / "requests"

_SIMVLAN = f"""#!/bin/sh
reply={RUN}/reply.$$
mkfifo "$reply" || exit 4
{{ printf '%s\\n' "$PWD"; printf '%s\\n' "$@"; }} >{RUN}/request.$$
echo $$ >{REQUESTS}
{{
    read -r code
    while IFS= read -r line; do printf '%s\\n' "$line" >&2; done
}} <"$reply"
exit "$code"
"""

_MODPROBE = """#!/bin/sh
exec /sbin/modprobe -d '{base}' "$@"
"""

_LEGACY = ("iptables", "iptables-save", "iptables-restore")
_LEGACY_TEXT = """#!/bin/sh
[ -d /sys/module/iptable_nat ] || modprobe -a iptable_filter iptable_nat iptable_raw
exec /usr/sbin/{} "$@"
"""


def modprobe_text(base: str) -> str:
    """A modprobe for modules that lie elsewhere than /lib/modules."""
    return _MODPROBE.format(base=base)


def install(module_base: str | None) -> None:
    """Write the shims into a fresh /run and open the way for requests."""
    BIN.mkdir(parents=True)
    _executable(BIN / "simvlan", _SIMVLAN)
    if module_base:
        _executable(BIN / "modprobe", modprobe_text(module_base))
        for command in _LEGACY:  # that kernel has ip_tables, and nf_tables without IPv4
            _executable(BIN / command, _LEGACY_TEXT.format(command.replace("iptables", "iptables-legacy")))
    os.mkfifo(REQUESTS)


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
