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
