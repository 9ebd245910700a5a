"""Docker networks with IPv6: addresses that are really there, default routes, names, published ports, busybox's words.

What busybox prints was seen of Debian's busybox 1.35 on Linux 6.18; what Docker sets, in libnetwork/osl of 28.5.2.
"""

from __future__ import annotations

import pytest

from simvlan import Lab
from tests.dockersim.world import Node

BLOCKS = ({"Subnet": "10.1.0.0/24"}, {"Subnet": "2001:db8:1::/64", "Gateway": "2001:db8:1::1"})
BUSYBOX = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qlen 1000
    inet6 ::1/128 scope host~
       valid_lft forever preferred_lft forever
2: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500~
    inet6 2001:db8:1::77/64 scope global flags 02~
       valid_lft forever preferred_lft forever
    inet6 fe80::c0ff:fe00:1/64 scope link~
       valid_lft forever preferred_lft forever
2001:db8:1::/64 dev eth0  metric 256~
fe80::/64 dev eth0  metric 256~
default via 2001:db8:1::1 dev eth0  metric 1024~
multicast ff00::/8 dev eth0  metric 256~
""".replace("~", " ")


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.mark.parametrize(("driver", "options"), [("macvlan", {}), ("ipvlan", {}), ("ipvlan", {"ipvlan_mode": "l3"})])
def test_containers_reach_each_other_by_ipv6(node: Node, driver: str, options: dict[str, str]) -> None:
    node.network("six", driver, *BLOCKS, parent="eth1", ipv6=True, **options)
    node.run("c1", "six")
    node.run("c2", "six", ip6="2001:db8:1::77")
    assert node.endpoint("c1", "six")["GlobalIPv6Address"] in node.ip("c1", "-6", "address", "show", "dev", "eth0")
    assert node.ping("c1", "2001:db8:1::77")
    assert not node.ping("c1", "2001:db8:1::78")
    assert node.ping("c1", node.endpoint("c2", "six")["IPAddress"])


@pytest.mark.parametrize(
    ("options", "route"), [({}, "via 2001:db8:1::1 dev eth0"), ({"ipvlan_mode": "l3s"}, "dev eth0")]
)
def test_the_default_route_is_the_gateway_s_or_in_l3_the_device_s(
    node: Node, options: dict[str, str], route: str
) -> None:
    node.network("six", "ipvlan", *BLOCKS, parent="eth1", ipv6=True, **options)
    node.run("c1", "six")
    assert node.ip("c1", "-6", "route", "show", "default") == f"default {route} metric 1024 pref medium\n"


def test_the_default_route_follows_what_is_connected(node: Node) -> None:
    node.network("a", "bridge", "10.2.0.0/24", "2001:db8:2::/64", ipv6=True)
    node.network("b", "bridge", "10.3.0.0/24", "2001:db8:3::/64", ipv6=True)
    node.run("c1", "b")
    node.engine.network_connect("a", {"Container": "c1"})
    assert "via 2001:db8:2::1 dev eth1" in node.ip("c1", "-6", "route", "show", "default")
    node.engine.network_disconnect("a", {"Container": "c1"})
    assert "via 2001:db8:3::1 dev eth0" in node.ip("c1", "-6", "route", "show", "default")
    node.engine.network_disconnect("b", {"Container": "c1"})
    assert node.ip("c1", "-6", "route", "show", "default") == ""


@pytest.mark.parametrize(("ipv6", "on"), [(False, "1"), (True, "0")])
def test_ipv6_is_off_on_devices_of_networks_without_it(ipv6: bool, on: str) -> None:
    node = Node(Lab(seed=1, ipv6=True))
    node.network("n", "macvlan", *BLOCKS[: 1 + ipv6], parent="eth1", ipv6=ipv6)
    node.run("c1", "n")
    assert node.lab.command("sysctl", "-n", "net.ipv6.conf.eth0.disable_ipv6", netns="c1").stdout == f"{on}\n"
    assert bool(node.ip("c1", "-6", "address", "show", "dev", "eth0")) is ipv6


def test_a_bridge_has_the_gateway_s_address(node: Node) -> None:
    node.network("six", "bridge", *BLOCKS, ipv6=True, **{"com.docker.network.bridge.name": "six0"})
    node.run("c1", "six")
    node.run("c2", "six")
    assert node.ping("c1", "2001:db8:1::1")
    assert node.ping("c1", "2001:db8:1::3")
    shown = node.ip("node-1", "-6", "-o", "address", "show", "dev", "six0")
    assert "2001:db8:1::1/64" in shown
    assert "fe80::1/64" in shown


@pytest.fixture(scope="module")
def lab() -> Lab:
    made = Lab()
    done = made.sh("""
        ip netns add node; ip netns add gw
        ip -n node link add eth9 type veth peer name eth0 netns gw
        ip link set lo up; ip netns exec node ip link set lo up
        for n in node:eth9 gw:eth0; do
            ip -n ${n%:*} link set ${n#*:} up
            ip netns exec ${n%:*} sysctl -qw net.ipv6.conf.${n#*:}.disable_ipv6=0
        done
        ip -n node address add 2001:db8:9::1/64 dev eth9 nodad; ip -n gw address add 2001:db8:9::2/64 dev eth0 nodad
        ip netns exec node sysctl -qw net.ipv6.conf.lo.disable_ipv6=0
        on() { ip netns exec node docker "$@"; }
        on network create --ipv6 --subnet 10.1.0.0/24 --subnet 2001:db8:1::/64 six > /dev/null
        on run -d --name web --network six --ip6 2001:db8:1::77 --mac-address 02:00:c0:00:00:01 -p 8080:80 \\
            traefik/whoami > /dev/null 2>&1
        on run -d --name box --network six alpine sleep infinity > /dev/null 2>&1
        sleep 3
    """)
    assert not done.exit, done
    return made


def said(lab: Lab, line: str, netns: str = "node") -> str:
    return lab.sh(f"ip netns exec {netns} {line} 2>&1").stdout


def test_busybox_shows_addresses_and_routes() -> None:
    lab = Lab()
    out = lab.sh("""
        ip link add p0 type dummy; ip link set p0 up
        docker network create -d macvlan --ipv6 --subnet 10.1.0.0/24 --subnet 2001:db8:1::/64 -o parent=p0 six \\
            > /dev/null
        docker run -d --name box --network six --ip6 2001:db8:1::77 --mac-address 02:00:c0:00:00:01 \\
            alpine sleep 99 > /dev/null 2>&1
        sleep 3
        docker exec box ip -6 addr; docker exec box ip -6 route
    """).stdout
    lines = [line.partition("@")[2].partition(":")[2] or line for line in BUSYBOX.splitlines()]
    got = [line.partition("@")[2].partition(":")[2] or line for line in out.splitlines()]
    assert got == lines


@pytest.mark.parametrize(("option", "shown"), [("-6", "2001:db8:1::77"), ("-4", "10.1.0.2"), ("", "10.1.0.2")])
def test_busybox_ping_takes_the_family_that_is_asked_for(lab: Lab, option: str, shown: str) -> None:
    out = said(lab, f"docker exec box ping {option} -c 1 web")
    assert out.startswith(f"PING web ({shown}): 56 data bytes\n64 bytes from {shown}: seq=0 ttl=64 time=")


def test_busybox_ping_of_the_other_family_s_address_is_a_bad_one(lab: Lab) -> None:
    assert said(lab, "docker exec box ping -4 -c 1 2001:db8:1::77") == "ping: bad address '2001:db8:1::77'\n"
    assert said(lab, "docker exec box ping -6 -c 1 10.1.0.2") == "ping: bad address '10.1.0.2'\n"


def test_names_have_addresses_of_both_families(lab: Lab) -> None:
    out = said(lab, "docker exec box nslookup web")
    assert out.partition("\n\n")[2] == (
        "Non-authoritative answer:\nName:\tweb\nAddress: 10.1.0.2\n\n"
        "Non-authoritative answer:\nName:\tweb\nAddress: 2001:db8:1::77\n\n"
    )


@pytest.mark.parametrize(
    ("netns", "url"),
    [("node", "http://127.0.0.1:8080/"), ("node", "'http://[::1]:8080/'"), ("gw", "'http://[2001:db8:9::1]:8080/'"),
     ("node", "'http://[2001:db8:1::77]/'")],
)  # fmt: skip
def test_published_ports_are_reached_by_both_families(lab: Lab, netns: str, url: str) -> None:
    assert said(lab, f"curl -sS -m 3 {url}", netns).startswith("Hostname: ")


def test_a_port_that_a_program_of_the_node_has_is_refused(lab: Lab) -> None:
    out = lab.sh("""
        ip netns exec node nc -l 8090 & sleep 1
        ip netns exec node docker run --name late --network six -p 8090:80 nginx 2>&1 | grep -o 'failed to bind.*'
        ip netns exec node docker run --name far -p 192.0.2.77:8091:80 nginx 2>&1 | grep -o 'failed to bind.*'
        ip netns exec node iptables -t nat -S | grep -c 809
        kill $!; wait
    """).stdout
    assert out == (
        "failed to bind host port for 0.0.0.0:8090:10.1.0.4:80/tcp: address already in use\n"
        "failed to bind host port for 192.0.2.77:8091:172.17.0.2:80/tcp: cannot assign requested address\n"
        "0\n"
    )
