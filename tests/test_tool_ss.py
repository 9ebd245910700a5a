"""ss: what it lists of programs' sockets, as iproute2 6.1's did on Linux 6.18, and what it refuses."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from simvlan.lab import Lab

FOLDER = Path(__file__).parent / "ss"


def tidy(text: str) -> list[str]:
    """Lines without numbers that are drawn; sockets that follow each other have no order."""
    text = re.sub(r"pid=\d+", "pid=PID", re.sub(r":(?:3[2-9]|[45]\d)\d{3}\b", ":EPORT", text))
    groups = groupby(text.splitlines(), key=lambda line: bool(re.search(r"(\d|\*|\])%?\w*:", line)))
    lines = [line for sockets, group in groups for line in (sorted(group) if sockets else group)]
    return [line.rstrip() for line in lines]


def test_it_prints_what_the_real_one_printed() -> None:
    said = tidy(Lab(seed=1, ipv6=True).sh((FOLDER / "sockets.sh").read_text()).stdout)
    assert said == tidy((FOLDER / "sockets.out").read_text())
    assert sum("users:((" in line for line in said) > 30


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-l"], 95, "simvlan: ss: say -t, -u or both"),
        (["-tlni"], 95, "simvlan: ss -i is not modelled"),
        (["--summary"], 95, "simvlan: ss --summary is not modelled"),
        (["-A", "unix"], 95, "simvlan: ss -A unix is not modelled"),
        (["-tln", "dev", "=", "eth0"], 95, "simvlan: ss: a filter by 'dev' is not modelled"),
        (["-tln", "src", "www"], 95, "simvlan: ss: 'www' is no address"),
        (["--foo"], 255, "ss: unrecognized option '--foo'\nUsage: ss [ OPTIONS ]"),
        (["-tly"], 255, "ss: invalid option -- 'y'\nUsage: ss [ OPTIONS ]"),
        (["-tln", "sport"], 255, 'ss: bison bellows (while parsing filter): "syntax error!" Sorry.\nUsage: ss'),
        (["-tln", "(", "sport", "=", ":1"], 255, 'ss: bison bellows (while parsing filter): "syntax error!"'),
    ],
)
def test_what_is_refused(words: list[str], status: int, said: str) -> None:
    answer = Lab(seed=1).command("ss", *words)
    assert (answer.exit, answer.stdout) == (status, "")
    assert answer.stderr.startswith(said)
