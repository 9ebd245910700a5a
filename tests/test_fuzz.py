"""The fuzzer without a kernel: what it makes, how it counts, goes on, shrinks and replays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from simvlan.cli import main
from simvlan.devices import bridge_forward
from simvlan.devices.bridge import Bridge
from simvlan.devices.macvlan import Macvlan
from simvlan.frame import BROADCAST
from simvlan.oracle.fuzz import campaign, crew, recording, verb
from simvlan.oracle.fuzz.campaign import Folder, Limits, Plan, State
from simvlan.oracle.fuzz.chance import explained
from simvlan.oracle.fuzz.clocks import CLOCKS, LISTENERS, NEIGHBOURS, STP, clock_of, comparable, is_pause
from simvlan.oracle.fuzz.crew import Crew
from simvlan.oracle.fuzz.farm import Answer
from simvlan.oracle.fuzz.judge import Verdict, judge
from simvlan.oracle.fuzz.scenario import Scenario, follow, generate
from simvlan.oracle.fuzz.sketch import SETTLE, Sketch, is_wait
from simvlan.oracle.fuzz.tally import classes
from simvlan.oracle.observation import Observation
from simvlan.stack.ipv6 import icmp6, mld, ndp, packet
from simvlan.stack.ipv6.addr import parse_ip6

RECORDING = Path(__file__).parent / "golden" / "fuzz-uml.jsonl.gz"
TREES = RECORDING.with_name("fuzz-uml-trees.jsonl.gz")
SIX = RECORDING.with_name("fuzz-uml-six.jsonl.gz")
WORKERS = RECORDING.with_name("fuzz-uml-workers.jsonl.gz")


class Echo:
    """A kernel that is the simulator itself; `rule` breaks one of its rules while it answers."""

    release = "6.1.0-echo"
    broken: Any = None
    runs = 0

    def __init__(self, *_how: object, **_more: object) -> None:
        pass

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_how: object) -> None:
        pass

    def run(self, scenarios: Iterable[Scenario]) -> Iterator[Verdict]:
        for scenario in scenarios:
            Echo.runs += 1
            with pytest.MonkeyPatch.context() as patch:
                if Echo.broken:
                    Echo.broken(patch)
                theirs = follow(scenario.seed, scenario.lines).ours
            yield judge(scenario, _answer(scenario, theirs), self.release)


def _answer(scenario: Scenario, theirs: Any) -> Answer:
    answers, said = iter(theirs.answers), []
    for line in scenario.lines:
        listed = recording_listing(line, theirs)
        said.append((0, json.dumps(listed)) if listed is not None else next(answers)[1:])
    return Answer(said, dict(theirs.captures), 0.0)


def recording_listing(line: str, theirs: Any) -> Any:
    from simvlan.oracle.fuzz.world import listing_of

    return theirs.listings.get(listing_of(line)) if listing_of(line) else None


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> type[Echo]:
    monkeypatch.setattr(campaign, "Crew", Echo)
    monkeypatch.setattr(verb, "available", lambda kernel: None)
    Echo.broken, Echo.runs = None, 0
    return Echo


def no_hairpin_check(patch: pytest.MonkeyPatch) -> None:
    """A bridge that sends frames back where they came from."""
    was = bridge_forward.refusal

    def refusal(bridge: Bridge, port: Any, transit: Any) -> Any:
        if port is transit.port:
            return None
        return was(bridge, port, transit)

    patch.setattr(bridge_forward, "refusal", refusal)


# -- what it makes ---------------------------------------------------------------------------------------------------


def test_a_seed_always_gives_the_same():
    one, other = generate(7, "uml", 20), generate(7, "uml", 20)
    assert one == other
    assert one.lines != generate(8, "uml", 20).lines


def test_networks_with_ipv6_speak_it_and_wait_for_what_it_says_by_itself():
    made = [generate(seed, "uml", 30, ipv6=True) for seed in range(1, 13)]
    assert made[0] == generate(1, "uml", 30, ipv6=True)
    assert made[0].lines != generate(1, "uml", 30).lines
    text = "\n".join(line for each in made for line in each.lines)
    for words in ("disable_ipv6=0", "accept_dad=0", "addr add 2001:db8:", "-6 route add", "86dd6", "-6 -d -j route"):
        assert words in text, words
    assert "sleep 0.15" in text
    shown = [frame for each in made for frames in each.ours.captures.values() for frame in frames]
    icmp = [octets for _, _, octets in shown if octets[12:14] == b"\x86\xdd" and octets[20:21] == b":"]
    sent = {octets[54] for octets in icmp if len(octets) > 54}
    assert sent >= {128, 129, 133, 134, 135, 136, 137}, "echoes and their answers, routers, neighbours, redirects"
    assert any(subject == "route6" and rows for each in made for (_, subject), rows in each.ours.listings.items())


def test_scenarios_reach_everything_that_is_modelled():
    """Kinds, modes, stacks, tables, changes, refusals and every class of frame turn up within a few dozen seeds."""
    made = [generate(seed, "uml", 60) for seed in range(60)]
    text = "\n".join(line for each in made for line in each.lines)
    labels = {label for each in made for label in each.labels.values()}
    assert {"veth", "dummy", "bridge", "vlan 802.1Q", "vlan 802.1ad"} <= labels
    assert {f"macvlan {mode}" for mode in ("bridge", "private", "vepa", "passthru", "source")} <= labels
    assert {f"ipvlan {mode} bridge" for mode in ("l2", "l3", "l3s")} <= labels
    for words in (
        "vlan_filtering 1", "bridge_slave hairpin", "bridge_slave isolated", " nomaster", " mtu ", " netns n", " down",
        "link del", " name r", " promisc on", " fdb add ", " fdb del ", " vlan add ", " vlan del ", "addr add",
        "reorder_hdr off", "qos-map", "ip_forward=1", "mcast_snooping 1", " mdb add ", " mdb del ", " mdb show",
    ):  # fmt: skip
        assert words in text, words
    seen = {name for each in made for frames in each.ours.captures.values() for f in frames for name in classes(f[2])}
    assert seen >= {
        "unicast", "broadcast", "multicast", "reserved group", "802.1Q tag", "802.1ad tag", "nested tags", "ARP",
        "IPv4", "fragment", "short", "long",
    }  # fmt: skip
    refused = {text for each in made for _, status, text in each.ours.answers if status}
    assert len(refused) > 20


def test_networks_with_ipv6_and_a_clock_reach_its_timers() -> None:
    """Detection, routers' and neighbours' lifetimes, listeners; no line comes when a timer is about to end."""
    made = [generate(seed, "uml", 30, ipv6=True, timed=True) for seed in (0, 1, 2, 3, 5, 6, 8, 12, 18)]
    assert made[2] == generate(2, "uml", 30, ipv6=True, timed=True)
    assert {clock_of(each.lines) for each in made} == {NEIGHBOURS, LISTENERS}
    text = "\n".join(line for each in made for line in each.lines)
    for words in ("accept_dad=2", "dad_transmits=2", "preferred_lft 6", "retrans_time_ms=4000", "sleep 51", "sleep 13",
                  "mcast_querier 1", "mcast_membership_interval 900", " mdb add ", " mdb show"):  # fmt: skip
        assert words in text, words
    shown = [octets for each in made for frames in each.ours.captures.values() for _, _, octets in frames]
    doubts = [f for f in shown if f[12:14] == b"\x86\xdd" and f[54:55] == b"\x87" and not any(f[22:38])]
    assert doubts, "somebody looks for duplicates"
    mld = {f[62] for f in shown if f[12:14] == b"\x86\xdd" and f[20:21] == b"\0" and len(f) > 62}
    assert mld >= {130, 131, 132, 143}, "queries, reports, leaving"
    addresses = [rows for each in made for (_, subject), rows in each.ours.listings.items() if subject == "addr"]
    assert "dadfailed" in str(addresses)


def test_a_sleep_of_a_scenario_is_kept_when_it_is_made_smaller() -> None:
    """What has to be waited for is put in anew; what a scenario sleeps by itself is a line like others."""
    assert [is_wait(line) for line in ("sleep 15", "sleep 50", "sleep 12")] == [True] * 3
    assert [is_wait(line) for line in ("sleep 16", "sleep 51", "sleep 13")] == [False] * 3


@pytest.mark.parametrize("seed", range(8))
def test_where_the_clock_matters_it_is_given_time(seed: int) -> None:
    """Frames come when ports are calm, and never so late that what they teach is about to age."""
    made = generate(seed, "uml", 40, timed=True)
    clock = clock_of(made.lines)
    assert clock is CLOCKS[seed % 2]
    changed = sent = False
    for line in made.lines:
        if is_pause(line):
            changed = sent = False
        elif line.startswith("simvlan send"):
            assert not (changed and (sent or clock is STP)), line
            sent = True
        elif not line.startswith("sleep"):
            changed = True
    assert sum(map(is_pause, made.lines)) >= 1


def test_bpdus_and_counters_of_a_tree_are_no_matter_but_frames_and_states_are() -> None:
    bpdu, tagged = (bytes.fromhex(f"0180c2000000020000000001{tag}0026424203") for tag in ("", "81000005"))
    frame = bytes.fromhex("0180c200000002000000000188b5424203")
    port = {"ifname": "v1", "stats64": {"rx": 3}, "linkinfo": {"info_slave_data": {"state": "x", "config_pending": 1}}}
    side = Observation(captures={"n.d": [(1, "in", each) for each in (bpdu, frame, tagged)]},
                       listings={("n", "link"): [port]})  # fmt: skip
    calm = comparable(side)
    assert [each[2] for each in calm.captures["n.d"]] == [frame]
    row = {"ifname": "v1", "stats64": {}, "linkinfo": {"info_slave_data": {"state": "x"}}}
    assert calm.listings["n", "link"] == [row]


def test_who_is_known_for_bpdus_alone_is_learnt_by_chance():
    """A port learns in the second in which one comes or not; other addresses, and entries that are given, count."""
    bpdu = bytes.fromhex("0180c2000000 020000000001 0026 424203") + bytes(35)
    frame = bytes.fromhex("020000000009 020000000002 88b5")
    known = ((1, ""), (1, "static"), (2, ""))
    rows = [{"mac": f"02:00:00:00:00:0{n}", "ifname": "v1", "state": state} for n, state in known]
    side = Observation(captures={"n.d": [(1, "in", bpdu), (2, "in", frame)]}, listings={("n", "fdb"): rows})
    assert comparable(side).listings["n", "fdb"] == rows[1:]
    both = replace(side, captures={"n.d": [(1, "in", bpdu), (2, "in", frame[:6] + bpdu[6:12] + frame[12:])]})
    assert comparable(both).listings["n", "fdb"] == rows


def test_the_hosts_kernel_gets_only_what_it_may_have():
    text = "\n".join(line for seed in range(30) for line in generate(seed, "host", 30).lines)
    assert " type macvlan " in text
    for kind in ("vlan", "ipvlan", "dummy"):
        assert f" type {kind} id" not in text
        assert f"type {kind} mode" not in text
    assert "vlan_filtering" not in text


def test_no_filter_is_left_to_chance():
    """A macvlan's hash lets any group in that it has not joined, one time in 256; unless its filter is open."""
    sketch = Sketch(Random(0), host=False)
    sketch.doubtful = False
    for line in (
        "ip netns add n1",
        "ip -n n1 link add v1 type veth peer name w1",
        "ip -n n1 link add link v1 name m1 type macvlan mode bridge",
        "ip -n n1 link set v1 up",
        "ip -n n1 link set m1 up",
    ):
        sketch.do(line)
    joined, reserved = 0x0100_5E00_0001, 0x0180_C200_000E
    assert sketch.certain(BROADCAST)
    assert sketch.certain(0x02_00_00_00_00_01)
    assert sketch.certain(joined)
    assert not sketch.certain(reserved)
    sketch.do("ip -n n1 link set m1 allmulticast on")
    assert sketch.certain(reserved)


def settled(*lines: str) -> list[str]:
    """What becomes of lines: where a sketch waits between them."""
    sketch = Sketch(Random(0), host=False)
    sketch.do("ip netns add n1")
    sketch.do("ip -n n1 link add v1 type veth peer name w1")
    sketch.settle()
    before = len(sketch.lines)
    for line in lines:
        sketch.do(line)
    return sketch.lines[before:]


UP = ("ip -n n1 link set v1 up", "ip -n n1 link set w1 up")


def test_what_linkwatch_puts_off_is_waited_for_before_it_matters():
    """A new VLAN's state comes within a second: it has to be there before the device comes up."""
    vlan, up = "ip -n n1 link add link v1 name q1 type vlan id 5", "ip -n n1 link set q1 up"
    assert settled(*UP, vlan, "ip -n n1 link set q1 mtu 1400", up) == [
        *UP, vlan, "ip -n n1 link set q1 mtu 1400", SETTLE, up,
    ]  # fmt: skip


def test_what_is_urgent_is_not_waited_for():
    lines = [*UP, "ip -n n1 link set v1 mtu 1400", "simvlan send --netns n1 v1 --hex " + "00" * 14]
    assert settled(*lines) == lines


def test_a_change_of_a_device_that_is_up_is_waited_for_at_once():
    """A bridge that loses its last port's carrier may be told a second later."""
    lines = ["ip -n n1 link add br1 type bridge", "ip -n n1 link set v1 master br1", *UP, "ip -n n1 link set br1 up"]
    assert settled(*lines, "ip -n n1 link set v1 nomaster", "ip -n n1 link set v1 mtu 1400")[-3:] == [
        "ip -n n1 link set v1 nomaster", SETTLE, "ip -n n1 link set v1 mtu 1400",
    ]  # fmt: skip


# -- comparing -------------------------------------------------------------------------------------------------------


def test_the_simulator_agrees_with_itself_and_not_with_a_broken_one(echo, tmp_path):
    state = State(Plan("uml", 12, 40, 1))
    campaign.run(state, Folder(tmp_path), Limits(shrinks=0), lambda _: None)
    assert (state.tally.agreeing, state.found) == (12, [])
    assert all(cases == agreeing for cases, agreeing in state.tally.cells.values())
    echo.broken = no_hairpin_check
    broken = State(Plan("uml", 12, 40, 1))
    campaign.run(broken, Folder(tmp_path / "b"), Limits(shrinks=0), lambda _: None)
    assert broken.found
    assert any(cases > agreeing for cases, agreeing in broken.tally.cells.values())


def test_a_disagreement_becomes_a_small_script(echo, tmp_path):
    """A bridge, what it needs to have a port that is up, and one frame."""
    echo.broken = no_hairpin_check
    state = State(Plan("uml", 12, 40, 1))
    campaign.run(state, Folder(tmp_path), Limits(shrinks=1, shrink_s=120), lambda _: None)
    small = next(each for each in state.found if each.shrunk)
    lines = [line for line in (tmp_path / small.script).read_text().splitlines() if line[0] != "#" and line != SETTLE]
    assert len(lines) <= 12, lines
    assert sum(line.startswith("simvlan send") for line in lines) == 1
    assert not judge_again(lines).agrees


def judge_again(lines: list[str]) -> Verdict:
    return next(Echo().run([follow(0, lines)]))


def test_an_interrupted_campaign_goes_on_where_it_was(echo, tmp_path, monkeypatch, capsys):
    def interrupt(self: Any, state: State) -> None:
        if len(state.done) == 5:
            raise KeyboardInterrupt

    command = ["fuzz", "--kernel", "uml", "--scenarios", "9", "--frames", "20", "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(verb.Progress, "show", interrupt)
        assert main(command) == 130
    assert "after 5 of 9" in capsys.readouterr().err
    echo.runs = 0
    assert main([*command, "--json"]) == 0
    assert echo.runs == 4
    report = json.loads(capsys.readouterr().out)
    assert report["complete"]
    assert report["tally"]["scenarios"] == 9
    assert main(command) == 0
    assert echo.runs == 4
    assert main([*command[:-2], "--seed", "1", "--out", str(tmp_path)]) == 2
    assert "another campaign" in capsys.readouterr().err


def test_exit_codes(echo, tmp_path, monkeypatch, capsys):
    command = ["fuzz", "--kernel", "uml", "--scenarios", "6", "--frames", "40", "--seed", "1", "--shrink-time", "0"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    echo.broken = no_hairpin_check
    assert main([*command, "--scenarios", "12", "--out", str(tmp_path / "b")]) == 1
    assert "disagree" in capsys.readouterr().out
    monkeypatch.setattr(verb, "available", lambda kernel: "not installed")
    assert main([*command, "--out", str(tmp_path / "c")]) == 4
    with pytest.raises(SystemExit) as wrong:
        main(["fuzz", "--kernel", "moon"])
    assert wrong.value.code == 2


def test_a_time_limit_ends_it_early(echo, tmp_path):
    state = State(Plan("uml", 5, 10, 1))
    campaign.run(state, Folder(tmp_path), Limits(seconds=0.0), lambda _: None)
    assert not state.complete


# -- a guest that hangs ----------------------------------------------------------------------------------------------


class Stubborn:
    """A guest that never ends one seed, and takes down what is with it."""

    release = "6.1.0"
    made = 0

    def __init__(self, *_how: object, rounds: bool = False) -> None:
        Stubborn.made += 1
        self.pending: dict[int, float] = {}
        self.alive = True
        self._lines: dict[int, list[str]] = {}

    def give(self, number: int, lines: list[str], *, programs: bool, shift: int = 0) -> None:
        self.pending[number] = 0.0 if "hang" in lines[0] else 1e12
        self._lines[number] = lines

    def take(self) -> dict[int, Answer]:
        if any("hang" in lines[0] for lines in self._lines.values()):
            return {}
        done = {number: Answer([(0, "")], {}, 0.0) for number in self._lines}
        self._lines.clear()
        self.pending.clear()
        return done

    def complaint(self) -> str:
        return "no sign of life"

    def close(self) -> None:
        pass


def test_a_guest_that_hangs_is_replaced_and_the_culprit_found(monkeypatch):
    monkeypatch.setattr(crew.farm, "start", Stubborn)
    Stubborn.made = 0
    scenarios = [Scenario(seed, [f"sleep {'hang' if seed == 2 else 1}"], follow(0, []).ours, 0, {}, frozenset())
                 for seed in range(4)]  # fmt: skip
    with Crew("uml", 1, limit_s=0.01) as crowd:
        verdicts = {verdict.scenario.seed: verdict for verdict in crowd.run(scenarios)}
    assert sorted(verdicts) == [0, 1, 2, 3]
    assert "did not come back" in verdicts[2].crash
    assert not any(verdicts[seed].crash for seed in (0, 1, 3))
    assert Stubborn.made == 3


class Moody(Stubborn):
    """A guest that says something else the first time."""

    asked = 0

    def take(self) -> dict[int, Answer]:
        done = {}
        for number in self._lines:
            Moody.asked += 1
            done[number] = Answer([(1 if Moody.asked == 1 else 0, "")], {}, 0.0)
        self._lines.clear()
        self.pending.clear()
        return done


@pytest.mark.parametrize(("doubtful", "asked"), [(True, 2), (False, 1)])
def test_what_chance_may_decide_counts_when_it_comes_twice(monkeypatch, doubtful, asked):
    """A scenario in which no hash is in doubt gets no second try."""
    monkeypatch.setattr(crew.farm, "start", Moody)
    Moody.asked = 0
    scenario = replace(follow(0, ["ip netns add n1"]), doubtful=doubtful)
    with Crew("uml", 1) as crowd:
        (verdict,) = crowd.run([scenario])
    assert verdict.agrees == doubtful
    assert Moody.asked == asked


class Crowded(Stubborn):
    """A guest that says something else while others are at work in it."""

    def take(self) -> dict[int, Answer]:
        crowd = len(self._lines) > 1
        done = {
            number: Answer([(int(crowd and "n2" in lines[0]), ""), *[(0, "")] * (len(lines) - 1)], {}, 0.0)
            for number, lines in self._lines.items()
        }
        self._lines.clear()
        self.pending.clear()
        return done


ON = "ip netns exec {} sysctl -qw net.ipv6.conf.default.disable_ipv6=0"


@pytest.mark.parametrize(("switch", "agrees"), [(True, True), (False, False)])
def test_what_disagrees_among_others_is_asked_alone_where_workers_take_turns(monkeypatch, switch, agrees):
    """Without IPv6 the order of works does not hang on others."""
    monkeypatch.setattr(crew.farm, "start", Crowded)
    scenarios = [
        replace(follow(seed, [f"ip netns add {name}", *[ON.format(name)] * switch]), doubtful=False)
        for seed, name in enumerate(("n1", "n2", "n3"))
    ]
    with Crew("uml", 1) as crowd:
        found = {verdict.scenario.seed: verdict.agrees for verdict in crowd.run(scenarios)}
    assert found == {0: True, 1: agrees, 2: True}


def test_where_neighbours_matter_routers_come_and_go():
    """Hosts are told of routers, and that they are none; what they make of it is asked at once."""
    shown = [
        answer for seed in (2000, 2012) for answer in generate(seed, "uml", 30, ipv6=True, timed=True).ours.answers
    ]
    routes = [text for line, _, text in shown if line.endswith(" -6 route show default")]
    assert any("proto ra" in text for text in routes)
    assert "" in routes


class Fickle(Stubborn):
    """A guest that says something else each time while more than two are at work in it."""

    asked: ClassVar[list[int]] = []

    def take(self) -> dict[int, Answer]:
        done = {}
        for number, lines in self._lines.items():
            Fickle.asked.append(len(self._lines))
            said = str(len(Fickle.asked)) if len(self._lines) > 2 else ""
            done[number] = Answer([(0, said), *[(0, "")] * (len(lines) - 1)], {}, 0.0)
        self._lines.clear()
        self.pending.clear()
        return done


@pytest.mark.parametrize(("timed", "asked"), [(True, [3] * 6 + [2, 2, 1]), (False, [3] * 21 + [1] * 3)])
def test_what_sleeps_for_true_is_asked_twice_among_others_and_then_in_pairs(monkeypatch, timed, asked):
    """A try takes minutes, and those that sleep fill the kernel's one table of neighbours for all namespaces."""
    monkeypatch.setattr(crew.farm, "start", Fickle)
    Fickle.asked = []
    scenarios = [follow(seed, [f"ip netns add n{seed}", ON.format(f"n{seed}")]) for seed in range(3)]
    with Crew("uml", 1, ipv6=True, timed=timed) as crowd:
        assert all(verdict.agrees for verdict in crowd.run(scenarios))
    assert Fickle.asked == asked


@pytest.mark.parametrize("address", ["ff02::16", "fe80::2"])
def test_only_reports_may_come_at_another_moment_when_a_kernel_does_the_same_again(address):
    """Their times are drawn at random; anything else in another order is something else."""
    src, dst = parse_ip6("fe80::1"), parse_ip6(address)
    echo = b"\2" * 12 + b"\x86\xdd" + packet.build(src, dst, 58, icmp6.build_echo(src, dst, icmp6.ECHO, 1, 1, b""))
    body = mld.build_report(src, dst, (mld.Record(4, parse_ip6("ff02::9")),))
    other = b"\2" * 12 + b"\x86\xdd" + mld.envelope(src, dst, body)
    one, two = ([(0, "in", frame) for frame in frames] for frames in ((echo, other), (other, echo)))
    alike = crew.same(Answer([], {"n1.v1": one}, 0.0), Answer([], {"n1.v1": two}, 0.0))
    assert alike == (address == "ff02::16")


# -- recorded kernels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "count"),
    [(RECORDING, 151), (TREES, 58), (SIX, 40), (WORKERS, 14)],
    ids=["", "with spanning trees", "with IPv6 and a clock", "where workers take turns"],
)
def test_the_simulator_agrees_with_what_linux_did(path, count):
    """Hundreds of random networks as Linux 6.1 ran them, without Linux."""
    records = list(recording.read(path))
    assert len(records) == count
    wrong = [f"seed {each.seed}: {each.verdict().text()}" for each in records if not each.verdict().agrees]
    assert not wrong, "\n".join(wrong[:5])


def test_the_recording_bites(monkeypatch):
    monkeypatch.setattr(Macvlan, "listens", lambda self, group: True)
    assert any(not each.verdict().agrees for each in recording.read(RECORDING))


def test_a_recording_comes_back_as_it_was(tmp_path):
    scenario = follow(3, ["ip netns add n1", "ip -n n1 link set lo up", "sleep 1"])
    answer = Answer([(0, ""), (1, "no"), (0, "")], {"n1.lo": [(0, "in", b"\1\2")]}, 0.0)
    file = tmp_path / "r.gz"
    assert recording.write(file, [recording.Record(3, "6.1", scenario.lines, answer)]) == 1
    assert list(recording.read(file)) == [recording.Record(3, "6.1", scenario.lines, answer)]


def test_ipv6_has_classes_of_its_own():
    src, dst = (parse_ip6(text) for text in ("fe80::1", "ff02::1"))

    def of(following: int, body: bytes) -> set[str]:
        whole = packet.build(src, dst, following, body)
        return set(classes(b"\x33\x33\0\0\0\1" + bytes(6) + b"\x81\0\0\5" + b"\x86\xdd" + whole)) - {"short"}

    common = {"multicast", "802.1Q tag", "IPv6"}
    assert of(packet.UDP, bytes(8)) == common
    assert of(packet.ICMPV6, icmp6.build_echo(src, dst, icmp6.ECHO, 1, 1, b"")) == common | {"echo"}
    assert of(packet.ICMPV6, ndp.build_ns(src, dst, dst, ())) == common | {"discovery"}
    assert of(packet.ICMPV6, icmp6.build(src, dst, icmp6.TOO_BIG, 0, 1280, bytes(48))) == common | {"ICMPv6 error"}
    report = mld.build_report(src, dst, (mld.Record(mld.TO_EX, dst),))
    assert of(packet.HOPOPTS, packet.options(packet.ICMPV6, packet.ROUTER_ALERT_MLD) + report) == common | {"listeners"}
    assert of(packet.FRAGMENT, packet.fragment(packet.UDP, 0, True, 1) + bytes(8)) == common | {"fragment"}


MACVLAN6 = [
    "ip netns add n1",
    "ip netns exec n1 sysctl -qw net.ipv6.conf.default.disable_ipv6=0",
    "ip -n n1 link add v1 address 02:00:00:00:00:01 type veth peer name w2 address 02:00:00:00:00:02",
    "ip -n n1 link add link v1 name m3 address 02:00:00:00:00:03 type macvlan mode bridge",
    *(f"ip -n n1 link set {name} up" for name in ("v1", "w2", "m3")),
    "sleep 3.2",
    f"simvlan send --netns n1 w2 --hex 333300000016020000000002{'88b5':0<96}",
    f"simvlan send --netns n1 w2 --hex 333300000017020000000002{'88b5':0<96}",
]


@pytest.mark.parametrize("stranger", [False, True])
def test_a_group_that_a_macvlan_s_hash_let_in_is_given_not_masked(stranger: bool) -> None:
    """Told which group the hash took for a joined one, the simulator must agree in all else."""
    kernel = follow(1, MACVLAN6, {"n1.m3": ((BROADCAST, 0x3333_0000_0016),)})
    captures = dict(kernel.ours.captures)
    if stranger:
        late = captures["n1.v1"][-1][0] + 1
        captures["n1.v1"] = [*captures["n1.v1"], (late, "in", bytes.fromhex(f"333300000099020000000002{'88b5':0<96}"))]
    answer = Answer([(status, text) for _, status, text in kernel.ours.answers], captures, 0.0)
    verdict = judge(follow(1, MACVLAN6), answer, "6.18.44")
    assert not verdict.agrees
    told = explained(verdict, answer, "6.18.44")
    assert told.agrees is not stranger
    assert any("mc_hash" in each.known for each in told.known) is not stranger
