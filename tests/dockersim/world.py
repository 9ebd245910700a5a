"""A node with NICs, its engine, and processes that do nothing but wait: what the engine's tests stand on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from simvlan import Lab
from simvlan.clock import SECOND
from simvlan.docker.engine import Engine
from simvlan.docker.errors import DockerError
from simvlan.docker.runtime import NotRunnable, ProcessSpec, later


class Idler:
    """A process: `sleep N`, `true`, `false`, `exit N`, `echo ...`; anything else waits for ever.

    As pid 1 it ignores SIGTERM when it is `sh` or `sleep`, as without a handler on Linux.
    """

    def __init__(self, net: Any, spec: ProcessSpec, pid: int, output: Any, on_exit: Callable[[int], None]) -> None:
        self.spec, self.pid, self.exit_code = spec, pid, None
        self._output, self._on_exit = output, on_exit
        self.written: list[bytes] = []
        self.size = (spec.rows, spec.columns)
        self.frozen = False
        word, args = spec.argv[0], list(spec.argv[1:])
        if word == "echo":
            later(net, 0, partial(self._say, " ".join(args)))
        elif word in ("true", "false", "exit"):
            later(net, 0, partial(self.end, {"true": 0, "false": 1}.get(word, _number(args))))
        elif word == "sleep":
            later(net, round(_number(args) * SECOND), partial(self.end, 0))

    def _say(self, text: str) -> None:
        self._output(1, text.encode() + b"\n")
        self.end(0)

    def end(self, code: int) -> None:
        if self.exit_code is None:
            self.exit_code = code
            self._on_exit(code)

    def kill(self, signal: int) -> None:
        if signal != 9 and self.spec.init and self.spec.argv[0] in ("sh", "/bin/sh", "sleep"):
            return
        self.end(128 + signal)

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self._output(1, data)

    def unread(self) -> int:
        return 0

    def close_stdin(self) -> None:
        if self.spec.stdin_open:
            self.end(0)

    def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)

    def pause(self, frozen: bool) -> None:
        self.frozen = frozen

    def hold(self, held: bool) -> None:
        self.frozen = held

    def processes(self) -> list[tuple[int, int, str]]:
        return [(self.pid, 1, " ".join(self.spec.argv))]


def _number(args: list[str]) -> Any:
    """The first argument as a number; 0 where it is none."""
    try:
        return float(args[0]) if "." in args[0] else int(args[0])
    except (IndexError, ValueError):
        return 0


class Idlers:
    """A runtime of Idlers."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.started: list[Idler] = []

    def start(self, spec: ProcessSpec, output: Any, on_exit: Callable[[int], None]) -> Idler:
        word = spec.argv[0]
        if word.startswith("nosuch"):
            raise NotRunnable(f'exec: "{word}": executable file not found in $PATH', 127)
        if word == "/etc":
            raise NotRunnable('exec: "/etc": is a directory: permission denied', 126)
        made = Idler(self.lab.network, spec, 1000 + len(self.started), output, on_exit)
        self.started.append(made)
        return made


NODE = """
ip netns add {node}
ip link add eth0 netns {node} type veth peer name {node}-0 netns lan
ip link add eth1 netns {node} address 08:00:27:00:01:{mac} type veth peer name {node}-1 netns lan
ip -n lan link set {node}-0 up
ip -n lan link set {node}-1 up
ip -n lan link set {node}-1 master sw
ip -n {node} link set lo up
ip -n {node} addr add 10.0.2.15/24 dev eth0
ip -n {node} link set eth0 up
ip -n {node} link set eth1 up
ip -n {node} route add default via 10.0.2.2
"""
LAN = """
ip netns add lan
ip -n lan link add sw type bridge
ip -n lan link set sw up
"""


def commands(lab: Lab, text: str) -> None:
    """Run simulated commands without a shell."""
    for line in text.strip().splitlines():
        done = lab.command(*line.split())
        assert not done.exit, (line, done)


class Node:
    """One node and its engine, with short words for what tests do all the time."""

    def __init__(self, lab: Lab | None = None, name: str = "node-1", dialect: str = "28", **options: Any) -> None:
        self.lab = lab or Lab(seed=1)
        self.name = name
        if "lan" not in self.lab.network.netns:
            commands(self.lab, LAN)
        if name not in self.lab.network.netns:
            commands(self.lab, NODE.format(node=name, mac=f"{len(self.lab.network.netns) + 16:02x}"))
        self.runtime = Idlers(self.lab)
        self.engine = Engine(self.lab, name, dialect=dialect, runtime=self.runtime, **options)
        self.engine.image_create("alpine")

    # -- docker's words ---------------------------------------------------------------------------------------------

    def network(
        self,
        name: str,
        driver: str = "macvlan",
        *blocks: dict[str, Any] | str,
        parent: str | None = None,
        internal: bool = False,
        ipv4: bool | None = None,
        ipv6: bool | None = None,
        labels: dict[str, str] | None = None,
        api: str | None = None,
        **options: str,
    ) -> str:
        """`docker network create -d driver`; blocks are subnets or IPAM config blocks."""
        config = [{"Subnet": block} if isinstance(block, str) else block for block in blocks]
        if parent is not None:
            options["parent"] = parent
        body: dict[str, Any] = {
            "Name": name, "Driver": driver, "IPAM": {"Driver": "default", "Options": {}, "Config": config},
            "Options": options, "Internal": internal, "Labels": labels or {},
        }  # fmt: skip
        if ipv4 is not None:
            body["EnableIPv4"] = ipv4
        if ipv6 is not None:
            body["EnableIPv6"] = ipv6
        return str(self.engine.network_create(body, api=api)["Id"])

    def create(
        self, name: str, network: str = "bridge", *argv: str, ip: str = "", host: Any = None, **more: Any
    ) -> str:
        """`docker create`; more: fields of the endpoint (MacAddress, Aliases, GwPriority, DriverOpts) or of Config."""
        endpoint = {k: more.pop(k) for k in ("MacAddress", "Aliases", "GwPriority", "DriverOpts") if k in more}
        config: dict[str, str] = {}
        if ip:
            config["IPv4Address"] = ip
        if "ip6" in more:
            config["IPv6Address"] = more.pop("ip6")
        if config:
            endpoint["IPAMConfig"] = config
        body = {
            "Image": "alpine", "Cmd": list(argv) or ["sleep", "1000000"],
            "HostConfig": {"NetworkMode": network, **(host or {})},
            "NetworkingConfig": {"EndpointsConfig": {network: endpoint} if endpoint else {}}, **more,
        }  # fmt: skip
        return str(self.engine.container_create(body, name)["Id"])

    def run(self, name: str, network: str = "bridge", *argv: str, **more: Any) -> str:
        """`docker run -d`."""
        made = self.create(name, network, *argv, **more)
        self.engine.container_start(made)
        return made

    def endpoint(self, name: str, network: str) -> dict[str, Any]:
        """What inspect says of a container on a network."""
        shown: dict[str, Any] = self.engine.container_inspect(name)["NetworkSettings"]["Networks"][network]
        return shown

    def host(self, line: str) -> None:
        """A command on the node."""
        done = self.lab.command(*line.split(), netns=self.name)
        assert not done.exit, (line, done)

    def dummy(self, name: str) -> Node:
        """A dummy link on the node, up, as moby's tests make one."""
        self.host(f"ip link add {name} type dummy")
        self.host(f"ip link set {name} up")
        return self

    # -- looking ----------------------------------------------------------------------------------------------------

    def ping(self, container: str, address: str, count: int = 1) -> bool:
        """Whether a ping from a container is answered."""
        return bool(self.lab.ping(container, address, count, "-W", "1"))

    def ip(self, container: str, *words: str) -> str:
        """`ip ...` in a container (or a node)."""
        return self.lab.command("ip", *words, netns=container).stdout

    def links(self) -> list[str]:
        """Names of the node's devices."""
        return list(self.lab.network.netns[self.name].devices)

    def refuses(self, status: int, message: str, action: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        """Expect a refusal of exactly this status and text."""
        with pytest.raises(DockerError) as caught:
            action(*args, **kwargs)
        assert (caught.value.status, caught.value.message) == (status, message)
        return caught.value.message
