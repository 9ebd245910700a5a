"""What each stage of a packet's way costs on the kernels at hand, and what is made of it for a whole path.

Measured are whole paths between two UDP sockets (`paths.sh`, `probe.py`), on the host's kernel in private namespaces
and, for drivers it may not have, on User Mode Linux. A stage is the difference of two paths of the same round. What
User Mode Linux says of VLAN and ipvlan is used as a multiple of its own macvlan: its absolute times mean nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

from simvlan.oracle import available, run_script

HERE = Path(__file__).resolve().parent
HOST = ("socket", "veth", "bridge", "netfilter", "nat", "macvlan")
UML = ("socket", "veth", "macvlan", "ipvlan-l2", "ipvlan-l3", "ipvlan-l3s", "vlan")
NET = {"veth": 2, "bridge": 3, "netfilter": 4, "nat": 5, "macvlan": 6, "ipvlan-l2": 7, "ipvlan-l3": 8, "ipvlan-l3s": 9, "vlan": 10}
UML_ROUNDS = 8
"""Of its few good moments one must be caught for every path."""
SIZES = (18, 1472, 65000)
SMALL, FULL, SUPER = SIZES
"""Octets of UDP payload: the smallest frame, a full one, a 64 KB super-packet."""

Paths = dict[str, dict[str, list[float]]]


def why_not() -> str | None:
    """Why costs cannot be measured here, or None."""
    if not shutil.which("iptables-legacy"):
        return "iptables-legacy is missing (Debian: apt install iptables)"
    return next((f"{kernel}: {why}" for kernel in ("host", "uml") if (why := available(kernel))), None)


def measure(rounds: int) -> dict[str, Any]:
    """Measure both kernels.

    Raises:
        RuntimeError: a kernel refused; its words.
    """
    return {"host": _measure("host", HOST, rounds, SIZES), "uml": _measure("uml", UML, max(rounds, UML_ROUNDS), (SMALL,))}


def _measure(kernel: Any, names: tuple[str, ...], rounds: int, sizes: tuple[int, ...]) -> dict[str, Any]:
    words = " ".join(_words(name) for name in names)
    script = f"bash -s {' '.join(names)} << 'END'\n{(HERE / 'paths.sh').read_text()}\nEND\n[ $? = 0 ] || exit 1\n"
    script += f"cat > probe.py << 'END'\n{(HERE / 'probe.py').read_text()}\nEND\npython3 probe.py {rounds} {','.join(map(str, sizes))} {words}\n"
    done = run_script(kernel, script, capture=False, timeout_s=400, cwd="/tmp")
    if done.exit_code:
        raise RuntimeError(f"{kernel}: the paths could not be measured: {done.stderr.strip()[-500:]}")
    return {"kernel": done.kernel_release, "rounds": rounds, "ns": json.loads(done.stdout)}


def _words(name: str) -> str:
    if name == "socket":
        return "socket=socket1,socket1,127.0.0.1,127.0.0.1,127.0.0.1"
    net = f"10.{NET[name]}.0"
    return f"{name}={name}1,{name}2,{net}.1,{net}.2,{net}.{254 if name == 'nat' else 2}"


# -- stages ---------------------------------------------------------------------------------------------------------


class Costs:
    """Stages by round: `stage(name, size)` gives ns, one for each round.

    A stage is one step of the walk at a device of that kind (`veth`, `bridge`, `macvlan`, `ipvlan l2`, `vlan` ...),
    the two sockets together (`socket`), or what the model adds where simvlan has no rule (`netfilter`, `nat`).
    """

    def __init__(self, measured: Mapping[str, Any]) -> None:
        self.measured = measured
        self.rounds = min(len(v) for k in ("host", "uml") for path in measured[k]["ns"].values() for v in path.values())

    def path(self, kernel: str, name: str, size: int) -> list[float]:
        """Return what was measured of a whole path."""
        found: list[float] = self.measured[kernel]["ns"][name][str(size)][: self.rounds]
        return found

    def stage(self, name: str, size: int) -> list[float]:
        """Return a stage's cost at one of the sizes measured."""
        host = {path: self.path("host", path, size) for path in HOST}
        return [max(0.0, self._stage(name, {path: values[r] for path, values in host.items()})) for r in range(self.rounds)]

    def _stage(self, name: str, host: Mapping[str, float]) -> float:
        veth = host["veth"] - host["socket"]
        macvlan = (host["macvlan"] - host["socket"]) / 2
        if name.startswith("ipvlan") or name == "vlan":
            return macvlan * self.ratio(name)
        return {
            "socket": host["socket"],
            "veth": veth,
            "bridge": host["bridge"] - host["socket"] - 2 * veth,
            "macvlan": macvlan,
            "netfilter": host["netfilter"] - host["bridge"],
            "nat": host["nat"] - host["bridge"],
        }[name]

    def ratio(self, name: str) -> float:
        """Return a step's cost as a multiple of a macvlan step, on User Mode Linux, small packets, the fastest rounds."""
        fastest = {path: min(values[str(SMALL)]) for path, values in self.measured["uml"]["ns"].items()}
        macvlan = (fastest["macvlan"] - fastest["socket"]) / 2
        if name == "vlan":
            return (fastest["vlan"] - fastest["veth"]) / 2 / macvlan
        return (fastest[name.replace(" ", "-")] - fastest["socket"]) / macvlan

    def total(self, stages: Mapping[str, float], size: int) -> list[float]:
        """Return what a packet costs, one for each round; sizes between those measured are interpolated."""
        low, high = (SMALL, FULL) if size <= FULL else (FULL, SUPER)
        share = (size - low) / (high - low)
        ends = [[self.stage(name, at) for name in stages] for at in (low, high)]
        return [
            sum(count * (a[r] + share * (b[r] - a[r])) for count, a, b in zip(stages.values(), *ends, strict=True))
            for r in range(self.rounds)
        ]

    def table(self) -> list[dict[str, Any]]:
        """Return every stage with its spread, for the results."""
        names = ("socket", "veth", "bridge", "netfilter", "nat", "macvlan", "ipvlan l2", "ipvlan l3", "ipvlan l3s", "vlan")
        rows = []
        for name in names:
            for size in SIZES:
                low, mid, high = quartiles(self.stage(name, size))
                scaled = name == "vlan" or name.startswith("ipvlan")
                rows.append({
                    "stage": name, "payload": size, "ns": round(mid), "quarter": round(low), "three_quarters": round(high),
                    "from": f"macvlan x {self.ratio(name):.2f} (UML)" if scaled else "host",
                })  # fmt: skip
        return rows


def middle(values: list[float]) -> float:
    """The median."""
    return quartiles(values)[1]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Three quartiles of at least one value."""
    low, mid, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return low, mid, high
