"""nc: what it says, what it carries, how it ends."""

from __future__ import annotations

from simvlan.lab import Lab

TWO = """
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
a() { ip netns exec a "$@"; }
b() { ip netns exec b "$@"; }
cd "$(mktemp -d)"
"""


def said(script: str) -> str:
    return Lab().sh(TWO + script).stdout


def test_both_sides_hear_each_other() -> None:
    out = said("""
        echo from b > fb; b nc -lN 8000 < fb > got & sleep 1
        echo from a | a nc -N 10.9.0.2 8000; echo rc $?; wait; cat got
    """)
    assert out == "from b\nrc 0\nfrom a\n"


def test_what_is_sent_arrives_whole() -> None:
    out = said("""
        head -c 400000 /dev/urandom > big
        b nc -dl 8000 > got & sleep 1; a nc -N 10.9.0.2 8000 < big; wait; cmp big got && echo same
    """)
    assert out == "same\n"


SCANS = {
    "-zv 10.9.0.2 8000": "Connection to 10.9.0.2 8000 port [tcp/*] succeeded!\nrc 0\n",
    "-z 10.9.0.2 8000": "rc 0\n",
    "-zv 10.9.0.2 80": "nc: connect to 10.9.0.2 port 80 (tcp) failed: Connection refused\nrc 1\n",
    "-z 10.9.0.2 80": "rc 1\n",
    "-zv -w 1 10.9.0.77 80": "nc: connect to 10.9.0.77 port 80 (tcp) timed out: Operation now in progress\nrc 1\n",
    "-zv -w 9 10.9.0.77 80": "nc: connect to 10.9.0.77 port 80 (tcp) failed: No route to host\nrc 1\n",
    "-zv 192.0.2.1 80": "nc: connect to 192.0.2.1 port 80 (tcp) failed: Network is unreachable\nrc 1\n",
    "10.9.0.2": "nc: missing port number\nrc 1\n",
    "10.9.0.2 99999": "nc: port number too large: 99999\nrc 1\n",
    "-X 5 10.9.0.2 80": "simvlan: nc -X is not built (docs/hosts.md says what is)\nrc 95\n",
    "-d -w 3 10.9.0.2 8000": "rc 0\n",
}
"""Texts as Debian's netcat-openbsd 1.219 printed them."""


def test_scans_say_what_netcat_says() -> None:
    lines = "".join(f"a nc {options} 2>&1 < /dev/null; echo rc $?\n" for options in SCANS)
    assert said(f"b nc -dlk 8000 & sleep 1\n{lines}kill %1") == "".join(SCANS.values())


def test_a_port_in_use() -> None:
    out = said("b python3 -m http.server 8000 > log 2>&1 & sleep 1; b nc -dl 8000 2>&1; echo rc $?; kill %1")
    assert out == "nc: Address already in use\nrc 1\n"


def test_two_listen_on_one_port() -> None:
    """nc says SO_REUSEPORT (seen with strace; Linux 6.18): the second waits as the first does, over UDP too."""
    out = said("""
        b nc -dl 8000 & b nc -dlu 8000 & sleep 1
        b timeout 1 nc -nvdl 8000 2>&1; echo rc $?; b timeout 1 nc -nvdlu 8000 2>&1; echo rc $?; kill %1 %2
    """)
    assert out == "Listening on 0.0.0.0 8000\nrc 124\nBound on 0.0.0.0 8000\nrc 124\n"


def test_udp() -> None:
    out = said("b nc -dlu -w 2 8000 > got & sleep 1; echo hello | a nc -u -w 1 10.9.0.2 8000; wait; cat got")
    assert out == "hello\n"


def test_listening_without_a_port_says_what_is_missing() -> None:
    assert said("a nc -l 2>&1; echo rc $?") == "nc: missing port number\nrc 1\n"
    assert said("a nc 2>&1 | head -1") == "usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]\n"
