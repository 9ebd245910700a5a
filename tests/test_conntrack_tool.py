"""conntrack: what it lists, counts, deletes and refuses, as conntrack-tools 1.4.7 did on Linux 6.18."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from simvlan.lab import Lab

FOLDER = Path(__file__).parent / "conntrack"
SCRIPT = (FOLDER / "table.sh").read_text()
NETWORK = SCRIPT.partition("exec 2>&1")[0]


def tidy(text: str) -> list[str]:
    """Lines without what a clock or chance decides; entries that follow each other have no order."""
    text = re.sub(r"=(3[2-9]|[4-6]\d)\d{3}\b", "=PORT", re.sub(r" id=\d+", " id=ID", text))
    text = re.sub(r"(?m) use=\d$", " use=N", text)
    text = re.sub(r"(?m)^((?:ipv4     2 )?\w+ +\d+) \d+ ", r"\1 SECONDS ", text)
    groups = groupby(text.splitlines(), key=lambda line: " src=" in line)
    return [line for entries, lines in groups for line in (sorted(lines) if entries else lines)]


def test_it_prints_what_the_real_one_printed() -> None:
    said = tidy(Lab(seed=1).sh(SCRIPT).stdout)
    assert said == (FOLDER / "table.out").read_text().splitlines()


@pytest.fixture
def lab() -> Lab:
    made = Lab(seed=1)
    made.sh(NETWORK + "\n$R iptables -t nat -A POSTROUTING -o vb -j MASQUERADE\nip netns exec cta ping -c1 10.0.2.2")
    return made


def test_entries_go_when_their_time_is_over(lab: Lab) -> None:
    assert lab.command("conntrack", "-C", netns="ctr").stdout == "1\n"
    lab.run(until=lab.now + 31 * 10**9)
    assert lab.command("conntrack", "-C", netns="ctr").stdout == "0\n"


def test_a_deleted_connection_is_begun_anew_by_its_next_packet(lab: Lab) -> None:
    """What was DNATed before a rule came is, once its entry is gone (what people delete entries for)."""
    lab.sh(
        "ip -n ctb addr add 10.0.2.3/24 dev eth0; ip netns exec ctb nc -ukl 7 >/tmp/none & "
        "S='udp(sport=9,dport=7)'; ip netns exec cta nc -u -p 9 -w1 10.0.2.2 7 <<<a;"
        "ip netns exec ctr iptables -t nat -A PREROUTING -i va -p udp -j DNAT --to-destination 10.0.2.3;"
        "ip netns exec cta nc -u -p 9 -w1 10.0.2.2 7 <<<b; kill %1"
    )
    shown = ("conntrack", "-L", "-p", "udp")
    assert " src=10.0.2.2 " in lab.command(*shown, netns="ctr").stdout
    assert lab.command("conntrack", "-D", "-p", "udp", "--dport", "7", netns="ctr").exit == 0
    lab.sh("ip netns exec cta nc -u -p 9 -w1 10.0.2.2 7 <<<c")
    assert " src=10.0.2.3 " in lab.command(*shown, netns="ctr").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [("-E", "events"), ("-G", "get"), ("-L -m 1", "marks"), ("-L -o xml", "-o extended"), ("-L -u UNSET", "ASSURED"),
     ("-L dying", "the table dying"), ("-S", "statistics"), ("-D expect", "of expectations")],
)  # fmt: skip
def test_what_is_not_built_is_refused_by_name(lab: Lab, words: str, said: str) -> None:
    done = lab.command("conntrack", *words.split(), netns="ctr")
    assert (done.exit, done.stdout) == (95, "")
    assert said in done.stderr
    assert lab.command("conntrack", "-C", netns="ctr").stdout == "1\n"
