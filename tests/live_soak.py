"""Mixed traffic through `simvlan live` for a while: no growth, no lost descriptor, counters that balance to the frame.

`make soak-live` runs it for an hour and leaves results/live/soak.json; the tests run it for some seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.live_bench import Bench, Live, bench, machine, wait_for

RESULTS = Path(__file__).resolve().parent.parent / "results" / "live"
GROWTH = 0.05
WARM_S = 5.0
"""Caches fill in the beginning; memory is compared with what it was then."""
BRIDGE = """
ip netns add sw
ip -n sw link add br0 type bridge mcast_snooping 0
ip -n sw link set br0 up
for n in 1 2; do
    ip -n sw link add p$n type veth peer name out$n
    ip -n sw link set p$n master br0 up
    tc -n sw qdisc add dev p$n root netem delay 5ms 1ms loss 0.5% limit 10000
done
"""
A, B = "10.83.0.1", "10.83.0.2"


def soak(folder: Path, seconds: float) -> dict[str, Any]:
    """Run; what was seen, `faults` first."""
    with bench(folder) as rig:
        home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
        attached = [word for n, space in ((1, a), (2, b)) for word in ("--attach", f"sw/p{n}=tap:{space}/eth0")]
        live = rig.live(home, BRIDGE, *attached)
        for space, address in ((a, A), (b, B)):
            rig.sh(space, f"ip addr add {address}/24 dev eth0")
        memory, descriptors = traffic(rig, live, a, b, seconds)
        frames = balance(rig, live, a, b)
        status = live.stop()
        seen = {"seconds": seconds, "memory": memory, "descriptors": descriptors, **frames, "status": status}
        return {"faults": faults(seen), **seen, "report": live.said.read_text().splitlines()[-3:]}


def traffic(rig: Bench, live: Live, a: str, b: str, seconds: float) -> tuple[list[int], list[int]]:
    """TCP and UDP both ways, pings of many sizes, broadcasts; memory and descriptors along the way."""
    whole = str(int(seconds))
    servers = [rig.spawn(b, "iperf3", "-s", "-p", str(port)) for port in (5201, 5202, 5203)]
    for port in (5201, 5202, 5203):
        wait_for(lambda port=port: f":{port}" in rig.sh(b, "ss -ltn"))
    clients = [
        rig.spawn(a, "iperf3", "-c", B, "-p", "5201", "-t", whole, "-b", "10M"),
        rig.spawn(a, "iperf3", "-c", B, "-p", "5202", "-t", whole, "-b", "5M", "-R"),
        rig.spawn(a, "iperf3", "-c", B, "-p", "5203", "-t", whole, "-u", "-b", "4M", "-l", "700"),
        rig.spawn(b, "ping", "-i", "0.02", "-w", whole, "-s", "1200", A),
        rig.spawn(a, "arping", "-I", "eth0", "-w", whole, "-b", B),
    ]
    end, memory, descriptors = time.monotonic() + seconds, [], []
    time.sleep(min(WARM_S, seconds / 4))
    while time.monotonic() < end and live.process.poll() is None:
        memory.append(resident(live.process.pid))
        descriptors.append(len(os.listdir(f"/proc/{live.process.pid}/fd")))
        time.sleep(max(0.5, seconds / 120))
    for each in clients:
        each.wait(60)
    for each in servers:
        each.kill()
        each.wait()
    return memory, descriptors


def resident(pid: int) -> int:
    """Memory in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def balance(rig: Bench, live: Live, a: str, b: str) -> dict[str, Any]:
    """Count every frame at both real devices, both simulated ones, and in the queues, once nothing is under way."""

    def count() -> dict[str, Any]:
        counted: dict[str, Any] = {}
        for n, space in ((1, a), (2, b)):
            counted[f"real {n}"] = stats(rig.link(space, "eth0"))
            counted[f"port {n}"] = stats(
                json.loads(live.exec("ip", "-j", "-s", "-n", "sw", "link", "show", f"p{n}"))[0]
            )
            queue = live.exec("tc", "-s", "-n", "sw", "qdisc", "show", "dev", f"p{n}")
            sent, dropped, waiting = re.findall(r"(\d+) pkt \(dropped (\d+),(?:.|\n)*backlog \S+ (\d+)p", queue)[0]
            counted[f"queue {n}"] = {"sent": int(sent), "dropped": int(dropped), "waiting": int(waiting)}
        return counted

    def settled() -> dict[str, Any]:
        before, after = count(), count()
        return after if before == after else {}

    return {"counters": wait_for(settled)}


def stats(link: dict[str, Any]) -> dict[str, int]:
    both = link["stats64"]
    return {"rx": both["rx"]["packets"], "tx": both["tx"]["packets"], "lost": both["tx"]["dropped"]}


def faults(seen: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    found, memory = [], seen["memory"]
    if memory[-1] > memory[0] * (1 + GROWTH):
        found.append(f"memory grew from {memory[0]} to {memory[-1]} KiB")
    if len(set(seen["descriptors"])) != 1:
        found.append(f"descriptors: {sorted(set(seen['descriptors']))}")
    if seen["status"]:
        found.append(f"it ended with status {seen['status']}")
    for mine, other in ((1, 2), (2, 1)):
        counters = seen["counters"]
        real, port, queue = counters[f"real {mine}"], counters[f"port {mine}"], counters[f"queue {other}"]
        if real["tx"] != port["rx"]:
            found.append(f"the kernel sent {real['tx']} frames on {mine}, the port received {port['rx']}")
        if port["rx"] != queue["sent"] + queue["dropped"] or queue["waiting"]:
            found.append(f"port {mine} received {port['rx']} frames, the other's queue took {queue}")
        if not queue["sent"] == counters[f"port {other}"]["tx"] == counters[f"real {other}"]["rx"]:
            found.append(
                f"queue {other} sent {queue['sent']}, the port {counters[f'port {other}']}, the kernel got less"
            )
    return found


def main() -> int:
    """0 when there is no fault."""
    made = argparse.ArgumentParser(prog="python -m tests.live_soak", description=__doc__)
    made.add_argument("--seconds", type=float, default=3600)
    options = made.parse_args()
    from simvlan.manifest import manifest

    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        seen = soak(Path(folder), options.seconds)
    if machine() != before:
        seen["faults"].append("the machine's own network is not as it was")
    about = manifest(" ".join(["python -m tests.live_soak", *sys.argv[1:]]), 0, ("simpy",))
    print(json.dumps(seen, indent=1))
    if options.seconds >= 3600:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "soak.json").write_text(json.dumps({**seen, "manifest": about}, indent=1) + "\n")
    return 1 if seen["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
