"""Which device may stand on which: the whole table, each cell with the kernel's answer (recorded on Linux 6.1)."""

from __future__ import annotations

import pytest
from test_tool_ip import Shell

from simvlan import Lab

INVAL, BUSY = "RTNETLINK answers: Invalid argument\n", "RTNETLINK answers: Device or resource busy\n"
NOVLAN = "Error: 8021q: VLANs not supported on device.\n"
LOOP = "Error: Can not enslave a bridge to a bridge.\n"
OK, REAL = "", "real"
"""Taken as asked; taken, on the lower device's own lower device."""

UPPERS = ("vlan", "macvlan", "passthru", "ipvlan", "port")
LOWERS = {
    "veth": ("ip link add low type veth peer name far", (OK, OK, OK, OK, OK)),
    "dummy": ("ip link add low type dummy", (OK, OK, OK, OK, OK)),
    "vlan": ("ip link add low link base type vlan id 7", (OK, OK, OK, OK, OK)),
    "with vlans": ("ip link add low type dummy; ip link add v7 link low type vlan id 7", (OK, OK, OK, OK, OK)),
    "bridge": ("ip link add low type bridge", (OK, OK, OK, OK, LOOP)),
    "bridge port": ("ip link add low type dummy; ip link set low master br1", (OK, BUSY, BUSY, BUSY, OK)),
    "macvlan": ("ip link add low link base type macvlan mode bridge", (OK, REAL, INVAL, OK, OK)),
    "passthru": ("ip link add low link base type macvlan mode passthru", (OK, INVAL, INVAL, OK, OK)),
    "macvlan parent": ("ip link add low type dummy; ip link add m7 link low type macvlan", (OK, OK, INVAL, BUSY, BUSY)),
    "ipvlan": ("ip link add low link base type ipvlan mode l2", (NOVLAN, INVAL, INVAL, REAL, INVAL)),
    "ipvlan parent": ("ip link add low type dummy; ip link add i7 link low type ipvlan", (OK, BUSY, BUSY, OK, BUSY)),
}
ADD = {
    "vlan": "ip link add top link low type vlan id 5",
    "macvlan": "ip link add top link low type macvlan mode bridge",
    "passthru": "ip link add top link low type macvlan mode passthru",
    "ipvlan": "ip link add top link low type ipvlan mode l2",
    "port": "ip link set low master br0",
}


@pytest.mark.parametrize("lower", LOWERS)
@pytest.mark.parametrize("upper", UPPERS)
def test_who_may_stand_on_whom(lower: str, upper: str) -> None:
    """13.1 of docs/rules.md."""
    made, answers = LOWERS[lower]
    wanted = answers[UPPERS.index(upper)]
    shell = Shell()
    shell.ok("ip link add base type dummy", "ip link add br0 type bridge", "ip link add br1 type bridge")
    shell.ok(*made.split("; "))
    status, _, err = shell.run(ADD[upper])
    assert (status == 0, err) == (wanted in (OK, REAL), "" if wanted == REAL else wanted)
    if wanted == REAL:
        assert "top@base" in shell.run("ip link show top")[1]


@pytest.mark.parametrize("upper", UPPERS)
def test_nothing_stands_on_the_loopback(upper: str) -> None:
    """13.1: lo carries no VLAN, macvlan or ipvlan, and is no bridge's port."""
    shell = Shell()
    shell.ok("ip link add br0 type bridge")
    status, _, err = shell.run(ADD[upper].replace("low", "lo"))
    assert (status != 0, err) == (True, NOVLAN if upper == "vlan" else INVAL)


ABOVE = """
ip netns add a; ip netns add b
ip link add p0 netns a address 02:00:00:00:00:01 type veth peer name q0 netns b
ip -n b link set q0 up; ip -n a link set p0 up
child() { ip -n a link add link p0 name $1 type KIND; ip -n a link set $1 up; }
vlan() { ip -n a link add link p0 name v$1 type vlan id $1; ip -n a link set v$1 up; }
"""
CHANGES = {
    "ip -n a link set p0 address 02:00:00:00:00:77": ("v3 v5", "v3 v5 i1 i2 i3"),
    "ip -n a link set p0 mtu 1400": ("v3 v5 i1", "v3 v5"),
    "ip -n b link set q0 down": ("v3 v5 i1", "v3 v5 i1 i2 i3"),
    "ip -n b link set q0 up": ("v3 v5 i1", "v3 v5 i1 i2 i3"),
    "ip -n a link set p0 down": ("v5 v3 i1", "v5 v3"),
    "ip -n a link set p0 up": ("v3 v5 v3 v5 i1", "v3 v5 v3 v5"),
    "ip -n a link del p0": ("v5 v3 v3 v5 i1 i1", "v5 v3 v3 v5 i1 i2 i3 i1 i2 i3"),
}
"""What `ip monitor link` of User Mode Linux 6.1.176 said of the devices above p0."""


@pytest.mark.parametrize("which", [0, 1], ids=["macvlan", "ipvlan"])
def test_drivers_hear_of_a_device_in_the_order_in_which_they_were_loaded(which: int) -> None:
    """8021q by numbers, then macvlan or ipvlan by age, however they were made."""
    made = ("child i1; vlan 5; vlan 3", "child i1; vlan 5; child i2; vlan 3; child i3")[which]
    lab = Lab(seed=1)
    lab.sh(ABOVE.replace("KIND", ("macvlan mode passthru", "ipvlan mode l2")[which]) + made + "; sleep 2")
    told: list[str] = []
    lab.network.netns["a"].listeners.append(lambda dev, _: told.append(dev.name) if dev.name != "p0" else None)
    for command, lines in CHANGES.items():
        told.clear()
        lab.sh(f"{command}; sleep 2")
        assert " ".join(told) == lines[which], command
