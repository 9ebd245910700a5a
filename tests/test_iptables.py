"""iptables says what the real one says (1.8.9, nf_tables): recorded answers, in order (`tests/record_iptables.py`)."""

from __future__ import annotations

import json
import re
from difflib import unified_diff
from pathlib import Path
from typing import Any

from tests.test_tool_ip import Shell

FOLDER = Path(__file__).parent / "golden/netfilter"
ANSWERS = [json.loads(line) for line in (FOLDER / "answers.jsonl").read_text().splitlines()]


def plain(text: str) -> str:
    """Without dates."""
    return re.sub(r"(?m)^(# \w+ .*on|# Completed on) .*$", r"\1", text)


def test_a_reset_is_only_for_tcp() -> None:
    """As both kernels have it (reject_tg_check); nf_tables tells it so."""
    shell = Shell()
    reject = "-j REJECT --reject-with tcp-reset"
    failed = "iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain FORWARD\n"
    for proto in ("", "-p udp ", "! -p tcp "):
        assert shell.run(f"iptables -A FORWARD {proto}{reject}") == (4, "", failed)
    assert shell.run(f"iptables -A FORWARD -p tcp {reject}") == (0, "", "")


def differences(theirs: dict[str, Any], status: int, out: str, err: str) -> str:
    """One command's answers, side by side."""
    mine = f"{plain(out)}{err}[{status}]"
    real = f"{plain(theirs['out'])}{theirs['err']}[{theirs['status']}]"
    return "\n".join([f"$ {theirs['cmd']}", *unified_diff(real.splitlines(), mine.splitlines(), n=0, lineterm="")])


def test_answers_are_those_of_the_real_one() -> None:
    shell, wrong = Shell(), []
    for answer in ANSWERS:
        status, out, err = shell.run(answer["cmd"])
        if (status, plain(out), err) != (answer["status"], plain(answer["out"]), answer["err"]):
            wrong.append((answer, status, out, err))
    assert not wrong, f"{len(wrong)} of {len(ANSWERS)}\n" + "\n".join(differences(*each) for each in wrong)


def test_options_of_a_target_may_be_shortened() -> None:
    """As getopt_long has it: `--to` is what scripts write."""
    shell = Shell()
    for line in ("PREROUTING -p tcp -j DNAT --to 1.2.3.4:80", "PREROUTING -p tcp -j REDIRECT --to 8000",
                 "POSTROUTING -j SNAT --to=1.2.3.4"):  # fmt: skip
        assert shell.run(f"iptables -t nat -A {line}") == (0, "", "")
    rules = [line for line in shell.run("iptables -t nat -S")[1].splitlines() if line.startswith("-A")]
    assert rules == [
        "-A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80",
        "-A PREROUTING -p tcp -j REDIRECT --to-ports 8000",
        "-A POSTROUTING -j SNAT --to-source 1.2.3.4",
    ]
    assert shell.run("iptables -t nat -A POSTROUTING -j MASQUERADE --nosuch 1")[0] == 2


def test_several_addresses_are_several_rules() -> None:
    """As iptables 1.8.9 did: appended sources first, inserted the other way round; nothing done by halves."""
    shell = Shell()
    assert shell.run("iptables -A INPUT -s 1.1.1.1,2.2.2.2 -d 3.3.3.3,4.4.4.0/24 -j DROP") == (0, "", "")
    assert shell.run("iptables -I INPUT -s 5.5.5.5,6.6.6.6 -j ACCEPT") == (0, "", "")
    assert shell.run("iptables -S INPUT")[1].splitlines()[1:] == [
        "-A INPUT -s 6.6.6.6/32 -j ACCEPT", "-A INPUT -s 5.5.5.5/32 -j ACCEPT",
        "-A INPUT -s 1.1.1.1/32 -d 3.3.3.3/32 -j DROP", "-A INPUT -s 1.1.1.1/32 -d 4.4.4.0/24 -j DROP",
        "-A INPUT -s 2.2.2.2/32 -d 3.3.3.3/32 -j DROP", "-A INPUT -s 2.2.2.2/32 -d 4.4.4.0/24 -j DROP",
    ]  # fmt: skip
    before = shell.run("iptables -S INPUT")
    assert shell.run("iptables -C INPUT -s 5.5.5.5,6.6.6.6 -j ACCEPT")[0] == 0
    assert shell.run("iptables -C INPUT -s 5.5.5.5,6.6.6.7 -j ACCEPT")[0] == 1
    for words, said in (
        ("-A INPUT ! -s 5.5.5.5,6.6.6.6", "! not allowed with multiple source or destination IP addresses"),
        ("-R INPUT 1 -s 5.5.5.5,6.6.6.6", "Replacement rule does not specify a unique address"),
        ("-A INPUT -s 5.5.5.5,", "host/network `' not found"),
    ):
        status, _, err = shell.run(f"iptables {words} -j ACCEPT")
        assert (status, err.splitlines()[0]) == (2, f"iptables v1.8.9 (nf_tables): {said}")
    assert shell.run("iptables -S INPUT") == before
    assert shell.run("iptables -D INPUT -s 5.5.5.5,6.6.6.6 -j ACCEPT")[0] == 0
    assert len(shell.run("iptables -S INPUT")[1].splitlines()) == 5
