"""The states of a connection and what leads from one to the next (RFC 9293, 3.3.2 and figure 5)."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Named as `ss` and RFC 9293 name them."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


class Event(Enum):
    """What moves a connection."""

    OPEN = "active open"
    SYN = "SYN received"
    SYN_ACKED = "our SYN acknowledged"
    CLOSE = "application closed its side"
    FIN = "FIN received"
    FIN_ACKED = "our FIN acknowledged"
    ABORT = "reset, timeout or abort"
    EXPIRED = "2 MSL passed"


_S, _E = State, Event

TRANSITIONS: dict[tuple[State, Event], State] = {
    (_S.CLOSED, _E.OPEN): _S.SYN_SENT,
    (_S.CLOSED, _E.SYN): _S.SYN_RECEIVED,
    (_S.SYN_SENT, _E.SYN): _S.SYN_RECEIVED,
    (_S.SYN_SENT, _E.SYN_ACKED): _S.ESTABLISHED,
    (_S.SYN_SENT, _E.CLOSE): _S.CLOSED,
    (_S.SYN_RECEIVED, _E.SYN_ACKED): _S.ESTABLISHED,
    (_S.SYN_RECEIVED, _E.CLOSE): _S.FIN_WAIT_1,
    (_S.ESTABLISHED, _E.CLOSE): _S.FIN_WAIT_1,
    (_S.ESTABLISHED, _E.FIN): _S.CLOSE_WAIT,
    (_S.FIN_WAIT_1, _E.FIN_ACKED): _S.FIN_WAIT_2,
    (_S.FIN_WAIT_1, _E.FIN): _S.CLOSING,
    (_S.FIN_WAIT_2, _E.FIN): _S.TIME_WAIT,
    (_S.CLOSING, _E.FIN_ACKED): _S.TIME_WAIT,
    (_S.CLOSE_WAIT, _E.CLOSE): _S.LAST_ACK,
    (_S.LAST_ACK, _E.FIN_ACKED): _S.CLOSED,
    (_S.TIME_WAIT, _E.EXPIRED): _S.CLOSED,
    **{(state, _E.ABORT): _S.CLOSED for state in _S},
}
"""LISTEN is a `Listener`: a SYN makes a new connection that starts in CLOSED."""

MAY_SEND = frozenset({_S.ESTABLISHED, _S.CLOSE_WAIT})
"""The application may still write."""
MAY_TRANSMIT = frozenset({_S.ESTABLISHED, _S.CLOSE_WAIT, _S.FIN_WAIT_1, _S.CLOSING, _S.LAST_ACK})
"""Data and FIN that were queued still go out."""
MAY_RECEIVE = frozenset({_S.ESTABLISHED, _S.FIN_WAIT_1, _S.FIN_WAIT_2})
"""The other side has not finished."""


class Notice(Enum):
    """What the application hears of."""

    CONNECTED = "connected"
    READABLE = "data, or the end of it"
    WRITABLE = "room to write"
    CLOSED = "nothing will come any more"
    FAILED = "an error: see `error`"
