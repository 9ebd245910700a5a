"""The recorded transcript of a real engine, replayed through the real docker command against ours.

What cannot be the same is masked: ids, times, generated MACs, round-trip times, sizes and the engine's own version.
"""

from __future__ import annotations

import json
import lzma
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dockersim.served import Served

LEFT_OUT = {
    **dict.fromkeys((1, 2), "an image made from the recorder's own root file system"),
    **dict.fromkeys((3, 4, 34, 35, 36, 39), "names the engine's builds of containerd, runc, Go"),
    **dict.fromkeys((5, 6, 48), "describes the recorded machine"),
    **dict.fromkeys((19, 20, 1797), "no way to a registry: ours takes every name as an image"),
    **dict.fromkeys((21, 23, 25, 47), "describes the imported image"),
    26: "names the recorder's socket",
    **dict.fromkeys((1705, 1767), "a warning about the recorded kernel's swap accounting"),
    1765: "the signal came before the container's process had begun",
    1733: "CPU and memory of the recorded machine",
    1787: "a tar archive, with the time its file was made and a checksum of that",
    **dict.fromkeys((1798, 1799, 1800, 1801, 1803, 1804, 1805, 1812), "swarm is not simulated"),
}
"""Records that are not compared, and why."""

RECORDED = Path(__file__).parent / "data" / "transcript.jsonl.xz"
Record = dict[str, Any]

MASKS = [
    (r"\x1b\[6n|\r/ # \x1b\[J", ""),
    (r"\r\n\r\nBusyBox v1[^\r]*\r\nEnter 'help' for a list of built-in commands\.\r\n\r\n", ""),
    (r"\b[0-9a-f]{64}\b", "ID"),
    (r"\b(?:sha256:)?[0-9a-f]{12}\b", "ID12"),
    (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\b(?:[0-9A-F]{2}:){5}[0-9A-F]{2}\b", "MAC"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| \+0000 UTC)", "TIME"),
    (r"\"time\":\d+,\"timeNano\":\d+", "TIMES"),
    (r"time=\d+\.\d+ ms", "time=T ms"),
    (r"= [\d.]+/[\d.]+/[\d.]+ ms", "= T/T/T ms"),
    (r"\] ?\d+\.\d+ms", "] Tms"),
    (r"(\d+\.\d+\.\d+\.\d+)  \d+\.\d+ ms", r"\1  T ms"),
    (r"\b(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour|day|month)s?)(?: ago)?", "AGO"),
    (r"28\.5\.2\+dfsg4", "28.5.2"),
    (r"^\d+: eth", "N: eth"),
    (r"@if\d+", "@ifN"),
    (r"veth[0-9a-f]{7}\b", "vethX"),
    (r"(?<=/networks/)[0-9a-f]{4}(?= )", "ID4"),
    (r"\"Pid\": \d+", "PID"),
    (r"\"execDuration\":\"\d+\"", "LASTED"),
    (r"(?:ref \d+ )?used \d+/\d+/\d+ probes \d+ (?:STALE|REACHABLE|DELAY|PROBE)", "KNOWN"),
    (r"used \d+/\d+/\d+ probes \d+ (?:FAILED|INCOMPLETE)", "SOUGHT"),
    (r"[RT]X (?:packets|bytes):.*$", "COUNTERS"),
    (r"(?:^line \d+\n)+", "LINES\n"),
    (r" line \d+$", " LINE"),
    (r"^root +\d+ +\d+ +\d+ +\d\d:\d\d +\? +00:00:00", "UID"),
    (r"^    [0-9] root ", "PID root "),
]  # fmt: skip


def masked(text: str) -> str:
    """Text without what differs from run to run."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return "\n".join(re.sub(r" {2,}", "  ", line) for line in text.split("\n"))


def same(record: Record, recorded: str, ours: str) -> bool:
    """Whether two outputs say the same; what Go's maps or the kernel's hashes order by chance may be in any order."""
    if masked(recorded) == masked(ours):
        return True
    words = record["argv"]
    if words[1] == "events":
        return _heard(recorded) == _heard(ours)
    if words[-2:] in (["arp", "-an"], ["ip", "neigh"]) or words[1] == "images":
        return sorted(masked(recorded).split("\n")) == sorted(masked(ours).split("\n"))
    try:
        return _sorted(json.loads(recorded)) == _sorted(json.loads(ours))
    except ValueError:
        return False


def _heard(events: str) -> list[str]:
    """Events in one order. `Served.resize` repeats a size, one column less between, until the client hears of it, so
    a size counts once and the one between not at all."""
    lines = masked(events).split("\n")
    sizes = {line for line in lines if '"Action":"resize"' in line}
    between = {(str(rows), str(columns - 1)) for _, (rows, columns) in RESIZED.values()}
    passing = {line for line in sizes if (_of("height", line), _of("width", line)) in between}
    return sorted([line for line in lines if line not in sizes] + list(sizes - passing))


def _of(name: str, event: str) -> str:
    """An attribute of an event printed as JSON."""
    return event.partition(f'"{name}":"')[2].partition('"')[0]


def _sorted(value: Any) -> Any:
    """A JSON value with its texts masked, its objects by name, its lists of objects sorted."""
    if isinstance(value, dict):
        if value and all(re.fullmatch(r"[0-9a-f]{64}", key) for key in value):
            return sorted(json.dumps(_sorted(each), sort_keys=True) for each in value.values())
        return {key: _sorted(each) for key, each in value.items() if key != "Pid"}
    if isinstance(value, list):
        made = [_sorted(each) for each in value]
        return sorted(made, key=json.dumps) if any(isinstance(each, dict) for each in made) else made
    return masked(value) if isinstance(value, str) else value


LATER = {116: {2: 126, 5: 311}, 117: {1: 126, 3: 311}}
"""Sessions that stayed open: which of their keys were typed just before which record."""
PASSED = {1712: 3.3, 1713: 1.2, 1758: 0.1}
"""Time that passed before a record without anybody waiting for it, in seconds."""
REMOVED = {863: "-bad", 887: ".", 903: "cfg"}
"""Networks that were removed before a record, by a hand that was not recorded."""
BACKGROUND = (90, 91, 1758)
"""What ran on while later records were made."""
RESIZED = {316: (2, (40, 100)), 1684: (2, (50, 132)), 1745: (2, (30, 90))}
"""Sessions whose window changed: before which of their keys, and to what."""


def records() -> list[Record]:
    """Every record, in order."""
    with lzma.open(RECORDED, "rt") as file:
        return [json.loads(line) for line in file]


@dataclass
class Outcome:
    """What became of one record."""

    record: Record
    out: str
    err: str
    exit: int
    calls: list[str]


class Replay:
    """One pass through the transcript."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.ids: dict[str, str] = {}
        """Recorded id -> ours."""
        self.running: list[tuple[Record, subprocess.Popen[bytes], Any]] = []
        """What runs beside the records."""
        self.open: dict[int, tuple[Record, Any, int]] = {}
        """Sessions that stay open: their terminal, and how many keys have been typed."""

    def before(self, number: int) -> list[Outcome]:
        """Type what was typed in open sessions before a record; those that end."""
        ended = []
        if number in PASSED:
            self.served.pass_time(PASSED[number])
        if number in REMOVED:
            self.served.do(lambda: self.served.engines["node-1"].network_remove(REMOVED[number]))
        for i, (record, terminal, typed) in list(self.open.items()):
            due = [key for key, at in LATER[i].items() if at == number and key >= typed]
            if not due:
                continue
            last = min((key for key in LATER[i] if key > due[0]), default=len(record["typed"]))
            self._type(record, terminal, typed, last)
            self.open[i] = (record, terminal, last)
            if last == len(record["typed"]):
                del self.open[i]
                ended.append(Outcome(record, *self._close(terminal), []))
        return ended

    def run(self, record: Record) -> Outcome:
        """Do what was done."""
        if record["i"] in BACKGROUND:
            return self._begin_background(record)
        del self.served.calls[:]
        argv = [self._ours(word) for word in record["argv"]]
        if record["kind"] == "api":
            out, err, code = self._api(record)
        elif record.get("tty"):
            out, err, code = self._typed(record, argv)
        elif "SIGINT" in (record.get("note") or ""):
            out, err, code = self._interrupted(record, argv)
        else:
            done = self.served.docker(
                *argv[1:], node=record["node"], stdin=record.get("stdin") or "", **self._version(record)
            )
            out, err, code = done.out, done.err, done.exit
        self._learn(record["stdout"], out)
        self.served.calls[:] = [call for call in self.served.calls if not call.startswith("GET /v1.50/events")]
        return Outcome(record, out, err, code, list(self.served.calls))

    def _begin_background(self, record: Record) -> Outcome:
        """Start what ran on beside the next records."""
        del self.served.calls[:]
        out = open(self.served.folder / f"{record['i']}.out", "w+b")  # noqa: SIM115 - read and closed in `finish`
        process = self.served.start(*record["argv"][1:], node=record["node"], stdout=out, stderr=subprocess.PIPE)
        self.running.append((record, process, out))
        self.served.heard(record["argv"][1])
        return Outcome(record, record["stdout"], record["stderr"], record["exit"], record.get("calls") or [])

    def finish(self) -> list[Outcome]:
        """End what ran beside."""
        ended = []
        for record, process, file in self.running:
            if record["exit"] == 130:
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            calls = record.get("calls") or []
            file.seek(0)
            out = file.read()
            file.close()
            ended.append(Outcome(record, out.decode(), err.decode(), process.returncode, calls))
        return ended

    def _ours(self, word: str) -> str:
        for theirs, ours in self.ids.items():
            word = word.replace(theirs, ours)
            if len(word) in (12, 10, 4, 3) and theirs.startswith(word):
                return ours[: len(word)]
        return word

    def _learn(self, recorded: str, ours: str) -> None:
        theirs = re.findall(r"\b[0-9a-f]{64}\b", recorded)
        mine = re.findall(r"\b[0-9a-f]{64}\b", ours)
        if len(theirs) == len(mine):
            self.ids.update(zip(theirs, mine, strict=True))

    @staticmethod
    def _version(record: Record) -> dict[str, str]:
        for call in record.get("calls") or ():
            found = re.match(r"\S+ /v(\d+\.\d+)/", call)
            if found and found[1] != "1.50":
                return {"DOCKER_API_VERSION": found[1]}
        return {}

    def _api(self, record: Record) -> tuple[str, str, int]:
        import http.client
        import socket

        method, path, *body = record["argv"]
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(self.served.socket(record["node"])))
        connection = http.client.HTTPConnection("docker")
        connection.sock = sock
        data = (record.get("stdin") or (body[0] if body else "")).encode()
        kind = "text/plain" if "content type" in (record.get("note") or "") else "application/json"
        connection.request(method, path, data or None, {"Content-Type": kind} if data else {})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return text, "", answer.status

    def _typed(self, record: Record, argv: list[str]) -> tuple[str, str, int]:
        size = (24, 80)
        terminal = self.served.terminal(*argv[1:], node=record["node"], size=size)
        first = min(LATER.get(record["i"], {}), default=len(record["typed"]))
        self._type(record, terminal, 0, first)
        if first < len(record["typed"]):
            self.open[record["i"]] = (record, terminal, first)
            return record["stdout"], record["stderr"], record["exit"]
        return self._close(terminal)

    def _type(self, record: Record, terminal: Any, first: int, last: int) -> None:
        if first == 0 and last > 0:
            self._wait_for_prompt(record, terminal)
        for number, (_, keys) in list(enumerate(record["typed"]))[first:last]:
            if RESIZED.get(record["i"], (-1,))[0] == number:
                self.served.resize(terminal, *RESIZED[record["i"]][1])
            before = len(terminal.seen)
            terminal.type(keys)
            if number < len(record["typed"]) - 1:
                self._settle(terminal, before)

    def _wait_for_prompt(self, record: Record, terminal: Any) -> None:
        """Wait until a session can be typed in; one that is joined later prints nothing by itself."""
        if record["argv"][1] == "attach":
            self.served.heard("/attach")
        else:
            self._settle(terminal, 0)
        self.served.heard("/resize")  # the client tells the window's size by the way
        terminal.taken()

    @staticmethod
    def _close(terminal: Any) -> tuple[str, str, int]:
        code = terminal.wait()
        return terminal.seen, "", code

    @staticmethod
    def _settle(terminal: Any, before: int, limit: float = 60.0) -> None:
        """Wait for the next prompt."""
        until = time.monotonic() + limit
        while not terminal.seen[before:].rstrip("\x1b[J6n").endswith("/ # "):
            assert time.monotonic() < until, f"no prompt after {terminal.seen!r}"
            assert terminal.read(), f"ended after {terminal.seen!r}"

    def _interrupted(self, record: Record, argv: list[str]) -> tuple[str, str, int]:
        process = self.served.start(*argv[1:], node=record["node"], stderr=subprocess.PIPE)
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return (first + out).decode(errors="replace"), err.decode(errors="replace"), process.returncode
