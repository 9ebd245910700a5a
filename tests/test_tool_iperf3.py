"""iperf3: what a path carries, in its text and JSON; the lines and keys are those iperf 3.12 printed on Linux."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from simvlan.lab import Lab
from simvlan.tools.iperf.json import printed
from simvlan.tools.iperf.text import Interval, octets, rate
from tests.test_tool_nc import TWO

CABLE = "for n in a b; do ip netns exec $n tc qdisc add dev eth0 root netem delay 1ms rate 20mbit; done\n"
PAYLOAD = 1448 / 1514
"""What of a 20 Mb/s link of full frames is payload."""


def run(script: str) -> str:
    return Lab().sh(TWO + CABLE + script).stdout


@cache
def both(client: str, server: str = "") -> tuple[str, str]:
    """What a client and its server printed."""
    test = f"b iperf3 -s -1 {server} > server & sleep 1; a iperf3 -c 10.9.0.2 {client} 2>&1; wait"
    out = run(f"{test}; echo '###'; cat server")
    mine, _, theirs = out.partition("###\n")
    return mine, theirs


def shape(text: str) -> list[str]:
    """Lines with their numbers taken out: what is left is layout."""
    text = re.sub(r"\d+\.\d+|\d+", "N", text)
    return [re.sub(r"[KMG]?(bits/sec|Bytes)", r"\1", re.sub(r" +", " ", line)).rstrip() for line in text.splitlines()]


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


TWO_STREAMS = """\
Connecting to host 10.9.0.2, port 5201
[  5] local 10.9.0.1 port 40226 connected to 10.9.0.2 port 5201
[  7] local 10.9.0.1 port 40242 connected to 10.9.0.2 port 5201
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec   452 MBytes  3.78 Gbits/sec  279    339 KBytes       
[  7]   0.00-1.00   sec   466 MBytes  3.90 Gbits/sec   51    345 KBytes       
[SUM]   0.00-1.00   sec   918 MBytes  7.68 Gbits/sec  330             
- - - - - - - - - - - - - - - - - - - - - - - - -
[  5]   1.00-2.00   sec   476 MBytes  3.99 Gbits/sec    6    930 KBytes       
[  7]   1.00-2.00   sec   370 MBytes  3.10 Gbits/sec    2    848 KBytes       
[SUM]   1.00-2.00   sec   846 MBytes  7.09 Gbits/sec    8             
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-2.00   sec   928 MBytes  3.88 Gbits/sec  285             sender
[  5]   0.00-2.01   sec   927 MBytes  3.87 Gbits/sec                  receiver
[  7]   0.00-2.00   sec   836 MBytes  3.50 Gbits/sec   53             sender
[  7]   0.00-2.01   sec   835 MBytes  3.48 Gbits/sec                  receiver
[SUM]   0.00-2.00   sec  1.72 GBytes  7.38 Gbits/sec  338             sender
[SUM]   0.00-2.01   sec  1.72 GBytes  7.35 Gbits/sec                  receiver

iperf Done.
"""  # noqa: W291
REVERSE = """\
Connecting to host 10.9.0.2, port 5201
Reverse mode, remote host 10.9.0.2 is sending
[  5] local 10.9.0.1 port 40266 connected to 10.9.0.2 port 5201
[ ID] Interval           Transfer     Bitrate
[  5]   0.00-1.00   sec   883 MBytes  7.39 Gbits/sec                  
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-1.01   sec  1.56 GBytes  6.68 Gbits/sec  1450             sender
[  5]   0.00-1.01   sec  1.56 GBytes  6.67 Gbits/sec                  receiver

iperf Done.
"""  # noqa: W291
REVERSE_SERVER = """\
-----------------------------------------------------------
Server listening on 5201 (test #1)
-----------------------------------------------------------
Accepted connection from 10.9.0.1, port 40252
[  5] local 10.9.0.2 port 5201 connected to 10.9.0.1 port 40266
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec   893 MBytes  7.47 Gbits/sec    4    461 KBytes       
[  5]   1.00-1.01   sec  2.50 MBytes  3.24 Gbits/sec    0   2.57 MBytes       
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-1.01   sec  1.56 GBytes  6.68 Gbits/sec  1450             sender
"""  # noqa: W291
BIDIR = """\
Connecting to host 10.9.0.2, port 5201
[  5] local 10.9.0.1 port 53194 connected to 10.9.0.2 port 5201
[  7] local 10.9.0.1 port 39569 connected to 10.9.0.2 port 5201
[ ID][Role] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams
[  5][TX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec            87  
[  7][RX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec  0.016 ms  0/87 (0%)  
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID][Role] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams
[  5][TX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec  0.000 ms  0/87 (0%)  sender
[  5][TX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec  0.012 ms  0/87 (0%)  receiver
[  7][RX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec  0.000 ms  0/87 (0%)  sender
[  7][RX-C]   0.00-1.00   sec   123 KBytes  1.01 Mbits/sec  0.016 ms  0/87 (0%)  receiver

iperf Done.
"""  # noqa: W291


def test_the_layout_is_the_real_one_s() -> None:
    """Printed by iperf 3.12 on Linux 6.18; only the numbers differ."""
    assert shape(both("-t 2 -P 2")[0]) == shape(TWO_STREAMS)
    assert shape(both("-t 1 -R")[0]) == shape(REVERSE)
    assert shape(both("-t 1 -R")[1]) == shape(REVERSE_SERVER)
    assert shape(both("-t 1 -u -b 1M --bidir")[0]) == shape(BIDIR)


def test_two_streams_share_the_path_and_add_up() -> None:
    line = r"^\[(  5|  7|SUM)\]   0\.00-2\.\d+ +sec +\S+ \wBytes +(\S+) Mbits/sec +receiver$"
    rows = re.findall(line, both("-t 2 -P 2")[0], re.M)
    five, seven, total = (float(found) for _, found in rows)
    assert five + seven == pytest.approx(total, rel=0.02)
    assert total == pytest.approx(20 * PAYLOAD, rel=0.05)


def test_both_directions_at_once() -> None:
    found = json.loads(both("-t 2 --bidir -J")[0])
    for name in ("sum_received", "sum_received_bidir_reverse"):
        # Acknowledgements wait behind the other direction's data: neither way is full, together they are more than one.
        assert 0.6 * 20e6 < found["end"][name]["bits_per_second"] < 20e6 * PAYLOAD * 1.01
    assert [s["sender"] for s in found["intervals"][0]["streams"]] == [True, False]


CLIENT_KEYS = {
    "start": "connected version system_info timestamp connecting_to cookie tcp_mss_default target_bitrate sock_bufsize"
    " sndbuf_actual rcvbuf_actual test_start",
    "end": "streams sum_sent sum_received cpu_utilization_percent sender_tcp_congestion receiver_tcp_congestion",
    "interval": "socket start end seconds bytes bits_per_second retransmits snd_cwnd snd_wnd rtt rttvar"
    " pmtu omitted sender",
    "sender": "socket start end seconds bytes bits_per_second retransmits max_snd_cwnd max_snd_wnd max_rtt"
    " min_rtt mean_rtt sender",
    "receiver": "socket start end seconds bytes bits_per_second sender",
}
SERVER_KEYS = {
    "start": "connected version system_info sock_bufsize sndbuf_actual rcvbuf_actual timestamp accepted_connection"
    " cookie tcp_mss_default target_bitrate test_start",
    "end": "streams sum_sent sum_received cpu_utilization_percent receiver_tcp_congestion",
    "interval": "socket start end seconds bytes bits_per_second omitted sender",
    "sender": "socket start end seconds bytes bits_per_second sender",
    "receiver": "socket start end seconds bytes bits_per_second sender",
}
"""Keys in order, as iperf 3.12 printed them."""


def keys(found: dict[str, Any]) -> dict[str, str]:
    stream = found["end"]["streams"][0]
    parts = {"start": found["start"], "end": found["end"], "interval": found["intervals"][0]["streams"][0]}
    return {name: " ".join(part) for name, part in (parts | stream).items()}


def test_json_of_both_sides() -> None:
    mine, theirs = both("-t 2 -b 5M -J -C reno", "-J")
    assert keys(json.loads(mine)) == CLIENT_KEYS
    assert keys(json.loads(theirs)) == SERVER_KEYS
    found = json.loads(mine)
    assert found["end"]["sum_sent"]["bits_per_second"] == pytest.approx(5e6, rel=0.1)
    assert found["end"]["sender_tcp_congestion"] == "reno"
    assert [round(i["sum"]["end"]) for i in found["intervals"]] == [1, 2]
    # Two milliseconds of cable, and of a block sent at once up to all of it in the queue.
    assert 2000 < found["intervals"][1]["streams"][0]["rtt"] < 2000 + 131_072 * 8 / 20
    assert mine.startswith('{\n\t"start":\t{\n\t\t"connected":\t[{\n\t\t\t\t"socket":\t5,\n')


def test_numbers_are_written_as_cjson_writes_them() -> None:
    assert printed({"a": [1, {"b": 0.1}], "c": 2.0}) == '{\n\t"a":\t[1, {\n\t\t\t"b":\t0.1\n\t\t}],\n\t"c":\t2\n}'
    assert printed(7650565470.1770525) == "7650565470.1770525"


def test_udp_counts_datagrams() -> None:
    mine, theirs = both("-u -b 1M -t 1")
    assert re.search(r"^\[  5\]   0\.00-1\.00   sec   123 KBytes  1\.01 Mbits/sec  87  $", mine, re.M)
    assert re.search(r"^\[  5\] .*\d\.\d{3} ms  0/87 \(0%\)  receiver$", theirs, re.M)


def test_sizes_instead_of_seconds() -> None:
    assert re.search(r"^\[  5\] .*  1\.00 MBytes .* sender$", both("-n 1M")[0], re.M)
    assert re.search(r"^\[  5\] .*   640 KBytes .* sender$", both("-k 5 -f k")[0], re.M)
    assert re.search(r" +\d{5} Kbits/sec .* sender$", both("-k 5 -f k")[0], re.M)


def test_segments_and_windows_as_told() -> None:
    """-M is what the SYN announces, and half a window of 16 KB lets through what a round trip of 2 ms allows."""
    lab = Lab()
    lab.sh(TWO + CABLE)
    with lab.capture("a/eth0") as packets:
        lab.sh("""ip netns exec b iperf3 -s -1 > /dev/null & sleep 1; ip netns exec a iperf3 -c 10.9.0.2 -n 20K -M 800
            wait""")  # fmt: skip
    told = [dict(p["TCP"].options)["MSS"] for p in packets if "TCP" in p and p["TCP"].flags == "S"]
    assert told == [1460, 800]
    assert max(len(p["TCP"].payload) for p in packets if "TCP" in p) == 800 - 12
    slow = json.loads(both("-t 1 -w 2K -J")[0])
    assert slow["start"]["sndbuf_actual"] == 4096
    assert slow["end"]["sum_received"]["bits_per_second"] < 4096 * 8 / 0.002
    assert both("-w 10M")[0].endswith("iperf3: error - socket buffer size not set correctly\n")


def test_the_server_s_output_comes_along() -> None:
    mine, theirs = both("-t 1 --get-server-output")
    begin = theirs.index("Accepted")
    assert f"\nServer output:\n{theirs[begin:]}\n\niperf Done.\n" in mine


def test_a_busy_server_says_so_and_goes_on() -> None:
    out = run("""
        b iperf3 -s -1 > /dev/null & a iperf3 -c 10.9.0.2 -t 3 > first & sleep 1
        a iperf3 -c 10.9.0.2 2>&1; echo $?; wait; tail -1 first
    """)
    error = "iperf3: error - the server is busy running a test. try again later\n"
    assert out == f"Connecting to host 10.9.0.2, port 5201\n{error}1\niperf Done.\n"


def test_a_path_that_takes_no_time_is_told_of() -> None:
    out = Lab().sh(TWO + "b iperf3 -s -1 > /dev/null 2>&1 & sleep 1; a iperf3 -c 10.9.0.2 2>&1 | tail -1").stdout
    assert out.startswith("simvlan: iperf3: nothing on this path takes time")


REFUSED = {
    "iperf3 -c h -Z": "simvlan: iperf3 -Z is not built (docs/hosts.md says what is)\n",
    "iperf3 -s -V": "simvlan: iperf3 -s -V is not built (docs/hosts.md says what is)\n",
    "iperf3 -c h -u -b 0": "simvlan: iperf3 -u -b 0 is not built: nothing holds datagrams back here; say a rate\n",
    "iperf3": "iperf3: parameter error - must either be a client (-c) or server (-s)\n",
    "iperf3 -c x -s": "iperf3: parameter error - cannot be both server and client\n",
    "iperf3 -s -P 2": "iperf3: parameter error - some option you are trying to set is client only\n",
    "iperf3 -c h -R --bidir": "iperf3: parameter error - cannot be both reverse and bidirectional\n",
}


def test_what_is_wrong_or_not_built() -> None:
    out = Lab().sh("".join(f"{command} 2>&1 | head -1\n" for command in REFUSED)).stdout
    assert out == "".join(REFUSED.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [(2_621_440, "2.50 MBytes"), (125_976, " 123 KBytes"), (279_552, " 273 KBytes"), (0, "0.00 Bytes")],
)
def test_octets(value: int, text: str) -> None:
    assert octets(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(20_971_520, "a", "21.0 Mbits/sec"), (996_224, "a", " 996 Kbits/sec"), (1_007_808, "a", "1.01 Mbits/sec"),
     (6_751_552_000, "k", "6751552 Kbits/sec"), (8_388_608, "M", "1.00 MBytes/sec")],
)  # fmt: skip
def test_rate(value: int, unit: str, text: str) -> None:
    assert rate(value, unit) == text


def test_a_line_of_a_sender() -> None:
    """As printed by iperf 3.12."""
    line = Interval(0, 1, 2_621_440, 0, 279_552, sending=True, number=5).line(udp=False)
    assert line == "[  5]   0.00-1.00   sec  2.50 MBytes  21.0 Mbits/sec    0    273 KBytes       \n"


OMITTED = """\
Connecting to host 10.9.0.2, port 5201
[  5] local 10.9.0.1 port 33120 connected to 10.9.0.2 port 5201
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.02   sec   308 MBytes  2.53 Gbits/sec   61   1.12 MBytes       (omitted)
[  5]   0.00-1.00   sec   439 MBytes  3.68 Gbits/sec  364    973 KBytes
[  5]   1.00-2.00   sec   450 MBytes  3.77 Gbits/sec    2   2.30 MBytes
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-2.99   sec  1.25 GBytes  3.60 Gbits/sec  366             sender
[  5]   0.00-3.00   sec  1.25 GBytes  3.57 Gbits/sec                  receiver

iperf Done.
"""
"""iperf 3.12 -O 1 on Linux 6.18."""
VERBOSE = """\
iperf 3.12
Linux vm 6.18.44 #1 SMP PREEMPT_DYNAMIC @0 x86_64
Control connection MSS 1448
Time: Thu, 01 Jan 1970 00:00:03 GMT
Connecting to host 10.9.0.2, port 5201
      Cookie: q7ercx6xqaiu7fijldixjgc66mf7lnctshii
      TCP MSS: 1448 (default)
[  5] local 10.9.0.1 port 46994 connected to 10.9.0.2 port 5201
Starting Test: protocol: TCP, 1 streams, 131072 byte blocks, omitting 0 seconds, 1 second test, tos 0
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.01   sec   224 MBytes  1.85 Gbits/sec  623    345 KBytes
- - - - - - - - - - - - - - - - - - - - - - - - -
Test Complete. Summary Results:
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-2.01   sec   546 MBytes  2.28 Gbits/sec  671             sender
[  5]   0.00-2.01   sec   542 MBytes  2.26 Gbits/sec                  receiver
CPU Utilization: local/sender 9.0% (0.4%u/8.6%s), remote/receiver 7.1% (0.0%u/7.1%s)
snd_tcp_congestion cubic
rcv_tcp_congestion cubic

iperf Done.
"""
"""iperf 3.12 -V on Linux 6.18."""


def test_the_beginning_may_be_left_out() -> None:
    """Its rows are marked, the clock begins anew, and it is in no sum; both ends do so (-O)."""
    mine, theirs = both("-t 2 -O 1")
    assert shape(mine) == shape(OMITTED)
    assert shape(theirs).count("[ N] N-N sec N Bytes N bits/sec (omitted)") == 1
    sizes = [float(each) for each in re.findall(r"sec  ([0-9.]+) MBytes.*[0-9] [KM]Bytes *(?!\(omitted)$", mine, re.M)]
    assert float(re.findall(r"([0-9.]+) MBytes.*sender", mine)[0]) == pytest.approx(sum(sizes), abs=0.05)
    found = json.loads(both("-t 2 -O 1 -u -b 5M -J")[0])
    assert [each["sum"]["omitted"] for each in found["intervals"]] == [True, False, False]
    assert found["start"]["test_start"]["omit"] == 1
    counted = sum(each["sum"]["packets"] for each in found["intervals"][1:])
    assert counted <= found["end"]["sum"]["packets"] < counted + 20  # the other end's beginning ends a little earlier
    assert found["end"]["sum"]["lost_packets"] == 0
    assert both("-t 2")[0].count("(omitted)") == 0


def test_verbose_says_more() -> None:
    assert [line for line in shape(both("-t 1 -V")[0]) if "Linux" not in line and "Cookie" not in line] == [
        line for line in shape(VERBOSE) if "Linux" not in line and "Cookie" not in line
    ]
    assert "verbose" not in both("-t 1")[0]


def test_a_title_stands_before_each_line() -> None:
    plain, titled = both("-t 1")[0], both("-t 1 -T lab")[0]
    assert titled.splitlines() == [f"lab:  {line}" for line in plain.splitlines()]
    assert json.loads(both("-t 1 -J -T lab")[0])["title"] == "lab"


def test_what_is_said_may_go_behind_a_file() -> None:
    out = run("b iperf3 -s -D; echo before > log; a iperf3 -c 10.9.0.2 -t 1 --logfile log; echo \"[$?]\"; cat log")
    assert out.startswith("[0]\nbefore\nConnecting to host")
    assert out.endswith("iperf Done.\n")
    assert "unable to open log file: No such file" in run("a iperf3 -c 10.9.0.2 --logfile /nosuch/log 2>&1")
