"""`simvlan run --on`, `diff` and `doctor` as their users meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simvlan.capture import read_pcap
from simvlan.oracle import availability
from simvlan.oracle.doctor import Finding, as_text, status
from simvlan.oracle.kernels import Job, Kernel, KernelRun, Pool
from simvlan.oracle.run import warnings
from tests.kernels import require

SIMVLAN = Path(sys.executable).parent / "simvlan"
KERNELS: tuple[Kernel, ...] = ("uml", "host")
PAIR = """ip netns add n1; ip netns add n2
ip link add v netns n1 type veth peer name w netns n2
ip -n n1 link set v up; ip -n n2 link set w up
ip -n n1 addr add 10.0.0.1/24 dev v; ip -n n2 addr add 10.0.0.2/24 dev w
sleep 1
ip netns exec n1 ping -c 1 10.0.0.2 >/dev/null || exit 9
simvlan send --netns n1 v 'Ether(dst="02:00:00:00:00:02")/IP(dst="10.0.0.2")/UDP(dport=9)/Raw(b"hi")' || exit 8
simvlan send --netns n1 v --hex 0200000000020200000000018100000588b5cafe
"""


def simvlan(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SIMVLAN), *words], capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=170,
        check=False,
    )  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", KERNELS)
def test_run_on_a_kernel_is_the_same_script_with_the_same_files(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    (tmp_path / "beside.sh").write_text(PAIR)
    (tmp_path / "net.sh").write_text(
        '. "$(dirname "$0")/beside.sh"\necho "$0 $* $COLOUR"; echo complaint >&2; echo kept >mine; exit 7'
    )
    folders = {}
    for on in ("sim", kernel):
        done = simvlan("run", "--on", on, "--pcap", f"p-{on}", "./net.sh", "a", "b", cwd=tmp_path, COLOUR="red")
        assert (done.returncode, done.stdout, done.stderr) == (7, "./net.sh a b red\n", "complaint\n")
        assert (tmp_path / "mine").read_text() == "kept\n"
        (tmp_path / "mine").unlink()
        folders[on] = {path.name: read_pcap(path) for path in sorted((tmp_path / f"p-{on}").iterdir())}
    assert (
        list(folders["sim"])
        == list(folders[kernel])
        == ["n1.lo.pcap", "n1.v.pcap", "n2.lo.pcap", "n2.w.pcap", "root.lo.pcap"]
    )
    for name, frames in folders["sim"].items():
        assert len(frames) <= len(folders[kernel][name]), name  # a slow machine probes neighbours too
    assert folders[kernel]["n2.w.pcap"][-1][1].hex() == "0200000000020200000000018100000588b5cafe"


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_script_cannot_write_outside_its_folder(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    work, other = tmp_path / "work", tmp_path / "other"
    for folder in (work, other):
        folder.mkdir()
    for name in ("hosts", "passwd"):
        (other / name).write_bytes(Path("/etc", name).read_bytes())
    script = f"""echo x >here; echo x >{other}/there; cat {other}/there; echo x >/usr/simvlan-test
mkdir -p /etc/netns/simvlan-test; echo y >/etc/netns/simvlan-test/resolv.conf; cat /etc/netns/simvlan-test/resolv.conf
cmp /etc/hosts {other}/hosts && echo hosts; cmp /etc/passwd {other}/passwd && echo passwd
sysctl -qw net.ipv4.ip_forward=1 && echo forwarding; sysctl -qw kernel.panic=7"""
    with Pool(kernel, 1) as pool:
        done = pool.run(Job(script, cwd=str(work)))
    assert (work / "here").read_text() == "x\n"
    assert {path.name for path in other.iterdir()} == {"hosts", "passwd"}
    assert not Path("/etc/netns/simvlan-test").exists()
    assert done.stdout == "x\ny\nhosts\npasswd\nforwarding\n"  # it may write to /tmp and /etc, and that goes with it
    assert "/usr/simvlan-test: Read-only file system" in done.stderr
    assert Path("/proc/sys/kernel/panic").read_text() != "7\n"


@pytest.mark.kernel
def test_two_guests_share_the_work_and_a_lost_one_is_replaced(tmp_path: Path) -> None:
    require("host")
    with Pool("host", 2) as pool:
        jobs = [Job(f"echo {number}", cwd=str(tmp_path)) for number in range(6)]
        assert [run.stdout for run in pool.map(jobs)] == [f"{number}\n" for number in range(6)]
        for guest in pool._guests:
            guest._kill()
        assert pool.run(jobs[3]).stdout == "3\n"


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", KERNELS)
def test_diff_says_agreement_and_its_size(kernel: Kernel, tmp_path: Path) -> None:
    require(kernel)
    (tmp_path / "net.sh").write_text(PAIR)
    done = simvlan("diff", "--kernel", kernel, "--json", "net.sh", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert report["agree"]
    assert report["frames"] >= 12  # on a slow machine neighbours are probed too
    assert report["differences"] == []


@pytest.mark.kernel
def test_diff_lists_when_a_new_device_has_its_state(tmp_path: Path) -> None:
    """Linux looks at a new VLAN's or macvlan's state up to a second later; a script may be over before."""
    require("uml")
    (tmp_path / "net.sh").write_text(
        "ip link add v1 type veth peer name w1; ip link set v1 up; ip link set w1 up\n"
        "ip link add link v1 name v1.5 type vlan id 5; ip link set v1.5 up\n"
        "ip link add link w1 name mv1 type macvlan mode bridge; ip link set mv1 up\n"
    )
    done = simvlan("diff", "--kernel", "uml", "--tries", "1", "net.sh", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.kernel
def test_diff_shows_the_first_difference_and_the_way_there(tmp_path: Path) -> None:
    """The script asks which kernel it is on, so that the two must differ: the first frame is sent on one only."""
    require("host")
    (tmp_path / "net.sh").write_text(
        PAIR + "[ -e /run/simvlan/requests ] || simvlan send --netns n1 v --hex 02000000000202000000000188b6cafe\n"
    )
    done = simvlan("diff", "--kernel", "host", "--tries", "1", "net.sh", cwd=tmp_path)
    assert done.returncode == 1
    assert "DISAGREE" in done.stdout
    assert "first difference: n1/v, frame 6" in done.stdout
    assert "ethertype Unknown (0x88b6)" in done.stdout
    assert "(no such frame)" in done.stdout
    assert "-> n2/w RX" in done.stdout


def test_a_loop_is_not_given_to_a_kernel(tmp_path: Path) -> None:
    require("host")
    (
        tmp_path / "loop.sh"
    ).write_text("""for b in 1 2; do ip link add br$b type bridge mcast_snooping 0; ip link set br$b up; done
for v in 1 2; do
    ip link add a$v type veth peer name b$v; ip link set a$v master br1 up; ip link set b$v master br2 up
done
sleep 1
simvlan send br1 --hex ffffffffffff0200000000aa88b500000000""")
    done = simvlan("diff", "--kernel", "host", "loop.sh", cwd=tmp_path)
    assert done.returncode == 1
    assert "frames go in a circle" in done.stdout
    assert "enable STP" in done.stdout


@pytest.mark.parametrize("words", ["--trace t", "--pcapng f", "--seed 3", "--unconfined"])
def test_what_makes_no_sense_on_a_kernel_is_refused_by_name(words: str, tmp_path: Path) -> None:
    (tmp_path / "net.sh").write_text("true")
    done = simvlan("run", "--on", "host", *words.split(), "net.sh", cwd=tmp_path)
    assert done.returncode == 2
    assert words.split()[0] in done.stderr
    done = simvlan("run", "--timeout", "3", "net.sh", cwd=tmp_path)
    assert done.returncode == 2
    assert "--timeout is for --on host|uml" in done.stderr


@pytest.mark.parametrize("verb", ["run --on uml", "diff --kernel uml", "doctor --kernel uml"])
def test_a_kernel_that_is_not_there_is_4(verb: str, tmp_path: Path) -> None:
    (tmp_path / "net.sh").write_text("true")
    (tmp_path / "sitecustomize.py").write_text("import simvlan.oracle.availability as a\na.UML = 'no-such-linux.uml'\n")
    words = verb.split() + ([] if verb.startswith("doctor") else ["net.sh"])
    done = simvlan(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 4, done.stderr
    assert "apt install user-mode-linux" in done.stdout + done.stderr


def test_frames_that_the_kernel_dropped_are_said_loudly() -> None:
    lost = KernelRun(0, "", "", {}, "6.1", lost={"n1": 3})
    assert warnings(lost, "s.sh", 9) == [
        "the captures of n1 are INCOMPLETE: the kernel dropped 3 frames that came too fast"
    ]
    assert warnings(KernelRun(0, "", "", {}, "6.1"), "s.sh", 9) == []


def test_doctor_statuses_and_text() -> None:
    well = [Finding("simulator", "ok", "x"), Finding("kernel uml", "ok", "y"), Finding("kernel host", "ok", "z")]
    lost = [*well[:2], Finding("kernel host", "missing", "needs root", "use sudo")]
    assert status(well, None) == 0
    assert status(lost, None) == 3
    assert (status(lost, "host"), status(lost, "uml")) == (4, 0)
    assert "-> use sudo" in as_text(lost)


def test_host_needs_root_and_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "use sudo, or uml" in (availability.available("host") or "")
