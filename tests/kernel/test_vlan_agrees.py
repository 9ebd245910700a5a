"""VLAN devices: random networks and frames agree with User Mode Linux at every device."""

from __future__ import annotations

import pytest
from l2_agreement import JOINED, UNKNOWN, Twin

from simvlan.devices.device import Device
from simvlan.oracle import run_many
from tests.kernels import require

NETWORKS, ROUNDS, FRAMES = 12, 2, 20


def build(seed: int) -> Twin:
    """VLANs on VLANs on p0, with all options, some with addresses of their own, some down, some moved away."""
    twin = Twin(seed)
    rng = twin.rng
    lowers: list[Device] = [twin.p0]
    for number in range(rng.randint(3, 5)):
        lower = rng.choice(lowers)
        vid, proto = rng.choice([0, 5, 5, 6, 7]), rng.choice(["802.1Q", "802.1Q", "802.1ad"])
        flags = {"reorder_hdr": rng.random() < 0.7, "loose_binding": rng.random() < 0.3}
        mac = rng.choice([lower.mac, 0x02_00_00_00_0B_00 + number])
        maps = {
            key: [{"from": rng.randint(0, 7), "to": rng.randint(0, 7)} for _ in range(2)]
            for key in ("ingress_qos", "egress_qos")
        }
        words = f"protocol {proto} id {vid} " + " ".join(f"{k} {'on' if v else 'off'}" for k, v in flags.items())
        for key, pairs in maps.items():
            words += f" {key.replace('_', '-')}-map " + " ".join(f"{p['from']}:{p['to']}" for p in pairs)
        made = twin.add("vlan", f"v{number}", lower, mac, words, protocol=proto, id=vid, **flags, **maps)
        if made is not None:
            twin.up(made)
            lowers.append(made)
    tops = [dev for dev in lowers[1:] if not dev.uppers]
    if tops and rng.random() < 0.5:
        twin.move(tops.pop())
    for _ in range(ROUNDS):
        twin.send(twin.random_shots(FRAMES))
        change(twin, [dev for dev in tops if dev.name in twin.root.devices])
    return twin


def change(twin: Twin, tops: list[Device]) -> None:
    """Change one thing or two."""
    rng = twin.rng
    for dev in rng.sample(tops, min(2, len(tops))):
        match rng.randint(0, 4):
            case 0:
                twin.set(dev, "down", up=False)
            case 1:
                mac = rng.choice([UNKNOWN, 0x02_00_00_00_0C_01, JOINED, 0])
                twin.set(dev, f"address {mac.to_bytes(6, 'big').hex(':')}", mac=mac)
            case 2:
                mtu = rng.choice([60, 900, 1500, 1501])
                twin.set(dev, f"mtu {mtu}", mtu=mtu)
            case 3:
                on = rng.random() < 0.5
                twin.set(dev, f"type vlan reorder_hdr {'on' if on else 'off'}", info={"reorder_hdr": on})
            case 4:
                twin.delete(dev)


@pytest.mark.kernel
def test_vlan_agrees_with_linux() -> None:
    """At every capture point, in every refusal, send error and counter: one boot, hundreds of frames."""
    require("uml")
    twins = [build(seed) for seed in range(NETWORKS)]
    assert sum(twin.frames for twin in twins) >= 300
    runs = run_many("uml", [twin.script() for twin in twins], timeout_s=60)
    for seed, (twin, run) in enumerate(zip(twins, runs, strict=True)):
        found, extra = twin.compare(run)
        assert not found, f"network {seed}:\n" + "\n".join(found)
        assert extra == 0
