"""What a kernel may have been built without: how to ask it, and which of it a simulated network uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from simvlan.devices.device import Device
from simvlan.frame import QINQ
from simvlan.oracle.runs import KernelRun

KINDS = {
    "veth": "ip link add t0 type veth",
    "dummy": "ip link add t7 type dummy",
    "bridge": "ip link add t1 type bridge",
    "bridge VLAN filtering": "ip link add t2 type bridge vlan_filtering 1",
    "vlan": "ip link add p0 type veth && ip link add t3 link p0 type vlan id 5",
    "vlan 802.1ad": "ip link add p1 type veth && ip link add t4 link p1 type vlan proto 802.1ad id 5",
    "macvlan": "ip link add p2 type veth && ip link add t5 link p2 type macvlan mode bridge",
    "ipvlan": "ip link add p3 type veth && ip link add t6 link p3 type ipvlan mode l2",
    "netem": "ip link add p4 type veth && tc qdisc add dev p4 root netem delay 1ms",
    "tbf": "ip link add p5 type veth && tc qdisc add dev p5 root tbf rate 1mbit burst 10k latency 10ms",
}
"""What is modelled, and a command that a kernel without it refuses."""

_PROBE = "".join(
    f"({command}) >/dev/null 2>&1 && echo '{kind}=yes' || echo '{kind}=no'\n" for kind, command in KINDS.items()
)


def kinds_of(run: Callable[[str], KernelRun]) -> dict[str, bool]:
    """Which of KINDS a kernel has; `run` runs a script on it."""
    answers = (line.partition("=") for line in run(_PROBE).stdout.splitlines())
    return {kind: answer == "yes" for kind, _, answer in answers}


def used_by(dev: Device) -> Iterator[str]:
    """Which of KINDS a device needs as it is now."""
    it: Any = dev
    if dev.kind in KINDS:
        yield dev.kind
    if dev.kind == "bridge" and it.vlan_filtering:
        yield "bridge VLAN filtering"
    if dev.kind == "vlan" and it.proto == QINQ:
        yield "vlan 802.1ad"
    if dev.qdisc is not None and dev.qdisc.kind in KINDS:
        yield str(dev.qdisc.kind)
