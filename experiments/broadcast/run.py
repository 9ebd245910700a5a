"""What one ARP broadcast costs a node with 1 ... 10,000 sub-interfaces, by driver.

    python experiments/broadcast/run.py [--full]

A station on the wire asks for the first container's address. Counted: the containers that get a copy, and the steps of
the walk (each step is one device's rule, which in Linux is one call for one copy).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from experiments import common  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from experiments.networks import FIRST_IP, container, node, switch, uplink  # noqa: E402
from simvlan import Lab  # noqa: E402
from simvlan.engines.batch import FrameBatch  # noqa: E402
from simvlan.engines.batch import compile as tables  # noqa: E402
from simvlan.engines.walk import walk  # noqa: E402
from simvlan.frame import Frame  # noqa: E402
from simvlan.plot import curves  # noqa: E402
from simvlan.sweep import Params  # noqa: E402

EVERYBODY = ("bridge", "macvlan bridge", "macvlan private", "macvlan vepa", "ipvlan l2")
FEW = ("vlan", "macvlan source", "ipvlan l3", "ipvlan l3s")
LIMITS = {"bridge": 1022, "vlan": 4000}
"""A bridge has at most 1,023 ports (one is the uplink), a trunk 4,094 VLANs."""


def request(number: int, vid: int = 0) -> bytes:
    """Ask who has 10.0.0.0 + number; in a VLAN or untagged."""
    sender = bytes.fromhex("0200000000ff") + (FIRST_IP + (1 << 24) - 2).to_bytes(4, "big")
    tag = bytes.fromhex("8100") + vid.to_bytes(2, "big") if vid else b""
    arp = bytes.fromhex("08060001080006040001") + sender + bytes(6) + (FIRST_IP + number).to_bytes(4, "big")
    return bytes.fromhex("ffffffffffff0200000000ff") + tag + (arp + bytes(50))[:52]


def scenario(driver: str, containers: int, seed: int) -> dict[str, Any]:
    """Send one broadcast by each engine."""
    lab = Lab(seed=seed % 2**32)
    bridge = switch(lab)
    wire, host = node(lab, bridge, "wire"), node(lab, bridge, "host")
    parent = uplink(lab, host, driver)
    devices = [container(lab, parent, f"c{n}", driver, n + 2) for n in range(containers)]
    octets = request(2, vid=2 if driver == "vlan" else 0)
    head = np.frombuffer(octets[:64], np.uint8)[None, :].copy()
    gained = tables(lab, engine="numpy").forward(FrameBatch.from_octets(head, devices=[wire.path])).counters()
    before = [dev.rx_packets for dev in devices]
    steps = walk(lab.network, wire, Frame.parse(octets))
    return {
        "copies": sum(gained.get(dev.path, {}).get("rx_packets", 0) for dev in devices),
        "walked": sum(dev.rx_packets for dev in devices) - sum(before),
        "steps": len(steps),
    }


def grid(counts: list[int]) -> list[Params]:
    """Every driver, as far as it goes."""
    return [
        {"driver": driver, "containers": count}
        for driver in (*EVERYBODY, *FEW) for count in sorted({min(n, LIMITS.get(driver, n)) for n in counts})
    ]  # fmt: skip


def claims(frame: Any) -> list[Claim]:
    """What the data say."""
    most = int(frame["containers"].max())
    everybody = frame[frame["driver"].isin(EVERYBODY)]
    by = {driver: mine.set_index("containers") for driver, mine in frame.groupby("driver")}
    slope = {name: (mine["steps"].iloc[-1] - mine["steps"].iloc[0]) / (mine.index[-1] - mine.index[0]) for name, mine in by.items()}
    flat = [by[name]["steps"].nunique() == 1 for name in ("vlan", "ipvlan l3", "ipvlan l3s")]
    return [
        Claim(
            f"Behind a bridge, macvlan (bridge, private, vepa) and ipvlan l2 every container gets its own copy of every"
            f" broadcast: {most:,} copies for {most:,} macvlans.",
            bool((everybody["copies"] == everybody["containers"]).all()),
        ),
        Claim(
            f"Steps that each container adds: {slope['macvlan bridge']:.0f} behind macvlan, {slope['ipvlan l2']:.0f} behind"
            f" ipvlan l2, {slope['bridge']:.0f} behind a bridge, where a copy goes through a veth pair.",
            slope["bridge"] > slope["macvlan bridge"] >= 1 and slope["ipvlan l2"] >= 1,
        ),
        Claim(
            "ipvlan l3 hands the request to the one container that has the address, l3s to the node alone; macvlan source"
            " to nobody whose list does not have the sender; an 802.1Q trunk to the one VLAN the frame is in.",
            [set(by[name]["copies"]) for name in ("ipvlan l3", "ipvlan l3s", "macvlan source", "vlan")] == [{1}, {0}, {0}, {1}],
        ),
        Claim(
            "With ipvlan l3, l3s and VLANs the number of steps does not depend on how many there are.", all(flat)
        ),
        Claim("The batch engine and the walk count the same.", bool((frame["copies"] == frame["walked"]).all())),
    ]  # fmt: skip


def picture(frame: Any) -> Any:
    """Copies, and steps, against sub-interfaces."""
    figure, (left, right) = common.panels(2)
    merged = {"macvlan bridge": "macvlan bridge, private, vepa", "ipvlan l2": "ipvlan l2", "bridge": "bridge (veth)",
              "vlan": "802.1Q VLANs", "ipvlan l3": "ipvlan l3", "ipvlan l3s": "ipvlan l3s", "macvlan source": "macvlan source"}  # fmt: skip
    for axes, column, label in ((left, "copies", "containers that get a copy"), (right, "steps", "steps of the walk")):
        series = {
            name: list(zip(mine["containers"], mine[column], strict=True))
            for driver, name in merged.items() for mine in [frame[frame["driver"] == driver]]
        }  # fmt: skip
        curves(series, x="sub-interfaces on the node", y=f"{label}, one broadcast", log="x", axes=axes, legend="below", nested=True)
        axes.set_yscale("symlog" if column == "copies" else "log")
        axes.set_ylim(-0.4 if column == "copies" else 3, 2 * frame[column].max())
    return figure


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("broadcast", __doc__, words)
    counts = [1, 10, 100, 1000, 4000, 10_000] if made.full else [1, 10, 100]
    frame = common.table(made, scenario, grid(counts))
    report = Report(
        "What does one ARP broadcast cost a node with many containers?",
        claims(frame),
        {"broadcast.png": (picture(frame), "Copies and steps of one broadcast against sub-interfaces, by driver")},
        [
            "A station on the wire asks for the address of the first container. The curves of a bridge and of a trunk end"
            " where Linux ends them: 1,023 ports, 4,094 VLANs. macvlan passthru takes a single child."
        ],
    )
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
