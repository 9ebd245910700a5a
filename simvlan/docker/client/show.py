"""Tables, ages and templates as the docker command prints them (cli/command/formatter, go-units)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from simvlan.docker.client.options import UsageFault

COMMAND_WIDTH = 20
CELL, PADDING = 10, 3


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns with three blanks between them (tabwriter): every cell but a row's last is padded."""
    widths = [max(CELL, PADDING + max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    return "".join(
        "".join(text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)) + row[-1] + "\n"
        for row in rows
    )


def age(seconds: float) -> str:
    """A duration as people say it (go-units HumanDuration)."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes, hours = int(seconds / 60), round(seconds / 3600)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for unit, size, limit in (("days", 24, 14), ("weeks", 24 * 7, 24 * 7 * 60 / 168), ("months", 24 * 30, 24)):
        if hours / size < limit:
            return f"{int(hours / size)} {unit}"
    return f"{int(seconds / 3600 / 24 / 365)} years"


def command(text: str) -> str:
    """A command in quotes, cut to its width."""
    return json.dumps(text if len(text) <= COMMAND_WIDTH else text[: COMMAND_WIDTH - 1] + "…", ensure_ascii=False)


def size(octets: int) -> str:
    """A size with three digits (go-units HumanSize)."""
    value, units = float(octets), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g}{units[0]}"


def template(text: str, value: Any) -> str:
    """The part of Go's templates that scripts use most: `{{.A.B}}`, `{{json .A}}`; `json` is the whole."""
    if text == "json":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def filled(match: re.Match[str]) -> str:
        words = match[1].split()
        if not words or len(words) > 2 or not words[-1].startswith(".") or words[:-1] not in ([], ["json"]):
            raise UsageFault(f"simvlan: docker --format: {match[0]} needs the real docker command\n", 64)
        found = value
        for name in filter(None, words[-1].split(".")):
            if not isinstance(found, dict) or name not in found:
                raise UsageFault(f"template: :1: can't evaluate field {name}\n", 1)
            found = found[name]
        if words[0] == "json":
            return json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        return _said(found)

    return re.sub(r"\{\{(.*?)\}\}", filled, text.replace("\\t", "\t").replace("\\n", "\n"))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + " ".join(map(_said, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_said(each)}" for key, each in sorted(value.items())) + "]"
    return "<no value>" if value is None else str(value)
