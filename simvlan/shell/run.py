"""Run a bash script, or an interactive bash, on a lab."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simvlan.shell.sandbox import OWN, Forbidden, Sandbox, Streams
from simvlan.shell.server import Server

__all__ = ["Forbidden", "ScriptMissing", "Streams", "run_script", "run_shell", "run_text"]

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROMPT = r"""PS1='simvlan${SIMVLAN_NETNS:+ $SIMVLAN_NETNS}:\w\$ '
"""
BASH_SOCKET = re.compile(r"^[^#\n]*?[<>&]\s*(/dev/(?:tcp|udp)/)", re.MULTILINE)
"""What bash opens itself (its manual: REDIRECTION), as a socket that no program of ours could stand for."""


class ScriptMissing(Exception):  # noqa: N818
    """The script cannot be read; the text says why."""


def run_script(
    lab: Any,
    script: str,
    args: Sequence[str] = (),
    *,
    confined: bool = True,
    env: Mapping[str, str] | None = None,
    streams: Streams = OWN,
) -> int:
    """Run a script file (`-`: standard input) and return its exit status.

    Raises ScriptMissing, or Forbidden where the machine does not allow private namespaces.
    """
    if script == "-":
        return _serve(lab, [_bash(), "-s", "--", *args], env, confined=confined, streams=streams)
    argv, warning = [_bash(), _readable(script), *args], bash_socket(_text(script), script)
    return _serve(lab, argv, env, confined=confined, streams=streams, pass_fds=_descriptor(script), warning=warning)


def run_text(
    lab: Any,
    text: str,
    args: Sequence[str] = (),
    *,
    confined: bool = True,
    env: Mapping[str, str] | None = None,
    streams: Streams = OWN,
) -> int:
    """Run a script given as text (`bash -c`)."""
    argv = [_bash(), "-c", text, "simvlan", *args]
    return _serve(lab, argv, env, confined=confined, streams=streams, warning=bash_socket(text, "the script"))


def run_shell(lab: Any, *, confined: bool = True, env: Mapping[str, str] | None = None) -> int:
    """An interactive bash; plain commands from standard input when that is no terminal."""
    if not os.isatty(0):
        return run_script(lab, "-", confined=confined, env=env)
    return _serve(lab, [_bash()], env, confined=confined, interactive=True)


def _serve(
    lab: Any,
    argv: list[str],
    env: Mapping[str, str] | None,
    *,
    confined: bool,
    streams: Streams = OWN,
    interactive: bool = False,
    pass_fds: Sequence[int] = (),
    warning: str = "",
) -> int:
    _raise_file_limit()
    with holding_signals_back(), Sandbox(confined=confined) as sandbox:
        if interactive:
            (sandbox.directory / "bashrc").write_text(PROMPT)
            argv = [*argv, "--rcfile", str(sandbox.directory / "bashrc"), "-i"]
        pace = sandbox.at_prompt if interactive else lambda: False
        with contextlib.closing(Server(lab, sandbox, pace=pace)) as server:
            sandbox.start(argv, dict(env or os.environ), streams, interactive=interactive, pass_fds=pass_fds)
            if streams.stderr is not None and streams.stderr >= 0:
                server.stderr = streams.stderr
            if warning:
                server.warn(warning)
            with passing_signals_on(server), letting_signals_through():
                return server.run()


def _bash() -> str:
    found = shutil.which("bash") or "/bin/bash"
    if not os.access(found, os.X_OK):
        raise ScriptMissing("bash is not installed")
    return found


def _readable(script: str) -> str:
    """The script's path; ScriptMissing in the words a shell would use."""
    try:
        if stat.S_ISDIR(os.stat(script).st_mode):
            raise ScriptMissing(f"{script}: Is a directory")
        if not os.access(script, os.R_OK):
            raise ScriptMissing(f"{script}: Permission denied")
    except OSError as error:
        raise ScriptMissing(f"{script}: {error.strerror}") from None
    # A bare name means a file here; bash would otherwise also look along PATH.
    return script if "/" in script else f"./{script}"


def _text(script: str) -> str:
    """What a script file says; nothing of what can be read only once."""
    try:
        with open(script, encoding="utf-8", errors="replace") as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else ""
    except OSError:
        return ""


def bash_socket(text: str, name: str) -> str:
    """A warning where a script has bash itself connect to somebody; "" where it does not."""
    found = BASH_SOCKET.search(text)
    if not found:
        return ""
    line = text.count("\n", 0, found.start(1)) + 1
    return (
        f"{name}: line {line}: bash opens {found[1]}HOST/PORT itself, outside of the simulated network, "
        "and finds nobody: use nc -z HOST PORT"
    )


def _descriptor(script: str) -> tuple[int, ...]:
    """The descriptor behind /dev/fd/N, which the shell must inherit."""
    head, _, number = script.rpartition("/")
    return (int(number),) if head in {"/dev/fd", "/proc/self/fd"} and number.isdigit() else ()


def _raise_file_limit() -> None:
    """Each waiting command costs two descriptors."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def holding_signals_back() -> Iterator[None]:
    """Ctrl-C waits while the run's directory is made or removed: half of one would stay."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def letting_signals_through() -> Iterator[None]:
    """Between the two, somebody handles them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)


@contextlib.contextmanager
def passing_signals_on(server: Server) -> Iterator[None]:
    """Ctrl-C and its like go to the script, and wake the server wherever it waits.

    Whoever had a handler of his own before hears of them when the script is over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    server.wake_on(woken)
    told: list[int] = []

    def tell(number: int, _frame: object) -> None:
        server.signalled.append(number)
        told.append(number)

    before = {n: signal.signal(n, tell) for n in PASSED_ON}
    previous = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in before.items():
            signal.signal(number, handler)
        woken.close()
        waker.close()
        for each in told:
            own = before[signal.Signals(each)]
            if callable(own) and own is not signal.default_int_handler:
                own(each, None)
