"""curl, wget and python3 -m http.server say what the real ones said; recorded in `tests/http/`, line by line.

Record again (as root, on this machine's kernel): `python tests/test_tool_http.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from simvlan.lab import Lab
from simvlan.tools.http.curl_text import clock, size5
from simvlan.tools.http.python_server import PythonVisit
from simvlan.tools.http.url import BadUrl, parse
from simvlan.tools.http.wget_text import decimal, eta, human, rate
from simvlan.tools.program import Process

HTTP = Path(__file__).parent / "http"
MASKS = (
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"\[\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d\]", "[TIME]"),
    (r"Python/3\.\d+\.\d+", "Python/3"),
    (r"\d+( ms\b|ms,| milliseconds)", r"N\1"),
    (r"\(\d[\d.]* [KMG]?B/s\)", "(RATE)"),
    (r"(\d%|K {56}) *[\d.]+[KMG]?([ =])[\d.]+s", r"\1 RATE\2"),
    (r"(?m)^(.*Received % Xferd.*\$\n.*\n)\^M.*(\^M[^^\n]{31}).*(?=\$$)", r"\1\2"),
)
"""Dates, rates and what a clock says; of curl's meter, the last line's counts stay, however often it was drawn."""


def normal(text: str) -> str:
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return text


@pytest.mark.parametrize("name", ["curl", "wget"])
def test_every_line_is_the_real_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    script = (HTTP / f"{name}.sh").read_text().replace('$(dirname "$0")', str(HTTP))
    got = normal(Lab().sh(script).stdout)
    for ours, theirs in zip(got.split("\n== "), (HTTP / f"{name}.txt").read_text().split("\n== "), strict=True):
        assert ours == theirs


STAGE = """
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
cd "$(mktemp -d)"
"""


def said(script: str) -> str:
    return Lab().sh(STAGE + script).stdout


def test_names_are_found_in_hosts_and_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simvlan.tools.names.NETNS_ETC", str(tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a/hosts").write_text("10.9.0.2 known\n")
    (tmp_path / "a/resolv.conf").write_text("nameserver 10.9.0.2\n")
    out = said("""
        ip netns exec b dnsmasq -k -p 53 --host-record=asked.lan,10.9.0.2 2> /dev/null &
        echo yes > f; ip netns exec b python3 -m http.server 80 > /dev/null 2>&1 & sleep 1
        for name in known asked.lan missing.lan; do ip netns exec a curl -sS http://$name/f 2>&1; echo $?; done
        kill %1 %2
    """)
    assert out == "yes\n0\nyes\n0\ncurl: (6) Could not resolve host: missing.lan\n6\n"


def test_retries_wait_for_a_server_that_is_slow_to_come() -> None:
    out = said("""
        (sleep 4; echo up > f; exec ip netns exec b python3 -m http.server 80) > /dev/null 2>&1 &
        ip netns exec a curl -s -S --retry 5 --retry-connrefused http://10.9.0.2/f 2>&1; echo $?; kill %1
    """)
    warning = "Warning: Problem: connection refused. Will retry in {} second{}. {} retries left.\n"
    assert [line for line in out.splitlines(keepends=True) if "retries" in line] == [
        warning.format(1, "", 5), warning.format(2, "s", 4), warning.format(4, "s", 3)
    ]  # fmt: skip
    assert out.endswith("up\n0\n")


def test_curl_counts_the_kernel_s_timeout_as_one() -> None:
    """Linux gives up the SYN after tcp_syn_retries: ETIMEDOUT is 28, a refusal stays 7 (curl 7.88.1)."""
    lab = Lab(seed=1)
    said = lab.sh(
        "ip link set lo up; ip link add e0 type veth peer name e1; ip addr add 10.0.0.1/24 dev e0;"
        "ip link set e0 up; ip link set e1 up; ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev e0;"
        "sysctl -qw net.ipv4.tcp_syn_retries=1; exec 2>&1;"
        "curl -sS http://10.0.0.9/; echo $?; curl -sS http://10.0.0.1:81/; echo $?"
    ).stdout
    assert said == (
        "curl: (28) Failed to connect to 10.0.0.9 port 80 after 3000 ms: Couldn't connect to server\n28\n"
        "curl: (7) Failed to connect to 10.0.0.1 port 81 after 0 ms: Couldn't connect to server\n7\n"
    )


def test_two_at_once_do_not_wait_for_each_other() -> None:
    """One client holds its connection open and says nothing; another is served all the same."""
    out = said("""
        echo hello > f; ip netns exec b python3 -m http.server 80 > /dev/null 2>&1 & sleep 1
        ip netns exec a nc 10.9.0.2 80 < <(sleep 20) & sleep 1
        ip netns exec a curl -s -m 3 http://10.9.0.2/f; echo $?; kill %1 %2
    """)
    assert out == "hello\n0\n"


def test_the_real_python_is_still_there() -> None:
    out = said("""python3 -c 'print(6 * 7)'; python3 -m json.tool --compact <<< '{"a": 1}'; echo 'print(1)' | python3 -
        ip netns exec a python3 -c 'import os; print(os.environ["SIMVLAN_NETNS"])'; python3 -m http.server --help""")
    assert out.splitlines()[:4] == ["42", '{"a":1}', "1", "a"]
    assert out.splitlines()[4].startswith("usage: server.py")


def test_a_request_in_pieces_is_answered_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    proc = Process(["http.server"], Lab())
    visit = PythonVisit(proc, str(tmp_path), "10.0.0.1")
    assert visit.hear(b"GET /f HT") == visit.hear(b"TP/1.0\r\nHost: x\r\n") == []
    assert not visit.closing
    head, body = visit.hear(b"\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert (body, visit.closing) == (b"hello", True)
    assert proc.err == ['10.0.0.1 - - [01/Jan/1970 00:00:00] "GET /f HTTP/1.0" 200 -\n']
    nonsense = PythonVisit(proc, str(tmp_path), "10.0.0.1")
    assert nonsense.hear(b"a b c d\r\n")[0].startswith(b"<!DOCTYPE HTML>")  # HTTP/0.9: no head


REFUSED = {
    "curl --http2 http://x/": "simvlan: curl --http2 is not built (docs/hosts.md says what is)\n2\n",
    "curl -F a=b http://x/": "simvlan: curl -F is not built (docs/hosts.md says what is)\n2\n",
    "curl https://x/": "simvlan: curl: https:// is not built; http:// is\n2\n",
    "wget -r http://x/": "simvlan: wget -r is not built (docs/hosts.md says what is)\n2\n",
    "wget --mirror http://x/": "simvlan: wget --mirror is not built (docs/hosts.md says what is)\n2\n",
    "wget https://x/": "simvlan: wget: https:// is not built; http:// is\n2\n",
    "python3 -m http.server --cgi": "simvlan: http.server --cgi is not built (docs/hosts.md says what is)\n2\n",
}


def test_what_is_not_built_is_refused_by_name() -> None:
    lines = "".join(f"{command} 2>&1; echo $?\n" for command in REFUSED)
    assert Lab().sh(lines).stdout == "".join(REFUSED.values())


@pytest.mark.parametrize(
    ("text", "url"),
    [("h", "http://h/"), ("http://h:80?x=1#y", "http://h/?x=1"), ("HTTP://u@h:81/a/b", "http://h:81/a/b")],
)
def test_urls(text: str, url: str) -> None:
    assert str(parse(text)) == url


@pytest.mark.parametrize("text", ["http://h:x/", "http:///", "http://h:70000/", "ftp://h/", "http://a b/"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(BadUrl):
        parse(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(99_999, "99999"), (100_000, "  97k"), (10_240_000, " 9.7M"), (104_857_600, " 100M"), (10_485_760_000, " 9.7G")],
)
def test_sizes_of_curl_s_meter(count: int, text: str) -> None:
    """max5data of lib/progress.c; its bounds are 100000, 10000k, 100M, 10000M."""
    assert size5(count) == text


def test_times_and_rates() -> None:
    assert [clock(s) for s in (0, 61, 360_000)] == ["--:--:--", " 0:01:01", "  4d 04h"]
    assert [decimal(s) for s in (0, 0.0007, 0.0123, 0.96, 9.94, 9.96)] == ["0", "0.001", "0.01", "1.0", "9.9", "10"]
    assert [human(n) for n in (6, 2048, 200_000)] == ["6", "2.0K", "195K"]
    assert [eta(s) for s in (0.4, 99, 100)] == ["0s", "99s", "1m40s"]
    assert rate(6, 9_360_000) == "641 B/s"


def record() -> None:
    for name in ("curl", "wget"):
        command = ["simvlan", "run", "--on", "host", str(HTTP / f"{name}.sh")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        (HTTP / f"{name}.txt").write_text(normal(done.stdout))
        sys.stderr.write(done.stderr)


if __name__ == "__main__":
    record()


def test_curl_s_options_are_taken_refused_by_name_or_unknown() -> None:
    lab = Lab(seed=1)
    lab.sh("ip link set lo up")
    said = {"--proto =http": "simvlan: curl --proto is not built",
            "--proxy-user a:b": "simvlan: curl --proxy-user is not built",
            "--nosuch": "curl: option --nosuch: is unknown", "--noproxy *": "curl: (7) Failed to connect"}  # fmt: skip
    for words, text in said.items():
        done = lab.command("curl", "-sS", *words.split(), "http://127.0.0.1:9/")
        assert done.stderr.startswith(text), done
