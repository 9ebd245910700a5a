"""Refusals that no recording holds: each provoked by the command that earns it, with the kernel's own words.

Texts are those of the kernel's extended acknowledgements, or of the errno where it gives none; beside each refusal
stands a command that differs in the point refused and is taken.
"""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import test_iptables
import test_tool_ip_golden
from test_tool_ip import Shell

from simvlan import rtnl
from simvlan.devices import ipvlan as ipvlan_device
from simvlan.errors import RtnlError
from simvlan.rtnl import LinkSpec, bridge, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.bridge_vlan import vlan_add
from simvlan.rtnl.fdb import fdb_add, fdb_flush
from simvlan.rtnl.neigh import neigh_add
from simvlan.rtnl.route import route_add
from simvlan.rtnl.rule import rule_add
from simvlan.stack.fib import Route
from simvlan.stack.fib_rules import Rule
from simvlan.stack.ipaddr import Ifaddr, parse_ip
from simvlan.stack.neigh import NONE

INVAL = "RTNETLINK answers: Invalid argument\n"
EXISTS = "RTNETLINK answers: File exists\n"
NOENT = "RTNETLINK answers: No such file or directory\n"
NOTSUPP = "RTNETLINK answers: Operation not supported\n"

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
    "ip link add d2 type dummy",
    "ip link add m0 link d2 type macvlan",
    "bridge fdb add 01:00:5e:00:00:07 dev m0",
    "ip rule add pref 7 table 100",
)

ROUTE = "ip route add 10.9.0.0/16"
MDB = "bridge mdb add dev br0"


PORTS6 = (
    "ip link add d0 type dummy", "ip link add low mtu 1000 type dummy", "ip link add off type dummy",
    "ip link add shut type dummy", "ip link add idle type dummy", "sysctl -qw net.ipv6.conf.all.disable_ipv6=0",
    "ip link set lo up", "ip link set d0 up", "ip link set low up", "ip link set idle up",
    "sysctl -qw net.ipv6.conf.off.disable_ipv6=1", "ip link set off up",
    "sysctl -qw net.ipv6.conf.idle.optimistic_dad=1",
    "ip addr add 2001:db8::1/64 dev d0 nodad",
)  # fmt: skip
ROUTE6, ADDRESS6 = "ip -6 route add 2001:db8:9::/48", "ip addr add 2001:db8::2/64"
NEIGH6, MAC6 = "ip -6 neigh add 2001:db8::7", "lladdr 02:00:00:00:00:07"
NODEV, NOHOST = "RTNETLINK answers: No such device\n", "RTNETLINK answers: No route to host\n"
OFF6 = "Error: IPv6 is disabled on this device.\n"

REFUSED6 = [
    ("ip addr add 2001:db8::1/64 dev d0", EXISTS, f"{ADDRESS6} dev d0"),
    (
        "ip addr del 2001:db8::2/64 dev d0",
        "RTNETLINK answers: Cannot assign requested address\n",
        "ip addr del 2001:db8::1/64 dev d0",
    ),
    (
        "ip addr del 2001:db8::2/64 dev low",
        "RTNETLINK answers: No such device or address\n",
        "ip addr del 2001:db8::1/64 dev d0",
    ),
    ("ip addr add 2001:db8::2/63 dev d0 mngtmpaddr", INVAL, f"{ADDRESS6} dev d0 mngtmpaddr"),
    (
        f"{ADDRESS6} dev idle nodad optimistic",
        "Error: IFA_F_NODAD and IFA_F_OPTIMISTIC are mutually exclusive.\n",
        f"{ADDRESS6} dev idle optimistic",
    ),
    ("ip addr add ff02::9/64 dev d0", "RTNETLINK answers: Cannot assign requested address\n", f"{ADDRESS6} dev d0"),
    (f"{ADDRESS6} dev low", INVAL, f"{ADDRESS6} dev d0"),
    (f"{ADDRESS6} dev off", "RTNETLINK answers: Permission denied\n", f"{ADDRESS6} dev d0"),
    (ROUTE6, NODEV, f"{ROUTE6} dev d0"),
    (f"{ROUTE6} dev off", "Error: IPv6 is disabled on nexthop device.\n", f"{ROUTE6} dev d0"),
    (f"{ROUTE6} dev shut", "Error: Nexthop device is not up.\n", f"{ROUTE6} dev d0"),
    (f"{ROUTE6} dev low", NODEV, f"{ROUTE6} dev d0"),
    (f"{ROUTE6} dev d0 src 2001:db8::2", "Error: Invalid source address.\n", f"{ROUTE6} dev d0 src 2001:db8::1"),
    (f"{ROUTE6} via 2001:db8::1", "Error: Gateway can not be a local address.\n", f"{ROUTE6} via 2001:db8::9"),
    (f"{ROUTE6} via 2001:db8::1 dev low", NODEV, f"{ROUTE6} via 2001:db8::9 dev d0"),
    (f"{ROUTE6} via fe80::9", "Error: Egress device not specified.\n", f"{ROUTE6} via fe80::9 dev d0"),
    (f"{ROUTE6} via ff02::1 dev d0", "Error: Invalid gateway address.\n", f"{ROUTE6} via fe80::9 dev d0"),
    (
        f"{ROUTE6} via 2001:db8::9 onlink",
        "Error: Nexthop device required for onlink.\n",
        f"{ROUTE6} via 2001:db8:55::9 dev d0 onlink",
    ),
    (
        f"{ROUTE6} via 2001:db8:55::9 dev shut onlink",
        "Error: Nexthop device is not up.\n",
        f"{ROUTE6} via 2001:db8:55::9 dev d0 onlink",
    ),
    (
        f"{ROUTE6} via 2001:db8::9 dev idle onlink",
        "Error: Nexthop has invalid gateway or device mismatch.\n",
        f"{ROUTE6} via 2001:db8::9 dev d0 onlink",
    ),
    (
        f"{ROUTE6} via fe80::9 dev lo",
        "Error: Egress device can not be loopback device for this route.\n",
        f"{ROUTE6} via fe80::9 dev d0",
    ),
    (f"{ROUTE6} via 2001:dead::9", NOHOST, f"{ROUTE6} via 2001:db8::9"),
    ("ip -6 route add 2001:db8::/64 dev d0 metric 256", EXISTS, "ip -6 route add 2001:db8::/64 dev d0"),
    ("ip -6 route append 2001:db8::/64 dev d0 metric 256", EXISTS, "ip -6 route append 2001:db8::/64 dev d0"),
    (
        "ip -6 route change 2001:db8:9::/48 dev d0",
        "Error: Can not replace route - no match found.\n",
        "ip -6 route change 2001:db8::/64 dev d0 metric 256",
    ),
    ("ip -6 route del 2001:db8:9::/48", "RTNETLINK answers: No such process\n", "ip -6 route del 2001:db8::/64"),
    (
        "ip -6 route del 2001:db8:9::/48 table 77",
        "Error: FIB table does not exist.\n",
        "ip -6 route del 2001:db8::/64 table main",
    ),
    (f"{NEIGH6} {MAC6} dev low", OFF6, f"{NEIGH6} {MAC6} dev d0"),
    (f"{NEIGH6} {MAC6} dev off", OFF6, f"{NEIGH6} {MAC6} dev d0"),
]
"""With the words of Linux 6.1."""

REFUSED = [
    ("ip rule add from 2001:db8::/64 table 100", "Error: Invalid source address.\n",
     "ip rule add from 10.0.0.0/8 table 100"),
    ("ip rule add tos 0x03 table 100", "Error: Invalid dsfield (tos): ECN bits must be 0.\n",
     "ip rule add tos 0x10 table 100"),
    ("ip rule add pref 7 table 100", EXISTS, "ip rule add pref 8 table 100"),
    ("ip rule del pref 12345", NOENT, "ip rule del pref 32766"),
    ("ip rule add to 2001:db8::/64 table 100", "Error: Invalid dst address.\n", "ip rule add to ::/0 table 100"),
    ("ip -6 rule add tos 3 table 100", "Error: Invalid dsfield (tos): ECN bits must be 0.\n",
     "ip -6 rule add tos 4 table 100"),
    ("ip link add x index 1 type dummy", EXISTS, "ip link add x index 77 type dummy"),
    ("ip link add x type nosuch", "Error: Unknown device type.\n", "ip link add x type dummy"),
    ("ip link set br0 type bridge mcast_router 3", INVAL, "ip link set br0 type bridge mcast_router 2"),
    ("bridge link set dev p0 mcast_router 4", INVAL, "bridge link set dev p0 mcast_router 3"),
    ("bridge fdb add 02:00:00:00:00:09 dev d0 vlan 5", INVAL, "bridge fdb add 02:00:00:00:00:09 dev d0"),
    ("bridge fdb add 02:00:00:00:00:09 dev d0 dynamic", INVAL, "bridge fdb add 02:00:00:00:00:09 dev d0"),
    ("bridge fdb add 02:00:00:00:00:09 dev m0", NOTSUPP, "bridge fdb add 01:00:5e:00:00:09 dev m0"),
    ("bridge fdb replace 01:00:5e:00:00:09 dev m0", NOTSUPP, "bridge fdb append 01:00:5e:00:00:09 dev m0"),
    ("bridge fdb append 01:00:5e:00:00:07 dev m0", EXISTS, "bridge fdb append 01:00:5e:00:00:09 dev m0"),
    ("bridge fdb del 02:00:00:00:00:09 dev m0", NOTSUPP, "bridge fdb del 01:00:5e:00:00:07 dev m0"),
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
    ("ip link add x link d0 mtu 60 type macvlan", "Error: mtu less than device minimum.\n",
     "ip link add x link d0 mtu 68 type macvlan"),
    ("ip link add v link d0 mtu 65536 type vlan id 5", "Error: mtu greater than device maximum.\n",
     "ip link add v link d0 mtu 1500 type vlan id 5"),
    ("ip link add v link d0 mtu 65536 type ipvlan", "Error: mtu greater than device maximum.\n",
     "ip link add v link d0 mtu 65535 type ipvlan"),
    ("ip route add 10.9.0.0/16 dev d0 scope host via 10.0.0.2",
     "Error: Route with host scope can not have a gateway.\n",
     "ip route add 10.9.0.0/16 dev d0 via 10.0.0.2"),
    ("ip route add local 10.9.0.0/16 dev d0 scope link", "Error: Invalid scope.\n",
     "ip route add local 10.9.0.0/16 dev d0"),
    ("ip link set d1 type macvlan macaddr add 02:00:00:00:00:01", "RTNETLINK answers: Operation not supported\n",
     "ip link add s1 link d1 type macvlan mode source macaddr add 02:00:00:00:00:01"),
    ("iptables -A FORWARD -j REJECT --reject-with tcp-reset",
     "iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain FORWARD\n",
     "iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset"),
    ("iptables -t raw -A PREROUTING -j REJECT",
     "iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain PREROUTING\n",
     "iptables -t raw -A PREROUTING -j DROP"),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "text", "taken"), REFUSED)
def test_refusals(refused: str, text: str, taken: str) -> None:
    shell = Shell()
    shell.ok(*PORTS)
    status, _, err = shell.run(refused)
    assert (status != 0, err) == (True, text)
    shell.ok(taken)


# -- what no command line reaches: through the operations themselves --------------------------------------------------


def device(shell: Shell, name: str) -> Any:
    return shell.network.device(name)


def many_ports(shell: Shell) -> None:
    """br_add_if: port numbers are 10 bits."""
    for number in range(1024):
        dev = link_add(shell.network, shell.network.netns[""], LinkSpec("dummy", f"dummy{number}"))
        link_set(shell.network, dev, master=device(shell, "br1"))


def foreign_port(shell: Shell) -> None:
    """A master in another namespace cannot be named by index."""
    shell.ok("ip link add name far netns other type dummy")
    bridge.enslave(shell.network, device(shell, "br1"), device(shell, "other/far"))


def other_s_port(shell: Shell) -> None:
    """br_add_if: a device that has a master (`ip` has it leave that one first)."""
    bridge.enslave(shell.network, device(shell, "br1"), device(shell, "p0"))


def crowded(shell: Shell) -> None:
    """neigh_alloc: beyond gc_thresh3 entries that are asked for just now."""
    for number in range(1025):
        neigh_add(shell.network, device(shell, "br0"), parse_ip("10.0.4.0") + number, None, NONE, use=True)


def no_id_left(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """ida_simple_get of 1 to 0xFFFD, here of one."""
    monkeypatch.setattr(ipvlan_device, "LAST_ID", 2)
    shell.ok("ip link add i1 link d1 type ipvlan mode l2")
    link_add(shell.network, shell.network.netns[""], LinkSpec("ipvlan", "i2", link=device(shell, "d1")))


def without_carrier(shell: Shell) -> None:
    """br_set_port_state: only disabling is possible then."""
    shell.ok("ip link set w0 down")
    link_set(shell.network, device(shell, "p0"), slave_info={"state": 3})


def hasty(shell: Shell) -> None:
    """br_set_forward_delay: 2 to 30 s while STP runs."""
    shell.ok("ip link set br0 type bridge stp_state 1")
    link_set(shell.network, device(shell, "br0"), info={"forward_delay": 100})


def narrow(shell: Shell) -> Any:
    """A VLAN device that lost IPv4 with its MTU (scenario found-mtu-without-ip)."""
    shell.ok("ip link add q link d1 type vlan id 5", "ip link set q mtu 60")
    return device(shell, "q")


def taken_twice(shell: Shell) -> None:
    """dev_set_promiscuity: what was taken back while down cannot be given again (scenario found-counts-round)."""
    shell.ok("ip link add mv9 link d1 type macvlan mode passthru")
    for flag in ("nopromisc", "nodst"):
        link_set(shell.network, device(shell, "mv9"), info={"flags": [flag]})


def add(shell: Shell, kind: str, **info: object) -> None:
    """Make a device on d0."""
    link_add(shell.network, shell.network.netns[""], LinkSpec(kind, "x", link=device(shell, "d0"), info=info))


BY_OPERATION: dict[str, tuple[Callable[[Shell], object], str, str | None]] = {
    "a rule's prefix of 33 bits": (lambda s: rule_add(device(s, "p0").netns, Rule(9, table=100, src=(0, 33)), True),
                                   "EINVAL", "Invalid source address"),
    "a prefix of the other family": (lambda s: rule_add(device(s, "p0").netns, Rule(9, table=100, dst=(0, 32)), True,
                                                        (4, 6)), "EINVAL", "Invalid dst address"),
    "replace without create": (lambda s: fdb_add(s.network, device(s, "p0"), 9, to_master=True, create=False,
                                                 exclusive=False), "ENOENT", None),
    "fdb flush of no port": (lambda s: fdb_flush(s.network, device(s, "d0")), "EOPNOTSUPP", None),
    "port options of no port": (lambda s: link_set(s.network, device(s, "d0"), slave_info={"state": 3}),
                             "EINVAL", None),
    "port info of no port": (lambda s: bridge.port_info(device(s, "d0")), "EINVAL", None),
    "port in another namespace": (foreign_port, "EINVAL", None),
    "a port of another bridge": (other_s_port, "EBUSY", None),
    "1024 ports": (many_ports, "EXFULL", None),
    "macvlan flag": (lambda s: add(s, "macvlan", flags=["frob"]), "EINVAL", None),
    "macvlan source verb": (lambda s: add(s, "macvlan", macaddr_mode="frob"), "EINVAL", None),
    "STP forward delay": (hasty, "ERANGE", None),
    "bridge protocol": (lambda s: link_set(s.network, device(s, "br0"), info={"vlan_protocol": 0x9100}),
                        "EPROTONOSUPPORT", None),
    "reserved addresses": (lambda s: link_set(s.network, device(s, "br0"), info={"group_fwd_mask": 1}), "EINVAL", None),
    "state without carrier": (without_carrier, "ENETDOWN", None),
    "ipvlan mode": (lambda s: add(s, "ipvlan", mode="l4"), "EINVAL", None),
    "ipvlan private and vepa": (lambda s: add(s, "ipvlan", private=True, vepa=True), "EINVAL", None),
    "macvlan mode": (lambda s: add(s, "macvlan", mode="nosuch"), "EINVAL", None),
    "macvlan group source": (lambda s: add(s, "macvlan", mode="source", macaddr_mode="add",
                                           macaddr="01:00:00:00:00:01"), "EADDRNOTAVAIL", None),
    "macvlan sources of another mode": (lambda s: add(s, "macvlan", mode="bridge", macaddr_mode="flush"), "EINVAL",
                                        None),
    "macvlan source without one": (lambda s: add(s, "macvlan", mode="source", macaddr_mode="add"), "EINVAL", None),
    "vlan without id": (lambda s: add(s, "vlan", protocol="802.1Q"), "EINVAL", "8021q: VLAN id not specified"),
    "host route by a gateway": (lambda s: route_add(s.network, s.network.netns[""], Route(parse_ip("10.9.0.0"), 16,
                                via=parse_ip("10.0.0.2"), scope=254)), "EINVAL",
                                "Route with host scope can not have a gateway."),
    "a type's scope": (lambda s: route_add(s.network, s.network.netns[""], Route(parse_ip("10.9.0.0"), 16, type="local",
                       scope=0)), "EINVAL", "Invalid scope."),
    "address prefix": (lambda s: address_add(s.network, device(s, "d0"), Ifaddr(1, 33)), "EINVAL",
                       "ipv4: Invalid prefix length."),
    "address lifetimes": (lambda s: address_add(s.network, device(s, "d0"), Ifaddr(1 << 24, 24, valid_lft=5,
                                                preferred_lft=9)), "EINVAL", "ipv4: Invalid address lifetimes."),
    "neighbours": (crowded, "ENOBUFS", None),
    "an address without IPv4": (lambda s: address_add(s.network, narrow(s), "10.0.9.1/24"), "ENOBUFS", None),
    "a neighbour without IPv4": (lambda s: neigh_add(s.network, narrow(s), parse_ip("10.0.9.1"), 9), "EINVAL", None),
    "promiscuity": (taken_twice, "EOVERFLOW", None),
    "vlan range backwards": (lambda s: vlan_add(s.network, device(s, "p0"), 9, vid_end=7), "EINVAL",
                             "bridge: End vlan id is less than or equal to start vlan id."),
    "vlan range as pvid": (lambda s: vlan_add(s.network, device(s, "p0"), 7, vid_end=9, pvid=True), "EINVAL",
                           "bridge: Range of VLANs can't be PVID."),
    "a namespace twice": (lambda s: s.network.add_netns("other"), "EEXIST", None),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_OPERATION)
def test_refusals_by_operation(name: str) -> None:
    shell = Shell()
    shell.ok(*PORTS)
    call, code, extack = BY_OPERATION[name]
    with pytest.raises(RtnlError) as caught:
        call(shell)
    assert (caught.value.code, caught.value.extack) == (code, extack)


def test_ipvlan_ids_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell()
    shell.ok(*PORTS)
    with pytest.raises(RtnlError) as caught:
        no_id_left(shell, monkeypatch)
    assert caught.value.code == "ENOSPC"


# -- all of them ------------------------------------------------------------------------------------------------------


def raised() -> set[tuple[str, int]]:
    """Where the operations refuse: file and line of every `raise RtnlError(...)`."""
    return {
        (path.name, node.lineno)
        for path in Path(rtnl.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and "RtnlError(" in ast.unparse(node)
    }


@pytest.mark.parametrize(("command", "text", "taken"), REFUSED6, ids=lambda value: value if "ip" in value else "")
def test_ipv6_refuses_in_the_kernel_s_words(command: str, text: str, taken: str) -> None:
    shell = Shell()
    shell.ok(*PORTS6)
    assert shell.run(command)[2] == text
    assert shell.run(taken)[::2] == (0, "")


def test_without_ipv6_an_address_is_refused() -> None:
    shell = Shell()
    assert shell.run("ip addr add 2001:db8::5/64 dev lo")[2] == "RTNETLINK answers: Permission denied\n"
    shell.ok("sysctl -qw net.ipv6.conf.all.disable_ipv6=0", "ip addr add 2001:db8::5/64 dev lo")


def test_every_refusal_is_met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each refusal of the operations is earned by a recording of the real tools or by a test of this file."""
    met: set[tuple[str, int]] = set()
    init = RtnlError.__init__

    def noted(self: RtnlError, *args: Any, **more: Any) -> None:
        caller = sys._getframe(1)
        met.add((Path(caller.f_code.co_filename).name, caller.f_lineno))
        init(self, *args, **more)

    monkeypatch.setattr(RtnlError, "__init__", noted)
    for records in (param.values[0] for param in test_tool_ip_golden.scripts()):
        machine = test_tool_ip_golden.Machine(tmp_path, 10, 0)
        for record in records:
            with suppress(Exception):  # what they say is compared elsewhere
                machine.run(shlex.split(record["cmd"]))
    machine = Shell()
    for answer in test_iptables.ANSWERS:
        machine.run(answer["cmd"])
    for param in REFUSED:
        shell = Shell()
        shell.ok(*PORTS)
        shell.run(param[0])
    for command in ["ip addr add 2001:db8::5/64 dev lo", *(row[0] for row in REFUSED6)]:
        shell = Shell()
        shell.ok(*(PORTS6 if "lo" not in command.split() else ()))
        shell.run(command)
    for call, _, _ in BY_OPERATION.values():
        shell = Shell()
        shell.ok(*PORTS)
        with suppress(RtnlError):
            call(shell)
    shell = Shell()
    shell.ok(*PORTS)
    with suppress(RtnlError):
        no_id_left(shell, monkeypatch)
    assert not (left := sorted(raised() - met)), "\n".join(f"{file}:{line}" for file, line in left)
