"""Every example prints on the simulator what Linux printed (examples/*.out, recorded on a real kernel)."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SIMVLAN = Path(sys.executable).parent / "simvlan"


def scripts() -> list[Path]:
    """Those of Docker are in tests/dockersim/test_docker_examples.py."""
    found = [*EXAMPLES.glob("*.sh"), *EXAMPLES.glob("hosts/*.sh")]
    return sorted(p for p in found if p.name != "check.sh" and not p.name.startswith("docker-"))


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(SIMVLAN), "run", *options, str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("script", scripts(), ids=lambda p: p.stem)
def test_example(script: Path) -> None:
    done = run(script)
    assert done.stderr == ""
    assert done.stdout == script.with_suffix(".out").read_text()
    assert done.returncode == 0


def test_every_example_has_an_output_and_every_output_a_script() -> None:
    outputs = [*EXAMPLES.glob("*.out"), *EXAMPLES.glob("hosts/*.out")]
    assert {p.stem for p in outputs if not p.name.startswith("docker-")} == {p.stem for p in scripts()}


def test_an_example_whose_expectation_is_wrong_fails(tmp_path: Path) -> None:
    """The negative twin: turn one `yes` of the main job into `no` and the script says so by its exit status."""
    (tmp_path / "check.sh").write_text((EXAMPLES / "check.sh").read_text())
    text = (EXAMPLES / "two-nodes.sh").read_text()
    wrong = tmp_path / "two-nodes.sh"
    wrong.write_text(text.replace("check yes n1-100-a", "check no n1-100-a", 1))
    assert run(wrong).returncode == 1


def test_the_same_seed_gives_the_same_captures(tmp_path: Path) -> None:
    """Two runs of the main job, byte for byte; another seed gives other generated addresses."""

    def captures(name: str, seed: int) -> dict[str, bytes]:
        folder = tmp_path / name
        done = run(EXAMPLES / "two-nodes.sh", "--seed", str(seed), "--pcap", str(folder))
        assert done.returncode == 0
        return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}

    first = captures("first", 7)
    assert "node-1.eth1.pcap" in first
    assert first == captures("again", 7)
    assert first != captures("other", 8)
