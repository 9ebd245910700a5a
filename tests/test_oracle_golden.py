"""The golden recordings belong to the scripts beside them, and name nothing of the machine they were made on."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

GOLDEN = Path(__file__).parent / "golden"
TOPICS = sorted(path.stem for path in (GOLDEN / "scripts").glob("*.txt"))


def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_record", GOLDEN / "record.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("topic", TOPICS)
def test_recording_is_of_the_committed_script(topic: str) -> None:
    record = recorder()
    wanted = record.parse((GOLDEN / "scripts" / f"{topic}.txt").read_text(), record.macros())
    found: dict[str, list[str]] = {}
    for line in (GOLDEN / "iproute2" / f"{topic}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["script_id"], []).append(entry["cmd"])
    assert found == {f"{topic}/{name}": commands for name, commands in wanted.items()}


@pytest.mark.parametrize("topic", TOPICS)
def test_recording_names_no_place_of_the_recording_machine(topic: str) -> None:
    text = (GOLDEN / "iproute2" / f"{topic}.jsonl").read_text()
    assert "simvlan-kernel-" not in text
    assert "simvlan-golden-" not in text


def test_macros_take_their_words() -> None:
    scripts = recorder().parse("=== s\n@m -n c1\nplain\n# comment\n", {"m": ["ip {} link", "ip {} addr"]})
    assert scripts == {"s": ["ip -n c1 link", "ip -n c1 addr", "plain"]}
