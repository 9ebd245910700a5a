"""Traces: every step a frame takes, as text, JSON lines, a table, or Jupyter HTML.

A step is one rule's answer about one frame at one hook: the device and way it was asked at, what it matched, and where
the frame went or why it ended. Every engine records the same steps, so a difference between two can be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import IO, TYPE_CHECKING, Any

from simvlan.capture import OutsideSnapshots
from simvlan.devices.device import Device
from simvlan.errors import Unsupported
from simvlan.frame import Frame
from simvlan.verdict import UNDERLAY_DROPS, Drop, Emit, Way

if TYPE_CHECKING:
    from simvlan.network import Told

_BEFORE_THE_RULE = {
    Drop.DEV_DOWN: "device",
    Drop.NO_CARRIER: "device",
    Drop.RECURSION_LIMIT: "device",
    Drop.VLAN_TOO_SHORT: "device",
    Drop.STORM: "backlog",
    Drop.QDISC_DROP: "qdisc",
    Drop.QDISC_PURGED: "qdisc",
    Drop.LINK_LOSS: "qdisc",
    **dict.fromkeys(UNDERLAY_DROPS, "underlay"),
}
"""Drops that happen before any device rule is asked."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rule's answer about one frame."""

    t_ns: int
    fid: int
    parent: int
    """The frame this one is a copy of or an answer to; 0 for none."""
    netns: str
    device: str
    way: str
    """rx, tx, up, work or timer: how the frame came to the rule."""
    rule: str
    """Whose rule it was: a device kind, `stack`, `device` or `qdisc`."""
    notes: tuple[str, ...]
    """What the rule matched."""
    outcome: str
    """Where the frame went: `-> netns/device RX`, `delivered`, or `DROP NAME`."""
    drop: Drop | None
    frame: Frame = field(compare=False)

    @property
    def path(self) -> str:
        """`netns/device`, `root` for the initial namespace."""
        return f"{self.netns or 'root'}/{self.device}"

    @property
    def sentence(self) -> str:
        """Why the frame ended here: the drop's sentence; of a filter's drop the chain and the rule."""
        told = [note for note in self.notes if note.startswith(("dropped by ", "rejected by "))]
        if self.drop is Drop.NETFILTER_DROP and told:
            return told[-1]
        return self.drop.sentence if self.drop else ""

    def __str__(self) -> str:
        return _line(self, len(self.path), len(_time(self.t_ns)), len(self.rule))

    def as_dict(self) -> dict[str, Any]:
        """Return the step as it is written to JSON."""
        return {
            "t": self.t_ns,
            "frame": self.fid,
            "parent": self.parent or None,
            "netns": self.netns or "root",
            "device": self.device,
            "way": self.way,
            "rule": self.rule,
            "matched": list(self.notes),
            "outcome": self.outcome,
            "drop": self.drop.name if self.drop else None,
            "reason": self.sentence if self.drop else None,
            "summary": self.frame.summary(),
        }


def rule_of(dev: Device, way: str, frame: Frame, drop: Drop | None) -> str:
    """Name the rule that was asked, in the order of the receive pipeline."""
    if drop in _BEFORE_THE_RULE:
        return _BEFORE_THE_RULE[drop]
    if way == "up":
        return "stack"
    if way == "rx" and frame.accel and dev.vlans and frame.accel & 0xFFFF_0FFF in dev.vlans:
        return "vlan"
    if way in ("rx", "work") and dev.rx_handler is not None:
        # One file per Linux driver: devices/macvlan_port.py answers for macvlan.
        return type(dev.rx_handler).__module__.rpartition(".")[2].partition("_")[0]
    return dev.kind or "loopback"


def outcome_of(way: str, drop: Drop | None, emits: Sequence[Emit]) -> str:
    """Say where the frame went."""
    if drop is not None:
        return f"DROP {drop.name}"
    went = [f"{dev.path} {_WAYS[how]}" for how, dev, _ in emits if isinstance(how, Way)]
    if went:
        return "-> " + ", ".join(went)
    return "delivered" if way == "up" else "no copy left"


_WAYS = {
    Way.RX: "RX",
    Way.BACKLOG: "RX",
    Way.NAPI: "RX",
    Way.WORK: "WORK",
    Way.TX: "TX",
    Way.UP: "UP",
    Way.IP_OUT: "OUT",
}


def make_step(told: Told) -> Step:
    """Turn what the network tells a tracer into a Step."""
    now, fid, parent, dev, way, frame, notes, drop, emits = told
    rule, outcome = rule_of(dev, way, frame, drop), outcome_of(way, drop, emits)
    return Step(now, fid, parent, dev.netns.name, dev.name, way, rule, tuple(notes), outcome, drop, frame)


class Listener(OutsideSnapshots):
    """A tracer that hands every step, as it happens, to functions."""

    def __init__(self) -> None:
        self.ears: list[Callable[[Step], None]] = []

    def step(self, told: Told) -> None:
        """Tell everybody."""
        made = make_step(told)
        for ear in self.ears:
            ear(made)


def listen(network: Any, ear: Callable[[Step], None]) -> None:
    """Let a function hear every step of a network from now on."""
    if network.tracer is None:
        network.tracer = Listener()
    network.tracer.ears.append(ear)


def unlisten(network: Any, ear: Callable[[Step], None]) -> None:
    """Stop telling a function; the network traces no more once nobody listens."""
    network.tracer.ears.remove(ear)
    if not network.tracer.ears:
        network.tracer = None


class JsonLines(OutsideSnapshots):
    """Writes every step as one line of JSON."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def __call__(self, step: Step) -> None:
        """Write one step."""
        self.file.write(json.dumps(step.as_dict(), ensure_ascii=False) + "\n")


class Trace(Sequence[Step]):
    """The steps of a run or of one frame and everything it caused."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps = list(steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        return self._part(self.steps[index]) if isinstance(index, slice) else self.steps[index]

    def _part(self, steps: Sequence[Step]) -> Trace:
        """What some of the steps are."""
        return Trace(steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    @property
    def drops(self) -> list[Step]:
        """The steps at which a frame or a copy ended in a named drop."""
        return [step for step in self.steps if step.drop is not None]

    @property
    def deliveries(self) -> list[Step]:
        """The steps at which a stack took a frame."""
        return [step for step in self.steps if step.way == "up" and step.drop is None]

    def of(self, fid: int) -> Trace:
        """Return the steps of one frame and of everything copied from it or answered to it."""
        family = self.family([fid])
        return self._part([step for step in self.steps if step.fid in family])

    def parents(self) -> dict[int, int]:
        """Say of each frame what it is a copy of or an answer to; an answer may be told before what it answers."""
        return {step.fid: step.parent for step in self.steps}

    def family(self, fids: Iterable[int]) -> set[int]:
        """Return these frames and all that come from them."""
        below: dict[int, list[int]] = {}
        for fid, parent in self.parents().items():
            below.setdefault(parent, []).append(fid)
        found, todo = set[int](), list(fids)
        while todo:
            found.add(todo[-1])
            todo += [each for each in below.get(todo.pop(), ()) if each not in found]
        return found

    def to_text(self) -> str:
        """Return one aligned line per step."""
        if not self.steps:
            return "(no steps)"
        path = max(len(step.path) for step in self.steps)
        time = max(len(_time(step.t_ns)) for step in self.steps)
        rule = max(len(step.rule) for step in self.steps)
        return "\n".join(_line(step, path, time, rule) for step in self.steps)

    def to_json(self) -> str:
        """Return JSON lines, one per step."""
        return "".join(json.dumps(step.as_dict(), ensure_ascii=False) + "\n" for step in self.steps)

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame, one row per step.

        Raises:
            Unsupported: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise Unsupported("a DataFrame needs pandas: `pip install pandas`, or use to_json()") from None
        return pandas.DataFrame([step.as_dict() for step in self.steps])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row(step) for step in self.steps)
        head = "".join(f"<th>{name}</th>" for name in ("t (ns)", "frame", "device", "way", "rule", "what happened"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _time(t_ns: int) -> str:
    return f"{t_ns:,}".replace(",", " ")


def happened(step: Step) -> str:
    """Say in one phrase what a step matched and did."""
    matched = ", ".join(step.notes)
    ended = f"{step.outcome}  {step.drop.sentence}" if step.drop else step.outcome
    if not matched:
        return ended
    return f"{matched} {ended}" if ended.startswith("->") else f"{matched}: {ended}"


def _line(step: Step, path: int, time: int, rule: int) -> str:
    place = f"{_time(step.t_ns):>{time}} ns  {step.path:<{path}}  {step.way.upper():<4}"
    return f"{place}  {step.rule:<{rule}}  {happened(step)}"


def _html_row(step: Step) -> str:
    colour = ' style="color:#b2182b"' if step.drop else ""
    hint = f' title="{escape(step.drop.remedy)}"' if step.drop else ""
    cells = (_time(step.t_ns), step.fid, step.path, step.way.upper(), step.rule, happened(step))
    return f"<tr{colour}{hint}>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
