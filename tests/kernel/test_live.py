"""`simvlan live` and real devices in namespaces of our own: ping through a TAP, carrier both ways, faults, the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.kernels import require_host_tun
from tests.live_bench import Bench, Live, bench, machine, wait_for

pytestmark = pytest.mark.kernel

MACVLAN = (Path(__file__).parents[2] / "examples" / "live" / "macvlan.sh").read_text()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Bench]:
    require_host_tun()
    before = machine()
    with bench(tmp_path) as made:
        yield made
    assert machine() == before  # the machine's own network is as it was


def ping(rig: Bench, space: str, address: str, count: int = 3) -> None:
    """A real ping that must be answered; the first may wait for ARP."""
    rig.sh(space, f"ping -c {count} -i 0.05 -W 5 {address}")


def test_a_real_ping_reaches_a_simulated_macvlan(rig: Bench) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    ping(rig, space, "10.80.0.2")
    assert "64 bytes from 10.80.0.1" in live.exec("ping", "-c", "1", "10.80.0.1", netns="c1")
    rig.spawn(space, sys.executable, "-m", "http.server", "--directory", str(rig.folder), "--bind", "10.80.0.1", "8000")
    wait_for(lambda: ":8000" in rig.sh(space, "ss -ltn"))
    assert live.exec("curl", "-s", "http://10.80.0.1:8000/t.sh", netns="c1") == MACVLAN
    assert rig.sh(space, "ping -c 1 -W 1 10.80.0.9", check=False).count("100% packet loss") == 1
    assert live.stop() == 0
    assert "node/eth0 = tap:tap0: " in live.said.read_text()
    assert rig.link(space, "tap0") == {}


TRUNK = """
ip netns add sw
ip -n sw link add br0 type bridge vlan_filtering 1 mcast_snooping 0
ip -n sw link set br0 up
for n in 1 2; do
    ip -n sw link add p$n type veth peer name out$n
    ip -n sw link set p$n master br0 up
done
"""


def test_two_real_namespaces_talk_through_a_simulated_bridge_by_veth_legs(rig: Bench) -> None:
    """Both are access ports of VLAN 5, a third namespace of VLAN 6; TCP with partial checksums crosses too."""
    home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
    script = TRUNK + "for n in 1 2; do bridge -n sw vlan add dev p$n vid 5 pvid untagged; done"
    live = rig.live(home, script, "--attach", f"sw/p1=netns:{a}/eth0", "--attach", f"sw/p2=netns:{b}/eth0")
    rig.sh(a, "ip addr add 10.0.1.1/24 dev eth0")
    rig.sh(b, "ip addr add 10.0.1.2/24 dev eth0")
    ping(rig, a, "10.0.1.2")
    assert transfer(rig, a, b, "10.0.1.2") == 3_000_000
    live.exec("bridge", "-n", "sw", "vlan", "add", "dev", "p2", "vid", "6", "pvid", "untagged")
    assert "100% packet loss" in rig.sh(a, "ping -c 1 -W 1 10.0.1.2", check=False)
    live.kill()
    wait_for(lambda: not rig.link(a, "eth0") and not rig.link(b, "eth0"))


def transfer(rig: Bench, a: str, b: str, address: str, size: int = 3_000_000) -> int:
    """Send octets by TCP from one namespace to another; how many came."""
    listen = ["ip", "netns", "exec", b, "timeout", "40", sys.executable, "-c", RECEIVER, address]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        rig.sh(a, f"head -c {size} /dev/zero > /dev/tcp/{address}/5000", timeout=40)
        return int(server.stdout.read())


RECEIVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 5000), family=family) as server:
    print("listening", flush=True)
    sock, _ = server.accept()
    print(sum(iter(lambda: len(sock.recv(65536)), 0)))
"""


TAGGED = """
import socket
from tests.live_bench import ask_tagged
print(ask_tagged("eth0", 5, "10.0.5.1", "10.0.5.2"))
"""


def test_a_packet_socket_on_a_device_sees_tags_and_not_itself(rig: Bench) -> None:
    """One end of a veth as the device: a tag kept beside the octets is restored; nothing comes twice."""
    home, far = rig.netns("home"), rig.netns("far")
    rig.sh(home, f"ip link add nic0 type veth peer name eth0 netns {far} && ip link set nic0 up")
    rig.sh(far, "ip link set eth0 up; ip addr add 10.0.1.1/24 dev eth0")
    script = """ip netns add n
ip -n n link add eth0 type veth peer name out
ip -n n link set eth0 up
ip -n n link add link eth0 name eth0.5 type vlan id 5
ip -n n link set eth0.5 up
ip -n n addr add 10.0.5.2/24 dev eth0.5
ip -n n addr add 10.0.1.2/24 dev eth0"""
    live = rig.live(home, script, "--attach", "n/eth0=dev:nic0")
    assert rig.link(home, "nic0").get("promiscuity", 0) == 0
    ping(rig, far, "10.0.1.2", count=2)
    assert rig.sh(far, f"{sys.executable} -c '{TAGGED}'") == "[(5, '10.0.5.2 is at')]\n"
    stats = json.loads(live.exec("ip", "-j", "-s", "-n", "n", "link", "show", "eth0.5"))[0]["stats64"]
    assert (stats["rx"]["packets"], stats["tx"]["packets"]) == (1, 1)
    rig.sh(
        home, f"{sys.executable} -c 'from tests.live_bench import flood; flood(\"nic0\", 50)'"
    )  # for far, not for us
    rig.sh(far, f"{sys.executable} -c 'from tests.live_bench import flood; flood(\"eth0\", 50)'")  # for us
    wait_for(lambda: received(live) == rig.link(home, "nic0")["stats64"]["rx"]["packets"])
    rig.sh(home, "ip link set nic0 down")
    live.hear("dev:nic0 is down")
    rig.sh(home, "ip link set nic0 up")
    live.hear("dev:nic0 is up")
    ping(rig, far, "10.0.1.2", count=2)
    rig.sh(home, "ip link del nic0")
    assert live.process.wait(30) == 1
    assert "dev:nic0 was deleted" in live.said.read_text()


@pytest.mark.parametrize("kind", ["tap", "netns"])
def test_taps_and_legs_send_super_packets_when_asked(rig: Bench, kind: str) -> None:
    """With --gso the devices that are made keep their offloads, and both ends understand what comes whole."""
    home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
    ends = [word for n, space in ((1, a), (2, b)) for word in ("--attach", f"sw/p{n}={kind}:{space}/eth0")]
    live = rig.live(home, TRUNK, "--gso", *ends)
    for n, space in ((1, a), (2, b)):
        rig.sh(space, f"ip addr add 10.0.1.{n}/24 dev eth0")
    assert transfer(rig, a, b, "10.0.1.2") == 3_000_000
    crossed = json.loads(live.exec("ip", "-j", "-s", "-n", "sw", "link", "show", "p2"))[0]["stats64"]["tx"]
    assert crossed["packets"] < 3_000_000 / 1448


def received(live: Live) -> int:
    shown = json.loads(live.exec("ip", "-j", "-s", "-n", "n", "link", "show", "eth0"))
    return int(shown[0]["stats64"]["rx"]["packets"])


@pytest.mark.parametrize("gso", [False, True], ids=["cut", "whole"])
def test_super_packets_are_cut_on_entry_or_carried_whole(rig: Bench, gso: bool) -> None:
    """Devices that are there keep their offloads: TCP hands over 64 KiB at a time, IPv6 too; --gso leaves it so."""
    home, a, b = rig.netns("home"), rig.netns("a"), rig.netns("b")
    for n, space in ((1, a), (2, b)):
        rig.sh(home, f"ip link add nic{n} type veth peer name eth0 netns {space} && ip link set nic{n} up")
        six = "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.eth0.accept_dad=0"
        rig.sh(space, f"{six}; ip link set eth0 up; ip addr add 10.0.1.{n}/24 dev eth0")
        rig.sh(space, f"ip addr add fd00::{n}/64 dev eth0 nodad")
    live = rig.live(home, TRUNK, "--attach", "sw/p1=dev:nic1", "--attach", "sw/p2=dev:nic2", *["--gso"][: int(gso)])
    assert transfer(rig, a, b, "10.0.1.2") == 3_000_000
    assert transfer(rig, a, b, "fd00::2") == 3_000_000
    crossed = json.loads(live.exec("ip", "-j", "-s", "-n", "sw", "link", "show", "p2"))[0]["stats64"]["tx"]
    assert (crossed["packets"] > 2 * 3_000_000 / 1448) is not gso
    assert crossed["dropped"] == 0


def test_the_way_to_the_world_is_not_taken_by_accident(rig: Bench) -> None:
    home = rig.netns("home")
    rig.sh(home, "ip link add up0 type veth peer name far0 && ip link set far0 up && ip link set up0 up")
    rig.sh(home, "ip addr add 10.9.9.1/24 dev up0")
    rig.sh(home, "ip route add default via 10.9.9.254")
    script = "ip netns add n; ip -n n link add eth0 type veth peer name out; ip -n n link set eth0 up"
    refused = rig.start(home, script, "--attach", "n/eth0=dev:up0")
    assert refused.process.wait(30) == 2
    assert "this machine reaches the world by it; if that is meant: dev:up0,uplink" in refused.said.read_text()
    assert rig.live(home, script, "--attach", "n/eth0=dev:up0,uplink").stop() == 0


def test_carrier_goes_both_ways(rig: Bench) -> None:
    """A simulated device that is down is a pulled cable at the TAP, and the other way round; up again, frames flow."""
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    live.exec("ip", "-n", "node", "link", "set", "eth0", "down")
    wait_for(lambda: "NO-CARRIER" in rig.link(space, "tap0")["flags"])
    live.exec("ip", "-n", "node", "link", "set", "eth0", "up")
    wait_for(lambda: "NO-CARRIER" not in rig.link(space, "tap0")["flags"])
    ping(rig, space, "10.80.0.2")
    rig.sh(space, "ip link set tap0 down")
    live.hear("tap:tap0 is down: node/eth0 has no carrier")
    wait_for(lambda: "NO-CARRIER" in live.exec("ip", "-n", "node", "link", "show", "eth0"))
    rig.sh(space, "ip link set tap0 up")
    live.hear("tap:tap0 is up: node/eth0 has a carrier")
    ping(rig, space, "10.80.0.2")


def test_a_tap_may_move_and_one_that_was_there_stays(rig: Bench) -> None:
    space, other = rig.netns(), rig.netns("other")
    rig.sh(space, "ip tuntap add tap9 mode tap && ip link set tap9 up")
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap9")
    rig.sh(space, f"ip link set tap9 netns {other}")
    live.hear("tap:tap9 is down")
    rig.sh(other, "ip addr add 10.80.0.1/24 dev tap9; ip link set tap9 up")
    live.hear("tap:tap9 is up")
    ping(rig, other, "10.80.0.2")
    busy = rig.start(other, MACVLAN, "--attach", "node/eth0=tap:tap9", name="second")
    assert busy.process.wait(30) == 2
    assert "another program holds this TAP" in busy.said.read_text()
    assert live.stop() == 0
    assert rig.link(other, "tap9")


def test_a_tap_deleted_under_it_is_told_and_ends_it(rig: Bench) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip link del tap0")
    assert live.process.wait(30) == 1
    assert "tap:tap0 was deleted" in live.said.read_text()


def test_the_view_names_drops_and_a_fifo_is_read_live(rig: Bench, tmp_path: Path) -> None:
    space, fifo, copy = rig.netns(), tmp_path / "fifo", tmp_path / "copy.pcapng"
    os.mkfifo(fifo)
    words = ("--watch", "--pcapng", str(fifo), "--attach", "node/eth0=tap:tap0")
    live = rig.start(space, MACVLAN, *words)
    live.hear(f"waiting for a reader of {fifo}")
    with copy.open("wb") as out, subprocess.Popen(["cat", str(fifo)], stdout=out) as reader:
        live.hear("live; change it with")
        rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
        rig.sh(space, "ping -c 1 -W 5 -p 6c697665 10.80.0.2")
        wait_for(lambda: b"livelive" in copy.read_bytes())  # while it runs
        wait_for(lambda: "ARP_NOT_OURS at node/eth0" in live.shown.read_text())
        reader.kill()
        reader.wait()
        ping(rig, space, "10.80.0.2")
        live.hear("--pcapng: the reader has gone; the network goes on")
    assert re.search(r"node/eth0 +up +\d+ .* tap:tap0\n", live.shown.read_text())


def sleeps(pid: int) -> bool:
    """Whether a process waits for something (the state in proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_a_stopped_process_goes_on_and_says_so(rig: Bench) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    ping(rig, space, "10.80.0.2")
    wait_for(lambda: sleeps(live.process.pid))  # a pause amid its work is nobody's to tell from work
    live.process.send_signal(signal.SIGSTOP)
    assert "100% packet loss" in rig.sh(space, "ping -c 5 -W 1 -w 5 10.80.0.2", check=False)
    live.process.send_signal(signal.SIGCONT)
    ping(rig, space, "10.80.0.2")
    live.stop()
    assert "1 pauses of the process" in live.said.read_text()


def test_a_flood_is_bounded_counted_and_survived(rig: Bench) -> None:
    """What the TAP's ring cannot hold is told in numbers: every frame was read or is counted as lost."""
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--json", "--attach", "node/eth0=tap:tap0")
    rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
    rig.sh(space, "sysctl -qw net.ipv4.neigh.tap0.delay_first_probe_time=600")  # no ARP while we count
    live.process.send_signal(signal.SIGSTOP)  # so that the flood is faster than the reader, on any machine
    rig.sh(space, f"{sys.executable} -c 'from tests.live_bench import flood; flood(\"tap0\", 5000)'")
    live.process.send_signal(signal.SIGCONT)
    ping(rig, space, "10.80.0.2")
    sent = rig.link(space, "tap0")["stats64"]["tx"]
    live.stop()
    (told,) = json.loads(live.shown.read_text())["ports"]
    assert (told["in"], told["lost"]) == (sent["packets"], sent["dropped"])
    assert sent["dropped"] > 1000


def test_a_served_container_and_a_real_program_talk(rig: Bench, tmp_path: Path) -> None:
    space = rig.netns()
    words = ["-m", "simvlan.cli", "serve", "--sockets", str(tmp_path / "d"), "--attach", "node-1/eth1=tap:tap0"]
    with (tmp_path / "serve.out").open("w") as out:
        command = ["ip", "netns", "exec", space, sys.executable, *words]
        server = subprocess.Popen(command, stdout=out)
    try:
        wait_for(lambda: "try: docker" in (tmp_path / "serve.out").read_text())
        rig.sh(space, "ip addr add 10.80.0.1/24 dev tap0")
        client = docker.DockerClient(base_url=f"unix://{tmp_path}/d/node-1.sock")
        pool = docker.types.IPAMPool(subnet="10.80.0.0/24", gateway="10.80.0.1")
        ipam = docker.types.IPAMConfig(pool_configs=[pool])
        client.networks.create("pub", driver="macvlan", options={"parent": "eth1"}, ipam=ipam)
        said = client.containers.run("busybox", "ping -c 2 10.80.0.1", network="pub")
        assert "2 packets received" in said.decode()
        client.containers.run("busybox", "sleep 600", network="pub", detach=True, name="c1")
        shown = client.containers.get("c1").attrs["NetworkSettings"]["Networks"]["pub"]["IPAddress"]
        ping(rig, space, shown)
        client.close()
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert rig.link(space, "tap0") == {}


def test_without_rights_it_makes_namespaces_of_its_own(rig: Bench) -> None:
    """Root of a user namespace that does not own the network it is in: as an ordinary user is."""
    live = rig.live(rig.netns(), MACVLAN, "--attach", "node/eth0=tap:tap0", before=("unshare", "-Ur"))
    live.hear("no CAP_NET_ADMIN: namespaces of its own were made; enter them: nsenter")
    entry = re.search(r"enter them: (nsenter .*)", live.said.read_text())
    assert entry is not None
    script = "ip addr add 10.80.0.1/24 dev tap0; ip link set lo up; ping -c 3 -i 0.05 -W 5 10.80.0.2"
    subprocess.run([*entry[1].split(), "bash", "-c", script], check=True, capture_output=True, timeout=30)
    assert live.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(rig: Bench, number: signal.Signals) -> None:
    space = rig.netns()
    live = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")
    assert rig.link(space, "tap0")
    live.stop(number)
    wait_for(lambda: not rig.link(space, "tap0"))
    again = rig.live(space, MACVLAN, "--attach", "node/eth0=tap:tap0")  # the dead one's socket is no obstacle
    assert again.stop() == 0


@pytest.mark.parametrize(
    ("attachment", "answer"),
    [
        ("node/eth9=tap:t0", 'no device "eth9" in namespace "node"'),
        ("c1/eth0=tap:t0", "c1/eth0 is a macvlan, which has no wire: attach node/eth0, on which it stands"),
        ("node/eth0=tap:lo", "there is a device of that name that is no TAP"),
        ("node/eth0=tap:nowhere/t0", "network namespace nowhere: No such file or directory: ip netns add nowhere"),
    ],
)
def test_what_cannot_be_attached_is_said(rig: Bench, attachment: str, answer: str, tmp_path: Path) -> None:
    space = rig.netns()
    (tmp_path / "m.sh").write_text(MACVLAN)
    words = [sys.executable, "-m", "simvlan.cli", "live", "--sockets", str(tmp_path / "s"), "--attach", attachment]
    command = ["ip", "netns", "exec", space, *words, str(tmp_path / "m.sh")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, answer in done.stderr) == (2, True), done.stderr
    assert rig.sh(space, "ip -br link | wc -l") == "1\n"
