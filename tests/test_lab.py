"""The Lab: what it does and shows, that questions change nothing, and that going back is exact."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from simvlan.capture import file_header, record
from simvlan.lab import Lab
from simvlan.matrix import Cell, Matrix
from simvlan.plot import png, topology

BUILD = """ip netns add sw
ip netns add a
ip netns add b
ip netns add c
ip -n sw link add br0 type bridge vlan_filtering 1
ip -n sw link set br0 up
ip link add eth0 netns a type veth peer name p1 netns sw
ip link add eth0 netns b type veth peer name p2 netns sw
ip link add eth0 netns c type veth peer name p3 netns sw
ip -n sw link set p1 master br0 up
ip -n sw link set p2 master br0 up
ip -n sw link set p3 master br0 up
ip netns exec sw bridge vlan add dev p3 vid 20 pvid untagged
ip netns exec sw bridge vlan del dev p3 vid 1
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0
ip -n c addr add 192.0.2.3/24 dev eth0
ip -n a link set eth0 address 02:00:00:00:00:0a up
ip -n b link set eth0 address 02:00:00:00:00:0b up
ip -n c link set eth0 address 02:00:00:00:00:0c up
ip -n a link set lo up"""


@pytest.fixture
def lab() -> Lab:
    lab = Lab(seed=1)
    for line in BUILD.splitlines():
        words, ns = line.split(), ""
        if words[:3] == ["ip", "netns", "exec"]:
            ns, words = words[3], words[4:]
        done = lab.command(*words, netns=ns)
        assert (done.exit, done.stderr) == (0, ""), line
    return lab


def test_ping_and_what_it_says(lab: Lab) -> None:
    found = lab.ping("a", "192.0.2.2", 2)
    assert found
    assert (found.sent, found.received, found.exit) == (2, 2, 0)
    assert str(found).startswith(
        "PING 192.0.2.2 (192.0.2.2) 56(84) bytes of data.\n64 bytes from 192.0.2.2: icmp_seq=1"
    )
    lost = lab.ping("a", "192.0.2.3")
    assert not lost
    assert "From 192.0.2.1 icmp_seq=1 Destination Host Unreachable" in str(lost)


def test_tables_are_lists_of_rows_that_print(lab: Lab) -> None:
    lab.ping("a", "192.0.2.2")
    learned = [row for row in lab.fdb("sw/br0") if row["mac"] == "02:00:00:00:00:0a"]
    assert [row["ifname"] for row in learned] == ["p1"]
    assert lab.neigh("a")[0]["lladdr"] == "02:00:00:00:00:0b"
    assert lab.routes("b")[0]["dst"] == "192.0.2.0/24"
    assert "02:00:00:00:00:0b" in str(lab.neigh("a"))
    assert lab.devices()._repr_html_().count("<tr>") == 1 + sum(1 for _ in lab.network.devices())


def test_capture_gives_scapy_packets_of_both_directions(lab: Lab) -> None:
    with lab.capture("b/eth0") as packets:
        lab.ping("a", "192.0.2.2")
    kinds = [("arp" if ARP in p else "icmp", p.direction) for p in packets]
    assert kinds == [("arp", 1), ("arp", 2), ("icmp", 1), ("icmp", 2)]
    lab.ping("a", "192.0.2.2")
    assert len(packets) == 4


def test_send_takes_packets_octets_and_pcap_files(lab: Lab, tmp_path: Path) -> None:
    frame = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b", type=0x88B5) / (b"x" * 46)
    (tmp_path / "two.pcap").write_bytes(file_header() + 2 * record(0, bytes(frame)))
    with lab.capture("b/eth0") as packets:
        lab.send("a/eth0", frame)
        lab.send("a/eth0", bytes(frame))
        lab.send("a/eth0", tmp_path / "two.pcap")
    assert [bytes(p) for p in packets] == [bytes(frame)] * 4
    with pytest.raises(FileNotFoundError, match="a frame is given as octets or as a scapy packet"):
        lab.send("a/eth0", "0200")


def test_send_is_refused_as_a_packet_socket_is(lab: Lab) -> None:
    """packet_snd: EMSGSIZE beyond mtu + 14 (a tag may be on top), ENETDOWN while down."""
    lab.send("a/eth0", bytes(1514))
    with pytest.raises(OSError, match="Message too long"):
        lab.send("a/eth0", bytes(1515))
    lab.send("a/eth0", bytes(12) + b"\x81\x00\x00\x01" + bytes(1502))
    lab.command("ip", "link", "set", "eth0", "down", netns="a")
    with pytest.raises(OSError, match="Network is down"):
        lab.send("a/eth0", bytes(60))
    with pytest.raises(KeyError, match="no device"):
        lab.send("a/nope", bytes(60))


def test_trace_tells_the_walk_and_changes_nothing(lab: Lab) -> None:
    before = [str(lab.devices()), str(lab.fdb("sw/br0")), lab.now]
    frame = Ether(src="02:00:00:00:00:0a", dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.1", pdst="192.0.2.2")
    walk = lab.trace("a/eth0", frame)
    assert [str(lab.devices()), str(lab.fdb("sw/br0")), lab.now] == before
    assert "b/eth0" in {step.path for step in walk.deliveries}
    assert "a/eth0" in {step.path for step in walk}  # the answer
    assert "c/eth0" not in {step.path for step in walk}
    assert "Verdict: delivered to " in walk.to_text()
    document = json.loads(walk.to_json())
    assert document["deliveries"] == [step.path for step in walk.deliveries]


def test_trace_names_the_drop_and_the_remedy(lab: Lab) -> None:
    """br_allowed_ingress: VLAN 7 is not allowed on the port."""
    tagged = bytes.fromhex("ffffffffffff02000000000a8100000788b5") + bytes(46)
    walk = lab.trace("a/eth0", tagged)
    assert [(step.path, step.drop.name) for step in walk.drops if step.drop] == [("sw/p1", "BRIDGE_VLAN_INGRESS")]
    assert "remedy: " in walk.to_text()
    assert walk.deliveries == []


def test_restore_continues_exactly_as_the_first_time(lab: Lab) -> None:
    lab.link("a/eth0", delay=0.001, jitter=0.0005)
    saved = lab.snapshot()
    texts = []
    for _ in range(2):
        lab.restore(saved)
        texts.append(lab.ping("a", "192.0.2.2", 5).text + str(lab.devices()))
    assert texts[0] == texts[1]
    lab.restore(saved)
    assert len(lab.neigh("a")) == 0


def test_time_runs_forward_only(lab: Lab) -> None:
    lab.run(until=2.5)
    assert lab.now == 2_500_000_000
    with pytest.raises(ValueError, match="time does not run back"):
        lab.run(until=1)


@pytest.mark.parametrize("four", [True, False])
def test_the_matrix_says_that_it_does_not_try_ipv6(four: bool) -> None:
    """A namespace with addresses of IPv6 is not one without addresses; link-local ones are everybody's."""
    lab = Lab()
    script = "ip netns add a; ip netns add b; ip link add eth0 netns a type veth peer name eth0 netns b\n"
    for name in "ab":
        script += f"ip -n {name} link set eth0 up; ip netns exec {name} sysctl -qw net.ipv6.conf.all.disable_ipv6=0\n"
    script += "ip -n a address add 2001:db8::1/64 dev eth0\n" + "ip -n b address add 10.0.0.2/24 dev eth0\n" * four
    assert lab.sh(script).exit == 0
    lines = lab.matrix().to_text().splitlines()
    assert lines[-1] == "addresses of IPv6 are not tried (those of a): ask by ping"
    assert ("(no namespace has an IPv4 address)" in lines) == (not four)
    assert lab.sh("ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=1").exit == 0
    assert "IPv6" not in lab.matrix().to_text().replace("(no namespace has an IPv4 address)", "")


def test_matrix_has_a_reason_in_every_failing_cell_and_changes_nothing(lab: Lab) -> None:
    before = str(lab.devices())
    matrix = lab.matrix()
    assert str(lab.devices()) == before
    assert matrix.sources == ["a", "b", "c"]
    reached = {pair[:2]: cell.reached for pair, cell in matrix.cells.items()}
    assert reached == {
        ("a", "b"): True,
        ("b", "a"): True,
        ("a", "c"): False,
        ("b", "c"): False,
        ("c", "a"): False,
        ("c", "b"): False,
    }
    for cell in matrix.failures:
        assert cell.reason
        assert cell.device
        assert cell.sentence
        assert cell.remedy
    document = json.loads(matrix.to_json())
    assert document["complete"] is False
    assert [cell["reached"] for cell in document["cells"]] == [c.reached for c in matrix.cells.values()]
    assert lab.matrix(["a", "b"]).complete


def test_a_missing_route_is_the_reason(lab: Lab) -> None:
    lab.command("ip", "addr", "flush", "dev", "eth0", netns="c")
    lab.command("ip", "addr", "add", "198.51.100.3/24", "dev", "eth0", netns="c")
    cell = lab.matrix(["a", "c"])["a", "c"]
    assert (cell.reached, cell.reason, cell.device) == (False, "ENETUNREACH", "a")
    with pytest.raises(KeyError, match="no network namespace"):
        lab.matrix(["nope"])


def test_text_and_html_show_every_cell() -> None:
    cells = [Cell("a", "b", "192.0.2.2", True), Cell("b", "a", "192.0.2.1", False, "WHY", "sw/p1", "so", "do this")]
    matrix = Matrix(["a", "b"], [("a", "192.0.2.1"), ("b", "192.0.2.2")], cells)
    assert matrix.to_text().splitlines() == [
        "   a 192.0.2.1  b 192.0.2.2",
        "a  .            yes",
        "b  no (1)       .",
        "",
        "(1) WHY: so",
        "    at sw/p1",
        "    remedy: do this",
    ]
    assert 'title="so. Remedy: do this">WHY<br>sw/p1' in matrix._repr_html_()


def test_pictures_are_png_files(lab: Lab, tmp_path: Path) -> None:
    assert png(topology(lab)).startswith(b"\x89PNG")
    lab.matrix(["a", "b"]).save(str(tmp_path / "heat.png"))
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")


def test_scripts_run_on_the_lab() -> None:
    pytest.importorskip("simvlan.shell.run")
    lab = Lab()
    done = lab.sh("ip netns add x && ip netns list; echo oops >&2; exit 3")
    assert (done.stdout, done.stderr, done.exit) == ("x\n", "oops\n", 3)
    assert "x" in lab.network.netns


def test_an_echo_is_traced_to_the_answer(lab: Lab) -> None:
    lab.ping("a", "192.0.2.2")
    echo = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / IP(src="192.0.2.1", dst="192.0.2.2") / ICMP()
    walk = lab.trace("a/eth0", echo)
    assert [step.path for step in walk.deliveries] == ["b/eth0", "a/eth0"]


def test_a_lab_shows_itself_in_a_notebook(lab: Lab) -> None:
    """The picture travels inside the HTML, as octets of a PNG file; under it a row per device."""
    html = lab._repr_html_()
    found = re.search(r'<img alt="[^"]+" src="data:image/png;base64,([^"]+)">', html)
    assert found is not None
    assert base64.b64decode(found[1], validate=True).startswith(b"\x89PNG")
    assert html.count("<tr>") == 1 + sum(1 for _ in lab.network.devices())
    assert "4 namespaces, 12 devices" in html
    assert "<img" not in Lab()._repr_html_()  # nothing to draw


def test_ipython_takes_the_html(lab: Lab) -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(lab)
    assert shown["text/html"] == lab._repr_html_()
    assert shown["text/plain"] == repr(lab)


WRONG = {
    "between": (lambda lab: lab.matrix("ab"), "between='ab': a list of texts is expected"),
    "between each": (lambda lab: lab.matrix([1]), "between=1: a text is expected"),
    "fdb": (lambda lab: lab.fdb("root/lo"), "root/lo is no bridge"),
    "fdb type": (lambda lab: lab.fdb(None), "bridge=None: a text is expected"),
    "restore": (lambda lab: lab.restore(5), "5 is no snapshot"),
    "cable": (lambda lab: lab.link("v0", speed=5), "a cable has no speed"),
    "cable value": (lambda lab: lab.link("v0", rate="1gbit"), "rate='1gbit': a number is expected"),
    "cable nan": (lambda lab: lab.link("v0", delay=float("nan")), "delay=nan: a finite number is expected"),
    "seed": (lambda lab: Lab(seed="x"), "seed='x': a whole number is expected"),
    "script": (lambda lab: Lab(script=5), "script=5: a text is expected"),
    "until": (lambda lab: lab.run(until="x"), "until='x': a number is expected"),
    "until inf": (lambda lab: lab.run(until=float("inf")), "until=inf: a finite number is expected"),
    "until bool": (lambda lab: lab.run(until=True), "until=True: a number is expected"),
    "until_ns": (lambda lab: lab.run(until_ns=1.5), "until_ns=1.5: a whole number is expected"),
    "until twice": (lambda lab: lab.run(until=1, until_ns=1), "until=1 and until_ns=1: one of them"),
    "sh": (lambda lab: lab.sh(5), "text=5: a text is expected"),
    "sh args": (lambda lab: lab.sh("true", 5), "args=5: a text is expected"),
    "command": (lambda lab: lab.command("ip", 5), "argv=5: a text is expected"),
    "command none": (lambda lab: lab.command(), "argv: a command is expected"),
    "netns": (lambda lab: lab.command("ip", netns=5), "netns=5: a text is expected"),
    "ping": (lambda lab: lab.ping("root", 5), "address=5: a text is expected"),
    "ping from": (lambda lab: lab.ping(5, "192.0.2.1"), "netns=5: a text is expected"),
    "ping count": (lambda lab: lab.ping("root", "192.0.2.1", "3"), "count='3': a whole number is expected"),
    "ping never": (lambda lab: lab.ping("root", "192.0.2.1", 0), "count=0: it must not be below 1"),
    "send": (lambda lab: lab.send(5, bytes(60)), "path=5: a text is expected"),
    "send what": (lambda lab: lab.send("v0", 5), "5 is no frame"),
    "trace": (lambda lab: lab.trace(None, bytes(60)), "path=None: a text is expected"),
    "capture": (lambda lab: lab.capture(5).__enter__(), "path=5: a text is expected"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_arguments_are_named(wrong: str) -> None:
    lab = Lab()
    lab.command("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    call, said = WRONG[wrong]
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        call(lab)


def test_numbers_of_other_libraries_are_numbers(lab: Lab) -> None:
    """A loop over numpy.arange is how people sweep."""
    import numpy as np

    lab.run(until=np.float64(2.5))
    lab.run(until_ns=np.int64(3_000_000_000))
    assert (lab.now, type(lab.now)) == (3_000_000_000, int)
    lab.link("a/eth0", delay=np.float32(0.5))
    assert lab.ping("a", "192.0.2.2", np.int32(1)).sent == 1
