"""modprobe: what is modelled is always there, br_netfilter once it is loaded; anything else does not exist."""

from __future__ import annotations

from simvlan.rtnl.filters import bridges_load
from simvlan.tools.program import Process

_NAMES = (
    "8021q bridge br_netfilter dummy garp ip_tables iptable_filter iptable_nat iptable_raw ipvlan llc macvlan mrp "
    "nf_conntrack nf_nat nf_tables sch_netem sch_tbf stp veth xt_MASQUERADE xt_addrtype xt_conntrack xt_nat"
)
MODELLED = frozenset(_NAMES.split())
KERNEL = "6.1.176"


def main(proc: Process) -> int:
    """Load modules, or say that there are none of that name."""
    words = proc.argv[1:]
    flags = {letter for word in words if word.startswith("-") and not word.startswith("--") for letter in word[1:]}
    flags |= {word[2:3] for word in words if word.startswith("--")}
    names = [word for word in words if not word.startswith("-")]
    if "V" in flags:
        proc.write("kmod version 30\n")
        return 0
    if not names:
        proc.write_err("modprobe: ERROR: missing parameters. See -h.\n")
        return 1
    if "a" not in flags and "r" not in flags:
        names = names[:1]  # what follows are the module's parameters
    unknown = [name for name in names if name.replace("-", "_") not in MODELLED]
    if "br_netfilter" in (name.replace("-", "_") for name in names):
        bridges_load(proc.lab.network, not flags & {"r"})
    if "q" not in flags:
        for name in unknown:
            what = f"Module {name} not found in directory /lib/modules/{KERNEL}"
            proc.write_err(f"modprobe: {'WARNING' if 'a' in flags else 'FATAL'}: {what}\n")
    return 1 if unknown else 0
