"""VLAN devices: lookup, receive, transmit. Rules of net/8021q/vlan_core.c and vlan_dev.c (Linux 6.1)."""

from __future__ import annotations

import pytest
from bench_l2 import ETHERTYPE, Bench, P, W

from simvlan.frame import BROADCAST, DOT1Q, QINQ, Frame
from simvlan.verdict import Drop

Q5, Q6, AD5 = DOT1Q << 16 | 5, DOT1Q << 16 | 6, QINQ << 16 | 5
OWN = 0x02_00_00_00_00_55
MCAST = 0x01_00_5E_01_02_03


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- lookup (vlan_find_dev) -----------------------------------------------------------------------------------------


def test_same_vid_once_per_ethertype(bench: Bench) -> None:
    """The key is the tag's ethertype and VID."""
    bench.add("vlan", "q", bench.p0, id=5)
    bench.add("vlan", "ad", bench.p0, id=5, protocol="802.1ad")
    bench.send(bench.w0, P, accel=Q5)
    assert (bench.got("q"), bench.got("ad")) == (["HOST"], [])
    bench.send(bench.w0, P, accel=AD5)
    assert (bench.got("q"), bench.got("ad")) == ([], ["HOST"])


@pytest.mark.parametrize("pcp_dei", [0x0000, 0x1000, 0xE000])
def test_priority_does_not_matter_for_the_lookup(bench: Bench, pcp_dei: int) -> None:
    bench.add("vlan", "v", bench.p0, id=5)
    bench.send(bench.w0, P, accel=Q5 | pcp_dei)
    assert bench.got("v") == ["HOST"]


def test_vid_0_device_catches_priority_tags_even_in_front_of_another(bench: Bench) -> None:
    """A device for VID 0 takes Q0/Q5 although a device for VID 5 exists."""
    bench.add("vlan", "v0", bench.p0, id=0)
    bench.add("vlan", "v5", bench.p0, id=5)
    bench.send(bench.w0, P, accel=DOT1Q << 16, proto=DOT1Q, payload=b"\0\5\x88\xb5" + bytes(42))
    assert (bench.got("v0"), bench.got("v5")) == (["HOST"], [])


def test_without_a_vid_0_device_the_inner_tag_counts(bench: Bench) -> None:
    """__netif_receive_skb_core drops a priority tag and looks once more."""
    bench.add("vlan", "v5", bench.p0, id=5)
    bench.send(bench.w0, P, accel=DOT1Q << 16, proto=DOT1Q, payload=b"\0\5\x88\xb5" + bytes(42))
    assert bench.got("v5") == ["HOST"]


# -- receive (vlan_do_receive) --------------------------------------------------------------------------------------


def test_down_device_swallows_its_tag_without_counting(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, up=False)
    bench.send(bench.w0, P, accel=Q5)
    assert bench.got("v") == []
    assert bench.dropped("p0") == [Drop.VLAN_DEV_DOWN]
    assert (v.rx_packets, v.rx_dropped, bench.p0.rx_dropped) == (0, 0, 0)
    bench.set(v, up=True)
    bench.send(bench.w0, P, accel=Q5)
    assert bench.got("v") == ["HOST"]


def test_counts_without_the_ethernet_header_and_multicast_but_not_broadcast(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.send(bench.w0, BROADCAST, accel=Q5, size=46)
    assert (v.rx_packets, v.rx_bytes, v.multicast) == (1, 46, 0)
    bench.send(bench.w0, MCAST, accel=Q5, size=46)
    assert (v.rx_packets, v.rx_bytes, v.multicast) == (2, 92, 1)


def test_accepts_its_own_address_and_the_lower_ones(bench: Bench) -> None:
    """OTHERHOST becomes HOST for the VLAN's address; HOST for the lower device's address stays."""
    bench.add("vlan", "v", bench.p0, id=5, mac=OWN)
    for dst, ptype in ((OWN, "HOST"), (P, "HOST"), (OWN + 1, "OTHERHOST")):
        bench.send(bench.w0, dst, accel=Q5)
        assert bench.got("v") == [ptype]
    assert bench.got("p0") == ["OTHERHOST"]


def test_untagged_frame_to_the_vlans_address_stays_otherhost(bench: Bench) -> None:
    bench.add("vlan", "v", bench.p0, id=5, mac=OWN)
    bench.send(bench.w0, OWN)
    assert (bench.got("p0"), bench.got("v")) == (["OTHERHOST"], [])


def test_inner_tag_is_taken_in_the_next_round(bench: Bench) -> None:
    outer = bench.add("vlan", "v5", bench.p0, id=5)
    bench.add("vlan", "v57", outer, id=7)
    bench.send(bench.w0, P, accel=Q5, proto=DOT1Q, payload=b"\0\7\x88\xb5" + bytes(42))
    assert bench.receivers() == ["p0", "v5", "v57"]


def test_vlan_comes_before_the_macvlan_port(bench: Bench) -> None:
    """Tagged frames are the VLAN device's before any receive handler, even to a macvlan's address."""
    bench.add("macvlan", "m", bench.p0, mac=OWN, mode="bridge")
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.send(bench.w0, OWN, accel=Q5)
    assert (bench.got("v"), bench.got("m")) == (["OTHERHOST"], [])
    bench.delete(v)
    bench.send(bench.w0, OWN, accel=Q5)
    assert bench.got("m") == ["HOST"]


def test_ingress_map_sets_the_priority(bench: Bench) -> None:
    """The PCP becomes skb->priority, which an egress map of the next VLAN turns into a PCP again."""
    v = bench.add("vlan", "v", bench.p0, id=5, ingress_qos=[{"from": 3, "to": 6}])
    bench.send(bench.w0, P, accel=Q5 | 3 << 13)
    assert [f.prio for d, w, _, f in bench.seen if (d, w) == ("v", "in")] == [6]
    bench.send(bench.w0, P, accel=Q5 | 2 << 13)
    assert [f.prio for d, w, _, f in bench.seen if (d, w) == ("v", "in")] == [0]
    bench.set(v, info={"ingress_qos": [{"from": 3, "to": 0}]})
    bench.send(bench.w0, P, accel=Q5 | 3 << 13)
    assert [f.prio for d, w, _, f in bench.seen if (d, w) == ("v", "in")] == [0]


def test_reorder_hdr_off_leaves_the_tag_in_the_header(bench: Bench) -> None:
    """Packet sockets see the tag, the protocol is the inner one: no VLAN on top claims it again."""
    v = bench.add("vlan", "v", bench.p0, id=5, reorder_hdr=False)
    bench.add("vlan", "vv", v, id=5)
    bench.send(bench.w0, P, accel=Q5 | 1 << 13)
    [seen] = [f for d, w, _, f in bench.seen if (d, w) == ("v", "in")]
    assert bytes(seen)[12:18].hex() == "8100200588b5"
    assert (seen.proto, seen.accel) == (ETHERTYPE, 0)
    assert bench.got("vv") == []
    assert v.rx_bytes == 46


def test_reorder_hdr_off_does_not_show_under_a_macvlan(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, reorder_hdr=False)
    bench.add("macvlan", "m", v, mac=OWN, mode="bridge")
    bench.send(bench.w0, OWN, accel=Q5)
    [seen] = [f for d, w, _, f in bench.seen if (d, w) == ("m", "in")]
    assert bytes(seen)[12:14].hex() == "88b5"


def test_reorder_hdr_off_does_not_show_at_a_bridge(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, reorder_hdr=False)
    for master, seen in ((None, "8100000588b5"), (bench.add("bridge", "br0"), "88b5")):
        bench.set(v, master=master)
        bench.send(bench.w0, accel=Q5)
        [frame] = [f for d, w, _, f in bench.seen if (d, w) == ("v", "in")]
        assert bytes(frame).hex()[24:].startswith(seen)


# -- transmit (vlan_dev_hard_start_xmit) ----------------------------------------------------------------------------


def test_tags_and_counts_without_the_tag(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, protocol="802.1ad")
    bench.send(v, W, P)
    [frame] = bench.sent("p0")
    assert frame.accel == AD5
    assert (v.tx_packets, v.tx_bytes, v.tx_dropped) == (1, 60, 0)


@pytest.mark.parametrize("inner", [5, 7])
def test_a_tagged_frame_gets_another_outer_tag(bench: Bench, inner: int) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.send(v, W, P, proto=DOT1Q, payload=inner.to_bytes(2, "big") + b"\x88\xb5" + bytes(42))
    assert bench.sent("p0")[0].tags == ((DOT1Q, 5), (DOT1Q, inner))


def test_reorder_hdr_off_sends_a_tag_of_its_ethertype_as_it_is(bench: Bench) -> None:
    """Whatever its VID: Q9 on VID 5 leaves as Q9; another ethertype is tagged as usual."""
    v = bench.add("vlan", "v", bench.p0, id=5, reorder_hdr=False)
    for proto, tags in ((DOT1Q, ((DOT1Q, 9),)), (QINQ, ((DOT1Q, 5), (QINQ, 9))), (ETHERTYPE, ((DOT1Q, 5),))):
        bench.send(v, W, P, proto=proto, payload=b"\0\x09\x88\xb5" + bytes(42))
        assert bench.sent("p0")[0].tags == tags


def test_egress_map(bench: Bench) -> None:
    """Priority to PCP; what is not in the map is 0."""
    v = bench.add("vlan", "v", bench.p0, id=5, egress_qos=[{"from": 0, "to": 2}, {"from": 6, "to": 5}])
    for prio, pcp in ((0, 2), (6, 5), (7, 0)):
        bench.send(v, W, P, prio=prio)
        assert bench.sent("p0")[0].accel == Q5 | pcp << 13


def test_source_address_is_not_enforced(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.send(v, W, OWN)
    assert bench.sent("p0")[0].src == OWN


def test_a_drop_below_is_a_drop_here(bench: Bench) -> None:
    """The lower driver's refusal counts tx_dropped on the VLAN too."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.set(bench.w0, mtu=100)
    assert bench.send(v, W, P, size=200) is Drop.PKT_TOO_BIG
    assert (v.tx_packets, v.tx_dropped, bench.p0.tx_dropped) == (0, 1, 1)


def test_a_lower_device_that_is_down_swallows_with_success(bench: Bench) -> None:
    """Its queue is noop: the frame vanishes and counts as sent (seen with loose_binding)."""
    d0 = bench.add("dummy", "d0")
    v = bench.add("vlan", "v", d0, id=5, loose_binding=True)
    bench.set(d0, up=False)
    assert bench.send(v, W, P) is None
    assert (v.tx_packets, v.tx_dropped, d0.tx_packets, d0.tx_dropped) == (1, 0, 0, 0)
    assert Drop.DEV_DOWN in [drop for _, drop in bench.drops]


def test_the_accelerated_tag_is_pushed_for_a_second_one(bench: Bench) -> None:
    """A VLAN device takes no accelerated tag: stacking puts the inner one into the octets."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    vv = bench.add("vlan", "vv", v, id=7)
    bench.send(vv, W, P)
    frame = bench.sent("p0")[0]
    assert frame.accel == Q5
    assert frame.proto == DOT1Q
    assert bytes(frame).hex()[24:40] == "8100000581000007"


def test_priority_starts_anew_behind_a_veth() -> None:
    """__dev_forward_skb clears skb->priority."""
    assert Frame(W, P, ETHERTYPE, b"", prio=3).received_by(W).prio == 0
    assert Frame(W, P, ETHERTYPE, b"").received_by(W).ptype.name == "HOST"


def test_reorder_hdr_off_and_two_tags(bench: Bench) -> None:
    """skb_vlan_untag takes the inner tag from behind the outer one, which stays: recorded on Linux 6.1."""
    v = bench.add("vlan", "v", bench.p0, id=5, reorder_hdr=False)
    bench.add("vlan", "off", v, id=6, reorder_hdr=False)
    bench.add("vlan", "on", v, id=7)
    for vid, name, tags in ((6, "off", "8100000581000006"), (7, "on", "81000005")):
        bench.send(bench.w0, P, accel=Q5, proto=DOT1Q, payload=bytes((0, vid)) + b"\x88\xb5" + bytes(42))
        shown = {d: bytes(f).hex()[24:] for d, w, _, f in bench.seen if w == "in"}
        assert shown["v"].startswith(f"8100000{vid}8100000588b5")
        assert shown[name].startswith(tags + "88b5")
