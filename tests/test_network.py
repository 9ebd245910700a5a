"""The order in which Linux takes a frame through devices: receive and transmit pipelines, veth, life of devices."""

from errno import EBUSY, EEXIST, EINVAL, EOPNOTSUPP
from typing import Any

import pytest

from simvlan.devices.device import Device
from simvlan.errors import RtnlError
from simvlan.frame import DOT1Q, HOST, OTHERHOST, QINQ, Frame
from simvlan.network import Network, Told
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.verdict import Drop

A, B = 0x020000000001, 0x020000000002


class Pair:
    """Two namespaces joined by a veth, with taps on both ends."""

    def __init__(self, *, up: bool = True) -> None:
        self.net = Network()
        self.ns_a, self.ns_b = self.net.add_netns("a"), self.net.add_netns("b")
        self.a: Any = link_add(
            self.net, self.ns_a, LinkSpec("veth", "eth0", mac=A, peer=PeerSpec("eth0", self.ns_b, mac=B, ifindex=9))
        )
        self.b: Device = self.a.peer
        self.seen: list[tuple[str, str, Frame]] = []
        self.up: list[tuple[Device, Frame]] = []
        for dev in (self.a, self.b):
            dev.taps.append(self._tap)
            if up:
                link_set(self.net, dev, up=True)

    def _tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        self.seen.append((dev.netns.name, "out" if outgoing else "in", frame))

    def send(self, frame: Frame) -> Drop | None:
        self.seen.clear()
        return self.net.send(self.a, frame)


def untagged(payload: int = 46, dst: int = B) -> Frame:
    return Frame(dst, A, 0x88B5, bytes(payload))


class Steps(list[tuple[str, str, Drop | None, Frame]]):
    """A tracer that keeps (device, way, drop, frame)."""

    def step(self, told: Told) -> None:
        self.append((told.dev.path, told.way, told.drop, told.frame))


def test_what_one_end_sends_the_other_receives() -> None:
    """veth_xmit: sent on one end, received on the other, both counted together."""
    pair = Pair()
    assert pair.send(untagged()) is None
    assert [(ns, way) for ns, way, _ in pair.seen] == [("a", "out"), ("b", "in")]
    assert (pair.a.tx_packets, pair.a.tx_bytes) == (1, 60)
    assert (pair.b.rx_packets, pair.b.rx_bytes) == (1, 60)


def test_pkt_type_is_judged_by_the_receiving_end() -> None:
    """eth_type_trans runs against the peer's address."""
    pair = Pair()
    pair.send(untagged())
    assert pair.seen[-1][2].ptype is HOST
    pair.send(untagged(dst=A))
    assert pair.seen[-1][2].ptype is OTHERHOST


@pytest.mark.parametrize(("payload", "passes"), [(1500, True), (1504, True), (1505, False)])
def test_a_frame_may_exceed_the_peers_mtu_by_a_vlan_tag(payload: int, passes: bool) -> None:
    """is_skb_forwardable: mtu + 14 + 4; a refusal counts tx_dropped here and rx_dropped there, send gets ENOBUFS."""
    pair = Pair()
    drop = pair.send(untagged(payload))
    assert drop is (None if passes else Drop.PKT_TOO_BIG)
    assert (pair.a.tx_packets, pair.a.tx_dropped) == ((1, 0) if passes else (0, 1))
    assert (pair.b.rx_packets, pair.b.rx_dropped) == ((1, 0) if passes else (0, 1))


def test_the_peers_mtu_counts_not_the_senders() -> None:
    pair = Pair()
    link_set(pair.net, pair.a, mtu=500)
    assert pair.send(untagged(1400)) is None
    link_set(pair.net, pair.b, mtu=500)
    assert pair.send(untagged(1400)) is Drop.PKT_TOO_BIG


def test_there_is_no_minimum_size() -> None:
    """A 14-octet frame passes; nothing is padded."""
    pair = Pair()
    assert pair.send(untagged(0)) is None
    assert len(pair.seen[-1][2]) == 14


def test_sending_on_a_device_that_is_down_counts_nothing() -> None:
    """ENETDOWN before any counter moves."""
    pair = Pair(up=False)
    assert pair.send(untagged()) is Drop.DEV_DOWN
    assert pair.seen == []
    assert (pair.a.tx_packets, pair.a.tx_dropped) == (0, 0)


def test_without_carrier_a_frame_vanishes_and_send_succeeds() -> None:
    """The noop queue: no tap, no counter (6.1), no error."""
    pair = Pair()
    link_set(pair.net, pair.b, up=False)
    steps = pair.net.tracer = Steps()
    assert pair.send(untagged()) is None
    assert [s[2] for s in steps] == [Drop.NO_CARRIER]
    assert pair.seen == []
    assert (pair.a.tx_packets, pair.a.tx_dropped) == (0, 0)


def test_carrier_needs_both_ends_up() -> None:
    pair = Pair(up=False)
    link_set(pair.net, pair.a, up=True)
    assert not pair.a.carrier
    assert not pair.b.carrier
    link_set(pair.net, pair.b, up=True)
    assert pair.a.carrier
    assert pair.b.carrier
    link_set(pair.net, pair.a, up=False)
    assert not pair.b.carrier


@pytest.mark.parametrize("tpid", [DOT1Q, QINQ])
def test_a_tag_no_vlan_device_claims_makes_the_frame_another_hosts(tpid: int) -> None:
    """VID not 0: PACKET_OTHERHOST, whoever it was for; the tap still shows the tag."""
    pair = Pair()
    steps = pair.net.tracer = Steps()
    pair.send(Frame(B, A, tpid, bytes.fromhex("0005 88b5") + bytes(42)))
    assert pair.seen[-1][2].tags == ((tpid, 5),)
    path, way, drop, frame = steps[-1]
    assert (path, way, drop) == ("b/eth0", "up", Drop.VLAN_UNCLAIMED)
    assert frame.ptype is OTHERHOST


def test_a_priority_tag_is_discarded_and_the_frame_treated_as_untagged() -> None:
    """VID 0 with no VLAN device: HOST stays HOST."""
    pair = Pair()
    steps = pair.net.tracer = Steps()
    pair.send(Frame(B, A, DOT1Q, bytes.fromhex("a000 88b5") + bytes(42)))
    _, _, drop, frame = steps[-1]
    assert drop is Drop.UNHANDLED_PROTO
    assert frame.ptype is HOST
    assert frame.accel == 0


def test_a_tagged_frame_too_short_for_its_tag_is_seen_by_no_tap() -> None:
    pair = Pair()
    steps = pair.net.tracer = Steps()
    pair.send(Frame(B, A, DOT1Q, bytes.fromhex("0005 88b5 01")))
    assert [(ns, way) for ns, way, _ in pair.seen] == [("a", "out")]
    assert steps[-1][2] is Drop.VLAN_TOO_SHORT


def test_nine_thousand_octets_pass_where_the_mtu_allows() -> None:
    pair = Pair()
    for dev in (pair.a, pair.b):
        link_set(pair.net, dev, mtu=9000)
    assert pair.send(untagged(9000)) is None
    assert pair.b.rx_bytes == 9014


# -- life of devices ------------------------------------------------------------------------------------------------


def refused(errno: int, text: str | None = None) -> Any:
    return pytest.raises(RtnlError, check=lambda e: e.errno == errno and e.extack == text)


def test_deleting_one_end_deletes_the_other() -> None:
    pair = Pair()
    link_del(pair.net, pair.b)
    assert list(pair.ns_a.devices) == ["lo"]
    assert list(pair.ns_b.devices) == ["lo"]


def test_deleting_a_namespace_deletes_its_veths_and_their_peers() -> None:
    pair = Pair()
    pair.net.del_netns("b")
    assert list(pair.ns_a.devices) == ["lo"]
    assert "b" not in pair.net.netns


def test_a_moved_device_arrives_down_with_its_index_if_that_is_free() -> None:
    """dev_change_net_namespace: closed, index kept unless taken."""
    pair = Pair()
    wanted = pair.a.ifindex
    link_set(pair.net, pair.a, netns=pair.net.netns[""])
    assert pair.a.path == "root/eth0"
    assert not pair.a.up
    assert not pair.b.carrier
    assert pair.a.ifindex == wanted
    third = pair.net.add_netns("c")
    link_add(pair.net, third, LinkSpec("dummy", "d0"))
    link_set(pair.net, pair.a, netns=third)
    assert pair.a.ifindex != wanted


def test_the_peer_of_a_new_pair_gets_the_lower_index() -> None:
    """veth_newlink registers the peer first."""
    net = Network()
    dev: Any = link_add(net, net.netns[""], LinkSpec("veth", "x", peer=PeerSpec("y")))
    assert dev.peer.ifindex < dev.ifindex


def test_names_in_use_are_refused_in_both_namespaces() -> None:
    """rtnl_newlink looks the name up where the request came from; register_netdevice where the device goes."""
    pair = Pair()
    with refused(EEXIST):
        link_add(pair.net, pair.ns_a, LinkSpec("dummy", "eth0"))
    third = pair.net.add_netns("c")
    with refused(EEXIST):
        link_add(pair.net, third, LinkSpec("dummy", "eth0"), source=pair.ns_a)
    link_add(pair.net, third, LinkSpec("dummy", "eth0"), source=pair.net.netns[""])


def test_a_refused_pair_leaves_nothing() -> None:
    net = Network()
    link_add(net, net.netns[""], LinkSpec("dummy", "taken"))
    with refused(EEXIST):
        link_add(net, net.netns[""], LinkSpec("veth", "new", peer=PeerSpec("taken")))
    assert list(net.netns[""].devices) == ["lo", "taken"]


def test_veth_mtu_out_of_range_at_creation_has_no_text_but_a_change_has() -> None:
    """veth_validate against dev_validate_mtu."""
    pair = Pair()
    with refused(EINVAL):
        link_add(pair.net, pair.ns_a, LinkSpec("veth", "x", mtu=67))
    with refused(EINVAL, "mtu less than device minimum."):
        link_set(pair.net, pair.a, mtu=67)
    with refused(EINVAL, "mtu greater than device maximum."):
        link_set(pair.net, pair.a, mtu=65536)
    link_set(pair.net, pair.a, mtu=68)


def test_a_device_that_is_up_keeps_its_name() -> None:
    """dev_change_name: EBUSY while up."""
    pair = Pair()
    with refused(EBUSY):
        link_set(pair.net, pair.a, name="other")
    link_set(pair.net, pair.a, up=False)
    link_set(pair.net, pair.a, name="other")
    assert list(pair.ns_a.devices) == ["lo", "other"]


def test_loopback_stays() -> None:
    net = Network()
    lo = net.device("root/lo")
    with refused(EOPNOTSUPP):
        link_del(net, lo)
    with refused(EINVAL):
        link_set(net, lo, netns=net.add_netns("x"))


def test_an_unknown_kind_is_refused() -> None:
    net = Network()
    with refused(EOPNOTSUPP, "Unknown device type."):
        link_add(net, net.netns[""], LinkSpec("vxlan", "v0"))


def test_unicast_filterless_devices_turn_promiscuous_with_a_second_address() -> None:
    """__dev_set_rx_mode: without IFF_UNICAST_FLT any secondary unicast address counts as one promiscuity."""
    pair = Pair()
    pair.net.uc_add(pair.a, 0x02AA)
    pair.net.uc_add(pair.a, 0x02BB)
    assert pair.a.promiscuity == 1
    pair.net.uc_del(pair.a, 0x02AA)
    assert pair.a.promiscuity == 1
    pair.net.uc_del(pair.a, 0x02BB)
    assert pair.a.promiscuity == 0


def test_generated_addresses_follow_the_seed() -> None:
    """eth_random_addr: locally administered, unicast; the same seed gives the same."""

    def macs(seed: int) -> list[int]:
        net = Network(seed=seed)
        return [link_add(net, net.netns[""], LinkSpec("dummy")).mac for _ in range(3)]

    assert macs(1) == macs(1)
    assert macs(1) != macs(2)
    assert all(mac >> 40 & 3 == 2 for mac in macs(1))
