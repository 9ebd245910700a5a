"""Without a docker command our own small one prints the same: one script, run with and without the real one on PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dockersim.served import DOCKER

SIMVLAN = Path(sys.executable).parent / "simvlan"
SCRIPT = r"""
exec 2>&1
ip link add eth1 type dummy; ip link set eth1 up
say() { echo "\$ docker $*"; docker "$@"; echo "[$?]"; }
net="network create -d macvlan --subnet=10.1.0.0/24"
say $net --gateway=10.1.0.254 --ip-range=10.1.0.128/25 -o parent=eth1.7 --label a=b lan
say $net -o parent=eth1.8 again
say network create -d macvlan -o parent=nope none
say network create --gateway=10.2.0.1 g
say network create --subnet=10.2.0.0/24 --gateway=10.3.0.1 g
say network create
say network ls
say network ls -q --filter driver=macvlan
say network ls --format '{{.Name}} {{.Driver}}'
say network inspect lan
say network inspect -f '{{.Driver}} {{json .IPAM.Config}}' lan nosuch
say run -d --net=lan --name c1 alpine sleep 1000
say run --rm --net=lan alpine ping -c 2 10.1.0.128
say run --rm --net=lan -e A=b alpine sh -c 'echo $A; echo err >&2; exit 3'
say run --rm --net=lan alpine nosuch
say run --rm --net=nosuch alpine true
say run --rm --net=lan --ip=10.9.0.1 alpine true
say run -it --rm alpine sh
say run --rm --nosuchflag alpine
say run
echo hello | docker run -i --rm --net=lan alpine cat
say exec c1 ip route
say exec c1 sh -c 'exit 4'
say exec c1 nosuch
say exec nosuch true
echo abc | docker exec -i c1 wc -c
say ps --format '{{.Names}} {{.Image}} {{.Command}} {{.State}}'
say ps -a
sleep 100
say ps
say inspect -f '{{.State.Running}} {{.NetworkSettings.Networks.lan.IPAddress}}' c1
say inspect nosuch
say run -d --name talk alpine sh -c 'for i in 1 2 3; do echo $i; sleep 1; done'
say logs -f talk
say logs --tail 1 talk
say wait talk
say rm c1
say stop -t 1 c1
say ps -a --format '{{.Names}} {{.Status}}'
say start c1
say kill c1
say network rm lan nosuch
say rm c1 talk nosuch
say network rm lan
say images
say network prune -f
"""


def run(tmp_path: Path, path: str) -> list[str]:
    (tmp_path / "script.sh").write_text(SCRIPT)
    done = subprocess.run(
        [SIMVLAN, "run", tmp_path / "script.sh"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split("$ docker ")


def test_the_same_text(tmp_path: Path) -> None:
    if DOCKER is None:
        pytest.skip("the docker command is not installed")
    real = str(Path(DOCKER).parent)
    with_it = run(tmp_path, os.environ["PATH"])
    without = run(tmp_path, ":".join(each for each in ("/usr/bin", "/bin") if each != real))
    assert [each for each in zip(with_it, without, strict=True) if each[0] != each[1]] == []


def test_what_only_the_real_one_can_do(tmp_path: Path) -> None:
    (tmp_path / "script.sh").write_text("docker build .\n")
    done = subprocess.run(
        [SIMVLAN, "run", tmp_path / "script.sh"],
        env={**os.environ, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "docker build: only the real docker command can do this" in done.stderr
