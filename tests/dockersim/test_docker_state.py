"""`simvlan serve --state`: killed in the middle of two hundred operations, it has lost nothing it had acknowledged."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

SIMVLAN = Path(sys.executable).parent / "simvlan"


class Client:
    """One connection to a served engine."""

    def __init__(self, path: Path) -> None:
        self.connection = http.client.HTTPConnection("docker")
        self.connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.sock.settimeout(120)
        self.connection.sock.connect(str(path))

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.strip() and b"\r\n{" not in text else None


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    sock = folder / "sockets" / "node-1.sock"
    command = [SIMVLAN, "serve", "--state", folder / "state", "--sockets", folder / "sockets", "--fast"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                Client(sock)
                break
            time.sleep(0.02)
        yield process, sock
    finally:
        process.kill()
        process.wait()


class Wanted:
    """What has been acknowledged."""

    def __init__(self) -> None:
        self.networks: dict[str, str] = {}
        self.containers: dict[str, str] = {}

    def one(self, client: Client, number: int, rng: Random) -> None:
        """One operation; noted only once it is acknowledged."""
        kind = rng.choice(["network", "network", "container", "container", "remove"])
        if kind == "network":
            config = [{"Subnet": f"10.{number}.0.0/16"}]
            body = {"Name": f"n{number}", "Driver": "macvlan", "Options": {"parent": f"eth1.{number + 1}"}}
            status, made = client.ask("POST", "/networks/create", {**body, "IPAM": {"Config": config}})
            assert status == 201, made
            self.networks[f"n{number}"] = made["Id"]
        elif kind == "container":
            mode = rng.choice(sorted(self.networks) or ["bridge"])
            body = {"Image": "alpine", "HostConfig": {"NetworkMode": mode, "RestartPolicy": {"Name": "always"}}}
            status, made = client.ask(
                "POST", f"/containers/create?name=c{number}", {**body, "Tty": True, "OpenStdin": True}
            )
            assert status == 201, made
            self.containers[f"c{number}"] = made["Id"]
            client.ask("POST", f"/containers/c{number}/start")
        elif self.containers:
            name = rng.choice(sorted(self.containers))
            gone = self.containers.pop(name)
            status, _ = client.ask("DELETE", f"/containers/{name}?force=1")
            assert status == 204, gone


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_in_the_middle(tmp_path: Path, seed: int) -> None:
    rng, wanted = Random(seed), Wanted()
    with serve(tmp_path) as (process, path):
        client = Client(path)
        client.ask("POST", "/images/create?fromImage=alpine&tag=latest")
        killed = rng.randrange(60, 140)
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(200):
                if number == killed:
                    process.send_signal(signal.SIGKILL)
                wanted.one(client, number, rng)
    with serve(tmp_path) as (_, path):
        client = Client(path)
        networks = {each["Name"]: each["Id"] for each in client.ask("GET", "/networks")[1]}
        containers = {each["Names"][0][1:]: each for each in client.ask("GET", "/containers/json?all=1")[1]}
        assert wanted.networks.items() <= networks.items()
        assert wanted.containers.items() <= {name: each["Id"] for name, each in containers.items()}.items()
        assert len(containers) <= len(wanted.containers) + 1  # the last one asked for may have been made
        addresses = [
            (name, network["IPAddress"])
            for each in containers.values()
            for name, network in each["NetworkSettings"]["Networks"].items()
            if network["IPAddress"]
        ]
        assert len(addresses) == len(set(addresses))
        for name in containers:
            assert client.ask("DELETE", f"/containers/{name}?force=1")[0] == 204
        assert client.ask("POST", "/networks/prune")[0] == 200
        status, made = client.ask(
            "POST", "/networks/create", {"Name": "all", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}
        )
        assert status == 201, made  # no pool is held by anybody who is gone


def test_one_server_a_folder(tmp_path: Path) -> None:
    with serve(tmp_path):
        command = [SIMVLAN, "serve", "--state", tmp_path / "state", "--sockets", tmp_path / "other"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2
        assert "another engine uses this state folder" in done.stderr
