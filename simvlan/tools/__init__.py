"""The commands people type: which of them act on the simulated kernel, and which are refused by name.

A tool is a function of a `Process` (see `program.py`); it is imported when first used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.tools.program import Process

    Tool = Callable[[Process], int | Generator[Any, Any, int]]

TOOLS: dict[str, str] = {
    "VBoxManage": "simvlan.docker.words:vboxmanage",
    "arping": "simvlan.tools.arping:main",
    "bridge": "simvlan.tools.bridge:main",
    "conntrack": "simvlan.tools.conntrack:main",
    "curl": "simvlan.tools.http.curl:main",
    "dhclient": "simvlan.tools.dhclient:main",
    "dhcrelay": "simvlan.tools.dhcrelay:main",
    "dig": "simvlan.tools.dig:dig",
    "dnsmasq": "simvlan.tools.dnsmasq:main",
    "dnsdomainname": "simvlan.tools.hostname:main",
    "docker": "simvlan.docker.script:docker",
    "docker-compose": "simvlan.docker.script:docker",
    "docker-machine": "simvlan.docker.words:docker_machine",
    "domainname": "simvlan.tools.hostname:main",
    "ethtool": "simvlan.tools.ethtool:main",
    "getent": "simvlan.tools.getent:main",
    "host": "simvlan.tools.nslookup:host",
    "hostname": "simvlan.tools.hostname:main",
    "http.server": "simvlan.tools.http.python_server:main",
    "ip": "simvlan.tools.ip:main",
    "iperf3": "simvlan.tools.iperf.program:main",
    "iptables": "simvlan.tools.iptables:main",
    "iptables-nft": "simvlan.tools.iptables:main",
    "iptables-nft-restore": "simvlan.tools.iptables:restore",
    "iptables-nft-save": "simvlan.tools.iptables:save",
    "iptables-restore": "simvlan.tools.iptables:restore",
    "iptables-save": "simvlan.tools.iptables:save",
    "modprobe": "simvlan.tools.modprobe:main",
    "nc": "simvlan.tools.nc:main",
    "netcat": "simvlan.tools.nc:main",
    "nisdomainname": "simvlan.tools.hostname:main",
    "nsenter": "simvlan.docker.nsenter:main",
    "nslookup": "simvlan.tools.nslookup:nslookup",
    "ping": "simvlan.tools.ping:main",
    "ping6": "simvlan.tools.ping:main",
    "radvd": "simvlan.tools.radvd:main",
    "simvlan": "simvlan.shell.commands:simvlan",
    "sleep": "simvlan.shell.commands:sleep",
    "ss": "simvlan.tools.ss:main",
    "sudo": "simvlan.shell.commands:sudo",
    "sysctl": "simvlan.tools.sysctl:main",
    "tc": "simvlan.tools.tc:main",
    "tcpdump": "simvlan.tools.tcpdump:main",
    "timeout": "simvlan.shell.commands:timeout",
    "tracepath": "simvlan.tools.tracepath:main",
    "traceroute": "simvlan.tools.traceroute:main",
    "traceroute6": "simvlan.tools.traceroute:main",
    "udhcpc": "simvlan.tools.udhcpc:main",
    "wget": "simvlan.tools.http.wget:main",
    "ypdomainname": "simvlan.tools.hostname:main",
}
"""Name of a simulated command -> `module:function`."""

PYTHONS = ("python", "python3")
"""Interpreters whose `-m http.server` is the simulated command `http.server`; all else they are asked is theirs."""

_NFT = "packet filters are modelled for IPv4 through `iptables` only; no rule of it would take effect"
_ENGINE = "it would reach the real machine's engine; use `ip netns` and `ip link`"
_DHCP = "use `udhcpc` or `dhclient` for a client and `dnsmasq` for a server"
_NETNS = "use `ip netns add` and `ip netns exec`"
_MANAGER = "it would manage the real machine; use `ip` and `bridge`"
_SOCKETS = "not modelled; use `nc`, `ss`, `ping`, `tcpdump` or `simvlan send`"

REFUSED: dict[str, str] = {
    "ab": "use `curl` or `iperf3`",
    "arp": "use `ip neigh`",
    "arp-scan": "use `arping`",
    "arptables": _NFT,
    "brctl": "use `ip link add NAME type bridge` and `bridge`",
    "busybox": "its applets would act on the real kernel; call `ip`, `ping`, ... themselves",
    "containerlab": _ENGINE,
    "delv": "use `dig` or `nslookup`",
    "dhcpcd": _DHCP,
    "dhcpd": _DHCP,
    "dhcping": _DHCP,
    "dumpcap": "use `tcpdump`",
    "ebtables": _NFT,
    "ebtables-nft": _NFT,
    "firewall-cmd": _NFT,
    "fping": "use `ping`",
    "hping3": "use `simvlan send`",
    "httping": "use `curl`",
    "ifconfig": "use `ip address` and `ip link`",
    "ifdown": "use `ip link set DEV down`",
    "ifenslave": "bonding is not modelled",
    "ifup": "use `ip link set DEV up`",
    "insmod": "use `modprobe`",
    "ip6tables": _NFT,
    "ip6tables-legacy": _NFT,
    "ip6tables-nft": _NFT,
    "ip6tables-restore": _NFT,
    "ip6tables-save": _NFT,
    "iperf": "use `iperf3`",
    "ipset": _NFT,
    "iptables-legacy": _NFT,
    "ipvsadm": "load balancing is not modelled",
    "iw": "wireless devices are not modelled",
    "iwconfig": "wireless devices are not modelled",
    "kea-dhcp4": _DHCP,
    "lighttpd": "use `python3 -m http.server`",
    "lxc": _ENGINE,
    "macchanger": "use `ip link set DEV address MAC`",
    "mii-tool": "use `ethtool`",
    "mtr": "use `traceroute` or `ping`",
    "named": "use `dnsmasq`",
    "nameif": "use `ip link set DEV name NEW`",
    "nc.openbsd": "use `nc`",
    "nc.traditional": "use `nc`",
    "ncat": "use `nc`",
    "nerdctl": _ENGINE,
    "netperf": "use `iperf3`",
    "netplan": _MANAGER,
    "netstat": "use `ss`, `ip route` and `ip -s link`",
    "networkctl": _MANAGER,
    "nft": "use `iptables`, whose rules `iptables -S` and `iptables -t nat -S` list; nothing else filters here",
    "nginx": "use `python3 -m http.server`",
    "nmap": "use `ping` or `arping`",
    "nmcli": _MANAGER,
    "nping": "use `simvlan send`",
    "ovs-dpctl": "Open vSwitch is not modelled; use `ip link add NAME type bridge`",
    "ovs-ofctl": "Open vSwitch is not modelled; use `ip link add NAME type bridge`",
    "ovs-vsctl": "Open vSwitch is not modelled; use `ip link add NAME type bridge`",
    "podman": _ENGINE,
    "resolvectl": _MANAGER,
    "rmmod": "use `modprobe`",
    "route": "use `ip route`",
    "socat": _SOCKETS,
    "ssh": _SOCKETS,
    "systemctl": _MANAGER,
    "tcpreplay": "use `simvlan send`",
    "teamd": "teaming is not modelled",
    "telnet": "use `nc`",
    "tshark": "use `tcpdump`",
    "tunctl": "TAP devices are not modelled; `simvlan live --attach NETNS/DEV=tap:NAME` joins a real one",
    "udhcpd": _DHCP,
    "ufw": _NFT,
    "unbound": "use `dnsmasq`",
    "unshare": _NETNS,
    "vconfig": "use `ip link add link DEV name DEV.VID type vlan id VID`",
    "virsh": _ENGINE,
    "wg": "WireGuard is not modelled",
    "wrk": "use `curl` or `iperf3`",
}
"""Name of a network tool that is not modelled -> what to use instead."""


def load(name: str) -> Tool:
    """Import the function of a simulated command."""
    module, _, function = TOOLS[name].partition(":")
    tool: Tool = getattr(import_module(module), function)
    return tool
