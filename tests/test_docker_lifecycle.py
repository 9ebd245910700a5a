"""Containers as they live: start and exit, stop and kill, restart policies, waiting, output, exec, events."""

from __future__ import annotations

from typing import Any

import pytest

from simvlan.docker.errors import DockerError
from simvlan.docker.filters import parse_filters
from simvlan.docker.pending import Stream
from tests.dockersim.world import SECOND, Node


@pytest.fixture
def node() -> Node:
    return Node()


class Client:
    """Whoever reads a stream."""

    def __init__(self, stream: Stream | None) -> None:
        assert stream is not None
        self.stream, self.got, self.ended = stream, [], False  # type: ignore[var-annotated]
        stream.listen(lambda number, data: self.got.append((number, data)), self.end)

    def end(self) -> None:
        self.ended = True

    @property
    def text(self) -> str:
        return b"".join(data for _, data in self.got).decode()


def pass_time(node: Node, seconds: float) -> None:
    node.lab.run(until_ns=node.lab.now + round(seconds * SECOND))


def state(node: Node, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = node.engine.container_inspect(name)["State"]
    return shown


def actions(node: Node, since: int = 0) -> list[str]:
    return [f"{e['Type']} {e['Action']}" for e in node.engine.past_events()][since:]


def test_what_has_no_effect_is_said(node: Node) -> None:
    """A container sees none of the machine's files; who asks for some is warned, who does not is not."""
    body: dict[str, Any] = {"Image": "alpine", "Cmd": ["true"]}
    assert node.engine.container_create(body, "c0")["Warnings"] == []
    body["HostConfig"] = {"Binds": ["/etc:/mnt:ro"], "Mounts": [{"Type": "tmpfs", "Target": "/x"}]}
    warnings = node.engine.container_create(body, "c1")["Warnings"]
    assert warnings == ["simvlan: volumes are not simulated: /mnt, /x: empty at first"]


# -- start, exit, stop, kill ------------------------------------------------------------------------------------------


def test_from_create_to_exit(node: Node) -> None:
    made = node.create("c1", "bridge", "exit", "7")
    assert state(node, "c1")["Status"] == "created"
    assert state(node, "c1")["StartedAt"] == "0001-01-01T00:00:00Z"
    waiting = node.engine.container_wait("c1", "next-exit")
    assert node.engine.container_start("c1") is True
    assert "c1" in node.lab.network.netns
    assert state(node, "c1")["Running"]
    assert node.engine.container_start("c1") is False  # 304
    pass_time(node, 0)
    assert waiting.value == {"StatusCode": 7}
    assert (state(node, "c1")["Status"], state(node, "c1")["ExitCode"]) == ("exited", 7)
    assert "c1" not in node.lab.network.netns
    assert node.engine.network_inspect("bridge")["Containers"] == {}
    assert node.engine.container_wait(made).value == {"StatusCode": 7}
    node.engine.container_start("c1")  # a second run
    pass_time(node, 0)
    assert state(node, "c1")["ExitCode"] == 7


def test_removed_with_its_exit(node: Node) -> None:
    made = node.create("c1", "bridge", "sleep", "5", host={"AutoRemove": True})
    waiting = node.engine.container_wait(made, "removed")
    node.engine.container_start(made)
    pass_time(node, 4)
    assert not waiting.done
    pass_time(node, 1)
    assert waiting.value == {"StatusCode": 0}
    node.refuses(404, f"No such container: {made}", node.engine.container_inspect, made)
    assert actions(node)[-3:] == ["network disconnect", "container die", "container destroy"]


def test_stop_waits_for_the_grace_time(node: Node) -> None:
    """sleep as pid 1 has no handler for SIGTERM: it takes the whole time, as recorded."""
    node.run("c1")
    stopping = node.engine.container_stop("c1")
    pass_time(node, 9.9)
    assert not stopping.done
    pass_time(node, 0.1)
    assert stopping.value is True
    assert state(node, "c1")["ExitCode"] == 137
    assert node.engine.container_stop("c1").value is False  # 304
    told = actions(node)
    assert told[told.index("container kill") :] == [
        "container kill", "container kill", "network disconnect", "container die", "container stop",
    ]  # fmt: skip


def test_stop_ends_at_once_what_obeys(node: Node) -> None:
    node.run("c1", "bridge", "nginx")
    assert node.engine.container_stop("c1", 60).value is True
    assert state(node, "c1")["ExitCode"] == 143


@pytest.mark.parametrize(("config", "grace", "lasts"), [({"StopTimeout": 3}, None, 3), ({"StopTimeout": 3}, 1, 1),
                                                         ({}, 0, 0)])  # fmt: skip
def test_how_long_a_stop_lasts(node: Node, config: dict[str, Any], grace: int | None, lasts: int) -> None:
    node.run("c1", **config)
    begun = node.lab.now
    node.engine.finish(node.engine.container_stop("c1", grace))
    assert node.lab.now - begun == lasts * SECOND


def test_a_stop_for_ever(node: Node) -> None:
    node.run("c1")
    stopping = node.engine.container_stop("c1", -1)
    pass_time(node, 3600)
    assert not stopping.done
    node.engine.container_kill("c1")
    assert stopping.value is True


def test_signals(node: Node) -> None:
    node.run("c1", "bridge", "nginx", StopSignal="SIGQUIT")
    node.engine.container_stop("c1")
    assert state(node, "c1")["ExitCode"] == 131
    for text, code in (("HUP", 129), ("SIGINT", 130), ("9", 137), ("sigterm", 143)):
        node.engine.container_start("c1")
        node.engine.container_kill("c1", text)
        assert state(node, "c1")["ExitCode"] == code
    node.run("shell", "bridge", "sh")
    node.engine.container_kill("shell", "INT")  # pid 1 without a handler
    assert state(node, "shell")["Running"]


def test_pause(node: Node) -> None:
    node.run("c1")
    node.engine.container_pause("c1")
    assert (state(node, "c1")["Status"], state(node, "c1")["Paused"]) == ("paused", True)
    assert node.runtime.started[-1].frozen
    assert node.engine.container_list()[0]["Status"].endswith("(Paused)")
    node.engine.container_unpause("c1")
    assert state(node, "c1")["Status"] == "running"
    node.engine.container_pause("c1")
    node.engine.container_remove("c1", force=True)


def test_restart(node: Node) -> None:
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    node.run("c1", "m", "nginx")
    before = node.endpoint("c1", "m")
    node.engine.finish(node.engine.container_restart("c1"))
    after = node.endpoint("c1", "m")
    assert state(node, "c1")["Running"]
    assert after["IPAddress"] == before["IPAddress"]
    assert after["MacAddress"] != before["MacAddress"]
    assert actions(node)[-1] == "container restart"
    stopped = node.create("c2", "m", "nginx")
    node.engine.finish(node.engine.container_restart(stopped))
    assert state(node, "c2")["Running"]
    kept = node.run("c3", "m", "nginx", host={"AutoRemove": True})
    node.engine.finish(node.engine.container_restart(kept))
    assert state(node, "c3")["Running"]  # --rm is for the end, not for a restart


# -- restart policies -------------------------------------------------------------------------------------------------


def test_on_failure_gives_up(node: Node) -> None:
    node.run("c1", "bridge", "exit", "3", host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}})
    pass_time(node, 0)
    assert state(node, "c1")["Status"] == "restarting"
    assert node.engine.container_list()[0]["Status"].startswith("Restarting (3) ")
    pass_time(node, 0.1)  # then twice as long
    assert node.engine.container_inspect("c1")["RestartCount"] == 2
    pass_time(node, 0.19)
    assert state(node, "c1")["Restarting"]
    pass_time(node, 10)
    assert state(node, "c1")["Status"] == "exited"
    assert node.engine.container_inspect("c1")["RestartCount"] == 2
    assert len(node.runtime.started) == 3


def test_on_failure_is_content_with_success(node: Node) -> None:
    node.run("c1", "bridge", "true", host={"RestartPolicy": {"Name": "on-failure"}})
    pass_time(node, 5)
    assert state(node, "c1")["Status"] == "exited"


def test_always_starts_again_until_it_is_stopped(node: Node) -> None:
    node.run("c1", "bridge", "sleep", "20", host={"RestartPolicy": {"Name": "always"}})
    pass_time(node, 65)
    assert node.engine.container_inspect("c1")["RestartCount"] == 3
    node.engine.container_kill("c1")
    pass_time(node, 65)
    assert state(node, "c1")["Status"] == "exited"
    node.engine.container_start("c1")
    assert state(node, "c1")["Running"]


def test_stopping_one_that_waits_to_start_again(node: Node) -> None:
    node.run("c1", "bridge", "false", host={"RestartPolicy": {"Name": "always"}})
    pass_time(node, 0)
    assert node.engine.container_stop("c1").value is True
    pass_time(node, 60)
    assert state(node, "c1")["Status"] == "exited"


def test_updating_the_policy(node: Node) -> None:
    node.run("c1", "bridge", "sleep", "5")
    node.engine.container_update("c1", {"RestartPolicy": {"Name": "always"}})
    pass_time(node, 6)
    assert state(node, "c1")["Running"]
    node.run("c2", host={"AutoRemove": True})
    text = "Restart policy cannot be updated because AutoRemove is enabled for the container"
    node.refuses(409, text, node.engine.container_update, "c2", {"RestartPolicy": {"Name": "always"}})


# -- output -----------------------------------------------------------------------------------------------------------


def test_logs(node: Node) -> None:
    node.run("c1", "bridge", "echo", "hello")
    pass_time(node, 1)
    client = Client(node.engine.container_logs("c1", stdout=True, stderr=True))
    assert (client.got, client.ended) == ([(1, b"hello\n")], True)
    assert Client(node.engine.container_logs("c1", stderr=True)).got == []
    stamped = Client(node.engine.container_logs("c1", stdout=True, timestamps=True)).text
    assert stamped == "2026-01-01T00:00:00.000000000Z hello\n"
    text = "Bad parameters: you must choose at least one stream"
    node.refuses(400, text, node.engine.container_logs, "c1")


def test_logs_followed_and_cut(node: Node) -> None:
    node.run("c1", "bridge", "talker", OpenStdin=True)
    process = node.runtime.started[-1]
    follower = Client(node.engine.container_logs("c1", stdout=True, follow=True))
    for number in range(5):
        process.write(f"line {number}\npart".encode())
        pass_time(node, 1)
    assert follower.text == "line 0\npartline 1\npartline 2\npartline 3\npartline 4\n"
    assert not follower.ended
    process.end(0)
    assert follower.ended
    assert follower.text.endswith("part")
    for tail, wanted in (("2", "partline 4\npart"), ("0", ""), ("all", follower.text)):
        assert Client(node.engine.container_logs("c1", stdout=True, tail=tail)).text == wanted
    since = Client(node.engine.container_logs("c1", stdout=True, since="2026-01-01T00:00:03Z"))
    assert since.text == "partline 4\npart"
    until = Client(node.engine.container_logs("c1", stdout=True, until="1767225601.5"))
    assert until.text == "line 0\npartline 1\npartline 2\n"


def test_attach_before_the_start_and_input(node: Node) -> None:
    made = node.create("c1", "bridge", "talker", OpenStdin=True, StdinOnce=True, Tty=True)
    stream = node.engine.container_attach(made, stream=True, stdin=True, stdout=True)
    client = Client(stream)
    assert stream.tty
    stream.write(b"early ")
    node.engine.container_start(made)
    stream.write(b"late")
    assert client.text == "early late"
    stream.close_stdin()  # StdinOnce: this client's end of input is the process's
    assert client.ended
    assert state(node, "c1")["Status"] == "exited"
    assert "container attach" in actions(node)


def test_detaching_leaves_the_process(node: Node) -> None:
    node.run("c1", "bridge", "talker", OpenStdin=True)
    one = Client(node.engine.container_attach("c1", stream=True, stdin=True, stdout=True))
    two = Client(node.engine.container_attach("c1", stream=True, stdout=True, logs=True))
    one.stream.write(b"x\n")
    one.stream.detach()
    one.stream.write(b"lost\n")
    node.runtime.started[-1].write(b"y\n")
    assert (one.text, two.text) == ("x\n", "x\ny\n")
    assert state(node, "c1")["Running"]
    logs = Client(node.engine.container_attach("c1", stdout=True, logs=True))
    assert (logs.text, logs.ended) == ("x\ny\n", True)


def test_exec(node: Node) -> None:
    node.run("c1", "bridge", "sleep", "100", Env=["A=1", "B=2"])
    body = {"Cmd": ["echo", "hi", "there"], "AttachStdout": True, "AttachStderr": True, "Env": ["B=3"]}
    made = node.engine.exec_create("c1", body)["Id"]
    assert node.engine.exec_inspect(made)["ExitCode"] is None
    client = Client(node.engine.exec_start(made, {"Detach": False}))
    assert node.engine.exec_inspect(made)["Running"]
    assert node.engine.container_inspect("c1")["ExecIDs"] == [made]
    pass_time(node, 0)
    assert (client.got, client.ended) == ([(1, b"hi there\n")], True)
    shown = node.engine.exec_inspect(made)
    assert (shown["ExitCode"], shown["Running"]) == (0, False)
    assert shown["ProcessConfig"] == {"tty": False, "entrypoint": "echo", "arguments": ["hi", "there"],
                                      "privileged": False}  # fmt: skip
    spec = node.runtime.started[-1].spec
    assert (spec.env["A"], spec.env["B"], spec.netns.name, spec.init) == ("1", "3", "c1", False)
    assert actions(node)[-3:] == [f"container exec_{word}" for word in
                                  ("create: echo hi there", "start: echo hi there", "die")]  # fmt: skip


def test_exec_of_what_is_not_there(node: Node) -> None:
    """The engine writes it into the stream, as standard output, as recorded."""
    node.run("c1")
    made = node.engine.exec_create("c1", {"Cmd": ["nosuch"], "AttachStdout": True})["Id"]
    client = Client(node.engine.exec_start(made, {}))
    text = 'exec: "nosuch": executable file not found in $PATH\r\n'
    assert client.got == [
        (1, f"OCI runtime exec failed: exec failed: unable to start container process: {text}".encode())
    ]
    assert node.engine.exec_inspect(made)["ExitCode"] == 127


def test_execs_die_with_the_container(node: Node) -> None:
    node.run("c1")
    made = node.engine.exec_create("c1", {"Cmd": ["sleep", "1000"], "AttachStdout": True, "Tty": True})["Id"]
    client = Client(node.engine.exec_start(made, {}))
    node.engine.exec_resize(made, 50, 132)
    assert node.runtime.started[-1].size == (50, 132)
    node.engine.container_kill("c1")
    assert client.ended
    assert node.engine.exec_inspect(made)["ExitCode"] == 137


def test_exec_detached(node: Node) -> None:
    node.run("c1")
    made = node.engine.exec_create("c1", {"Cmd": ["sleep", "5"]})["Id"]
    assert node.engine.exec_start(made, {"Detach": True}) is None
    pass_time(node, 6)
    assert node.engine.exec_inspect(made)["ExitCode"] == 0


def test_resize_and_top(node: Node) -> None:
    node.run("c1", "bridge", "sleep", "100", Tty=True)
    node.engine.container_resize("c1", 40, 100)
    assert node.runtime.started[-1].size == (40, 100)
    assert node.engine.past_events()[-1]["Actor"]["Attributes"] == {
        "height": "40", "image": "alpine", "name": "c1", "width": "100",
    }  # fmt: skip
    top = node.engine.container_top("c1")
    assert [row[-1] for row in top["Processes"]] == ["sleep 100"]
    assert len(top["Titles"]) == len(top["Processes"][0])
    some = node.engine.container_top("c1", "-o pid,args")
    assert some["Titles"] == ["PID", "COMMAND"]
    assert some["Processes"] == [[row[1], row[-1]] for row in top["Processes"]]
    for words in ("aux", "-o", "-o pid,nosuch", "-o cmd"):
        with pytest.raises(DockerError, match="not simulated"):
            node.engine.container_top("c1", words)


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_of_a_run(node: Node) -> None:
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    heard: list[dict[str, Any]] = []
    stop = node.engine.events(heard.append, {"type": ["container"], "label": ["a=b"]})
    made = node.run("c1", "m", "true", Labels={"a": "b"})
    pass_time(node, 0)
    node.run("c2", "m")
    node.engine.container_rename("c1", "c3")
    node.engine.container_remove("c3")
    stop()
    node.engine.container_remove("c2", force=True)
    assert [e["Action"] for e in heard] == ["create", "start", "die", "rename", "destroy"]
    die = heard[2]
    assert die["status"] == "die"
    assert (die["id"], die["from"], die["scope"]) == (made, "alpine", "local")
    assert die["Actor"]["Attributes"] == {
        "a": "b", "execDuration": "0", "exitCode": "0", "image": "alpine", "name": "c1",
    }  # fmt: skip
    assert heard[3]["Actor"]["Attributes"]["oldName"] == "/c1"
    past = node.engine.past_events({"type": ["network"], "event": ["connect"]})
    assert past[0]["Actor"]["Attributes"] == {"container": made, "name": "m", "type": "macvlan"}
    assert "status" not in past[0]
    assert [e["Action"] for e in node.engine.past_events({"container": ["c2"], "event": ["die"]})] == ["die"]


# -- lists, names, prune ----------------------------------------------------------------------------------------------


def listed(node: Node, text: str = "", everything: bool = True) -> list[str]:
    found = node.engine.container_list(all=everything, filters=parse_filters(text))
    return [each["Names"][0][1:] for each in found]


def test_ps_and_its_filters(node: Node) -> None:
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    node.run("c1", "m", Labels={"k": "v"})
    pass_time(node, 61)
    node.run("c2", "bridge", "exit", "3")
    node.create("c3", "m")
    pass_time(node, 5)
    assert listed(node) == ["c3", "c2", "c1"]
    assert listed(node, everything=False) == ["c1"]
    for text, names in (
        ('{"status":{"exited":true}}', ["c2"]), ('{"exited":["3"]}', ["c2"]), ('{"name":["c[12]"]}', ["c2", "c1"]),
        ('{"name":["^/c1$"]}', ["c1"]), ('{"network":["m"]}', ["c3", "c1"]), ('{"label":["k=v"]}', ["c1"]),
        ('{"label":["k"]}', ["c1"]), ('{"label":["k=w"]}', []), ('{"ancestor":["alpine"]}', ["c3", "c2", "c1"]),
        ('{"before":["c2"]}', ["c1"]), ('{"since":["c2"]}', ["c3"]), ('{"volume":["x"]}', []),
    ):  # fmt: skip
        assert listed(node, text) == names, text
    first = node.engine.container_list(limit=1)
    assert [each["Names"] for each in first] == [["/c3"]]
    status = {each["Names"][0]: each["Status"] for each in node.engine.container_list(all=True)}
    assert status == {"/c1": "Up About a minute", "/c2": "Exited (3) 5 seconds ago", "/c3": "Created"}
    networks = node.engine.container_list()[0]["NetworkSettings"]["Networks"]
    assert networks["m"]["NetworkID"] == node.engine.network_inspect("m")["Id"]  # compose compares them


@pytest.mark.parametrize("text", ["bad", "[]", '{"a":1}', '{"a":{"b":"c"}}', '"x"'])
def test_filters_that_are_none(node: Node, text: str) -> None:
    node.refuses(400, "invalid filter", parse_filters, text)


def test_references(node: Node) -> None:
    made = node.run("c1")
    for ref in (made, made[:12], made[:5], "c1", "/c1"):
        assert node.engine.container_inspect(ref)["Id"] == made
    nameless = node.engine.container_create({"Image": "alpine"}, "")["Id"]
    name = node.engine.container_inspect(nameless)["Name"]
    assert name.count("_") == 1


def test_a_namespace_follows_the_containers_name(node: Node) -> None:
    node.run("c1")
    node.run("other")
    node.engine.container_rename("c1", "renamed")
    assert node.ping("renamed", "172.17.0.3")
    node.lab.command("ip", "netns", "add", "taken")
    node.run("taken")
    assert "node-1.taken" in node.lab.network.netns
    node.engine.container_remove("renamed", force=True)
    assert "renamed" not in node.lab.network.netns


def test_prune(node: Node) -> None:
    node.network("used", "macvlan", "10.1.0.0/24", labels={"keep": ""})
    node.network("idle", "macvlan", "10.2.0.0/24")
    node.network("marked", "macvlan", "10.3.0.0/24", labels={"keep": ""})
    node.run("c1", "used")
    stopped = node.create("c2", "idle")
    assert node.engine.network_prune({"label!": ["keep"]}) == {"NetworksDeleted": ["idle"]}
    assert node.engine.network_prune() == {"NetworksDeleted": ["marked"]}
    assert node.engine.network_prune() == {"NetworksDeleted": None}
    assert node.engine.container_prune() == {"ContainersDeleted": [stopped], "SpaceReclaimed": 0}
    assert node.engine.container_prune()["ContainersDeleted"] is None
    assert node.engine.past_events({"type": ["network"]})[-1]["Action"] == "prune"


def test_network_lists(node: Node) -> None:
    node.network("dup", "macvlan", "10.1.0.0/24", labels={"a": "b"})
    node.network("used", "bridge")
    node.run("c1", "used")

    def names(text: str) -> list[str]:
        return [each["Name"] for each in node.engine.network_list(parse_filters(text))]

    assert names("") == ["none", "host", "bridge", "dup", "used"]
    for text, wanted in (
        ('{"driver":{"macvlan":true}}', ["dup"]), ('{"name":["du"]}', ["dup"]),
        ('{"type":["custom"]}', ["dup", "used"]),
        ('{"type":["builtin"]}', ["none", "host", "bridge"]), ('{"dangling":["true"]}', ["dup"]),
        ('{"label":["a=b"]}', ["dup"]), ('{"scope":["swarm"]}', []), ('{"driver":["null"]}', ["none"]),
    ):  # fmt: skip
        assert names(text) == wanted, text
    shown = node.engine.network_list(parse_filters('{"name":["used"]}'))[0]
    assert shown["Containers"] == {}  # a list does not show them
    assert len(node.engine.network_inspect("used")["Containers"]) == 1


# -- descriptions -----------------------------------------------------------------------------------------------------


INSPECT = """
Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform
MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings
"""
SETTINGS = """
Bridge SandboxID SandboxKey Ports HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen SecondaryIPAddresses
SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway
MacAddress Networks
"""
ENDPOINT = """
IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway IPAddress IPPrefixLen
IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames
"""


def test_inspect_has_the_recorded_fields(node: Node) -> None:
    """Names and order of every field as an engine 28.5.2 sends them."""
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    node.run("c1", "m")
    shown = node.engine.container_inspect("c1")
    assert list(shown) == INSPECT.split()
    assert list(shown["NetworkSettings"]) == SETTINGS.split()
    assert list(shown["NetworkSettings"]["Networks"]["m"]) == ENDPOINT.split()
    assert shown["Config"]["Hostname"] == shown["Id"][:12]
    newer = node.engine.container_inspect("c1", api="1.52")["NetworkSettings"]
    assert list(newer) == ["SandboxID", "SandboxKey", "Ports", "Networks"]


def test_the_flat_fields_describe_the_default_bridge_only(node: Node) -> None:
    node.run("c1")
    shown = node.engine.container_inspect("c1")["NetworkSettings"]
    assert shown["IPAddress"] == shown["Networks"]["bridge"]["IPAddress"] == "172.17.0.2"
    assert shown["Networks"]["bridge"]["DNSNames"] is None
    assert node.engine.container_inspect("c1")["HostConfig"]["NetworkMode"] == "bridge"


def test_the_default_network_by_its_old_name(node: Node) -> None:
    body = {"Image": "alpine", "HostConfig": {"NetworkMode": "default"},
            "NetworkingConfig": {"EndpointsConfig": {"default": {}}}}  # fmt: skip
    made = node.engine.container_create(body, "c1")["Id"]
    node.engine.container_start(made)
    assert node.endpoint("c1", "bridge")["IPAddress"] == "172.17.0.2"


def test_host_and_none(node: Node) -> None:
    node.run("hosted", "host")
    node.run("alone", "none")
    assert node.runtime.started[0].spec.netns.name == "node-1"
    assert list(node.lab.network.netns["alone"].devices) == ["lo"]
    assert node.engine.container_inspect("hosted")["Config"]["Hostname"] == "node-1"
    node.engine.container_remove("hosted", force=True)
    assert "node-1" in node.lab.network.netns


def test_two_networks_at_once(node: Node) -> None:
    """`--network a --network b`, as API 1.44 and later send it."""
    node.network("zz", "macvlan", "10.1.0.0/24", parent="eth1.1")
    node.network("aa", "macvlan", "10.2.0.0/24", parent="eth1.2")
    body = {"Image": "alpine", "Cmd": ["sleep", "9"], "HostConfig": {"NetworkMode": "zz"},
            "NetworkingConfig": {"EndpointsConfig": {"zz": {}, "aa": {}}}}  # fmt: skip
    node.engine.container_create(body, "c1")
    node.engine.container_start("c1")
    assert "10.1.0.2/24" in node.ip("c1", "addr", "show", "eth0")
    assert "10.2.0.2/24" in node.ip("c1", "addr", "show", "eth1")
    assert "default via 10.2.0.1 dev eth1" in node.ip("c1", "route")  # the name that sorts first
    text = "Container cannot be created with multiple network endpoints: aa, zz"
    node.refuses(400, text, node.engine.container_create, body, "c2", api="1.43")


def test_names_between_containers(node: Node) -> None:
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.1")
    node.network("other", "macvlan", "10.2.0.0/24", parent="eth1.2")
    ident = node.run("web", "m", Aliases=["www", "Site"], Hostname="front")
    node.run("c1", "m")
    node.run("far", "other")
    resolver = node.runtime.started[1].spec.resolver
    assert resolver is not None
    for name in ("web", "www", "site", "WEB", "front", ident[:12], "web.m", "web."):
        assert resolver.lookup(name) == ["10.1.0.2"], name
    assert resolver.lookup("far") is None  # on no network of its own, and nobody outside is known
    assert resolver.reverse("10.1.0.2") == "web.m"
    assert resolver.reverse("10.2.0.2") is None
    node.engine.container_rename("web", "shop")
    assert resolver.lookup("shop") == ["10.1.0.2"]
    assert resolver.lookup("web") is None
    node.engine.network_connect("other", {"Container": "c1"})
    assert resolver.lookup("far") == ["10.2.0.2"]
    node.engine.container_kill("shop")
    assert resolver.lookup("shop") is None


def test_images(node: Node) -> None:
    engine = node.engine
    assert engine.image_inspect("alpine")["RepoTags"] == ["alpine:latest"]
    node.refuses(404, "No such image: nosuch:latest", engine.image_inspect, "nosuch")
    for ref in ("docker.io/library/nginx", "registry.example:5000/team/app:1.2"):
        lines = engine.image_create(ref)
        assert lines[-1]["status"].startswith("Status: Downloaded newer image for ")
    assert {tag for each in engine.image_list() for tag in each["RepoTags"]} == {
        "alpine:latest", "nginx:latest", "registry.example:5000/team/app:1.2",
    }  # fmt: skip
    listed = [
        ({"reference": ["alpine"]}, {"alpine:latest"}), ({"reference": ["ngin*:l*"]}, {"nginx:latest"}),
        ({"reference": ["*"]}, {"alpine:latest", "nginx:latest"}), ({"reference": ["nosuch"]}, set()),
        ({"dangling": ["true"]}, set()), ({"dangling": ["false"], "reference": ["alpine:latest"]}, {"alpine:latest"}),
        ({"label": ["a=b"]}, set()), ({"before": ["alpine"]}, set()),
    ]  # fmt: skip
    for filters, wanted in listed:
        assert {tag for each in engine.image_list(filters) for tag in each["RepoTags"]} == wanted, filters
    node.refuses(400, "invalid filter 'colour'", engine.image_list, {"colour": ["red"]})
    node.refuses(404, "No such image: nosuch:latest", lambda: engine.image_list({"since": ["nosuch"]}))
    nginx = engine.image_inspect("nginx")["Config"]
    assert nginx["ExposedPorts"] == {"80/tcp": {}}
    engine.image_tag("alpine", "mine", "1")
    assert engine.image_remove("mine:1") == [{"Untagged": "mine:1"}]
    node.run("c1")
    with pytest.raises(Exception, match=r"unable to remove repository reference \"alpine\" \(must force\)"):
        engine.image_remove("alpine")
    node.refuses(400, "invalid reference format: repository name must be lowercase", engine.image_create, "Alpine")


def test_info_and_version(node: Node) -> None:
    node.run("c1")
    node.create("c2")
    info = node.engine.info()
    assert (info["Containers"], info["ContainersRunning"], info["ContainersStopped"]) == (2, 1, 1)
    assert info["Name"] == "node-1"
    assert info["IPv4Forwarding"] is True
    assert node.engine.version()["ApiVersion"] == "1.51"
    assert node.engine.ping()["Api-Version"] == "1.51"
    assert Node(dialect="29").engine.version()["ApiVersion"] == "1.52"
