"""Files of containers under the real docker command: cp, diff, export, and what mounts come to."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from simvlan.docker.archive import Archive
from simvlan.docker.disk import FILE_LIMIT, Disk
from simvlan.docker.errors import DockerError
from tests.dockersim.served import DOCKER, Served, serving, two_nodes

needs_docker = pytest.mark.skipif(DOCKER is None, reason="no docker command of version 28 or later is installed")


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(two_nodes(), ["node-1"], speed=20) as made:
        made.do(lambda: made.engines["node-1"].image_create("alpine", "latest"))
        assert made.docker("run", "-itd", "--name", "box", "alpine").exit == 0
        yield made


def run(served: Served, script: str) -> str:
    done = served.docker("exec", "box", "sh", "-c", script)
    assert done.exit == 0, done
    return done.out


@needs_docker
def test_copying(served: Served, tmp_path: Path) -> None:
    hosts = run(served, "cat /etc/hosts")
    assert served.docker("cp", "box:/etc/hosts", str(tmp_path / "hosts")).exit == 0
    assert (tmp_path / "hosts").read_text() == hosts
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/sub/a").write_bytes(bytes(range(256)))
    (tmp_path / "dir/b").write_text("text\n")
    assert served.docker("cp", str(tmp_path / "dir"), "box:/tmp").exit == 0
    assert run(served, "cat /tmp/dir/b; ls /tmp/dir") == "text\nb\nsub\n"
    assert served.docker("cp", str(tmp_path / "dir/b"), "box:/tmp/renamed").exit == 0
    assert run(served, "cat /tmp/renamed") == "text\n"
    assert served.docker("cp", "box:/tmp/dir", str(tmp_path / "back")).exit == 0
    assert (tmp_path / "back/sub/a").read_bytes() == bytes(range(256))
    done = served.docker("cp", "box:/nosuch", str(tmp_path))
    assert (done.exit, done.err) == (
        1, "Error response from daemon: Could not find the file /nosuch in container box\n"
    )  # fmt: skip
    assert served.docker("cp", str(tmp_path / "dir/b"), "box:/nosuch/").exit == 1


@needs_docker
def test_what_was_written_stays_until_the_container_goes(served: Served) -> None:
    run(served, "mkdir -p /srv/www; echo hello > /srv/www/index; echo more >> /etc/passwd; rm /etc/group")
    assert served.docker("diff", "box").out == (
        "C /etc\nD /etc/group\nC /etc/passwd\nC /srv\nA /srv/www\nA /srv/www/index\n"
    )
    assert served.docker("restart", "-t", "0", "box").exit == 0
    assert run(served, "cat /srv/www/index") == "hello\n"
    assert served.docker("ps", "-s", "--format", "{{.Size}}").out.endswith("B)\n")
    kinds = served.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").out.splitlines()
    assert kinds[:2] == ["Images 1 1", "Containers 1 1"]
    served.docker("rm", "-f", "box")
    assert served.docker("run", "-itd", "--name", "box", "alpine").exit == 0
    assert served.docker("exec", "box", "cat", "/srv/www/index").exit == 1


@needs_docker
def test_export(served: Served) -> None:
    run(served, "echo hello > /root/file")
    env = served.environment()
    octets = subprocess.run([DOCKER or "", "export", "box"], env=env, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(octets)) as tar:
        names = tar.getnames()
        assert tar.extractfile("root/file").read() == b"hello\n"  # type: ignore[union-attr]
    assert {"bin", "etc/hosts", "tmp"} <= set(names)


@needs_docker
def test_mounts_are_said_and_are_folders(served: Served) -> None:
    for words in (["-v", "data:/data"], ["-v", "/etc:/data"], ["--mount", "type=volume,src=v,dst=/data"]):
        done = served.docker("run", "--rm", *words, "alpine", "sh", "-c", "echo x > /data/f; ls /data")
        assert (done.exit, done.out) == (0, "f\n"), done
        assert done.err == "WARNING: simvlan: volumes are not simulated: /data: empty at first\n"
    done = served.docker("run", "--rm", "--tmpfs", "/run/t", "alpine", "ls", "/run/t")
    assert (done.exit, done.out, done.err) == (0, "", "")
    assert "POST /volumes/create: not simulated" in served.docker("volume", "create", "v").err


@needs_docker
def test_a_read_only_container(served: Served, tmp_path: Path) -> None:
    served.docker("run", "-itd", "--read-only", "--name", "fixed", "alpine")
    (tmp_path / "f").write_text("x")
    done = served.docker("cp", str(tmp_path / "f"), "fixed:/tmp")
    assert done.err == "Error response from daemon: container rootfs is marked read-only\n"
    assert served.docker("exec", "fixed", "mkdir", "/tmp/d").exit == 1


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_an_archive_is_taken_whole_or_not_at_all() -> None:
    disk = Disk()
    target = Archive(disk, "box", 0)
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    good = (tarfile.TarInfo("good"), b"x")
    for bad in (
        archive(good, (link, b"")),
        archive(good, (tarfile.TarInfo("../../outside"), b"x")),
        archive(good, (tarfile.TarInfo("huge"), bytes(FILE_LIMIT))),
        b"no archive at all" * 100,
    ):
        with pytest.raises(DockerError):
            target.unpack("/tmp", bad)
        assert disk.changes() == []
    target.unpack("/tmp", archive(good))
    assert disk.read("/tmp/good") == b"x"


def some_archive(rng: Random) -> bytes:
    """A few members with odd names and kinds; often broken."""
    names = ["a", "b/c", "../x", "/etc/passwd", "/etc/passwd/x", "", ".", "a/../..", "d" * 300, "\u00e9", "etc"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])) as tar:
        for _ in range(rng.randrange(4)):
            info, data = tarfile.TarInfo(rng.choice(names)), rng.randbytes(rng.randrange(40))
            info.type = rng.choice([tarfile.REGTYPE] * 3 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE])
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(data))
    octets = bytearray(out.getvalue())
    for _ in range(rng.randrange(4)):
        octets[rng.randrange(len(octets))] = rng.randrange(256)
    return bytes(octets[: rng.randrange(len(octets))] if rng.random() < 0.3 else octets)


def test_any_archive_is_taken_or_refused() -> None:
    rng, told = Random(4), {"taken": 0, "refused": 0}
    for _ in range(1000):
        disk = Disk()
        before, whole = disk.state(), Archive(disk, "box", 0)
        try:
            where = rng.choice(["/", "/tmp", "/etc/passwd", "", "/nosuch", "tmp/", "//", "/proc"])
            whole.unpack(where, some_archive(rng))
            told["taken"] += 1
        except DockerError:
            assert disk.state() == before
            told["refused"] += 1
        assert not disk.directories & set(disk.files())
        with tarfile.open(fileobj=io.BytesIO(whole.export())) as tar:
            assert {f"/{name}" for name in tar.getnames()} >= set(disk.files())
    assert min(told.values()) > 100
