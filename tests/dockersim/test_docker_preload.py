"""What a served engine loads in its leisure is all that the first commands need: nothing loads while a client waits."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from simvlan.docker import serve
from simvlan.docker.cluster import Cluster
from simvlan.docker.preload import preloads
from simvlan.lab import Lab

lab = Lab()
serve.one_node(lab)
engine = Cluster(lab, dialect="28", state=None, now=lambda: lab.now).engine("node-1")
for step in preloads() if sys.argv[1] == "preloaded" else ():
    step()
before = set(sys.modules)
engine.image_create("alpine", "latest")
engine.network_create({"Name": "lan", "Driver": "macvlan", "Options": {"parent": "eth1.100"},
                       "IPAM": {"Config": [{"Subnet": "192.168.0.0/16"}]}})
for name in ("c1", "c2"):
    engine.container_create({"Image": "alpine", "Cmd": ["sleep", "99"], "HostConfig": {"NetworkMode": "lan"}}, name)
    engine.container_start(name)
made = engine.exec_create("c1", {"Cmd": ["ping", "-c", "1", "c2"], "AttachStdout": True})
said = []
engine.exec_start(made["Id"], {}).listen(lambda _, data: said.append(data), lambda: None)
lab.run(until=5)
assert b"1 packets received" in b"".join(said), said
print(*sorted(name for name in set(sys.modules) - before if name.startswith("simvlan")))
"""


def loaded(how: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_nothing_is_left_to_load() -> None:
    assert loaded("preloaded") == []
    assert "simvlan.rtnl.macvlan" in loaded("as it is")  # the test sees what loads
