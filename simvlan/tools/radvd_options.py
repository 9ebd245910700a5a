"""The command line, the voice and the configuration of radvd 2.19 (radvd.c, log.c)."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass

from simvlan.clock import SECOND
from simvlan.radv.config import ConfigError, Interface, NotModelledError, Reader
from simvlan.tools.common import Refused, permute
from simvlan.tools.dhcp_io import Voice
from simvlan.tools.program import Process

SPEC = "d:C:l:m:p:t:u:vhcnf:"
METHODS = ("syslog", "stderr_syslog", "stderr", "stderr_clean", "logfile", "none")


@dataclass
class Asked:
    """What the command line asked for."""

    config: str = "/etc/radvd.conf"
    foreground: bool = False
    test: bool = False
    method: str = ""
    logfile: str = ""
    pidfile: str = ""


def read(words: list[str]) -> Asked:
    """Read a command line.

    Raises:
        Refused: an option that is unknown or not modelled; the text names it.
    """
    asked = Asked()
    given, _, fault = permute(words, SPEC)
    if fault is not None:
        raise Refused(f"radvd: {fault}\n")
    for letter, value in given:
        match letter:
            case "C":
                asked.config = value
            case "n":
                asked.foreground = True
            case "c":
                asked.test = True
            case "p":
                asked.pidfile = value
            case "l":
                asked.logfile = value
            case "m" if value in METHODS:
                asked.method = value
            case "m":
                raise Refused(f"radvd: unknown log method: {value}\n")
            case "u" | "f":
                pass  # whose rights it has changes no frame
            case "d" if value == "0":
                pass
            case _:
                raise Refused(f"simvlan: radvd: -{letter} {value} is not modelled\n".replace("  ", " "), 95)
    return asked


def voice_of(proc: Process, asked: Asked) -> Voice:
    """Where what is said goes: lines on standard error with -n or -m stderr, a file, or nobody reads it."""
    method = asked.method or ("stderr" if asked.foreground else "stderr_syslog")
    if asked.test and method != "stderr_clean":
        method = "stderr"
    if method == "stderr_clean":
        return Voice(proc.write_err)
    if method == "stderr" or (method == "logfile" and asked.logfile):
        if method == "stderr":
            return Voice(lambda text: proc.write_err(stamp(proc) + text))
        return Voice(lambda text: _append(proc, asked.logfile, stamp(proc) + text))
    return Voice()


def stamp(proc: Process) -> str:
    """What stands before a line, with the lab's time."""
    now = time.strftime("%b %d %H:%M:%S", time.gmtime(int(proc.lab.env.now) // SECOND))
    return f"[{now}] radvd ({proc.pid}): "


def _append(proc: Process, name: str, text: str) -> None:
    with proc.open(name, "ab") as file:
        file.write(text.encode())


def configured(proc: Process, asked: Asked, voice: Voice) -> list[Interface]:
    """Read the configuration.

    Raises:
        Refused: it cannot be read, or is wrong.
    """
    text, problem = _text(proc, asked.config)
    if problem:
        voice.say(f"can't open {asked.config}: {problem}")
        voice.say("exiting, permissions on conf_file invalid")
        raise Refused("")
    return parsed(proc, Reader(text, asked.config), asked, voice)


def _text(proc: Process, name: str) -> tuple[str, str]:
    """A file's text, or why there is none."""
    if not name.startswith("/dev/") and not proc.exists(name):
        return "", os.strerror(errno.ENOENT)
    try:
        return proc.read_file(name).decode(errors="replace"), ""
    except OSError as error:
        return "", error.strerror or ""


def parsed(proc: Process, reader: Reader, asked: Asked, voice: Voice) -> list[Interface]:
    """What the configuration says; a syntax error is told whatever the log method is."""
    try:
        found = reader.file()
    except NotModelledError as error:
        raise Refused(f"simvlan: radvd: {error}\n", 95) from None
    except ConfigError as error:
        text = str(error)
        if text.endswith("syntax error"):
            proc.write_err(text + "\n")
        else:
            voice.say(text)
        voice.say("exiting, failed to read config file")
        raise Refused("") from None
    for said in reader.said:
        voice.say(said)
    if asked.test:
        voice.say(f"config file, {asked.config}, syntax ok")
    return found
