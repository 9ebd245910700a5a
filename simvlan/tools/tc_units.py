"""Times, rates, sizes and chances as tc reads and writes them. Mirrors lib/utils_math.c and tc/tc_core.c."""

from __future__ import annotations

TICK_NS = 64
"""One tick of the packet scheduler's clock: times are rounded down to it."""


class BadValue(ValueError):  # noqa: N818
    """Text that is not a quantity."""


def _split(text: str) -> tuple[float, str]:
    digits = text
    while digits:
        try:
            return float(digits), text[len(digits) :].lower()
        except ValueError:
            digits = digits[:-1]
    raise BadValue(text)


def time_ns(text: str) -> int:
    """Read a time; without a unit it is microseconds. Rounded to the scheduler's ticks."""
    value, unit = _split(text)
    names = {"s": 1_000_000, "sec": 1_000_000, "ms": 1000, "msec": 1000, "us": 1, "usec": 1, "": 1}
    scale = names.get(unit.removesuffix("s") if unit.endswith("secs") else unit)
    if scale is None or value < 0:
        raise BadValue(text)
    return ticks_ns(int(value * scale))


def ticks_ns(micros: float) -> int:
    """Round microseconds down to ticks."""
    return int(micros * 1000 / TICK_NS) * TICK_NS


def time_text(micros: int) -> str:
    """Write a time with three digits."""
    if micros >= 1_000_000:
        return f"{micros / 1_000_000:.3g}s"
    if micros >= 1000:
        return f"{micros / 1000:.3g}ms"
    return f"{micros}us"


def rate_bytes(text: str) -> int:
    """Read a rate as octets per second; without a unit it is bits."""
    value, unit = _split(text)
    bits = _rate_unit(unit)
    if bits is None or value < 0:
        raise BadValue(text)
    return int(value * bits / 8)


def _rate_unit(unit: str) -> int | None:
    for suffix, size in (("bit", 1), ("bps", 8)):
        if unit.endswith(suffix):
            prefix = unit[: -len(suffix)]
            kilo = 1024 if prefix.endswith("i") else 1000
            power = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}.get(prefix.removesuffix("i"))
            return None if power is None else size * int(kilo**power)
    return 1 if unit == "" else None


def rate_text(octets: int) -> str:
    """Write a rate in the largest unit that loses nothing."""
    bits: float = octets * 8
    units = ["", "K", "M", "G", "T"]
    at = 0
    while at < 4 and bits >= 1000 and not (bits % 1000 and bits < 1_000_000):
        bits, at = bits / 1000, at + 1
    return f"{bits:.0f}{units[at]}bit"


def size_bytes(text: str) -> int:
    """Read a size in octets."""
    value, unit = _split(text)
    scale = {"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30,
             "kbit": 128, "mbit": 1 << 17, "gbit": 1 << 27}.get(unit)  # fmt: skip
    if scale is None or value < 0:
        raise BadValue(text)
    return int(value * scale)


def size_text(octets: int) -> str:
    """Write a size; nearly round ones are written round."""
    if octets >= 1 << 20 and abs((1 << 20) * round(octets / (1 << 20)) - octets) < 1024:
        return f"{round(octets / (1 << 20))}Mb"
    if octets >= 1024 and abs(1024 * round(octets / 1024) - octets) < 16:
        return f"{round(octets / 1024)}Kb"
    return f"{octets}b"


def percent(text: str) -> int:
    """Read a percentage as a 32-bit fraction."""
    value, unit = _split(text)
    fraction = value / 100 if unit == "%" else value
    if unit not in ("", "%") or not 0 <= fraction <= 1:
        raise BadValue(text)
    return round(fraction * 0xFFFF_FFFF)


def percent_text(fraction: int) -> str:
    """Write a 32-bit fraction as a percentage."""
    return f"{100 * fraction / 0xFFFF_FFFF:g}%"
