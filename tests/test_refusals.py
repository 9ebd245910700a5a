"""Refusals that no recording holds: each provoked by the command that earns it, with the kernel's own words.

Texts are those of the kernel's extended acknowledgements, or of the errno where it gives none; beside each refusal
stands a command that differs in the point refused and is taken.
"""

from __future__ import annotations

import pytest
from test_tool_ip import Shell

INVAL = "RTNETLINK answers: Invalid argument\n"
EXISTS = "RTNETLINK answers: File exists\n"
NOENT = "RTNETLINK answers: No such file or directory\n"

PORTS = (
    "ip link add p0 type veth peer name w0",
    "ip link set p0 up",
    "ip link set w0 up",
    "ip link add br0 up type bridge",
    "ip link add br1 up type bridge",
    "ip link set p0 master br0",
    "ip link add d0 up type dummy",
    "ip addr add 10.0.0.1/24 dev d0",
    "ip netns add other",
    "ip link add d1 type dummy",
)

ROUTE = "ip route add 10.9.0.0/16"
MDB = "bridge mdb add dev br0"


@pytest.mark.parametrize(
    ("refused", "text", "taken"),
    [
        ("ip link add x index 1 type dummy", EXISTS, "ip link add x index 77 type dummy"),
        ("ip link add x type nosuch", "Error: Unknown device type.\n", "ip link add x type dummy"),
        ("ip link set br0 type bridge mcast_router 3", INVAL, "ip link set br0 type bridge mcast_router 2"),
        ("bridge link set dev p0 mcast_router 4", INVAL, "bridge link set dev p0 mcast_router 3"),
        ("bridge fdb add 02:00:00:00:00:09 dev d0 vlan 5", INVAL, "bridge fdb add 02:00:00:00:00:09 dev d0"),
        ("bridge fdb add 02:00:00:00:00:09 dev d0 dynamic", INVAL, "bridge fdb add 02:00:00:00:00:09 dev d0"),
        ("bridge fdb del 02:00:00:00:00:09 dev p0 master vlan 7", INVAL, "bridge vlan add dev p0 vid 7"),
        ("bridge fdb replace 02:00:00:00:00:09 dev br0 self dynamic", INVAL,
         "bridge fdb replace 02:00:00:00:00:09 dev br0 self"),
        ("bridge fdb add 02:00:00:00:00:09 dev br0 self use", INVAL,
         "bridge fdb add 02:00:00:00:00:09 dev p0 master use"),
        (f"{MDB} port p0 grp 224.0.0.9", "Error: bridge: IPv4 entry group address is local multicast.\n",
         f"{MDB} port p0 grp 239.0.0.9"),
        (f"{MDB} port p0 grp ff02::1", "Error: bridge: IPv6 entry group address is link-local all nodes.\n",
         f"{MDB} port p0 grp ff02::9"),
        (f"{MDB} port d0 grp 239.0.0.9", "Error: bridge: Net device is not a bridge port.\n",
         f"{MDB} port p0 grp 239.0.0.9"),
        ("bridge mdb add dev br1 port p0 grp 239.0.0.9", "Error: bridge: Port belongs to a different bridge device.\n",
         f"{MDB} port p0 grp 239.0.0.9"),
        (f"{MDB} port br0 grp 239.0.0.9 permanent", "Error: bridge: Flags are not allowed for host groups.\n",
         f"{MDB} port br0 grp 239.0.0.9"),
        ("ip neigh del proxy 10.0.0.7 dev d0", NOENT, "ip neigh add proxy 10.0.0.7 dev d0"),
        (f"{ROUTE} via 10.0.0.255", "Error: Nexthop has invalid gateway.\n", f"{ROUTE} via 10.0.0.2"),
        (f"{ROUTE} via 10.7.0.1 onlink dev d1", "Error: Nexthop device is not up.\n",
         f"{ROUTE} via 10.7.0.1 onlink dev d0"),
        (f"{ROUTE} via 10.0.0.1 onlink dev d0", "Error: Nexthop has invalid gateway.\n",
         f"{ROUTE} via 10.7.0.1 onlink dev d0"),
        (f"{ROUTE} via 10.0.0.2 dev d0 scope link", "Error: Nexthop has invalid gateway.\n",
         f"{ROUTE} via 10.0.0.2 dev d0"),
        (f"{ROUTE} via 10.0.0.2 dev d0 scope link onlink", "Error: Nexthop has invalid scope.\n",
         f"{ROUTE} via 10.0.0.2 dev d0 onlink"),
        (f"{ROUTE} via 10.0.0.2 onlink", "Error: Nexthop device required for onlink.\n",
         f"{ROUTE} via 10.0.0.2 dev d0 onlink"),
        ("ip link set br0 netns other", INVAL, "ip link set d1 netns other"),
        ("bridge vlan add dev p0 vid 7-9 pvid", "pvid cannot be configured for a vlan range\n",
         "bridge vlan add dev p0 vid 7 pvid"),
        ("ip addr add 10.3.0.1/24 dev d0 valid_lft 5 preferred_lft 9", "preferred_lft is greater than valid_lft\n",
         "ip addr add 10.3.0.1/24 dev d0 valid_lft 9 preferred_lft 5"),
        ("ip addr add 10.0.0.2/24 dev d0 scope link", INVAL, "ip addr add 10.0.0.2/24 dev d0"),
        ("ip addr add 10.3.0.1/24 dev d0 valid_lft 0", "valid_lft is zero\n",
         "ip addr add 10.3.0.1/24 dev d0 valid_lft 9 preferred_lft 9"),
        ("ip link add v link d0 mtu 60 type ipvlan", "Error: mtu less than device minimum.\n",
         "ip link add v link d0 mtu 68 type ipvlan"),
        ("ip route add prohibit 10.9.0.0/16 dev d0",
         "Error: Gateway, device and multipath can not be specified for this route type.\n",
         "ip route add prohibit 10.9.0.0/16"),
        ("ip route add prohibit 10.9.0.0/16 via 10.0.0.2",
         "Error: Gateway, device and multipath can not be specified for this route type.\n",
         "ip route add prohibit 10.9.0.0/16"),
        ("ip route append 10.0.0.0/24 dev d0 proto kernel scope link src 10.0.0.1", EXISTS,
         "ip route append 10.0.0.0/24 dev d0"),
        ("ip route del 10.0.0.0/24 table 77", "Error: FIB table does not exist.\n", "ip route del 10.0.0.0/24"),
        ("bridge vlan add dev p0 vid 9-7", 'Invalid VLAN range "9-7"\n', "bridge vlan add dev p0 vid 7-9"),
    ],
)  # fmt: skip
def test_refusals(refused: str, text: str, taken: str) -> None:
    shell = Shell()
    shell.ok(*PORTS)
    status, _, err = shell.run(refused)
    assert (status != 0, err) == (True, text)
    shell.ok(taken)
