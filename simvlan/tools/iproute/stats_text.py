"""Counters in columns, as `ip -s` writes them. Mirrors print_stats64 and print_num of ip/ipaddress.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.tools.iproute.context import Record

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Options

_WIDTHS = (10, 7, 6, 7, 7, 7, 10)
"""The least widths of the columns: as long as their widest heading."""

_RX = ("bytes", "packets", "errors", "dropped", "missed_errors", "multicast")
_TX = ("bytes", "packets", "errors", "dropped", "carrier_errors", "collisions")
_RX_ERRORS = ("length_errors", "crc_errors", "frame_errors", "fifo_errors", "over_errors")
_TX_ERRORS = ("aborted_errors", "fifo_errors", "window_errors", "heartbeat_errors", "carrier_changes")
_RX_HEADS = ("bytes", "packets", "errors", "dropped", "missed", "mcast")
_TX_HEADS = ("bytes", "packets", "errors", "dropped", "carrier", "collsns")
_RX_ERROR_HEADS = ("length", "crc", "frame", "fifo", "overrun")
_TX_ERROR_HEADS = ("aborted", "fifo", "window", "heartbt", "transns")


def stats_text(record: Record, opt: Options) -> str:
    """Write both directions, without a final line feed."""
    rx, tx = record["rx"], record["tx"]
    rows = [[rx.get(key, 0) for key in _RX], [tx[key] for key in _TX]]
    if opt.stats > 1:
        rows += [[0, *(rx[key] for key in _RX_ERRORS)], [0, *(tx[key] for key in _TX_ERRORS)]]
    widths = list(_WIDTHS) if opt.human else _column_widths(rows)
    lines = _direction("RX", _RX_HEADS, rows[0], widths, opt)
    if opt.stats > 1:
        lines += _errors("RX", _RX_ERROR_HEADS, rows[2][1:], widths, opt)
    lines += _direction("TX", _TX_HEADS, rows[1], widths, opt)
    if opt.stats > 1:
        lines += _errors("TX", _TX_ERROR_HEADS, rows[3][1:], widths, opt)
    return opt.line.join(lines)


def _column_widths(rows: list[list[int]]) -> list[int]:
    widths = list(_WIDTHS)
    for row in rows:
        for column, value in enumerate(row):
            widths[column] = max(widths[column], len(str(value)))
    return widths


def _direction(name: str, heads: tuple[str, ...], values: list[int], widths: list[int], opt: Options) -> list[str]:
    titles = [
        f"{head:>{width - (0 if place else 4)}}" for place, (head, width) in enumerate(zip(heads, widths, strict=False))
    ]
    return [
        f"    {name}: {' '.join(titles)} {'':>{widths[6]}}",
        "    " + "".join(_number(width, value, opt) for width, value in zip(widths, values, strict=False)),
    ]


def _errors(name: str, heads: tuple[str, ...], values: list[int], widths: list[int], opt: Options) -> list[str]:
    titles = [f"{head:>{width}}" for head, width in zip(heads, widths[1:], strict=False)]
    return [
        f"    {name} errors:{'':>{widths[0] - 10}} {' '.join(titles)}",
        " " * (widths[0] + 5) + "".join(_number(w, v, opt) for w, v in zip(widths[1:], values, strict=False)),
    ]


def _number(width: int, value: int, opt: Options) -> str:
    """Write a counter right-aligned, with -h in thousands (or 1024s with -iec)."""
    base = 1024 if opt.iec else 1000
    if not opt.human or value < base:
        return f"{value:>{width}} "
    power, prefix = base, 0
    while value // base >= power and prefix < 5:
        power *= base
        prefix += 1
    scaled = value / power
    digits = 2 if value // power < 10 else 1 if value // power < 100 else 0
    return f"{f'{scaled:.{digits}f}' + 'kMGTPE'[prefix] + ('i' if opt.iec else ''):>{width}} "
