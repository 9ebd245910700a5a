"""What a kernel did with scenarios, in a file, so that a changed simulator can be held against it without a kernel.

One JSON object a line, gzipped: seed, release, lines, what each line said (status, text), and the frames of every
capture point as "in 0200..." or "out 0200...".
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simvlan.oracle.fuzz.chance import explained
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.judge import Verdict, beside, judge
from simvlan.oracle.fuzz.scenario import follow


@dataclass(frozen=True)
class Record:
    """One scenario, and what a kernel did with it."""

    seed: int
    release: str
    lines: list[str]
    answer: Answer

    def verdict(self) -> Verdict:
        """Hold the simulator as it is now against it."""
        scenario = follow(self.seed, self.lines, several=beside(self.release))
        return explained(judge(scenario, self.answer, self.release), self.answer, self.release)


def write(path: Path, records: Iterable[Record]) -> int:
    """Keep records in the order of their seeds; how many."""
    kept = sorted(records, key=lambda record: record.seed)
    text = "".join(json.dumps(_as_json(record), separators=(",", ":")) + "\n" for record in kept)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(text.encode())
    return len(kept)


def append(path: Path, record: Record) -> None:
    """Add one to a file; gzip files may follow each other in one."""
    with open(path, "ab") as file:
        file.write(gzip.compress((json.dumps(_as_json(record), separators=(",", ":")) + "\n").encode(), mtime=0))


def read(path: Path) -> Iterator[Record]:
    """The records of a file; one cut short by an interruption ends it."""
    with gzip.open(path, "rt", encoding="utf-8") as file, contextlib.suppress(EOFError):
        for line in file:
            yield _record(json.loads(line))


def _as_json(record: Record) -> dict[str, Any]:
    seen = {name: [f"{way} {octets.hex()}" for _, way, octets in frames] for name, frames in _points(record.answer)}
    return {
        "seed": record.seed,
        "release": record.release,
        "lines": record.lines,
        "said": record.answer.said,
        "seen": seen,
    }


def _points(answer: Answer) -> list[tuple[str, Any]]:
    return sorted(answer.captures.items())


def _record(data: dict[str, Any]) -> Record:
    captures: dict[str, list[Any]] = {
        name: [(0, way, bytes.fromhex(octets)) for way, octets in map(str.split, frames)]
        for name, frames in data["seen"].items()
    }
    said = [(status, text) for status, text in data["said"]]
    return Record(data["seed"], data["release"], data["lines"], Answer(said, captures, 0.0))
