"""modprobe: what is modelled is always there; anything else does not exist."""

from __future__ import annotations

from simvlan.tools.program import Process

_NAMES = "8021q bridge br_netfilter dummy garp ipvlan llc macvlan mrp sch_netem sch_tbf stp veth"
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
    if "q" not in flags:
        for name in unknown:
            what = f"Module {name} not found in directory /lib/modules/{KERNEL}"
            proc.write_err(f"modprobe: {'WARNING' if 'a' in flags else 'FATAL'}: {what}\n")
    return 1 if unknown else 0
