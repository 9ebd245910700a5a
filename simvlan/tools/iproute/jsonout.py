"""JSON as iproute2's writer lays it out: tight, or (-p) with four spaces a level. Mirrors lib/json_writer.c."""

from __future__ import annotations

from typing import Any

_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", "\b": "\\b", "\\": "\\\\", '"': '\\"'}


def dump(value: Any, pretty: bool = False) -> str:
    """Write a value and the final line feed."""
    out: list[str] = []
    _value(out, value, pretty, 0)
    return "".join(out) + "\n"


def _value(out: list[str], value: Any, pretty: bool, depth: int) -> None:
    if isinstance(value, dict):
        _object(out, value, pretty, depth)
    elif isinstance(value, (list, tuple)):
        _array(out, value, pretty, depth)
    else:
        out.append(_scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.2f}"
    return '"' + "".join(_ESCAPES.get(c, c) for c in str(value)) + '"'


def _object(out: list[str], value: dict[str, Any], pretty: bool, depth: int) -> None:
    line = "\n" + "    " * (depth + 1) if pretty else ""
    out.append("{")
    for place, (key, member) in enumerate(value.items()):
        out.append(f'{"," if place else ""}{line}"{key}":{" " if pretty else ""}')
        _value(out, member, pretty, depth + 1)
    if value and pretty:
        out.append("\n" + "    " * depth)
    out.append("}")


def _array(out: list[str], value: Any, pretty: bool, depth: int) -> None:
    """Write an array: in pretty form its members follow each other on one line, whatever they contain."""
    out.append("[ " if pretty else "[")
    for place, member in enumerate(value):
        if place:
            out.append(",")
        _value(out, member, pretty, depth + 1)
    out.append(" ]" if value and pretty else "]")
