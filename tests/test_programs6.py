"""Programs over IPv6: what they print, whom they try first, what they ask name servers, as the real ones did on 6.18.

Debian 12's nc 1.219, curl 7.88.1, Wget 1.21.3, busybox 1.35, iperf3 3.12, dig 9.18 and dnsmasq 2.90; Python 3.11's
http.server.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simvlan.dns.message import AAAA, PORT, A, parse
from simvlan.engines.events import Snapshot
from simvlan.lab import Lab
from simvlan.tools import names
from simvlan.tools.hosts import Host, ordered

NETWORK = """
for n in a b; do
    ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n $n link set lo up
done
ip link add va netns a type veth peer name vb netns b
for n in a b; do ip -n $n link set v$n up; done
ip -n a addr add 2001:db8::1/64 dev va nodad; ip -n b addr add 2001:db8::2/64 dev vb nodad
ip -n a addr add 10.0.0.1/24 dev va; ip -n b addr add 10.0.0.2/24 dev vb
sleep 3
ip netns exec b dnsmasq --no-resolv --no-hosts --host-record=both,10.0.0.2,2001:db8::2 --host-record=four,10.0.0.2 \
    --host-record=six,2001:db8::2 --address=/x.lan/2001:db8::5 --address=/y.lan/10.0.0.9
"""
HEAD = """
a() { ip netns exec a "$@"; }
b() { ip netns exec b "$@"; }
exec 2>&1
"""


@pytest.fixture(scope="module")
def built() -> Snapshot:
    made = Lab(seed=1)
    done = made.sh(NETWORK)
    assert not done.exit, done
    return made.snapshot()


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of namespace a."""
    monkeypatch.setattr(names, "NETNS_ETC", str(tmp_path / "netns"))
    folder = tmp_path / "netns" / "a"
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text("nameserver 2001:db8::2\n")
    return folder


def said(built: Snapshot, script: str) -> str:
    return Lab().restore(built).sh(f"{HEAD}cd $(mktemp -d)\n{script}").stdout


DIG = {
    "both A": "10.0.0.2\n", "both AAAA": "2001:db8::2\n", "four AAAA": "", "six A": "", "six AAAA": "2001:db8::2\n",
    "a.x.lan A": "", "a.x.lan AAAA": "2001:db8::5\n", "y.lan AAAA": "", "-x 2001:db8::2": "both.\n",
    "-x 2001:db8::77": "",
}  # fmt: skip


def test_a_name_server_of_both_families(built: Snapshot) -> None:
    lines = "".join(f"a dig +short @2001:db8::2 {words}; a dig +short @10.0.0.2 {words}\n" for words in DIG)
    assert said(built, lines) == "".join(text * 2 for text in DIG.values())


def test_nslookup_tells_both(built: Snapshot) -> None:
    head = "Server:\t\t2001:db8::2\nAddress:\t2001:db8::2#53\n\n"
    both = "Name:\tboth\nAddress: 10.0.0.2\nName:\tboth\nAddress: 2001:db8::2\n\n"
    assert said(built, "a nslookup both 2001:db8::2") == head + both
    four = "Name:\tfour\nAddress: 10.0.0.2\n** server can't find four: REFUSED\n\n"
    assert said(built, "a nslookup four 2001:db8::2") == head + four


def test_what_the_resolver_asks(built: Snapshot, etc: Path) -> None:
    """A, then AAAA, from one port; -4 and -6 ask for one alone. One refused is no harm."""
    lab = Lab().restore(built)
    with lab.capture("b/vb") as packets:
        done = lab.sh("""
            a() { ip netns exec a "$@"; }
            a wget -O - --tries=1 http://four:81/; a wget -4 -O - --tries=1 http://both:81/
            a wget -6 -O - --tries=1 http://both:81/
        """)
    assert "Resolving four (four)... 10.0.0.2\n" in done.stderr
    asked = [parse(bytes(each["UDP"].payload)) for each in packets if "UDP" in each and each["UDP"].dport == PORT]
    assert [(q.name, q.type) for q in asked] == [("four", A), ("four", AAAA), ("both", A), ("both", AAAA)]


HTTP = """
echo hello > index.html
b python3 -u -m http.server --bind :: > served & server=$!
sleep 1
"""


def test_a_server_of_both_families_and_who_came(built: Snapshot, etc: Path) -> None:
    raw = said(
        built,
        HTTP
        + """
        a curl -s -w '%{remote_ip} %{local_ip} %{url_effective}\\n' 'http://[2001:db8::2]:8000/'
        a curl -s http://10.0.0.2:8000/; a curl -s http://both:8000/
        kill $server; wait; cat served
        """,
    )
    out = re.sub(" - - .*", "", raw.partition("Serving")[0])
    assert out == (
        "2001:db8::1\nhello\n2001:db8::2 2001:db8::1 http://[2001:db8::2]:8000/\n"
        "::ffff:10.0.0.1\nhello\n2001:db8::1\nhello\n"
    )
    assert re.findall("Serving.*", raw) == ["Serving HTTP on :: port 8000 (http://[::]:8000/) ..."]


CURL = {
    "'http://[2001:db8::2]:8001/'": """\
*   Trying [2001:db8::2]:8001...
* connect to 2001:db8::2 port 8001 failed: Connection refused
* Failed to connect to 2001:db8::2 port 8001 after 0 ms: Couldn't connect to server
* Closing connection 0
rc 7
""",
    "http://both:8001/": """\
*   Trying [2001:db8::2]:8001...
* connect to 2001:db8::2 port 8001 failed: Connection refused
*   Trying 10.0.0.2:8001...
* connect to 10.0.0.2 port 8001 failed: Connection refused
* Failed to connect to both port 8001 after 0 ms: Couldn't connect to server
* Closing connection 0
rc 7
""",
    "-4 'http://[2001:db8::2]:8000/'": "* Closing connection 0\nrc 7\n",
    "-4 http://six:8000/": "* Could not resolve host: six\n* Closing connection 0\nrc 6\n",
    "'http://[fe80::1]:8000/'": """\
*   Trying [fe80::1]:8000...
* Immediate connect fail for fe80::1: Invalid argument
* Failed to connect to fe80::1 port 8000 after 0 ms: Couldn't connect to server
* Closing connection 0
rc 7
""",
    "'http://[2001:db8::2:8000/'": "rc 3\n",
}


def test_curl_tries_ipv6_first(built: Snapshot, etc: Path) -> None:
    lines = "".join(f"a curl -sv {words}; echo rc $?\n" for words in CURL)
    assert said(built, lines) == "".join(CURL.values())


def test_curl_does_not_wait_for_ipv6_that_is_dead(built: Snapshot, etc: Path) -> None:
    """The other family is tried after 200 ms; the first one's answer is not waited for."""
    (etc / "hosts").write_text("2001:db8::9 dead\n10.0.0.2 dead\n")
    out = said(built, HTTP + "a curl -sv -w '%{time_connect}' http://dead:8000/; kill $server; wait")
    tries = "*   Trying [2001:db8::9]:8000...\n*   Trying 10.0.0.2:8000...\n* Connected to dead (10.0.0.2)"
    assert out.startswith(tries)
    assert "0.200000" in out


WGET = """\
Connecting to both (both)|2001:db8::2|:8001... failed: Connection refused.
Connecting to both (both)|10.0.0.2|:8001... failed: Connection refused.
rc 4
"""


def test_wget_tries_every_address(built: Snapshot, etc: Path) -> None:
    out = said(built, "a wget -O - --tries=1 http://both:8001/; echo rc $?")
    assert out.partition("\n")[2] == f"Resolving both (both)... 2001:db8::2, 10.0.0.2\n{WGET}"
    out = said(built, "a wget -O - -4 --tries=1 'http://[2001:db8::2]:8000/'; echo rc $?")
    wanted = "failed: Address family for hostname not supported.\nwget: unable to resolve host address '2001:db8::2'\n"
    assert out.partition("\n")[2].replace("‘", "'").replace("’", "'") == f"{wanted}rc 4\n"


NC = {
    "-v both 9001": "nc: connect to both (2001:db8::2) port 9001 (tcp) failed: Connection refused\n"
    "nc: connect to both (10.0.0.2) port 9001 (tcp) failed: Connection refused\nrc 1\n",
    "-v -4 2001:db8::2 9000": 'nc: getaddrinfo for host "2001:db8::2" port 9000: Address family for hostname not'
    " supported\nrc 1\n",
    "-v fe80::1 9000": "nc: connect to fe80::1 port 9000 (tcp) failed: Invalid argument\nrc 1\n",
    "-v -s 2001:db8::77 2001:db8::2 9000": "nc: bind failed: Cannot assign requested address\nrc 1\n",
    "-v -w 1 2001:db8::99 9000": "nc: connect to 2001:db8::99 port 9000 (tcp) timed out: Operation now in progress\n"
    "rc 1\n",
    "-v -w 5 2001:db8::99 9000": "nc: connect to 2001:db8::99 port 9000 (tcp) failed: No route to host\nrc 1\n",
    "-v 2001:dead::99 9000": "nc: connect to 2001:dead::99 port 9000 (tcp) failed: Network is unreachable\nrc 1\n",
}


def test_nc_says_what_netcat_says(built: Snapshot, etc: Path) -> None:
    lines = "".join(f"a nc {words}; echo rc $?\n" for words in NC)
    assert said(built, lines) == "".join(NC.values())


@pytest.mark.parametrize(
    ("listens", "calls", "peer"),
    [
        ("-6 -l 9000", "2001:db8::2 9000", "2001:db8::1"),
        ("-l :: 9000", "10.0.0.2 9000", "::ffff:10.0.0.1"),
        ("-l 9000", "both 9000", "10.0.0.1"),
        ("-u -6 -l -w 1 9000", "-u -w 1 2001:db8::2 9000", "2001:db8::1"),
    ],
)
def test_nc_carries_both_ways(built: Snapshot, etc: Path, listens: str, calls: str, peer: str) -> None:
    out = said(built, f"echo srv > s; b nc -v -N {listens} < s > got 2>&1 & sleep 1\n"
                      f"echo cli | a nc -N {calls}; wait; tail -n 2 got | sed 's/ [0-9]*$//'")  # fmt: skip
    assert out == f"srv\nConnection received on {peer}\ncli\n"


@pytest.mark.parametrize(
    ("serves", "asks", "ends"),
    [
        ("", "2001:db8::2", ("2001:db8::1", "2001:db8::2")),
        ("", "both", ("2001:db8::1", "2001:db8::2")),
        ("", "10.0.0.2", ("10.0.0.1", "10.0.0.2")),
        ("-6", "2001:db8::2 -u", ("2001:db8::1", "2001:db8::2")),
    ],
)
def test_iperf3_names_both_ends(built: Snapshot, etc: Path, serves: str, asks: str, ends: tuple[str, str]) -> None:
    here, there = ends
    out = said(built, f"b iperf3 -s -1 {serves} > s & sleep 1; a iperf3 -t 1 -b 1M -c {asks}; wait; cat s")
    connected = [line.split() for line in out.splitlines() if " connected to " in line]
    assert [(words[3], words[8]) for words in connected] == [(here, there), (there, here)]
    assert f"Accepted connection from {here}, port " in out


def test_iperf3_s_server_of_ipv6_only(built: Snapshot) -> None:
    out = said(built, "b iperf3 -s -6 -1 & sleep 1; a iperf3 -t 1 -c 10.0.0.2; kill %1; wait")
    assert "unable to connect to server: Connection refused" in out


def test_addresses_are_ordered_as_getaddrinfo_orders_them(built: Snapshot) -> None:
    lab = Lab().restore(built)
    stack = lab.network.netns["a"].stack
    four, six, far = Host(4, 0x0A00_0002), Host(6, (0x2001_0DB8 << 96) + 2), Host(6, 0x2001_DEAD << 96)
    assert ordered(stack, [four, six]) == [six, four]
    assert ordered(stack, [far, four]) == [four, far]  # no way there
