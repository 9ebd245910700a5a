"""Virtual machines with an engine each, and the switches they hang on: what `docker-machine` and VirtualBox make.

A machine is a network namespace with two NICs, as docker-machine's virtualbox driver makes them: eth0 on a NAT that
leads nowhere here (10.0.2.15/24, router 10.0.2.2), eth1 on the host-only network vboxnet0 (192.168.99.100/24 and up;
the host is 192.168.99.1). Switches are in the namespace `vbox`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from simvlan.docker.cluster import Cluster, Machine, Nic
from simvlan.frame import mac_text, parse_mac
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.route import route_add
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import Ifaddr, parse_ip
from simvlan.underlay import ALLOW_ALL, POLICIES, VirtualBox, lay, underlay_of

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.lab import Lab
    from simvlan.network import Netns

SWITCHES = "vbox"
"""The namespace that stands for the hypervisor."""
HOST_ONLY = "vboxnet0"
HOST_ADDRESS, FIRST_ADDRESS = "192.168.99.1", 100
NAT_ADDRESS, NAT_ROUTER = "10.0.2.15", "10.0.2.2"
FOLLOW = {"learning": False}
"""A virtual switch does not learn: what a port lets through is decided at the port."""


class MachineError(Exception):
    """What cannot be done with a machine; worded for people."""


class Machines:
    """The virtual machines of a lab."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.lab: Lab = cluster.lab

    @property
    def net(self) -> Any:
        """The simulated world."""
        return self.lab.network

    def find(self, name: str) -> Machine:
        """Find a machine by name."""
        if name not in self.cluster.machines:
            raise MachineError(f"no machine {name!r}")
        return self.cluster.machines[name]

    # -- create -----------------------------------------------------------------------------------------------------

    def create(self, name: str, dialect: str | None = None) -> Machine:
        """Make a machine with its two NICs, up, and its engine.

        Raises:
            MachineError: there is a machine or a namespace of that name.
        """
        if name in self.net.netns:
            raise MachineError(f'there is already a machine or network namespace "{name}"')
        self._ensure_host()
        ns = self.net.add_netns(name)
        link_set(self.net, ns.devices["lo"], up=True)
        machine = self.cluster.machines[name] = Machine(name)
        self._nat(machine, ns)
        self._host_only(machine, ns)
        self._addresses(machine, ns)
        self.cluster.engine(name, dialect)
        return machine

    def _ensure_host(self) -> None:
        """The hypervisor's switch of the host-only network, and the host's own adapter on it."""
        if SWITCHES in self.net.netns:
            return
        switches, host = self.net.add_netns(SWITCHES), self.net.netns[""]
        switch = link_add(self.net, switches, LinkSpec("bridge", HOST_ONLY, info={"mcast_snooping": 0}))
        link_set(self.net, switch, up=True)
        peer = PeerSpec("host", switches)
        adapter = link_add(self.net, host, LinkSpec("veth", HOST_ONLY, mac=parse_mac("0a:00:27:00:00:00"), peer=peer))
        self._plug(switches.devices["host"], switch)
        link_set(self.net, adapter, up=True)
        self._address(adapter, HOST_ADDRESS)

    def _plug(self, port: Device, switch: Device) -> None:
        link_set(self.net, port, master=switch)
        link_set(self.net, port, slave_info=FOLLOW)
        link_set(self.net, port, up=True)

    def _nic(self, machine: Machine, ns: Netns, name: str, network: str) -> Device:
        """Make a NIC with an address of VirtualBox's own range; the switch's end goes into the hypervisor."""
        switches, number = self.net.netns[SWITCHES], len(machine.nics) + 1
        mac = 0x08_00_27 << 24 | int.from_bytes(sha256(f"{machine.name}/{number}".encode()).digest()[:3], "big")
        port = f"{machine.name}-{number}"[-15:]
        dev = link_add(self.net, ns, LinkSpec("veth", name, mac=mac, peer=PeerSpec(port, switches)))
        machine.nics.append(Nic(name, f"{SWITCHES}/{port}", network, mac_text(mac)))
        return dev

    def _nat(self, machine: Machine, ns: Netns) -> None:
        dev = self._nic(machine, ns, "eth0", "nat")
        link_set(self.net, self._port(machine, 1), up=True)
        link_set(self.net, dev, up=True)

    def _host_only(self, machine: Machine, ns: Netns) -> None:
        dev = self._nic(machine, ns, "eth1", "hostonly")
        port, switches = self._port(machine, 2), self.net.netns[SWITCHES]
        hosts = frozenset([self.net.netns[""].devices[HOST_ONLY].mac])
        lay(self.net, dev, VirtualBox(dev.mac, hosts=hosts))  # type: ignore[arg-type]  # a veth
        self._plug(port, switches.devices[HOST_ONLY])
        link_set(self.net, dev, up=True)

    def _port(self, machine: Machine, number: int) -> Any:
        return self.net.device(machine.nics[number - 1].port)

    def _addresses(self, machine: Machine, ns: Netns) -> None:
        """What DHCP gives on both networks."""
        if not machine.address:
            taken = {each.address for each in self.cluster.machines.values()}
            numbers = (f"192.168.99.{number}" for number in range(FIRST_ADDRESS, 255))
            machine.address = next(address for address in numbers if address not in taken)
        self._address(ns.devices["eth0"], NAT_ADDRESS)
        self._address(ns.devices["eth1"], machine.address)
        route_add(self.net, ns, Route(0, 0, via=parse_ip(NAT_ROUTER)))

    def _address(self, dev: Device, text: str) -> None:
        local = parse_ip(text)
        address_add(self.net, dev, Ifaddr(local, 24, broadcast=local | 255, label=dev.name))

    # -- NICs -------------------------------------------------------------------------------------------------------

    def set_policy(self, name: str, number: int, policy: str) -> None:
        """Set the promiscuous policy of a NIC: deny, allow-vms or allow-all.

        Raises:
            MachineError: no such machine, NIC or policy.
        """
        if policy not in POLICIES:
            raise MachineError(f"Invalid promiscuous policy '{policy}': there are {', '.join(POLICIES)}")
        port = self._switch_port(name, number)
        if port is not None:
            port.policy = policy

    def policy(self, name: str, number: int) -> str:
        """The promiscuous policy of a NIC; a NAT has nobody else on it."""
        port = self._switch_port(name, number)
        return port.policy if port is not None else ALLOW_ALL

    def _switch_port(self, name: str, number: int) -> VirtualBox | None:
        machine = self.find(name)
        if not 1 <= number <= len(machine.nics):
            raise MachineError(f"the machine '{name}' has no NIC {number}: it has {len(machine.nics)}")
        rule = underlay_of(self._port(machine, number))
        return rule if isinstance(rule, VirtualBox) else None

    def set_link(self, name: str, number: int, connected: bool) -> None:
        """Pull a NIC's cable, or put it back."""
        self._switch_port(name, number)
        self._connect(self.find(name), number, connected)

    def _connect(self, machine: Machine, number: int, connected: bool) -> None:
        port = self._port(machine, number)
        for end in (port, port.peer):
            if end.wire is not None:
                end.wire.plugged = connected
            self.net.set_carrier(end, connected and port.up and port.peer.up)
        self.net.drain()

    # -- power ------------------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Power a machine off: its containers end, what was made on it is gone, its NICs have no link."""
        machine = self.find(name)
        if not machine.running:
            return
        self.cluster.engine(name).power_off()
        machine.running = False
        ns, nics = self.net.netns[name], {nic.name for nic in machine.nics}
        for dev in reversed(list(ns.devices.values())):
            if dev.kind and dev.name not in nics and ns.devices.get(dev.name) is dev:
                link_del(self.net, dev)
        for number, nic in enumerate(machine.nics, 1):
            link_set(self.net, ns.devices[nic.name], up=False)
            self._connect(machine, number, False)

    def start(self, name: str) -> None:
        """Power a machine on: NICs and addresses as at first, networks and containers as its engine kept them."""
        machine = self.find(name)
        if machine.running:
            return
        ns = self.net.netns[name]
        for number, nic in enumerate(machine.nics, 1):
            link_set(self.net, ns.devices[nic.name], up=True)
            self._connect(machine, number, True)
            for ifa in list(ns.stack.addresses(ns.devices[nic.name])):
                ns.stack.addresses_of.remove(ns.devices[nic.name], ifa)
        self._addresses(machine, ns)
        machine.running = True
        self.cluster.engine(name).power_on()

    def remove(self, name: str) -> None:
        """Delete a machine, its namespace and what hangs on it."""
        machine = self.find(name)
        self.stop(name)
        self.cluster.forget(name)
        del self.cluster.machines[name]
        for nic in machine.nics:
            link_del(self.net, self.net.device(nic.port))
        self.net.del_netns(name)
        self.net.drain()
