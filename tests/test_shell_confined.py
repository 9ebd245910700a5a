"""A script cannot touch the real machine, as root or not, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from shell_stage import DRIVER, PYTHON, needs_namespaces

from simvlan import Lab

pytestmark = needs_namespaces


def test_full_paths_reach_the_simulator_too(stage):
    """Every file on this machine that is one of the commands is covered, through its links as well."""
    found = sorted({p for d in ("/sbin", "/usr/sbin", "/bin", "/usr/bin") for p in [f"{d}/ip"] if os.path.exists(p)})
    assert found
    script = "\n".join(f"{path} args {path}" for path in found) + "\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nip args plain"
    assert stage.out(script) == "".join(f"[{path}]\n" for path in found) + "[plain]\n"


def test_other_network_tools_are_refused_by_name(stage):
    """Installed or not; by name or full path; and the script sees a failure."""
    done = stage.play("ip6tables -L; echo $?; brctl addbr x; echo $?; nft list ruleset || echo failed")
    assert done.stdout == "95\n95\nfailed\n"
    for name in ("ip6tables", "brctl", "nft"):
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


ETC = """
echo "10.9.9.9 simvlan-test" >> /etc/hosts && tail -n 1 /etc/hosts
rm /etc/passwd; ls /etc/passwd 2>&1 | wc -l; echo x > /etc/simvlan-test; cat /etc/simvlan-test
mkdir -p /etc/netns/simvlan-n1; ip netns add simvlan-n1
echo "10.0.0.1 joe" > /etc/netns/simvlan-n1/hosts; echo "nameserver 10.0.0.53" > /etc/netns/simvlan-n1/resolv.conf
echo x > /etc/netns/simvlan-n1/simvlan-nowhere
ip netns exec simvlan-n1 cat /etc/hosts /etc/resolv.conf
rm /etc/netns/simvlan-n1/simvlan-nowhere
ip -n simvlan-n1 link set lo up; ip -n simvlan-n1 addr add 10.0.0.1/24 dev lo
ip netns exec simvlan-n1 ping -c 1 joe | grep received
tail -n 1 /etc/hosts
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root could write them outside")
def test_what_a_script_writes_to_etc_is_its_own_and_goes_with_it():
    """As on a kernel (seen on 6.1 and 6.18): `ip netns exec` shows a namespace's files, which are the run's."""
    machine = sorted(path.name for path in Path("/etc").iterdir()), Path("/etc/hosts").read_bytes()
    done = Lab().sh(ETC)
    assert done.stdout.splitlines() == [
        "10.9.9.9 simvlan-test", "1", "x", "10.0.0.1 joe", "nameserver 10.0.0.53",
        "1 packets transmitted, 1 received, 0% packet loss, time 0ms", "10.9.9.9 simvlan-test",
    ]  # fmt: skip
    nowhere = "/etc/netns/simvlan-n1/simvlan-nowhere -> /etc/simvlan-nowhere"
    assert done.stderr.splitlines() == [f"Bind {nowhere} failed: No such file or directory"]
    assert (sorted(path.name for path in Path("/etc").iterdir()), Path("/etc/hosts").read_bytes()) == machine
    assert Path("/etc/passwd").exists()
    assert not Path("/etc/netns/simvlan-n1").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root could write them outside")
def test_the_machines_sysctls_cannot_be_written(stage):
    # Should it be possible after all, what is written is what was there.
    done = stage.play("x=/proc/sys/kernel/core_pattern; echo $(< $x) > $x; echo $?; cat /proc/sys/kernel/ostype")
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
        (base / "script.sh").write_text("/usr/sbin/ip args x; id -u; sleep 9; ip time; ip6tables; touch mine")
        for path in (base, base / "work"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        done = subprocess.run(
            [*python, str(base / "tests/shell_driver.py"), "../script.sh"],
            cwd=base / "work",
            capture_output=True,
            text=True,
            check=False,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{base}:{base}/tests"},
        )
        assert (done.returncode, done.stdout) == (0, "[x]\n0\n9\n"), done
        assert "ip6tables is not simulated" in done.stderr
        assert (base / "work/mine").stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(base)


def interpreter_for_others(base: Path) -> list[str]:
    """An interpreter anybody may run, and copies of what it imports."""
    system = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(p, os.X_OK)), None)
    recent = "import sys; assert sys.version_info >= (3, 11)"
    if system is None or subprocess.run([system, "-c", recent], check=False).returncode:
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


def test_a_masked_proc_means_no_pid_namespace(stage):
    """As in many containers: no new /proc may be mounted; the rest of the confinement holds, and nothing is left."""
    mask = 'mount --bind /dev/null /proc/timer_list; exec "$@"'
    stage.command = ["unshare", "-Urm", "bash", "-c", mask, "x", *stage.command]
    script = """
    (( $(ls /proc | grep -c '^[0-9]') > 20 )) && echo shared
    ping X & sleep 1.5; kill -INT $!; wait; diff <(ip args a) <(ip args a) && ip time
    /usr/sbin/ip args full; (sleep 1000; python3 -c 'import time; time.sleep(99)') &
    """
    assert stage.out(script) == "shared\nX seq=1 t=0\nX seq=2 t=1\nX: 2 sent\n1.5\n[full]\n"


def test_a_killed_simulator_takes_the_script_along(stage):
    """SIGKILL leaves its directory behind, but no process."""
    process = stage.start("sleep infinity & python3 -c 'import time; time.sleep(99)'")
    time.sleep(1.5)
    process.kill()
    process.communicate(timeout=10)
    time.sleep(0.5)
    assert stage.left_processes() == []
    shutil.rmtree(stage.tmp)
    stage.tmp.mkdir()


def test_unconfined_runs_without_namespaces(stage):
    """PATH, and functions for full paths in bash, are what protects the machine then."""
    done = stage.play(
        "readlink /proc/self/ns/net; ip args a; sleep 60; ip time; /usr/sbin/ip args b;"
        "ip netns exec n ip where | cut -d' ' -f1;"
        "ping X & sleep 3.5; kill -INT $!; wait",
        "--unconfined",
    )
    lines = done.stdout.splitlines()
    assert lines[:5] == [os.readlink("/proc/self/ns/net"), "[a]", "60", "[b]", "n"], done
    assert lines[-1] == "X: 4 sent"


def test_unconfined_leaves_nothing_running(stage):
    script = "ping X > /dev/null & (sleep 900; python3 -c 'import time; time.sleep(99)') & sleep 1"
    done = stage.play(script, "--unconfined")
    assert done.returncode == 0


SHOWN = """exec 2>&1
FILES="address mtu operstate carrier flags ifindex iflink type tx_queue_len ifalias"
show() { for f in $FILES; do echo $(cat $1/$f 2>/dev/null); done | xargs; }
cd /sys/class/net; ls
show lo
ip netns add a; ip link add br0 type bridge; ip link add v0 type veth peer name eth0 netns a
ip link set v0 master br0 address 02:00:00:00:00:01; ip -n a link set eth0 address 02:00:00:00:00:02
ls; cat v0/operstate v0/flags; cat v0/carrier 2>/dev/null | wc -c
ip link set br0 up; ip link set v0 up; ip -n a link set eth0 up; sleep 2
show v0; basename $(readlink v0/master); [ -d br0/bridge ] && ls br0/brif
echo 9000 > v0/mtu
ip netns exec a bash -c 'cd /sys/class/net; ls; ip link set eth0 mtu 1400 alias hi; ip link set eth0 promisc on
  cat eth0/{address,mtu,flags,ifalias,iflink}; ip link set eth0 down; ip link set eth0 name x0; ls; echo 1 > x0/mtu'
ip link set v0 nomaster; ls br0/brif; ls -d v0/master
test -e nosuch || echo none
(sleep 3; ip link del br0) & while [ -e br0 ]; do sleep 1; done; ls
"""


def test_sysfs_shows_the_devices_of_the_namespace():
    """As /sys of Linux 6.18 answered the same script, but for the words of who may not write."""
    said = Lab(seed=1).sh(SHOWN).stdout
    lines = [line.rpartition(": ")[2] if "Read-only" in line else line for line in said.splitlines()]
    assert "|".join(lines) == (
        "lo|00:00:00:00:00:00 65536 down 0x8 1 1 772 1000"
        "|br0|lo|v0|down|0x1302|0"
        "|02:00:00:00:00:01 1500 up 1 0x1303 3 2 1 1000|br0|v0|Read-only file system"
        "|eth0|lo|02:00:00:00:00:02|1400|0x1103|hi|3|lo|x0|Read-only file system"
        "|ls: cannot access 'v0/master': No such file or directory|none|lo|v0"
    )
