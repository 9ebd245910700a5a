"""The bridge's forwarding rules, one test each; the kernel function that owns the rule is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from simvlan.clock import SECOND
from simvlan.devices.bridge import Bridge
from simvlan.devices.bridge_port import BridgePort
from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import BROADCAST, DOT1Q, QINQ, Frame, PType
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.rtnl.bridge import port_info, set_port
from simvlan.rtnl.bridge_vlan import vlan_add, vlan_del, vlan_list
from simvlan.rtnl.fdb import fdb_add, fdb_del, fdb_dump
from simvlan.rtnl.kinds import KINDS
from simvlan.verdict import Drop

A, B, C, X = (0x02_00_00_00_00_0A + n for n in range(4))
BR_MAC = 0x02_00_00_00_00_B0
GROUP_MAC, RESERVED = 0x0100_5E01_0203, 0x0180_C200_0000


@dataclass
class Notes:
    """A tracer that keeps the drops."""

    drops: list[Drop] = field(default_factory=list)

    def step(self, told: Told) -> None:
        if told.drop is not None:
            self.drops.append(told.drop)


class Switch:
    """br0 with ports p0..pN-1, each cabled to hN; what every far end and br0 receive is kept."""

    def __init__(self, ports: int = 3, mac: int | None = BR_MAC, **info: object) -> None:
        self.net = Network()
        ns = self.net.netns[""]
        self.br = link_add(self.net, ns, LinkSpec("bridge", "br0", mac=mac, info={"mcast_snooping": 0, **info}))
        assert isinstance(self.br, Bridge)
        self.ports: list[Device] = []
        self.hosts: list[Device] = []
        self.got: list[tuple[str, Frame]] = []
        for n in range(ports):
            peer = PeerSpec(f"h{n}", mac=A + n)
            self.ports.append(link_add(self.net, ns, LinkSpec("veth", f"p{n}", mac=0x02_00_00_00_01_00 + n, peer=peer)))
            self.hosts.append(ns.devices[f"h{n}"])
            link_set(self.net, self.hosts[n], up=True)
            link_set(self.net, self.ports[n], master=self.br, up=True)
        link_set(self.net, self.br, up=True)
        for dev in (*self.hosts, self.br):
            dev.taps.append(self.tap)

    def tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        if not out:
            self.got.append((dev.name, frame))

    def port(self, n: int) -> BridgePort:
        handler = self.ports[n].rx_handler
        assert isinstance(handler, BridgePort)
        return handler

    def send(self, host: int, dst: int, src: int | None = None, accel: int = 0, size: int = 46) -> list[str]:
        """Send from a far end; returns who received it, in order."""
        source = A + host if src is None else src
        return self.transmit(self.hosts[host], Frame(dst, source, 0x88B5, bytes(size), accel))

    def own(self, dst: int, accel: int = 0) -> list[str]:
        """Send from br0 itself."""
        return self.transmit(self.br, Frame(dst, self.br.mac, 0x88B5, bytes(46), accel))

    def transmit(self, dev: Device, frame: Frame) -> list[str]:
        self.got.clear()
        self.net.send(dev, frame)
        return [name for name, _ in self.got]

    def drops(self, host: int, dst: int, **how: Any) -> list[Drop]:
        """Send traced; returns the drops."""
        notes = Notes()
        self.net.tracer = notes  # type: ignore[assignment]
        self.send(host, dst, **how)
        self.net.tracer = None
        return notes.drops

    def wait(self, seconds: float) -> None:
        self.net.clock.advance(self.net.now + int(seconds * SECOND))  # type: ignore[attr-defined]

    def slave(self, n: int, **info: object) -> None:
        set_port(self.net, self.ports[n], info)

    def set(self, **info: object) -> None:
        link_set(self.net, self.br, info=info)

    def vlan(self, dev: Device, vid: int, **flags: bool) -> None:
        vlan_add(self.net, dev, vid, to_self=dev is self.br, **flags)


# -- learning and forwarding (br_handle_frame_finish) ---------------------------------------------------------------


def test_unknown_unicast_is_flooded_last_added_first_and_learned_unicast_is_not() -> None:
    """br_flood walks the port list newest first, br0 gets no unknown unicast; br_fdb_update learns the source."""
    sw = Switch(4)
    assert sw.send(0, B) == ["h3", "h2", "h1"]
    assert sw.send(1, A) == ["h0"]
    assert sw.send(0, B) == ["h1"]


def test_broadcast_reaches_ports_and_last_the_bridge() -> None:
    """Flooding comes before br_pass_frame_up in br_handle_frame_finish."""
    sw = Switch()
    sw.net.send(sw.hosts[0], Frame(BROADCAST, A, 0x88B5, bytes(46)))
    assert sorted(name for name, _ in sw.got) == ["br0", "h1", "h2"]
    assert (sw.br.rx_packets, sw.br.rx_bytes) == (1, 46)
    assert sw.br.multicast == 0


def test_multicast_counts_on_the_bridge() -> None:
    """The bridge's multicast counter counts group frames delivered here, not broadcasts."""
    sw = Switch()
    assert sorted(sw.send(0, GROUP_MAC)) == ["br0", "h1", "h2"]
    assert sw.br.multicast == 1


@pytest.mark.parametrize("source", [0, 0x0100_0000_0001])
def test_invalid_source_is_dropped(source: int) -> None:
    """is_valid_ether_addr of the source in br_handle_frame."""
    sw = Switch()
    assert sw.send(0, B, src=source) == []
    assert sw.drops(0, B, src=source) == [Drop.MAC_INVALID_SOURCE]


def test_frames_to_any_local_address_go_up_only() -> None:
    """A local FDB entry sends the frame to br0 alone; another port's MAC stays OTHERHOST."""
    sw = Switch()
    assert sw.send(0, BR_MAC) == ["br0"]
    assert sw.got[0][1].ptype.name == "HOST"
    assert sw.send(0, sw.ports[1].mac) == ["br0"]
    assert sw.got[0][1].ptype.name == "OTHERHOST"
    assert sw.send(1, sw.ports[1].mac) == ["br0"]
    assert sw.got[0][1].ptype.name == "HOST"


def test_same_port_needs_hairpin() -> None:
    """should_deliver: not back where it came from, unless the port is in hairpin mode."""
    sw = Switch()
    sw.send(0, BROADCAST)
    sw.send(0, BROADCAST, src=X)
    assert sw.send(0, X) == []
    assert sw.drops(0, X) == [Drop.BRIDGE_SAME_PORT]
    sw.slave(0, hairpin=True)
    assert sw.send(0, X) == ["h0"]
    assert sw.send(0, BROADCAST) == ["h2", "h1", "br0", "h0"] or "h0" in [n for n, _ in sw.got]


def test_isolated_ports_do_not_talk_to_each_other_but_to_the_bridge() -> None:
    """br_skb_isolated needs both ports isolated."""
    sw = Switch()
    for n in range(3):
        sw.send(n, BROADCAST)
    sw.slave(0, isolated=True)
    assert sw.send(0, B) == ["h1"]
    sw.slave(1, isolated=True)
    assert sw.send(0, B) == []
    assert sw.drops(0, B) == [Drop.BRIDGE_ISOLATED]
    assert sw.send(0, C) == ["h2"]
    assert sw.send(0, BR_MAC) == ["br0"]
    assert sw.own(A) == ["h0"]


@pytest.mark.parametrize(("flag", "dst"), [("flood", X), ("mcast_flood", GROUP_MAC), ("bcast_flood", BROADCAST)])
def test_flood_flags_keep_floods_from_a_port(flag: str, dst: int) -> None:
    """br_flood: BR_FLOOD for unicast, BR_MCAST_FLOOD and BR_BCAST_FLOOD except for what br0 itself sends."""
    sw = Switch()
    assert "h1" in sw.send(0, dst)
    sw.slave(1, **{flag: False})
    assert "h1" not in sw.send(0, dst)
    assert ("h1" in sw.own(dst)) == (flag != "flood")


def test_locked_port_admits_known_stations_only() -> None:
    """BR_PORT_LOCKED: the source must have a non-local entry on this port; nothing is learned."""
    sw = Switch()
    sw.slave(0, locked=True)
    assert sw.drops(0, BROADCAST) == [Drop.BRIDGE_LOCKED]
    sw.send(1, BROADCAST)
    assert sw.drops(0, BROADCAST, src=B) == [Drop.BRIDGE_LOCKED]
    assert entry(sw, B) == ("p1", "dynamic")
    fdb_add(sw.net, sw.ports[0], A, state="static", to_master=True)
    assert "h1" in sw.send(0, BROADCAST)


def test_learning_off_floods() -> None:
    """Without BR_LEARNING the source is not entered."""
    sw = Switch()
    sw.slave(0, learning=False)
    sw.send(0, BROADCAST)
    assert sw.send(1, A) == ["h2", "h0"]
    sw.slave(0, learning=True)
    sw.send(0, BROADCAST)
    assert sw.send(1, A) == ["h0"]


def test_egress_mtu_drops_silently() -> None:
    """is_skb_forwardable on the egress port: mtu + 18 octets; no counter."""
    sw = Switch(2)
    link_set(sw.net, sw.ports[1], mtu=1000)
    assert sw.send(0, B, size=1004) == ["h1"]
    assert sw.send(0, B, size=1005) == []
    assert sw.drops(0, B, size=1005) == [Drop.PKT_TOO_BIG]
    assert sw.ports[1].tx_dropped == 0


def test_promiscuous_bridge_hears_everything_accepted() -> None:
    """IFF_PROMISC on br0 passes every frame up, forwarding unchanged."""
    sw = Switch()
    for n in range(3):
        sw.send(n, BROADCAST)
    assert sw.send(0, B) == ["h1"]
    link_set(sw.net, sw.br, promisc=True)
    assert sorted(sw.send(0, B)) == ["br0", "h1"]


# -- reserved addresses (br_handle_frame) ---------------------------------------------------------------------------


def test_reserved_addresses_stay_on_the_port() -> None:
    """01:80:c2:00:00:0X: 0 floods while STP is off, 1 never passes, the rest stays local."""
    sw = Switch()
    assert "h1" in sw.send(0, RESERVED)
    assert sw.drops(0, RESERVED + 1) == [Drop.MAC_IEEE_MAC_CONTROL]
    for last in (2, 3, 8, 0xE, 0xF):
        assert sw.send(0, RESERVED + last) == []
    assert "h1" in sw.send(0, RESERVED + 0x10)


def test_group_fwd_mask_opens_reserved_addresses() -> None:
    """The bridge's mask refuses bits 0-2, a port's only bit 1."""
    sw = Switch()
    sw.set(group_fwd_mask=0x4000)
    assert "h1" in sw.send(0, RESERVED + 0xE)
    with pytest.raises(RtnlError):
        sw.set(group_fwd_mask=4)
    assert sw.send(0, RESERVED + 2) == []
    sw.slave(0, group_fwd_mask=4)
    assert "h1" in sw.send(0, RESERVED + 2)
    with pytest.raises(RtnlError):
        sw.slave(0, group_fwd_mask=2)


def test_reserved_source_is_learned() -> None:
    """__br_handle_local_finish learns although the frame goes nowhere."""
    sw = Switch()
    sw.send(0, RESERVED + 0xE, src=X)
    assert sw.send(1, X) == ["h0"]


def test_provider_bridge_forwards_customer_addresses() -> None:
    """An 802.1ad bridge forwards 0, b, c, d, f and keeps 8 (BR_GROUPFWD_8021AD)."""
    sw = Switch(vlan_filtering=1, vlan_protocol="802.1ad")
    assert sw.br.group_address == RESERVED + 8
    for last in (0, 0xB, 0xC, 0xD, 0xF):
        assert "h1" in sw.send(0, RESERVED + last)
    assert sw.send(0, RESERVED + 8) == []


# -- br0's own frames (br_dev_xmit) ---------------------------------------------------------------------------------


def test_own_unicast() -> None:
    """Known: that port; a port's own MAC: out of that port; br0's own MAC: nowhere, but counted; unknown: flood."""
    sw = Switch()
    sw.send(0, BROADCAST)
    assert sw.own(A) == ["h0"]
    assert sw.own(sw.ports[1].mac) == ["h1"]
    assert sw.own(BR_MAC) == []
    assert sw.own(X) == ["h2", "h1", "h0"]
    assert (sw.br.tx_packets, sw.br.tx_dropped) == (4, 0)


# -- FDB (br_fdb.c) -------------------------------------------------------------------------------------------------


def entry(sw: Switch, mac: int) -> tuple[str, str] | None:
    rows = fdb_dump(sw.net.netns[""], sw.net.now)
    return next(((r.dev.name, r.state) for r in rows if r.mac == mac and not r.vlan), None)


def test_entries_age_and_refresh() -> None:
    """br_fdb_cleanup: gone ageing_time after the last frame from there; static entries stay."""
    sw = Switch(ageing_time=300)
    fdb_add(sw.net, sw.ports[1], X, state="static", to_master=True)
    sw.send(0, BROADCAST)
    sw.wait(2)
    sw.send(0, BROADCAST)
    sw.wait(2.9)
    assert entry(sw, A) == ("p0", "dynamic")
    sw.wait(0.2)
    assert entry(sw, A) is None
    assert entry(sw, X) == ("p1", "static")


def test_ageing_time_zero_learns_nothing() -> None:
    """hold_time 0: br_fdb_update returns at once."""
    sw = Switch(ageing_time=0)
    sw.send(0, BROADCAST)
    assert entry(sw, A) is None


def test_dynamic_and_static_entries_move_but_sticky_and_local_stay() -> None:
    """br_fdb_update moves whatever is neither local nor sticky; a static entry stays static."""
    sw = Switch()
    sw.send(0, BROADCAST, src=X)
    sw.send(1, BROADCAST, src=X)
    assert entry(sw, X) == ("p1", "dynamic")
    fdb_add(sw.net, sw.ports[0], C + 9, state="static", to_master=True)
    sw.send(1, BROADCAST, src=C + 9)
    assert entry(sw, C + 9) == ("p1", "static")
    fdb_add(sw.net, sw.ports[0], C + 8, state="static", sticky=True, to_master=True)
    sw.send(1, BROADCAST, src=C + 8)
    assert entry(sw, C + 8) == ("p0", "static")
    assert "h2" in sw.send(1, BROADCAST, src=BR_MAC)
    assert entry(sw, BR_MAC) == ("br0", "permanent")


def test_port_down_flushes_dynamic_entries_only() -> None:
    """br_stp_disable_port deletes what the port taught."""
    sw = Switch()
    sw.send(0, BROADCAST)
    fdb_add(sw.net, sw.ports[0], X, state="static", to_master=True)
    link_set(sw.net, sw.hosts[0], up=False)
    assert entry(sw, A) is None
    assert entry(sw, X) == ("p0", "static")


def test_fdb_by_hand_refusals() -> None:
    """fdb_add_entry: EEXIST, ENOENT, EINVAL for a zero MAC, a VLAN without membership, a non-permanent one on br0."""
    sw = Switch()
    fdb_add(sw.net, sw.ports[0], X, to_master=True)
    for errno, how in (
        (17, lambda: fdb_add(sw.net, sw.ports[0], X, to_master=True)),
        (22, lambda: fdb_add(sw.net, sw.ports[0], 0, to_master=True)),
        (22, lambda: fdb_add(sw.net, sw.ports[0], X + 1, vlan=9, to_master=True)),
        (22, lambda: fdb_add(sw.net, sw.br, X + 1, state="static", to_self=True)),
        (22, lambda: fdb_add(sw.net, sw.ports[0], X + 1, state="permanent", sticky=True, to_master=True)),
        (2, lambda: fdb_del(sw.net, sw.ports[0], X + 1, to_master=True)),
    ):
        with pytest.raises(RtnlError) as refused:
            how()
        assert refused.value.errno == errno
    assert sw.send(1, X) == ["br0"]
    fdb_del(sw.net, sw.ports[0], X, to_master=True)
    assert sw.send(1, X) == ["h2", "h0"]


# -- VLAN filtering (br_vlan.c) -------------------------------------------------------------------------------------


def filtered(**info: object) -> Switch:
    return Switch(vlan_filtering=1, **info)


def tagged(vid: int, tpid: int = DOT1Q, pcp: int = 0) -> int:
    return tpid << 16 | pcp << 13 | vid


def test_access_and_trunk_ports() -> None:
    """Untagged frames get the PVID; they leave untagged where the VLAN says so, tagged elsewhere."""
    sw = filtered()
    sw.vlan(sw.ports[0], 5, pvid=True, untagged=True)
    sw.vlan(sw.ports[1], 5)
    assert sw.send(0, BROADCAST) == ["h1"]
    assert sw.got[0][1].accel == tagged(5)
    assert sw.send(1, BROADCAST, accel=tagged(5, pcp=3)) == ["h0"]
    assert sw.got[0][1].accel == 0
    assert sw.send(2, BROADCAST) != []
    assert "h0" not in [n for n, f in sw.got if f.accel]


def test_ingress_filter() -> None:
    """__allowed_ingress: not a member, or no PVID: dropped, not learned."""
    sw = filtered()
    assert sw.drops(0, BROADCAST, accel=tagged(5)) == [Drop.BRIDGE_VLAN_INGRESS]
    assert sw.drops(0, BROADCAST, accel=tagged(4095)) == [Drop.BRIDGE_VLAN_INGRESS]
    vlan_del(sw.net, sw.ports[0], 1)
    assert sw.drops(0, BROADCAST) == [Drop.BRIDGE_NO_PVID]
    assert entry(sw, A) is None


def test_priority_tag_is_reused() -> None:
    """VID 0 takes the PVID and keeps its priority."""
    sw = filtered()
    sw.vlan(sw.ports[1], 1)
    sw.send(0, BROADCAST, accel=tagged(0, pcp=5))
    frame = next(f for n, f in sw.got if n == "h1")
    assert frame.accel == tagged(1, pcp=5)


def test_tag_of_the_other_ethertype_is_payload() -> None:
    """A protocol mismatch pushes the tag into the frame and adds the PVID."""
    sw = filtered()
    sw.send(0, BROADCAST, accel=tagged(7, QINQ))
    assert next(f for n, f in sw.got if n == "h1").tags == ((QINQ, 7),)
    sw.set(vlan_protocol="802.1ad")
    sw.vlan(sw.ports[2], 1)
    sw.send(0, BROADCAST, accel=tagged(7))
    assert next(f for n, f in sw.got if n == "h2").tags == ((QINQ, 1), (DOT1Q, 7))


def test_vlans_learn_apart() -> None:
    """The FDB is keyed by MAC and VLAN."""
    sw = filtered()
    for port in sw.ports:
        sw.vlan(port, 5)
    sw.send(0, BROADCAST, accel=tagged(5))
    assert sw.send(1, A, accel=tagged(5)) == ["h0"]
    assert sw.send(1, A) == ["h2", "h0"]


def test_bridge_membership_decides_what_comes_up() -> None:
    """br_pass_frame_up: a VLAN without br0 is not for the host; its MAC is unknown there and floods."""
    sw = filtered()
    for port in sw.ports:
        sw.vlan(port, 5)
    assert sw.send(0, BR_MAC, accel=tagged(5)) == ["h2", "h1"]
    assert "br0" not in sw.send(0, BROADCAST, accel=tagged(5))
    sw.vlan(sw.br, 5)
    assert sw.send(0, BR_MAC, accel=tagged(5)) == ["br0"]
    assert sw.got[0][1].accel == tagged(5)
    assert sw.own(BROADCAST, accel=tagged(5)) == ["h2", "h1", "h0"]
    assert sw.own(BROADCAST, accel=tagged(6)) == []


def test_filtering_off_preserves_tags() -> None:
    """Without filtering tags are ignored and entries have VLAN 0."""
    sw = Switch()
    sw.send(0, BROADCAST, accel=tagged(5))
    assert next(f for n, f in sw.got if n == "h1").accel == tagged(5)
    assert sw.send(1, A, accel=tagged(9)) == ["h0"]


def test_default_pvid_follows_where_unaltered() -> None:
    """__br_vlan_set_default_pvid replaces entries still as made, and leaves altered ones."""
    sw = Switch()
    sw.vlan(sw.ports[0], 1)
    sw.set(vlan_default_pvid=7)
    assert [(v.vid, v.pvid, v.untagged) for v in vlan_list(sw.ports[0])] == [(1, False, False)]
    assert [(v.vid, v.pvid, v.untagged) for v in vlan_list(sw.ports[1])] == [(7, True, True)]
    assert [v.vid for v in vlan_list(sw.br)] == [7]
    sw.set(vlan_default_pvid=0)
    assert vlan_list(sw.ports[1]) == []
    with pytest.raises(RtnlError):
        sw.set(vlan_default_pvid=4095)


def test_vlan_refusals() -> None:
    """br_afspec: the VID's range; a bridge needs self."""
    sw = Switch()
    for vid in (0, 4095):
        with pytest.raises(RtnlError, match=r"Vlan id is invalid\."):
            vlan_add(sw.net, sw.ports[0], vid)
    with pytest.raises(RtnlError) as refused:
        vlan_add(sw.net, sw.br, 5)
    assert refused.value.errno == 95
    vlan_del(sw.net, sw.ports[0], 99)
    with pytest.raises(RtnlError) as refused:
        sw.set(vlan_protocol=0x9100)
    assert refused.value.errno == 93


# -- MAC, MTU, carrier, membership (br_if.c) ------------------------------------------------------------------------


def test_mac_is_the_lowest_port_mac_unless_chosen() -> None:
    """br_stp_recalculate_bridge_id."""
    sw = Switch(mac=None)
    assert sw.br.mac == sw.ports[0].mac
    link_set(sw.net, sw.ports[0], master=None)
    assert sw.br.mac == sw.ports[1].mac
    link_set(sw.net, sw.ports[2], mac=0x02_00_00_00_00_01)
    assert sw.br.mac == 0x02_00_00_00_00_01
    for port in sw.ports[1:]:
        link_set(sw.net, port, master=None)
    assert sw.br.mac == 0
    assert Switch().br.mac == BR_MAC


def test_a_generated_mac_is_not_part_of_the_bridge_s_id() -> None:
    """Seen on Linux 6.1 and 6.18: a given one is, later too, and the lowest port's; the priority is in any case."""

    def shown(sw: Switch) -> tuple[object, object]:
        info = KINDS["bridge"].info(sw.br)
        return info["bridge_id"], info["root_id"]

    sw = Switch(0, mac=None)
    assert sw.br.mac != 0
    assert shown(sw) == ("8000.0:0:0:0:0:0",) * 2
    sw.set(priority=7)
    assert shown(sw) == ("0007.0:0:0:0:0:0",) * 2
    link_set(sw.net, sw.br, mac=0x02_00_00_00_00_07)
    assert shown(sw) == ("0007.2:0:0:0:0:7",) * 2
    assert shown(Switch(0, mac=0x02_00_00_00_00_08)) == ("8000.2:0:0:0:0:8",) * 2
    assert shown(Switch(1, mac=None)) == ("8000.2:0:0:0:1:0",) * 2


def test_mtu_follows_the_ports_unless_set() -> None:
    """br_mtu_auto_adjust."""
    sw = Switch()
    link_set(sw.net, sw.ports[1], mtu=1400)
    assert sw.br.mtu == 1400
    link_set(sw.net, sw.ports[1], master=None)
    assert sw.br.mtu == 1500
    link_set(sw.net, sw.br, mtu=1300)
    link_set(sw.net, sw.ports[0], mtu=1000)
    assert sw.br.mtu == 1300


def test_carrier_needs_a_forwarding_port() -> None:
    """br_port_state_selection turns the carrier on and off."""
    sw = Switch(1)
    assert sw.br.carrier
    link_set(sw.net, sw.hosts[0], up=False)
    assert not sw.br.carrier
    link_set(sw.net, sw.hosts[0], up=True)
    assert sw.br.carrier


def test_ports_are_promiscuous_and_allmulti_and_given_back() -> None:
    """br_add_if and del_nbp keep one reference of each."""
    sw = Switch(1)
    assert (sw.ports[0].promiscuity, sw.ports[0].allmulti) == (1, 1)
    sw.set(vlan_filtering=1)
    assert sw.ports[0].promiscuity == 1
    link_set(sw.net, sw.ports[0], master=None)
    assert (sw.ports[0].promiscuity, sw.ports[0].allmulti) == (0, 0)
    assert sw.send(0, BROADCAST) == []


def test_bridge_down_disables_its_ports() -> None:
    """br_stp_disable_bridge; frames are dropped by the port's state."""
    sw = Switch()
    link_set(sw.net, sw.br, up=False)
    assert sw.drops(0, BROADCAST) == [Drop.BRIDGE_INGRESS_STP_STATE]
    link_set(sw.net, sw.br, up=True)
    assert "h1" in sw.send(0, BROADCAST)


def test_stacking_refusals() -> None:
    """br_add_if: a bridge in a bridge, an upper device of the bridge, the loopback; a port may move on."""
    sw = Switch()
    ns = sw.net.netns[""]
    other = link_add(sw.net, ns, LinkSpec("bridge", "br1", info={"mcast_snooping": 0}))
    upper = link_add(sw.net, ns, LinkSpec("vlan", "br0.5", link=sw.br, info={"id": 5}))
    for errno, dev in ((40, other), (16, upper), (22, ns.devices["lo"])):
        with pytest.raises(RtnlError) as refused:
            link_set(sw.net, dev, master=sw.br)
        assert refused.value.errno == errno
    link_set(sw.net, sw.ports[0], master=other)
    assert sw.ports[0].master is other
    link_del(sw.net, other)
    assert (sw.ports[0].master, sw.ports[0].rx_handler) == (None, None)


def test_states_by_hand() -> None:
    """br_set_port_state: 1-3 stick, 4 becomes forwarding; learning learns but does not forward."""
    sw = Switch()
    sw.wait(20)
    sw.slave(0, state=2)
    assert sw.drops(0, BROADCAST) == [Drop.BRIDGE_LEARNING]
    assert entry(sw, A) == ("p0", "dynamic")
    assert sw.send(1, A) == []
    sw.slave(0, state=1)
    assert sw.drops(0, BROADCAST) == [Drop.BRIDGE_INGRESS_STP_STATE]
    sw.slave(0, state=4)
    assert port_info(sw.ports[0])["state"] == "forwarding"
    sw.slave(0, state=0)
    assert port_info(sw.ports[0])["state"] == "disabled"
    link_set(sw.net, sw.ports[0], slave_info={"state": 0})
    assert port_info(sw.ports[0])["state"] == "forwarding"
    link_set(sw.net, sw.hosts[1], up=False)
    with pytest.raises(RtnlError) as refused:
        sw.slave(1, state=3)
    assert refused.value.errno == 100


# -- the quick way and the full way agree ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_traced_and_untraced_frames_go_the_same_ways(seed: int) -> None:
    """BridgePort.rx takes a short cut while nobody traces: random options and frames must show no difference."""

    def run(traced: bool) -> list[tuple[str, bytes]]:
        rng = Random(seed)
        sw = Switch(4, vlan_filtering=seed % 2)
        if traced:
            sw.net.tracer = Notes()  # type: ignore[assignment]
        seen = []
        for _ in range(300):
            if rng.random() < 0.1:
                flag = rng.choice(("isolated", "learning", "hairpin", "locked", "flood"))
                sw.slave(rng.randrange(4), **{flag: rng.random() < 0.5})
            if rng.random() < 0.1:
                port = sw.ports[rng.randrange(4)]
                sw.vlan(port, rng.choice((1, 5)), pvid=rng.random() < 0.5, untagged=rng.random() < 0.5)
            accel = rng.choice((0, 0, tagged(5), tagged(1), tagged(0, pcp=3), tagged(5, QINQ)))
            dst = rng.choice((A, B, C, X, BR_MAC, BROADCAST))
            sw.send(rng.randrange(4), dst, src=rng.choice((A, B, C, X)), accel=accel, size=rng.choice((46, 1504)))
            seen += [(name, bytes(frame)) for name, frame in sw.got]
        return seen

    assert run(False) == run(True)


def test_a_frame_to_the_bridge_itself_is_for_the_host_wherever_it_goes() -> None:
    """br_handle_frame: also in a VLAN in which another port was heard with the bridge's address, traced or not."""
    sw = Switch(2, vlan_filtering=1)
    for port in sw.ports:
        sw.vlan(port, 20)
    sw.send(1, A, src=BR_MAC, accel=tagged(20))
    sw.send(0, X, src=A, accel=tagged(20))
    frame = Frame(BR_MAC, A, 0x88B5, bytes(46), tagged(20), PType.OTHERHOST)
    port: Any = sw.ports[0].rx_handler
    for why in (None, str):
        ((_, device, sent),) = port.rx(frame, 0, why)
        assert (device, sent.ptype) == (sw.ports[1], PType.HOST)
