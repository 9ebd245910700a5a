"""macvlan: who gets which frame. Rules of drivers/net/macvlan.c (Linux 6.1 and 6.18, the same frame by frame)."""

from __future__ import annotations

from typing import Any

import pytest
from bench_l2 import ETHERTYPE, Bench, P, W

from simvlan.devices.macvlan_port import bucket_of
from simvlan.frame import BROADCAST, DOT1Q, Frame
from simvlan.verdict import Drop

M = [0x02_00_00_00_0A_00 + n for n in range(16)]
OTHER = 0x02_00_00_00_EE_01
GROUP = 0x01_00_5E_01_02_03
Q5 = DOT1Q << 16 | 5


class Lab(Bench):
    """p0 with macvlans m1, m2, ... of given modes, all up."""

    def __init__(self, *modes: str, **options: Any) -> None:
        super().__init__()
        self.m = [None, *(self.macvlan(n, mode, **options) for n, mode in enumerate(modes, 1))]

    def macvlan(self, number: int, mode: str, **more: Any) -> Any:
        return self.add("macvlan", f"m{number}", self.p0, mac=M[number], mode=mode, **more)

    def join(self, *numbers: int) -> None:
        for number in numbers:
            self.net.mc_add(self.m[number], GROUP)


# -- received from the wire: unicast --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bridge", "vepa", "private"])
@pytest.mark.parametrize("src", [W, M[2], M[1], P])
def test_unicast_goes_by_destination_whoever_sent_it(mode: str, src: int) -> None:
    """The parent's socket sees OTHERHOST, the macvlan HOST; the host's stack gets nothing."""
    lab = Lab(mode, mode)
    lab.send(lab.w0, M[1], src)
    assert [(d, p) for d, w, p, _ in lab.seen if w == "in"] == [("p0", "OTHERHOST"), ("m1", "HOST")]
    assert (lab.m[1].rx_packets, lab.m[1].rx_bytes, lab.m[1].multicast) == (1, 60, 0)


def test_unicast_for_a_down_macvlan_passes_to_the_host() -> None:
    lab = Lab("bridge")
    lab.set(lab.m[1], up=False)
    lab.send(lab.w0, M[1])
    assert lab.receivers() == ["p0"]
    assert Drop.MACVLAN_DOWN not in lab.dropped("p0")
    lab.set(lab.m[1], up=True)
    lab.send(lab.w0, M[1])
    assert lab.receivers() == ["p0", "m1"]


def test_the_parents_own_address_passes_to_the_host() -> None:
    lab = Lab("bridge")
    lab.send(lab.w0, P, M[1])
    assert lab.receivers() == ["p0"]
    assert lab.got("p0") == ["HOST"]


def test_unknown_unicast_does_not_even_reach_a_promiscuous_macvlan() -> None:
    lab = Lab("bridge")
    lab.set(lab.m[1], promisc=True)
    lab.send(lab.w0, OTHER)
    assert lab.receivers() == ["p0"]


def test_a_tagged_frame_reaches_the_macvlan_with_its_tag() -> None:
    """Its own VLAN device takes it."""
    lab = Lab("bridge")
    lab.add("vlan", "m1.5", lab.m[1], id=5)
    lab.send(lab.w0, M[1], accel=Q5)
    assert lab.receivers() == ["p0", "m1", "m1.5"]
    assert lab.got("m1.5") == ["HOST"]


def test_receive_ignores_the_mtu() -> None:
    """From the wire a frame longer than the macvlan's MTU still arrives."""
    lab = Lab("bridge")
    lab.set(lab.m[1], mtu=100)
    lab.send(lab.w0, M[1], size=1400)
    assert lab.got("m1") == ["HOST"]


# -- received from the wire: broadcast and multicast ----------------------------------------------------------------


@pytest.mark.parametrize("src", [W, P, 0, GROUP])
def test_broadcast_reaches_the_host_first_and_then_every_macvlan(src: int) -> None:
    """In the order of the hash; source-mode macvlans are not among them. A zero or group source is not checked."""
    lab = Lab("bridge", "vepa", "private", "source")
    lab.send(lab.w0, BROADCAST, src)
    assert lab.receivers()[0] == "p0"
    assert lab.receivers()[1:] == sorted(["m1", "m2", "m3"], key=lambda n: bucket_of(M[int(n[1])]))
    assert [lab.got(f"m{n}") for n in (1, 2, 3)] == [["BROADCAST"]] * 3
    assert [(m.rx_packets, m.rx_bytes, m.multicast) for m in lab.m[1:4]] == [(1, 60, 1)] * 3


def test_fan_out_order_is_the_kernels_hash() -> None:
    """Order recorded on Linux 6.1: ascending top 8 bits of the golden-ratio product; the sender's own list lacks it."""
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    lab = Lab()
    macvlans = {number: lab.macvlan(number, "bridge") for number in numbers}
    recorded = [2, 1, 0, 11, 9, 8, 7, 6, 5, 4, 3]
    lab.send(lab.w0)
    assert lab.receivers() == ["p0", *(f"m{number}" for number in recorded)]
    lab.send(macvlans[3], BROADCAST, M[3])
    assert lab.receivers() == [*(f"m{number}" for number in recorded if number != 3), "w0"]


RECORDED = """b8a1abcd 43000de0 11072231 5c3902b3 66ceab36 c3e1b258 656412a9 512bd13 eaff1a09 46d4ac7a 4a14876a 1b2ed40e
459142de 8534f457 fd724452 2c33be0a 38d048ec c79d6793 ccea2645 8963dc6e 3184ff27 42a00403 d3addccb f1099c6 2a318785
1a6916c7 4da4f9fc d4341aad 27ac435a 6905269 a4042bb3 1710cf53 ed6f0b09 ccea71ff 3c6da5d7 8ca59966 ce80c4b0 7a97c643
36e2f24b f165c8ce"""
"""Forty random addresses (behind 02:00) in the order Linux 6.1 fanned a broadcast out; the last two share a bucket."""


def test_fan_out_order_of_forty_random_addresses() -> None:
    """Brought up in the same order but for the last two: only within a bucket does that matter."""
    lab = Lab()
    names = RECORDED.split()
    for name in (*names[:-2], names[-1], names[-2]):
        lab.add("macvlan", name, lab.p0, mac=0x0200_0000_0000 | int(name, 16), mode="bridge")
    lab.send(lab.w0)
    assert lab.receivers() == ["p0", *names]


def test_in_one_bucket_the_last_brought_up_comes_first() -> None:
    lab = Lab()
    twins = [mac for mac in range(0x020000010000, 0x020000020000) if bucket_of(mac) == bucket_of(M[1])][:2]
    for number, mac in enumerate(twins):
        lab.add("macvlan", f"t{number}", lab.p0, mac=mac, mode="bridge")
    lab.send(lab.w0)
    assert lab.receivers() == ["p0", "t1", "t0"]
    lab.set(lab.root.devices["t0"], up=False)
    lab.set(lab.root.devices["t0"], up=True)
    lab.send(lab.w0)
    assert lab.receivers() == ["p0", "t0", "t1"]


def test_multicast_reaches_those_who_joined() -> None:
    lab = Lab("bridge", "bridge")
    lab.join(1)
    lab.send(lab.w0, GROUP)
    assert (lab.got("m1"), lab.got("m2"), lab.got("p0")) == (["MULTICAST"], [], ["MULTICAST"])
    lab.net.mc_del(lab.m[1], GROUP)
    lab.send(lab.w0, GROUP)
    assert lab.receivers() == ["p0", "m1"], "the filter is computed before the list is handed down: one too many"
    lab.net.mc_add(lab.m[1], GROUP + 1)
    lab.send(lab.w0, GROUP)
    assert lab.receivers() == ["p0"], "and is right again with the next change"
    assert lab.dropped("p0").count(Drop.MACVLAN_NO_LISTENER) == 1


@pytest.mark.parametrize("flag", ["promisc", "allmulti"])
def test_promisc_and_allmulti_open_the_multicast_filter(flag: str) -> None:
    lab = Lab("bridge")
    lab.set(lab.m[1], **{flag: True})
    lab.send(lab.w0, GROUP)
    assert lab.got("m1") == ["MULTICAST"]
    lab.set(lab.m[1], **{flag: False})
    lab.send(lab.w0, GROUP)
    assert lab.got("m1") == []


def test_a_sender_does_not_hear_its_own_multicast() -> None:
    """Neither on the way out nor coming back, although it joined the group."""
    lab = Lab("bridge", "bridge", "vepa")
    lab.join(1, 2, 3)
    lab.send(lab.m[1], GROUP, M[1])
    assert sorted(lab.receivers()) == ["m2", "w0"]
    lab.send(lab.w0, GROUP, M[3])
    assert sorted(lab.receivers()) == ["m1", "m2", "p0"]


@pytest.mark.parametrize(
    ("sender", "listeners"),
    [("bridge", {"vepa"}), ("vepa", {"vepa", "bridge"}), ("private", {"self"}), ("source", {"self"})],
)
def test_a_macvlans_own_broadcast_coming_back(sender: str, listeners: set[str]) -> None:
    """Bridge: vepa siblings only; vepa: vepa and bridge siblings; private and source: only the sender, consumed."""
    lab = Lab("bridge", "vepa", "private", sender)
    lab.send(lab.w0, BROADCAST, M[4])
    got = {n for n in range(1, 5) if lab.got(f"m{n}")}
    assert got == {{"bridge": 1, "vepa": 2, "self": 4}[kind] for kind in listeners}
    reached_host = Drop.UNHANDLED_PROTO in lab.dropped("p0")
    assert reached_host == (sender in ("bridge", "vepa"))


def test_private_own_broadcast_counts_a_packet_of_no_bytes() -> None:
    """rx_packets+1, rx_bytes+0, multicast+0: the length is not known yet where it is counted."""
    lab = Lab("private")
    lab.send(lab.w0, GROUP, M[1])
    assert lab.got("m1") == ["MULTICAST"]  # although it has not joined
    assert (lab.m[1].rx_packets, lab.m[1].rx_bytes, lab.m[1].multicast) == (1, 0, 0)


def test_pause_frames_go_to_the_host_only() -> None:
    lab = Lab("bridge", "bridge")
    for accel in (0, Q5):
        lab.send(lab.w0, BROADCAST, proto=0x8808, accel=accel)
        assert lab.receivers() == ["p0"]
    lab.send(lab.m[1], BROADCAST, M[1], proto=0x8808)
    assert lab.receivers() == ["w0"]


# -- the broadcast queue --------------------------------------------------------------------------------------------


def test_queue_length_is_the_longest_asked_for() -> None:
    lab = Lab("bridge", "bridge")
    assert lab.m[1].port.bc_queue_len == 1000
    lab.set(lab.m[1], info={"bcqueuelen": 5000})
    assert lab.m[1].port.bc_queue_len == 5000
    lab.set(lab.m[1], info={"bcqueuelen": 7})
    assert lab.m[1].port.bc_queue_len == 1000
    lab.delete(lab.m[2])
    assert lab.m[1].port.bc_queue_len == 7


def test_with_no_queue_nothing_received_but_siblings_still_hear() -> None:
    """Length 0: no received broadcast at all, rx_dropped on the parent; what siblings send is not queued."""
    lab = Lab("bridge", "bridge", bcqueuelen=0)
    lab.send(lab.w0)
    assert lab.receivers() == ["p0"]
    assert Drop.MACVLAN_BACKLOG in lab.dropped("p0")
    assert lab.p0.rx_dropped == 1 + 1  # the queue's, and the host's own copy that nobody there takes
    lab.send(lab.m[1], BROADCAST, M[1])
    assert lab.got("m2") == ["BROADCAST"]


def test_a_full_queue_drops_for_all_macvlans() -> None:
    """Five frames in one burst into a queue of three: three get through; later there is room again."""
    lab = Lab("bridge", "vepa", bcqueuelen=3)
    for _ in range(2):
        lab.seen.clear()
        for _ in range(5):
            lab.net.originate(lab.w0, Frame(BROADCAST, W, ETHERTYPE, bytes(46)))
        lab.net.drain()
        assert (len(lab.got("m1")), len(lab.got("m2")), len(lab.got("p0"))) == (3, 3, 5)
        lab.net.clock.advance(lab.net.now + 1)
    assert lab.p0.rx_dropped == 4 + 10  # the queue's, and the host's own copies


def test_an_emptied_queue_has_room_in_the_same_instant() -> None:
    """The worker takes the whole queue at once: the next burst finds it empty."""
    lab = Lab("bridge", bcqueuelen=3)
    for _ in range(2):
        lab.seen.clear()
        for _ in range(3):
            lab.net.originate(lab.w0, Frame(BROADCAST, W, ETHERTYPE, bytes(46)))
        lab.net.drain()
        assert len(lab.got("m1")) == 3


def test_later_unicast_overtakes_an_earlier_broadcast() -> None:
    """Received broadcasts go through a work queue; unicast does not."""
    lab = Lab("bridge")
    lab.net.originate(lab.w0, Frame(BROADCAST, W, ETHERTYPE, b"1"))
    lab.net.originate(lab.w0, Frame(M[1], W, ETHERTYPE, b"2"))
    lab.seen.clear()
    lab.net.drain()
    assert lab.got("m1") == ["HOST", "BROADCAST"]


@pytest.mark.parametrize(
    ("awake", "several", "order"),
    [
        (False, False, [b"answer", b"question", b"answer", b"another"]),
        (True, False, [b"question", b"another", b"answer", b"answer"]),
        (True, True, [b"answer", b"question", b"answer", b"another"]),
    ],
)
def test_copies_are_received_one_by_one_unless_ksoftirqd_is_awake(
    awake: bool, several: bool, order: list[bytes]
) -> None:
    """A worker's netif_rx runs soft interrupts at once, so an answer comes before the next copy; or they wait.

    Where there are several processors nothing that is let go awakens ksoftirqd.
    """
    lab = Lab("bridge", "bridge")
    first, second = (lab.m[number] for number in sorted((1, 2), key=lambda n: bucket_of(M[n])))

    def answer(dev: Any, frame: Frame, _why: Any) -> None:
        if dev is first and frame.src == W:
            lab.net.originate(dev, Frame(BROADCAST, dev.mac, ETHERTYPE, b"answer"))

    lab.net.protocols = answer
    heard: list[bytes] = []
    second.taps.append(lambda _now, _dev, frame, out: out or heard.append(frame.payload))
    for question in (b"question", b"another"):
        lab.net.originate(lab.w0, Frame(BROADCAST, W, ETHERTYPE, question))
    lab.net.workers.several = several
    if awake:
        lab.net.workers.let_go_of_route()
    lab.net.drain()
    assert heard == order


# -- sent -----------------------------------------------------------------------------------------------------------


def test_unicast_to_a_bridge_sibling_goes_by_the_parents_receive_path() -> None:
    """Nothing on the wire; the parent's counters stand still."""
    lab = Lab("bridge", "bridge")
    lab.send(lab.m[1], M[2], M[1])
    assert [(d, p) for d, w, p, _ in lab.seen if w == "in"] == [("p0", "OTHERHOST"), ("m2", "HOST")]
    assert (lab.p0.rx_packets, lab.p0.tx_packets) == (0, 0)
    assert (lab.m[1].tx_packets, lab.m[2].rx_packets) == (1, 1)


def test_unicast_to_itself_comes_back_in_bridge_mode_only() -> None:
    lab = Lab("bridge", "vepa")
    lab.send(lab.m[1], M[1], M[1])
    assert lab.got("m1") == ["HOST"]
    lab.send(lab.m[2], M[2], M[2])
    assert lab.receivers() == ["w0"]


@pytest.mark.parametrize("other", ["vepa", "private", "source"])
def test_unicast_to_a_sibling_in_another_mode_takes_the_wire(other: str) -> None:
    lab = Lab("bridge", other)
    for sender, target in ((1, 2), (2, 1)):
        lab.send(lab.m[sender], M[target], M[sender])
        assert lab.receivers() == ["w0"]


@pytest.mark.parametrize("mode", ["vepa", "private", "source"])
def test_same_mode_siblings_do_not_meet_outside_bridge_mode(mode: str) -> None:
    """private does not drop what goes to siblings: it sends it to the wire."""
    lab = Lab(mode, mode)
    for dst in (M[2], BROADCAST):
        lab.send(lab.m[1], dst, M[1])
        assert lab.receivers() == ["w0"]


def test_a_down_sibling_is_looked_for_on_the_wire() -> None:
    lab = Lab("bridge", "bridge")
    lab.set(lab.m[2], up=False)
    lab.send(lab.m[1], M[2], M[1])
    assert lab.receivers() == ["w0"]


@pytest.mark.parametrize("mode", ["bridge", "vepa", "private", "passthru"])
def test_the_host_never_sees_what_macvlans_send_it(mode: str) -> None:
    lab = Lab(mode)
    lab.send(lab.m[1], P, M[1])
    assert lab.receivers() == ["w0"]


def test_the_hosts_own_frames_take_the_wire_only() -> None:
    lab = Lab("bridge")
    for dst in (M[1], BROADCAST):
        lab.send(lab.p0, dst, P)
        assert lab.receivers() == ["w0"]


def test_broadcast_reaches_bridge_siblings_and_the_wire_not_the_host() -> None:
    """Siblings count the Ethernet header twice: 60 octets are 74 bytes (6.1)."""
    lab = Lab("bridge", "bridge", "vepa", "private")
    lab.send(lab.m[1], BROADCAST, M[1])
    assert sorted(lab.receivers()) == ["m2", "w0"]
    assert (lab.m[2].rx_packets, lab.m[2].rx_bytes, lab.m[2].multicast) == (1, 74, 1)
    assert (lab.m[1].tx_packets, lab.m[1].tx_bytes) == (1, 60)


def test_multicast_to_siblings_needs_membership() -> None:
    lab = Lab("bridge", "bridge", "bridge")
    lab.join(3)
    lab.send(lab.m[1], GROUP, M[1])
    assert sorted(lab.receivers()) == ["m3", "w0"]


def test_a_sibling_with_a_small_mtu_counts_an_error_and_two_drops() -> None:
    """is_skb_forwardable of the sibling fails: rx_errors+1, rx_dropped+2; the sender is not told."""
    lab = Lab("bridge", "bridge")
    lab.set(lab.m[2], mtu=100)
    assert lab.send(lab.m[1], BROADCAST, M[1], size=104) is None
    assert lab.got("m2") == ["BROADCAST"]
    assert lab.send(lab.m[1], BROADCAST, M[1], size=105) is None
    assert lab.got("m2") == []
    assert (lab.m[2].rx_errors, lab.m[2].rx_dropped, lab.m[2].rx_packets) == (1, 2, 1)
    lab.send(lab.m[1], M[2], M[1], size=400)  # unicast: only the parent's MTU counts
    assert lab.got("m2") == ["HOST"]


def test_unicast_too_long_for_the_parent_is_its_drop() -> None:
    lab = Lab("bridge", "bridge")
    lab.set(lab.p0, mtu=100)
    assert lab.send(lab.m[1], M[2], M[1], size=105) is None
    assert (lab.got("m2"), lab.p0.rx_dropped, lab.m[1].tx_packets) == ([], 1, 1)


def test_spoofed_sources_are_not_checked() -> None:
    lab = Lab("bridge", "bridge")
    lab.send(lab.m[1], M[2], OTHER)
    assert lab.got("m2") == ["HOST"]


def test_a_tag_between_siblings_and_the_parents_vlan_device() -> None:
    """Unicast passes the parent's receive path, where p0.5 takes VLAN 5; broadcast goes straight to the sibling."""
    lab = Lab("bridge", "bridge")
    v = lab.add("vlan", "p0.5", lab.p0, id=5)
    lab.send(lab.m[1], M[2], M[1], accel=Q5)
    assert (lab.got("p0.5"), lab.got("m2")) == (["OTHERHOST"], [])
    lab.send(lab.m[1], BROADCAST, M[1], accel=Q5)
    assert (lab.got("p0.5"), lab.got("m2")) == ([], ["BROADCAST"])
    lab.delete(v)
    lab.send(lab.m[1], M[2], M[1], accel=Q5)
    assert lab.got("m2") == ["HOST"]


def test_the_lower_refusal_counts_on_the_macvlan() -> None:
    lab = Lab("vepa")
    lab.set(lab.w0, mtu=100)
    assert lab.send(lab.m[1], W, M[1], size=200) is Drop.PKT_TOO_BIG
    assert (lab.m[1].tx_packets, lab.m[1].tx_dropped) == (0, 1)


def test_a_parent_that_is_down_swallows_with_success() -> None:
    """A dummy keeps its carrier: the frame meets the noop queue and counts as sent (6.1)."""
    lab = Lab()
    d0 = lab.add("dummy", "d0")
    m = lab.add("macvlan", "m", d0, mode="bridge")
    lab.set(d0, up=False)
    assert lab.send(m, BROADCAST, m.mac) is None
    assert (m.tx_packets, m.tx_dropped, d0.tx_packets) == (1, 0, 0)


# -- passthru -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dst", [P, OTHER])
def test_passthru_takes_all_unicast_as_its_own(dst: int) -> None:
    lab = Lab("passthru")
    lab.send(lab.w0, dst)
    assert lab.got("m1") == ["HOST"]
    assert Drop.UNHANDLED_PROTO not in lab.dropped("p0")


def test_passthru_shares_broadcast_with_the_host() -> None:
    lab = Lab("passthru")
    lab.send(lab.w0)
    assert lab.receivers() == ["p0", "m1"]
    assert Drop.UNHANDLED_PROTO in lab.dropped("p0")


def test_passthru_multicast_needs_membership() -> None:
    lab = Lab("passthru")
    lab.send(lab.w0, GROUP)
    assert lab.receivers() == ["p0"]
    lab.join(1)
    lab.send(lab.w0, GROUP)
    assert lab.receivers() == ["p0", "m1"]


def test_passthru_own_group_frames_come_back_to_it_alone() -> None:
    lab = Lab("passthru")
    lab.send(lab.w0, BROADCAST, P)
    assert lab.got("m1") == ["BROADCAST"]
    assert Drop.UNHANDLED_PROTO not in lab.dropped("p0")


def test_passthru_down_swallows_unicast_but_not_broadcast() -> None:
    lab = Lab("passthru")
    lab.set(lab.m[1], up=False)
    lab.send(lab.w0, P)
    assert lab.dropped("p0") == [Drop.MACVLAN_DOWN]
    lab.send(lab.w0)
    assert Drop.UNHANDLED_PROTO in lab.dropped("p0")


def test_passthru_with_nopromisc_filters_by_the_parents_groups() -> None:
    """Only then is the parent not promiscuous, and its own multicast list decides what is queued at all."""
    lab = Lab()
    lab.m.append(lab.macvlan(1, "passthru", flags=["nopromisc"]))
    assert lab.p0.promiscuity == 0
    lab.set(lab.m[1], promisc=True)  # opens the macvlan's filter, not the parent's
    lab.send(lab.w0, GROUP)
    assert lab.got("m1") == []
    lab.net.mc_add(lab.m[1], GROUP)
    lab.send(lab.w0, GROUP)
    assert lab.got("m1") == ["MULTICAST"]


# -- source mode ----------------------------------------------------------------------------------------------------


def source_lab(*flags: str) -> Lab:
    lab = Lab("source", "bridge")
    lab.set(lab.m[1], info={"macaddr_mode": "add", "macaddr": "02:00:00:00:ee:01", "flags": list(flags)})
    return lab


@pytest.mark.parametrize(
    ("dst", "ptype"),
    [(M[1], "HOST"), (P, "HOST"), (OTHER + 1, "OTHERHOST"), (BROADCAST, "BROADCAST"), (GROUP, "MULTICAST")],
)
def test_listed_sources_reach_it_whatever_the_destination(dst: int, ptype: str) -> None:
    """HOST for its own address, else as the parent saw it; then everything goes on as usual. No multicast count."""
    lab = source_lab()
    lab.send(lab.w0, dst, OTHER)
    assert lab.got("m1") == [ptype]
    assert Drop.UNHANDLED_PROTO in lab.dropped("p0") or Drop.OTHERHOST in lab.dropped("p0")
    assert (lab.m[1].rx_packets, lab.m[1].rx_bytes, lab.m[1].multicast) == (1, 60, 0)


def test_listed_source_to_a_sibling_reaches_both() -> None:
    lab = source_lab()
    lab.send(lab.w0, M[2], OTHER)
    assert (lab.got("m1"), lab.got("m2")) == (["OTHERHOST"], ["HOST"])


def test_nodst_keeps_the_frame_from_everybody_else() -> None:
    lab = source_lab("nodst")
    for dst in (M[2], P, BROADCAST):
        lab.send(lab.w0, dst, OTHER)
        assert lab.receivers() == ["p0", "m1"]
        assert Drop.UNHANDLED_PROTO not in lab.dropped("p0")
    lab.set(lab.m[1], up=False)
    lab.send(lab.w0, M[2], OTHER)
    assert lab.dropped("p0") == [Drop.MACVLAN_DOWN]


@pytest.mark.parametrize("dst", [M[1], BROADCAST])
def test_unlisted_sources_do_not_reach_it(dst: int) -> None:
    lab = source_lab()
    lab.send(lab.w0, dst, OTHER + 1)
    assert lab.got("m1") == []
    assert len(lab.dropped("p0")) >= 1  # the host's stack had it


def test_a_bridge_siblings_frames_do_not_reach_it_directly() -> None:
    lab = source_lab()
    lab.set(lab.m[1], info={"macaddr_mode": "add", "macaddr": "02:00:00:00:0a:02"})
    lab.send(lab.m[2], BROADCAST, M[2])
    assert lab.receivers() == ["w0"]


def test_two_macvlans_listing_one_source_both_get_it() -> None:
    """The last to list it comes first."""
    lab = source_lab()
    third = lab.macvlan(3, "source", macaddr_mode="set", macaddr_data=["02:00:00:00:ee:01", "02:00:00:00:ee:02"])
    lab.send(lab.w0, OTHER, OTHER)
    assert lab.receivers() == ["p0", "m3", "m1"]
    lab.set(third, info={"macaddr_mode": "del", "macaddr": "02:00:00:00:ee:01"})
    lab.send(lab.w0, OTHER, OTHER)
    assert lab.receivers() == ["p0", "m1"]


# -- speed ----------------------------------------------------------------------------------------------------------


def test_unicast_is_found_by_one_look_up_among_many() -> None:
    """A step of the receive rule does not iterate: 512 macvlans make no more calls than 8."""
    import sys

    def lines(count: int) -> int:
        lab = Bench()
        lab.net.tracer = None
        for number in range(count):
            lab.add("macvlan", f"m{number}", lab.p0, mac=0x02_00_00_01_00_00 + number, mode="bridge")
        port, frame, ran = lab.p0.rx_handler, Frame(0x02_00_00_01_00_00 + count - 1, W, ETHERTYPE, b""), []
        sys.settrace(lambda *_: lambda *_: ran.append(1))  # type: ignore[arg-type, return-value]
        try:
            port.rx(frame, 0, None)
        finally:
            sys.settrace(None)
        return len(ran)

    assert lines(512) == lines(8)
