"""dhcrelay of ISC DHCP 4.4.3: a DHCP relay agent, with option 82 or without; its rules are in `simvlan/dhcp/relay.py`.

It answers clients by frames of its own, as a host without their addresses has to, and makes no neighbour entries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from ipaddress import IPv4Address
from typing import Any

import simpy

from simvlan.dhcp import message as m
from simvlan.dhcp.message import Message
from simvlan.dhcp.relay import marked, unmarked, upward
from simvlan.frame import BROADCAST, IPV4, Frame
from simvlan.stack.family import WANT
from simvlan.stack.ipaddr import LIMITED_BROADCAST
from simvlan.tools.dhcp_io import datagram
from simvlan.tools.dhcp_serving import RelayService
from simvlan.tools.program import Process

USAGE = "Usage: dhcrelay [-4] [-d] [-q] [-a] [--no-pid] [-i DEV | -id DEV | -iu DEV]... SERVER...\n"
TOS, TTL = 16, 128
"""Of what it sends to clients (common/packet.c)."""


class IscRelay(RelayService):
    """The relay of a namespace.

    Args:
        down: devices with clients; none named: all.
        says: it says by which device a request came (-a).
    """

    as_heard = False

    def __init__(self, network: Any, ns: Any, servers: list[int], down: list[str], says: bool) -> None:
        super().__init__(network, ns, [(0, each) for each in servers], down)
        self.says = says

    def start(self) -> None:
        """Open the port."""
        super().start()
        self.sock.tos, self.sock.pmtudisc = 0, WANT

    def request(self, msg: Message, dev: Any, address: int) -> Message | None:
        """A client's message as it goes on."""
        up = upward(msg, address)
        return marked(up, dev.name) if up is not None and self.says else up

    def _down(self, msg: Message) -> None:
        """To where the circuit says, else to the network of the relay's address."""
        circuit = ""
        if self.says:
            msg, circuit = unmarked(msg)
        here = {each.local: dev for dev in self.ns.devices.values() for each in self.addresses(dev)}
        dev = self.ns.devices.get(circuit) or here.get(msg.giaddr)
        if msg.giaddr not in here or dev is None:
            return
        loud = bool(msg.flags & m.BROADCAST_FLAG)
        dst = LIMITED_BROADCAST if loud else msg.yiaddr
        data = datagram(msg.giaddr, dst, m.SERVER_PORT, m.CLIENT_PORT, msg.pack(), TOS, TTL)
        mac = BROADCAST if loud else int.from_bytes(msg.chaddr, "big")
        sock = self.ns.stack.open_packet(dev, IPV4)
        try:
            sock.send(Frame(mac, dev.mac, IPV4, data))
        finally:
            sock.close()


def main(proc: Process) -> Generator[Any, Any, int]:
    """Relay until a signal (-d), or go to the background."""
    words = list(proc.argv[1:])
    down: list[str] = []
    up: list[str] = []
    servers: list[str] = []
    flags: set[str] = set()
    while words:
        word = words.pop(0)
        if word in ("-i", "-id", "-iu") and words:
            (up if word == "-iu" else down).append(words.pop(0))
        elif word in ("-4", "-d", "-q", "-a", "--no-pid"):
            flags.add(word)
        elif word.startswith("-"):
            proc.write_err(f"simvlan: dhcrelay: {word} is not modelled\n{USAGE}")
            return 95
        else:
            servers.append(word)
    ns = proc.lab.network.netns[proc.netns]
    unknown = [name for name in down + up if name not in ns.devices]
    if unknown or not servers:
        proc.write_err(f"dhcrelay: no interface {unknown[0]}\n" if unknown else f"No servers specified.\n{USAGE}")
        return 1
    try:
        wanted = [int(IPv4Address(each)) for each in servers]
        service = IscRelay(proc.lab.network, ns, wanted, down, "-a" in flags)
        service.start()
    except (ValueError, OSError) as error:
        proc.write_err(f"dhcrelay: {getattr(error, 'strerror', None) or error}\n")
        return 1
    if "-d" not in flags:
        return 0
    with contextlib.suppress(simpy.Interrupt):
        yield proc.lab.env.event()
    service.stop()
    return 0
