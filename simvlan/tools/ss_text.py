"""The table ss prints: columns as wide as what is in them (render_calc_width of misc/ss.c, for what is no terminal)."""

from __future__ import annotations

import socket
from functools import cache
from typing import NamedTuple

from simvlan.tools.ss_filter import Row

EPHEMERAL = range(32_768, 61_000)
"""net.ipv4.ip_local_port_range: such a port is never called by a service's name."""


class Column(NamedTuple):
    """How a column is headed and joined to the one before."""

    head: str
    gap: str
    right: bool = False


COLUMNS = {
    "Netid": Column("Netid", ""),
    "State": Column("State", " "),
    "Recv-Q": Column("Recv-Q", " "),
    "Send-Q": Column("Send-Q", " "),
    "local": Column("Local Address:", " ", True),
    "port": Column("Port", ""),
    "remote": Column("Peer Address:", " ", True),
    "peer": Column("Port", ""),
    "users": Column("Process", ""),
}


def table(rows: list[Row], shown: set[str], *, numeric: bool, header: bool) -> str:
    """Every line: *shown* says which of Netid, State and Users there are."""
    columns = [name for name in COLUMNS if name not in ("Netid", "State") or name in shown]
    heads = [[COLUMNS[name].head for name in columns]] if header else []
    lines = heads + [[_cell(name, row, numeric, "Users" in shown) for name in columns] for row in rows]
    widths = [max((len(line[at]) for line in lines), default=0) for at in range(len(columns))]
    # The very last field is never flushed, so its length does not count (field_flush).
    widths[-1] = max((len(line[-1]) for line in lines[:-1]), default=0)
    return "".join(_line(columns, line, widths) for line in lines)


def _line(columns: list[str], cells: list[str], widths: list[int]) -> str:
    parts = []
    for at, (name, cell, width) in enumerate(zip(columns, cells, widths, strict=True)):
        column = COLUMNS[name]
        parts.append((column.gap if at and width else "") + (cell.rjust(width) if column.right else cell.ljust(width)))
    return "".join(parts) + "\n"


def _cell(name: str, row: Row, numeric: bool, users: bool) -> str:
    if name == "local":
        return f"{row.local}%{row.dev}:" if row.dev else f"{row.local}:"
    if name == "users":
        return f" {row.holder}" if users and row.holder is not None else ""
    if name in ("port", "peer"):
        return _service(row.port if name == "port" else row.peer, row.kind, numeric)
    return {"Netid": row.kind, "State": row.state, "Recv-Q": f"{row.recv:<6}", "Send-Q": f"{row.send:<6}",
            "remote": f"{row.remote}:"}[name]  # fmt: skip


def _service(port: int, kind: str, numeric: bool) -> str:
    if not port:
        return "*"
    return str(port) if numeric or port in EPHEMERAL else _named(port, kind)


@cache
def _named(port: int, kind: str) -> str:
    try:
        return socket.getservbyport(port, kind)
    except OSError:
        return str(port)
