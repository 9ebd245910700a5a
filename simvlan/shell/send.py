"""`simvlan send`: a frame through a packet socket on a device (AF_PACKET, SOCK_RAW), from hex or a scapy expression."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from simvlan.errors import RtnlError, Unsupported

if TYPE_CHECKING:
    from simvlan.tools.program import Process


class _UsageError(Exception):
    """A command line that is refused."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


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
        options = parser().parse_intermixed_args(proc.argv[2:])
        frame = octets(options.octets, options.expression)
        if options.count < 1:
            raise _UsageError("--count must be at least 1")
    except (_UsageError, ValueError) as error:
        proc.write_err(f"simvlan send: {error}\n")
        return 2
    netns = proc.netns if options.netns is None else options.netns
    try:
        for _ in range(options.count):
            proc.lab.send(f"{netns or 'root'}/{options.device}", frame)
    except (OSError, RtnlError, KeyError, Unsupported) as error:
        proc.write_err(f"simvlan send: {netns or 'root'}/{options.device}: {_text(error)}\n")
        return 1
    return 0


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def octets(digits: str | None, expression: str | None) -> bytes:
    """A frame from one of its two notations; ValueError says what is wrong with it."""
    if (digits is None) == (expression is None):
        raise ValueError("give a frame: --hex OCTETS or a scapy expression, one of them")
    frame = from_hex(digits) if digits is not None else build(expression or "")
    if len(frame) < 14:
        raise ValueError(f"{len(frame)} octets are no Ethernet frame: the header alone has 14")
    return frame


def from_hex(digits: str) -> bytes:
    """Octets from hex digits, with any of blank, colon, dash or dot in between."""
    bare = re.sub(r"[\s:.-]|^0x", "", digits)
    try:
        return bytes.fromhex(bare)
    except ValueError:
        raise ValueError(f"not pairs of hex digits: {digits[:40]!r}") from None


def build(expression: str) -> bytes:
    """Octets of a scapy expression such as `Ether()/IP(dst="10.0.0.2")/ICMP()`."""
    import scapy.layers.inet
    import scapy.layers.l2
    from scapy.packet import Packet, Raw

    names: dict[str, Any] = {"Raw": Raw, "__builtins__": {"bytes": bytes, "range": range, "len": len}}
    for module in (scapy.layers.l2, scapy.layers.inet):
        names.update({name: value for name, value in vars(module).items() if _is_layer(value, Packet)})
    try:
        value = eval(expression, names)
        return bytes(value)
    except Exception as error:
        raise ValueError(f"{expression[:60]!r}: {type(error).__name__}: {error}") from None


def _is_layer(value: object, packet: type) -> bool:
    return isinstance(value, type) and issubclass(value, packet)
