"""The tutorials' commands under the real docker command in every dialect, and where the dialects differ.

What is expected is moby's at the tags v1.12.6, v27.5.1, v28.5.2 (recorded) and v29.0.0, not our own output.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockersim.served import DOCKER, Done, Served, serving, two_nodes, until_so

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker command of version 28 or later is installed")

MODERN = ("27", "28", "29")
OVERLAP = "Pool overlaps with other one on this address space"


@pytest.fixture(params=[*MODERN, "1.12"], scope="module")
def each(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Two nodes in one of the dialects."""
    with serving(two_nodes(), ["node-1", "node-2"], dialect=request.param) as made:
        for engine in made.engines.values():
            made.do(lambda engine=engine: engine.image_create("alpine", "latest"))
        yield made


@pytest.fixture(autouse=True)
def _clean(each: Served) -> Iterator[None]:
    yield
    for node in each.engines:
        for ident in each.docker("ps", "-aq", node=node).out.split():
            each.docker("rm", "-f", ident, node=node)
        for ident in each.docker("network", "ls", "-q", "-f", "type=custom", node=node).out.split():
            each.docker("network", "rm", ident, node=node)


def name(each: Served) -> str:
    return each.engines["node-1"].core.dialect.name


def create(each: Served, *words: str, node: str = "node-1", driver: str = "macvlan") -> Done:
    return each.docker("network", "create", "-d", driver, *words, node=node)


def run(each: Served, network: str, called: str, *words: str, node: str = "node-1") -> Done:
    return each.docker("run", "-itd", f"--net={network}", "--name", called, *words, "alpine", "/bin/sh", node=node)


def shown(each: Served, container: str, network: str, what: str, node: str = "node-1") -> str:
    form = f"{{{{.NetworkSettings.Networks.{network}.{what}}}}}"
    return each.docker("inspect", "-f", form, container, node=node).out.strip()


def pings(each: Served, container: str, whom: str) -> bool:
    done = each.docker("exec", container, "ping", "-c", "2", "-W", "1", whom)
    assert f"PING {whom}" in done.out
    return done.exit == 0


def lan(each: Served, ranges: str, parent: str, called: str, node: str = "node-1") -> Done:
    """The tutorial's own command."""
    where = ("--subnet=192.168.0.0/16", f"--ip-range=192.168.{ranges}.0/24")
    return create(each, *where, "-o", "macvlan_mode=bridge", "-o", f"parent={parent}", called, node=node)


def test_versions_are_negotiated(each: Served) -> None:
    form = "{{.Server.Version}} {{.Server.APIVersion}} {{.Client.APIVersion}}"
    wanted = {
        "27": "27.5.1 1.47 1.47", "28": "28.5.2 1.51 1.51", "29": "29.0.0 1.52 1.51", "1.12": "1.12.6 1.24 1.24"
    }[name(each)]  # fmt: skip
    said = each.docker("version", "--format", form)
    server, client = said.out.split()[:2], said.out.split()[2]
    assert server == wanted.split()[:2]
    newest = re.search(r"API version: +(\d\.\d+)", each.docker("version", DOCKER_API_VERSION="1.44").out)
    assert newest is not None
    assert tuple(map(int, client.split("."))) <= tuple(map(int, wanted.split()[2].split(".")))


def test_a_client_may_be_too_old_or_too_new(each: Served) -> None:
    old = each.docker("ps", DOCKER_API_VERSION="1.43")
    if name(each) == "29":
        assert "client version 1.43 is too old. Minimum supported API version is 1.44" in old.err
    elif name(each) == "1.12":
        assert "client version 1.43 is too new. Maximum supported API version is 1.24" in old.err
    else:
        assert old.exit == 0
    new = each.docker("ps", DOCKER_API_VERSION="1.50")
    assert (new.exit == 0) == (name(each) in ("28", "29"))


def test_the_macvlan_tutorial(each: Served) -> None:
    """The gateway is guessed until 28: the first address of the ip-range; the MAC is 02:42 and the address until 27."""
    assert lan(each, "11", "eth1.100", "macvlan100").exit == 0
    assert lan(each, "10", "eth1.100", "macvlan100", "node-2").exit == 0
    again = lan(each, "11", "eth1.200", "macvlan200")
    if name(each) == "1.12":
        assert again.exit == 0
    else:
        assert again.exit == 1
        assert again.err == f"Error response from daemon: invalid pool request: {OVERLAP}\n"
        assert lan(each, "21", "eth1.200", "macvlan200").exit == 0
    listed = each.docker("network", "ls", "--format", "{{.Name}} {{.Driver}}").out
    assert listed == "bridge bridge\nhost host\nmacvlan100 macvlan\nmacvlan200 macvlan\nnone null\n"
    for called in ("c1-100", "c2-100"):
        assert run(each, "macvlan100", called, "--rm").exit == 0
    assert run(each, "macvlan100", "c3-100", node="node-2").exit == 0
    assert run(each, "macvlan200", "c1-200").exit == 0
    first = {"29": 0, "1.12": 2}.get(name(each), 1)  # in 1.12 the second network's gateway is of the same pool
    assert shown(each, "c1-100", "macvlan100", "IPAddress") == f"192.168.11.{first}"
    assert shown(each, "c2-100", "macvlan100", "IPAddress") == f"192.168.11.{first + 1}"
    route = each.docker("exec", "c1-100", "ip", "route").out
    assert ("default via 192.168.11.0 dev eth0" in route) == (name(each) != "29")
    mac = shown(each, "c2-100", "macvlan100", "MacAddress")
    assert (mac == f"02:42:c0:a8:0b:0{first + 1}") == (name(each) in ("27", "1.12"))
    assert int(mac[:2], 16) & 3 == 2
    assert pings(each, "c1-100", f"192.168.11.{first + 1}")
    assert pings(each, "c1-100", "c2-100")
    assert pings(each, "c1-100", shown(each, "c3-100", "macvlan100", "IPAddress", "node-2"))
    assert not pings(each, "c1-100", shown(each, "c1-200", "macvlan200", "IPAddress"))
    assert "192.168.11" in each.docker("network", "inspect", "macvlan100").out
    for container in ("c1-100", "c2-100", "c1-200"):
        each.docker("rm", "-f", container)
    assert each.docker("network", "rm", "macvlan100", "macvlan200").out == "macvlan100\nmacvlan200\n"
    assert "eth1.100" not in each.lab.network.netns["node-1"].devices


def test_the_ipvlan_tutorial(each: Served) -> None:
    where = ("--subnet=192.168.0.0/16", "-o", "parent=eth1.100", "ipvlan100")
    assert create(each, "--ip-range=192.168.11.0/24", *where, driver="ipvlan").exit == 0
    assert create(each, "--ip-range=192.168.10.0/24", *where, driver="ipvlan", node="node-2").exit == 0
    for called in ("c1", "c2"):
        assert run(each, "ipvlan100", called).exit == 0
    assert run(each, "ipvlan100", "c3", node="node-2").exit == 0
    assert pings(each, "c1", shown(each, "c2", "ipvlan100", "IPAddress"))
    assert pings(each, "c1", shown(each, "c3", "ipvlan100", "IPAddress", "node-2"))
    link = each.docker("exec", "c1", "ip", "link", "show", "eth0").out
    assert "08:00:27:00:01:11" in link  # the parent's
    refused = create(each, "--subnet=10.9.0.0/24", "-o", "parent=eth1.100", "second", driver="ipvlan")
    assert refused.exit == 1
    assert "is already using parent interface eth1.100" in refused.err
    each.docker("rm", "-f", "c1", "c2")
    assert each.docker("network", "rm", "ipvlan100").exit == 0


def test_ipvlan_l3(each: Served) -> None:
    both = ("--subnet=10.1.1.0/24", "--subnet=10.1.2.0/24", "-o", "ipvlan_mode=l3", "-o", "parent=eth1", "l3")
    assert create(each, *both, driver="ipvlan").exit == 0
    assert run(each, "l3", "c1", "--ip=10.1.1.10").exit == 0
    assert run(each, "l3", "c2", "--ip=10.1.2.10").exit == 0
    assert "default dev eth0 scope link" in each.docker("exec", "c1", "ip", "route").out
    assert pings(each, "c1", "10.1.2.10")
    assert each.docker("exec", "c1", "ip", "neigh").out == ""


def test_two_macvlan_networks_on_one_parent(each: Served) -> None:
    """Since 27.0."""
    assert create(each, "--subnet=10.1.0.0/24", "-o", "parent=eth1.5", "one").exit == 0
    second = create(each, "--subnet=10.2.0.0/24", "-o", "parent=eth1.5", "two")
    assert (second.exit == 0) == (name(each) != "1.12")
    if second.exit:
        assert "is already using parent interface eth1.5" in second.err


def test_an_address_that_no_gateway_takes(each: Served) -> None:
    """An internal network had a hidden gateway until 28.0."""
    assert create(each, "--internal", "--subnet=10.3.0.0/24", "inner").exit == 0
    assert run(each, "inner", "box").exit == 0
    hidden = name(each) in ("27", "1.12")
    assert shown(each, "box", "inner", "IPAddress") == ("10.3.0.2" if hidden else "10.3.0.1")


def test_a_given_gateway_is_the_route_in_every_dialect(each: Served) -> None:
    assert create(each, "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth1", "given").exit == 0
    assert run(each, "given", "box").exit == 0
    assert shown(each, "box", "given", "IPAddress") == "172.16.86.2"
    assert "default via 172.16.86.1 dev eth0" in each.docker("exec", "box", "ip", "route").out


def test_a_network_that_is_not_there(each: Served) -> None:
    """The prefix came with 28.0.1."""
    done = each.docker("run", "--net=nosuch", "--name", "lost", "alpine", "true")
    prefix = "failed to set up container networking: " if name(each) in ("28", "29") else ""
    assert done.exit == 125
    assert f"Error response from daemon: {prefix}network nosuch not found" in done.err
    assert each.docker("ps", "-aq", "-f", "name=lost").out != ""


def test_a_network_in_use(each: Served) -> None:
    create(each, "--subnet=10.4.0.0/24", "-o", "parent=eth1.4", "busy")
    run(each, "busy", "c1")
    done = each.docker("network", "rm", "busy")
    ident = each.docker("network", "inspect", "-f", "{{.Id}}", "busy").out.strip()
    endpoint = shown(each, "c1", "busy", "EndpointID")[:12]
    assert done.exit == 1
    assert {
        "1.12": "network busy has active endpoints",
        "27": f"error while removing network: network busy id {ident} has active endpoints",
    }.get(name(each), f'network busy has active endpoints (name:"c1" id:"{endpoint}")') in done.err


def test_without_ipv4_and_with_a_gateway_s_priority(each: Served) -> None:
    """Both came with API 1.48: older engines do not read them."""
    newer = name(each) in ("28", "29")
    six = create(each, "--ipv4=false", "--ipv6", "--subnet=2001:db8::/64", "-o", "parent=eth1.6", "six")
    create(each, "--subnet=10.6.0.0/24", "-o", "parent=eth1.7", "plain")
    run(each, "bridge", "box")
    joined = each.docker("network", "connect", "--gw-priority", "1", "plain", "box")
    assert (six.exit, joined.exit) == (0, 0)
    run(each, "six", "inner")
    assert (shown(each, "inner", "six", "IPAddress") == "") == newer
    route = each.docker("exec", "box", "ip", "route").out
    assert ("default via 10.6.0.1" in route) == (name(each) == "28")  # 29 has no gateway where none is given
    assert ("default via 172.17.0.1" in route) == (name(each) != "28")


def test_bad_options(each: Served) -> None:
    status = create(each, "--subnet=10.7.0.0/24", "-o", "parent=eth5", "nowhere")
    assert "invalid subinterface vlan name eth5, example formatting is eth0.10" in status.err
    gone = create(each, "--subnet=10.7.0.0/24", "-o", "parent=eth5.10", "nowhere").err
    was = "does was not found" if name(each) == "1.12" else "was not found"
    assert f"-o parent interface {was} on the host: eth5" in gone
    host_bits = create(each, "--subnet=10.7.0.5/24", "-o", "parent=eth1.7", "bits")
    if name(each) == "1.12":
        assert host_bits.exit == 0
    else:
        assert "invalid subnet 10.7.0.5/24: it should be 10.7.0.0/24" in host_bits.err


def test_a_terminal(each: Served) -> None:
    """run -it, exec -it, attach, detach keys, resize, Ctrl-C and the status of the shell."""
    create(each, "--subnet=10.8.0.0/24", "-o", "parent=eth1.8", "lan")
    terminal = each.terminal("run", "-it", "--net=lan", "--name", "tty", "alpine", "/bin/sh")
    terminal.expect("/ # ")
    terminal.taken()
    each.resize(terminal, 40, 100)
    terminal.type("stty size\r")
    terminal.expect("40 100\r\n/ # ")
    terminal.type("x=kept\r")
    terminal.expect("/ # ")
    terminal.type("\x10\x11")
    assert terminal.wait() == 0
    inside = each.terminal("exec", "-it", "tty", "sh")
    inside.expect("/ # ")
    inside.type("cat\r")
    until_so(lambda: "cat" in each.docker("top", "tty").out, "cat does not begin")
    inside.type("\x03")
    inside.expect("/ # ")
    inside.type("exit 9\r")
    assert inside.wait() == 9
    again = each.terminal("attach", "tty")
    again.taken()
    again.type("echo $x\r")
    again.expect("kept\r\n")
    again.type("exit 3\r")
    assert again.wait() == 3
    assert each.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "tty").out == "exited 3\n"


def test_streams_and_lists(each: Served) -> None:
    """logs -f, events, ps and inspect with formats, connect and disconnect, prune."""
    create(each, "--subnet=10.8.0.0/24", "-o", "parent=eth1.8", "lan")
    each.docker("network", "create", "-d", "bridge", "other")
    del each.calls[:]
    with open(each.folder / "events", "w+b") as file:
        process = each.start("events", "--format", "{{.Type}} {{.Action}}", stdout=file)
        each.heard("/events")
        script = "for i in 1 2 3; do echo $i; sleep 1; done"
        each.docker("run", "-d", "--net=lan", "--name", "talk", "alpine", "sh", "-c", script)
        assert each.docker("logs", "-f", "talk").out == "1\n2\n3\n"
        until_so(lambda: b"container die" in Path(file.name).read_bytes(), "the end is not told")
        process.send_signal(signal.SIGINT)
        process.wait(60)
        file.seek(0)
        told = file.read().decode().splitlines()
    assert [line for line in told if "prune" not in line] == [
        "container create", "network connect", "container start", "network disconnect", "container die"
    ]  # fmt: skip
    run(each, "lan", "box")
    assert each.docker("ps", "--format", "{{.Names}} {{.State}} {{.Networks}}").out == "box running lan\n"
    assert each.docker("network", "connect", "other", "box").exit == 0
    names = "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}"
    assert each.docker("inspect", "-f", names, "box").out == "lan other \n"
    assert each.docker("network", "disconnect", "other", "box").exit == 0
    assert each.docker("inspect", "-f", names, "box").out == "lan \n"
    if name(each) != "1.12":  # a word of API 1.25
        assert each.docker("network", "prune", "-f").out == "Deleted Networks:\nother\n\n"
        assert each.docker("container", "prune", "-f").out.startswith("Deleted Containers:\n")
