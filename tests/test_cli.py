"""The command line: verbs, exit codes, recordings, refusals. Scripts run on the real lab."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from simvlan import __version__
from simvlan.arguments import parse
from tests.kernels import require

PAIR = """
ip netns add a; ip netns add b
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a address add 10.0.0.1/24 dev eth0; ip -n b address add 10.0.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
"""


def namespaces_allowed() -> bool:
    return subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not namespaces_allowed(), reason="the kernel forbids private namespaces")


def simvlan(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simvlan.cli", *map(str, words)]
    more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **more)


@pytest.fixture
def pair(tmp_path):
    script = tmp_path / "pair.sh"
    script.write_text(PAIR)
    return script


def test_help_names_the_verbs_and_is_quick():
    """Under 0.3 s of CPU, as nothing heavy is imported for it."""
    quickest = 9.0
    for _ in range(3):
        before = os.times()
        done = simvlan("--help")
        after = os.times()
        used = after.children_user - before.children_user + after.children_system - before.children_system
        quickest = min(quickest, used)
    assert done.returncode == 0
    for verb in ("run", "sh", "send", "trace", "matrix", "diff", "doctor", "fuzz", "bench", "live"):
        assert f"    {verb} " in done.stdout
    assert quickest < 0.3


def test_help_imports_nothing_heavy():
    code = "import sys, simvlan.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("simpy", "numpy", "scapy", "matplotlib"):
        assert f"'{heavy}'" not in out


def test_version():
    assert simvlan("--version").stdout == f"simvlan {__version__}\n"


WRONG = ["", "nosuch", "run", "run --seed x s", "trace s", "run --on moon s", "matrix a b"]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_2(words):
    done = simvlan(*words.split())
    assert done.returncode == 2
    assert "usage: simvlan" in done.stderr


def test_send_outside_a_script_is_refused():
    done = simvlan("send", "eth0", "--hex", "00")
    assert done.returncode == 2
    assert "inside a script" in done.stderr


@pytest.mark.parametrize(("script", "why"), [("/nosuch.sh", "No such file or directory"), ("/tmp", "Is a directory")])
def test_a_missing_script_is_2(script, why):
    done = simvlan("run", script)
    assert (done.returncode, done.stderr) == (2, f"simvlan: {script}: {why}\n")


def test_a_capture_folder_that_cannot_be_made_is_2(tmp_path, pair):
    (tmp_path / "file").touch()
    done = simvlan("run", "--pcap", tmp_path / "file/x", pair)
    assert done.returncode == 2
    assert "file/x: Not a directory" in done.stderr


@needs_namespaces
def test_run_passes_on_arguments_output_and_status(tmp_path):
    """Options after the script are the script's own."""
    script = tmp_path / "s.sh"
    script.write_text('echo "$*"; ip link show lo > /dev/null; echo warned >&2; exit "$2"')
    done = simvlan("run", "--seed", 7, script, "--seed", "3", "-h")
    assert (done.returncode, done.stdout, done.stderr) == (3, "--seed 3 -h\n", "warned\n")


@needs_namespaces
def test_run_from_standard_input():
    done = simvlan("run", "-", "word", input="echo $1; ip -br link show lo | cut -c1-2\n")
    assert (done.returncode, done.stdout) == (0, "word\nlo\n")


@needs_namespaces
def test_sh_reads_commands_from_a_pipe():
    done = simvlan("sh", input="ip netns add n1; ip netns list\nexit 4\n")
    assert (done.returncode, done.stdout) == (4, "n1\n")


@needs_namespaces
def test_recordings(tmp_path, pair):
    """One pcap per device and namespace, one pcapng, one JSON line per step; each frame once per device."""
    with pair.open("a") as file:
        file.write("ip netns exec a ping -c 1 10.0.0.2 > /dev/null\n")
    out = tmp_path / "out"
    done = simvlan("run", "--pcap", out, "--pcapng", tmp_path / "all.pcapng", "--trace", tmp_path / "t.jsonl", pair)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(out)) == ["a.eth0.pcap", "a.lo.pcap", "b.eth0.pcap", "b.lo.pcap", "root.lo.pcap"]
    assert ethertypes(out / "a.eth0.pcap") == [0x0806, 0x0806, 0x0800, 0x0800]
    assert ethertypes(out / "a.lo.pcap") == []
    assert (tmp_path / "all.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    steps = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert {(step["netns"], step["device"]) for step in steps} == {("a", "eth0"), ("b", "eth0")}


def ethertypes(file: Path) -> list[int]:
    data, at, found = file.read_bytes(), 24, []
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        found.append(int.from_bytes(data[at + 16 + 12 : at + 16 + 14], "big"))
        at += 16 + size
    return found


@needs_namespaces
def test_the_same_seed_gives_the_same_bytes(tmp_path, pair):
    with pair.open("a") as file:
        file.write("for ns in a b; do ip netns exec $ns ping -c 2 10.0.0.1 & done; wait; ip -n a link\n")
    seen = []
    for folder, seed in (("x", 1), ("y", 1), ("z", 2)):
        done = simvlan("run", "--seed", seed, "--pcap", tmp_path / folder, pair)
        files = {name: (tmp_path / folder / name).read_bytes() for name in sorted(os.listdir(tmp_path / folder))}
        seen.append((done.stdout, files))
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]  # MAC addresses are drawn from the seed


LOOP = """
for i in 0 1; do ip link add br$i up type bridge; done
for i in 0 1; do
    ip link add p$i type veth peer name q$i
    ip link set p$i master br0 up; [ $i = $ONCE ] || ip link set q$i master br1 up
done
simvlan send br0 --hex ffffffffffff0200000000010800
"""


@needs_namespaces
@pytest.mark.parametrize("once", [None, 1])
def test_a_storm_is_said_with_its_remedy(once):
    """Two bridges joined twice without STP; joined once there is no loop and nothing to say."""
    done = simvlan("run", "-", input=f"ONCE={once}\n{LOOP}")
    assert ("frames given up on" in done.stderr) == (once is None), done.stderr
    assert ("stp_state 1" in done.stderr) == (once is None)


@needs_namespaces
def test_trace_says_where_a_frame_goes(pair):
    """0 when it is delivered, 1 when not; the frame before or after --from; as text or JSON."""
    frame = 'Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="10.0.0.2")'
    done = simvlan("trace", pair, "--from", "a/eth0", frame)
    assert done.returncode == 0, done.stderr
    assert "b/eth0" in done.stdout
    assert simvlan("trace", pair, frame, "--from", "a/eth0").stdout == done.stdout
    lost = simvlan("trace", "--json", pair, "--from", "a/eth0", 'Ether(dst="02:00:00:00:00:99")/IP(dst="10.0.0.2")')
    assert lost.returncode == 1
    assert "OTHERHOST" in json.dumps(json.loads(lost.stdout))


@needs_namespaces
def test_trace_refuses_what_it_cannot_follow(pair):
    assert "no device" in simvlan("trace", pair, "--from", "a/nosuch", "--hex", "ff" * 20).stderr
    for words in (["Ether("], ["--hex", "0011"], []):
        done = simvlan("trace", pair, "--from", "a/eth0", *words)
        assert done.returncode == 2
        assert done.stderr.startswith("simvlan: trace:")


@needs_namespaces
def test_trace_stops_where_the_script_fails(tmp_path):
    script = tmp_path / "s.sh"
    script.write_text("ip link add x type nosuch")
    done = simvlan("trace", script, "--from", "lo", "--hex", "ff" * 20)
    assert done.returncode == 2
    assert "ended with status 2" in done.stderr


@needs_namespaces
def test_matrix_says_who_reaches_whom(tmp_path, pair):
    """0 when everybody does, 1 when somebody does not."""
    done = simvlan("matrix", pair, "--between", "a", "b")
    assert done.returncode == 0, done.stderr
    assert "10.0.0.2" in done.stdout
    with pair.open("a") as file:
        file.write("ip -n b link set eth0 down\necho words of the script\n")
    done = simvlan("matrix", "--json", "--picture", tmp_path / "m.png", pair, "--between", "a", "b")
    assert done.returncode == 1
    json.loads(done.stdout)
    assert "words of the script" in done.stderr
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


@needs_namespaces
@pytest.mark.parametrize(("picture", "why"), [("/nosuch/m.png", "No such file"), ("m.nosuch", "not supported")])
def test_a_picture_that_cannot_be_saved_is_2(pair, picture, why):
    done = simvlan("matrix", "--picture", picture, pair)
    assert done.returncode == 2
    assert done.stderr.startswith(f"simvlan: matrix: {picture}: ")
    assert why in done.stderr
    assert "10.0.0.2" in done.stdout


@needs_namespaces
@pytest.mark.parametrize("verb", [["matrix"], ["trace", "--from", "a/eth0", "Ether()"]])
def test_a_reader_that_goes_away_is_no_traceback(pair, verb):
    from_, to = os.pipe()
    os.close(from_)
    words = [sys.executable, "-m", "simvlan.cli", verb[0], pair, *verb[1:]]
    done = subprocess.run(words, stdout=to, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(to)
    assert (done.returncode, done.stderr) == (128 + 13, "")


@needs_namespaces
def test_matrix_refuses_unknown_namespaces(pair):
    done = simvlan("matrix", pair, "--between", "a", "nosuch")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


def test_a_kernel_that_is_not_there_is_4(pair):
    """Without the tools and the guest there is no oracle, and it is said why."""
    done = simvlan("run", "--on", "uml", pair, env={**os.environ, "PATH": "/nowhere"})
    assert done.returncode == 4
    assert done.stderr.startswith("simvlan: --on uml: ")


@pytest.mark.parametrize("words", [("--trace", "x"), ("--gso",)])
def test_a_kernel_does_not_explain_and_has_its_own_mind(pair, words):
    done = simvlan("run", "--on", "uml", *words, pair)
    assert done.returncode == 2
    assert f"{words[0]} needs the simulator" in done.stderr


def test_gso_is_an_option_of_the_model(tmp_path):
    """Twenty thousand octets between two hosts: with --gso fewer frames, and fewer headers."""
    script = tmp_path / "s.sh"
    script.write_text(
        "ip netns add a; ip netns add b; ip link add eth0 netns a type veth peer name eth0 netns b\n"
        "ip -n a addr add 10.0.0.1/24 dev eth0; ip -n b addr add 10.0.0.2/24 dev eth0\n"
        "ip -n a link set eth0 up; ip -n b link set eth0 up; sleep 2\n"
        "ip netns exec b nc -l 8000 < /dev/null > /dev/null & sleep 1\n"
        "head -c 20000 /dev/zero | ip netns exec a nc -N 10.0.0.2 8000; wait\n"
        "ip -n b -s link show eth0 | sed -n 4p\n"
    )
    octets = {}
    for words in ((), ("--gso",)):
        done = simvlan("run", *words, script)
        assert done.returncode == 0, done.stderr
        octets[words] = [int(word) for word in done.stdout.split()[:2]]
    (most, frames), (least, fewer) = octets[()], octets["--gso",]
    assert fewer < frames - 8
    assert most - least == (frames - fewer) * 66  # a header less for each frame less


@pytest.mark.kernel
def test_the_same_script_on_a_real_kernel(tmp_path, pair):
    """Same capture files, by name and by ethertypes, and the same status."""
    require("uml")
    with pair.open("a") as file:
        file.write("ip netns exec a ping -c 1 10.0.0.2 > /dev/null; echo $1; exit 3\n")
    done = simvlan("run", "--on", "uml", "--pcap", tmp_path / "uml", pair, "word")
    assert (done.returncode, done.stdout) == (3, "word\n")
    assert ethertypes(tmp_path / "uml/a.eth0.pcap")[:4] == [0x0806, 0x0806, 0x0800, 0x0800]


@needs_namespaces
def test_unconfined_is_said():
    done = simvlan("run", "--unconfined", "-", input="ip -br link show lo | cut -c1-2\n")
    assert (done.returncode, done.stdout) == (0, "lo\n")
    assert "unconfined" in done.stderr


def test_bench_measures_every_engine(monkeypatch, capsys):
    from simvlan import bench, cli

    for name, little in (("ONE_BY_ONE", 50), ("AT_ONCE", 500), ("LEAST_S", 0.001)):
        monkeypatch.setattr(bench, name, little)
    assert cli.main(["bench", "--json", "--seed", "3"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["engine"] for row in rows][:3] == ["walk", "events, 1 µs cables", "batch, numpy"]
    assert all(row["frames/CPU s"] > 0 for row in rows)


@pytest.mark.parametrize("words", ["diff --kernel uml net.sh a", "diff net.sh --kernel uml a"])
def test_the_kernel_of_diff_may_stand_behind_the_script(words):
    options = parse(words.split())
    assert (options.kernel, options.script, options.args) == ("uml", "net.sh", ["a"])
