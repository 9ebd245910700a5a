"""`ip` and `bridge`: words, options, refusals and statuses, each as iproute2 6.1.0 has them.

Texts and statuses were read off the real tools on Linux 6.1; test_tool_ip_golden.py holds the listings.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from simvlan.engines.events import EventClock
from simvlan.lab import Lab
from simvlan.network import Network
from simvlan.tools import load
from simvlan.tools.iproute.args import integer, lladdr, matches, on_off, parse_on_off, prefix, u16
from simvlan.tools.iproute.errors import Ended, Failed
from simvlan.tools.iproute.jsonout import dump
from simvlan.tools.iproute.stats_text import stats_text
from simvlan.tools.program import Process


class Shell:
    """A simulated machine; `run` gives (status, stdout, stderr)."""

    def __init__(self) -> None:
        clock = EventClock()
        self.network = Network(clock)
        self.lab = SimpleNamespace(network=self.network, clock=clock, env=clock.env)

    def process(self, command: str, stdin: bytes = b"") -> Process:
        return Process(shlex.split(command), self.lab, stdin=stdin)

    def run(self, command: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = self.process(command, stdin)
        status = load(process.name)(process)
        assert isinstance(status, int)
        return status, "".join(process.out), "".join(process.err)

    def ok(self, *commands: str) -> str:
        out = ""
        for command in commands:
            status, out, err = self.run(command)
            assert (status, err) == (0, ""), (command, err)
        return out


@pytest.fixture
def shell() -> Shell:
    return Shell()


# -- words -------------------------------------------------------------------------------------------------------------


def test_abbreviations_are_prefixes_and_nothing_else() -> None:
    """`matches` of lib/utils.c: any non-empty prefix."""
    assert matches("l", "link")
    assert matches("link", "link")
    assert not matches("", "link")
    assert not matches("links", "link")
    assert not matches("ink", "link")


@pytest.mark.parametrize(
    "command",
    ["ip l", "ip li sh", "ip link ls", "ip link list", "ip link lst", "ip -oneline l", "ip --oneline l"],
)
def test_link_show_by_any_name(shell: Shell, command: str) -> None:
    assert "lo: <LOOPBACK>" in shell.ok(command)


def test_a_is_address_because_it_is_tried_first(shell: Shell) -> None:
    """The order of iproute2's table decides: `a` address, `n` neighbour, `r` route, `ru` rule, `m` maddress."""
    shell.ok("ip link set lo up")
    assert "inet 127.0.0.1/8 scope host lo" in shell.ok("ip a")
    assert shell.ok("ip n") == ""
    assert shell.ok("ip r") == ""
    assert shell.ok("ip ru").startswith("0:\tfrom all lookup local\n")


def test_exact_words_are_not_abbreviated(shell: Shell) -> None:
    """`up`, `mtu`, `name` ... are compared whole: `u` is taken for a device."""
    assert shell.run("ip link set lo u") == (
        255,
        "",
        'Error: either "dev" is duplicate, or "u" is a garbage.\n',
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("0x10", 16), ("010", 8), ("+3", 3), (" 3", 3), ("3 ", None), ("08", None), ("", None), ("-1", -1)],
)
def test_numbers_are_read_as_strtol_reads_them(text: str, value: int | None) -> None:
    assert integer(text) == value


def test_numbers_out_of_range_are_no_numbers() -> None:
    assert u16("65535") == 65_535
    assert u16("65536") is None


def test_lladdr_is_as_lax_as_sscanf() -> None:
    """ll_addr_a2n: any number of octets, junk after the digits of an octet is not looked at."""
    assert lladdr("02:00:00:00:00:0g") == bytes([2, 0, 0, 0, 0, 0])
    assert lladdr("1:2:3") == bytes([1, 2, 3])
    assert lladdr("10.0.0.1") == bytes([10, 0, 0, 1])
    with pytest.raises(Failed, match='"zz" is invalid lladdr'):
        lladdr("zz")


def test_on_off_exact_in_one_place_abbreviated_in_another() -> None:
    """on_off compares whole words; parse_on_off takes prefixes, and `o` is off."""
    assert on_off("arp", "on")
    with pytest.raises(Failed):
        on_off("arp", "of")
    assert parse_on_off("o") is False
    assert parse_on_off("on") is True
    assert parse_on_off("yes") is None


def test_prefixes() -> None:
    assert prefix("10.1").address == 0x0A010000
    assert (prefix("10.0.0.0/255.255.255.0").length, prefix("10.0.0.1").length) == (24, 32)
    with pytest.raises(Ended, match="any valid prefix is expected"):
        prefix("10.0.0.1/33")


# -- output ------------------------------------------------------------------------------------------------------------


def test_pretty_json_is_laid_out_as_iproute2_does() -> None:
    """lib/json_writer.c: arrays on one line, objects four spaces a level, empty ones closed at once."""
    assert dump([{"a": [1, "x"], "b": {}, "c": []}], pretty=True) == (
        '[ {\n        "a": [ 1,"x" ],\n        "b": {},\n        "c": [ ]\n    } ]\n'
    )
    assert dump([{"a": None, "t": 0.5, "f": True}]) == '[{"a":null,"t":0.50,"f":true}]\n'
    assert dump([]) == "[]\n"


def test_text_and_json_say_the_same(shell: Shell) -> None:
    shell.ok("ip link add a0 type veth peer name b0", "ip link set a0 up mtu 1400", "ip addr add 10.0.0.1/24 dev a0")
    record = json.loads(shell.ok("ip -j addr show a0"))[0]
    text = shell.ok("ip addr show a0")
    assert f"mtu {record['mtu']} qdisc {record['qdisc']} state {record['operstate']} " in text
    assert f"<{','.join(record['flags'])}>" in text
    assert "inet 10.0.0.1/24 scope global a0" in text
    assert record["addr_info"][0]["local"] == "10.0.0.1"


def test_human_counters_have_three_significant_digits() -> None:
    """print_num of ip/ipaddress.c: 1.23k, 12.3k, 123k; thousands, or 1024s with -iec."""

    def first(count: int, **options: int) -> str:
        opt = SimpleNamespace(human=1, iec=options.get("iec", 0), stats=1, line="\n")
        zero = dict.fromkeys(("packets", "errors", "dropped"), 0)
        record = {
            "rx": {"bytes": count, "multicast": 0, **zero},
            "tx": {"bytes": 0, "carrier_errors": 0, "collisions": 0, **zero},
        }
        return stats_text(record, opt).splitlines()[1].split()[0]  # type: ignore[arg-type]

    assert [first(n) for n in (999, 1234, 12_345, 123_456)] == ["999", "1.23k", "12.3k", "123k"]
    assert first(2048, iec=1) == "2.00ki"


# -- statuses and texts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status", "err"),
    [
        ("ip frob", 1, 'Object "frob" is unknown, try "ip help".\n'),
        ("ip link frob", 255, 'Command "frob" is unknown, try "ip link help".\n'),
        ("ip -frob", 255, 'Option "-frob" is unknown, try "ip -help".\n'),
        ("ip link set", 255, 'Not enough information: "dev" argument is required.\n'),
        ("ip link set nosuch up", 1, 'Cannot find device "nosuch"\n'),
        ("ip link show nosuch", 1, 'Device "nosuch" does not exist.\n'),
        ("ip link set lo mtu", 255, 'Command line is not complete. Try option "help"\n'),
        ("ip link set lo mtu x", 255, 'Error: argument "x" is wrong: Invalid "mtu" value\n\n'),
        ("ip link set lo mtu 1 mtu 2", 255, 'Error: duplicate "mtu": "2" is the second value.\n'),
        ("ip link add x", 1, 'Not enough information: "type" argument is required\n'),
        ("ip link add x type nosuch", 2, "Error: Unknown device type.\n"),
        ("ip link add lo type dummy", 2, "RTNETLINK answers: File exists\n"),
        ("ip link del lo", 2, "RTNETLINK answers: Operation not supported\n"),
        ("ip addr add 10.0.0.1/24", 1, 'Not enough information: "dev" argument is required.\n'),
        ("ip addr add foo dev lo", 1, 'Error: any valid prefix is expected rather than "foo".\n'),
        ("ip -n nosuch link", 255, 'Cannot open network namespace "nosuch": No such file or directory\n'),
        ("ip netns add a/b", 255, 'Invalid netns name "a/b"\n'),
        ("ip netns del nosuch", 1, 'Cannot remove namespace file "/run/netns/nosuch": No such file or directory\n'),
        ("ip route add default via 10.0.0.1", 2, "Error: Nexthop has invalid gateway.\n"),
        ("ip route get 8.8.8.8", 2, "RTNETLINK answers: Network is unreachable\n"),
        ("bridge frob", 255, 'Object "frob" is unknown, try "bridge help".\n'),
        ("bridge link show dev nosuch", 255, 'Cannot find device "nosuch"\n'),
        ("bridge vlan add vid 1 dev nosuch", 255, 'Cannot find bridge device "nosuch"\n'),
        ("bridge fdb add 02:00:00:00:00:01", 255, "Device and address are required arguments.\n"),
    ],
)
def test_what_goes_wrong_is_said_as_iproute2_says_it(shell: Shell, command: str, status: int, err: str) -> None:
    assert shell.run(command) == (status, "", err)


@pytest.mark.parametrize(
    "command",
    [
        "ip link add x type vxlan id 5",
        "ip link add x type bond",
        "ip link set lo xdp off",
        "ip link set lo vf 0 mac 02:00:00:00:00:01",
        "ip -6 route add default nexthop via fe80::1 dev lo",
        "ip tunnel show",
        "ip monitor",
        "ip netconf",
        "ip rule add ipproto tcp table 7",
        "ip netns attach a 1",
        "ip route add default nexthop via 10.0.0.1",
        "bridge monitor",
        "bridge vlan set vid 1 dev lo state 3",
    ],
)
def test_what_is_not_modelled_is_refused_by_name(shell: Shell, command: str) -> None:
    status, out, err = shell.run(command)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"simvlan: .* is not modelled\n", err), err


def test_usage_leaves_with_255_and_points_to_the_manual(shell: Shell) -> None:
    for command, page in (("ip", "ip(8)"), ("ip link help", "ip-link(8)"), ("bridge", "bridge(8)")):
        status, out, err = shell.run(command)
        assert (status, out) == (255, "")
        assert err.startswith("Usage: ")
        assert page in err


@pytest.mark.parametrize(("kind", "word"), [("vlan", "idd"), ("bridge", "foo"), ("macvlan", "foo"), ("ipvlan", "foo")])
def test_an_unknown_option_of_a_kind_shows_the_usage_of_that_kind(shell: Shell, kind: str, word: str) -> None:
    """As iproute2 6.1: `vlan: unknown command "idd"?`, then `Usage: ... vlan id VLANID`, whatever `bridge vlan` is."""
    _, _, err = shell.run(f"ip link add link lo name x type {kind} {word} 1")
    first, second, *_ = err.split("\n")
    assert first.startswith(f"{kind}: unknown ")
    assert second.startswith(f"Usage: ... {kind} ")


def test_a_short_word_is_refused_by_its_full_name(shell: Shell) -> None:
    """Linux takes `br` for `broadcast` and `v` for `vrf`: the refusal says so."""
    assert shell.run("ip link set lo br 3")[2] == "simvlan: the option br (broadcast) of ip link is not modelled\n"
    assert shell.run("ip link set lo brd 3")[2] == "simvlan: the option brd of ip link is not modelled\n"
    route = shell.run("ip route add 10.0.0.0/8 v 3")[2]
    assert route == "simvlan: the option v (vrf) of ip route is not modelled\n"


def test_version(shell: Shell) -> None:
    assert shell.ok("ip -V") == "ip utility, iproute2-6.1.0, libbpf 1.1.2\n"
    assert shell.ok("bridge -V") == "bridge utility, 6.1.0\n"


# -- links -------------------------------------------------------------------------------------------------------------


def test_names_and_devices_may_be_said_in_several_ways(shell: Shell) -> None:
    shell.ok("ip link add a0 type dummy", "ip link add name b0 type dummy", "ip link add dev c0 type dummy")
    assert list(shell.network.netns[""].devices) == ["lo", "a0", "b0", "c0"]
    shell.ok("ip link set dev a0 name a1")
    assert "a1" in shell.network.netns[""].devices


def test_peer_goes_where_it_is_told(shell: Shell) -> None:
    """The peer's namespace is its own; without a word it stays in the command's (veth_newlink)."""
    shell.ok("ip netns add x", "ip link add v0 type veth peer name v1 netns x")
    assert "v1" in shell.network.netns["x"].devices
    shell.ok("ip link add w0 netns x type veth peer name w1")
    assert ("w0" in shell.network.netns["x"].devices, "w1" in shell.network.netns[""].devices) == (True, True)


def test_a_device_in_another_namespace_is_named_by_index(shell: Shell) -> None:
    shell.ok("ip netns add x", "ip link add v0 index 7 type veth peer name v1 netns x index 9")
    assert "7: v0@if9: " in shell.ok("ip link show v0")
    assert shell.ok("ip link show v0").rstrip().endswith("link-netns x")
    assert shell.ok("ip -n x link show v1").rstrip().endswith("link-netnsid 0")


@pytest.mark.parametrize("asked", [True, False])
def test_who_is_asked_for_first_gives_the_namespace_of_its_link_the_first_number(shell: Shell, asked: bool) -> None:
    """ll_name_to_index has the kernel describe a device, also where nothing about its link changes."""
    shell.ok("ip netns add x", "ip netns add y", "ip link add v0 type veth peer name v1 netns x")
    shell.ok("ip -n y link add w0 type veth peer name w1 netns x")
    if asked:
        shell.ok("ip -n x addr add 10.0.0.1/24 dev v1")
    shell.ok("ip -n x link set w1 up")
    assert shell.ok("ip -n x link show v1").rstrip().endswith(f"link-netnsid {0 if asked else 1}")


def test_netns_ids_are_given_lowest_first_and_forgotten(shell: Shell) -> None:
    for name in "xy":
        shell.ok(f"ip netns add {name}", f"ip link add v{name} type veth peer name p{name} netns {name}")
    assert shell.ok("ip netns") == "y (id: 1)\nx (id: 0)\n"
    shell.ok("ip netns del x", "ip netns add z", "ip link add vz type veth peer name pz netns z")
    assert shell.ok("ip netns list") == "z (id: 0)\ny (id: 1)\n"


def test_a_refused_master_takes_the_new_device_back(shell: Shell) -> None:
    """rtnl_newlink_create unregisters a device whose master refuses it."""
    shell.ok("ip link add d0 type dummy")
    status, _, err = shell.run("ip link add e0 master d0 type dummy")
    assert (status, err) == (2, "RTNETLINK answers: Operation not supported\n")
    assert "e0" not in shell.network.netns[""].devices


def test_type_of_another_kind_is_refused(shell: Shell) -> None:
    """do_setlink: options of a kind that is not the device's own; without options nothing is asked."""
    shell.ok("ip link add d0 type dummy", "ip link set d0 type bridge")
    assert shell.run("ip link set d0 type bridge ageing_time 3")[0] == 2
    assert shell.run("ip link set d0 type bridge_slave hairpin on")[0] == 2


def test_ipvlan_flags_are_always_sent(shell: Shell) -> None:
    """iproute2 sends the flags with any option: a change of mode alone makes a private port a bridge again."""
    shell.ok("ip link add p0 type dummy", "ip link add iv0 link p0 type ipvlan mode l2 private")
    assert "ipvlan  mode l2 private " in shell.ok("ip -d link show iv0")
    shell.ok("ip link set iv0 type ipvlan mode l3")
    assert "ipvlan  mode l3 bridge " in shell.ok("ip -d link show iv0")


def test_filtered_links_are_empty_objects(shell: Shell) -> None:
    """`up` is iproute2's own filter, after the object was opened; `type` is the kernel's."""
    shell.ok("ip link add d0 type dummy", "ip link set d0 up")
    assert [len(x) > 0 for x in json.loads(shell.ok("ip -j link show up"))] == [False, True]
    assert [x["ifname"] for x in json.loads(shell.ok("ip -j link show type dummy"))] == ["d0"]


# -- batches, namespaces -----------------------------------------------------------------------------------------------


def test_batch_stops_at_the_first_failure_unless_forced(shell: Shell) -> None:
    lines = b"link add d0 type dummy # made\n\nlink del nosuch\nlink add \\\n d1 type dummy\n"
    failed = 'Cannot find device "nosuch"\nCommand failed -:3\n'
    assert shell.run("ip -batch -", lines) == (1, "", failed)
    assert "d1" not in shell.network.netns[""].devices
    shell.ok("ip link del d0")
    assert shell.run("ip -force -batch -", lines) == (1, "", failed)
    assert "d1" in shell.network.netns[""].devices


def test_batch_leaves_at_once_on_a_word_it_cannot_read(shell: Shell) -> None:
    """invarg() exits the program: not even -force goes on."""
    status, _, err = shell.run("ip -force -batch -", b"link set lo mtu x\nlink add d0 type dummy\n")
    assert (status, "Command failed" in err) == (255, False)
    assert "d0" not in shell.network.netns[""].devices


def test_batch_file_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "good").write_text("link add d0 type dummy\n")
    assert shell.run(f"ip -batch {tmp_path}/good")[0] == 0


def test_netns_exec_hands_over(shell: Shell) -> None:
    shell.ok("ip netns add x")
    process = shell.process("ip netns exec x ls -l /")
    assert load("ip")(process) == 0
    assert process.handover is not None
    assert (process.handover.argv, process.handover.netns) == (["ls", "-l", "/"], "x")
    assert shell.run("ip netns exec nosuch true")[0] == 255
    assert shell.run("ip netns exec x") == (1, "", "No command specified\n")


def test_identify_names_the_namespace_of_the_command(shell: Shell) -> None:
    shell.ok("ip netns add x")
    assert shell.ok("ip netns identify") == "\n"
    process = Process(["ip", "netns", "identify"], shell.lab, netns="x")
    assert load("ip")(process) == 0
    assert process.out == ["x\n"]


# -- speed -------------------------------------------------------------------------------------------------------------


def test_ip_imports_nothing_heavy() -> None:
    """A shim command must be quick: importing `ip` brings in no scapy, NumPy or SimPy."""
    code = "import simvlan.tools.ip, simvlan.tools.bridge, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scapy", "numpy", "simpy", "matplotlib"} & set(loaded)


def test_whose_processes_are_where() -> None:
    """identify, pids and -all exec of real and simulated processes, as iproute2 6.1 answers on Linux 6.18."""
    said = Lab(seed=1).sh(
        """exec 2>&1
        ip netns add a; ip netns add b
        ip netns identify $$
        ip netns exec a bash -c 'ip netns identify $$; ip netns identify'
        ip netns identify 99999; echo $?
        ip netns exec a sleep 50 & P=$!
        ip netns exec a bash -c 'sleep 50 & sleep 50; :' & Q=$!
        sleep .3
        ip netns identify $P; ip netns identify $Q
        ip netns pids a | wc -l
        ip netns pids a | grep -cx -e $P -e $Q
        ip netns pids b; echo $?
        ip netns pids nosuch; echo $?
        ip netns pids a | xargs kill
        wait
        ip netns pids a | wc -l
        ip -all netns exec bash -c 'ip netns identify; exit 3'; echo $?
        ip -all netns exec nosuch; echo $?
        ip -all netns exec; echo $?
        ip -all netns exec sh -c 'kill -9 $$' 2>/dev/null | grep netns; echo ${PIPESTATUS[0]}"""
    ).stdout
    missing = "Cannot open network namespace: No such file or directory\n1\n"
    failed = 'exec of "nosuch" failed: No such file or directory\n'
    assert said == (
        f"\na\na\n{missing}a\na\n4\n2\n0\n{missing}0\n\nnetns: b\nb\n\nnetns: a\na\n0\n"
        f"\nnetns: b\n{failed}\nnetns: a\n{failed}0\nNo command specified\n1\nnetns: b\n1\n"
    )
