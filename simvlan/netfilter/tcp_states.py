"""TCP as connection tracking sees it from the middle: states, transitions, timeouts.

Mirrors tcp_conntracks and tcp_timeouts of net/netfilter/nf_conntrack_proto_tcp.c. Sequence windows are not followed
(tcp_in_window): a segment outside of its window is not INVALID here.
"""

from __future__ import annotations

from enum import IntEnum

FIN, SYN, RST, ACK = 1, 2, 4, 16


class State(IntEnum):
    """enum tcp_conntrack; INVALID and IGNORE are answers of the table, never states."""

    NONE = 0
    SYN_SENT = 1
    SYN_RECV = 2
    ESTABLISHED = 3
    FIN_WAIT = 4
    CLOSE_WAIT = 5
    LAST_ACK = 6
    TIME_WAIT = 7
    CLOSE = 8
    SYN_SENT2 = 9
    INVALID = 10
    IGNORE = 11


TIMEOUT_S = {
    State.SYN_SENT: 120, State.SYN_RECV: 60, State.ESTABLISHED: 432_000, State.FIN_WAIT: 120, State.CLOSE_WAIT: 60,
    State.LAST_ACK: 30, State.TIME_WAIT: 120, State.CLOSE: 10, State.SYN_SENT2: 120,
}  # fmt: skip
"""Seconds (net.netfilter.nf_conntrack_tcp_timeout_*)."""

_LETTERS = {
    "-": State.INVALID, ".": State.IGNORE, "S": State.SYN_SENT, "R": State.SYN_RECV, "E": State.ESTABLISHED,
    "F": State.FIN_WAIT, "W": State.CLOSE_WAIT, "L": State.LAST_ACK, "T": State.TIME_WAIT, "C": State.CLOSE,
    "2": State.SYN_SENT2,
}  # fmt: skip
_TABLES = (
    # from: NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2
    {"syn": "SS.....SS2", "syn-ack": "--R------R", "fin": "--FFLLLTC-", "ack": "E-EEWWTTC-", "rst": "-CCCCCCCCC"},
    {"syn": "-2-----S-2", "syn-ack": "-R.......R", "fin": "--FFLLLTC-", "ack": "-.REWWTTC.", "rst": "-CCCCCCCCC"},
)
"""By direction (original, reply): what each kind of segment leads to from each state."""


def kind_of(flags: int) -> str:
    """Which kind of segment the flags make it (get_conntrack_index); "" for one without any of them."""
    if flags & RST:
        return "rst"
    if flags & SYN:
        return "syn-ack" if flags & ACK else "syn"
    if flags & FIN:
        return "fin"
    return "ack" if flags & ACK else ""


def next_state(reply: bool, kind: str, state: State) -> State:
    """Where a segment leads; INVALID and IGNORE stand for themselves."""
    row = _TABLES[reply].get(kind)
    return State.INVALID if row is None else _LETTERS[row[state]]
