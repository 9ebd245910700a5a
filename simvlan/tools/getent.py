"""getent of glibc 2.36: hosts, ahosts, ahostsv4 and ahostsv6 of the namespace; of the rest the real one tells."""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import ip_address
from typing import Any

from simvlan.dns.message import AAAA, NOERROR, PTR, A, reverse_name
from simvlan.stack.ipv6.addr import is_link_local
from simvlan.tools.hosts import find_all, literal
from simvlan.tools.names import ask_all, candidates, config_of, hosts_lines, look_up
from simvlan.tools.program import Process

FAMILIES = {"ahosts": 0, "ahostsv4": 4, "ahostsv6": 6}
NOT_FOUND = 2
KINDS = ("STREAM", "DGRAM", "RAW")


def main(proc: Process) -> int | Generator[Any, Any, int]:
    """getent hosts|ahosts|ahostsv4|ahostsv6 NAME..."""
    words = proc.argv[1:]
    if words[:1] == ["hosts"] or (words[:1] and words[0] in FAMILIES):
        return _hosts(proc, words[0], words[1:])
    real = proc.real("getent")
    if not real:
        proc.write_err("simvlan: getent: only hosts, ahosts, ahostsv4 and ahostsv6 are here\n")
        return 95
    return proc.execute([real, *words])


def _hosts(proc: Process, database: str, keys: list[str]) -> Generator[Any, Any, int]:
    status = 0
    if not keys:
        for line in hosts_lines(proc):
            proc.write(_line(line[0], line[1:]))
    for key in keys:
        found = yield from (_old(proc, key) if database == "hosts" else _new(proc, key, FAMILIES[database]))
        proc.write(found)
        status = status if found else NOT_FOUND
    return status


def _line(address: str, names: list[str]) -> str:
    return f"{address:<15} {' '.join(names)}\n"


def _old(proc: Process, key: str) -> Generator[Any, Any, str]:
    """gethostbyaddr of an address; of a name gethostbyname2, IPv6 first."""
    given = literal(key)
    if given is not None and key != "localhost":
        for line in hosts_lines(proc):
            if literal(line[0]) == given:
                return _line(given.text, line[1:])
        answers = yield from ask_all(proc, _servers(proc), reverse_name(ip_address(given.text)), (PTR,))
        names = [str(name) for answer in answers for name in answer.answers]
        return _line(given.text, names) if names else ""
    for kind, family in ((AAAA, 6), (A, 4)):
        listed = _listed(proc, key, family)
        found = listed or (yield from _asked(proc, key, kind))
        if found:
            return found
    return ""


def _listed(proc: Process, key: str, family: int) -> str:
    """The lines of the hosts file with a name and an address of a family, in one."""
    fits = [line for line in hosts_lines(proc) if key.lower() in [name.lower() for name in line[1:]]]
    lines = [line for line in fits if (host := literal(line[0])) is not None and host.family == family]
    names = list(dict.fromkeys(name for line in lines for name in line[1:]))
    return "".join(_line(line[0], names) for line in lines)


def _asked(proc: Process, key: str, kind: int) -> Generator[Any, Any, str]:
    for full in candidates(key, config_of(proc)):
        answers = yield from ask_all(proc, _servers(proc), full, (kind,))
        found = [text for answer in answers if answer.code == NOERROR for text in answer.addresses]
        if found:
            return "".join(_line(address, [full]) for address in found)
    return ""


def _servers(proc: Process) -> list[Any]:
    return [each for each in config_of(proc).servers if each.address not in proc.inner_servers]


def _new(proc: Process, key: str, family: int) -> Generator[Any, Any, str]:
    """getaddrinfo: only of families that this host has addresses of (AI_ADDRCONFIG)."""
    has = [each for each in (4, 6) if _has(proc, each) and family in (0, each)]
    if literal(key) is None:
        if not has:
            return ""
        yield from look_up(proc, key, has[0] if len(has) == 1 else 0)
    found = find_all(proc, key, family)
    hosts = [] if isinstance(found, str) else [each for each in found if each.family in has or literal(key) is not None]
    name = proc.full_names.get(key, key)
    lines = [(each.text, kind) for each in hosts for kind in KINDS]
    return "".join(f"{address:<15} {kind:<6} {'' if at else name}\n" for at, (address, kind) in enumerate(lines))


def _has(proc: Process, family: int) -> bool:
    """Whether the namespace has an address of a family, other than those of the loopback device and link-local ones."""
    stack = proc.lab.network.netns[proc.netns].stack
    if family == 6 and stack.ip6 is None:
        return False
    devices = [dev for dev in proc.lab.network.netns[proc.netns].devices.values() if dev.kind]
    if family == 4:
        return any(stack.addresses(dev) for dev in devices)
    return any(not is_link_local(ifa.address) for dev in devices for ifa in stack.ip6.addresses(dev))
