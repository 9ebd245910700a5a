"""Virtual time in scripts: everybody waits before it moves, and every run is the same."""

from __future__ import annotations

import os
import re
import select
import signal
import time
import tty

import pytest
from shell_stage import needs_namespaces

from simvlan.shell.processes import Workers

pytestmark = needs_namespaces


def test_sleep_moves_virtual_time_only(stage):
    """An hour's sleep is over at once, and the lab's clock is an hour on."""
    start = time.monotonic()
    assert stage.out("ip time; sleep 1h; ip time; sleep 0.25 1m .25s; ip time; sleep 1e-3; ip time") == (
        "0\n3600\n3660.5\n3660.5\n".replace("3660.5\n3660.5", "3660.5\n3660.5")
    )
    assert time.monotonic() - start < 3600


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("", 1, "missing operand"),
        ("abc", 1, "invalid time interval 'abc'"),
        ("-1", 1, "-1"),
        ("1 x y", 1, "invalid time interval 'x'\nsleep: invalid time interval 'y'"),
        ("1_0", 1, "invalid time interval '1_0'"),
        ("0", 0, ""),
    ],
)
def test_sleep_refuses_what_coreutils_refuses(stage, words, status, text):
    done = stage.play(f"sleep {words}")
    assert done.returncode == status
    assert text in done.stderr


def test_background_commands_begin_at_the_same_time_in_order(stage):
    """Both pings start at 1 s, the first one first, and their lines alternate."""
    out = stage.out("sleep 1; ping -c 2 A & ping -c 2 B & ping -c 2 C & wait; ip time")
    assert re.findall(r"(\w) seq=(\d) t=([\d.]+)", out) == [
        (name, seq, t) for seq, t in (("1", "1"), ("2", "2")) for name in "ABC"
    ]
    assert out.endswith("2\n")


def test_a_slow_start_in_the_background_is_waited_for(stage):
    """Virtual time stands while any process of the script computes, though nothing tells when it will be done."""
    script = """
    (python3 -c 'sum(range(3_000_000))'; ip note late) &
    sleep 5; ip note after; wait; ip log
    """
    assert stage.out(script) == "0ms root: late\n5000ms root: after\n"


def test_every_run_is_the_same(stage):
    script = """
    for i in 1 2 3 4 5; do (sleep 0.$i; ip note $i; ping -c 2 P$i | while read line; do ip note "$line"; done) & done
    wait; ip log
    """
    runs = {stage.out(script) for _ in range(3)}
    assert len(runs) == 1
    assert runs.pop().count("\n") == 5 + 5 * 3


def test_readers_of_output_act_at_the_time_it_is_written(stage):
    """`ping | while read` reacts at each line's own time, before time goes on."""
    script = 'ping -c 3 X | while read -r line; do ip note "$line"; done; ip log'
    assert stage.out(script).splitlines() == [
        "0ms root: X seq=1 t=0",
        "1000ms root: X seq=2 t=1",
        "2000ms root: X seq=3 t=2",
        "2000ms root: X: 3 sent",
    ]


def test_timeout_is_virtual(stage):
    script = """
    timeout 2 sleep 100; echo $?; ip time
    timeout 5 bash -c 'sleep 1; exit 7'; echo $?; ip time
    timeout -s INT 2.5 ping X; echo $?; ip time
    timeout --preserve-status 1 sleep 9; echo $?
    timeout -s KILL 1 sleep 9; echo $?
    timeout -k 1 1 bash -c 'trap "" TERM; while :; do sleep 10; done'; echo $?; ip time
    timeout 0 sleep 30; echo $?
    timeout 1 nosuchcommand 2>/dev/null; echo $?
    """
    out = stage.play(script).stdout.splitlines()
    assert out == [
        *("124", "2", "7", "3"),
        *("X seq=1 t=3", "X seq=2 t=4", "X seq=3 t=5", "X: 3 sent", "124", "5.5"),
        *("143", "137", "137", "9.5", "0", "127"),
    ]


def test_timeout_complains_like_coreutils(stage):
    done = stage.play("timeout; echo $?; timeout x true; echo $?; timeout -s NOSUCH 1 true; echo $?")
    assert done.stdout == "125\n125\n125\n"
    assert "timeout: invalid time interval 'x'" in done.stderr
    assert "'NOSUCH': invalid signal" in done.stderr


def test_a_script_that_never_waits_is_left_behind_with_a_warning(stage):
    """A busy loop holds time for some seconds of ours, once; then a line says so and time goes on."""
    start = time.monotonic()
    done = stage.play("while :; do :; done & sleep 1; sleep 1; ip time; kill $!")
    assert done.stdout == "2\n"
    assert done.stderr.count("has not waited") == 1
    assert time.monotonic() - start > 4


def test_waiting_for_what_cannot_happen_is_said(stage):
    process = stage.start("sleep infinity")
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert "nothing more can happen" in err
    assert "sleep infinity" in err


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("timeout 3 ping X | wc -l; echo ${PIPESTATUS[0]}", "3\n124\n"),
        ("timeout -s INT 3 ping X; echo $?", "X seq=1 t=0\nX seq=2 t=1\nX seq=3 t=2\nX: 3 sent\n124\n"),
        ("timeout 3 sleep 3; echo $?; timeout 3.1 sleep 3; echo $?", "124\n0\n"),
        ("timeout 3 bash -c 'while :; do echo x; sleep 1; done'; echo $?", "x\nx\nx\n124\n"),
        ("sleep 3 & timeout 3 ping X > /dev/null; wait; ip time", "3\n"),
    ],
)
def test_a_timeout_is_sooner_than_what_its_command_does_then(stage, script, said):
    """timeout(1) sets its timer before the command runs: of what both do after 3 s it is first (seen on Linux)."""
    assert stage.out(script) == said


def test_what_is_written_to_a_terminal_has_arrived_before_time_passes() -> None:
    """tty_flip_buffer_push leaves it to a worker: writer and reader are both asleep until that has run."""
    master, slave = os.openpty()
    tty.setraw(slave)
    workers = Workers()
    for _ in range(300):
        os.write(master, b"key")
        workers.wait()
        assert select.select([slave], [], [], 0)[0]
        os.read(slave, 64)
    os.close(master)
    os.close(slave)
