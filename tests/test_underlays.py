"""Underlays: what each does to each driver, its positive twin, its line in a trace, and how it is given."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from simvlan import Lab
from simvlan.cli import main
from simvlan.docker.labs import TopologyError, parse
from simvlan.engines.batch.limits import check
from simvlan.errors import Unsupported
from simvlan.matrix import try_ping
from simvlan.verdict import UNDERLAY_DROPS

SCRIPT = Path(__file__).resolve().parents[1] / "examples/underlays.sh"
DRIVERS = ("bridge", "macvlan", "ipvlan", "vlan")
GATEWAY = {"vlan": "10.0.10.1"}

MATRIX = {
    "none": ("", "", "", ""),
    "virtualbox": ("VSWITCH_NOT_PROMISCUOUS", "VSWITCH_NOT_PROMISCUOUS", "", ""),
    "virtualbox:allow-vms": ("", "", "", ""),
    "vmware": ("VMWARE_FORGED_TRANSMIT", "VMWARE_FORGED_TRANSMIT", "", ""),
    "vmware:forged-transmits": ("VMWARE_NOT_PROMISCUOUS", "VMWARE_NOT_PROMISCUOUS", "", ""),
    "vmware:promiscuous+forged-transmits": ("", "", "", ""),
    "wifi-sta": ("WIFI_NOT_ASSOCIATED", "WIFI_NOT_ASSOCIATED", "", ""),
    "port-security:1": ("PORT_SECURITY", "PORT_SECURITY", "", ""),
    "port-security:2": ("", "", "", ""),
    "cloud": ("CLOUD_SOURCE_MAC", "CLOUD_SOURCE_MAC", "CLOUD_SOURCE_IP", "CLOUD_SOURCE_IP"),
    "cloud:10.0.0.0/16": ("CLOUD_SOURCE_MAC", "CLOUD_SOURCE_MAC", "", ""),
    "finite-fdb:2": ("", "", "", ""),
    "offload-strips-vlan": ("", "", "", "OFFLOAD_STRIPPED_VLAN"),
}  # fmt: skip
"""What each word does to a container's ping to the LAN, by driver; the words that let it through are the twins."""


@cache
def built() -> Lab:
    lab = Lab(seed=1)
    done = lab.sh(f". {SCRIPT.parent}/check.sh; {SCRIPT.read_text().split('check.sh' + chr(34), 1)[1]}")
    assert done.exit == 0, done
    lab.command("ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0")
    return lab


@pytest.fixture
def lab() -> Lab:
    """The example's network, as it was left; every test has a copy of its own."""
    mine = Lab()
    mine.restore(built().snapshot())
    return mine


@pytest.mark.parametrize("word", MATRIX)
def test_what_each_does_to_each_driver(lab: Lab, word: str) -> None:
    assert set(lab.underlay(word)) == {"gw/eth0", *(f"node-{driver}/eth1" for driver in DRIVERS)}
    frozen = lab.snapshot()
    found = [try_ping(frozen, f"c-{each}", "gw", GATEWAY.get(each, "10.0.0.1")).reason for each in DRIVERS]
    assert tuple(found) == MATRIX[word]


def drops(lab: Lab, path: str, frame: str) -> list[str]:
    from simvlan.shell.expression import packet

    walk = lab.trace(path, packet(frame))
    text = walk.to_text()
    for step in walk.drops:
        assert step.drop is not None
        assert step.drop.sentence in text
        assert step.drop.remedy in text
        assert (step.rule == "underlay") == (step.drop in UNDERLAY_DROPS)
    return [step.drop.name for step in walk.drops if step.drop in UNDERLAY_DROPS]  # type: ignore[union-attr]


TO_NIC = 'Ether(src="02:00:00:00:00:99",dst="02:00:00:00:00:77")/IP(src="10.0.0.1",dst="10.0.0.9")/UDP()'


@pytest.mark.parametrize(
    ("word", "reason"),
    [("virtualbox", "VSWITCH_NOT_PROMISCUOUS"), ("vmware", "VMWARE_NOT_PROMISCUOUS"), ("wifi-sta", "WIFI_NO_STATION"),
     ("cloud", "CLOUD_UNKNOWN_MAC"), ("port-security:1", ""), ("none", "")],
)  # fmt: skip
def test_a_frame_for_a_strange_mac_on_its_way_to_a_nic(lab: Lab, word: str, reason: str) -> None:
    lab.underlay(word, "node-ipvlan/eth1")
    assert drops(lab, "lan/p3", TO_NIC) == ([reason] if reason else [])


def test_a_trace_says_that_an_underlay_carried_a_frame(lab: Lab) -> None:
    lab.underlay("wifi-sta", "node-ipvlan/eth1")
    walk = lab.trace("c-ipvlan/eth0", lab_arp())
    assert "underlay wifi-sta: carried (the NIC is " in walk.to_text()


def lab_arp() -> object:
    from simvlan.shell.expression import packet

    return packet('Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(psrc="10.0.0.31",pdst="10.0.0.1")')


def test_vmware_hears_nothing_once_the_guest_changed_its_mac(lab: Lab) -> None:
    lab.underlay("vmware", "node-ipvlan/eth1")
    assert lab.ping("node-ipvlan", "10.0.0.1")
    lab.command("ip", "link", "set", "eth1", "address", "02:00:00:00:00:55", netns="node-ipvlan")
    frame = TO_NIC.replace(":77", ":55")
    assert drops(lab, "lan/p3", frame) == ["VMWARE_MAC_CHANGED"]
    lab.underlay("vmware:mac-changes", "node-ipvlan/eth1")
    assert drops(lab, "lan/p3", frame) == []


def test_port_security_that_shuts_down_takes_the_node_with_it(lab: Lab) -> None:
    lab.underlay("port-security:1", "node-macvlan/eth1")
    assert not lab.ping("c-macvlan", "10.0.0.1", 1, "-W", "1")
    assert lab.ping("node-macvlan", "10.0.0.1")  # restrict: only the strange frame is lost
    lab.underlay("port-security:1:shutdown", "node-macvlan/eth1")
    assert not lab.ping("c-macvlan", "10.0.0.1", 1, "-W", "1")
    assert not lab.ping("node-macvlan", "10.0.0.1", 1, "-W", "1")
    assert drops(lab, "lan/p2", TO_NIC) == ["PORT_ERR_DISABLED"]


def test_a_full_table_shows_frames_to_strangers(lab: Lab) -> None:
    """Without room for c-macvlan's MAC, what is sent to it reaches every NIC; with room, only its own."""
    to_macvlan = f'Ether(dst="{lab.network.device("c-macvlan/eth0").mac.to_bytes(6, "big").hex(":")}")/IP()/UDP()'
    for limit, strangers in ((1, ["FDB_FULL"] * 2), (100, [])):
        lab.command("ip", "link", "set", "br0", "type", "bridge", "fdb_flush", netns="lan")
        lab.underlay(f"finite-fdb:{limit}")
        assert lab.ping("gw", "10.0.0.10")
        assert lab.ping("c-macvlan", "10.0.0.1")
        assert drops(lab, "gw/eth0", to_macvlan) == strangers


def test_without_offload_the_tag_is_in_the_octets_and_stays(lab: Lab) -> None:
    lab.underlay("offload-strips-vlan")
    assert not lab.ping("c-vlan", "10.0.10.1", 1, "-W", "1")
    for space, dev in (("node-vlan", "eth1"), ("gw", "eth0"), ("lan", "p0"), ("lan", "p4")):
        assert lab.command("ethtool", "-K", dev, "txvlan", "off", netns=space).exit == 0
    assert lab.ping("c-vlan", "10.0.10.1")


def test_an_underlay_keeps_the_cable_it_lies_on(lab: Lab) -> None:
    lab.link("node-ipvlan/eth1", delay=0.01)
    lab.underlay("wifi-sta", "node-ipvlan/eth1")
    assert "time=20.0 ms" in str(lab.ping("node-ipvlan", "10.0.0.1", 2))


@pytest.mark.parametrize(
    ("word", "place", "said"),
    [("dsl", "", "there are virtualbox, vmware.*none$"), ("ESXi", "", "it is called vmware$"),
     ("wlan", "", "it is called wifi-sta$"), ("virtualbox:all", "", "there are deny, allow-vms, allow-all"),
     ("vmware:all", "", "there are promiscuous, mac-changes"), ("port-security", "", "lacks a number"),
     ("port-security:0", "", "at least 1"), ("port-security:1:off", "", "restrict and shutdown"),
     ("finite-fdb:x", "", "is no number of MACs"), ("cloud:10.0.0.300", "", "no address or network"),
     ("cloud:2001:db8::/129", "", "no address or network"),
     ("wifi-sta:1", "", "takes nothing behind a colon"), ("finite-fdb:1", "root/a0", "does not lead to a port"),
     ("none", "c-macvlan/eth0", "neither an end of a veth pair"), ("none", "gw/eth7", 'no device "eth7"')],
)  # fmt: skip
def test_what_cannot_be_laid_is_refused_and_nothing_is_done(lab: Lab, word: str, place: str, said: str) -> None:
    with pytest.raises((ValueError, KeyError), match=said):
        lab.underlay(word, place)
    assert lab.network.device("node-macvlan/eth1").wire is None


@pytest.mark.parametrize(
    ("source", "dropped"),
    [("2001:db8::5", False), ("fe80::ff:fe00:5", False), ("2001:db8:9::77", False), ("::", False),
     ("2001:db8::6", True), ("fe80::6", True)],
)  # fmt: skip
def test_a_cloud_checks_sources_of_ipv6_as_well(source: str, dropped: bool) -> None:
    """What the NIC has, what its MAC makes, what is named, and who has none yet."""
    lab = Lab(ipv6=True)
    lab.sh(
        "ip netns add n; ip link add p0 type veth peer name eth1 address 02:00:00:00:00:05 netns n; ip link set p0 up;"
        "ip -n n link set eth1 up; ip -n n addr add 2001:db8::5/64 dev eth1 nodad; sleep 3"
    )
    lab.underlay("cloud:2001:db8:9::/64", "n/eth1")
    sent = f'Ether(src="02:00:00:00:00:05",dst="33:33:00:00:00:01")/IPv6(src="{source}",dst="ff02::1")/UDP()'
    assert drops(lab, "n/eth1", sent) == ["CLOUD_SOURCE_IP"] * dropped


@pytest.mark.parametrize("word", ["vmware:foo", "cloud:10.0.0.0/33", "port-security:0", "virtualbox:all"])
def test_a_wrong_word_is_refused_before_the_script_is_run(word: str, tmp_path: Path, capsys: Any) -> None:
    script = tmp_path / "s.sh"
    script.write_text(f"touch {tmp_path}/ran\n")
    assert main(["matrix", str(script), "--underlay", word]) == 2
    assert "--underlay" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_port_of_the_switch_means_the_nic_in_it(lab: Lab) -> None:
    assert lab.underlay("wifi-sta", "lan/p2") == ["node-macvlan/eth1"]


def test_a_lab_without_parents_asks_for_a_place() -> None:
    with pytest.raises(ValueError, match="name the NIC"):
        Lab().underlay("virtualbox")


SMALL = """
ip link add br0 type bridge
ip netns add c1
ip link add nic type veth peer name p1
ip link set p1 master br0
ip link add link nic name eth0 netns c1 type macvlan mode bridge
for dev in nic p1 br0; do ip link set $dev up; done
ip address add 10.0.0.1/24 dev br0
ip -n c1 address add 10.0.0.2/24 dev eth0
ip -n c1 link set eth0 up
"""


def test_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "small.sh"
    script.write_text(SMALL)
    assert main(["matrix", str(script)]) == 0
    assert main(["matrix", str(script), "--underlay", "root/nic=wifi-sta"]) == 1
    out, err = capfd.readouterr()
    assert "wifi-sta under root/nic" in err
    assert "WIFI_NOT_ASSOCIATED: sent from a MAC that is not the station's" in out
    ping = 'Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="10.0.0.1")'
    assert main(["trace", str(script), "--from", "c1/eth0", ping, "--underlay", "root/br0=port-security:1"]) == 1
    assert "DROP PORT_SECURITY" in capfd.readouterr()[0]
    assert main(["matrix", str(script), "--underlay", "dsl"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.startswith("simvlan: matrix: --underlay 'dsl' is no underlay: there are")) == ("", True)


def test_the_word_in_a_script() -> None:
    lab = Lab(seed=1)
    done = lab.sh(
        "ip link add a0 type veth peer name b0; simvlan underlay a0 wifi-sta && simvlan underlay a0 dsl; echo $?"
    )
    assert done.stdout == "2\n"
    assert "'dsl' is no underlay" in done.stderr
    assert lab.network.device("a0").wire.rule.word == "wifi-sta"  # type: ignore[union-attr]


def topology(word: str) -> dict[str, object]:
    nodes = {
        "sw": {"kind": "bridge", "labels": {"simvlan.underlay": word}},
        "n1": {"kind": "linux", "labels": {"simvlan.underlay.eth1": "none"}},
        "n2": {"kind": "linux"},
    }
    return {"topology": {"nodes": nodes, "links": [{"endpoints": [f"n{n}:eth1", f"sw:p{n}"]} for n in (1, 2)]}}


def test_labels_of_a_topology() -> None:
    lab = Lab(seed=1)
    parse(topology("wifi-sta")).build(lab)
    words = [lab.network.device(f"n{n}/eth1").wire.rule.word for n in (1, 2)]  # type: ignore[union-attr]
    assert words == ["none", "wifi-sta"]
    with pytest.raises(TopologyError, match=r"node 'sw': label simvlan.underlay: 'dsl' is no underlay"):
        parse(topology("dsl")).build(Lab())


def test_the_batch_engine_refuses_them_by_name(lab: Lab) -> None:
    lab.underlay("wifi-sta", "node-ipvlan/eth1")
    with pytest.raises(Unsupported, match=r"lies on an underlay \(wifi-sta\)"):
        check(lab.network)
