"""Small programs about the system: env, hostname, id, ps, stty, kill, timeout and so on, as busybox prints them."""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import simpy

from simvlan.clock import SECOND
from simvlan.docker.programs.process import Proc

Running = Generator[Any, Any, int]


def true(_proc: Proc) -> int:
    """Succeed."""
    return 0


def false(_proc: Proc) -> int:
    """Fail."""
    return 1


def sleep(proc: Proc) -> Running:
    """Let so much virtual time pass; several durations add up."""
    from simvlan.shell.commands import duration_ns

    total = 0.0
    for word in proc.argv[1:] or [""]:
        try:
            total += duration_ns(word)
        except ValueError:
            proc.write_err(f"sleep: invalid number '{word}'\n" if word else "BusyBox sleep: missing operand\n")
            return 1
    yield proc.world.env.timeout(total)
    return 0


def idle(proc: Proc) -> Running:
    """A server that waits to be told to stop."""
    try:
        yield proc.world.env.event()
    except simpy.Interrupt as interrupt:
        if interrupt.cause == "SIGQUIT" and proc.name == "nginx":
            return 0
        return 0 if proc.name == "nginx" else 128 + int(signal.Signals[str(interrupt.cause)])
    return 0


def env(proc: Proc) -> int | Running:
    """env and printenv."""
    words = proc.argv[1:]
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        proc.env[name] = value
    if not words:
        proc.write("".join(f"{name}={value}\n" for name, value in proc.env.items()))
        return 0
    if proc.name == "printenv":
        proc.write("".join(proc.env[word] + "\n" for word in words if word in proc.env))
        return int(not all(word in proc.env for word in words))
    return instead(proc, words)


def instead(proc: Proc, argv: list[str]) -> Running:
    """Run another program in this process."""
    program = proc.container.programs(argv[0].rpartition("/")[2])
    if program is None:
        proc.write_err(f"{proc.name}: can't execute '{argv[0]}': No such file or directory\n")
        return 127
    return (yield from proc.become(argv, program))


def hostname(proc: Proc) -> int:
    """`hostname [-i]`: the container's name or address; it cannot be changed."""
    words = proc.argv[1:]
    if words and not words[0].startswith("-"):
        proc.write_err("hostname: sethostname: Operation not permitted\n")
        return 1
    if "-i" in words:
        found = proc.lookup(proc.container.hostname) or [""]
        proc.write(found[0] + "\n")
        return 0
    proc.write(proc.container.hostname + "\n")
    return 0


def user_name(uid: int) -> str:
    """A user's name in the container."""
    return {0: "root", 65534: "nobody"}.get(uid, str(uid))


def identity(proc: Proc) -> int:
    """id and whoami."""
    uid, name = proc.uid, user_name(proc.uid)
    if proc.name == "whoami":
        proc.write(name + "\n")
    elif "-u" in proc.argv:
        proc.write(f"{name if '-n' in proc.argv else uid}\n")
    else:
        group = {0: "root", 65534: "nogroup"}.get(uid)
        gid = f"{uid}({group})" if group else "0(root)"
        user = f"{uid}({name})" if not name.isdigit() else str(uid)
        proc.write(f"uid={user} gid={gid} groups={gid}\n")
    return 0


def ps(proc: Proc) -> int:
    """List the processes of the container."""
    rows = "".join(
        f"{pid:5} {user_name(each.uid):<8} {' '.join(each.argv)}\n"
        for pid, each in sorted(proc.container.procs.items())
    )
    proc.write("PID   USER     COMMAND\n" + rows)
    return 0


def tty(proc: Proc) -> int:
    """The name of the terminal; 1 without one."""
    terminal = proc.streams.tty
    proc.write("not a tty\n" if terminal is None else f"/dev/pts/{proc.container.terminals.index(terminal)}\n")
    return int(terminal is None)


def stty(proc: Proc) -> int:
    """`stty size|[-]echo|-a`: ask or set the terminal; other settings change nothing."""
    terminal = proc.streams.tty
    if terminal is None:
        proc.write_err("stty: standard input: Not a tty\n")
        return 1
    words = proc.argv[1:]
    if words == ["size"]:
        proc.write(f"{terminal.rows} {terminal.columns}\n")
    elif words in (["echo"], ["-echo"]):
        terminal.echo = words == ["echo"]
    elif not words or words == ["-a"]:
        proc.write(f"speed 38400 baud; rows {terminal.rows}; columns {terminal.columns}; line = 0;\n")
    return 0


def uname(proc: Proc) -> int:
    """`uname [-asnrvm]`: the kernel that the simulator follows."""
    flags = "".join(word[1:] for word in proc.argv[1:]) or "s"
    fields = {"s": "Linux", "n": proc.container.hostname, "r": "6.1.176", "v": "#1 SMP", "m": "x86_64"}
    shown = [text for flag, text in fields.items() if flag in flags or "a" in flags]
    proc.write(" ".join(shown) + (" GNU/Linux" if "a" in flags else "") + "\n")
    return 0


def date(proc: Proc) -> int:
    """date: the lab's own time."""
    import time

    form = next((word[1:] for word in proc.argv[1:] if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    proc.write(time.strftime(form, time.gmtime(proc.world.env.now / SECOND)) + "\n")
    return 0


def kill(proc: Proc) -> int:
    """The shell's `kill`, as a program of its own."""
    from simvlan.docker.programs.sh.builtins import kill as in_shell
    from simvlan.docker.programs.sh.shell import Shell

    return int(in_shell(Shell(proc, name="kill"), proc.argv))


def which(proc: Proc) -> int:
    """Where programs are; 1 when one of them is not there."""
    missing = 0
    for name in proc.argv[1:]:
        if proc.container.programs(name) is None:
            missing = 1
        else:
            proc.write(f"/bin/{name}\n")
    return missing


def timeout(proc: Proc) -> Running:
    """`timeout [-s SIG] SECS PROG ...`: run a program, in virtual time; 143 when it was ended."""
    from simvlan.docker.programs.process import Proc as Child
    from simvlan.docker.programs.sh.builtins import signal_named
    from simvlan.shell.commands import duration_ns

    words, name = proc.argv[1:], "SIGTERM"
    if words[:1] == ["-s"] and len(words) > 1:
        name, words = signal_named(words[1]), words[2:]
    if len(words) < 2:
        proc.write_err("BusyBox timeout: usage: timeout [-s SIG] SECS PROG ARGS\n")
        return 1
    program = proc.container.programs(words[1])
    if program is None:
        proc.write_err(f"timeout: can't execute '{words[1]}': No such file or directory\n")
        return 127
    limit = proc.world.env.timeout(duration_ns(words[0]))
    child = Child(
        proc.container, proc.netns, words[1:], proc.streams, program=program, parent=proc, env=proc.env, cwd=proc.cwd
    )
    yield child.done | limit
    if child.exit_code is None:
        child.signal(name)
        yield child.done
        return 143
    return child.exit_code
