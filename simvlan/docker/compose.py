"""`simvlan run compose.yaml`: a node with two NICs, and `docker compose up` on it, in virtual time."""

from __future__ import annotations

from typing import Any

NODE = """\
ip netns add switch
ip -n switch link add br0 type bridge
ip -n switch link set br0 up
ip link add eth0 type veth peer name p0 netns switch
ip link add eth1 type veth peer name p1 netns switch
ip -n switch link set p0 master br0 up
ip -n switch link set p1 master br0 up
ip link set lo up
ip link set eth0 up
ip link set eth1 up
"""
UP = """\
docker compose version > /dev/null 2>&1 || {
    echo 'simvlan: run: docker compose is not installed: put its plugin into ~/.docker/cli-plugins' >&2
    exit 127
}
exec docker compose -f "$1" up "${@:2}"
"""
"""What is run with the file's name and whatever options of `up` were given."""


def build_node(lab: Any) -> None:
    """Make the node: the initial namespace, with eth0 and eth1 on a switch that knows no VLANs."""
    for line in NODE.splitlines():
        done = lab.command(*line.split())
        if done.exit:
            raise RuntimeError(f"{line}: {done.stderr}")
