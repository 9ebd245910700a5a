"""The real docker command against served engines: terminals, signals, streams, and clients that leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockersim.served import DOCKER, Served, serving, two_nodes, until_so

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker command of version 28 or later is installed")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(two_nodes(), ["node-1", "node-2"], speed=5.0) as made:
        for node in made.engines.values():
            made.do(lambda node=node: node.image_create("alpine", "latest"))
        done = made.docker("network", "create", "-d", "macvlan", "--subnet=10.8.0.0/24", "-o", "parent=eth1.8", "lan")
        assert done.exit == 0, done.err
        yield made


@pytest.fixture
def box(served: Served) -> Iterator[str]:
    """A container that idles, named `box`."""
    assert served.docker("run", "-itd", "--net=lan", "--name", "box", "alpine", "/bin/sh").exit == 0
    yield "box"
    served.docker("rm", "-f", "box")


def test_interactive_shell(served: Served) -> None:
    terminal = served.terminal("run", "-it", "--rm", "--net=lan", "--name", "tty", "alpine", "/bin/sh")
    terminal.expect("/ # ")
    terminal.type("echo $((6*7)) | cat\r")
    terminal.expect("\r\n42\r\n/ # ")
    terminal.type("echo abcd\x7f\x7fx\r")  # backspace is the terminal's
    terminal.expect("\r\nabx\r\n/ # ")
    terminal.type("tty; stty size\r")
    terminal.expect("/dev/pts/0\r\n24 80\r\n/ # ")
    served.resize(terminal, 40, 100)
    terminal.type("stty size\r")
    terminal.expect("40 100\r\n/ # ")
    terminal.type("exit 7\r")
    assert terminal.wait() == 7
    assert served.docker("inspect", "tty").exit == 1


def test_control_c_ends_the_program_not_the_shell(served: Served, box: str) -> None:
    terminal = served.terminal("exec", "-it", box, "sh")
    terminal.expect("/ # ")
    terminal.type("ping 127.0.0.1\r")
    terminal.expect("seq=1 ")
    terminal.type("\x03")
    terminal.expect("packets transmitted")
    terminal.expect("/ # ")
    terminal.type("sleep 100000\r")
    until_so(lambda: "sleep 100000" in served.docker("top", box).out, "sleep does not begin")
    terminal.type("\x03")
    terminal.expect("/ # ")
    terminal.type("echo $?\r")
    terminal.expect("130\r\n")
    terminal.type("\x04")
    terminal.wait()


def test_detach_and_attach_again(served: Served) -> None:
    terminal = served.terminal("run", "-it", "--net=lan", "--name", "away", "alpine", "/bin/sh")
    terminal.expect("/ # ")
    terminal.type("x=kept\r")
    terminal.expect("/ # ")
    terminal.type("\x10\x11")
    assert terminal.wait() == 0
    assert served.docker("inspect", "-f", "{{.State.Running}}", "away").out == "true\n"
    again = served.terminal("attach", "away")
    again.taken()
    again.type("echo $x\r")
    again.expect("kept\r\n")
    again.type("exit\r")
    assert again.wait() == 0
    assert served.docker("rm", "away").exit == 0


def test_interrupt_without_a_terminal(served: Served) -> None:
    process = served.start("run", "--rm", "--net=lan", "alpine", "ping", "127.0.0.1")
    assert process.stdout is not None
    while b"seq=1 " not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert b"packets transmitted" in out
    assert process.returncode == 0


def test_ping_prints_a_line_a_second(served: Served, box: str) -> None:
    """At five seconds of the lab in one of the wall's: five lines a second at most, and each without the next."""
    before = time.monotonic()
    process = served.start("exec", box, "ping", "127.0.0.1")
    assert process.stdout is not None
    while b"seq=5 " not in process.stdout.readline():
        assert process.poll() is None
    assert time.monotonic() - before >= 1.0
    process.kill()
    process.wait()


def test_standard_streams_are_kept_apart(served: Served, box: str) -> None:
    done = served.docker("exec", box, "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.out, done.err, done.exit) == ("out\n", "err\n", 5)


def test_large_input_comes_back_whole(served: Served, box: str) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    done = served.docker("exec", "-i", box, "cat", stdin=text)
    assert done.out == text
    assert served.docker("run", "-i", "--rm", "--net=lan", "alpine", "wc", stdin=text).out.split() == [
        "20000", "40000", str(len(text))
    ]  # fmt: skip


def test_a_client_that_is_killed_leaves_the_container_running(served: Served) -> None:
    process = served.start(
        "run", "--net=lan", "--name", "left", "alpine", "sh", "-c", "while true; do date; sleep 1; done"
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    until_so(lambda: not served.do(lambda: served.world.sockets.waiting), "the client's leaving is not noticed")
    assert served.docker("inspect", "-f", "{{.State.Running}}", "left").out == "true\n"
    assert served.docker("rm", "-f", "left").exit == 0
    assert not any("left" in engine.core.log for engine in served.engines.values())


def test_logs_follow_until_the_end(served: Served) -> None:
    served.docker(
        "run", "-d", "--net=lan", "--name", "talk", "alpine", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 1; done"
    )
    done = served.docker("logs", "-f", "talk")
    assert done.out == "1\n2\n3\n"
    assert served.docker("logs", "--tail", "1", "talk").out == "3\n"
    served.docker("rm", "-f", "talk")


def test_events_as_they_happen(served: Served) -> None:
    with open(served.folder / "events", "w+b") as file:
        del served.calls[:]
        process = served.start("events", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}", stdout=file)
        served.heard("/events")
        served.docker("run", "--rm", "--net=lan", "--name", "heard", "alpine", "true")
        until_so(lambda: b"destroy heard" in Path(file.name).read_bytes(), "the container's end is not told")
        process.send_signal(signal.SIGINT)
        process.wait(60)
        file.seek(0)
        lines = file.read().decode().splitlines()
    assert lines == [
        "container create heard", "container attach heard", "network connect lan", "container start heard",
        "network disconnect lan", "container die heard", "container destroy heard",
    ]  # fmt: skip


def test_connect_disconnect_and_prune(served: Served, box: str) -> None:
    for argv in (["network", "create", "-d", "bridge", "other"], ["network", "connect", "other", box]):
        assert served.docker(*argv).exit == 0
    assert "eth1" in served.docker("exec", box, "ip", "link").out
    names = served.docker(
        "inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}", box
    ).out.split()
    assert names == ["lan", "other"]
    assert served.docker("network", "disconnect", "other", box).exit == 0
    assert "eth1" not in served.docker("exec", box, "ip", "link").out
    assert served.docker("network", "prune", "-f").out == "Deleted Networks:\nother\n\n"


def test_formats(served: Served, box: str) -> None:
    assert served.docker("ps", "--format", "{{.Names}}|{{.Image}}|{{.Command}}").out == 'box|alpine|"/bin/sh"\n'
    found = json.loads(served.docker("ps", "--format", "json").out)
    assert (found["Names"], found["State"], found["Networks"]) == ("box", "running", "lan")
    assert served.docker("port", box).out == ""


def test_what_is_not_there(served: Served, box: str) -> None:
    done = served.docker("exec", box, "apt-get", "update")
    assert done.exit == 127
    assert 'exec: "apt-get": executable file not found in $PATH' in done.out + done.err
    done = served.docker("build", "-", stdin="FROM scratch\n")
    assert done.exit != 0
    assert served.docker("volume", "create", "v").err.startswith(
        "Error response from daemon: POST /volumes/create: not sim"
    )


def test_a_container_cannot_change_its_network_unless_privileged(served: Served, box: str) -> None:
    done = served.docker("exec", box, "ip", "addr", "add", "10.8.0.99/24", "dev", "eth0")
    assert (done.exit, done.err) == (2, "ip: RTNETLINK answers: Operation not permitted\n")
    script = "ip addr add 10.8.0.99/24 dev eth0; ip addr show eth0 | grep -c inet"
    assert served.docker("run", "--rm", "--privileged", "--net=lan", "alpine", "sh", "-c", script).out == "2\n"


def test_names_and_two_nodes(served: Served, box: str) -> None:
    served.docker("run", "-itd", "--net=lan", "--name", "two", "alpine")
    assert served.docker("exec", "two", "ping", "-c", "1", "-W", "1", box).exit == 0
    assert served.docker("exec", "two", "nslookup", "nobody").exit == 1
    create = (
        "network",
        "create",
        "-d",
        "macvlan",
        "--subnet=10.8.0.0/24",
        "--ip-range=10.8.0.64/26",
        "-o",
        "parent=eth1.8",
    )
    served.docker(*create, "lan", node="node-2")
    served.docker("run", "-itd", "--net=lan", "--name", "far", "alpine", node="node-2")
    address = served.docker(
        "inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", "far", node="node-2"
    ).out.strip()
    assert served.docker("exec", "two", "ping", "-c", "1", "-W", "1", address).exit == 0
    served.docker("rm", "-f", "two")
    served.docker("rm", "-f", "far", node="node-2")


def _children() -> set[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def test_a_container_sees_and_touches_nothing_of_the_machine(served: Served, box: str) -> None:
    """Its files are in memory, its processes are ours."""
    name, before = f"/tmp/simvlan-{os.getpid()}", _children()
    script = f"echo x > {name}; cat {name}; tcpdump -c 1 -i lo -w {name}.pcap & "
    script += "sleep 1; ping -c 1 127.0.0.1 > /dev/null; wait"
    done = served.docker("exec", box, "sh", "-c", script)
    assert done.out.startswith("x\n"), done
    assert not os.path.exists(name)
    assert not os.path.exists(f"{name}.pcap")
    for path in ("/etc/shadow", "/proc/1/environ", str(served.socket()), __file__):
        assert served.docker("exec", box, "cat", path).exit == 1
    assert served.docker("run", "--rm", "-v", "/etc:/mnt", "alpine", "ls", "/mnt").out == ""
    assert _children() <= before


def test_no_engine(served: Served) -> None:
    env = {**served.environment(), "DOCKER_HOST": f"unix://{served.folder}/none.sock"}
    done = subprocess.run([DOCKER or "", "ps"], env=env, capture_output=True, text=True, check=False)
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert os.path.exists(served.socket())


@pytest.mark.parametrize("argv", [("ping", "-c1"), ("arping", "-c1"), ("traceroute",)], ids=lambda argv: argv[0])
def test_tools_of_a_debian_image_ask_docker_s_name_server(served: Served, box: str, argv: tuple[str, ...]) -> None:
    served.do(lambda: served.engines["node-1"].image_create("debian", "latest"))
    address = served.docker("inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", box).out.strip()
    done = served.docker("run", "--rm", "--net=lan", "debian", *argv, box)
    assert done.exit == 0, done
    assert address in done.out
    lost = served.docker("run", "--rm", "--net=lan", "debian", *argv, "nobody")
    assert lost.exit == 2, lost
    assert "nobody: " in lost.err
    assert "nobody: Name or service not known" in lost.err or "failure in name resolution" in lost.err


def test_stats_go_on_until_the_client_leaves(served: Served, box: str) -> None:
    with served.start("stats", "--format", "{{.Name}} {{.NetIO}}", box) as client:
        assert client.stdout is not None
        for _ in range(2):
            while f"{box} ".encode() not in client.stdout.readline():
                assert client.poll() is None
        client.kill()
    assert served.docker("stats", "nobody").exit == 1
    assert not served.faults


def test_rm_after_a_failed_start_ends_in_the_old_dialect() -> None:
    """The client of API 1.24 removes the container itself, once it hears `die` (moby before 1.13, daemon/start.go)."""
    with serving(two_nodes(), ["node-1"], dialect="1.12") as old:
        old.do(lambda: old.engines["node-1"].image_create("alpine", "latest"))
        with old.start("run", "--rm", "--net=nope", "alpine", "true") as client:
            try:
                said = client.communicate(timeout=60)[0].decode()
            finally:
                client.kill()
        assert client.returncode == 125
        assert "network nope not found" in said
        assert old.docker("ps", "-aq").out == ""
