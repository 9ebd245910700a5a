"""The commands about containers and images, and the way to all commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.docker.client import network
from simvlan.docker.client.options import Line, UsageFault, read, too_few
from simvlan.docker.client.session import Running, Session
from simvlan.docker.client.show import age, command, size, table, template
from simvlan.docker.errors import DockerError

if TYPE_CHECKING:
    from simvlan.docker.engine import Engine
    from simvlan.tools.program import Process

RUN = "detach|d interactive|i tty|t rm privileged init read-only publish-all|P quiet|q"
RUN_VALUED = (
    "name network|net ip mac-address env|e publish|p hostname|h entrypoint workdir|w user|u label|l restart dns"
    " add-host cap-add network-alias stop-timeout stop-signal volume|v pull"
)


def run(proc: Process, engine: Engine, words: list[str]) -> int | Running:
    """Run the command; only those listed, anything else is refused by name."""
    session, verb = Session(proc, engine), words[0] if words else ""
    if verb in ("container", "image") and len(words) > 1:
        words = words[1:]
        verb = {"ls": "ps" if verb == "container" else "images", "list": "ps"}.get(words[0], words[0])
    if verb not in COMMANDS:
        proc.write_err(
            f"simvlan: docker {verb}: only the real docker command can do this, and it is not installed; there is "
            f"{', '.join(sorted(COMMANDS))}\n"
        )
        return 1
    return _guarded(session, COMMANDS[verb], verb, words[1:])


def _guarded(session: Session, function: Callable[[Session, list[str]], Any], verb: str, words: list[str]) -> Running:
    """Run it to its end; refusals become the command's words and status."""
    try:
        outcome = function(session, words)
        return outcome if isinstance(outcome, int) else (yield from outcome)
    except UsageFault as fault:
        session.proc.write_err(fault.text)
        return fault.status
    except DockerError as error:
        return _refused(session, verb, error)
    except IndexError:
        session.proc.write_err(f"docker: 'docker {verb}' requires more arguments\n\nSee 'docker {verb} --help'.\n")
        return 1


def _refused(session: Session, verb: str, error: DockerError) -> int:
    if verb not in ("run", "create"):
        session.proc.write_err(f"Error response from daemon: {error.message.rstrip()}\n")
        return 1
    more = f"\nRun 'docker {verb} --help' for more information\n"
    session.proc.write_err(f"docker: Error response from daemon: {error.message.rstrip()}\n{more}")
    if "executable file not found" in error.message or "no such file or directory" in error.message:
        return 127
    return 126 if "permission denied" in error.message or "is a directory" in error.message else 125


# -- run, create, exec ------------------------------------------------------------------------------------------------


def _run(session: Session, words: list[str]) -> Running:
    line = read(words, RUN, RUN_VALUED, "docker run", interspersed=False)
    if not line.rest:
        raise UsageFault(too_few("docker run", "1 argument"), 1)  # fmt: skip
    detached = "detach" in line.flags
    if "tty" in line.flags and "interactive" in line.flags and not detached:
        raise UsageFault("the input device is not a TTY\n", 1)
    if "rm" in line.flags and line.one("restart", "no") != "no":
        raise UsageFault("docker: conflicting options: cannot specify both --restart and --rm\n\n"
                         "Run 'docker run --help' for more information\n")  # fmt: skip
    given = session.proc.read_stdin() if "interactive" in line.flags and not detached else b""
    ident, engine = _created(session, line), session.engine
    if detached:
        engine.container_start(ident)
        session.proc.write(ident + "\n")
        return 0
    stream = engine.container_attach(ident, stream=True, stdin="interactive" in line.flags, stdout=True, stderr=True)
    ended, wanted = session.copy(stream), "removed" if "rm" in line.flags else "next-exit"
    waited = engine.container_wait(ident, wanted)
    if given:
        stream.write(given)
    stream.close_stdin()
    engine.container_start(ident)
    status = yield from session.wait(waited, lambda name: engine.container_kill(ident, name))
    yield from session.wait(ended)
    return int(status["StatusCode"])


def _create(session: Session, words: list[str]) -> int:
    line = read(words, RUN, RUN_VALUED, "docker create", interspersed=False)
    session.proc.write(_created(session, line) + "\n")
    return 0


def _created(session: Session, line: Line) -> str:
    """Create the container, fetching its image when it is not here; its id."""
    body, name = _body(line), line.one("name")
    try:
        made = session.engine.container_create(body, name)
    except DockerError as error:
        if not error.message.startswith("No such image"):
            raise
        image = line.rest[0]
        whole = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
        session.proc.write_err(f"Unable to find image '{whole}' locally\n")
        for each in session.engine.image_create(whole):
            session.proc.write_err(f"{each['id']}: {each['status']}\n" if "id" in each else f"{each['status']}\n")
        made = session.engine.container_create(body, name)
    for warning in made.get("Warnings") or ():
        session.proc.write_err(f"WARNING: {warning}\n")
    return str(made["Id"])


def _body(line: Line) -> dict[str, Any]:
    detached, typed = "detach" in line.flags, "interactive" in line.flags
    networks = line.many("network") or ["default"]
    body: dict[str, Any] = {
        "Image": line.rest[0], "Cmd": line.rest[1:] or None, "Tty": "tty" in line.flags, "OpenStdin": typed,
        "StdinOnce": typed and not detached, "AttachStdin": typed and not detached, "AttachStdout": not detached,
        "AttachStderr": not detached, "Env": line.many("env"), "Labels": line.pairs("label"),
        "Hostname": line.one("hostname"), "User": line.one("user"), "WorkingDir": line.one("workdir"),
        "Entrypoint": [line.one("entrypoint")] if line.one("entrypoint") else None,
        "HostConfig": _host_config(line, networks[0]),
        "NetworkingConfig": {"EndpointsConfig": _endpoints(line, networks)},
    }  # fmt: skip
    if line.one("stop-timeout"):
        body["StopTimeout"] = int(line.one("stop-timeout"))
    if line.one("stop-signal"):
        body["StopSignal"] = line.one("stop-signal")
    return body


def _host_config(line: Line, network_mode: str) -> dict[str, Any]:
    policy, _, most = line.one("restart", "no").partition(":")
    ports: dict[str, list[dict[str, str]]] = {}
    for word in line.many("publish"):
        host, _, inner = word.rpartition(":")
        inner = inner if "/" in inner else f"{inner}/tcp"
        ports.setdefault(inner, []).append({"HostIp": host.rpartition(":")[0], "HostPort": host.rpartition(":")[2]})
    return {
        "NetworkMode": network_mode, "AutoRemove": "rm" in line.flags, "Privileged": "privileged" in line.flags,
        "Init": "init" in line.flags or None, "ReadonlyRootfs": "read-only" in line.flags, "PortBindings": ports,
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": int(most) if most.isdigit() else 0},
        "Dns": line.many("dns"), "ExtraHosts": line.many("add-host"), "CapAdd": line.many("cap-add"),
    }  # fmt: skip


def _endpoints(line: Line, networks: list[str]) -> dict[str, Any]:
    asked = {"IPAMConfig": {"IPv4Address": line.one("ip")} if line.one("ip") else None,
             "MacAddress": line.one("mac-address"), "Aliases": line.many("network-alias") or None}  # fmt: skip
    if len(networks) == 1 and not any(asked.values()):
        return {}
    return {name: dict(asked) if not position else {} for position, name in enumerate(networks)}


def _exec(session: Session, words: list[str]) -> Running:
    line = read(
        words, "detach|d interactive|i tty|t privileged", "env|e user|u workdir|w", "docker exec", interspersed=False
    )
    if len(line.rest) < 2:
        raise UsageFault(too_few("docker exec", "2 arguments"), 1)  # fmt: skip
    typed, detached = "interactive" in line.flags, "detach" in line.flags
    if "tty" in line.flags and typed and not detached:
        raise UsageFault("the input device is not a TTY\n", 1)
    given = session.proc.read_stdin() if typed and not detached else b""
    body = {
        "Cmd": line.rest[1:], "Env": line.many("env"), "User": line.one("user"), "WorkingDir": line.one("workdir"),
        "Tty": "tty" in line.flags, "AttachStdin": typed, "AttachStdout": True, "AttachStderr": True,
    }  # fmt: skip
    ident = session.engine.exec_create(line.rest[0], body)["Id"]
    stream = session.engine.exec_start(ident, {"Detach": detached, "Tty": body["Tty"]})
    if stream is None:
        return 0
    ended = session.copy(stream)
    if given:
        stream.write(given)
    stream.close_stdin()
    yield from session.wait(ended)
    return int(session.engine.exec_inspect(ident)["ExitCode"] or 0)


# -- what there is ----------------------------------------------------------------------------------------------------


def _ps(session: Session, words: list[str]) -> int:
    line = read(words, "all|a no-trunc quiet|q latest|l", "filter|f format last|n", "docker ps")
    found = session.engine.container_list(
        all="all" in line.flags, limit=1 if "latest" in line.flags else int(line.one("last", "0")),
        filters=session.filters(line),
    )  # fmt: skip
    whole = "no-trunc" in line.flags
    rows = [_row(each, session.engine.core.now(), whole) for each in found]
    heads = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
    if "quiet" in line.flags:
        session.proc.write("".join(f"{row[0]}\n" for row in rows))
    elif line.one("format") not in ("", "table"):
        names = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
        for each, row in zip(found, rows, strict=True):
            networks = ",".join(sorted(each["NetworkSettings"]["Networks"]))
            value = {**dict(zip(names, row, strict=True)), "State": each["State"], "Networks": networks}
            session.proc.write(template(line.one("format"), value) + "\n")
    else:
        session.proc.write(table([heads, *rows]))
    return 0


def _row(each: dict[str, Any], now_ns: int, whole: bool) -> tuple[str, ...]:
    ports = ", ".join(
        f"{port['IP']}:{port['PublicPort']}->{port['PrivatePort']}/{port['Type']}"
        if port.get("PublicPort")
        else f"{port['PrivatePort']}/{port['Type']}"
        for port in each["Ports"] or ()
    )
    return (
        each["Id"] if whole else each["Id"][:12],
        each["Image"],
        f'"{each["Command"]}"' if whole else command(each["Command"]),
        age(now_ns / SECOND - each["Created"]) + " ago",
        each["Status"],
        ports,
        ",".join(name[1:] for name in each["Names"]),
    )


def _images(session: Session, words: list[str]) -> int:
    line = read(words, "all|a quiet|q no-trunc", "filter|f format", "docker images")
    if len(line.rest) > 1:
        raise UsageFault("docker images: 'docker images' requires at most 1 argument\n", 1)
    asked = {**session.filters(line), **({"reference": line.rest} if line.rest else {})}
    rows = []
    for each in session.engine.image_list(asked):
        for tag in each["RepoTags"] or ["<none>:<none>"]:
            repo, _, name = tag.rpartition(":")
            since = age(session.engine.core.now() / SECOND - each["Created"]) + " ago"
            rows.append((repo, name, each["Id"].partition(":")[2][:12], since, size(each["Size"])))
    if "quiet" in line.flags:
        session.proc.write("".join(f"{row[2]}\n" for row in rows))
    else:
        session.proc.write(table([("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), *rows]))
    return 0


def _inspect(session: Session, words: list[str]) -> int:
    line = read(words, "size|s", "format|f type", "docker inspect")
    engine = session.engine

    def look(name: str) -> Any:
        for kind, find in (("container", engine.container_inspect), ("image", engine.image_inspect),
                           ("network", engine.network_inspect)):  # fmt: skip
            if line.one("type", kind) == kind:
                try:
                    return find(name)
                except DockerError as error:
                    if error.status != 404 or line.one("type"):
                        raise
        raise DockerError(404, f"No such object: {name}")

    return session.inspect(line, look)


def _logs(session: Session, words: list[str]) -> Running:
    line = read(words, "follow|f timestamps|t", "tail|n since until", "docker logs")
    stream = session.engine.container_logs(
        line.rest[0], stdout=True, stderr=True, follow="follow" in line.flags, timestamps="timestamps" in line.flags,
        since=line.one("since"), until=line.one("until"), tail=line.one("tail", "all"),
    )  # fmt: skip
    yield from session.wait(session.copy(stream))
    return 0


def _version(session: Session, _words: list[str]) -> int:
    found = session.engine.version()
    least, most = found["MinAPIVersion"], found["ApiVersion"]
    session.proc.write(
        f"Client: simvlan's own, a part of docker's commands\n API version:       {most}\n\nServer:\n Engine:\n"
        f"  Version:          {found['Version']}\n  API version:      {most} (minimum version {least})\n"
    )
    return 0


# -- what is done to them ---------------------------------------------------------------------------------------------


def _each(session: Session, names: list[str], do: Callable[[str], Any]) -> Running:
    """Do something to each container; print its name when it is done."""
    failed = False
    for name in names:
        try:
            outcome = do(name)
            if hasattr(outcome, "then"):
                yield from session.wait(outcome)
            session.proc.write(name + "\n")
        except DockerError as error:
            session.proc.write_err(f"Error response from daemon: {error.message}\n")
            failed = True
    return int(failed)


def _stop(session: Session, words: list[str]) -> Running:
    line = read(words, "", "time|t|timeout signal|s", "docker stop")
    seconds = int(line.one("time")) if line.one("time") else None
    return _each(
        session, line.rest, lambda name: session.engine.container_stop(name, seconds, line.one("signal") or None)
    )


def _restart(session: Session, words: list[str]) -> Running:
    line = read(words, "", "time|t|timeout signal|s", "docker restart")
    seconds = int(line.one("time")) if line.one("time") else None
    return _each(session, line.rest, lambda name: session.engine.container_restart(name, seconds))


def _kill(session: Session, words: list[str]) -> Running:
    line = read(words, "", "signal|s", "docker kill")
    return _each(session, line.rest, lambda name: session.engine.container_kill(name, line.one("signal")))


def _remove(session: Session, words: list[str]) -> Running:
    line = read(words, "force|f volumes|v link|l", "", "docker rm")
    return _each(session, line.rest, lambda name: session.engine.container_remove(name, force="force" in line.flags))


def _start(session: Session, words: list[str]) -> Running:
    line = read(words, "attach|a interactive|i", "", "docker start")
    if line.flags:
        raise UsageFault("simvlan: docker start -a: only the real docker command can do this\n", 64)
    return _each(session, line.rest, session.engine.container_start)


def _wait(session: Session, words: list[str]) -> Running:
    for name in words:
        status = yield from session.wait(session.engine.container_wait(name))
        session.proc.write(f"{status['StatusCode']}\n")
    return 0


def _pull(session: Session, words: list[str]) -> int:
    line = read(words, "quiet|q all-tags|a", "platform", "docker pull")
    name = line.rest[0] if ":" in line.rest[0].rpartition("/")[2] else f"{line.rest[0]}:latest"
    lines = session.engine.image_create(name)
    if "quiet" not in line.flags:
        if name != line.rest[0]:
            session.proc.write("Using default tag: latest\n")
        for each in lines:
            session.proc.write(f"{each['id']}: {each['status']}\n" if "id" in each else f"{each['status']}\n")
    session.proc.write(f"docker.io/{'' if '/' in name else 'library/'}{name}\n")
    return 0


COMMANDS: dict[str, Callable[[Session, list[str]], Any]] = {
    "create": _create, "exec": _exec, "images": _images, "inspect": _inspect, "kill": _kill, "logs": _logs,
    "network": network.run, "ps": _ps, "pull": _pull, "restart": _restart, "rm": _remove, "run": _run, "start": _start,
    "stop": _stop, "version": _version, "wait": _wait,
}  # fmt: skip
