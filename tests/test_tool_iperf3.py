"""iperf3: what a path carries, in its text and JSON; the lines are those iperf 3.12 printed on Linux."""

from __future__ import annotations

import json
import re

import pytest

from simvlan.lab import Lab
from simvlan.tools.iperf_text import Interval, octets, rate
from tests.test_tool_nc import TWO

CABLE = "for n in a b; do ip netns exec $n tc qdisc add dev eth0 root netem delay 10ms rate 20mbit; done\n"
PAYLOAD = 1448 / 1514
"""What of a 20 Mb/s link of full frames is payload."""


def run(script: str) -> str:
    return Lab().sh(TWO + CABLE + script).stdout


def test_tcp_fills_the_path_and_both_sides_say_so() -> None:
    test = "b iperf3 -s -1 > server & sleep 1; a iperf3 -c 10.9.0.2 -t 3; wait; cat server; "
    out = run(test + "a iperf3 -c 10.9.0.2 2>&1")
    assert "Connecting to host 10.9.0.2, port 5201\n" in out
    assert re.search(r"^\[ ID\] Interval           Transfer     Bitrate         Retr  Cwnd$", out, re.M)
    assert re.search(
        r"^\[  5\]   1\.00-2\.00   sec  2\.\d\d MBytes  \d\d\.\d Mbits/sec    0    \d+ KBytes {7}$", out, re.M
    )
    steady = re.search(r"^\[  5\]   2\.00-3\.00   sec  2\.\d\d MBytes  (\d\d\.\d) Mbits/sec {18}$", out, re.M)
    assert steady
    assert 0.95 * PAYLOAD * 20 <= float(steady[1]) <= 1.01 * PAYLOAD * 20
    assert "Server listening on 5201 (test #1)\n" in out
    assert out.endswith("iperf3: error - unable to connect to server: Connection refused\n")


def test_json_and_a_rate() -> None:
    out = run("b iperf3 -s -1 > /dev/null & sleep 1; a iperf3 -c 10.9.0.2 -t 2 -b 5M -J -C reno")
    found = json.loads(out)
    assert found["end"]["sum_sent"]["bits_per_second"] == pytest.approx(5e6, rel=0.1)
    assert found["end"]["sender_tcp_congestion"] == "reno"
    assert [round(i["sum"]["end"]) for i in found["intervals"]] == [1, 2]


def test_udp_counts_datagrams() -> None:
    out = run("b iperf3 -s -1 > server & sleep 1; a iperf3 -c 10.9.0.2 -u -b 1M -t 1; wait; cat server")
    assert re.search(r"^\[  5\]   0\.00-1\.00   sec   123 KBytes  1\.01 Mbits/sec  87  $", out, re.M)
    assert re.search(r"^\[  5\] .*\d\.\d{3} ms  0/87 \(0%\)  receiver$", out, re.M)


def test_what_is_not_built_is_refused_by_name() -> None:
    out = Lab().sh("iperf3 -c 10.0.0.1 -R 2>&1; iperf3 -s -J 2>&1").stdout
    assert out == "simvlan: iperf3 -R is not built\nsimvlan: iperf3 -J is not built\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2_621_440, "2.50 MBytes"), (125_976, " 123 KBytes"), (279_552, " 273 KBytes"), (0, "0.00 Bytes")],
)
def test_octets(value: int, text: str) -> None:
    assert octets(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(20_971_520, "21.0 Mbits/sec"), (996_224, " 996 Kbits/sec"), (1_007_808, "1.01 Mbits/sec")]
)
def test_rate(value: int, text: str) -> None:
    assert rate(value) == text


def test_a_line_of_a_sender() -> None:
    """As printed by iperf 3.12."""
    line = Interval(0, 1, 2_621_440, 0, 279_552).sending(5, udp=False)
    assert line == "[  5]   0.00-1.00   sec  2.50 MBytes  21.0 Mbits/sec    0    273 KBytes       \n"
