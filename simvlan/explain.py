"""What would happen to one frame: its walk on a copy of the network, told step by step, with verdict and remedies.

The manner is that of Open vSwitch's ofproto/trace: what matched, what was done, how it ended. Nothing changes in the
network that is asked about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

from simvlan.diagnose import Diagnosis, unheard
from simvlan.engines.events import restore, snapshot
from simvlan.frame import IPV4, Frame
from simvlan.stack.packet import UDP
from simvlan.trace import Step, Trace, happened, listen
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.network import Network

PATIENCE_NS = 5_000_000_000
"""How long a frame and its answers are followed: longer than an address resolution takes to fail."""

DHCP_ON_IPVLAN = (
    "no slave of the ipvlan has the offered address yet: the client must ask for broadcasts (udhcpc -B),"
    " or the server send them (dnsmasq --dhcp-broadcast)"
)
"""An offer or acknowledgement to one MAC ends at the host of an ipvlan, where forwarding would not help."""


def isolated(network: Network) -> Network:
    """Return a copy of a network that nobody outside observes: no captures, no tracer."""
    copy = restore(snapshot(network))
    copy.tracer = None
    copy.watchers.clear()
    for dev in copy.devices():
        dev.taps.clear()
    return copy


def explain(network: Network, path: str, frame: Frame) -> Walk:
    """Follow a frame sent on a device, on a copy of the network."""
    copy = isolated(network)
    dev = copy.device(path)
    seen = Trace()
    listen(copy, seen.steps.append)
    copy.send(dev, frame)
    copy.clock.advance(copy.now + PATIENCE_NS)  # type: ignore[attr-defined]
    steps = seen.of(seen[0].fid) if seen else seen
    heard = {step.netns for step in steps if step.way == "up" and step.drop is None}
    return Walk(steps.steps, dev.path, frame, unheard(copy, dev, frame, heard))


def _depths(above: Mapping[int, int]) -> dict[int, int]:
    """How many frames each frame comes from, those of a walk counted."""
    depth: dict[int, int] = {}
    for fid in above:
        line = [fid]
        while line[-1] in above and line[-1] not in depth:
            line.append(above[line[-1]])
        known = depth.get(line.pop(), -1)
        depth.update({each: known + up for up, each in enumerate(reversed(line), 1)})
    return depth


def _is_dhcp_answer(frame: Frame) -> bool:
    """Whether a frame is UDP over IPv4 from a DHCP server to a client."""
    ip = frame.payload
    ports = ip[(ip[0] & 15) * 4 :][:4] if frame.proto == IPV4 and len(ip) >= 20 and ip[9] == UDP else b""
    return ports == bytes((0, 67, 0, 68))


class Recording(Trace):
    """Steps that can be drawn; so can a part of them, and what belongs to one frame."""

    def _part(self, steps: Sequence[Step]) -> Recording:
        return Recording(steps)

    def of(self, fid: int) -> Recording:
        """Return the steps of one frame and of everything copied from it or answered to it."""
        return self._part(super().of(fid).steps)

    def plot(self, title: str = "") -> Any:
        """Return the ladder as a matplotlib figure: a line for every device, an arrow for every step."""
        from simvlan.plot import ladder

        return ladder(self, title)

    def timeline(self, title: str = "") -> Any:
        """Return a figure of when frames were where."""
        from simvlan.plot import timeline

        return timeline(self, title)


class Walk(Recording):
    """The steps of one frame, of its copies and of the answers to it."""

    def __init__(self, steps: list[Step], origin: str, frame: Frame, unheard: Sequence[Diagnosis] = ()) -> None:
        super().__init__(steps)
        self.origin = origin
        self.frame = frame
        self.unheard = list(unheard)
        """Why who has the address that the frame is for never got it."""

    @property
    def verdict(self) -> str:
        """How it ended, in one line."""
        places = list(dict.fromkeys(step.path for step in self.deliveries))
        lost = f"{len(self.drops)} dropped" if self.drops else ""
        if not places:
            return f"delivered nowhere; {lost}" if lost else "delivered nowhere"
        return f"delivered to {', '.join(places)}" + (f"; {lost}" if lost else "")

    def to_text(self) -> str:
        """Tell the walk: header, steps grouped by frame, verdict, remedies."""
        lines = [f"Frame: {self.frame.summary()}", f"From:  {self.origin}", ""]
        lines += self._tree()
        lines += ["", f"Verdict: {self.verdict}"]
        for step in self.drops:
            assert step.drop is not None
            lines.append(f"  {step.path}: {step.drop.name}: {step.sentence}")
            lines.append(f"    remedy: {self.remedy(step)}")
        for why in self.unheard:
            lines.append(f"  {why.device}, which has the address, never heard it: {why.reason}: {why.sentence}")
            lines.append(f"    remedy: {why.remedy}")
        return "\n".join(lines)

    def remedy(self, step: Step) -> str:
        """What helps against a drop of this walk; one that has more to go by than the drop's name says so."""
        if step.drop is None:
            return ""
        by_ipvlan = {(each.fid, each.path) for each in self.steps if each.rule == "ipvlan"}
        if step.drop is Drop.IP_INADDRERRORS and (step.fid, step.path) in by_ipvlan and _is_dhcp_answer(step.frame):
            return DHCP_ON_IPVLAN
        return step.drop.remedy

    def _drop(self, step: Step) -> dict[str, Any]:
        assert step.drop is not None
        return {
            "device": step.path,
            "reason": step.drop.name,
            "sentence": step.sentence,
            "remedy": self.remedy(step),
        }

    def _tree(self) -> Iterator[str]:
        """One line per step, copies and answers set in under what they come from."""
        depth = _depths(self.parents())
        for step in self.steps:
            margin = "  " * depth[step.fid]
            time = f"{step.t_ns:,}".replace(",", " ")
            yield f"{margin}[{step.fid}] {step.path} {step.way.upper()} ({step.rule}) at {time} ns"
            yield f"{margin}    {happened(step)}"

    def to_json(self) -> str:
        """Return one JSON document."""
        return json.dumps(
            {
                "frame": self.frame.summary(),
                "from": self.origin,
                "steps": [step.as_dict() for step in self.steps],
                "verdict": self.verdict,
                "deliveries": [step.path for step in self.deliveries],
                "drops": [self._drop(step) for step in self.drops],
                "unheard": [asdict(why) for why in self.unheard],
            },
            ensure_ascii=False,
            indent=2,
        )

    def _repr_html_(self) -> str:
        from simvlan.plot import html_picture

        title = f"<p><b>{escape(self.frame.summary())}</b> from {self.origin}: {escape(self.verdict)}</p>"
        return title + html_picture(self.plot(), "The walk, device by device") + super()._repr_html_()

    def plot(self, title: str = "") -> Any:
        """Return the ladder of the walk; without a title it says where the frame came from and how it ended."""
        return super().plot(title or f"From {self.origin}: {self.verdict}")
