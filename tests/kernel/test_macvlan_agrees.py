"""macvlan: random networks and frames agree with User Mode Linux at every device."""

from __future__ import annotations

import pytest
from l2_agreement import JOINED, UNKNOWN, P, Twin

from simvlan.devices.device import Device
from simvlan.frame import mac_text
from simvlan.oracle import run_many
from tests.kernels import require

NETWORKS, ROUNDS, FRAMES = 14, 3, 14
MODES = ("private", "vepa", "bridge", "bridge", "source", "passthru")


def build(seed: int) -> Twin:
    """macvlans of all modes on p0 or on a VLAN of it, VLANs on p0 and on macvlans, some down, some moved away."""
    twin = Twin(seed)
    rng = twin.rng
    lower: Device = twin.p0
    if rng.random() < 0.3:
        lower = twin.add("vlan", "p5", twin.p0, P, "id 5", id=5) or twin.p0
        twin.up(lower)
    macvlans = []
    for number in range(rng.randint(2, 5)):
        mode = rng.choice(MODES)
        mac = rng.choice([0x02_00_00_00_0A_00 + number, 0x02_00_00_00_0A_00 + number, P, 0x02_00_00_00_0A_00])
        made = twin.add("macvlan", f"m{number}", lower, mac, f"mode {mode}", mode=mode)
        if made is None:
            continue
        macvlans.append(made)
        if rng.random() < 0.5:
            twin.join(made, JOINED)
        if mode == "source":
            allow(twin, made)
        if rng.random() < 0.9:
            twin.up(made)
    if lower is twin.p0 and rng.random() < 0.4:
        vlan = twin.add("vlan", "q7", twin.p0, P, "id 7", id=7)
        if vlan is not None:
            twin.up(vlan)
    if macvlans and macvlans[0].up and rng.random() < 0.4:
        vlan = twin.add("vlan", "q6", macvlans[0], macvlans[0].mac, "id 6", id=6)
        if vlan is not None:
            twin.up(vlan)
    tops = [dev for dev in macvlans if not dev.uppers]
    if tops and rng.random() < 0.6:
        twin.move(tops[-1])
    for _ in range(ROUNDS):
        twin.send(twin.random_shots(FRAMES) + twin.fragments())
        change(twin, tops)
    return twin


def allow(twin: Twin, dev: Device) -> None:
    """Give a source-mode macvlan a list."""
    macs = [mac_text(mac) for mac in twin.rng.sample([UNKNOWN, P, 0x02_00_00_00_00_02, 0x02_00_00_00_0A_01], 2)]
    flags = twin.rng.choice([[], ["nodst"]])
    words = f"type macvlan macaddr set {' '.join(macs)}"
    twin.set(dev, words, info={"macaddr_mode": "set", "macaddr_data": macs})
    if flags:
        twin.set(dev, "type macvlan mode source nodst", info={"mode": "source", "flags": flags})


def change(twin: Twin, tops: list[Device]) -> None:
    """Change one thing or two."""
    rng = twin.rng
    for dev in rng.sample(tops, min(2, len(tops))):
        match rng.randint(0, 6):
            case 0:
                up = rng.random() < 0.6
                twin.set(dev, "up" if up else "down", up=up)
            case 1:
                mac = rng.choice([0x02_00_00_00_0A_00, 0x02_00_00_00_0A_01, 0x02_00_00_00_0D_01, P, JOINED])
                twin.set(dev, f"address {mac_text(mac)}", mac=mac)
            case 2:
                mtu = rng.choice([67, 100, 1500, 1501])
                twin.set(dev, f"mtu {mtu}", mtu=mtu)
            case 3:
                mode = rng.choice(MODES)
                twin.set(dev, f"type macvlan mode {mode}", info={"mode": mode})
            case 4:
                on = rng.random() < 0.5
                twin.set(dev, f"promisc {'on' if on else 'off'}", promisc=on)
            case 5:
                on = rng.random() < 0.5
                twin.set(dev, f"allmulticast {'on' if on else 'off'}", allmulti=on)
            case 6:
                mac = rng.choice([0x02_00_00_00_0A_02, 0x02_00_00_00_0E_01])
                twin.set(twin.p0, f"address {mac_text(mac)}", mac=mac)


@pytest.mark.kernel
def test_macvlan_agrees_with_linux() -> None:
    """At every capture point, in every refusal, send error and counter: one boot, hundreds of frames."""
    require("uml")
    twins = [build(seed) for seed in range(NETWORKS)]
    assert sum(twin.frames for twin in twins) >= 300
    runs = run_many("uml", [twin.script() for twin in twins], timeout_s=60)
    extra = 0
    for seed, (twin, run) in enumerate(zip(twins, runs, strict=True)):
        found, more = twin.compare(run)
        assert not found, f"network {seed}:\n" + "\n".join(found)
        extra += more
    assert extra <= 20  # false positives of the kernel's multicast hash
