"""`simvlan serve`: a lab's engines on Unix sockets, until it is told to stop."""

from __future__ import annotations

import argparse
import contextlib
import gc
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from simvlan.docker.cluster import Cluster
from simvlan.docker.control import Control
from simvlan.docker.http.world import World
from simvlan.docker.preload import preloads
from simvlan.docker.private import CONTROL, SocketTaken, socket_folder
from simvlan.docker.store import StateInUse
from simvlan.live.attach import attach, parse_all
from simvlan.live.places import Unattachable

ONE_NODE = """\
ip netns add node-1
ip netns add switch
ip -n switch link add br0 type bridge
ip -n switch link set br0 up
ip link add eth0 netns node-1 type veth peer name p0 netns switch
ip link add eth1 netns node-1 type veth peer name p1 netns switch
ip -n switch link set p0 master br0 up
ip -n switch link set p1 master br0 up
ip -n node-1 link set lo up
ip -n node-1 link set eth0 up
ip -n node-1 link set eth1 up
"""
"""What is served when no lab is named: a node with two NICs on a switch that knows no VLANs."""


def one_node(lab: Any) -> list[str]:
    """Build the lab of one node; its name."""
    for line in ONE_NODE.splitlines():
        done = lab.command(*line.split())
        if done.exit:
            raise RuntimeError(f"{line}: {done.stderr}")
    return ["node-1"]


def new_cluster(lab: Any, options: argparse.Namespace) -> Cluster:
    """The engines of a lab that is to be served: on the wall's time, in the dialect and folder asked for."""
    began = time.time_ns() - lab.now
    return Cluster(lab, dialect=options.dialect, state=options.state, now=lambda: began + int(lab.now))


def serve(cluster: Cluster, nodes: list[str], options: argparse.Namespace) -> int:
    """Serve engines for these namespaces; 0 when stopped, 2 when a socket or the state folder cannot be had."""
    folder = socket_folder(options.sockets)
    if options.fast and options.attach:
        print("simvlan: serve: --attach needs the wall's time: leave --fast out", file=sys.stderr)
        return 2
    world = World(cluster.lab, fast=options.fast)
    try:
        for port in attach(cluster.lab, world.engine, parse_all(options.attach)):
            world.closing.append(port.close)
            port.on_news = partial(_say, "live")
            print(f"{port.dev.path} = {port.endpoint.label}", flush=True)
        for node in nodes:
            engine = cluster.engine(node)
            engine.core.on_note = partial(_say, node or "node")
            path = folder / f"{node or 'node'}.sock"
            world.sockets.listen(path, engine)
            print(f"{node or 'node'}  unix://{path}", flush=True)
        control = Control(world, folder / CONTROL)
        world.closing.append(control.close)
        world.leisure = preloads()
        print(f"try: docker -H unix://{path} network ls    (Ctrl-C stops the server)", flush=True)
        gc.collect()
        gc.freeze()  # what is there now stays: looking through it takes milliseconds
        with stopping(world):
            world.run()
    except (SocketTaken, StateInUse, Unattachable) as taken:
        print(f"simvlan: serve: {taken}", file=sys.stderr)
        return 2
    finally:
        world.close()
    return 0


def _say(node: str, text: str) -> None:
    """One line of an engine's log."""
    print(f"{node}: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def stopping(world: World) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the server in order."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: world.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
