"""The Docker examples print what is committed (ids and generated MACs masked); what they must show was taken from the
recorded engine and the tutorial itself, not from our output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dockersim.served import DOCKER

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker command of version 28 or later is installed")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIMVLAN = Path(sys.executable).parent / "simvlan"
SCRIPTS = sorted(EXAMPLES.glob("docker-*.sh"))
OVERLAP = "Pool overlaps with other one on this address space"


def masked(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)
    return re.sub(r"\b[0-9a-f][26ae](?::[0-9a-f]{2}){5}\b", "MAC", text)


def output(script: Path) -> str:
    done = subprocess.run([SIMVLAN, "run", script], capture_output=True, text=True, timeout=180, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_output_is_the_committed_one(script: Path) -> None:
    assert masked(output(script)) == masked(script.with_suffix(".out").read_text())


def answers(text: str) -> list[tuple[str, bool]]:
    """Every ping of an output: whom, and whether anybody answered."""
    found = re.findall(r"^--- (\S+) ping statistics ---\n\d+ packets transmitted, (\d+)", text, re.MULTILINE)
    return [(whom, count != "0") for whom, count in found]


def committed(name: str) -> str:
    return (EXAMPLES / f"{name}.out").read_text()


def test_the_tutorial_of_2016() -> None:
    text = committed("docker-macvlan-tutorial")
    assert OVERLAP not in text
    assert "02:42:c0:a8:0b:02" in text  # the MAC is made of the address
    assert [good for _, good in answers(text)] == [True, False, True, True, True, False, False]


def test_the_modern_tutorial() -> None:
    text = committed("docker-macvlan-modern")
    assert text.count(f"Error response from daemon: invalid pool request: {OVERLAP}") == 1
    assert "default via 192.168.11.0 dev eth0" in text  # the guessed gateway, as recorded
    assert [good for _, good in answers(text)] == [True, True, True, False, False]
    assert "eth1.100" not in text.rpartition("== between the VLANs")[2]  # the engine's links go with its networks


def test_ipvlan() -> None:
    text = committed("docker-ipvlan-tutorial")
    assert [good for _, good in answers(text)] == [True, True, True, False, True]
    assert "default dev eth0 scope link" in text
    assert "is already using parent interface eth1.100" in text


def test_confusions() -> None:
    text = committed("docker-confusions")
    for said in (
        "OWN_CHILD", "VSWITCH_NOT_PROMISCUOUS", OVERLAP, "failed to create the ipvlan port: device or resource busy",
        "invalid subinterface vlan name eth5, example formatting is eth0.10",
        "-o parent interface was not found on the host: eth5", 'web ""',
    ):  # fmt: skip
        assert said in text


def test_every_example_has_an_output() -> None:
    assert {path.stem for path in EXAMPLES.glob("docker-*.out")} == {path.stem for path in SCRIPTS}
