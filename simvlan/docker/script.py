"""`docker` inside a script: the real command, if there is one, on a socket of the script's own simulator.

Which engine: the machine DOCKER_HOST names (`eval $(docker-machine env node-1)`), else the network namespace the
command runs in. Without a real docker command a small client of our own does what it can.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simvlan.docker.cluster import DIALECT_VARIABLE, cluster_of
from simvlan.shell.processes import ancestry

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from simvlan.docker.engine import Engine
    from simvlan.tools.program import Process

HIDDEN = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")
"""Variables that would lead the real command elsewhere."""


def docker(proc: Process) -> int | Generator[Any, Any, int]:
    """docker and docker-compose."""
    words = list(proc.argv[1:])
    try:
        node = node_of(proc, host_option(words) or proc.env.get("DOCKER_HOST", ""))
    except KeyError as error:
        proc.write_err(f"simvlan: {proc.name}: {error.args[0]}\n")
        return 125
    engine = cluster_of(proc.lab).engine(node, proc.env.get(DIALECT_VARIABLE))
    server: Any = getattr(proc, "server", None)
    real = server.sandbox.real.get(proc.name) if server is not None else None
    if real is None:
        return _without(proc, engine, words)
    env = {name: value for name, value in proc.env.items() if name not in HIDDEN}
    folder = server.sandbox.directory / "docker"
    env["DOCKER_HOST"] = f"unix://{socket_of(server, folder, node)}"
    env["DOCKER_CONFIG"] = str(_config(folder, proc.env))
    return proc.execute([real, *words], env=env)


def _without(proc: Process, engine: Engine, words: list[str]) -> int | Generator[Any, Any, int]:
    """Do without the real command."""
    if proc.name != "docker":
        proc.write_err(f"simvlan: {proc.name} is not installed; only the real one can do this\n")
        return 127
    from simvlan.docker.client.main import run

    return run(proc, engine, words)


def host_option(words: list[str]) -> str:
    """Take `-H HOST` out of the options before the command; the host."""
    for position, word in enumerate(words):
        if not word.startswith("-"):
            break
        if word in ("-H", "--host") and position + 1 < len(words):
            _, host = words.pop(position), words.pop(position)
            return host
        for prefix in ("--host=", "-H="):
            if word.startswith(prefix):
                return words.pop(position).removeprefix(prefix)
    return ""


def node_of(proc: Process, host: str) -> str:
    """The node whose engine is meant. Raises KeyError."""
    cluster = cluster_of(proc.lab)
    if not host or host in ("unix:///var/run/docker.sock", "unix:///run/docker.sock"):
        return proc.netns
    if host.startswith("unix://") and Path(host.removeprefix("unix://")).parent.name == "docker":
        name = Path(host).stem
        return "" if name == "root" else name
    if host.startswith("ssh://"):
        name = host.removeprefix("ssh://").rpartition("@")[2]
        if name in proc.lab.network.netns:
            return name
    return cluster.node_at(host)


def socket_of(server: Any, folder: Path, node: str) -> Path:
    """The socket of a node's engine, served from now on."""
    from simvlan.docker.http.sockets import Sockets

    if server.guests is None:
        folder.mkdir(exist_ok=True)
        server.guests = Sockets(server.selector)
        server.guests.order = lambda pid: ancestry(pid, server.sandbox.launcher.pid)
    path = folder / f"{node or 'root'}.sock"
    if not path.exists():
        server.guests.listen(path, cluster_of(server.lab).engine(node))
    return path


def _config(folder: Path, env: Mapping[str, str]) -> Path:
    """A configuration of the run's own: the user's may name contexts elsewhere. Plugins (compose) are the user's."""
    config = folder / "config"
    if not config.exists():
        config.mkdir(parents=True)
        users = env.get("DOCKER_CONFIG") or (f"{env['HOME']}/.docker" if env.get("HOME") else "")
        plugins = Path(users).absolute() / "cli-plugins"
        if users and plugins.is_dir():
            os.symlink(plugins, config / "cli-plugins")
    return config
