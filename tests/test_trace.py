"""Traces: what the network tells a tracer becomes readable steps, and nothing of it is lost."""

from __future__ import annotations

import io
import json

import pytest

from simvlan.devices.veth import Veth, join
from simvlan.errors import Unsupported
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.trace import JsonLines, Trace, listen, unlisten
from simvlan.verdict import Drop

OCTETS = bytes.fromhex("02000000000202000000000188b5") + bytes(46)


@pytest.fixture
def net() -> Network:
    net = Network()
    ends = [Veth("eth0", net.add_netns(name), 0x020000000000 + i) for i, name in ((1, "c1"), (2, "c2"))]
    join(*ends)
    for dev in ends:
        net.register(dev, dev.netns)
        net.set_up(dev)
    return net


def record(net: Network, octets: bytes = OCTETS) -> Trace:
    trace = Trace()
    listen(net, trace.steps.append)
    net.send(net.device("c1/eth0"), Frame.parse(octets))
    return trace


def test_steps_tell_place_rule_and_outcome(net: Network) -> None:
    steps = [(s.path, s.way, s.rule, s.outcome) for s in record(net)]
    assert steps == [
        ("c1/eth0", "tx", "veth", "-> c2/eth0 RX"),
        ("c2/eth0", "up", "stack", "DROP UNHANDLED_PROTO"),
    ]


def test_text_is_aligned_and_names_the_drop_with_its_sentence(net: Network) -> None:
    assert record(net).to_text().splitlines() == [
        "0 ns  c1/eth0  TX    veth   -> c2/eth0 RX",
        "0 ns  c2/eth0  UP    stack  DROP UNHANDLED_PROTO  no protocol handler for this ethertype",
    ]


def test_times_are_grouped_by_thousands(net: Network) -> None:
    net.clock.advance(12_304)  # type: ignore[attr-defined]
    assert str(record(net)).startswith("12 304 ns  c1/eth0")


def test_json_lines_as_they_happen(net: Network) -> None:
    out = io.StringIO()
    listen(net, JsonLines(out))
    trace = record(net)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [json.loads(line) for line in trace.to_json().splitlines()]
    assert lines[1] == {
        "t": 0,
        "frame": 1,
        "parent": None,
        "netns": "c2",
        "device": "eth0",
        "way": "up",
        "rule": "stack",
        "matched": [],
        "outcome": "DROP UNHANDLED_PROTO",
        "drop": "UNHANDLED_PROTO",
        "reason": "no protocol handler for this ethertype",
        "summary": "02:00:00:00:00:01 > 02:00:00:00:00:02 0x88b5 60 octets",
    }


def test_a_frame_that_never_left_is_a_step_of_the_device(net: Network) -> None:
    net.set_down(net.device("c1/eth0"))
    (step,) = record(net)
    assert (step.rule, step.drop) == ("device", Drop.DEV_DOWN)


def test_nobody_listens_no_tracing(net: Network) -> None:
    trace = record(net)
    unlisten(net, trace.steps.append)
    assert net.tracer is None
    net.send(net.device("c1/eth0"), Frame.parse(OCTETS))
    assert len(trace) == 2


def test_of_keeps_one_frame_and_its_offspring(net: Network) -> None:
    trace = record(net)
    net.send(net.device("c2/eth0"), Frame.parse(OCTETS))
    assert {s.fid for s in trace} == {1, 2}
    assert {s.fid for s in trace.of(2)} == {2}
    assert len(trace.of(2)) == 2


def test_html_marks_drops_and_escapes(net: Network) -> None:
    html = record(net)._repr_html_()
    assert html.count("<tr") == 3
    assert "-&gt; c2/eth0 RX" in html
    assert 'title="nothing listens for this ethertype here"' in html


def test_dataframe_without_pandas_says_what_to_do(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(Unsupported, match="pip install pandas"):
        record(net).to_dataframe()
