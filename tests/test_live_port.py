"""A port between a simulated device and an endpoint that the test plays: frames both ways, bounds, carrier, copies."""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from simvlan.engines.live import LiveEngine
from simvlan.frame import BROADCAST, Frame
from simvlan.lab import Lab
from simvlan.live.endpoint import Gone, Refused
from simvlan.live.overload import Overload
from simvlan.live.places import Unattachable
from simvlan.live.port import BATCH, QUEUE, Port
from simvlan.verdict import Drop

SCRIPT = """ip netns add n
ip -n n link add eth0 type veth peer name out
ip -n n link set eth0 up
ip -n n addr add 10.0.0.2/24 dev eth0
ip -n n link add d0 type dummy
ip -n n link set d0 up"""


class Played:
    """An endpoint whose kernel is the test."""

    label = "played:0"

    def __init__(self) -> None:
        self.inward: deque[Frame] = deque()
        self.outward: list[Frame] = []
        self.takes: Any = True
        self.carrier: list[bool] = []
        self.closed = False
        self.missed = 7
        self._mine, self._theirs = socket.socketpair()
        self._news, self._teller = socket.socketpair()
        self._changes: list[dict[str, bool]] = []
        self.state: Any = SimpleNamespace(up=True, there=True, fileno=self._news.fileno)
        self.state.hear, self.state.close = self._hear, lambda: None

    def _hear(self) -> None:
        self._news.recv(1)
        vars(self.state).update(self._changes.pop(0))

    def fileno(self) -> int:
        return self._mine.fileno()

    def receive(self) -> Frame | None:
        return self.inward.popleft() if self.inward else None

    def transmit(self, frame: Frame) -> bool:
        if isinstance(self.takes, Exception):
            raise self.takes
        if self.takes:
            self.outward.append(frame)
        return bool(self.takes)

    def lost(self) -> int:
        return self.missed

    def set_carrier(self, carrier: bool) -> None:
        self.carrier.append(carrier)

    def moved(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def deliver(self, *frames: Frame) -> None:
        self.inward.extend(frames)
        self._theirs.send(b"x")

    def tell(self, **state: bool) -> None:
        self._changes.append(state)
        self._teller.send(b"x")


def joined(name: str = "eth0") -> tuple[Lab, Played, Port, LiveEngine]:
    lab = Lab()
    for line in SCRIPT.splitlines():
        lab.command(*line.split())
    engine, played = LiveEngine(lab.clock), Played()
    return lab, played, Port(lab.network, lab.network.device(f"n/{name}"), played, engine), engine  # type: ignore[arg-type]


def until(engine: LiveEngine, done: Callable[[], bool]) -> None:
    """Step until a state is reached; a step may be for a timer of the network."""
    for _ in range(50):
        if done():
            return
        engine.step(0.5)
    raise AssertionError("it never came")


def ask() -> Frame:
    """ARP for 10.0.0.2."""
    mac = 0x0200_0000_0001
    body = bytes.fromhex("0001080006040001") + mac.to_bytes(6, "big") + bytes((10, 0, 0, 1)) + bytes(6)
    return Frame(BROADCAST, mac, 0x0806, body + bytes((10, 0, 0, 2)))


def test_what_comes_in_is_answered_by_the_simulated_stack() -> None:
    lab, played, port, engine = joined()
    played.deliver(ask())
    until(engine, lambda: bool(played.outward))
    assert [frame.dst for frame in played.outward] == [0x0200_0000_0001]
    dev = lab.network.device("n/eth0")
    assert (port.received, port.sent, dev.rx_packets, dev.tx_packets) == (1, 1, 1, 1)
    assert played.carrier == [True]


def test_a_batch_at_a_time() -> None:
    _lab, played, port, engine = joined()
    played.deliver(*[ask()] * (BATCH + 5))
    until(engine, lambda: port.received > 0)
    assert port.received == BATCH
    until(engine, lambda: port.received == BATCH + 5)


def test_what_an_endpoint_does_not_take_waits_up_to_a_bound() -> None:
    lab, played, port, engine = joined()
    dev, played.takes = lab.network.device("n/eth0"), False
    for _ in range(QUEUE + 3):
        lab.network.send(dev, ask())
    assert (played.outward, port.refused) == ([], {Drop.QDISC_DROP: 3})
    played.takes = True
    until(engine, lambda: port.sent > 0)
    assert (len(played.outward), port.sent) == (QUEUE, QUEUE)
    lab.network.send(dev, ask())
    assert len(played.outward) == QUEUE + 1


@pytest.mark.parametrize("drop", [Drop.NO_CARRIER, Drop.PKT_TOO_BIG])
def test_what_it_refuses_is_counted_by_name(drop: Drop) -> None:
    lab, played, port, _engine = joined()
    played.takes = Refused(drop)
    lab.network.send(lab.network.device("n/eth0"), ask())
    assert (port.refused, port.sent) == ({drop: 1}, 0)


@pytest.mark.parametrize("name", ["eth0", "d0"])
def test_carrier_follows_the_real_device_and_tells_it(name: str) -> None:
    lab, played, _port, engine = joined(name)
    dev = lab.network.device(f"n/{name}")
    assert dev.carrier
    played.tell(up=False)
    until(engine, lambda: not dev.carrier)
    played.tell(up=True)
    until(engine, lambda: dev.carrier)
    lab.command("ip", "-n", "n", "link", "set", name, "down")
    lab.command("ip", "-n", "n", "link", "set", name, "up")
    assert played.carrier == [True, False, True]


def test_the_peer_of_an_attached_end_has_no_carrier() -> None:
    lab, _played, _port, _engine = joined()
    lab.command("ip", "-n", "n", "link", "set", "out", "up")
    assert (lab.network.device("n/out").carrier, lab.network.device("n/eth0").carrier) == (False, True)
    lab.command("ip", "-n", "n", "link", "set", "out", "down")
    assert lab.network.device("n/eth0").carrier


@pytest.mark.parametrize("how", ["deleted there", "deleted here", "gone when sending"])
def test_an_end_that_is_gone_is_let_go(how: str) -> None:
    lab, played, port, engine = joined()
    news: list[str] = []
    port.on_news = news.append
    if how == "deleted there":
        played.tell(up=False, there=False)
        until(engine, lambda: port.gone)
    elif how == "deleted here":
        lab.command("ip", "-n", "n", "link", "del", "eth0")
    else:
        played.takes = Gone("played:0")
        lab.network.send(lab.network.device("n/eth0"), ask())
    assert (port.gone, played.closed, len(news)) == (True, True, 1)
    assert ("n/eth0 was deleted" if how == "deleted here" else "played:0 was deleted") in news[0]


def test_a_copy_of_the_network_reaches_nobody() -> None:
    lab, played, port, _engine = joined()
    assert not lab.trace("n/eth0", ask()).deliveries
    saved = lab.snapshot()
    assert (played.outward, port.sent, saved is not None) == ([], 0, True)


@pytest.mark.parametrize("what", ["attached already", "modelled cable"])
def test_a_wire_is_given_once(what: str) -> None:
    lab, _played, _port, engine = joined("d0")
    dev = lab.network.device("n/d0" if what == "attached already" else "n/eth0")
    if what == "modelled cable":
        lab.link("n/eth0", delay=0.01)
    with pytest.raises(Unattachable, match=what):
        Port(lab.network, dev, Played(), engine)  # type: ignore[arg-type]


def test_overload_is_told_in_numbers_and_only_when_there_is_any() -> None:
    _lab, played, port, engine = joined()
    told: list[str] = []
    now = [0]
    world: Any = SimpleNamespace(ports=[port], engine=engine, say=told.append)
    look = Overload(world, lambda: now[0])
    assert (look(), told) == (5.0, [])
    played.missed = 0
    for second, missed in ((6, 0), (12, 40), (18, 40), (24, 41)):
        now[0], played.missed = second * 10**9, missed
        look()
    engine.lateness.note(80_000_000)
    now[0] = 30 * 10**9
    look()
    counts = [int(number) for text in told for number in re.findall(r"lost (\d+) frames in 6 s", text)]
    assert (counts, told[-1]) == ([40, 1], "overload: events were up to 80 ms late in the last 6 s")
