"""docker network: create, ls, inspect, rm, connect, disconnect, prune."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from simvlan.docker.client.options import Line, UsageFault, read, too_few
from simvlan.docker.client.session import Session
from simvlan.docker.client.show import table, template
from simvlan.docker.errors import DockerError

CREATE = "attachable config-only ingress internal ipv6"
CREATE_VALUED = "aux-address config-from driver|d gateway ip-range ipam-driver ipam-opt ipv4 label opt|o scope subnet"


def run(session: Session, words: list[str]) -> int:
    """Run `docker network ...`."""
    verb = words[0] if words else ""
    if verb not in VERBS:
        session.proc.write_err(
            f"docker: unknown command: docker network {verb}\n\nRun 'docker network --help' for more information\n"
        )
        return 1
    return VERBS[verb](session, words[1:])


def _create(session: Session, words: list[str]) -> int:
    line = read(words, CREATE, CREATE_VALUED, "docker network create")
    if len(line.rest) != 1:
        raise UsageFault(too_few("docker network create", "1 argument").replace("requires at least", "requires")
                         .replace("See 'docker", "Run 'docker"), 1)  # fmt: skip
    body = {
        "Name": line.rest[0], "Driver": line.one("driver", "bridge"), "Options": line.pairs("opt"),
        "Labels": line.pairs("label"), "Internal": "internal" in line.flags, "Attachable": "attachable" in line.flags,
        "Ingress": "ingress" in line.flags, "ConfigOnly": "config-only" in line.flags, "Scope": line.one("scope"),
        "IPAM": {
            "Driver": line.one("ipam-driver", "default"), "Options": line.pairs("ipam-opt"), "Config": _pools(line),
        },
    }  # fmt: skip
    if "ipv6" in line.flags:
        body["EnableIPv6"] = True
    if line.one("ipv4"):
        body["EnableIPv4"] = line.one("ipv4") == "true"
    if line.one("config-from"):
        body["ConfigFrom"] = {"Network": line.one("config-from")}
    session.proc.write(session.engine.network_create(body)["Id"] + "\n")
    return 0


def _pools(line: Line) -> list[dict[str, Any]]:
    """The address blocks, each with the range, gateway and addresses that lie in it. Raises UsageFault."""
    subnets = line.many("subnet")
    if len(subnets) < max(len(line.many("ip-range")), len(line.many("gateway"))):
        raise UsageFault("every ip-range or gateway must have a corresponding subnet\n", 1)
    pools: dict[str, dict[str, Any]] = {subnet: {"Subnet": subnet} for subnet in subnets}
    for option, key, word in (("ip-range", "IPRange", "range"), ("gateway", "Gateway", "gateway")):
        for value in line.many(option):
            pool = _pool_of(pools, value, f"no matching subnet for {word} {value}\n")
            pool[key] = value
    for name, value in line.pairs("aux-address").items():
        pool = _pool_of(pools, value, f"no matching subnet for aux-address {value}\n")
        pool.setdefault("AuxiliaryAddresses", {})[name] = value
    return list(pools.values())


def _pool_of(pools: dict[str, dict[str, Any]], value: str, complaint: str) -> dict[str, Any]:
    for subnet, pool in pools.items():
        try:
            if ipaddress.ip_address(value.partition("/")[0]) in ipaddress.ip_network(subnet, strict=False):
                return pool
        except ValueError:
            raise UsageFault(f"invalid CIDR address: {subnet}\n", 1) from None
    raise UsageFault(complaint, 1)


def _list(session: Session, words: list[str]) -> int:
    line = read(words, "no-trunc quiet|q", "filter|f format", "docker network ls")
    found = sorted(session.engine.network_list(session.filters(line)), key=lambda each: each["Name"])
    cut = 64 if "no-trunc" in line.flags else 12
    rows = [(each["Id"][:cut], each["Name"], each["Driver"], each["Scope"]) for each in found]
    if "quiet" in line.flags:
        session.proc.write("".join(f"{row[0]}\n" for row in rows))
    elif line.one("format") not in ("", "table"):
        for row in rows:
            value = dict(zip(("ID", "Name", "Driver", "Scope"), row, strict=True))
            session.proc.write(template(line.one("format"), value) + "\n")
    else:
        session.proc.write(table([("NETWORK ID", "NAME", "DRIVER", "SCOPE"), *rows]))
    return 0


def _inspect(session: Session, words: list[str]) -> int:
    line = read(words, "verbose|v", "format|f", "docker network inspect")
    return session.inspect(line, session.engine.network_inspect)


def _remove(session: Session, words: list[str]) -> int:
    line = read(words, "force|f", "", "docker network rm")
    failed = False
    for name in line.rest:
        try:
            session.engine.network_remove(name)
            session.proc.write(name + "\n")
        except DockerError as error:
            if not ("force" in line.flags and error.status == 404):
                session.proc.write_err(f"Error response from daemon: {error.message}\n")
                failed = True
    if failed:
        session.proc.write_err("exit status 1\n")
    return int(failed)


def _connect(session: Session, words: list[str]) -> int:
    line = read(words, "", "alias driver-opt gw-priority ip ip6 link link-local-ip", "docker network connect")
    wish: dict[str, Any] = {"IPAMConfig": {}, "Aliases": line.many("alias"), "DriverOpts": line.pairs("driver-opt")}
    if line.one("ip"):
        wish["IPAMConfig"]["IPv4Address"] = line.one("ip")
    if line.one("gw-priority"):
        wish["GwPriority"] = int(line.one("gw-priority"))
    session.engine.network_connect(line.rest[0], {"Container": line.rest[1], "EndpointConfig": wish})
    return 0


def _disconnect(session: Session, words: list[str]) -> int:
    line = read(words, "force|f", "", "docker network disconnect")
    session.engine.network_disconnect(line.rest[0], {"Container": line.rest[1], "Force": "force" in line.flags})
    return 0


def _prune(session: Session, words: list[str]) -> int:
    line = read(words, "force|f", "filter", "docker network prune")
    gone = session.engine.network_prune(session.filters(line))["NetworksDeleted"]
    if gone:
        session.proc.write("Deleted Networks:\n" + json.dumps(gone)[2:-2].replace('", "', "\n") + "\n\n")
    return 0


VERBS = {
    "create": _create, "ls": _list, "list": _list, "inspect": _inspect, "rm": _remove, "remove": _remove,
    "connect": _connect, "disconnect": _disconnect, "prune": _prune,
}  # fmt: skip
