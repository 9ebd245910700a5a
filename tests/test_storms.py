"""Loops without a spanning tree: bounded, reported, cheap; and what is no loop is never called one."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan import transmission
from simvlan.clock import SECOND
from simvlan.devices.device import Device
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.links import Cable, CableOptions
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.address import address_add
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.stack.ipaddr import parse_ip
from simvlan.stack.packet import build


@pytest.mark.parametrize("delay_ns", [0, 1_000])
def test_a_storm_is_bounded_and_reported(delay_ns: int) -> None:
    """Two bridges joined twice, without STP: one broadcast would circle for ever."""
    clock = EventClock()
    net = Network(clock)
    spaces = [net.add_netns(n) for n in ("a", "b")]
    bridges = [link_add(net, ns, LinkSpec("bridge", "br0", info={"mcast_snooping": 0})) for ns in spaces]
    for number in range(3):
        near: Any = link_add(net, spaces[0], LinkSpec("veth", f"l{number}", peer=PeerSpec(f"l{number}", spaces[1])))
        if delay_ns:
            Cable(net, near, CableOptions(delay_ns=delay_ns))
        for dev, bridge in ((near, bridges[0]), (near.peer, bridges[1])):
            link_set(net, dev, master=bridge, up=True)
    for bridge in bridges:
        link_set(net, bridge, up=True)
    clock.advance(2 * SECOND)  # a port waits for linkwatch
    net.send(bridges[0], Frame(2**48 - 1, bridges[0].mac, 0x88B5, bytes(46)))
    clock.advance(clock.now + SECOND)
    assert sum(net.storms.values()) > 0
    assert clock.peek() is None or clock.peek() > clock.now + SECOND // 10  # type: ignore[operator]  # all is calm


def test_one_frame_circling_a_loop_with_delay_is_ended() -> None:
    """Two bridges joined twice: the copies do not multiply, they circle; a loop-free path of 900 cables is no storm."""
    net, near = chain_of_bridges(2, 2)
    clock: Any = net.clock
    net.send(near, Frame(2**48 - 1, near.mac, 0x88B5, bytes(46)))
    clock.advance(clock.now + SECOND)
    assert sum(net.storms.values()) > 0
    net, near = chain_of_bridges(900, 1)
    net.send(near, Frame(2**48 - 1, near.mac, 0x88B5, bytes(46)))
    clock = net.clock
    clock.advance(clock.now + SECOND)
    assert not net.storms
    assert net.device("b899/br0").rx_packets == 1


def star(hosts: int) -> Network:
    """So many hosts on one bridge, all of which answer a broadcast ping."""
    net = Network(EventClock())
    switch = net.add_netns("switch")
    bridge = link_add(net, switch, LinkSpec("bridge", "br0", info={"mcast_snooping": 0}))
    link_set(net, bridge, up=True)
    for number in range(hosts):
        ns = net.add_netns(f"h{number}")
        dev: Any = link_add(net, ns, LinkSpec("veth", "eth0", peer=PeerSpec(f"p{number}", switch)))
        sysctl_set(net, ns, "net.ipv4.icmp_echo_ignore_broadcasts", "0")
        address_add(net, dev, f"10.0.{number >> 8}.{number & 255}/16")
        link_set(net, dev, up=True)
        link_set(net, dev.peer, master=bridge, up=True)
    return net


def test_everybody_may_answer_everybody() -> None:
    """One broadcast ping among 60 hosts: sixty ARP requests to sixty hosts each, and no storm."""
    net = star(60)
    asker = net.netns["h1"].devices["eth0"]
    octets = build(parse_ip("10.0.0.1"), parse_ip("10.0.255.255"), 1, bytes.fromhex("0800f7fe00000001"))
    net.send(asker, Frame(2**48 - 1, asker.mac, 0x0800, octets))
    assert not net.storms
    assert asker.rx_packets >= 2 * 58


def test_a_loop_costs_little() -> None:
    """A ping between hosts on either side of a loop: bounded by the size of the network, not by patience."""
    net, near = chain_of_bridges(2, 2)
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    for dev in net.devices():
        dev.taps.append(count)
    net.send(near, Frame(2**48 - 1, near.mac, 0x88B5, bytes(46)))
    net.clock.advance(net.clock.now + SECOND)  # type: ignore[attr-defined]
    assert sum(net.storms.values()) > 0
    assert transmission.FRAME_STEPS <= steps < 6 * transmission.FRAME_STEPS


def chain_of_bridges(length: int, joints: int) -> tuple[Network, Device]:
    """Bridges in a row, neighbours joined by so many cables of 1 µs; returns the first bridge's device too."""
    net = Network(EventClock())
    spaces = [net.add_netns(f"b{n}") for n in range(length)]
    bridges = [link_add(net, ns, LinkSpec("bridge", "br0", info={"mcast_snooping": 0})) for ns in spaces]
    for bridge in bridges:
        link_set(net, bridge, up=True)
    for n in range(length - 1):
        for joint in range(joints):
            peer = PeerSpec(f"l{joint}", spaces[n + 1])
            veth: Any = link_add(net, spaces[n], LinkSpec("veth", f"r{joint}", peer=peer))
            Cable(net, veth, CableOptions(delay_ns=1_000))
            link_set(net, veth, master=bridges[n], up=True)
            link_set(net, veth.peer, master=bridges[n + 1], up=True)
    net.clock.advance(net.now + 2 * SECOND)  # type: ignore[attr-defined]  # a port waits for linkwatch
    return net, bridges[0]
