"""Signals by name or number, as Docker reads them (moby/sys/signal)."""

from __future__ import annotations

import signal

_NAMES = {each.name.removeprefix("SIG"): int(each) for each in signal.Signals} | {"CLD": 17, "POLL": 29, "IOT": 6}


def parse_signal(text: str) -> int | None:
    """Read `TERM`, `SIGTERM`, `15` or `RTMIN+3`; None for anything else."""
    word = text.upper().removeprefix("SIG")
    if word.isdigit():
        return int(word) if 0 < int(word) <= 64 else None
    base, sign, offset = word.partition("+")
    if sign and base == "RTMIN" and offset.isdigit() and int(offset) <= 30:
        return _NAMES["RTMIN"] + int(offset)
    return _NAMES.get(word)
