"""The shell: unmodified bash scripts in virtual time, confined, on a lab that is only a clock and a few fake commands."""

from __future__ import annotations

import os
import pty
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DRIVER = HERE / "shell_driver.py"
PYTHON = sys.executable


def namespaces_allowed() -> bool:
    return subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not namespaces_allowed(), reason="the kernel forbids private namespaces")


class Stage:
    """Runs scripts with a temporary directory of its own, and knows what they left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = Path(tempfile.mkdtemp(prefix="sv", dir="/tmp"))
        self.mark = f"STAGE={uuid.uuid4().hex}"
        self.command: list[str] = [PYTHON, str(DRIVER)]
        self.user: str | None = None

    def env(self, **more: str) -> dict[str, str]:
        key, _, value = self.mark.partition("=")
        return {**os.environ, "TMPDIR": str(self.tmp), key: value, **more}

    def start(self, text: str, *args: str, env: dict[str, str] | None = None, **more) -> subprocess.Popen[str]:
        script = self.folder / f"script-{uuid.uuid4().hex[:6]}.sh"
        script.write_text(text)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [*self.command, str(script), *args],
            env=self.env(**(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            **more,
        )

    def play(self, text: str, *args: str, timeout: float = 30, **more) -> subprocess.CompletedProcess[str]:
        process = self.start(text, *args, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"still running after {timeout} s:\n{out}\n{err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def out(self, text: str, *args: str, **more) -> str:
        """The script's output; it must succeed and say nothing on stderr."""
        done = self.play(text, *args, **more)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def left_processes(self) -> list[str]:
        """What still runs of the run; it is ended here, so that one failure does not disturb other tests."""
        left = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    if self.mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                        left.append(Path(f"/proc/{name}/cmdline").read_text().replace("\0", " "))
                        os.kill(int(name), signal.SIGKILL)
                except OSError:
                    pass
        return left


@pytest.fixture
def stage(tmp_path):
    """A stage; afterwards nothing may be left of the run: process, mount or file."""
    made = Stage(tmp_path)
    yield made
    left = made.left_processes()
    try:
        assert left == []
        assert os.listdir(made.tmp) == []
        assert str(made.tmp) not in Path("/proc/self/mountinfo").read_text()
    finally:
        shutil.rmtree(made.tmp, ignore_errors=True)


# -- virtual time ------------------------------------------------------------------------------------------------------


def test_sleep_moves_virtual_time_only(stage):
    """An hour's sleep is over at once, and the lab's clock is an hour on."""
    start = time.monotonic()
    assert stage.out("ip time; sleep 1h; ip time; sleep 0.25 1m .25s; ip time; sleep 1e-3; ip time") == (
        "0\n3600\n3660.5\n3660.5\n".replace("3660.5\n3660.5", "3660.5\n3660.5")
    )
    assert time.monotonic() - start < 5


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
    script = "ping -c 3 X | while read -r line; do ip note \"$line\"; done; ip log"
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
    start = time.monotonic()
    out = stage.play(script).stdout.splitlines()
    assert time.monotonic() - start < 10
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
    assert 4 < time.monotonic() - start < 12


def test_waiting_for_what_cannot_happen_is_said(stage):
    process = stage.start("sleep infinity")
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert "nothing more can happen" in err
    assert "sleep infinity" in err


# -- an ordinary script ------------------------------------------------------------------------------------------------


def test_ordinary_commands_work(stage):
    script = r"""
    set -euo pipefail
    f() { local x=$1; echo "f $x"; }
    f 1
    trap 'echo trapped' EXIT
    cat <<X | grep -c two
one
two
X
    echo '{"a": [1, 2]}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["a"][1])'
    printf 'a b\n' | awk '{print $2}'
    ip args one 'two three' "" '*' é | sed 's/two/2/'
    x=$(ip args sub); echo "$x"
    ip args redirected > out.txt; cat out.txt; rm out.txt
    diff <(ip args same) <(ip args same) && echo same
    [[ $(command -v ip) == */ip ]] && [ "$(id -u)" = 0 ] && echo root
    """
    assert stage.out(script).splitlines() == (
        ["f 1", "1", "2", "b", "[one][2 three][][*][é]", "[sub]", "[redirected]", "same", "root", "trapped"]
    )


def test_the_status_is_the_scripts(stage):
    assert stage.play("exit 5").returncode == 5
    assert stage.play("ip fail").returncode == 2
    assert stage.play("kill -TERM $$").returncode == 143
    assert stage.play("true").returncode == 0


def test_arguments_and_name(stage):
    assert stage.out('echo "$# $1 $2"; basename "$0" | cut -c1-6', "a b", "-x") == "2 a b -x\nscript\n"


def test_standard_input_reaches_the_script_and_only_who_reads_it(stage):
    """`ip` does not eat the input of a `while read` loop, as the real one does not."""
    script = "while read -r word; do ip args $word; done"
    process = stage.start(script, stdin=subprocess.PIPE)
    out, _ = process.communicate("a\nb\nc\n", timeout=20)
    assert out == "[a]\n[b]\n[c]\n"


def test_input_is_read_when_asked_for(stage):
    script = """
    ip -batch - <<X
one
X
    printf 'two\\n' | ip -batch -
    ip -batch <(echo three)
    echo four > file; ip -batch file; cd /; ip -batch "$OLDPWD/file"
    ip log; ip -batch /nosuch
    """
    done = stage.play(script)
    assert done.stdout == "".join(f"0ms root: batch {word}\n" for word in ["one", "two", "three", "four", "four"])
    assert "FileNotFoundError" in done.stderr


def test_script_from_standard_input_and_from_a_descriptor(stage):
    run = [PYTHON, str(DRIVER)]
    env = stage.env()
    done = subprocess.run([*run, "-", "x"], input="ip args $1 $#", env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[x][1]\n"
    line = f'{PYTHON} {DRIVER} <(echo \'ip args "$1"; exit 3\') y'
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "[y]\n", "")


@pytest.mark.parametrize(("name", "why"), [("/nosuch", "No such file"), ("/tmp", "Is a directory")])
def test_a_missing_script_is_said(stage, name, why):
    done = subprocess.run([*stage.command, name], env=stage.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{name}: {why}" in done.stderr


def test_environment_and_directory_reach_the_command(stage):
    out = stage.out("cd /usr; MARK=here ip where; cd lib; ip where")
    assert out == "root /usr here\nroot /usr/lib -\n"


def test_errors_go_to_stderr_with_the_tools_status(stage):
    done = stage.play("ip fail 2>&1 | tr a-z A-Z; ip fail; echo $?")
    assert done.stdout == "RTNETLINK ANSWERS: FILE EXISTS\n2\n"
    assert done.stderr == "RTNETLINK answers: File exists\n"


def test_a_bug_in_a_command_is_said_and_the_script_goes_on(stage):
    done = stage.play("ip crash; echo $?; ip time")
    assert done.stdout == "70\n0\n"
    assert "internal error" in done.stderr
    assert "ZeroDivisionError: fake bug" in done.stderr


def test_a_command_that_is_not_built_yet_is_refused(stage):
    done = stage.play("ethtool x; echo $?")
    assert done.stdout == "95\n"
    assert "ethtool is not simulated yet" in done.stderr


def test_scripts_call_sudo(stage):
    assert stage.out("sudo ip args a; sudo -n -E ip args b; sudo -u root MARK=x ip where | cut -d' ' -f3; sudo echo hi") == (
        "[a]\n[b]\nx\nhi\n"
    )


# -- namespaces --------------------------------------------------------------------------------------------------------


def test_netns_exec_of_anything(stage):
    script = """
    ip netns add n1
    ip netns exec n1 ip where | cut -d' ' -f1
    ip netns exec n1 bash -c 'ip where; sleep 1; ip netns exec n2 ip where; ip where' | cut -d' ' -f1
    ip netns exec n1 env -i "$(command -v ip)" where | cut -d' ' -f1
    ip netns exec n1 echo plain; ip where | cut -d' ' -f1
    ip netns exec n1 nosuch; echo $?
    ip netns exec n1 sh -c 'exit 9'; echo $?
    ls /run/netns /var/run/netns
    """
    done = stage.play(script)
    assert done.stdout.split() == [
        *("n1", "n1", "n2", "n1", "n1", "plain", "root", "255", "9"),
        *("/run/netns:", "n1", "/var/run/netns:", "n1"),
    ]
    assert done.stderr == 'exec of "nosuch" failed: No such file or directory\n'


# -- signals -----------------------------------------------------------------------------------------------------------


def test_kill_and_wait(stage):
    """SIGINT ends ping politely even in the background of a script; SIGTERM ends it by the signal."""
    script = """
    ping X > x & sleep 2.5; kill -INT $!; wait $!; echo $?; tail -n 1 x
    ping Y > y & sleep 1.5; kill $!; wait $!; echo $?; wc -l < y
    sleep 100 & kill $!; wait $!; echo $?
    sleep 100 & kill -9 $!; wait $!; echo $?; ip time; rm x y
    """
    assert stage.play(script).stdout.split("\n") == ["0", "X: 3 sent", "143", "2", "143", "137", "4", ""]


def test_trap_runs_between_commands(stage):
    assert stage.out("trap 'echo usr' USR1; kill -USR1 $$; sleep 1; ip time") == "usr\n1\n"


def test_a_reader_that_leaves_ends_the_writer(stage):
    """SIGPIPE: `ping | head -2` comes to an end."""
    assert stage.out("ping X | head -n 2; echo ${PIPESTATUS[0]}; ip time | cat") == "X seq=1 t=0\nX seq=2 t=1\n141\n2\n"


def test_a_reader_that_is_slow_holds_only_its_writer(stage):
    """Back-pressure: the flood stops while its reader sleeps in virtual time; nothing piles up, nothing hangs."""
    script = "tcpdump | (sleep 20; head -c 100000 | wc -c); ip time"
    out = stage.out(script).split()
    assert out[0] == "100000"
    assert 20 <= float(out[1]) < 21


def test_large_output_arrives_whole(stage):
    assert stage.out("ip big 20000000 | wc -c; ip big 3000000 | (sleep 1; md5sum)").split()[:2] == [
        "20000000",
        subprocess.run(["md5sum"], input=b"x" * 3000000, capture_output=True, check=True).stdout.decode().split()[0],
    ]


def test_hundreds_of_commands_at_once(stage):
    script = "for i in $(seq 300); do sleep $((i % 7)).$i & done; ping -c 3 X > /dev/null; wait; ip time"
    start = time.monotonic()
    latest = max(float(f"{i % 7}.{i}") for i in range(1, 301))
    assert stage.out(script, timeout=60) == f"{latest:g}\n"
    assert time.monotonic() - start < 45


def test_the_scripts_end_ends_background_commands(stage):
    """They get SIGTERM, as from a terminal that closes."""
    out = stage.out("(trap 'echo bye; exit' TERM; while :; do sleep 1000 & wait; done) & ping X & sleep 2.5; echo end")
    assert out.splitlines() == ["X seq=1 t=0", "X seq=2 t=1", "X seq=3 t=2", "end", "bye"]


def test_process_substitution_drains_before_the_end(stage):
    """`exec > >(tee ...)`: the last lines are written though the script has ended."""
    assert stage.out("exec > >(while read -r l; do echo \"got $l\"; done); ip args a; echo last") == "got [a]\ngot last\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_script_and_all(stage, number):
    process = stage.start("ping FAR & sleep infinity & python3 -c 'import time; time.sleep(99)'")
    time.sleep(1.5)
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 128 + number


def test_a_trap_on_ctrl_c_runs(stage):
    process = stage.start("trap 'echo caught; exit 4' INT; python3 -c 'import time; time.sleep(60)' 2>/dev/null; echo no")
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (4, "caught\n")


def test_an_instant_that_never_ends_can_be_interrupted(stage):
    process = stage.start("tc storm")
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_insisting_ends_a_script_that_does_not_listen(stage):
    process = stage.start("trap '' INT TERM; while :; do read -t 100 < <(python3 -c 'import time; time.sleep(99)'); done")
    time.sleep(1)
    for _ in range(4):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
    process.communicate(timeout=10)
    assert process.returncode == 130


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


def end_of(pid: int, limit: float = 10) -> int:
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("it did not end")


def read_until(terminal: int, text: bytes, limit: float = 10) -> bytes:
    seen, until = b"", time.monotonic() + limit
    while text not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
    assert text in seen, seen[-500:]
    return seen


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
    done = subprocess.run(
        [*stage.command, "sh"], input="sleep 5\nip time\nexit 3\n", env=stage.env(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "5\n")


# -- confinement -------------------------------------------------------------------------------------------------------


def test_full_paths_reach_the_simulator_too(stage):
    """Every file on this machine that is one of the commands is covered, through its links as well."""
    found = sorted({p for d in ("/sbin", "/usr/sbin", "/bin", "/usr/bin") for p in [f"{d}/ip"] if os.path.exists(p)})
    assert found
    script = "\n".join(f"{path} args {path}" for path in found) + "\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nip args plain"
    assert stage.out(script) == "".join(f"[{path}]\n" for path in found) + "[plain]\n"


def test_other_network_tools_are_refused_by_name(stage):
    """Installed or not; by name or full path; and the script sees a failure."""
    done = stage.play("iptables -L; echo $?; brctl addbr x; echo $?; nft list ruleset || echo failed")
    assert done.stdout == "95\n95\nfailed\n"
    for name in ("iptables", "brctl", "nft"):
        assert f"simvlan: {name} is not simulated" in done.stderr


def test_the_script_has_a_network_of_its_own(stage):
    """What is not a command of ours still cannot touch the machine's network."""
    script = "readlink /proc/self/ns/net; python3 -c 'import socket; print([n for _, n in socket.if_nameindex()])'"
    inside, devices = stage.out(script).splitlines()
    assert inside != os.readlink("/proc/self/ns/net")
    assert "eth0" not in devices


def test_sysfs_and_run_do_not_show_the_machine(stage):
    script = "ls /sys/class/net; ls /run/netns; ls /run/docker.sock /run/dbus 2>&1 | grep -c 'No such'"
    assert stage.out(script) == "2\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root could write them outside")
def test_the_machines_sysctls_cannot_be_written(stage):
    done = stage.play("echo 1 > /proc/sys/kernel/printk; echo $?; cat /proc/sys/kernel/ostype")
    assert done.stdout == "1\nLinux\n"
    assert "Read-only file system" in done.stderr


def test_proc_sys_net_is_the_simulated_kernels(stage):
    """A write reaches the simulator before the next command; a refused one is said; a read gives the kernel's value."""
    script = """
    cat /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/ipv4/ip_forward; sysctl -a | grep forward
    sysctl net.ipv4.conf.eth0.rp_filter=2 > /dev/null; cat /proc/sys/net/ipv4/conf/eth0/rp_filter
    echo 7 > /proc/sys/net/ipv4/nosuch; ip time; cat /proc/sys/net/ipv4/nosuch
    echo word > /proc/sys/net/ipv4/ip_forward; ip time; cat /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/ipv4/conf/nosuch/rp_filter; echo $?
    """
    done = stage.play(script)
    assert done.stdout.splitlines() == ["0", "net.ipv4.ip_forward = 1", "2", "0", "0", "1", "1"]
    assert "/proc/sys/net/ipv4/nosuch: not written" in done.stderr
    assert "/proc/sys/net/ipv4/ip_forward: not written" in done.stderr
    assert "conf/nosuch/rp_filter: No such file" in done.stderr


def test_a_process_of_its_own_numbers(stage):
    """A pid namespace: the script cannot see, and so not kill, anybody else's processes."""
    out = stage.out("ls /proc | grep -c '^[0-9]'; kill -0 1 && echo init")
    assert int(out.split()[0]) < 10


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_user_can_do_the_same(tmp_path):
    """No root: same commands, same covers, uid 0 inside, and files belong to the user outside."""
    base = Path(tempfile.mkdtemp(prefix="svu", dir="/tmp"))
    nobody = pwd.getpwnam("nobody")
    python = interpreter_for_others(base)
    try:
        (base / "work").mkdir()
        (base / "script.sh").write_text("/usr/sbin/ip args x; id -u; sleep 9; ip time; iptables; touch mine")
        for path in (base, base / "work"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        done = subprocess.run(
            [*python, str(base / "tests/shell_driver.py"), "../script.sh"],
            cwd=base / "work", capture_output=True, text=True, check=False, user=nobody.pw_uid, group=nobody.pw_gid,
            extra_groups=[], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{base}:{base}/tests"},
        )
        assert (done.returncode, done.stdout) == (0, "[x]\n0\n9\n"), done
        assert "iptables is not simulated" in done.stderr
        assert (base / "work/mine").stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(base)


def interpreter_for_others(base: Path) -> list[str]:
    """An interpreter anybody may run, and copies of what it imports."""
    system = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(p, os.X_OK)), None)
    if system is None or subprocess.run([system, "-c", "import sys; assert sys.version_info >= (3, 11)"], check=False).returncode:
        pytest.skip("no Python that another user could run")
    import simpy

    import simvlan

    for package in (simvlan, simpy):
        folder = Path(package.__file__).parent
        shutil.copytree(folder, base / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    (base / "tests").mkdir()
    shutil.copy(DRIVER, base / "tests")
    return [system]


def test_where_namespaces_are_forbidden_it_is_said(stage):
    """seccomp, sysctl or AppArmor may forbid them: the run does not start."""
    stage.command = ["setpriv", "--bounding-set=-all", *stage.command]
    limit = Path("/proc/sys/user/max_user_namespaces")
    script = f"""
    unshare -Urm bash -c 'mount -t proc proc /proc 2>/dev/null; echo 0 > {limit}; exec "$@"' x {PYTHON} {DRIVER} "$1"
    """
    inner = stage.folder / "inner.sh"
    inner.write_text("echo ran")
    done = subprocess.run(
        ["bash", "-c", script, "x", str(inner)], env=stage.env(), capture_output=True, text=True, check=False
    )
    assert "ran" not in done.stdout
    assert done.returncode == 2
    assert "unshare: No space left on device" in done.stderr


def test_unconfined_runs_without_namespaces(stage):
    """PATH, and functions for full paths in bash, are what protects the machine then."""
    done = stage.play(
        "readlink /proc/self/ns/net; ip args a; sleep 60; ip time; /usr/sbin/ip args b; ip netns exec n ip where | cut -d' ' -f1;"
        "ping X & sleep 3.5; kill -INT $!; wait",
        "--unconfined",
    )
    lines = done.stdout.splitlines()
    assert lines[:5] == [os.readlink("/proc/self/ns/net"), "[a]", "60", "[b]", "n"], done
    assert lines[-1] == "X: 4 sent"


def test_unconfined_leaves_nothing_running(stage):
    done = stage.play("ping X > /dev/null & (sleep 900; python3 -c 'import time; time.sleep(99)') & sleep 1", "--unconfined")
    assert done.returncode == 0


# -- send, and the cost ------------------------------------------------------------------------------------------------


def test_send_inside_a_script(stage):
    out = stage.out(
        "simvlan send eth0 --hex ff:ff:ff:ff:ff:ff:02:00:00:00:00:01:08:06; "
        "ip netns exec n simvlan send eth1 --count 2 'Ether(dst=\"02:00:00:00:00:02\", src=\"02:00:00:00:00:01\", type=0x88b5)'; "
        "simvlan send --netns m eth2 --hex 'ffffffffffff 020000000001 0800 45'"
    )
    assert out.splitlines() == [
        "sent root/eth0 ffffffffffff0200000000010806",
        *["sent n/eth1 02000000000202000000000188b5"] * 2,
        "sent m/eth2 ffffffffffff020000000001080045",
    ]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("send eth0", 2, "give a frame"),
        ("send eth0 --hex xyz", 2, "not pairs of hex digits"),
        ("send eth0 --hex 0011", 2, "2 octets are no Ethernet frame"),
        ("send eth0 'Ether('", 2, "SyntaxError"),
        ("send eth0 --hex 00 'Ether()'", 2, "one of them"),
        ("send nosuch --hex ffffffffffff0200000000010806", 1, "no such device"),
        ("send eth0 --count 0 --hex ffffffffffff0200000000010806", 2, "--count"),
        ("run x", 2, "`run` cannot be used inside a script"),
        ("", 2, "cannot be used inside a script"),
    ],
)
def test_send_refuses(stage, words, status, text):
    done = stage.play(f"simvlan {words}")
    assert done.returncode == status
    assert text in done.stderr


def test_a_command_costs_less_than_40_ms(stage):
    """Wall time of one simulated command of a script, everything included."""
    script = """
    for batch in 1 2 3 4 5 6 7 8; do
        start=${EPOCHREALTIME/./}
        for i in 1 2 3 4 5 6 7 8 9 10; do ip time > /dev/null; done
        echo $(( ${EPOCHREALTIME/./} - start ))
    done
    """
    # The least of several: the machine may be doing something else as well.
    each = min(int(word) for word in stage.out(script).split()) / 10
    assert each < 40_000, f"{each} us"
