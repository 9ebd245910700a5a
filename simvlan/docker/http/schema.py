"""The types of what clients send, as moby's API structures have them, and encoding/json's complaints about others.

A type is: "string", "bool", "int64", "float64", "any"; a list of one type; a table of fields; or {"*": type} for a map.
null is allowed everywhere, as in Go. Fields that are not listed are passed on unseen.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from simvlan.docker.errors import invalid

Shape: TypeAlias = "str | list[Any] | dict[str, Any]"

STRINGS: Shape = ["string"]
MAP: Shape = {"*": "string"}
SET: Shape = {"*": {}}
INT_LIMIT = 1 << 63

ENDPOINT: Shape = {
    "IPAMConfig": {"IPv4Address": "string", "IPv6Address": "string", "LinkLocalIPs": STRINGS},
    "Links": STRINGS, "Aliases": STRINGS, "MacAddress": "string", "DriverOpts": MAP, "GwPriority": "int64",
    "NetworkID": "string", "EndpointID": "string", "Gateway": "string", "IPAddress": "string", "IPPrefixLen": "int64",
    "IPv6Gateway": "string", "GlobalIPv6Address": "string", "GlobalIPv6PrefixLen": "int64", "DNSNames": STRINGS,
}  # fmt: skip
NETWORK: Shape = {
    "Name": "string", "Driver": "string", "Scope": "string", "CheckDuplicate": "bool", "Internal": "bool",
    "Attachable": "bool", "Ingress": "bool", "ConfigOnly": "bool", "ConfigFrom": {"Network": "string"},
    "EnableIPv4": "bool", "EnableIPv6": "bool", "Options": MAP, "Labels": MAP,
    "IPAM": {
        "Driver": "string", "Options": MAP,
        "Config": [{"Subnet": "string", "IPRange": "string", "Gateway": "string", "AuxiliaryAddresses": MAP}],
    },
}  # fmt: skip
HOST_CONFIG: Shape = {
    "Binds": STRINGS, "NetworkMode": "string", "AutoRemove": "bool", "Privileged": "bool", "ReadonlyRootfs": "bool",
    "PublishAllPorts": "bool", "Init": "bool", "ConsoleSize": ["int64"], "Dns": STRINGS, "DnsOptions": STRINGS,
    "DnsSearch": STRINGS, "ExtraHosts": STRINGS, "CapAdd": STRINGS, "CapDrop": STRINGS, "GroupAdd": STRINGS,
    "Links": STRINGS, "SecurityOpt": STRINGS, "Sysctls": MAP, "VolumesFrom": STRINGS, "Annotations": MAP, "Tmpfs": MAP,
    "IpcMode": "string", "PidMode": "string", "UTSMode": "string", "UsernsMode": "string", "CgroupnsMode": "string",
    "Isolation": "string", "Runtime": "string", "VolumeDriver": "string", "ContainerIDFile": "string",
    "CgroupParent": "string", "Memory": "int64", "MemorySwap": "int64", "MemoryReservation": "int64",
    "NanoCpus": "int64", "CpuShares": "int64", "PidsLimit": "int64", "ShmSize": "int64", "OomScoreAdj": "int64",
    "MemorySwappiness": "int64", "OomKillDisable": "bool", "MaskedPaths": STRINGS, "ReadonlyPaths": STRINGS,
    "RestartPolicy": {"Name": "string", "MaximumRetryCount": "int64"}, "LogConfig": {"Type": "string", "Config": MAP},
    "PortBindings": {"*": [{"HostIp": "string", "HostPort": "string"}]}, "Mounts": [{"*": "any"}],
}  # fmt: skip
CONTAINER: Shape = {
    "Hostname": "string", "Domainname": "string", "User": "string", "AttachStdin": "bool", "AttachStdout": "bool",
    "AttachStderr": "bool", "Tty": "bool", "OpenStdin": "bool", "StdinOnce": "bool", "Env": STRINGS, "Cmd": "command",
    "Entrypoint": "command", "Image": "string", "WorkingDir": "string", "MacAddress": "string", "Labels": MAP,
    "StopSignal": "string", "StopTimeout": "int64", "ExposedPorts": SET, "Volumes": SET, "OnBuild": STRINGS,
    "NetworkDisabled": "bool", "ArgsEscaped": "bool", "Shell": "command", "Healthcheck": {"*": "any"},
    "HostConfig": HOST_CONFIG, "NetworkingConfig": {"EndpointsConfig": {"*": ENDPOINT}},
}  # fmt: skip
POLICY: Shape = {"Name": "string", "MaximumRetryCount": "int64"}
UPDATE: Shape = {"RestartPolicy": POLICY, "Memory": "int64", "MemorySwap": "int64"}
CONNECT: Shape = {"Container": "string", "EndpointConfig": ENDPOINT}
DISCONNECT: Shape = {"Container": "string", "Force": "bool"}
EXEC: Shape = {
    "User": "string", "Privileged": "bool", "Tty": "bool", "AttachStdin": "bool", "AttachStdout": "bool",
    "AttachStderr": "bool", "Detach": "bool", "DetachKeys": "string", "Env": STRINGS, "WorkingDir": "string",
    "Cmd": STRINGS, "ConsoleSize": ["int64"],
}  # fmt: skip
EXEC_START: Shape = {"Detach": "bool", "Tty": "bool", "ConsoleSize": ["int64"]}


def checked(value: dict[str, Any], shape: Shape, name: str) -> dict[str, Any]:
    """Answer with the value if it has a shape. Raises DockerError in encoding/json's words."""
    return _checked(value, shape, name)  # type: ignore[no-any-return]


def _checked(value: Any, shape: Shape, path: str) -> Any:
    if value is None or shape == "any":
        return value
    if isinstance(shape, list):
        return _list(value, shape[0], path)
    if isinstance(shape, dict):
        return _table(value, shape, path)
    if shape == "command":
        return [_checked(value, "string", path)] if isinstance(value, str) else _list(value, "string", path)
    fits = {
        "string": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int64": isinstance(value, int) and not isinstance(value, bool) and -INT_LIMIT <= value < INT_LIMIT,
    }
    if not fits[shape]:
        raise _wrong(value, path, shape)
    return value


def _list(value: Any, inner: Shape, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(value, path, f"[]{inner if isinstance(inner, str) else 'struct'}")
    return [_zero(inner) if each is None else _checked(each, inner, path) for each in value]


def _table(value: Any, shape: dict[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, path, "map" if "*" in shape else "struct")
    made = {}
    for key, each in value.items():
        inner = shape.get("*", shape.get(key, "any"))
        each = _zero(inner) if each is None and "*" in shape and isinstance(inner, str) else each
        made[key] = _checked(each, inner, f"{path}.{key}" if "*" not in shape else path)
    return made


def _zero(shape: Shape) -> Any:
    """What Go makes of null inside a list or map."""
    if isinstance(shape, dict):
        return {}
    return {"string": "", "bool": False, "int64": 0}.get(shape) if isinstance(shape, str) else []


def _wrong(value: Any, path: str, wanted: str) -> Exception:
    kinds = {bool: "bool", str: "string", list: "array", dict: "object", float: f"number {value}"}
    found = kinds.get(type(value), "number")
    return invalid(f"invalid JSON: json: cannot unmarshal {found} into Go struct field {path} of type {wanted}")
