"""GVRP and MVRP: how VLAN devices with these flags declare their VIDs on the lower device.

Mirrors net/802/garp.c, mrp.c and net/8021q/vlan_gvrp.c, vlan_mvrp.c (6.1): applicants only, as Linux has them, which
declare and listen but register nothing. A state is written as in the standards (IEEE 802.1D 12.8, 802.1Q 10.7): first
how anxious (Very anxious, Anxious, Quiet, Leaving), then the role (Active, Passive, Observer). Linux draws the next
moment to send anew all the time; here it is drawn when there is something to send.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from simvlan.clock import MILLISECOND, SECOND, Timer
from simvlan.devices.device import Device, Kernel
from simvlan.frame import Frame

T = TypeVar("T")
GROUP = 0x0180_C200_0021
"""The group that both protocols speak to."""
MVRP = 0x88F5
LLC = b"\x42\x42\x03"
JOIN_TIME_MS = 200
PERIOD = SECOND
HEARD_GVRP = {1: "join empty", 2: "join in", 3: "leave", 5: "empty"}
HEARD_MVRP = ("new", "join in", "in", "join empty", "empty", "leave")
JOIN_IN, LEAVE_EMPTY = 2, 3
VECTOR_JOIN_IN, VECTOR_LEAVE = 1, 5


def _table(text: str) -> dict[tuple[str, str], str]:
    """Read a table: a head of events, then a line per state with the state after each event."""
    head, *lines = (line.split() for line in text.strip().splitlines())
    events = [word.replace("_", " ") for word in head[1:]]
    return {(state, event): to for state, *row in lines for event, to in zip(events, row, strict=True) if to != "-"}


GARP_STATES = _table("""
    state  transmit  join_in  join_empty  empty  leave  join  withdraw
    VA     AA        AA       VA          VA     VP     -     LA
    AA     QA        QA       VA          VA     VP     -     LA
    QA     -         QA       VA          VA     VP     -     LA
    LA     VO        LA       VO          LA     VO     VA    -
    VP     AA        AP       VP          VP     VP     -     VO
    AP     QA        QP       VP          VP     VP     -     AO
    QP     -         QP       VP          VP     VP     -     QO
    VO     -         AO       VO          VO     VO     VP    -
    AO     -         QO       VO          VO     VO     AP    -
    QO     -         QO       VO          VO     VO     QP    -
""")
MRP_STATES = _table("""
    state  transmit  join_in  join_empty  empty  leave  join  withdraw  period
    VO     VO        AO       VO          VO     VO     VP    VO        VO
    VP     AA        AP       VP          VP     VP     VP    VO        VP
    AA     QA        QA       AA          AA     VP     AA    LA        AA
    QA     QA        QA       AA          AA     VP     QA    LA        AA
    LA     VO        LA       LA          LA     LA     AA    LA        LA
    AO     AO        QO       AO          AO     VO     AP    AO        AO
    QO     QO        QO       AO          AO     VO     QP    QO        QO
    AP     QA        QP       AP          AP     VP     AP    AO        AP
    QP     QP        QP       AP          AP     VP     QP    QO        AP
""")
"""Without the states that a declaration as new (VN, AN) leads to: VLAN devices never make one."""

GARP_JOINS, MRP_JOINS = frozenset(("VA", "AA", "VP", "AP")), frozenset(("VP", "AA", "AP"))
"""States in which the next transmission declares."""


class Applicant:
    """One protocol on one lower device: the VIDs declared there, each with its state."""

    states = GARP_STATES
    joins = GARP_JOINS

    def __init__(self, kernel: Kernel, dev: Device) -> None:
        self.kernel = kernel
        self.dev = dev
        self.vids: dict[int, str] = {}
        self._timer: Timer | None = None

    def join(self, vid: int) -> None:
        """Declare a VID (garp_request_join)."""
        self.vids.setdefault(vid, "VO")
        self._event(vid, "join")
        self._arm()

    def leave(self, vid: int) -> None:
        """Withdraw a VID (garp_request_leave)."""
        if vid in self.vids:
            self._event(vid, "withdraw")
            self._arm()

    def finish(self) -> None:
        """Say what is left to say, at once (garp_uninit_applicant)."""
        if self._timer is not None:
            self._timer.cancel()
        self.transmit()
        self.vids.clear()

    def all_heard(self, event: str) -> None:
        """Somebody said it of every VID (garp_gid_event)."""
        for vid in self.vids:
            self._event(vid, event)
        self._arm()

    def heard(self, vid: int, event: str) -> None:
        """Somebody said it of a VID."""
        if vid in self.vids:
            self._event(vid, event)
            self._arm()

    def _event(self, vid: int, event: str) -> None:
        state = self.vids[vid]
        self.vids[vid] = self.states.get((state, event), state)

    def _arm(self) -> None:
        """Transmit after a random part of the join time, if there is anything to say (garp_join_timer_arm)."""
        if self._timer is None and any(state == "LA" or state in self.joins for state in self.vids.values()):
            delay = self.kernel.rng.randrange(JOIN_TIME_MS) * MILLISECOND
            self._timer = self.kernel.at(self.kernel.now + delay, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.transmit()
        self._arm()

    def transmit(self) -> None:
        """Say all there is to say, in the order of the VIDs; who has said that it leaves is forgotten."""
        said: list[tuple[int, bool]] = []
        for vid in sorted(self.vids):
            leaving = self.vids[vid] == "LA"
            if leaving or self.vids[vid] in self.joins:
                said.append((vid, leaving))
            self._event(vid, "transmit")
            if leaving:
                del self.vids[vid]
        if said:
            for frame in self.frames(said):
                self.kernel.originate(self.dev, frame)

    def frames(self, said: list[tuple[int, bool]]) -> Iterator[Frame]:
        """Write what is said, (VID, whether it leaves), as GVRP PDUs no longer than the MTU."""
        room = (self.dev.mtu - len(LLC) - 5) // 4
        for part in batched(said, room):
            attributes = b"".join(
                bytes((4, LEAVE_EMPTY if leaving else JOIN_IN)) + vid.to_bytes(2, "big") for vid, leaving in part
            )
            pdu = LLC + b"\0\1\1" + attributes + b"\0\0"
            yield Frame(GROUP, self.dev.mac, len(pdu), pdu)

    def hear(self, pdu: bytes) -> None:
        """Read a GVRP PDU as far as it makes sense (garp_pdu_rcv)."""
        if pdu[:3] != b"\0\1\1":
            return
        at = 3
        while at + 2 <= len(pdu) and pdu[at]:
            size, event = pdu[at], pdu[at + 1]
            if size < 2 or at + size > len(pdu) or (size == 2) != (event == 0):
                return
            if event == 0:
                self.all_heard("leave")
            elif event in HEARD_GVRP and size == 4:
                self.heard(int.from_bytes(pdu[at + 2 : at + 4], "big"), HEARD_GVRP[event])
            at += size


class MvrpApplicant(Applicant):
    """The newer protocol: VIDs in a row share a vector, three to an octet, and all are declared once a second."""

    states = MRP_STATES
    joins = MRP_JOINS

    def __init__(self, kernel: Kernel, dev: Device) -> None:
        super().__init__(kernel, dev)
        self._began = kernel.now
        self._period: Timer | None = None

    def join(self, vid: int) -> None:
        """Declare a VID, and again every second since this applicant began (mrp_periodic_timer)."""
        super().join(vid)
        if self._period is None:
            self._next_period()

    def _next_period(self) -> None:
        gone = (self.kernel.now - self._began) // PERIOD
        self._period = self.kernel.at(self._began + (gone + 1) * PERIOD, self._periodic)

    def _periodic(self) -> None:
        self._period = None
        if self.vids:
            self.all_heard("period")
            self._next_period()

    def finish(self) -> None:
        """Say what is left to say, at once (mrp_uninit_applicant)."""
        if self._period is not None:
            self._period.cancel()
        super().finish()

    def frames(self, said: list[tuple[int, bool]]) -> Iterator[Frame]:
        """Write what is said as MVRP PDUs no longer than the MTU."""
        for part in batched(said, (self.dev.mtu - 7) // 5):
            vectors = b"".join(map(_vector, _runs(part)))
            yield Frame(GROUP, self.dev.mac, MVRP, b"\0\1\2" + vectors + bytes(4))

    def hear(self, pdu: bytes) -> None:
        """Read an MVRP PDU as far as it makes sense (mrp_rcv)."""
        if pdu[:3] != b"\0\1\2":
            return
        at = 3
        while at + 4 <= len(pdu) and pdu[at : at + 2] != b"\0\0":
            head, vid = int.from_bytes(pdu[at : at + 2], "big"), int.from_bytes(pdu[at + 2 : at + 4], "big")
            count = head & 0x1FFF
            if head >> 13 & 1:
                self.all_heard("leave")
            for number in range(count):
                where = at + 4 + number // 3
                if where >= len(pdu) or pdu[where] >= 6**3:
                    return
                self.heard(vid + number, HEARD_MVRP[pdu[where] // (36, 6, 1)[number % 3] % 6])
            at += 4 + -(-count // 3) if count else 2


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut into pieces of so many."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _runs(said: Sequence[tuple[int, bool]]) -> Iterator[list[tuple[int, bool]]]:
    """Split into VIDs that follow each other."""
    run: list[tuple[int, bool]] = []
    for vid, leaving in said:
        if run and vid != run[-1][0] + 1:
            yield run
            run = []
        run.append((vid, leaving))
    if run:
        yield run


def _vector(run: list[tuple[int, bool]]) -> bytes:
    """How many, the first VID, and the events, three to an octet (mrp_pdu_append_vecattr_event)."""
    events = [VECTOR_LEAVE if leaving else VECTOR_JOIN_IN for _, leaving in run]
    octets = (sum(e * weight for e, weight in zip(three, (36, 6, 1), strict=False)) for three in batched(events, 3))
    return len(run).to_bytes(2, "big") + run[0][0].to_bytes(2, "big") + bytes(octets)


class VlanTable(dict[int, Any]):
    """A lower device's VLAN devices by tag, and what speaks for them (struct vlan_info, dev->garp_port, mrp_port)."""

    def __init__(self, kernel: Kernel, lower: Device) -> None:
        super().__init__()
        self.gvrp, self.mvrp = Applicant(kernel, lower), MvrpApplicant(kernel, lower)
        for _ in (self.gvrp, self.mvrp):
            kernel.mc_add(lower, GROUP)

    def close(self, kernel: Kernel, lower: Device) -> None:
        """The last VLAN device is gone."""
        for applicant in (self.mvrp, self.gvrp):
            applicant.finish()
            kernel.mc_del(lower, GROUP)

    def hear(self, frame: Frame) -> bool:
        """Take a PDU of either protocol that the lower device's stack received; False for anything else."""
        if frame.proto == MVRP:
            self.mvrp.hear(frame.payload)
            return True
        if frame.dst == GROUP and frame.proto < 0x600 and frame.payload[:3] == LLC:
            self.gvrp.hear(frame.payload[3 : frame.proto])
            return True
        return False
