"""Which device may stand on which: the whole table, each cell with the kernel's answer (recorded on Linux 6.1)."""

from __future__ import annotations

import pytest
from test_tool_ip import Shell

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
