"""`simvlan send`, `trace`, `matrix` and `underlay` inside a script.

`send`: a frame through a packet socket (AF_PACKET, SOCK_RAW), from hex or a scapy expression.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from simvlan.errors import RtnlError, Unsupported
from simvlan.frame import Frame
from simvlan.shell.expression import packet

if TYPE_CHECKING:
    from simvlan.tools.program import Process


class UsageError(Exception):
    """A command line that is refused."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The arguments of `simvlan send`."""
    made = _Parser(prog="simvlan send", add_help=False)
    made.add_argument("--netns", default=None)
    made.add_argument("device")
    made.add_argument("expression", nargs="?")
    made.add_argument("--hex", dest="octets")
    made.add_argument("--count", type=int, default=1)
    return made


def send(proc: Process) -> int:
    """Transmit; 0 when the device took every frame, 1 when it refused one, 2 for a bad command line."""
    try:
        options, frame = parse_line(proc.argv[2:])
    except (UsageError, ValueError) as error:
        proc.write_err(f"simvlan send: {error}\n")
        return 2
    netns = proc.netns if options.netns is None else options.netns
    try:
        for _ in range(options.count):
            proc.lab.send(f"{netns or 'root'}/{options.device}", frame)
    except (OSError, RtnlError, KeyError, ValueError, Unsupported) as error:
        proc.write_err(f"simvlan send: {netns or 'root'}/{options.device}: {_text(error)}\n")
        return 1
    return 0


def trace(proc: Process) -> int:
    """Print the walk of a frame as things are now; 0 when it is delivered somewhere, 1 when not, 2 for a bad line."""
    made = _Parser(prog="simvlan trace", add_help=False)
    made.add_argument("--from", dest="source", required=True)
    made.add_argument("expression", nargs="?")
    made.add_argument("--hex", dest="octets")
    try:
        options = made.parse_intermixed_args(proc.argv[2:])
        walk = proc.lab.trace(options.source, frame_of(options.octets, options.expression))
    except (UsageError, ValueError, OSError, KeyError, Unsupported) as error:
        proc.write_err(f"simvlan trace: {_text(error)}\n")
        return 2
    proc.write(walk.to_text() + "\n")
    return 0 if walk.deliveries else 1


def matrix(proc: Process) -> int:
    """Print who reaches whom as things are now, and why not; 0 when everybody reaches everybody."""
    made = _Parser(prog="simvlan matrix", add_help=False)
    made.add_argument("--between", nargs="+")
    try:
        found = proc.lab.matrix(made.parse_args(proc.argv[2:]).between)
    except (UsageError, ValueError, KeyError, Unsupported) as error:
        proc.write_err(f"simvlan matrix: {_text(error)}\n")
        return 2
    proc.write(found.to_text() + "\n")
    return 0 if found.complete else 1


def underlay(proc: Process) -> int:
    """Lay an underlay under a NIC or a segment; 2 for a bad line."""
    made = _Parser(prog="simvlan underlay", add_help=False)
    made.add_argument("place", nargs="?", default="")
    made.add_argument("word")
    try:
        options = made.parse_args(proc.argv[2:])
        bare = options.place and "/" not in options.place
        proc.lab.underlay(options.word, f"{proc.netns or 'root'}/{options.place}" if bare else options.place)
    except (UsageError, ValueError, KeyError) as error:
        proc.write_err(f"simvlan underlay: {_text(error)}\n")
        return 2
    return 0


def parse_line(words: list[str]) -> tuple[argparse.Namespace, Any]:
    """The options and the frame (octets or a scapy packet) of a command line; UsageError or ValueError says why not."""
    options = parser().parse_intermixed_args(words)
    frame = frame_of(options.octets, options.expression)
    if options.count < 1:
        raise UsageError("--count must be at least 1")
    return options, frame


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def frame_of(digits: str | None, expression: str | None) -> Any:
    """A frame (octets or a scapy packet) from one of its two notations; ValueError says what is wrong with it."""
    if (digits is None) == (expression is None):
        raise ValueError("give a frame: --hex OCTETS or a scapy expression, one of them")
    frame = from_hex(digits) if digits is not None else packet(expression or "")
    if isinstance(frame, bytes):
        Frame.parse(frame)
    return frame


def from_hex(digits: str) -> bytes:
    """Octets from hex digits, with any of blank, colon, dash or dot in between."""
    bare = re.sub(r"[\s:.-]|^0x", "", digits)
    try:
        return bytes.fromhex(bare)
    except ValueError:
        raise ValueError(f"not pairs of hex digits: {digits[:40]!r}") from None
