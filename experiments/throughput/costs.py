"""What each stage of a packet's way costs on the kernels at hand, and what is made of it for a whole path.

Measured are whole paths between two sockets (`paths.sh`, `probe.py`), on the host's kernel in private namespaces and,
for drivers it may not have, on User Mode Linux. A stage is the difference of two paths of the same round. What User
Mode Linux says of VLAN and ipvlan is used as a multiple of its own macvlan: its absolute times mean nothing. TCP over
the host's paths is not made of stages but measured; over ipvlan it is macvlan's with ipvlan's stages in their place.
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
HOST = ("socket", "unheard", "veth", "bridge", "netfilter", "nat", "routed", "published", "macvlan")
UML = ("socket", "veth", "macvlan", "ipvlan-l2", "ipvlan-l3", "ipvlan-l3s", "vlan")
NET = {"veth": 2, "bridge": 3, "netfilter": 4, "nat": 5, "macvlan": 6, "ipvlan-l2": 7, "ipvlan-l3": 8, "ipvlan-l3s": 9, "vlan": 10,
       "unheard": 11}  # fmt: skip
UML_ROUNDS = 8
"""Of its few good moments one must be caught for every path."""
SIZES = (18, 1472, 65000)
SMALL, FULL, SUPER = SIZES
"""Octets of UDP payload: the smallest frame, a full one, a 64 KB super-packet."""
WRITE = 65536
"""Octets of a TCP write: what leaves in super-packets."""
STEADY = 0.05
"""The widest spread (quartiles, of the median) that a measured path may have, to be worth modelling from."""
STAGES = ("send", "deliver", "take", "socket", "veth", "bridge", "netfilter", "nat", "routed", "published", "macvlan",
          "ipvlan l2", "ipvlan l3", "ipvlan l3s", "vlan")  # fmt: skip

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
    host = _measure("host", HOST, rounds, SIZES, (WRITE,))
    return {"host": host, "uml": _measure("uml", UML, max(rounds, UML_ROUNDS), (SMALL,), ())}


def _measure(kernel: Any, names: tuple[str, ...], rounds: int, sizes: tuple[int, ...], writes: tuple[int, ...]) -> dict[str, Any]:
    words = [str(rounds), ",".join(map(str, sizes)), ",".join(map(str, writes)) or ",", *map(_words, names)]
    script = f"bash -s {' '.join(names)} << 'END'\n{(HERE / 'paths.sh').read_text()}\nEND\n[ $? = 0 ] || exit 1\n"
    script += f"cat > probe.py << 'END'\n{(HERE / 'probe.py').read_text()}\nEND\npython3 probe.py {' '.join(words)}\n"
    done = run_script(kernel, script, capture=False, timeout_s=400, cwd="/tmp")
    if done.exit_code:
        raise RuntimeError(f"{kernel}: the paths could not be measured: {done.stderr.strip()[-500:]}")
    return {"kernel": done.kernel_release, "rounds": rounds, **json.loads(done.stdout)}


def _words(name: str) -> str:
    """The ends of a path: two namespaces, the addresses their sockets have, and the one that is sent to."""
    apart = {
        "socket": "socket1,socket1,127.0.0.1,127.0.0.1,127.0.0.1",
        "routed": "routed1,routed2,10.12.1.1,10.12.2.1,10.12.2.1",
        "published": "published1,published2,10.13.0.1,172.18.0.2,10.13.0.2",
    }
    if name in apart:
        return f"{name}={apart[name]}"
    net = f"10.{NET[name]}.0"
    return f"{name}={name}1,{name}2,{net}.1,{net}.2,{net}.{254 if name == 'nat' else 2}"


def unsteady(measured: Mapping[str, Any]) -> str | None:
    """Return what in a measurement varies too much from round to round to be worth modelling from, or None."""
    spreads = {
        f"{path}, {figure}": (high - low) / mid
        for part, figures in (("udp", (str(SMALL), str(FULL))), ("tcp", ("transaction",)))
        for path, found in measured["host"][part].items()
        for figure in figures
        for low, mid, high in [quartiles(found[figure])]
    }
    worst = max(spreads, key=lambda name: spreads[name])
    return f"{worst}: quartiles {spreads[worst]:.0%} apart" if spreads[worst] > STEADY else None


# -- stages ---------------------------------------------------------------------------------------------------------


class Costs:
    """Stages by round: `stage(name, size)` gives ns, one for each round.

    A stage is one step of the walk at a device of that kind (`veth`, `bridge`, `macvlan`, `ipvlan l2`, `vlan` ...), the
    two sockets together (`socket`: what sends, what is done until the packet is in the receiver's queue, and what
    takes it from there), or what is measured in one piece and added (`netfilter`, `nat`, `routed`, `published`).
    """

    def __init__(self, measured: Mapping[str, Any]) -> None:
        self.measured = measured
        parts = [measured["host"]["udp"], measured["host"]["tcp"], measured["uml"]["udp"]]
        self.rounds = min(len(values) for part in parts for path in part.values() for values in path.values())

    def path(self, kernel: str, name: str, size: int) -> list[float]:
        """Return what was measured of a whole path."""
        found: list[float] = self.measured[kernel]["udp"][name][str(size)][: self.rounds]
        return found

    def stage(self, name: str, size: int) -> list[float]:
        """Return a stage's cost at one of the sizes measured."""
        host = {path: self.path("host", path, size) for path in HOST}
        host["take"] = self.measured["host"]["take"]["socket"][str(size)]
        return [max(0.0, self._stage(name, {path: values[r] for path, values in host.items()})) for r in range(self.rounds)]

    def _stage(self, name: str, host: Mapping[str, float]) -> float:
        veth = host["veth"] - host["socket"]
        macvlan = (host["macvlan"] - host["socket"]) / 2
        if name.startswith("ipvlan") or name == "vlan":
            return macvlan * self.ratio(name)
        return {
            "socket": host["socket"],
            "send": host["unheard"] - veth,
            "deliver": host["socket"] - (host["unheard"] - veth) - host["take"],
            "take": host["take"],
            "veth": veth,
            "bridge": host["bridge"] - host["socket"] - 2 * veth,
            "macvlan": macvlan,
            "netfilter": host["netfilter"] - host["bridge"],
            "nat": host["nat"] - host["bridge"],
            "routed": host["routed"] - host["socket"] - 2 * veth,
            "published": host["published"] - host["bridge"],
        }[name]

    def ratio(self, name: str) -> float:
        """Return a step's cost as a multiple of a macvlan step, on User Mode Linux, small packets, the fastest rounds."""
        fastest = {path: min(values[str(SMALL)]) for path, values in self.measured["uml"]["udp"].items()}
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

    def tcp(self, path: str, figure: str) -> list[float]:
        """Return a figure of TCP (`transaction`, `send 65536`, `take 65536`), ns, one for each round; ipvlan's is derived."""
        if not path.startswith("ipvlan"):
            found: list[float] = self.measured["host"]["tcp"][path][figure][: self.rounds]
            return found
        packets = 2 if figure == "transaction" else 1
        there, here = self.stage(path, SMALL), self.stage("macvlan", SMALL)
        return [
            ns + packets * (ipvlan - 2 * macvlan)
            for ns, ipvlan, macvlan in zip(self.tcp("macvlan", figure), there, here, strict=True)
        ]

    def table(self) -> list[dict[str, Any]]:
        """Return every stage with its spread, for the results."""
        rows = []
        for name in STAGES:
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
