"""Every state of RFC 9293 against every kind of segment and call (3.10), and where Linux differs from it on purpose.

Expectations are written from the RFC's text (3.10.7.2 to 3.10.7.4, figure 5) and from RFC 5961 for RST and SYN.
"""

from __future__ import annotations

import errno

import pytest

from simvlan.stack.tcp.config import Config
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.listen import Listener, Meaning
from simvlan.stack.tcp.options import Options
from simvlan.stack.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment
from simvlan.stack.tcp.states import TRANSITIONS, Event, State

MS = 1_000_000
OURS, THEIRS = 1000, 9000
PLAIN = Config(sack=False, timestamps=False, window_scaling=False)
S = State


def seg(flags: int, seq: int, ack: int = 0, data: bytes = b"", window: int = 50_000) -> Segment:
    told = Options(mss=1460) if flags & SYN else Options()
    return Segment(seq, ack, flags, window, told, data)


def made(state: State, config: Config = PLAIN) -> Connection:
    """A connection in a state; what it sent on the way is forgotten."""
    conn = Connection(config, OURS)
    if state is S.CLOSED:
        return conn
    if state is S.SYN_RECEIVED:
        conn.accept(seg(SYN, THEIRS), 0)
        return done(conn)
    conn.connect(0)
    if state is S.SYN_SENT:
        return done(conn)
    conn.arrive(seg(SYN | ACK, THEIRS, OURS + 1), 0)
    if state in (S.CLOSE_WAIT, S.LAST_ACK):
        conn.arrive(seg(FIN | ACK, THEIRS + 1, OURS + 1), 0)
    if state not in (S.ESTABLISHED, S.CLOSE_WAIT):
        conn.shutdown(0)
    if state in (S.FIN_WAIT_2, S.TIME_WAIT):
        conn.arrive(seg(ACK, THEIRS + 1, OURS + 2), 0)
    if state in (S.CLOSING, S.TIME_WAIT):
        conn.arrive(seg(FIN | ACK, THEIRS + 1, OURS + (1 if state is S.CLOSING else 2)), 0)
    return done(conn)


def done(conn: Connection) -> Connection:
    conn.out.clear()
    conn.notices.clear()
    return conn


SYNCHRONISED = [
    S.SYN_RECEIVED, S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK, S.TIME_WAIT
]  # fmt: skip


def theirs(state: State) -> int:
    """What we expect next from them."""
    return THEIRS + (2 if state in (S.CLOSE_WAIT, S.LAST_ACK, S.CLOSING, S.TIME_WAIT) else 1)


def ours(state: State) -> int:
    """The highest number they may acknowledge."""
    return OURS + (1 if state in (S.SYN_RECEIVED, S.ESTABLISHED, S.CLOSE_WAIT) else 2)


@pytest.mark.parametrize("state", [*SYNCHRONISED, S.SYN_SENT, S.CLOSED])
def test_the_scaffold_reaches_every_state(state: State) -> None:
    assert made(state).state is state


# -- the table --------------------------------------------------------------------------------------------------------

FIGURE_5 = """
CLOSED -active open-> SYN-SENT
CLOSED -SYN received-> SYN-RECEIVED
SYN-SENT -SYN received-> SYN-RECEIVED
SYN-SENT -our SYN acknowledged-> ESTABLISHED
SYN-SENT -application closed its side-> CLOSED
SYN-RECEIVED -our SYN acknowledged-> ESTABLISHED
SYN-RECEIVED -application closed its side-> FIN-WAIT-1
ESTABLISHED -application closed its side-> FIN-WAIT-1
ESTABLISHED -FIN received-> CLOSE-WAIT
FIN-WAIT-1 -our FIN acknowledged-> FIN-WAIT-2
FIN-WAIT-1 -FIN received-> CLOSING
FIN-WAIT-2 -FIN received-> TIME-WAIT
CLOSE-WAIT -application closed its side-> LAST-ACK
CLOSING -our FIN acknowledged-> TIME-WAIT
LAST-ACK -our FIN acknowledged-> CLOSED
TIME-WAIT -2 MSL passed-> CLOSED
"""


def test_the_table_is_the_figure() -> None:
    lines = {f"{a.value} -{e.value}-> {b.value}" for (a, e), b in TRANSITIONS.items() if e is not Event.ABORT}
    assert lines == set(FIGURE_5.strip().splitlines())
    assert all(TRANSITIONS[state, Event.ABORT] is S.CLOSED for state in S)


# -- first: the sequence number ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("where", [-100_000, 100_000])
def test_outside_the_window_is_answered_where_we_are(state: State, where: int) -> None:
    conn = made(state)
    conn.arrive(seg(ACK | PSH, theirs(state) + where, ours(state), b"data"), MS)
    assert conn.state is state
    (answer,) = conn.out
    assert (answer.flags, answer.ack) == (ACK, theirs(state))
    assert conn.recv.data == b""


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_a_reset_outside_the_window_is_nothing(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(RST, theirs(state) + 100_000), MS)
    assert (conn.state, conn.out) == (state, [])


# -- second: RST ------------------------------------------------------------------------------------------------------

RESET_ERRNO = {
    S.SYN_RECEIVED: errno.ECONNREFUSED, S.ESTABLISHED: errno.ECONNRESET, S.FIN_WAIT_1: errno.ECONNRESET,
    S.FIN_WAIT_2: errno.ECONNRESET, S.CLOSE_WAIT: errno.EPIPE, S.CLOSING: errno.ECONNRESET,
    S.LAST_ACK: errno.ECONNRESET, S.TIME_WAIT: 0,
}  # fmt: skip


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_a_reset_exactly_where_we_are_ends_it(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(RST, theirs(state)), MS)
    assert (conn.state, conn.out, conn.error) == (S.CLOSED, [], RESET_ERRNO[state])
    assert conn.deadline is None


@pytest.mark.parametrize("state", [s for s in SYNCHRONISED if s is not S.TIME_WAIT])
def test_a_reset_elsewhere_in_the_window_is_challenged(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(RST, theirs(state) + 10), MS)
    assert conn.state is state
    (answer,) = conn.out
    assert (answer.flags, answer.seq, answer.ack) == (ACK, ours(state), theirs(state))


# -- third: SYN -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_a_syn_in_the_window_is_challenged(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(SYN, theirs(state) + 10), MS)
    assert conn.state is state
    (answer,) = conn.out
    assert (answer.flags, answer.ack) == (ACK, theirs(state))


def test_the_same_syn_gets_the_same_answer() -> None:
    conn = made(S.SYN_RECEIVED)
    conn.arrive(seg(SYN, THEIRS), MS)
    (answer,) = conn.out
    assert (answer.flags, answer.seq, answer.ack) == (SYN | ACK, OURS, THEIRS + 1)


def test_challenges_are_at_most_two_a_second() -> None:
    conn = made(S.ESTABLISHED)
    for at in range(0, 1000, 10):
        conn.arrive(seg(SYN, THEIRS + 11), at * MS)
    assert len(conn.out) == 2


# -- fourth: ACK ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_without_ack_a_segment_is_dropped(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(0, theirs(state), 0, b"data"), MS)
    assert conn.state is state
    assert conn.recv.data == b""
    assert not conn.out or state is S.TIME_WAIT


@pytest.mark.parametrize("ack", [OURS, OURS + 2, OURS - 5])
def test_a_wrong_ack_of_our_syn_is_reset(ack: int) -> None:
    conn = made(S.SYN_RECEIVED)
    conn.arrive(seg(ACK, THEIRS + 1, ack), MS)
    (answer,) = conn.out
    assert (conn.state, answer.flags, answer.seq) == (S.SYN_RECEIVED, RST, ack)


@pytest.mark.parametrize("state", [S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK])
def test_an_ack_of_what_was_not_sent_is_answered(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(ACK, theirs(state), ours(state) + 50), MS)
    assert (conn.state, [s.flags for s in conn.out]) == (state, [ACK])


def test_established_is_silent_about_it_as_linux_is() -> None:
    conn = made(S.ESTABLISHED)
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 50, b"data"), MS)
    assert (conn.state, conn.out, conn.recv.data) == (S.ESTABLISHED, [], b"")


AFTER_FIN_ACKED = {S.FIN_WAIT_1: S.FIN_WAIT_2, S.CLOSING: S.TIME_WAIT, S.LAST_ACK: S.CLOSED}


@pytest.mark.parametrize("state", [s for s in SYNCHRONISED if s is not S.TIME_WAIT])
def test_an_ack_of_everything(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(ACK, theirs(state), ours(state)), MS)
    wanted = S.ESTABLISHED if state is S.SYN_RECEIVED else AFTER_FIN_ACKED.get(state, state)
    assert (conn.state, conn.out, conn.error) == (wanted, [], 0)


# -- seventh and eighth: data and FIN ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.SYN_RECEIVED, S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2])
def test_data_is_taken_where_the_other_may_send(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(ACK | PSH, THEIRS + 1, ours(state), b"data"), MS)
    assert conn.read(100, MS) == b"data"
    assert conn.out[-1].ack == THEIRS + 5


@pytest.mark.parametrize("state", [S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK])
def test_data_after_their_fin_is_ignored(state: State) -> None:
    conn = made(state)
    conn.arrive(seg(ACK | PSH, theirs(state), OURS + 1, b"data"), MS)
    assert (conn.state, conn.recv.data) == (state, b"")


AFTER_FIN = {
    S.SYN_RECEIVED: S.CLOSE_WAIT, S.ESTABLISHED: S.CLOSE_WAIT, S.FIN_WAIT_2: S.TIME_WAIT, S.CLOSE_WAIT: S.CLOSE_WAIT,
    S.CLOSING: S.CLOSING, S.LAST_ACK: S.LAST_ACK, S.TIME_WAIT: S.TIME_WAIT, S.FIN_WAIT_1: S.CLOSING,
}  # fmt: skip


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_a_fin(state: State) -> None:
    """In FIN-WAIT-1 with our FIN not acknowledged; a FIN that came before is the same FIN again."""
    conn = made(state)
    unacked = state in (S.FIN_WAIT_1, S.CLOSING, S.LAST_ACK)
    conn.arrive(seg(FIN | ACK, THEIRS + 1, ours(state) - unacked), MS)
    assert conn.state is AFTER_FIN[state]
    assert conn.recv.nxt == THEIRS + 2
    if state in (S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT):
        assert conn.out[-1].ack == THEIRS + 2


def test_fin_and_the_ack_of_ours_together() -> None:
    conn = made(S.FIN_WAIT_1)
    conn.arrive(seg(FIN | ACK, THEIRS + 1, OURS + 2), MS)
    assert (conn.state, conn.out[-1].ack) == (S.TIME_WAIT, THEIRS + 2)


def test_a_fin_before_its_data_waits() -> None:
    conn = made(S.ESTABLISHED)
    conn.arrive(seg(FIN | ACK, THEIRS + 5, OURS + 1), MS)
    assert conn.state is S.ESTABLISHED
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"data"), MS)
    assert (conn.state, conn.read(9, MS), conn.eof) == (S.CLOSE_WAIT, b"data", True)


# -- SYN-SENT, LISTEN, CLOSED -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segment", "state", "answer", "number"),
    [
        (seg(SYN | ACK, THEIRS, OURS + 1), S.ESTABLISHED, (ACK, OURS + 1, THEIRS + 1), 0),
        (seg(SYN, THEIRS), S.SYN_RECEIVED, (SYN | ACK, OURS, THEIRS + 1), 0),
        (seg(SYN | ACK, THEIRS, OURS), S.SYN_SENT, (RST, OURS, 0), 0),
        (seg(SYN | ACK, THEIRS, OURS + 2), S.SYN_SENT, (RST, OURS + 2, 0), 0),
        (seg(RST | ACK, 0, OURS + 1), S.CLOSED, None, errno.ECONNREFUSED),
        (seg(RST | ACK, 0, OURS + 2), S.SYN_SENT, None, 0),
        (seg(RST, THEIRS), S.SYN_SENT, None, 0),
        (seg(ACK, THEIRS, OURS + 1), S.SYN_SENT, None, 0),
        (seg(FIN, THEIRS), S.SYN_SENT, None, 0),
    ],
    ids=["SYN-ACK", "SYN", "old ACK", "future ACK", "RST", "RST of another", "RST without ACK", "no SYN", "FIN"],
)
def test_syn_sent(segment: Segment, state: State, answer: tuple[int, int, int] | None, number: int) -> None:
    conn = made(S.SYN_SENT)
    conn.arrive(segment, MS)
    assert (conn.state, conn.error) == (state, number)
    assert [(s.flags, s.seq, s.ack) for s in conn.out] == ([answer] if answer else [])


def test_simultaneous_open() -> None:
    """RFC 9293, figure 7."""
    a, b = made(S.SYN_SENT), Connection(PLAIN, THEIRS)
    b.connect(0)
    a.arrive(b.out.pop(), MS)
    b.arrive(seg(SYN, OURS), MS)
    assert (a.state, b.state) == (S.SYN_RECEIVED, S.SYN_RECEIVED)
    a_says, b_says = a.out.pop(), b.out.pop()
    a.arrive(seg(ACK, THEIRS + 1, b_says.ack), 2 * MS)
    b.arrive(seg(ACK, OURS + 1, a_says.ack), 2 * MS)
    assert (a.state, b.state) == (S.ESTABLISHED, S.ESTABLISHED)


@pytest.mark.parametrize(
    ("flags", "meaning"),
    [
        (SYN, Meaning.OPEN), (ACK, Meaning.RESET), (SYN | ACK, Meaning.RESET), (FIN | ACK, Meaning.RESET),
        (RST, Meaning.IGNORE), (RST | ACK, Meaning.IGNORE), (FIN, Meaning.IGNORE), (0, Meaning.IGNORE),
        (SYN | FIN, Meaning.IGNORE),
    ],
)  # fmt: skip
def test_listen(flags: int, meaning: Meaning) -> None:
    assert Listener[int](5).meaning(seg(flags, THEIRS)) is meaning


def test_backlog_is_one_more_than_asked_for() -> None:
    listener = Listener[int](1)
    for number in range(2):
        assert listener.meaning(seg(SYN, THEIRS)) is Meaning.OPEN
        listener.waiting.append(number)
    assert listener.meaning(seg(SYN, THEIRS)) is Meaning.OVERFLOW
    listener.waiting.popleft()
    assert listener.meaning(seg(SYN, THEIRS)) is Meaning.OPEN


def test_closed_hears_nothing() -> None:
    conn = made(S.CLOSED)
    conn.arrive(seg(ACK, THEIRS, OURS), 0)
    assert (conn.state, conn.out) == (S.CLOSED, [])


# -- what the application does ----------------------------------------------------------------------------------------

AFTER_CLOSE = {
    S.SYN_SENT: S.CLOSED, S.ESTABLISHED: S.FIN_WAIT_1, S.CLOSE_WAIT: S.LAST_ACK, S.SYN_RECEIVED: S.SYN_RECEIVED,
    S.FIN_WAIT_1: S.FIN_WAIT_1, S.FIN_WAIT_2: S.FIN_WAIT_2, S.CLOSING: S.CLOSING, S.LAST_ACK: S.LAST_ACK,
    S.TIME_WAIT: S.TIME_WAIT,
}  # fmt: skip


@pytest.mark.parametrize("state", AFTER_CLOSE)
def test_close(state: State) -> None:
    conn = made(state)
    conn.close(MS)
    assert conn.state is AFTER_CLOSE[state]
    fins = [s.flags for s in conn.out]
    assert fins == ([FIN | ACK] if state in (S.ESTABLISHED, S.CLOSE_WAIT) else [])


def test_close_in_syn_received_waits_for_the_handshake() -> None:
    conn = made(S.SYN_RECEIVED)
    conn.shutdown(MS)
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 1), MS)
    assert (conn.state, conn.out[-1].flags) == (S.FIN_WAIT_1, FIN | ACK)


@pytest.mark.parametrize("state", [s for s in SYNCHRONISED if s is not S.TIME_WAIT])
def test_abort_sends_a_reset(state: State) -> None:
    conn = made(state)
    conn.abort(MS)
    (answer,) = conn.out
    assert (conn.state, answer.flags, answer.seq) == (S.CLOSED, RST | ACK, ours(state))


def test_closing_with_unread_data_is_a_reset_and_with_none_a_fin() -> None:
    for unread, flags in ((True, RST | ACK), (False, FIN | ACK)):
        conn = made(S.ESTABLISHED)
        conn.arrive(seg(ACK, THEIRS + 1, OURS + 1, b"data"), 0)
        if not unread:
            conn.read(10, 0)
        conn.out.clear()
        conn.close(MS)
        assert conn.out[-1].flags == flags


def test_half_close_still_receives() -> None:
    conn = made(S.ESTABLISHED)
    conn.shutdown(0)
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 2), 0)
    for at in range(3):
        conn.arrive(seg(ACK, THEIRS + 1 + 4 * at, OURS + 2, b"data"), MS)
    assert (conn.state, conn.read(100, MS)) == (S.FIN_WAIT_2, b"data" * 3)
    with pytest.raises(OSError, match="closed for sending") as error:
        conn.write(b"x", MS)
    assert error.value.errno == errno.EPIPE


def test_data_for_nobody_is_reset() -> None:
    conn = made(S.FIN_WAIT_2)
    conn.close(0)
    conn.arrive(seg(ACK, THEIRS + 1, OURS + 2, b"data"), MS)
    assert (conn.state, conn.out[-1].flags) == (S.CLOSED, RST)


# -- waiting ----------------------------------------------------------------------------------------------------------


def test_time_wait_lasts_a_minute_and_starts_again_with_a_late_fin() -> None:
    conn = made(S.TIME_WAIT)
    conn.arrive(seg(FIN | ACK, THEIRS + 1, OURS + 2), 30_000 * MS)
    assert conn.out[-1].ack == THEIRS + 2
    conn.on_timer(89_999 * MS)
    assert conn.state is S.TIME_WAIT
    assert conn.deadline == 90_000 * MS
    conn.on_timer(90_000 * MS)
    assert (conn.state, conn.error) == (S.CLOSED, 0)


def test_fin_wait_2_of_an_orphan_ends_and_of_a_holder_does_not() -> None:
    held, orphan = made(S.FIN_WAIT_2), made(S.FIN_WAIT_2)
    orphan.close(0)
    assert held.deadline is None
    assert orphan.deadline == 60_000 * MS
    orphan.on_timer(60_000 * MS)
    assert orphan.state is S.CLOSED


def test_old_timestamps_are_refused_and_new_ones_taken() -> None:
    """PAWS (RFC 7323, 5.3), and a RST without regard to it."""
    stamped = Config(sack=False)
    conn = Connection(stamped, OURS)
    conn.connect(0)
    told = Options(mss=1460, wscale=7, stamp=(500, 0))
    conn.arrive(Segment(THEIRS, OURS + 1, SYN | ACK, 1000, told), 0)
    done(conn)
    for stamp, data in ((499, b""), (500, b"data")):
        conn.arrive(Segment(THEIRS + 1, OURS + 1, ACK, 1000, Options(stamp=(stamp, 0)), b"data"), MS)
        assert conn.read(9, MS) == data
    conn.arrive(Segment(THEIRS + 5, 0, RST, 0, Options(stamp=(1, 0))), MS)
    assert conn.state is S.CLOSED
