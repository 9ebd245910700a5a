"""ping, arping, traceroute, sysctl, modprobe, ethtool and tc against recordings from Linux 6.1 (tests/golden)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simvlan.lab import Lab
from tests.golden_replay import differences

GOLDEN = Path(__file__).parent / "golden"

# What is refused by name (record route, IPv6), and the machine's own resolver.
PING_SKIP = r"-R|fe80|localhost|nosuch|-v "


@pytest.mark.parametrize(
    ("file", "script", "skip"),
    [
        ("probe", "ping", PING_SKIP),
        ("probe", "arping", "nosuch|localhost"),
        ("config", "sysctl", "^$"),
        ("config", "modprobe", "^$"),
        ("config", "ethtool", "-[Sacgl] "),
        ("ethtool", "needs", "^$"),
        ("ethtool", "below", "^$"),
        ("config", "tc", r"pfifo|slot|gemodel|qdisc show dev v0$"),
    ],
)
def test_says_what_the_recorded_tool_said(file: str, script: str, skip: str) -> None:
    assert differences(file, script, skip) == []


def pair() -> Lab:
    lab = Lab()
    for line in """ip netns add a
ip netns add b
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up""".splitlines():
        done = lab.command(*line.split())
        assert (done.exit, done.stderr) == (0, ""), line
    return lab


def test_a_ping_takes_virtual_time_only_and_shows_the_cables_delay() -> None:
    lab = pair()
    lab.link("a/eth0", delay=0.005)
    said = lab.ping("a", "192.0.2.2", 3)
    assert "64 bytes from 192.0.2.2: icmp_seq=2 ttl=64 time=10.0 ms\n" in said.text
    assert "3 packets transmitted, 3 received, 0% packet loss, time 2000ms" in said.text
    assert "rtt min/avg/max/mdev = 10.000/13.333/20.000/4.714 ms" in said.text  # the first waited for ARP


LONG = "ping: local error: message too long, mtu=1500\n"
SHORT = "ping: WARNING: probably, rcvbuf is not enough to hold preload\n"


@pytest.mark.parametrize(
    ("words", "status", "err"),
    [
        ("65507", 0, ""),
        ("65508", 1, LONG),
        ("65507 -M do", 1, LONG),
        ("65508 -M do", 1, LONG),
        ("66000", 1, ""),
        ("70000 -M do", 1, ""),
        ("200000", 1, ""),
        ("300000", 1, SHORT),
        ("2147483647", 2, "ping: memory allocation failed: Cannot allocate memory\n"),
    ],
)
def test_a_ping_that_is_too_large_says_so_as_linux_does(words: str, status: int, err: str) -> None:
    """As ping of iputils 20221126 showed on 6.1: what no packet holds is told, what no message holds is not."""
    done = pair().command("ping", "-c", "1", "-W", "1", "-s", *words.split(), "192.0.2.2", netns="a")
    assert (done.exit, done.stderr) == (status, err)


def test_netem_on_a_device_delays_and_drops() -> None:
    lab = pair()
    assert lab.command("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "40ms", netns="a").exit == 0
    assert "time=40.0 ms" in lab.ping("a", "192.0.2.2", 2).text
    lab.command("tc", "qdisc", "change", "dev", "eth0", "root", "netem", "loss", "100%", netns="a")
    assert not lab.ping("a", "192.0.2.2")
    shown = lab.command("tc", "-s", "qdisc", "show", "dev", "eth0", netns="a").stdout
    assert "qdisc netem 8001: root refcnt 2 limit 1000 loss 100%" in shown
    # The request, and after 5 s three probes of the neighbour that went stale meanwhile.
    assert "Sent 238 bytes 3 pkt (dropped 4," in shown


def test_unmodelled_disciplines_are_refused_by_name() -> None:
    lab = pair()
    done = lab.command("tc", "qdisc", "add", "dev", "eth0", "root", "htb", netns="a")
    assert (done.exit, done.stderr) == (2, "simvlan: qdisc htb is not modelled (netem and tbf are)\n")


def test_traceroute_names_each_hop() -> None:
    """TTL 1 expires at the router, TTL 2 meets a closed port at the target."""
    lab = pair()
    for line in """ip netns add c
ip link add eth1 netns b type veth peer name eth0 netns c
ip -n b addr add 198.51.100.2/24 dev eth1
ip -n c addr add 198.51.100.3/24 dev eth0
ip -n b link set eth1 up
ip -n c link set eth0 up
ip -n a route add default via 192.0.2.2
ip -n c route add default via 198.51.100.2""".splitlines():
        assert lab.command(*line.split()).stderr == ""
    lab.command("sysctl", "-w", "net.ipv4.ip_forward=1", netns="b")
    for options in ([], ["-I"]):
        done = lab.command("traceroute", "-n", "-q", "1", *options, "198.51.100.3", netns="a")
        assert done.stdout == (
            "traceroute to 198.51.100.3 (198.51.100.3), 30 hops max, 60 byte packets\n"
            " 1  192.0.2.2  0.000 ms\n 2  198.51.100.3  0.000 ms\n"
        )
        lab.run(until=lab.now / 1e9 + 5)


def test_traceroute_without_a_route() -> None:
    done = Lab().command("traceroute", "-n", "192.0.2.9")
    assert (done.exit, done.stderr) == (1, "\nconnect: Network is unreachable\n")


def test_checksums_are_partial_until_the_offload_is_off() -> None:
    """A veth leaves the UDP checksum to hardware it has not: captured it does not add up, unless tx is off."""
    lab = pair()
    sums = []
    for state in ("on", "off"):
        lab.command("ethtool", "-K", "eth0", "tx", state, netns="a")
        with lab.capture("b/eth0") as packets:
            lab.command("traceroute", "-n", "-q", "1", "-m", "1", "192.0.2.2", netns="a")
        (probe,) = [p for p in packets if p.haslayer("UDP") and p.direction == 1 and not p.haslayer("ICMP")]
        given = probe["UDP"].chksum
        del probe["UDP"].chksum
        sums.append(given == type(probe)(bytes(probe))["UDP"].chksum)
    assert sums == [False, True]


@pytest.mark.parametrize(
    ("verb", "said"),
    [("add", "Specified qdisc kind is unknown."), ("replace", "Specified qdisc kind is unknown."),
     ("change", "Qdisc not found. To create specify NLM_F_CREATE flag.")],
)  # fmt: skip
def test_tc_without_a_kind_is_refused(verb: str, said: str) -> None:
    """As Linux refuses it; with a kind it is taken."""
    lab = Lab()
    lab.command("ip", "link", "add", "d0", "type", "dummy")
    done = lab.command("tc", "qdisc", verb, "dev", "d0", "root")
    assert (done.exit, done.stderr) == (2, f"Error: {said}\n")
    assert lab.command("tc", "qdisc", "add", "dev", "d0", "root", "netem", "delay", "1ms").exit == 0


def test_tc_goes_on_in_the_namespace_named() -> None:
    lab = pair()
    assert lab.command("tc", "-n", "a", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "40ms").exit == 0
    assert "time=40.0 ms" in lab.ping("a", "192.0.2.2", 2).text
    shown = "qdisc netem 8001: root refcnt 2 limit 1000 delay 40ms\n"
    assert lab.command("tc", "-netns", "a", "qdisc", "show", "dev", "eth0").stdout == shown
    assert "noqueue" in lab.command("tc", "-n", "b", "qdisc", "show", "dev", "eth0").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-n nosuch qdisc", 'Cannot open network namespace "nosuch": No such file or directory'),
        ("-n", 'Cannot open network namespace "(null)": No such file or directory'),
        ("-foo qdisc", 'Option "-foo" is unknown, try "tc -help".'),
        ("qdisc show dev lo -s", 'What is "-s"? Try "tc qdisc help".'),
        ("qdisc show dev lo foo", 'What is "foo"? Try "tc qdisc help".'),
    ],
)
def test_tc_says_what_it_does_not_understand(words: str, said: str) -> None:
    """As tc of iproute2 6.1 said it."""
    done = Lab().command("tc", *words.split())
    assert (done.exit, done.stderr) == (255, said + "\n")


@pytest.mark.parametrize(("words", "said"), [("-q -p ff", False), ("-p ff -q", False), ("-p ff", True)])
def test_ping_names_its_pattern_unless_it_is_quiet(words: str, said: bool) -> None:
    """As ping of iputils 20221126 showed."""
    done = pair().command("ping", "-c", "1", *words.split(), "192.0.2.2", netns="a")
    assert done.exit == 0
    assert ("PATTERN" in done.stdout) is said


def test_a_root_qdisc_of_another_handle_is_overridden_by_replace_only() -> None:
    """As Linux 6.1 answered."""
    lab = pair()
    tbf = ["dev", "eth0", "root", "handle", "1:", "tbf", "rate", "1mbit", "burst", "1540", "limit", "3000"]
    assert lab.command("tc", "-n", "a", "qdisc", "add", "dev", "eth0", "root", "netem").exit == 0
    for verb in ("add", "change"):
        done = lab.command("tc", "-n", "a", "qdisc", verb, *tbf)
        assert (done.exit, done.stderr) == (2, "Error: NLM_F_REPLACE needed to override.\n")
    assert lab.command("tc", "-n", "a", "qdisc", "replace", *tbf).exit == 0
    assert lab.command("tc", "-n", "a", "qdisc").stdout.startswith("qdisc tbf 1: dev eth0 root refcnt 2 rate 1Mbit")


def test_a_change_without_reorder_takes_the_gap_away() -> None:
    """As tc 6.1 on Linux 6.1: the chance stays, without effect; a gap alone is refused."""
    lab = pair()
    netem = ["dev", "eth0", "root", "handle", "1:", "netem"]
    tc = ["tc", "-n", "a", "qdisc"]
    assert lab.command(*tc, "add", *netem, "reorder", "25%", "delay", "3ms").exit == 0
    assert lab.command(*tc, "change", *netem, "delay", "9ms").exit == 0
    shown = lab.command(*tc, "show", "dev", "eth0").stdout
    assert shown == "qdisc netem 1: root refcnt 2 limit 1000 delay 9ms reorder 25%\n"
    done = lab.command(*tc, "change", *netem, "delay", "9ms", "gap", "4")
    assert (done.exit, done.stderr.splitlines()[0]) == (1, "gap specified without reorder probability")


def test_details_of_tbf() -> None:
    """As tc 6.1 printed them, with and without a peak rate."""
    lab = pair()
    tbf = ["dev", "eth0", "root", "handle", "3:", "tbf", "rate", "1mbit", "burst", "4k", "latency", "400ms"]
    tc, show = ["tc", "-n", "a"], ["qdisc", "show", "dev", "eth0"]
    lab.command(*tc, "qdisc", "replace", *tbf)
    head = "qdisc tbf 3: root refcnt 2 rate 1Mbit burst"
    assert lab.command(*tc, *show).stdout == f"{head} 4Kb lat 400ms \n"
    assert lab.command(*tc, "-d", *show).stdout == f"{head} 4Kb/1 mpu 0b lat 400ms linklayer ethernet \n"
    told = {"rate": 125000, "burst": "4Kb/1", "mpu": 0, "lat": 400000, "linklayer": "ethernet"}
    assert json.loads(lab.command(*tc, "-d", "-j", *show).stdout)[0]["options"] == told
    lab.command(*tc, "qdisc", "replace", *tbf, "peakrate", "2mbit", "mtu", "2000")
    peak = "4Kb/1 mpu 0b peakrate 2Mbit mtu 2000b/1 mpu 0b lat 400ms linklayer ethernet"
    assert lab.command(*tc, "-d", *show).stdout == f"{head} {peak} \n"


def test_reordering_without_a_gap_is_a_gap_of_one() -> None:
    """tc sets it, so the kernel shows it."""
    lab = pair()
    lab.command(
        "tc", "-n", "a", *["qdisc", "add", "dev", "eth0", "root", "netem", "delay", "100ms", "reorder", "25%", "50%"]
    )
    shown = "qdisc netem 8001: root refcnt 2 limit 1000 delay 100ms reorder 25% 50% gap 1\n"
    assert lab.command("tc", "-n", "a", "qdisc", "show", "dev", "eth0").stdout == shown


def test_an_ipvlan_whose_parent_changed_its_address_shows_the_one_it_was_made_with() -> None:
    """As ip on Linux 6.1 showed: between the broadcast address and the namespace of the link."""
    lab = pair()
    made = "ip -n a link add iv0 link eth0 netns b type ipvlan mode l2"
    first = "ip -n a link set eth0 address 02:00:00:00:00:02"
    for line in (first, made):
        assert lab.command(*line.split()).exit == 0
    assert "permaddr" not in lab.command("ip", "-n", "b", "link", "show", "iv0").stdout
    assert lab.command(*first.replace("02:00:00:00:00:02", "02:00:00:00:00:98").split()).exit == 0
    said = "link/ether 02:00:00:00:00:98 brd ff:ff:ff:ff:ff:ff permaddr 02:00:00:00:00:02 link-netns a"
    assert said in lab.command("ip", "-n", "b", "link", "show", "iv0").stdout


@pytest.mark.parametrize("name", ["traceroute6", "traceroute-names"])
def test_traceroute_says_what_the_real_one_said(name: str) -> None:
    """golden/NAME.out: traceroute 2.1.2 on Linux 6.18 (simvlan run --on host), durations masked."""
    script = GOLDEN / f"{name}.sh"
    simvlan = Path(sys.executable).parent / "simvlan"
    run = subprocess.run([str(simvlan), "run", str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert re.sub(r"  [0-9]+\.[0-9]{3} ms", "  T ms", run.stdout) == script.with_suffix(".out").read_text()
    assert run.stderr == ""
