"""DNS: messages, a small server's zone, the resolver of a namespace, and the programs that ask."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from simvlan import Lab
from simvlan.dns.message import (
    AAAA,
    NXDOMAIN,
    PTR,
    A,
    Edns,
    Message,
    MessageError,
    parse,
    reverse_address,
    reverse_name,
)
from simvlan.dns.zone import Zone
from simvlan.engines.events import Snapshot
from simvlan.tools import names
from simvlan.tools.hosts import Host
from simvlan.tools.names import Config, candidates, read_config
from tests.dns.said import asked, said
from tests.shell_stage import needs_namespaces

NETWORK = """
ip netns add srv; ip netns add c1
ip link add eth0 netns srv type veth peer name eth0 netns c1
ip -n srv address add 10.0.0.1/24 dev eth0
ip -n c1 address add 10.0.0.2/24 dev eth0
ip -n srv link set eth0 up; ip -n c1 link set eth0 up; sleep 1
ip -n srv link set lo up
"""
SERVE = (
    "ip netns exec srv dnsmasq --no-resolv --no-hosts --host-record=box.lan,box,10.0.0.1 --address=/wild.lan/10.0.0.9"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    made = Lab(seed=1)
    hosts = tmp_path_factory.mktemp("dns") / "hosts"
    hosts.write_text("10.0.0.7 printer printer.lan # ink\n::1 six\nnonsense\n")
    done = made.sh(f"{NETWORK}{SERVE} --addn-hosts={hosts} --address=/none.lan/")
    assert not done.exit, done
    return made.snapshot()


@pytest.fixture
def lab(built: Snapshot) -> Lab:
    """A copy of the network, its server included."""
    return Lab().restore(built)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of namespaces, elsewhere than where they are on a machine."""
    monkeypatch.setattr(names, "NETNS_ETC", str(tmp_path / "netns"))
    folder = tmp_path / "netns" / "c1"
    folder.mkdir(parents=True)
    return folder


def short(lab: Lab, *words: str) -> str:
    return lab.command("dig", "+short", "@10.0.0.1", *words, netns="c1").stdout


# -- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_is_what_was_packed() -> None:
    for msg in (
        Message(7, "box.lan", A),
        Message(7, "box.lan", A, True, 0, (1, 2), 60, True),
        Message(7, reverse_name(IPv4Address("10.0.0.7")), PTR, True, 0, ("printer.lan",)),
        Message(7, "no.such", AAAA, True, NXDOMAIN),
        Message(7, "six", AAAA, True, 0, (1 << 100, 1)),
        Message(7, "box", A, recursion=False, edns=Edns(4096, {10: b"12345678"})),
    ):
        assert parse(msg.pack()) == msg
    for address in (IPv4Address("10.0.0.7"), IPv6Address("2001:db8::7")):
        assert reverse_address(reverse_name(address)) == address
    assert reverse_address("1.2.ip6.arpa") is None
    assert reverse_address("1.2.3.in-addr.arpa") is None


@pytest.mark.parametrize(
    "octets",
    [b"", bytes(12), Message(1, "a", A).pack()[:-3], bytes(5) + b"\1" + bytes(6) + b"\xc0\x0c\0\1\0\1"],
)
def test_nonsense_is_no_message(octets: bytes) -> None:
    with pytest.raises(MessageError):
        parse(octets)


def test_a_label_is_not_too_long() -> None:
    with pytest.raises(MessageError, match="63 octets"):
        Message(1, "a" * 64, A).pack()


# -- the server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("box", "10.0.0.1\n"),
        ("BOX.LAN", "10.0.0.1\n"),
        ("printer", "10.0.0.7\n"),
        ("a.b.wild.lan", "10.0.0.9\n"),
        ("wild.lan", "10.0.0.9\n"),
        ("notwild.lan", ""),
        ("x.none.lan", ""),
        ("six", ""),
        ("six AAAA", "::1\n"),
        ("-x ::1", "six.\n"),
        ("x.none.lan AAAA", ""),
        ("box AAAA", ""),
        ("-x 10.0.0.7", "printer.\n"),
        ("-x 10.0.0.77", ""),
    ],
)
def test_what_dnsmasq_answers(lab: Lab, words: str, said: str) -> None:
    """As dnsmasq 2.90 answered dig 9.18 on Linux."""
    assert short(lab, *words.split()) == said


def test_the_longest_domain_counts() -> None:
    zone = Zone(domains=[("#", 1), ("lan", 2), ("box.lan", 3)])
    assert [zone.addresses(name) for name in ("x.box.lan", "x.lan", "x")] == [[3], [2], [1]]


@pytest.mark.parametrize(
    ("name", "said", "status"),
    [
        ("box.lan", "Name:\tbox.lan\nAddress: 10.0.0.1\n** server can't find box.lan: REFUSED\n\n", 0),
        ("x.none.lan", "** server can't find x.none.lan: NXDOMAIN\n\n", 1),
        ("nosuch", "** server can't find nosuch: REFUSED\n\n", 1),
        ("10.0.0.7", "7.0.0.10.in-addr.arpa\tname = printer.\n\n", 0),
    ],
)
def test_nslookup(lab: Lab, name: str, said: str, status: int) -> None:
    """The text of BIND 9.18's."""
    done = lab.command("nslookup", name, "10.0.0.1", netns="c1")
    head = "" if name[0] == "1" else "Server:\t\t10.0.0.1\nAddress:\t10.0.0.1#53\n\n"
    assert (done.stdout, done.exit) == (head + said, status)


def test_what_a_server_does_not_know_it_asks_another(lab: Lab) -> None:
    assert lab.sh("ip -n c1 link set lo up; ip netns exec c1 dnsmasq --no-hosts --server=10.0.0.1").exit == 0
    done = lab.command("dig", "+short", "@127.0.0.1", "box", netns="c1")
    assert done.stdout == "10.0.0.1\n"


def test_clients_of_the_dhcp_server_have_names() -> None:
    lab = Lab(seed=1)
    lab.sh(NETWORK + SERVE + " --no-ping -F 10.0.0.100,10.0.0.150 && ip netns exec c1 udhcpc -q -x hostname:guest")
    assert short(lab, "guest").startswith("10.0.0.1")
    assert str(lab.ping("c1", "box.lan", 1)).startswith("PING box.lan (10.0.0.1)")  # and the server as name server


# -- the resolver -----------------------------------------------------------------------------------------------------


def test_ping_asks_the_servers_of_its_namespace(lab: Lab, etc: Path) -> None:
    assert "ping: box.lan: Temporary failure in name resolution" in lab.ping("c1", "box.lan").text
    (etc / "resolv.conf").write_text("nameserver 10.0.0.1\nsearch lan\n")
    with lab.capture("c1/eth0") as seen:
        assert lab.ping("c1", "printer", 1, "-W", "1").text.startswith("PING printer.lan (10.0.0.7)")
    questions = [parse(bytes(packet)[42:]) for packet in seen if bytes(packet)[36:38] == b"\0\x35"]
    assert [(each.name, each.type) for each in questions] == [("printer.lan", A), ("printer.lan", AAAA)]
    assert "ping: x.none.lan: Name or service not known" in lab.ping("c1", "x.none.lan").text


def test_the_hosts_file_comes_first(lab: Lab, etc: Path) -> None:
    (etc / "hosts").write_text("10.0.0.1 gateway box.lan\n")
    assert lab.ping("c1", "gateway")
    with lab.capture("c1/eth0") as seen:
        assert lab.ping("c1", "BOX.lan")
    assert not [packet for packet in seen if bytes(packet)[36:38] == b"\0\x35"]


def test_a_server_that_is_silent_is_waited_for(lab: Lab, etc: Path) -> None:
    (etc / "resolv.conf").write_text("nameserver 10.0.0.66\nnameserver 10.0.0.1\n")
    before = lab.now
    assert lab.ping("c1", "box.lan", 1, "-n")
    assert 3 < (lab.now - before) / 1e9 < 7  # a failed ARP, or five seconds


def test_resolv_conf_and_search() -> None:
    config = read_config("# c\nnameserver 10.0.0.1\nnameserver ::1\nsearch a.b c\noptions ndots:2 rotate\n")
    assert config == Config([Host(4, 0x0A000001), Host(6, 1)], ["a.b", "c"], 2)
    assert candidates("x.y", config) == ["x.y.a.b", "x.y.c", "x.y"]
    assert candidates("x.y.z", config) == ["x.y.z", "x.y.z.a.b", "x.y.z.c"]
    assert candidates("x.", config) == ["x"]


@pytest.mark.parametrize(
    ("command", "said", "status"),
    [
        ("dig +trace box", "+trace is not modelled", 95),
        ("dig +dnssec box", "+dnssec is not modelled", 95),
        ("dig +nosuch box", "Invalid option: +nosuch", 1),
        ("dig axfr box", "axfr is not modelled", 95),
        ("dig -b 10.0.0.1 box", "-b 10.0.0.1 is not modelled", 95),
        ("host -a box", "-a is not modelled", 95),
        ("host", "only `host [-t TYPE] NAME [SERVER]` is not modelled", 95),
        ("getent passwd", "only hosts, ahosts, ahostsv4 and ahostsv6", 95),
        ("dig +short box", "no servers could be reached", 9),
        ("nslookup -debug box", "-debug is not modelled", 95),
        ("nslookup box", "no servers could be reached", 1),
        ("dnsmasq -d --address=box", "Bad address in --address", 1),
        ("dnsmasq -d --server=lan", "Cannot resolve server name", 1),
    ],
)
def test_what_is_refused(command: str, said: str, status: int) -> None:
    done = Lab().command(*command.split())
    assert said in done.stdout + done.stderr
    assert done.exit == status


SETUP = ";; UDP setup with {0}#53({0}) for box failed: network unreachable.\n;; no servers could be reached\n"
LOST, CLOSED = (";; communications error to {0}#53: " + why + "\n" for why in ("timed out", "connection refused"))
NOBODY = ";; no servers could be reached\n"


@pytest.mark.parametrize(
    ("server", "more", "said", "status", "seconds"),
    [
        ("10.0.0.9", "", LOST * 3 + NOBODY, 9, 15),
        ("10.0.0.9", "+tries=1 +time=2", LOST + NOBODY, 9, 2),
        ("10.0.0.9", "+retry=1 +time=1", LOST * 2 + NOBODY, 9, 2),
        ("10.0.0.2", "", CLOSED * 3 + NOBODY, 9, 0),
        ("10.7.0.9", "", SETUP * 3, 9, 0),
        ("nosuch", "", "{1}: couldn't get address for 'nosuch': failure\n", 1, 0),
        ("10.0.0.1", "", "10.0.0.1\n", 0, 0),
    ],
)
def test_who_does_not_answer(lab: Lab, server: str, more: str, said: str, status: int, seconds: int) -> None:
    """As dig and nslookup 9.18 said it on Linux; nslookup ends with an empty line."""
    lab.command("ip", "link", "set", "lo", "up", netns="c1")
    began = lab.now
    done = lab.command("dig", "+short", f"@{server}", *more.split(), "box", netns="c1")
    assert (done.stdout + done.stderr, done.exit) == (said.format(server, "dig"), status)
    assert (lab.now - began) // 10**9 == seconds
    if status and not more:
        done = lab.command("nslookup", "box", server, netns="c1")
        end = "\n" if status == 9 else ""
        assert (done.stdout + done.stderr, done.exit) == (said.format(server, "nslookup") + end, 1)


def test_a_hosts_file_that_is_not_there() -> None:
    done = Lab().sh("dnsmasq -d --addn-hosts=/no/such")
    assert "failed to load names from /no/such: No such file" in done.stderr
    assert done.exit == 1


# -- as the real ones -------------------------------------------------------------------------------------------------

ASKS = Path(__file__).parent / "dns" / "asks"


@needs_namespaces
def test_programs_say_and_ask_what_the_real_ones_did(tmp_path: Path) -> None:
    """dig, nslookup and host 9.18, getent 2.36: every line, and every message, theirs and dnsmasq 2.90's."""
    simvlan = str(Path(sys.executable).parent / "simvlan")
    command = [simvlan, "run", "--pcap", str(tmp_path), str(ASKS.with_suffix(".sh"))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    theirs = json.loads(ASKS.with_suffix(".json").read_text())
    assert said(run.stdout) == theirs["said"]
    assert asked(tmp_path) == theirs["messages"]


def test_getent_of_other_databases_is_the_real_one() -> None:
    done = Lab().sh("getent passwd root | cut -d: -f1; getent group 0 | cut -d: -f1")
    assert done.stdout == "root\nroot\n"


def test_who_has_answers_of_its_own_and_who_asks_others(lab: Lab) -> None:
    """--bogus-priv keeps private addresses, --domain-needed names without a domain."""
    lab.sh("ip -n c1 link set lo up")
    asks = "for w in '-x 10.0.0.7' box box.lan; do ip netns exec c1 dig +noall +comments @127.0.0.1 $w; done"
    answers = []
    for more in ("", "--bogus-priv", "--domain-needed"):
        serve = f"f=$(mktemp); ip netns exec c1 dnsmasq -R -h -x $f --server=10.0.0.1 {more}"
        text = lab.sh(f"{serve}\n{asks}\nkill $(cat $f); sleep 1").stdout
        answers.append([line.split()[5].strip(",") for line in text.splitlines() if "HEADER" in line])
    assert answers == [
        ["NOERROR", "NOERROR", "NOERROR"], ["NXDOMAIN", "NOERROR", "NOERROR"], ["NOERROR", "NXDOMAIN", "NOERROR"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("", ["10.0.0.7 10.0.0.17", "10.0.0.19 10.0.0.9", "printer.", "10.0.0.77"]),
        ("-h", ["10.0.0.17", "10.0.0.19", "later.", ""]),
        ("--no-hosts", ["10.0.0.17", "10.0.0.19", "later.", ""]),
    ],
)
def test_dnsmasq_reads_the_hosts_file_of_its_namespace(
    lab: Lab, etc: Path, tmp_path: Path, option: str, known: list[str]
) -> None:
    """Before --addn-hosts, behind --host-record, again at SIGHUP; not with --no-hosts: as dnsmasq 2.90 on Linux."""
    (etc / "hosts").write_text("10.0.0.7 printer printer.lan\n10.0.0.9 rec.lan\n")
    more = tmp_path / "more"
    more.write_text("10.0.0.17 printer\n10.0.0.7 later\n")
    done = lab.sh(f"""
        ip -n c1 link set lo up; pid=$(mktemp)
        say() {{ echo $(ip netns exec c1 dig +short @127.0.0.1 "$@"); }}
        ip netns exec c1 dnsmasq -R -x $pid --host-record=rec.lan,10.0.0.19 --addn-hosts={more} {option}
        say printer; say rec.lan; say -x 10.0.0.7
        echo 10.0.0.77 again > {etc}/hosts
        kill -HUP $(cat $pid); sleep 1; say again
    """)
    assert (done.stdout.splitlines(), done.stderr) == (known, "")


@pytest.mark.parametrize(
    ("options", "lease"),
    [
        ("--dhcp-host=02:00:00:00:00:11,box", "10.0.0.120 box"),
        ("--dhcp-host=02:00:00:00:00:11,10.0.0.101", "10.0.0.101 named"),
        ("--dhcp-host=02:00:00:00:00:11,10.0.0.102", "10.0.0.102 *"),
        ("--dhcp-host=02:00:00:00:00:11,10.0.0.102 --domain=lan", "10.0.0.102 far"),
        ("--dhcp-host=02:00:00:00:00:11,10.0.0.101,own", "10.0.0.101 own"),
        ("--dhcp-host=02:00:00:00:00:11,box --dhcp-host=02:00:00:00:00:12,10.0.0.120", "10.0.0.110 box"),
        ("--no-hosts --dhcp-host=02:00:00:00:00:11,box", "10.0.0.110 box"),
        ("--no-hosts --dhcp-host=02:00:00:00:00:11,10.0.0.101", "10.0.0.101 *"),
        ("--port=0 --dhcp-host=02:00:00:00:00:11,10.0.0.101", "10.0.0.101 *"),
    ],
)
def test_the_hosts_file_places_and_names_dhcp_clients(
    etc: Path, tmp_path: Path, options: str, lease: str
) -> None:
    """dhcp_update_configs and host_from_dns: as dnsmasq 2.90 on Linux."""
    lab = Lab(seed=1)
    (etc.parent / "srv").mkdir()
    (etc.parent / "srv" / "hosts").write_text("10.0.0.120 box\n10.0.0.101 named\n10.0.0.102 far.lan\n")
    leases = tmp_path / "leases"
    done = lab.sh(f"{NETWORK}ip -n c1 addr flush dev eth0; ip -n c1 link set eth0 address 02:00:00:00:00:11\n"
                  f"ip netns exec srv dnsmasq -R --no-ping --dhcp-leasefile={leases} -i eth0 {options} "
                  "--dhcp-range=10.0.0.100,10.0.0.150,2m; ip netns exec c1 udhcpc -q -n -i eth0")  # fmt: skip
    assert done.exit == 0, done
    assert " ".join(leases.read_text().split()[2:4]) == lease


def test_simple_names_of_hosts_files_have_the_domain_too_where_it_is_asked_for(tmp_path: Path) -> None:
    zone = Zone()
    zone.read_hosts("10.0.0.7 printer\n10.0.0.8 gate.lan\n", "home")
    assert (zone.addresses("printer.home"), zone.addresses("printer")) == ([0x0A00_0007], [0x0A00_0007])
    assert zone.name_of(IPv4Address("10.0.0.7")) == "printer.home"
    assert zone.addresses("gate.lan.home") is None
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.7 printer\n")
    for option, found in (("--expand-hosts", "10.0.0.7\n"), ("--no-hosts", "")):
        lab = Lab(seed=1)
        lab.sh(f"{NETWORK}{SERVE} --domain=home --local=/home/ --addn-hosts={hosts} {option}")
        assert short(lab, "printer.home") == found
        assert short(lab, "printer") == "10.0.0.7\n"


@pytest.mark.parametrize(
    ("line", "said_of_it"),
    [("cname=a,b", "simvlan does not model --cname"), ("enable-tftp", "simvlan does not model --enable-tftp"),
     ("nosuch=1", "bad option")],
)  # fmt: skip
def test_what_dnsmasq_knows_is_refused_by_name_and_what_it_does_not_is_a_bad_option(
    tmp_path: Path, line: str, said_of_it: str
) -> None:
    conf = tmp_path / "conf"
    conf.write_text(f"no-resolv\n{line}\n")
    lab = Lab(seed=1)
    lab.sh(NETWORK)
    done = lab.command("dnsmasq", "-C", str(conf), netns="srv")
    assert done.stderr == f"\ndnsmasq: {said_of_it} at line 2 of {conf}\n"
    by_word = said_of_it if "model" in said_of_it else "try --help"
    done = lab.command("dnsmasq", f"--{line}", netns="srv")
    assert done.stderr == f"\ndnsmasq: bad command line options: {by_word}\n"


def test_two_servers_that_ask_each_other_do_so_once() -> None:
    """The question comes back and waits for its own answer; dig gives up (without that it would go round for ever)."""
    lab = Lab(seed=1)
    lab.sh(NETWORK)
    lab.command("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "10ms", netns="srv")
    for netns, other in (("srv", "10.0.0.2"), ("c1", "10.0.0.1")):
        assert not lab.command("dnsmasq", "--no-resolv", "--no-hosts", f"--server={other}", netns=netns).exit
    with lab.capture("srv/eth0") as packets:
        done = lab.command("dig", "+tries=1", "+time=3", "@10.0.0.1", "loop.example", netns="c1")
    assert "no servers could be reached" in done.stdout + done.stderr
    assert len([each for each in packets if each.haslayer("UDP")]) == 3
