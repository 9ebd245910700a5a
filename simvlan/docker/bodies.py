"""Request bodies: which fields there are and of what type. Mirrors how Go's encoding/json reads them into api/types.

Names match whatever their case, unknown ones are passed over, null is nothing; a value of another type is refused with
Go's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from simvlan.docker.errors import invalid
from simvlan.docker.hostconfig import HOST_DEFAULTS, OPTIONAL

Schema: TypeAlias = "str | list[Any] | Mapping[str, Any] | MapOf"
"""A Go type by name, a list of one schema, a struct by its fields, or a map from strings."""


@dataclass(frozen=True)
class MapOf:
    """map[string]T."""

    value: Any


TEXTS = MapOf("string")
ENDPOINT: Schema = {
    "IPAMConfig": {"IPv4Address": "string", "IPv6Address": "string", "LinkLocalIPs": ["string"]},
    "Links": ["string"], "Aliases": ["string"], "MacAddress": "string", "DriverOpts": TEXTS, "GwPriority": "int64",
}  # fmt: skip
NETWORK: Schema = {
    "Name": "string", "Driver": "string", "Scope": "string", "EnableIPv4": "bool", "EnableIPv6": "bool",
    "Internal": "bool", "Attachable": "bool", "Ingress": "bool", "ConfigOnly": "bool",
    "ConfigFrom": {"Network": "string"}, "Options": TEXTS, "Labels": TEXTS, "CheckDuplicate": "bool",
    "IPAM": {
        "Driver": "string", "Options": TEXTS,
        "Config": [{"Subnet": "string", "IPRange": "string", "Gateway": "string", "AuxiliaryAddresses": TEXTS}],
    },
}  # fmt: skip
RESTART: Schema = {"Name": "string", "MaximumRetryCount": "int64"}
_LISTS = "Binds Dns DnsSearch DnsOptions ExtraHosts Links CapAdd CapDrop GroupAdd SecurityOpt VolumesFrom MaskedPaths"
_WORDS = "IpcMode PidMode UTSMode UsernsMode CgroupnsMode Isolation Runtime VolumeDriver ContainerIDFile CgroupParent"
_NUMBERS = "Memory MemorySwap MemoryReservation NanoCpus CpuShares PidsLimit ShmSize OomScoreAdj MemorySwappiness"
HOST: Schema = {
    **dict.fromkeys((*HOST_DEFAULTS, *OPTIONAL), "any"),
    **{key: ["string"] for key in _LISTS.split()},
    **dict.fromkeys(_WORDS.split(), "string"),
    **dict.fromkeys(_NUMBERS.split(), "int64"),
    "NetworkMode": "string", "AutoRemove": "bool", "RestartPolicy": RESTART, "PublishAllPorts": "bool",
    "PortBindings": MapOf([{"HostIp": "string", "HostPort": "string"}]), "Privileged": "bool", "Init": "bool",
    "ReadonlyRootfs": "bool", "OomKillDisable": "bool", "Sysctls": TEXTS, "Annotations": TEXTS, "Tmpfs": TEXTS,
    "ConsoleSize": "pair", "LogConfig": {"Type": "string", "Config": TEXTS}, "Mounts": [MapOf("any")],
    "ReadonlyPaths": ["string"],
}  # fmt: skip
CONTAINER: Schema = {
    "Hostname": "string", "Domainname": "string", "User": "string", "AttachStdin": "bool", "AttachStdout": "bool",
    "AttachStderr": "bool", "Tty": "bool", "OpenStdin": "bool", "StdinOnce": "bool", "Env": ["string"],
    "Cmd": "words", "Entrypoint": "words", "Image": "string", "WorkingDir": "string", "Labels": TEXTS,
    "MacAddress": "string", "StopSignal": "string", "StopTimeout": "int64", "ExposedPorts": MapOf({}),
    "Volumes": MapOf({}), "Healthcheck": "any", "Shell": "words", "OnBuild": ["string"],
    "NetworkDisabled": "bool", "HostConfig": HOST, "NetworkingConfig": {"EndpointsConfig": MapOf(ENDPOINT)},
}  # fmt: skip
CONNECT: Schema = {"Container": "string", "EndpointConfig": ENDPOINT}
DISCONNECT: Schema = {"Container": "string", "Force": "bool"}
EXEC: Schema = {
    "User": "string", "Privileged": "bool", "Tty": "bool", "ConsoleSize": "pair", "AttachStdin": "bool",
    "AttachStdout": "bool", "AttachStderr": "bool", "DetachKeys": "string", "Env": ["string"],
    "WorkingDir": "string", "Cmd": ["string"], "Detach": "bool",
}  # fmt: skip
EXEC_START: Schema = {"Detach": "bool", "Tty": "bool", "ConsoleSize": "pair"}
UPDATE: Schema = HOST


def read(schema: Schema, body: Any, root: str) -> dict[str, Any]:
    """Read a body: its known fields by their own names.

    Raises:
        DockerError: 400 `invalid JSON: json: cannot unmarshal ...`.
    """
    found = _read(schema, body, root)
    return found if isinstance(found, dict) else {}


def _read(schema: Any, value: Any, where: str) -> Any:
    if value is None or schema == "any":
        return value
    if isinstance(schema, str):
        return _scalar(schema, value, where)
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise _wrong(value, where, schema)
        return [_element(schema[0], each, where) for each in value]
    if not isinstance(value, dict):
        raise _wrong(value, where, schema)
    if isinstance(schema, MapOf):
        return {key: _element(schema.value, each, where) for key, each in value.items()}
    names = {name.lower(): name for name in schema}
    known = ((names[key.lower()], each) for key, each in value.items() if key.lower() in names)
    return {name: _read(schema[name], each, f"{where}.{name}") for name, each in known}


def _element(schema: Any, value: Any, where: str) -> Any:
    """An element of a list or map: null is there as Go's zero value."""
    if value is not None:
        return _read(schema, value, where)
    if isinstance(schema, str):
        return {"string": "", "bool": False, "int64": 0}.get(schema)
    return [] if isinstance(schema, list) else {}


def _scalar(schema: str, value: Any, where: str) -> Any:
    if schema == "pair":  # [2]uint: what is missing is 0, what is too much goes
        return [*_read(["int64"], value, where), 0, 0][:2]
    if schema == "words":
        return [value] if isinstance(value, str) else _read(["string"], value, where)
    kinds = {"string": str, "bool": bool, "int64": int}
    right = isinstance(value, kinds[schema]) and (schema == "bool" or not isinstance(value, bool))
    if not right or (schema == "int64" and not -(1 << 63) <= value < 1 << 63):
        raise _wrong(value, where, schema)
    return value


def _wrong(value: Any, where: str, schema: Any) -> Exception:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    kind = names.get(type(value), "value")
    if kind == "number":
        kind = f"number {value}" if schema == "int64" else "number"
    return invalid(f"invalid JSON: json: cannot unmarshal {kind} into Go struct field {where} of type {_go(schema)}")


def _go(schema: Any) -> str:
    """A type as Go writes it."""
    if isinstance(schema, str):
        return {"words": "strslice.StrSlice", "pair": "[2]uint"}.get(schema, schema)
    if isinstance(schema, list):
        return f"[]{_go(schema[0])}"
    return f"map[string]{_go(schema.value)}" if isinstance(schema, MapOf) else "struct"
