"""GVRP and MVRP: what is declared when, what changes it, and the octets (held by scenarios gvrp and mvrp too)."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.devices.registration import GARP_STATES, GROUP, MRP_STATES, MVRP, MvrpApplicant
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_del, link_set

MS = 1_000_000
JOIN5 = bytes.fromhex("424203 0001 01 0402 0005 0000")
LEAVE5 = bytes.fromhex("424203 0001 01 0403 0005 0000")
VECTOR5 = bytes.fromhex("00 0102 0001 0005 24 0000 0000")


class Wire:
    """p0 with VLAN devices; `heard` is what its peer received, as (ms, payload)."""

    def __init__(self, seed: int = 0) -> None:
        self.net = Network(EventClock(), seed)
        root = self.net.netns[""]
        self.p0 = link_add(self.net, root, LinkSpec("veth", "p0", peer=PeerSpec("w0")))
        self.w0 = root.devices["w0"]
        for dev in (self.p0, self.w0):
            link_set(self.net, dev, up=True)
        self.frames: list[tuple[int, Frame]] = []
        self.w0.taps.append(lambda now, dev, frame, out: None if out else self.frames.append((now // MS, frame)))

    def vlan(self, vid: int, lower: Any = None, **info: Any) -> Any:
        spec = LinkSpec("vlan", f"v{vid}", link=lower or self.p0, info={"id": vid, **info})
        dev = link_add(self.net, self.net.netns[""], spec)
        link_set(self.net, dev, up=True)
        return dev

    def wait(self, ms: int) -> list[bytes]:
        """Let time pass; what the wire carried meanwhile."""
        self.frames.clear()
        self.net.clock.advance(self.net.now + ms * MS)  # type: ignore[attr-defined]
        return [frame.payload for _, frame in self.frames]


def test_gvrp_declares_twice() -> None:
    """garp_join_timer: VP, AA, QA; each within 0.2 s, then silence; the frame is 802.3 with LLC 42 42 03."""
    wire = Wire()
    wire.vlan(5, gvrp=True)
    assert wire.wait(400) == [JOIN5, JOIN5]
    ((first, frame), (second, _)) = wire.frames
    assert (frame.dst, frame.src, frame.proto) == (GROUP, wire.p0.mac, len(JOIN5))
    assert first < 200
    assert second - first < 200
    assert wire.wait(5000) == []


def test_the_moments_come_from_the_seed() -> None:
    def moments(seed: int) -> list[int]:
        wire = Wire(seed)
        wire.vlan(5, gvrp=True)
        wire.wait(400)
        return [when for when, _ in wire.frames]

    assert moments(1) == moments(1)
    assert moments(1) != moments(2)


def test_mvrp_declares_every_second() -> None:
    """mrp_periodic_timer: counted from the lower device's first VLAN on."""
    wire = Wire()
    wire.vlan(5, mvrp=True)
    assert wire.wait(5900) == [VECTOR5] * 7
    assert {frame.proto for _, frame in wire.frames} == {MVRP}
    assert [when // 1000 for when, _ in wire.frames] == [0, 0, 1, 2, 3, 4, 5]


def test_vids_in_a_row_share_a_vector() -> None:
    """mrp_pdu_append_vecattr_event: three events to an octet; a gap begins another vector."""
    wire = Wire()
    applicant = MvrpApplicant(wire.net, wire.p0)
    said = [(vid, vid == 7) for vid in (5, 6, 7, 8, 20)]
    (frame,) = applicant.frames(said)
    assert frame.payload.hex(" ") == "00 01 02 00 04 00 05 2f 24 00 01 00 14 24 00 00 00 00"


def test_going_down_says_nothing_deleting_does() -> None:
    """unregister_vlan_dev requests the leave, vlan_dev_stop does not; the last VLAN's is said at once."""
    wire = Wire()
    v5 = wire.vlan(5, gvrp=True)
    wire.vlan(6)
    wire.wait(1000)
    link_set(wire.net, v5, up=False)
    assert wire.wait(1000) == []
    link_del(wire.net, v5)
    assert wire.wait(250) == [LEAVE5]
    lone = Wire()
    only = lone.vlan(5, gvrp=True)
    lone.wait(1000)
    lone.frames.clear()
    link_del(lone.net, only)
    assert [frame.payload for _, frame in lone.frames] == [LEAVE5]


def test_the_flags_may_change_while_up() -> None:
    """vlan_dev_change_flags; without them a VLAN says nothing, and an 802.1ad VLAN never does."""
    wire = Wire()
    v5 = wire.vlan(5)
    wire.vlan(6, protocol="802.1ad", gvrp=True, mvrp=True)
    assert wire.wait(3000) == []
    link_set(wire.net, v5, info={"gvrp": True})
    assert wire.wait(1000) == [JOIN5, JOIN5]
    link_set(wire.net, v5, info={"gvrp": False})
    assert wire.wait(1000) == [LEAVE5]


def test_what_others_declare_saves_a_declaration() -> None:
    """R_JOIN_IN: VP becomes AP, AA becomes QA; a leave-all makes everybody declare again, twice."""
    wire = Wire()
    wire.vlan(5, gvrp=True)
    for _ in range(2):
        wire.net.send(wire.w0, Frame(GROUP, wire.w0.mac, len(JOIN5), JOIN5))
    assert wire.wait(1000) == []
    leave_all = bytes.fromhex("424203 0001 01 0200 00 00")
    wire.net.send(wire.w0, Frame(GROUP, wire.w0.mac, len(leave_all), leave_all))
    assert wire.wait(1000) == [JOIN5, JOIN5]


@pytest.mark.parametrize("octets", ["", "00", "0001", "00 0102 0001 0005", "00 0102 0003 0005 ff", "00 0102 2000 0000"])
def test_any_pdu_is_read_without_harm(octets: str) -> None:
    """Cut short, or with events that do not exist: what was read before counts (mrp_rcv, garp_pdu_rcv)."""
    wire = Wire()
    wire.vlan(5, mvrp=True, gvrp=True)
    wire.wait(450)
    pdu = bytes.fromhex(octets)
    wire.net.send(wire.w0, Frame(GROUP, wire.w0.mac, MVRP, pdu))
    wire.net.send(wire.w0, Frame(GROUP, wire.w0.mac, len(pdu) + 3, b"\x42\x42\x03" + pdu))
    assert wire.p0.rx_dropped == 0
    again = wire.wait(200)
    assert (VECTOR5 in again) == (octets == "00 0102 2000 0000")  # a leave-all: declare again


def test_the_tables_are_whole() -> None:
    """Every state that can be reached knows every event, or keeps its place."""
    for table in (GARP_STATES, MRP_STATES):
        states = {state for state, _ in table}
        assert set(table.values()) <= states
