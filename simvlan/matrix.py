"""Who reaches whom by ping, and why not: every pair of namespaces tried on its own copy of the network.

The reason in a failing cell is read from the walk of that ping's frames: the drop that came nearest to the target, past
the bystanders who ignored a flooded copy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from simvlan.diagnose import diagnose
from simvlan.engines.events import Snapshot, restore
from simvlan.network import Netns, Network
from simvlan.stack.ipv6.addr import is_link_local
from simvlan.trace import Step, Trace, listen

if TYPE_CHECKING:
    from simvlan.lab import Lab

IGNORED_BY_BYSTANDERS = frozenset(("OTHERHOST", "UNHANDLED_PROTO", "DUMMY", "VLAN_UNCLAIMED", "FDB_FULL"))
"""How a host that is not meant drops a flooded frame: a reason only at the target itself."""

CHANGED_IT = frozenset(("OFFLOAD_STRIPPED_VLAN",))
"""What was lost before the rest of the frame went on, wherever that ended."""

NEVER_A_CAUSE = frozenset(("ARP_NOT_OURS",))
"""What every host that hears a broadcast request says, the wanted one excepted."""

UNANSWERED = frozenset(("NEIGH_FAILED",))
"""What the sender says when nobody answered: true, but never the cause if another drop is known."""

UNEXPLAINED = UNANSWERED | {"EHOSTUNREACH", "NO_ANSWER"}
"""Verdicts that only say that nobody answered: the devices' stacking may say why."""

LOCAL_ERRORS = {
    "Network is unreachable": ("ENETUNREACH", "no route to the address", "ip route add NET via GATEWAY"),
    "Destination Host Unreachable": (
        "EHOSTUNREACH",
        "nobody answered ARP for the address",
        "put both into one VLAN and one subnet, or route between them",
    ),
    "Destination Net Unreachable": ("NET_UNREACHABLE", "a router has no route to the address", "add it on the router"),
    "Time to live exceeded": ("TTL_EXCEEDED", "the packet goes in circles", "look at the routers' routes"),
    "Permission denied": ("EACCES", "the address is a broadcast address", "ping a host's own address"),
    "Invalid argument": ("EINVAL", "the namespace cannot send to this address", "look at its routes"),
}
"""What ping prints -> (reason, sentence, remedy)."""


@dataclass(frozen=True)
class Cell:
    """One ping: from a namespace to an address of another."""

    source: str
    target: str
    address: str
    reached: bool
    reason: str = ""
    """Name of the drop or errno, empty when reached."""
    device: str = ""
    """Where it happened."""
    sentence: str = ""
    remedy: str = ""
    detail: str = ""
    """How far the frames of this ping came."""


class Matrix:
    """All cells; sources are rows, (namespace, address) are columns."""

    def __init__(
        self,
        sources: Sequence[str],
        targets: Sequence[tuple[str, str]],
        cells: Sequence[Cell],
        untried: Sequence[str] = (),
    ) -> None:
        self.sources = list(sources)
        self.untried = list(untried)
        """Namespaces with addresses of IPv6, which are not tried."""
        self.targets = list(targets)
        self.cells = {(cell.source, cell.target, cell.address): cell for cell in cells}

    @property
    def complete(self) -> bool:
        """Whether everybody reaches everybody."""
        return all(cell.reached for cell in self.cells.values())

    @property
    def failures(self) -> list[Cell]:
        """The pings that were not answered."""
        return [cell for cell in self.cells.values() if not cell.reached]

    def __getitem__(self, pair: tuple[str, str]) -> Cell:
        """Return the first cell from a namespace to a namespace, or to an address."""
        source, target = ("" if name == "root" else name for name in pair)
        return next(c for c in self.cells.values() if c.source == source and target in (c.target, c.address))

    def to_text(self) -> str:
        """Return the table, and under it one line per reason."""
        if not self.targets:
            return "\n".join(["(no namespace has an IPv4 address)", *self._left_out()])
        marks = {pair: str(number) for number, pair in enumerate(self.reasons(), 1)}
        head = ["", *(f"{name or 'root'} {address}" for name, address in self.targets)]
        lines = [
            head,
            *([source or "root", *(self._mark(source, t, marks) for t in self.targets)] for source in self.sources),
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*table, *(["", *self._notes(marks)] if marks else []), *self._left_out()])

    def _left_out(self) -> list[str]:
        names = ", ".join(name or "root" for name in self.untried)
        return [f"addresses of IPv6 are not tried (those of {names}): ask by ping"] if names else []

    __str__ = to_text
    __repr__ = to_text

    def reasons(self) -> list[tuple[str, str]]:
        """Return (name, sentence) of every reason there is, in the order of the cells."""
        return list(dict.fromkeys((cell.reason, cell.sentence) for cell in self.failures))

    def _mark(self, source: str, target: tuple[str, str], marks: dict[tuple[str, str], str]) -> str:
        cell = self.cells.get((source, *target))
        if cell is None:
            return "."
        return "yes" if cell.reached else f"no ({marks[cell.reason, cell.sentence]})"

    def _notes(self, marks: dict[tuple[str, str], str]) -> list[str]:
        lines = []
        for why, mark in marks.items():
            cells = [cell for cell in self.failures if (cell.reason, cell.sentence) == why]
            lines.append(f"({mark}) {why[0]}: {why[1]}")
            lines.append(f"    at {', '.join(dict.fromkeys(cell.device for cell in cells))}")
            lines.append(f"    remedy: {cells[0].remedy}")
        return lines

    def to_json(self) -> str:
        """Return {sources, targets, cells} with a reason in every failing cell."""
        cells = [{**asdict(c), "source": c.source or "root", "target": c.target or "root"} for c in self.cells.values()]
        document = {
            "sources": [name or "root" for name in self.sources],
            "targets": [{"netns": name or "root", "address": address} for name, address in self.targets],
            "complete": self.complete,
            "cells": cells,
        }
        return json.dumps(document, indent=2)

    def plot(self) -> Any:
        """Return the heat map as a matplotlib figure."""
        from simvlan.plot import heat_map

        return heat_map(self)

    def save(self, path: str) -> None:
        """Write the heat map to a file; the ending says the format."""
        from simvlan.plot import save

        save(self.plot(), path)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name or 'root')}<br>{address}</th>" for name, address in self.targets)
        rows = "".join(
            f"<tr><th>{escape(source or 'root')}</th>" + "".join(self._html(source, t) for t in self.targets) + "</tr>"
            for source in self.sources
        )
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _html(self, source: str, target: tuple[str, str]) -> str:
        from simvlan.plot import FAILED, REACHED, SELF

        cell = self.cells.get((source, *target))
        if cell is None:
            return f'<td style="background:{SELF}"></td>'
        if cell.reached:
            return f'<td style="background:{REACHED}">yes</td>'
        hint = escape(f"{cell.sentence}. Remedy: {cell.remedy}" + (f" ({cell.detail})" if cell.detail else ""))
        return f'<td style="background:{FAILED}" title="{hint}">{cell.reason}<br>{escape(cell.device)}</td>'


# -- trying ---------------------------------------------------------------------------------------------------------


def reach(lab: Lab, between: Sequence[str] | None = None) -> Matrix:
    """Ping from every namespace to every address of every other; *between* limits both to these.

    Raises:
        KeyError: no such namespace.
    """
    names = [_known(lab.network, name) for name in between] if between else list(lab.network.netns)
    targets = [(name, address) for name in names for address in addresses(lab.network.netns[name])]
    sources = [name for name in names if between or any(name == target for target, _ in targets)]
    frozen = lab.snapshot()
    cells = [
        try_ping(frozen, source, target, address)
        for source in sources
        for target, address in targets
        if source != target
    ]
    return Matrix(sources, targets, cells, [name for name in names if _has_ipv6(lab.network.netns[name])])


def _has_ipv6(ns: Netns) -> bool:
    """Whether a namespace has an address of IPv6 that can be pinged from other links."""
    ip6: Any = ns.stack.ip6
    found = (ifa.address for dev in ns.devices.values() if dev.kind and ip6 for ifa in ip6.addresses(dev))
    return any(not is_link_local(address) for address in found)


def _known(network: Network, name: str) -> str:
    name = "" if name == "root" else name
    if name not in network.netns:
        raise KeyError(f'no network namespace "{name}"')
    return name


def addresses(ns: Netns) -> list[str]:
    """Return the addresses a namespace can be pinged at from outside."""
    stack: Any = ns.stack
    found = (each for dev in ns.devices.values() if dev.kind for each in stack.addresses(dev))
    return list(dict.fromkeys(_dotted(each.local) for each in found))


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def try_ping(frozen: Snapshot, source: str, target: str, address: str) -> Cell:
    """Ping once on a fresh copy of the network."""
    from simvlan.lab import Lab

    copy = Lab.__new__(Lab)
    copy.network = restore(frozen)
    copy.network.tracer = None
    copy.network.watchers.clear()
    for dev in copy.network.devices():
        dev.taps.clear()
    trace = Trace()
    listen(copy.network, trace.steps.append)
    result = copy.ping(source, address, 1, "-n", "-W", "4")
    if result:
        return Cell(source, target, address, True)
    cause = blame(trace, source, target, result.text)
    found = diagnose(copy.network, source, target, _number(address)) if cause[0] in UNEXPLAINED else None
    if found is not None:
        return Cell(source, target, address, False, found.reason, found.device, found.sentence, found.remedy, cause[4])
    return Cell(source, target, address, False, *cause)


def _number(address: str) -> int:
    return int.from_bytes(bytes(int(octet) for octet in address.split(".")), "big")


def sent_by(trace: Trace, source: str, target: str) -> Trace:
    """Keep the frames that a namespace sent, their copies and the answers: others' business is no cause."""
    ours: dict[int, bool] = {}
    kept = []
    for step in trace:
        mine = step.netns == source
        if step.fid and step.fid not in ours:
            ours[step.fid] = ours.get(step.parent, mine) or (mine and not step.parent)
        # Frame 0 is a timer's, such as a failed address resolution: it counts at both ends.
        unresolved = step.netns == target and step.drop is not None and step.drop.name in UNANSWERED
        if unresolved or ours.get(step.fid, mine or step.netns == target):
            kept.append(step)
    return Trace(kept)


def _how_far(trace: Trace, target: str) -> str:
    heard = dict.fromkeys(step.netns or "root" for step in trace if step.way == "up")
    places = ", ".join(heard) or "nobody"
    return f"heard by {places}" + ("" if (target or "root") in heard else f"; never by {target or 'root'}")


def blame(trace: Trace, source: str, target: str, text: str) -> tuple[str, str, str, str, str]:
    """Return (reason, device, sentence, remedy, detail) of a ping that was not answered."""
    trace = sent_by(trace, source, target)
    far = _how_far(trace, target)
    said = next((LOCAL_ERRORS[words] for words in LOCAL_ERRORS if words in text), None)
    drops = sorted(trace.drops, key=lambda step: _weight(step, target))
    if drops and _weight(drops[-1], target) > 0:
        step = drops[-1]
        assert step.drop is not None
        return step.drop.name, step.path, step.sentence, step.drop.remedy, far
    if said is not None:
        return said[0], source or "root", said[1], said[2], far
    sentence = "no answer came back, and no frame was dropped on the way"
    return "NO_ANSWER", target or "root", sentence, "trace the request", far


def _weight(step: Step, target: str) -> int:
    """How much a drop says about a failed ping; 0: it says nothing."""
    assert step.drop is not None
    here = step.netns == target
    if step.drop.name in NEVER_A_CAUSE or step.device == "lo":  # what the sender tells itself is an effect
        return 0
    if step.drop.name in IGNORED_BY_BYSTANDERS:
        return 2 if here else 0
    if step.drop.name in UNANSWERED:
        return 1
    if step.drop.name in CHANGED_IT:
        return 5
    return 4 if here else 3
