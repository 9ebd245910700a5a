"""The live engine on a wall clock that the test moves, the words of --attach, frames behind a virtio_net_hdr."""

from __future__ import annotations

import os
import selectors
import time
from typing import Any

import pytest

from simvlan.engines.events import EventClock
from simvlan.engines.live import STALL_NS, Lateness, LiveEngine
from simvlan.frame import ARP, DOT1Q, IPV4, IPV6, Frame
from simvlan.live import vnet
from simvlan.live.attach import Attachment, parse, parse_all
from simvlan.live.places import Unattachable
from simvlan.stack.packet import checksum

MS = 1_000_000


class Wall:
    """Time that the test moves, and that waiting moves too."""

    def __init__(self) -> None:
        self.now = 5_000 * MS

    def __call__(self) -> int:
        return self.now


def engine(speed: float = 1.0) -> tuple[LiveEngine, Wall, list[int]]:
    wall, clock, ran = Wall(), EventClock(1_000), []  # type: Wall, EventClock, list[int]
    made = LiveEngine(clock, wall=wall, speed=speed)
    for at in (3 * MS, 1 * MS, 2 * MS):
        clock.post(1_000 + at, lambda at=at: ran.append(at))  # type: ignore[misc]
    return made, wall, ran


def test_events_run_when_their_time_has_come_and_never_before() -> None:
    made, wall, ran = engine()
    made.catch_up()
    assert ran == []
    wall.now += 2 * MS
    made.catch_up()
    assert (ran, made.clock.now) == ([1 * MS, 2 * MS], 1_000 + 2 * MS)
    assert (made.lateness.count, made.lateness.worst_ns) == (2, 1 * MS)
    made.close()


def test_the_labs_time_may_run_faster() -> None:
    made, wall, ran = engine(speed=3.0)
    wall.now += 1 * MS
    made.catch_up()
    assert ran == [1 * MS, 2 * MS, 3 * MS]
    made.close()


def test_it_waits_on_the_real_clock_for_the_next_event_and_for_descriptors() -> None:
    clock, ran = EventClock(0), []  # type: EventClock, list[str]
    made = LiveEngine(clock)
    clock.post(20 * MS, lambda: ran.append("event"))
    ours, theirs = os.pipe()
    made.selector.register(ours, selectors.EVENT_READ, lambda _mask: ran.append(os.read(ours, 9).decode()))
    os.write(theirs, b"octets")
    while "event" not in ran:
        made.step(30.0)
    assert ran == ["octets", "event"]
    assert clock.now >= 20 * MS
    made.close()
    os.close(ours)
    os.close(theirs)


def test_a_stepped_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = LiveEngine(EventClock(0))
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, lambda: 4_000_000_000)
    assert 0 <= made.due() < 60_000 * MS
    made.close()


def test_lateness_is_a_histogram() -> None:
    late = Lateness()
    assert str(late) == "no event yet"
    for each in [1_000] * 98 + [900_000, 5 * MS]:
        late.note(each)
    assert late.percentile(0.5) == 1_024
    assert late.percentile(0.99) == 1 << 20
    assert (late.worst_ns, late.percentile(1.0)) == (5 * MS, 5 * MS)


def test_a_pause_of_the_process_is_counted() -> None:
    made, wall, _ = engine()
    select = made.selector.select

    def stopped(timeout: float | None = None) -> Any:
        wall.now += 5 * STALL_NS
        return select(0)

    made.selector.select = stopped  # type: ignore[method-assign]
    made.wait(0.5, timed=False)
    assert (made.lateness.stalls, made.lateness.stalled_ns) == (1, 5 * STALL_NS - 500 * MS)
    made.close()


# -- --attach -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("c1/eth0=tap:tap0", Attachment("c1/eth0", "tap", "", "tap0")),
        ("c1/eth0=tap:real/tap0", Attachment("c1/eth0", "tap", "real", "tap0")),
        ("sw/p1=netns:real/eth0", Attachment("sw/p1", "netns", "real", "eth0")),
        ("sw/p1=dev:eno2,promisc", Attachment("sw/p1", "dev", "", "eno2", frozenset({"promisc"}))),
    ],
)
def test_attachments_are_read(text: str, wanted: Attachment) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (["c1/eth0"], "is expected"),
        (["c1/eth0=tun:tun0"], "is expected"),
        (["c1/eth0=tap:"], "is expected"),
        (["c1/eth0=netns:eth0"], "which namespace?"),
        (["c1/eth0=tap:a-name-too-long-for-it"], "is no name of a device"),
        (["c1/eth0=tap:t0,promisc"], "'promisc' is not known; nothing may follow tap:NAME"),
        (["c1/eth0=tap:t0", "c1/eth0=tap:t1"], "attached twice"),
        (["c1/eth0=tap:t0", "c2/eth0=tap:t0"], "attached twice"),
    ],
)
def test_other_words_are_refused(texts: list[str], answer: str) -> None:
    with pytest.raises(Unattachable, match=answer):
        parse_all(texts)


# -- virtio_net_hdr -------------------------------------------------------------------------------------------------

UDP4 = bytes.fromhex("4500002000010000401100000a0000010a0000020035003500140000") + b"twelve octet"
TCP6 = bytes.fromhex("6000000000140640") + bytes(31) + b"\1" + bytes(20)


@pytest.mark.parametrize("accel", [0, DOT1Q << 16 | 5])
@pytest.mark.parametrize(
    ("proto", "payload", "csum"), [(ARP, bytes(28), 0), (IPV4, UDP4, 1), (IPV6, TCP6, 1), (IPV6, TCP6, 100)]
)
def test_what_goes_out_comes_in_again(proto: int, payload: bytes, csum: int, accel: int) -> None:
    frame = Frame(0x0200_0000_0002, 0x0200_0000_0001, proto, payload, accel, csum=csum)
    octets = vnet.octets_of(frame)
    back = vnet.frame_of(memoryview(octets))
    assert bytes(back) == bytes(frame) == octets[10:]
    assert back.csum == csum


def test_a_partial_checksum_says_where_it_is() -> None:
    """As virtio has it: from where to sum, and where the sum goes; a tag in the octets moves both."""
    untagged = vnet.octets_of(Frame(1, 2, IPV4, UDP4, csum=1))
    tagged = vnet.octets_of(Frame(1, 2, IPV4, UDP4, DOT1Q << 16 | 5, csum=1))
    assert vnet.HEADER.unpack(untagged[:10]) == (1, 0, 0, 0, 34, 6)
    assert vnet.HEADER.unpack(tagged[:10]) == (1, 0, 0, 0, 38, 6)


def test_a_checksum_of_another_kind_is_finished_on_entry() -> None:
    sctp = bytes.fromhex("4500002000010000402f00000a0000010a000002") + bytes(4) + b"some octets"
    head = vnet.HEADER.pack(1, 0, 0, 0, 34, 2)
    frame = vnet.frame_of(memoryview(head + bytes(Frame(1, 2, IPV4, sctp))))
    assert not frame.csum
    assert checksum(frame.payload[20:]) == 0


def test_the_sum_is_the_internets() -> None:
    for data in (b"\x01\x02\x03", bytes(range(200)), b"\xff\xff\xff\xff"):
        assert vnet.folded(data) in (checksum(data), 0xFFFF)
