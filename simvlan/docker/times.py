"""Times as Docker writes and reads them: RFC 3339 with nanoseconds, Unix seconds, Go durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from simvlan.clock import SECOND
from simvlan.docker.errors import invalid

ZERO = "0001-01-01T00:00:00Z"
"""The zero time of Go."""

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_LONG = ((24, 24 * 14, "days"), (24 * 7, 24 * 60, "weeks"), (24 * 30, 24 * 730, "months"))


def rfc3339(ns: int | None) -> str:
    """Write a time (ns since 1970) as RFC3339Nano: no trailing zeros in the fraction; None is Go's zero time."""
    if ns is None:
        return ZERO
    seconds, fraction = divmod(ns, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    tail = f"{fraction:09d}".rstrip("0")
    return f"{text}.{tail}Z" if tail else f"{text}Z"


def log_stamp(ns: int) -> str:
    """The time in front of a line of `docker logs -t`: always nine digits (RFC3339NanoFixed)."""
    seconds, fraction = divmod(ns, SECOND)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{fraction:09d}Z"


def parse_time(text: str, now_ns: int) -> int:
    """Read a `since` or `until`: Unix seconds with a fraction, RFC 3339, or a duration before now."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * SECOND + int(fraction.ljust(9, "0")[:9] or 0)
    duration = parse_duration(text)
    if duration is not None:
        return now_ns - duration
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise invalid(f'failed to parse value as time or duration: "{text}"') from None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * SECOND)


def parse_duration(text: str) -> int | None:
    """Read a Go duration such as `1m30s` as ns; None when it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        return None
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))


def ago(ns: int) -> str:
    """Say how long something took, as docker's own units.HumanDuration does."""
    seconds = ns // SECOND
    minutes, hours = seconds // 60, (seconds + 1800) // 3600
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for hours_each, limit, unit in _LONG:
        if hours < limit:
            return f"{hours // hours_each} {unit}"
    return f"{hours // (24 * 365)} years"
