"""A scenario: commands and frames, one a line, that a bash script on a real kernel and the simulator both follow.

A line is a command without shell syntax (`ip ...`, `bridge ...`, `sleep ...`, `simvlan send ...`); the simulator runs
it in-process. What each command said and its status, and the frames at every device, are an `Outcome`, and outcomes are
compared. Nothing here knows a forwarding rule.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from simvlan.devices.device import Device
from simvlan.frame import Frame
from simvlan.lab import Lab
from simvlan.oracle import STACK, Difference, KernelRun, compare_captures, listings, order
from simvlan.oracle.masks import ALL_MASKS
from simvlan.tools.program import call
from tests.golden_replay import masked

MS = 1_000_000
COMMAND, PAUSE = 10 * MS, 20 * MS
"""About how long a command takes on a kernel, and what a batch waits after each frame."""

SEND = "simvlan send --netns "
_MARK = "@@"

Captures = dict[str, list[tuple[int, str, bytes]]]
RULES = replace(STACK, masks=ALL_MASKS)


@dataclass
class Outcome:
    """What one side did: a status and a text per line, frames per device."""

    said: list[tuple[int, str]] = field(default_factory=list)
    captures: Captures = field(default_factory=dict)


# -- the simulator ------------------------------------------------------------------------------------------------


class Simulated:
    """Follows lines one by one on a lab of its own."""

    def __init__(self, seed: int = 0) -> None:
        self.lab = Lab(seed)
        self.net = self.lab.network
        self.outcome = Outcome()
        for dev in self.net.devices():
            self._watch(dev, "add")
        self.net.watchers.append(self._watch)

    def _watch(self, dev: Device, what: str) -> None:
        if what == "add" and self._tap not in dev.taps:
            dev.taps.append(self._tap)

    def _tap(self, now: int, dev: Device, frame: Frame, out: bool) -> None:
        point = dev.path.replace("/", ".")
        self.outcome.captures.setdefault(point, []).append((now, "out" if out else "in", bytes(frame)))

    def do(self, line: str) -> tuple[int, str]:
        """Run one line; its status and what it said."""
        argv = shlex.split(line)
        said = self._send(argv) if argv[:2] == ["simvlan", "send"] else self._command(argv)
        self.outcome.said.append(said)
        return said

    def _command(self, argv: list[str]) -> tuple[int, str]:
        self.lab.clock.advance(self.lab.now + COMMAND)
        done = call(self.lab, argv)
        return done.status, done.out + done.err

    def _send(self, argv: list[str]) -> tuple[int, str]:
        space, device, octets = argv[3], argv[4], bytes.fromhex(argv[6])
        try:
            self.lab.send(f"{space}/{device}", octets)
            said = 0, ""
        except OSError as error:
            said = 1, f"simvlan send: {device}: {error.strerror}\n"
        except KeyError:
            why = "No such device" if space in self.net.netns else "No such file or directory"
            said = 1, f"simvlan send: {device}: {why}\n"
        self.lab.clock.advance(self.lab.now + PAUSE)
        return said


def simulate(lines: Sequence[str]) -> Outcome:
    """All lines on a fresh simulator."""
    machine = Simulated()
    for line in lines:
        machine.do(line)
    return machine.outcome


# -- the kernel -----------------------------------------------------------------------------------------------------


def script(lines: Sequence[str]) -> str:
    """The lines as bash; frames that follow each other go in one batch, for starting a command takes long."""
    made = []
    for sending, group in groupby(lines, lambda line: line.startswith(SEND)):
        if sending:
            made += _batch(list(group))
        else:
            made += [f"{line} 2>&1; echo {_MARK} $?" for line in group]
    return "\n".join([*made, ""])


def _batch(lines: list[str]) -> list[str]:
    shots = [f"{words[3]} {words[4]} {words[6]}" for words in map(str.split, lines)]
    return ["cat >/run/frames <<'END'", *shots, "END", f"simvlan send --batch /run/frames 2>&1; echo {_MARK} $?"]


def kernel_outcome(lines: Sequence[str], run: KernelRun) -> Outcome:
    """What a kernel did with `script(lines)`, line by line."""
    texts = re.split(rf"^{_MARK} (\d+)\n", run.stdout, flags=re.MULTILINE)
    replies = [(int(code), text) for text, code in zip(texts[::2], texts[1::2], strict=False)]
    said: list[tuple[int, str]] = []
    for sending, group in groupby(lines, lambda line: line.startswith(SEND)):
        if not replies:
            break
        if sending:
            said += _shared(list(group), replies.pop(0))
        else:
            for _ in group:
                said += replies[:1]
                del replies[:1]
    return Outcome(said, {name: list(seen) for name, seen in run.captures.items()})


def _shared(lines: list[str], answer: tuple[int, str]) -> list[tuple[int, str]]:
    """A batch answers once, for all its frames."""
    return [answer, *[(0, "")] * (len(lines) - 1)]


# -- comparison -----------------------------------------------------------------------------------------------------


def differences(
    lines: Sequence[str], ours: Outcome, theirs: Outcome, tidy: Callable[[Captures], Captures]
) -> list[str]:
    """Every difference in words, the first of each device and of the commands' answers."""
    found = [*_said(lines, ours.said, theirs.said)]
    found += map(_short, compare_captures(tidy(ours.captures), tidy(theirs.captures), RULES))
    return found


def _short(difference: Difference) -> str:
    return "\n".join(line[:140] for line in str(difference).splitlines())


def _said(lines: Sequence[str], ours: list[tuple[int, str]], theirs: list[tuple[int, str]]) -> list[str]:
    for line, mine, linux in zip(lines, ours, theirs, strict=False):
        if not line.startswith(SEND) and (why := _answers_differ(line, mine, linux)):
            return [f"$ {line}\n{why}"[:1500]]
    refused, by_linux = _complaints(lines, ours), _complaints(lines, theirs)
    if refused != by_linux:
        return [f"frames refused:\n  ours   {refused}\n  theirs {by_linux}"]
    return [] if len(ours) == len(theirs) else [f"{len(ours)} answers against {len(theirs)}"]


def _complaints(lines: Sequence[str], said: list[tuple[int, str]]) -> list[str]:
    sent = (text for line, (_, text) in zip(lines, said, strict=False) if line.startswith(SEND))
    return "".join(sent).splitlines()


def _answers_differ(line: str, mine: tuple[int, str], linux: tuple[int, str]) -> str:
    if mine[0] == linux[0] and _lines(mine[1]) == _lines(linux[1]):
        return ""
    if mine[0] == linux[0] == 0 and " -j" in line:
        return _json_differences(mine[1], linux[1])
    return f"  ours   {mine[0]} {mine[1]}\n  theirs {linux[0]} {linux[1]}"


def _lines(text: str) -> list[str]:
    """What was said, in any order: standard output and errors come through two pipes."""
    return sorted(tidy_text(text).splitlines())


def _json_differences(mine: str, linux: str) -> str:
    left, right = (listings.plain(json.loads(text)) for text in (mine, linux))
    return "\n".join(f"  {each}" for each in list(listings.walk("", left, right))[:12])


def tidy_text(text: str) -> str:
    """Answers without what differs between any two runs of one kernel."""
    text = re.sub(r"expires \d+sec", "expires N", text)
    return masked(re.sub(r'("?\w*(?:_timer|_interval)"?:?) *[\d.]+', r"\1 N", text))


def asked_once(captures: Captures) -> Captures:
    """Each ARP question once."""
    return {name: list(order.asked_once(seen)) for name, seen in captures.items()}


def without_reports(captures: Captures) -> Captures:
    """Without the IGMP reports of a snooping bridge's own host."""
    return {name: list(order.without_reports(seen)) for name, seen in captures.items()}


def same(captures: Captures) -> Captures:
    """Everything."""
    return captures


# -- scenarios kept in files ----------------------------------------------------------------------------------------


def lines_of(path: Path) -> list[str]:
    """The commands of a scenario file."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def recorded(path: Path) -> Outcome:
    """What Linux did with a scenario when it was recorded."""
    record = json.loads(path.with_suffix(".json").read_text())
    captures: Captures = {
        name: [(0, way, bytes.fromhex(octets)) for way, octets in seen] for name, seen in record["captures"].items()
    }
    return Outcome([(status, text) for status, text in record["said"]], captures)


def without_repeats(captures: Captures) -> Captures:
    """ARP questions once; of the same BPDU again and again the first."""
    return {name: list(order.bpdus_once(order.asked_once(seen))) for name, seen in captures.items()}


def tidy_of(path: Path) -> Callable[[Captures], Captures]:
    """What a scenario leaves out because chance decides how many there are, by destination: as its lines say.

    `# without:` all frames to these addresses; `# once:` those that repeat the frame before.
    """
    text = path.read_text()
    left_out, once = (_destinations(text, word) for word in ("without", "once"))

    def tidied(captures: Captures) -> Captures:
        kept = without_repeats(captures)
        return {name: list(_chosen(seen, left_out, once)) for name, seen in kept.items()}

    return tidied


def _destinations(text: str, word: str) -> set[str]:
    found = re.search(rf"^# {word}: (.+)", text, re.MULTILINE)
    return set(found[1].replace(":", "").split()) if found else set()


def _chosen(seen: list[tuple[int, str, bytes]], left_out: set[str], once: set[str]) -> Iterator[tuple[int, str, bytes]]:
    before: tuple[str, bytes] | None = None
    for when, way, octets in seen:
        destination = octets[:6].hex()
        if destination not in left_out and not (destination in once and before == (way, octets)):
            yield when, way, octets
        before = way, octets
