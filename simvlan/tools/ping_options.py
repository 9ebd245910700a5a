"""The command line of ping (iputils 20221126): which options there are, what they take, what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simvlan.clock import MILLISECOND, SECOND
from simvlan.tools.common import permute

SPEC = "4ab6ABc:dDfhi:I:l:Lm:M:nOp:qQ:rRs:S:t:T:UvVw:W:F:N:"
REFUSED = {"R": "record route", "T": "IP timestamps", "l": "preload", "m": "marks", "r": "SO_DONTROUTE",
           "F": "flow labels", "N": "node information"}  # fmt: skip
PMTUDISC = {"dont": 0, "want": 1, "do": 2, "probe": 3}
USAGE = """
Usage: ping [-46aAbBCDfhLnOqUvV] [-c COUNT] [-e ID] [-i SECONDS] [-I DEVICE|ADDRESS] [-M do|dont|want] [-p HEX]
            [-Q TOS] [-s OCTETS] [-S OCTETS] [-t TTL] [-w SECONDS] [-W SECONDS] DESTINATION
What each means: ping(8).
"""


VERSION = """\
from iputils 20221126
libcap: yes, IDN: yes, NLS: no, error.h: yes, getrandom(): yes, __fpending(): yes
"""


class Refused(Exception):  # noqa: N818
    """ping gives up; the text goes to standard error."""

    def __init__(self, text: str, status: int = 2) -> None:
        self.text, self.status = text, status
        super().__init__(text)


@dataclass
class Options:
    """What the command line asked for."""

    target: str = ""
    count: int = 0
    interval_ns: int = SECOND
    linger_ns: int = 10 * SECOND
    deadline_ns: int = 0
    size: int = 56
    ttl: int | None = None
    tos: int = 0
    pmtudisc: int = 1
    interface: str = ""
    pattern: bytes = b""
    numeric: bool = False
    quiet: bool = False
    flood: bool = False
    adaptive: bool = False
    broadcast: bool = False
    timestamps: bool = False
    outstanding: bool = False
    verbose: bool = False
    no_loop: bool = False
    family: int = 0
    """4 or 6 where -4 or -6 asks for it."""


def parse(argv: list[str]) -> Options:
    """Read the command line.

    Raises:
        Refused: with the text and status of iputils, or because an option is not built.
    """
    flags, rest, fault = permute(argv, SPEC)
    if fault:
        raise Refused(f"ping: {fault}\n{USAGE}")
    made = Options()
    for flag, value in flags:
        _take(made, flag, value)
    if not rest:
        raise Refused("ping: usage error: Destination address required\n", 1)
    if len(rest) > 1:
        raise Refused("simvlan: ping through intermediate hosts (source routes) is not built\n")
    made.target = rest[0]
    return made


def _take(made: Options, flag: str, value: str) -> None:
    if flag in REFUSED:
        raise Refused(f"simvlan: ping -{flag} ({REFUSED[flag]}) is not built\n")
    if flag == "V":
        raise Refused("", 0)
    if flag == "h":
        raise Refused(USAGE)
    if flag in _SWITCHES:
        setattr(made, _SWITCHES[flag], True)
    elif flag in "46":
        made.family = int(flag)
    elif flag == "c":
        made.count = _integer(value, 1, 2**63 - 1)
    elif flag == "i":
        made.interval_ns = _seconds(value, "bad timing interval")
    elif flag == "W":
        made.linger_ns = _seconds(value, "bad linger time")
    elif flag == "w":
        made.deadline_ns = _integer(value, 0, 2**31 - 1) * SECOND
    elif flag == "s":
        made.size = _size(value)
    elif flag == "t":
        made.ttl = _integer(value, 0, 255)
    elif flag == "Q":
        made.tos = _tos(value)
    elif flag == "M":
        made.pmtudisc = _pmtudisc(value)
    elif flag == "I":
        made.interface = value
    elif flag == "p":
        made.pattern = _pattern(value)


_SWITCHES = {"n": "numeric", "q": "quiet", "f": "flood", "A": "adaptive", "b": "broadcast", "D": "timestamps",
             "O": "outstanding", "v": "verbose", "L": "no_loop"}  # fmt: skip


def _integer(value: str, low: int, high: int) -> int:
    try:
        number = int(value)
    except ValueError:
        raise Refused(f"ping: invalid argument: '{value}'\n", 1) from None
    if not low <= number <= high:
        raise Refused(f"ping: invalid argument: '{value}': out of range: {low} <= value <= {high}\n", 1)
    return number


def _seconds(value: str, what: str) -> int:
    try:
        seconds = float(value)
    except ValueError:
        raise Refused(f"ping: {what}: {value}\n") from None
    if seconds < 0 or not math.isfinite(seconds):
        raise Refused(f"ping: {what}: {value}\n")
    return round(seconds * 1000) * MILLISECOND


def _size(value: str) -> int:
    return _integer(value, 0, 2**31 - 1)


def _tos(value: str) -> int:
    try:
        number = int(value, 0)
    except ValueError:
        raise Refused(f"ping: bad TOS value: {value}\n") from None
    if not 0 <= number <= 255:
        raise Refused(f"ping: the decimal value of TOS bits must be in range 0-255: {number}\n")
    return number


def _pmtudisc(value: str) -> int:
    if value not in PMTUDISC:
        raise Refused(f"ping: invalid -M argument: {value}\n")
    return PMTUDISC[value]


def _pattern(value: str) -> bytes:
    if not all(c in "0123456789abcdefABCDEF" for c in value):
        raise Refused(f"ping: patterns must be specified as hex digits: {value}\n")
    return bytes.fromhex(value if len(value) % 2 == 0 else value[:-1] + "0" + value[-1])[:16]
