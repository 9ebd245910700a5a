"""Experiments at quick size: every claim of every answer holds; figures with an independent reason are checked.

Each experiment runs once, as its one command does it, in this process.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NAMES = ("mac-table", "broadcast")


def load(name: str) -> ModuleType:
    path = ROOT / "experiments" / name / "run.py"
    spec = importlib.util.spec_from_file_location(f"experiment_{name.replace('-', '_')}", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what an experiment left: (exit status, folder); each runs once."""
    done: dict[str, tuple[int, Path]] = {}

    def once(name: str) -> tuple[int, Path]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            done[name] = load(name).main(["--results", str(folder), "--workers", "1"]), folder / name
        return done[name]

    return once


def table(folder: Path, part: str = "results") -> Any:
    import pandas

    return pandas.read_csv(folder / f"{part}.csv")


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_holds_at_quick_size(run, name, capsys):
    status, folder = run(name)
    page = (folder / "README.md").read_text()
    assert status == 0, page
    assert "Not so in this run" not in page
    assert "**Question.**" in page
    assert "**Answer.**" in page
    for picture in folder.glob("*.png"):
        assert f"({picture.name})" in page
    assert (folder / "manifest.json").exists()
    assert list(folder.glob("*.csv"))
    assert list(folder.glob("*.png"))


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_run_is_the_full_one_and_all_its_claims_hold(name):
    folder = ROOT / "results" / name
    page = (folder / "README.md").read_text()
    assert f"python experiments/{name}/run.py --full --seed 1" in page
    assert "Not so in this run" not in page
    assert f'"python experiments/{name}/run.py --full --seed 1"' in (folder / "manifest.json").read_text()
    assert str(ROOT) not in page + (folder / "manifest.json").read_text()


def test_mac_table_learns_what_there_is(run):
    """A MAC a container, or a node; a table of S of n MACs floods n - S of n unicasts, within sampling error."""
    _, folder = run("mac-table")
    sizes, overflow = table(folder, "sizes"), table(folder, "overflow")
    for row in sizes.itertuples():
        assert row.learned == (row.nodes if row.driver == "ipvlan l2" else row.nodes * row.containers)
    crowded = overflow[(overflow.macs > overflow.table) & (overflow.driver != "ipvlan l2")]
    assert len(crowded) >= 2
    for row in crowded.itertuples():
        assert row.flooded == pytest.approx(1 - row.table / row.macs, abs=0.03)
        assert row.copies == pytest.approx(1 + row.flooded * (row.nodes - 2))
    assert (overflow[overflow.driver == "macvlan bridge"].strangers == 0).all()


def test_a_claim_that_does_not_hold_is_told(run):
    """Doctored data: the claims look at them."""
    _, folder = run("mac-table")
    module = load("mac-table")
    sizes, overflow = table(folder, "sizes"), table(folder, "overflow")
    assert all(claim.holds for claim in module.claims(sizes, overflow))
    assert not all(claim.holds for claim in module.claims(sizes.assign(learned=sizes.learned + 1), overflow))
    assert not all(claim.holds for claim in module.claims(sizes, overflow.assign(flooded=0.0)))
    assert not all(claim.holds for claim in module.claims(sizes, overflow.assign(strangers=0.5)))


def test_broadcast_copies(run):
    """S9: a clone for every macvlan; none that grows with ipvlan l3."""
    frame = table(run("broadcast")[1])
    for row in frame.itertuples():
        expected = {"vlan": 1, "ipvlan l3": 1, "ipvlan l3s": 0, "macvlan source": 0}.get(row.driver, row.containers)
        assert row.copies == row.walked == expected, row
    steps = frame[frame.driver == "macvlan bridge"].set_index("containers").steps
    assert steps[100] - steps[10] == 90
    assert frame[frame.driver == "ipvlan l3"].steps.nunique() == 1
