"""The command line of udhcpc (busybox 1.35): which options there are, what they take, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from simvlan.dhcp import message as m
from simvlan.dhcp.client import DEFAULT_WANTED, Options
from simvlan.tools.common import Refused, permute
from simvlan.tools.dhcp_script import Script
from simvlan.tools.program import Process

if TYPE_CHECKING:
    from simvlan.devices.device import Device

SPEC = "i:s:p:Bt:T:A:bnqRfSCr:oO:x:V:F:a"
LONG = {"fqdn": "F", "interface": "i", "now": "n", "pidfile": "p", "quit": "q", "release": "R", "request": "r",
        "script": "s", "timeout": "T", "retries": "t", "tryagain": "A", "syslog": "S", "request-option": "O",
        "no-default-options": "o", "foreground": "f", "background": "b", "broadcast": "B", "arping": "a",
        "vendorclass": "V", "clientid-none": "C"}  # fmt: skip
"""Long options; any that begins with what is written will do, as in getopt_long(3)."""
NAMES = {"subnet": 1, "router": 3, "dns": 6, "hostname": 12, "domain": 15, "mtu": 26, "broadcast": 28, "ntpsrv": 42,
         "lease": 51, "search": 119, "staticroutes": 121}  # fmt: skip
"""Options by busybox's names."""
TEXTS = frozenset((12, 15))


@dataclass
class Asked:
    """What the command line asked for."""

    dev: Device
    options: Options
    background: bool
    release: bool
    pidfile: str = ""
    script: Script = field(default_factory=Script)


def read(proc: Process) -> Asked:
    """Read the command line.

    Raises:
        Refused: a bad option, no such device, or something that is not modelled; the text says so.
    """
    words = _shortened(proc.argv[1:])
    check = next((word[2:] for word in words if word.startswith("-a")), None)
    words = ["-a" if word.startswith("-a") else word for word in words]
    flags, rest, fault = permute(words, SPEC)
    if fault or rest:
        raise Refused(f"udhcpc: {fault or 'unexpected argument: ' + rest[0]}\n")
    given = dict(flags)
    if "F" in given:
        raise Refused("simvlan: udhcpc -F: DNS updates are not modelled\n", 95)
    dev = proc.lab.network.netns[proc.netns].devices.get(given.get("i", "eth0"))
    if dev is None:
        raise Refused("udhcpc: SIOCGIFINDEX: No such device\n")
    return Asked(dev, _options(flags, given, dev, check), not {"f", "q"} & set(given), "R" in given,
                 given.get("p", ""), script_of(proc, given.get("s", "")))  # fmt: skip


def _shortened(words: list[str]) -> list[str]:
    """Long options as their letters."""
    made: list[str] = []
    for at, word in enumerate(words):
        if word == "--" or not word.startswith("--"):
            made.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        known = [name] if name in LONG else [each for each in LONG if each.startswith(name)]
        if len(known) != 1:
            problem = f"option '{word}' is ambiguous" if known else f"unrecognized option '{word}'"
            raise Refused(f"udhcpc: {problem}\n")
        letter = LONG[known[0]]
        takes = letter == "a" or f"{letter}:" in SPEC
        if equals and not takes:
            raise Refused(f"udhcpc: option '--{known[0]}' doesn't allow an argument\n")
        if takes and letter != "a" and not equals and at == len(words) - 1:
            raise Refused(f"udhcpc: option '--{known[0]}' requires an argument\n")
        made += [f"-{letter}{value}"] if value or letter == "a" else [f"-{letter}"]
    return made


def script_of(proc: Process, path: str) -> Script:
    """A script of one's own; who names the usual one gets what that does.

    Raises:
        Refused: nobody is here who could run it.
    """
    if not path or path in ("/etc/udhcpc/default.script", "/sbin/dhclient-script"):
        return Script()
    if not proc.runs_others:
        raise Refused(f"simvlan: {proc.name}: {path} is run in scripts of `simvlan run`, not by itself\n", 95)
    by = proc.name
    return Script(proc.path(path), lambda words, told: proc.spawn(words, by, {**proc.env, **told}))


def _options(flags: list[tuple[str, str]], given: dict[str, str], dev: Device, check: str | None) -> Options:
    extra = dict(_extra(value) for flag, value in flags if flag == "x")
    client = extra.pop(m.CLIENT_ID, b"" if "C" in given else b"\x01" + dev.mac.to_bytes(6, "big"))
    wanted = bytes(_code(value) for flag, value in flags if flag == "O")
    return Options(
        retries=_number(given, "t", 3),
        pause_s=_number(given, "T", 3),
        again_s=_number(given, "A", 20),
        client=client,
        broadcast="B" in given,
        requested=_address(given.get("r")),
        wanted=bytes(sorted({*(b"" if "o" in given else DEFAULT_WANTED), *wanted})),
        extra=extra,
        vendor=given.get("V", "udhcp 1.35.0").encode(),
        check_ms=0 if check is None else int(check) if check.isdigit() else 2000,
        fail="n" in given and "b" not in given,
        background="b" in given,
        quit="q" in given,
    )


def _number(given: dict[str, str], flag: str, usual: int) -> int:
    text = given.get(flag, str(usual))
    if not text.isdigit():
        raise Refused(f"udhcpc: invalid number '{text}'\n")
    return int(text)


def _address(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return int(IPv4Address(text))
    except ValueError:
        raise Refused(f"udhcpc: bad address '{text}'\n") from None


def _code(text: str) -> int:
    number = NAMES.get(text) or (int(text, 0) if text[:1].isdigit() else 0)
    if not 0 < number < 255:
        raise Refused(f"udhcpc: unknown option '{text}'\n")
    return number


def _extra(text: str) -> tuple[int, bytes]:
    """`hostname:bbox`, `0x3d:0100BEEF`, `14:'"dumpfile"'`: a name has a type, a number takes hex or quoted text."""
    name, colon, value = text.partition(":")
    code = _code(name)
    if not colon:
        raise Refused(f"udhcpc: invalid option '{text}': OPT:VAL is expected\n")
    if name in NAMES:
        return code, _typed(code, value)
    if value.startswith(("'", '"')):
        return code, value.strip("'").strip('"').encode()
    try:
        return code, bytes.fromhex(value)
    except ValueError:
        raise Refused(f"udhcpc: invalid option '{text}': hex digits are expected\n") from None


def _typed(code: int, value: str) -> bytes:
    if code in TEXTS:
        return value.encode()
    if code == m.LEASE_TIME:
        return _number({"x": value}, "x", 0).to_bytes(4, "big")
    if code == m.MTU:
        return _number({"x": value}, "x", 0).to_bytes(2, "big")
    return b"".join(_address(each).to_bytes(4, "big") for each in value.replace(",", " ").split())
