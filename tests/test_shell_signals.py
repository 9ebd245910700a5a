"""Signals, broken pipes, slow readers, terminals, and the end of a script."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from random import Random

import pytest
from shell_stage import DRIVER, PYTHON, needs_namespaces

pytestmark = needs_namespaces


def test_kill_and_wait(stage):
    """SIGINT ends ping politely even in the background of a script; SIGTERM ends it by the signal."""
    script = """
    ping X > x & sleep 2.5; kill -INT $!; wait $!; echo $?; tail -n 1 x
    ping Y > y & sleep 1.5; kill $!; wait $!; echo $?; wc -l < y
    sleep 100 & kill $!; wait $!; echo $?
    sleep 100 & kill -9 $!; wait $!; echo $?; ip time; rm x y
    """
    assert stage.play(script).stdout.split("\n") == ["0", "X: 3 sent", "143", "2", "143", "137", "4", ""]


def test_sigint_reaches_a_background_ping_in_a_namespace(stage):
    """`ip netns exec` becomes ping, which handles the SIGINT that bash ignores for background commands."""
    done = stage.play("ip netns exec n1 ping X > x & sleep 2.5; kill -INT $!; wait $!; echo $?; tail -n 1 x; rm x")
    assert done.stdout == "0\nX: 3 sent\n"


def test_sigint_is_ignored_by_a_background_sleep_in_a_namespace(stage):
    done = stage.play("ip netns exec n1 sleep 9 & sleep 2.5; kill -INT $!; wait $!; echo $?; ip time")
    assert done.stdout == "0\n9\n"


@pytest.mark.parametrize("wait", [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
def test_ctrl_c_while_starting_leaves_nothing(stage, wait):
    """Whatever it interrupts, the stage finds no directory and no process afterwards."""
    process = stage.start("sleep 1; exec python3 -c 'import time; time.sleep(60)'")
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0


def test_trap_runs_between_commands(stage):
    assert stage.out("trap 'echo usr' USR1; kill -USR1 $$; sleep 1; ip time") == "usr\n1\n"


def test_a_reader_that_leaves_ends_the_writer(stage):
    """SIGPIPE: `ping | head -2` comes to an end."""
    assert stage.out("ping X | head -n 2; echo ${PIPESTATUS[0]}; ip time | cat") == "X seq=1 t=0\nX seq=2 t=1\n141\n2\n"


def test_a_reader_that_is_slow_holds_only_its_writer(stage):
    """Back-pressure: the flood stops while its reader sleeps in virtual time; nothing piles up, nothing hangs."""
    script = "tcpdump | (sleep 20; head -c 100000 | wc -c); ip time; ip flooded"
    out = stage.out(script).split()
    assert out[0] == "100000"
    assert 20 <= float(out[1]) < 21
    assert int(out[2]) < 20  # of 20,000


def test_large_output_arrives_whole(stage):
    assert stage.out("ip big 20000000 | wc -c; ip big 3000000 | (sleep 1; md5sum)").split()[:2] == [
        "20000000",
        subprocess.run(["md5sum"], input=b"x" * 3000000, capture_output=True, check=True).stdout.decode().split()[0],
    ]


def test_hundreds_of_commands_at_once(stage):
    script = "for i in $(seq 300); do sleep $((i % 7)).$i & done; ping -c 3 X > /dev/null; wait; ip time"
    latest = max(float(f"{i % 7}.{i}") for i in range(1, 301))
    assert stage.out(script, timeout=300) == f"{latest:g}\n"


def test_the_scripts_end_ends_background_commands(stage):
    """They get SIGTERM, as from a terminal that closes."""
    out = stage.out("(trap 'echo bye; exit' TERM; while :; do sleep 1000 & wait; done) & ping X & sleep 2.5; echo end")
    assert out.splitlines() == ["X seq=1 t=0", "X seq=2 t=1", "X seq=3 t=2", "end", "bye"]


def test_process_substitution_drains_before_the_end(stage):
    """`exec > >(tee ...)`: the last lines are written though the script has ended."""
    script = 'exec > >(while read -r l; do echo "got $l"; done); ip args a; echo last'
    assert stage.out(script) == "got [a]\ngot last\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_script_and_all(stage, number):
    waits = "import time; print(1, flush=True); time.sleep(99)"
    process = stage.start(f"ping FAR > /dev/null & sleep infinity & python3 -c '{waits}'")
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"  # Python is up: before that it swallows a signal
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number


def test_a_trap_on_ctrl_c_runs(stage):
    waits = "import time; print(1, flush=True); time.sleep(60)"
    process = stage.start(f"trap 'echo caught; exit 4' INT; python3 -c '{waits}' 2>/dev/null; echo no")
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (4, "caught\n")


def test_an_instant_that_never_ends_can_be_interrupted(stage):
    process = stage.start("ip args up; tc storm")
    assert process.stdout.readline() == "[up]\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_insisting_ends_a_script_that_does_not_listen(stage):
    forever = "python3 -c 'import time; time.sleep(99)'"
    process = stage.start(f"trap '' INT TERM; ip args up; while :; do read -t 100 < <({forever}); done")
    assert process.stdout.readline() == "[up]\n"
    for _ in range(4):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
    process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # a shell says 130 of both


def test_ctrl_c_at_a_terminal(stage):
    """The terminal's own ^C reaches the script, which has the terminal while it runs."""
    script = stage.folder / "tty.sh"
    script.write_text("read -r word; ip args $word; sleep infinity; echo not reached")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PYTHON, [PYTHON, str(DRIVER), str(script)], stage.env())
    time.sleep(1.5)
    os.write(terminal, b"hello\n")
    seen = read_until(terminal, b"[hello]")
    time.sleep(0.5)
    os.write(terminal, b"\x03")
    assert end_of(pid) == 130
    assert b"not reached" not in seen
    os.close(terminal)


def end_of(pid: int, limit: float = 60) -> int:
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("it did not end")


def read_until(terminal: int, text: bytes, limit: float = 60) -> bytes:
    seen, until = b"", time.monotonic() + limit
    while text not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
    assert text in seen, seen[-500:]
    return seen


def test_ctrl_z_stops_and_fg_goes_on(stage):
    """The simulator stops with its script, the shell above gets the terminal, and `fg` continues both."""
    script = stage.folder / "tty.sh"
    script.write_text("read -r word; echo got $word; sleep infinity")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "--norc", "-i"], stage.env(TERM="dumb", PS1="above> "))
    read_until(terminal, b"above> ")
    os.write(terminal, f"{PYTHON} {DRIVER} {script}\n".encode())
    time.sleep(1.5)
    os.write(terminal, b"\x1a")
    read_until(terminal, b"Stopped")
    os.write(terminal, b"fg\n")
    time.sleep(0.5)
    os.write(terminal, b"word\n")
    read_until(terminal, b"got word")
    os.write(terminal, b"\x03")
    read_until(terminal, b"above> ")
    os.write(terminal, b"echo status $?\n")
    read_until(terminal, b"status 130")
    os.write(terminal, b"exit\n")
    assert end_of(pid) == 0
    os.close(terminal)


def test_the_interactive_shell(stage):
    """A prompt that says simvlan, job control, virtual sleep, and the status of `exit`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PYTHON, [PYTHON, str(DRIVER), "sh"], stage.env(TERM="dumb"))
    seen = read_until(terminal, b"simvlan")
    assert b"no job control" not in seen
    os.write(terminal, b"sleep 1000; ip time\n")
    read_until(terminal, b"\n1000")
    os.write(terminal, b"ping X\n")
    read_until(terminal, b"X seq=3")
    os.write(terminal, b"\x03")
    read_until(terminal, b" sent")
    os.write(terminal, b"ip netns exec blue bash --norc\n")
    time.sleep(0.5)
    os.write(terminal, b"ip where\n")
    read_until(terminal, b"blue /")
    os.write(terminal, b"exit\n")
    read_until(terminal, b"simvlan:")
    os.write(terminal, b"exit 6\n")
    assert end_of(pid) == 6
    os.close(terminal)


def test_the_shell_reads_commands_from_a_pipe(stage):
    words = "sleep 5\nip time\nexit 3\n"
    command = [*stage.command, "sh"]
    done = subprocess.run(command, input=words, env=stage.env(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "5\n")


def test_a_killed_run_is_cleaned_up_by_the_next(stage):
    """SIGKILL leaves the directory and no process; the next run removes what is dead, and only that."""
    killed = stage.start("ip args up; sleep 1; read -r x < <(sleep infinity)")
    living = stage.start("ip args up; read -r x", stdin=subprocess.PIPE)
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline() == "[up]\n"
    killed.kill()
    killed.communicate(timeout=60)
    (stage.tmp / "simvlan-notours").mkdir()  # no lock: somebody else's
    (stage.tmp / "simvlan-link").symlink_to(stage.folder)
    (stage.folder / "owner").touch()
    assert len(os.listdir(stage.tmp)) == 4
    stage.out("true")
    left = sorted(name for name in os.listdir(stage.tmp) if (stage.tmp / name / "socket").exists())
    assert len(left) == 1
    assert stage.folder.joinpath("owner").exists()
    living.communicate("x\n", timeout=60)
    assert living.returncode == 0
    assert sorted(os.listdir(stage.tmp)) == ["simvlan-link", "simvlan-notours"]
    (stage.tmp / "simvlan-notours").rmdir()
    (stage.tmp / "simvlan-link").unlink()


def test_no_ctrl_c_is_lost_among_instant_commands(stage):
    """Whatever it meets, a command that is starting, waiting or ending: the loop that runs them ends by it."""
    tries, random = 40, Random(1)
    loop = "bash -c 'while :; do ip args; done' > /dev/null"
    process = stage.start(f"trap : INT; for n in $(seq {tries}); do echo $n; {loop}; done", env={"PATIENT": "1"})
    for n in range(1, tries + 1):
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, f"Ctrl-C {n - 1} was lost"
        assert os.read(process.stdout.fileno(), 100).decode().split() == [str(n)]
        time.sleep(0.05 + random.random() * 0.1)
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
