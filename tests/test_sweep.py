"""Sweeps: the same results whoever computes them, nothing lost or computed twice when one is killed, failures told."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed
import pytest

from simvlan.sweep import grid, sweep, work
from simvlan.sweep.record import NAME, Busy, OtherSweep, Record, whole_lines

ROOT = Path(__file__).parent.parent


def reach(containers, mode, seed):
    """A small network of its own: how many of the siblings hear a broadcast."""
    from simvlan import Lab
    from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set

    net = (lab := Lab(seed=seed)).network
    parent = link_add(net, net.netns[""], LinkSpec("veth", "p0", peer=PeerSpec("w0", net.netns[""])))
    for dev in (parent, parent.peer):
        link_set(net, dev, up=True)
    for n in range(containers):
        spec = LinkSpec("macvlan", "eth0", link=parent, info={"mode": mode})
        link_set(net, link_add(net, net.add_netns(f"c{n}"), spec), up=True)
    before = [net.device(f"c{n}/eth0").rx_packets for n in range(containers)]
    lab.send("c0/eth0", bytes.fromhex("ffffffffffff0200000000ff88b5") + bytes(46))
    heard = sum(net.device(f"c{n}/eth0").rx_packets for n in range(containers)) - sum(before)
    return {"heard": heard, "draw": seed % 1000}


def simple(a, b, seed):
    """Fails for a = 2."""
    if a == 2:
        raise ValueError(f"a = {a} and b = {b} do not go together")
    return [{"n": n, "value": a * 10 + n, "text": b} for n in range(2)]


def dies(a, seed):
    """A process that does not come back from a = 1."""
    if a == 1:
        os._exit(7)
    return {"value": a}


POINTS = grid(containers=[1, 3], mode=["bridge", "private"])


def test_a_grid_is_in_order_the_last_axis_fastest():
    assert grid(a=[1, 2], b="one", c=range(2)) == [
        {"a": a, "b": "one", "c": c} for a in (1, 2) for c in (0, 1)
    ]  # fmt: skip


def test_rows_are_parameters_seed_and_result():
    found = sweep(simple, grid(a=[0, 1], b=["x"]), seed=3, workers=1, quiet=True)
    assert found.columns == ["a", "b", "seed", "n", "value", "text"]
    assert [(row["a"], row["n"], row["value"]) for row in found] == [(0, 0, 0), (0, 1, 1), (1, 0, 10), (1, 1, 11)]
    assert found.to_dataframe().shape == (4, 6)


def test_a_seed_depends_on_the_point_alone():
    """More axes' values, another order, other neighbours: the point keeps its seed; another sweep's seed changes it."""
    small = sweep(simple, grid(a=[0, 1], b=["x"]), seed=3, workers=1, quiet=True)
    large = sweep(simple, grid(b=["y", "x"], a=[5, 1, 0]), seed=3, workers=1, quiet=True)
    other = sweep(simple, grid(a=[0, 1], b=["x"]), seed=4, workers=1, quiet=True)

    def seeds(found):
        return {(row["a"], row["b"]): row["seed"] for row in found}

    assert seeds(small).items() <= seeds(large).items()
    assert not set(seeds(small).values()) & set(seeds(other).values())
    assert len(set(seeds(large).values())) == 6


def test_repeats_have_seeds_of_their_own():
    found = sweep(simple, grid(a=[0], b=["x"]), repeats=3, workers=1, quiet=True)
    assert [row["repeat"] for row in found] == [0, 0, 1, 1, 2, 2]
    assert len({row["seed"] for row in found}) == 3


def test_processes_and_this_process_agree():
    here = sweep(reach, POINTS, seed=1, workers=1, quiet=True)
    there = sweep(reach, POINTS, seed=1, workers=2, quiet=True)
    assert here.rows == there.rows
    assert [row["heard"] for row in here] == [0, 0, 2, 0], "bridge: the siblings; private: nobody"


def test_a_dask_cluster_of_two_workers_agrees(tmp_path):
    here = sweep(reach, POINTS, seed=1, workers=1, out=tmp_path / "here", quiet=True)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    with cluster:
        there = sweep(reach, POINTS, seed=1, scheduler=cluster.scheduler_address, out=tmp_path / "there", quiet=True)
        failing = sweep(simple, grid(a=[1, 2], b=["x"]), scheduler=cluster.scheduler_address, quiet=True)
    assert there.rows == here.rows
    for name in ("results.csv", "results.parquet"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert [failure.params for failure in failing.failures] == [{"a": 2, "b": "x"}]


@pytest.mark.parametrize(
    "address", ["tcp://nowhere.invalid:1", "tcp://127.0.0.1:1", "127.0.0.1:1", "nowhere", "tcp://nowhere"]
)
def test_a_scheduler_that_is_not_there_is_named(address, monkeypatch):
    monkeypatch.setattr(work, "CONNECT_S", 1)
    with pytest.raises(ConnectionError, match=f"scheduler '{address}'.*is `dask scheduler` running there"):
        sweep(simple, grid(a=[0], b=["x"]), scheduler=address, quiet=True)


CLUSTER = """
import distributed, sys
if __name__ == "__main__":
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


def takes_all_with_it(a, seed):
    """A worker whose parent, the process of the scheduler, ends with it."""
    if a:
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)
    return {"value": a}


def test_a_scheduler_that_goes_away_is_told_and_what_is_done_is_kept(tmp_path):
    program = tmp_path / "cluster.py"
    program.write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    cluster = subprocess.Popen([sys.executable, program], cwd=tmp_path, **pipes)  # its workers do not have this file
    address = cluster.stdout.readline().strip()
    assert len(sweep(takes_all_with_it, grid(a=[0]), scheduler=address, out=tmp_path, quiet=True)) == 1
    with pytest.raises(ConnectionError, match="went away: what is done is recorded, the same call goes on"):
        sweep(takes_all_with_it, grid(a=[0, 1]), scheduler=address, out=tmp_path, quiet=True)
    cluster.communicate()
    assert len((tmp_path / NAME).read_text().splitlines()) == 2


# -- failures -------------------------------------------------------------------------------------------------------


def test_a_failing_point_is_told_and_does_not_end_the_sweep(capsys, tmp_path):
    found = sweep(simple, grid(a=[1, 2, 3], b=["x"]), workers=1, out=tmp_path)
    assert [row["a"] for row in found] == [1, 1, 3, 3]
    [failure] = found.failures
    assert failure.params == {"a": 2, "b": "x"}
    assert failure.error == "ValueError: a = 2 and b = x do not go together"
    assert "in simple" in failure.traceback
    assert f"failed: a=2, b='x', seed={failure.seed}: ValueError" in capsys.readouterr().err


def leaves(a, seed):
    """Ends the program, as a command line's parser does."""
    if a == 1:
        raise SystemExit("no such option")
    return {"value": a}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scenario_that_exits_does_not_end_the_sweep(workers, tmp_path):
    found = sweep(leaves, grid(a=[0, 1, 2]), workers=workers, out=tmp_path, quiet=True)
    assert [row["value"] for row in found] == [0, 2]
    [failure] = found.failures
    assert str(failure) == f"a=1, seed={failure.seed}: SystemExit: no such option"
    [told] = json.loads((tmp_path / "manifest.json").read_text())["failed"]
    assert told == {"params": {"a": 1}, "seed": failure.seed, "error": "SystemExit: no such option"}


def test_a_failed_point_is_tried_again(tmp_path):
    sweep(simple, grid(a=[1, 2], b=["x"]), workers=1, out=tmp_path, quiet=True)
    before = (tmp_path / NAME).read_bytes()
    again = sweep(simple, grid(a=[1, 2], b=["x"]), workers=1, out=tmp_path, quiet=True)
    added = (tmp_path / NAME).read_bytes().removeprefix(before).splitlines()
    assert [json.loads(line)["params"]["a"] for line in added] == [2], "the other one is not computed again"
    assert len(again.failures) == 1


def test_a_worker_that_dies_takes_one_point_with_it():
    found = sweep(dies, grid(a=range(6)), workers=2, quiet=True)
    assert [row["a"] for row in found] == [0, 2, 3, 4, 5]
    [failure] = found.failures
    assert failure.params == {"a": 1}
    assert "worker process ended" in failure.error


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "a dictionary is expected"),
        ({"x": [1]}, r"result x=\[1\]"),
        ([1], "returned 1"),
        ({"x": 1 << 64}, "result x=18446744073709551616: tables hold whole numbers of 64 bits"),
        ({"seed": 5}, "returned seed=5, and seed is a parameter"),
    ],
)
def test_what_is_no_row_is_a_failure(result, text):
    def scenario(seed):
        return result

    [failure] = sweep(scenario, grid(), workers=1, quiet=True).failures
    assert re.search(text, failure.error)


def test_numpy_values_are_plain_in_the_results():
    import numpy as np

    def scenario(a, seed):
        return {"f": np.float64(1.5), "i": np.int32(a), "b": np.bool_(True), "nan": float("nan")}

    [row] = sweep(scenario, grid(a=np.array([7])), workers=1, quiet=True)
    assert [type(row[name]) for name in ("a", "f", "i", "b", "nan")] == [int, float, int, bool, type(None)]


@pytest.mark.parametrize(
    ("points", "error", "text"),
    [
        ([{"a": 1}, {"a": 1}], ValueError, "occurs twice"),
        ([{"seed": 1}], ValueError, "parameter seed"),
        ([{"a": object()}], TypeError, "parameter a="),
        ([{"a": 2**64}], ValueError, "parameter a=.*64 bits"),
        ([{"a": float("nan")}], ValueError, "parameter a=nan"),
        ([{"a": 1}], TypeError, r"simple\(a, b, seed\) is called with a, seed: missing a required argument: 'b'"),
        ([{"a": 1, "b": 2, "c": 3}], TypeError, "unexpected keyword argument 'c'"),
        ({"a": [1, 2]}, TypeError, r"points=.*dictionaries of parameters are expected, such as grid\(a=\[1, 2\]\)"),
        ([(1, 2)], TypeError, "points="),
    ],
)
def test_points_that_cannot_be(points, error, text):
    with pytest.raises(error, match=text):
        sweep(simple, points, workers=1, quiet=True)


@pytest.mark.parametrize(
    ("axis", "error", "text"), [([], ValueError, "no value"), ({"x": 1}, TypeError, "a list of values is expected")]
)
def test_axes_that_cannot_be(axis, error, text):
    with pytest.raises(error, match=f"axis a=.*{text}"):
        grid(a=axis, b=[1])


@pytest.mark.parametrize("scenario", ["simple", None])
def test_a_scenario_that_is_no_function_is_refused(scenario):
    with pytest.raises(TypeError, match=r"scenario=.*a function"):
        sweep(scenario, grid(a=[1]), workers=1, quiet=True)


UNGUARDED = """
from simvlan.sweep import grid, sweep

def scenario(a, seed):
    return {"a": a}

%s
    print(len(sweep(scenario, grid(a=[1, 2]), workers=2, quiet=True)))
"""


@pytest.mark.parametrize(
    ("guard", "status"), [("if True:", 1), ("if __name__ == '__main__':", 0), ("if '__main__' in (__name__,):", 0)]
)
def test_a_program_that_workers_would_run_again_is_told_where(tmp_path, guard, status):
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED % guard)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == status, done.stderr
    told = f'{program}, line 8: worker processes read this file again: put the line under `if __name__ == "__main__":`'
    assert (told in done.stderr) == bool(status)
    assert done.stdout == ("" if status else "2\n")


def test_a_scenario_that_no_process_can_import_is_refused():
    with pytest.raises(TypeError, match="top of a module, or use workers=1"):
        sweep(lambda a, seed: {"a": a}, grid(a=[1, 2]), workers=2, quiet=True)


# -- the record -----------------------------------------------------------------------------------------------------

PROGRAM = """
import os, sys, time
from pathlib import Path
from simvlan.sweep import grid, sweep, work

folder = Path({folder!r})

def scenario(n, seed):
    with open(folder / "calls", "a") as calls:
        calls.write(f"{{n}}\\n")
    while n >= 4 and not (folder / "go").exists():
        time.sleep(0.01)
    return {{"square": n * n}}

if __name__ == "__main__":
    found = sweep(scenario, grid(n=range(8)), seed=1, out=folder / "out", workers=int(sys.argv[1]))
    print([row["square"] for row in found])
"""


def started(folder, workers):
    """The program above, waiting in its fifth point, the first four recorded."""
    program = folder / "program.py"
    program.write_text(PROGRAM.format(folder=str(folder)))
    argv = [sys.executable, str(program), str(workers)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    record, calls = folder / "out" / NAME, folder / "calls"
    while not (record.exists() and record.read_bytes().count(b"\n") == 5 and "4" in calls.read_text().split()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


def resumed(folder, workers):
    """Let it go on; returns what it printed."""
    (folder / "go").touch()
    argv = [sys.executable, str(folder / "program.py"), str(workers)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_sweep_goes_on_where_it_was(tmp_path, workers):
    process = started(tmp_path, workers)
    process.kill()
    process.communicate()
    done = resumed(tmp_path, workers)
    assert done.stdout.strip() == str([n * n for n in range(8)]), "no point is lost"
    assert "4 of 8 points are there already" in done.stderr
    calls = (tmp_path / "calls").read_text().split()
    assert [calls.count(str(n)) for n in range(4)] == [1] * 4, "what was recorded is not computed again"
    assert all(calls.count(str(n)) >= 1 for n in range(4, 8))


def test_ctrl_c_says_how_to_go_on_and_leaves_nobody_behind(tmp_path):
    process = started(tmp_path, 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"interrupted: 4 of 8 points are done; the same command goes on from there ({tmp_path / 'out'})" in said
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.01)  # until the last worker is gone: the test's own time limit is the alarm
    assert resumed(tmp_path, 2).stdout.strip() == str([n * n for n in range(8)])


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_computed_again_and_nothing_else(tmp_path, cut):
    whole = sweep(simple, grid(a=[0, 1, 3], b=["x"]), workers=1, out=tmp_path, quiet=True)
    record = tmp_path / NAME
    octets = record.read_bytes()
    kept = octets[: octets[:-1].rindex(b"\n") + 1]
    record.write_bytes(octets[:-cut])
    again = sweep(simple, grid(a=[0, 1, 3], b=["x"]), workers=1, out=tmp_path, quiet=True)
    assert again.rows == whole.rows
    assert record.read_bytes().startswith(kept)
    lines, good = whole_lines(record.read_bytes())
    assert good == len(record.read_bytes()), "nothing torn is left in it"
    assert len(lines) == len(octets.splitlines())


def test_whole_lines_stop_at_the_first_that_is_not():
    assert whole_lines(b'{"a": 1}\n{"b"') == ([{"a": 1}], 9)
    assert whole_lines(b'{"a": 1}\n\x00\x00\n{"b": 2}\n') == ([{"a": 1}], 9)
    assert whole_lines(b"") == ([], 0)


def test_more_points_use_those_there_are(tmp_path):
    sweep(simple, grid(a=[0, 1], b=["x"]), workers=1, out=tmp_path, quiet=True)
    sweep(simple, grid(a=[0, 1, 3], b=["x"]), workers=1, out=tmp_path, quiet=True)
    assert len((tmp_path / NAME).read_bytes().splitlines()) == 1 + 3


def test_another_sweep_does_not_mix_with_it(tmp_path):
    sweep(simple, grid(a=[0], b=["x"]), seed=1, workers=1, out=tmp_path, quiet=True)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(OtherSweep, match=r"its seed is 1, not 2.*fresh=True"):
        sweep(simple, grid(a=[0], b=["x"]), seed=2, workers=1, out=tmp_path, quiet=True)
    with pytest.raises(OtherSweep, match="its scenario is"):
        sweep(dies, grid(a=[0]), seed=1, workers=1, out=tmp_path, quiet=True)
    assert (tmp_path / NAME).read_bytes() == before
    assert len(sweep(simple, grid(a=[0], b=["x"]), seed=2, workers=1, out=tmp_path, fresh=True, quiet=True)) == 2


def test_two_at_once_in_one_folder_are_refused(tmp_path):
    with Record(tmp_path, {"a": 1}), pytest.raises(Busy, match="another process works on this sweep"):
        Record(tmp_path, {"a": 1})


def test_two_programs_in_one_folder_the_second_is_refused(tmp_path):
    process = started(tmp_path, 1)
    with pytest.raises(Busy, match="another process works on this sweep: wait for it"):
        sweep(simple, grid(a=[0], b=["x"]), out=tmp_path / "out", quiet=True)
    process.kill()
    process.communicate()


def test_what_is_no_record_is_left_alone(tmp_path):
    (tmp_path / NAME).write_text("mine\n")
    with pytest.raises(OtherSweep, match="is no record of a sweep: use another folder"):
        sweep(simple, grid(a=[0], b=["x"]), out=tmp_path, workers=1, quiet=True)
    assert (tmp_path / NAME).read_text() == "mine\n"
    with pytest.raises(NotADirectoryError, match="this is a file: give a folder"):
        sweep(simple, grid(a=[0], b=["x"]), out=tmp_path / NAME, workers=1, quiet=True)


def test_a_column_of_numbers_and_texts_leaves_no_parquet_and_says_so(tmp_path):
    def scenario(a, seed):
        return {"value": a if a < 2 else "many"}

    sweep(scenario, grid(a=[0, 1]), workers=1, out=tmp_path, quiet=True)
    assert (tmp_path / "results.parquet").exists()
    assert len(sweep(scenario, grid(a=[0, 1, 2]), workers=1, out=tmp_path, quiet=True)) == 3
    assert (tmp_path / "results.csv").read_text().splitlines()[-1].endswith(",many")
    assert not (tmp_path / "results.parquet").exists(), "not the one of before"
    about = json.loads((tmp_path / "manifest.json").read_text())
    assert "column value" in about["parquet"]


def test_results_and_manifest_are_files(tmp_path):
    import pandas

    found = sweep(simple, grid(a=[0, 1], b=["x"]), seed=5, workers=1, out=tmp_path, quiet=True)
    frame = found.to_dataframe()
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "results.parquet"), frame, check_dtype=False)
    pandas.testing.assert_frame_equal(pandas.read_csv(tmp_path / "results.csv"), frame, check_dtype=False)
    about = json.loads((tmp_path / "manifest.json").read_text())
    assert about["seed"] == 5
    assert about["points"] == 2
    assert about["axes"] == {"a": [0, 1], "b": ["x"]}
    assert {"command", "kernel", "python", "versions", "machine"} <= set(about)
    assert "simvlan" in about["versions"]


def test_importing_it_is_light():
    heavy = ("numpy", "pandas", "distributed", "scapy", "simpy")
    code = f"import sys, simvlan.sweep; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
