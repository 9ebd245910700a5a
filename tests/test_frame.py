"""Octets to frames and back: eth_type_trans, skb_vlan_untag, and scapy as the second opinion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simvlan.frame import (
    BCAST,
    DOT1Q,
    HOST,
    MAX_SIZE,
    MCAST,
    OTHERHOST,
    QINQ,
    Frame,
    FrameError,
    from_scapy,
    mac_text,
    parse_mac,
    to_scapy,
)

A, B = 0x020000000001, 0x020000000002


@given(st.binary(min_size=14, max_size=200))
def test_octets_survive_the_round_trip(octets: bytes) -> None:
    frame = Frame.parse(octets)
    assert bytes(frame) == octets
    assert len(frame) == len(octets)


@given(st.binary(max_size=13))
def test_fewer_than_14_octets_are_no_frame(octets: bytes) -> None:
    with pytest.raises(FrameError, match=f"{len(octets)} octets"):
        Frame.parse(octets)


def test_a_header_alone_is_a_frame() -> None:
    assert len(Frame.parse(bytes(14))) == 14


def test_too_many_octets_are_no_frame() -> None:
    Frame.parse(bytes(MAX_SIZE))
    with pytest.raises(FrameError, match="more than any device"):
        Frame.parse(bytes(MAX_SIZE + 1))


def test_popping_a_tag_moves_it_beside_the_octets() -> None:
    """skb_vlan_untag: the outer tag leaves the octets, the next ethertype becomes the protocol."""
    frame = Frame(A, B, DOT1Q, bytes.fromhex("e064 88b5 0102"))
    popped = frame.pop_inband()
    assert popped is not None
    assert (popped.accel, popped.vid, popped.proto, popped.payload) == (0x8100E064, 100, 0x88B5, b"\1\2")
    assert bytes(popped) == bytes(frame)
    assert bytes(popped.push_inband()) == bytes(frame)
    assert len(popped) == len(frame) - 4


def test_a_tagged_frame_under_20_octets_cannot_be_popped() -> None:
    """skb_vlan_untag needs the tag and two octets more (VLAN_HLEN + 2): 19 octets fail, 20 pass."""
    assert Frame.parse(bytes(12) + bytes.fromhex("8100 0005 88b5 01")).pop_inband() is None
    assert Frame.parse(bytes(12) + bytes.fromhex("8100 0005 88b5 0102")).pop_inband() is not None


def test_tags_are_listed_outermost_first() -> None:
    inner = bytes.fromhex("0007 8100 0008 0800") + bytes(20)
    frame = Frame(A, B, DOT1Q, inner, accel=QINQ << 16 | 50)
    assert frame.tags == ((QINQ, 50), (DOT1Q, 7), (DOT1Q, 8))


def test_eight_nested_tags_are_all_seen() -> None:
    octets = bytes(12) + b"".join(bytes.fromhex("8100") + n.to_bytes(2, "big") for n in range(1, 9)) + b"\x88\xb5"
    assert [tci for _, tci in Frame.parse(octets).tags] == list(range(1, 9))


@pytest.mark.parametrize(
    ("dst", "ptype"),
    [(A, HOST), (B, OTHERHOST), (0xFFFFFFFFFFFF, BCAST), (0x01005E000001, MCAST), (0x0180C2000000, MCAST)],
)
def test_the_receiving_device_judges_whom_a_frame_is_for(dst: int, ptype: object) -> None:
    """eth_type_trans: own address, broadcast, group bit, anybody else's."""
    assert Frame(dst, B, 0x0800, b"").received_by(A).ptype is ptype


def test_copies_share_the_payload() -> None:
    frame = Frame(A, B, 0x0800, bytes(1000))
    assert frame.received_by(B).payload is frame.payload
    assert frame.with_accel(DOT1Q << 16 | 5).payload is frame.payload


def test_scapy_agrees_on_tagged_frames() -> None:
    """The second opinion: scapy builds what we parse, and parses what we build."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Dot1Q, Ether

    packet = Ether(dst=mac_text(A), src=mac_text(B)) / Dot1Q(vlan=100, prio=3) / IP(dst="192.0.2.1") / UDP() / b"x"
    frame = from_scapy(packet)
    assert frame.tags == ((DOT1Q, 3 << 13 | 100),)
    popped = frame.pop_inband()
    assert popped is not None
    again = to_scapy(popped)
    assert again[Dot1Q].vlan == 100
    assert again[IP].dst == "192.0.2.1"
    assert bytes(again) == bytes(packet)


@pytest.mark.parametrize("text", ["", "02:00:00:00:00", "02:00:00:00:00:zz", "02:00:00:00:00:01:02", "020000000001"])
def test_what_is_no_mac_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        parse_mac(text)


def test_macs_read_and_write() -> None:
    assert parse_mac("02:00:00:00:00:0A") == 0x02000000000A
    assert parse_mac("2-0-0-0-0-a") == 0x02000000000A
    assert mac_text(0x02000000000A) == "02:00:00:00:00:0a"
