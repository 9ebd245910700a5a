"""What a container's Config and HostConfig look like once Docker has filled in what was left open."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from simvlan.docker.errors import DockerError, invalid

Json = dict[str, Any]

MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
]  # fmt: skip
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

HOST_DEFAULTS: Json = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "bridge",
    "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": False,
    "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None,
    "CgroupnsMode": "private", "Dns": None, "DnsOptions": None, "DnsSearch": None, "ExtraHosts": None,
    "GroupAdd": None, "IpcMode": "private", "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "",
    "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "",
    "UsernsMode": "", "ShmSize": 67_108_864, "Runtime": "runc", "Isolation": "", "CpuShares": 0, "Memory": 0,
    "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": None, "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None, "BlkioDeviceWriteIOps": None, "CpuPeriod": 0,
    "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
    "Devices": None, "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None, "CpuCount": 0,
    "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": MASKED, "ReadonlyPaths": READONLY,
}  # fmt: skip

OPTIONAL = ("Annotations", "Tmpfs", "Sysctls", "StorageOpt", "Init", "Mounts", "OomKillDisable")
"""Fields that are shown only when they were given."""

EMPTY_MEANS_DEFAULT = ("NetworkMode", "CgroupnsMode", "IpcMode", "ShmSize", "Runtime", "PortBindings")

CONFIG_DEFAULTS: Json = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": {},
}  # fmt: skip

RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")


def host_config(given: Json) -> Json:
    """HostConfig with everything that was left open filled in."""
    made = dict(HOST_DEFAULTS)
    for key, value in given.items():
        known = key in made or (key in OPTIONAL and value not in (None, {}, []))
        unset = value is None or (key in EMPTY_MEANS_DEFAULT and value in ("", 0))
        if known and not unset:
            made[key] = value
    if made["NetworkMode"] == "default":
        made["NetworkMode"] = "bridge"
    if not (made["LogConfig"] or {}).get("Type"):
        made["LogConfig"] = {"Type": "json-file", "Config": {}}
    if not (made["RestartPolicy"] or {}).get("Name"):
        made["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    if made["MemorySwappiness"] == -1:
        made["MemorySwappiness"] = None
    if made["PidsLimit"] == 0:
        made["PidsLimit"] = None
    if made["Privileged"]:
        made["MaskedPaths"] = made["ReadonlyPaths"] = None
    return made


def check_restart_policy(policy: Json, auto_remove: bool) -> None:
    """Refuse a policy that makes no sense (container.ValidateRestartPolicy)."""
    name, count = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    if name not in RESTART_POLICIES:
        raise invalid(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if count and name != "on-failure":
        raise invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if count < 0:
        raise invalid("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name != "no":
        raise invalid("can't create 'AutoRemove' container with restart policy")


_PORT = re.compile(r"(\d{1,5})(/(tcp|udp|sctp))?")


def check_ports(config: Json, host: Json) -> None:
    """Refuse what is no port."""
    for port in (*(config.get("ExposedPorts") or {}), *(host.get("PortBindings") or {})):
        found = _PORT.fullmatch(port)
        if found is None or not 0 < int(found[1]) < 65_536:
            raise invalid(f"invalid port specification: {port}")
    for bindings in (host.get("PortBindings") or {}).values():
        for binding in bindings or []:
            numbers = (binding or {}).get("HostPort") or "0"
            if not all(each.isascii() and each.isdigit() and int(each) < 65_536 for each in numbers.split("-", 1)):
                raise invalid(f"invalid port specification: {numbers}")


def left_out(host: Json) -> list[str]:
    """Warnings about what is taken and has no effect here: a container sees none of the machine's files."""
    mounts = [each for each in mount_points(host) if each not in (host.get("Tmpfs") or {})]
    return [f"simvlan: volumes are not simulated: {', '.join(mounts)}: empty at first"] if mounts else []


def mount_points(host: Json) -> tuple[str, ...]:
    """Where something is mounted: `-v`, `--mount` and `--tmpfs`."""
    binds = [str(bind).split(":") for bind in host.get("Binds") or ()]
    places = [bind[min(1, len(bind) - 1)] for bind in binds]
    places += [str(each.get("Target")) for each in host.get("Mounts") or ()]
    return tuple(posixpath.normpath(f"/{each}").replace("//", "/") for each in [*places, *(host.get("Tmpfs") or {})])


def check_host_config(config: Json, host: Json) -> None:
    """Refuse contradictions between the network mode and the rest."""
    check_ports(config, host)
    mode = host["NetworkMode"]
    if mode.startswith("container:"):
        if config.get("Hostname"):
            raise invalid("conflicting options: hostname and the network mode")
        for field, what in (("Dns", "dns"), ("Links", "network links")):
            if host.get(field):
                raise invalid(f"conflicting options: {what} and the network mode")
        if host.get("PortBindings") or host.get("PublishAllPorts"):
            raise invalid("conflicting options: port publishing and the container type network mode")
    for key in host.get("Sysctls") or {}:
        if mode == "host" and key.startswith("net."):
            raise DockerError(500, f"sysctl '{key}' not allowed in host network namespace")


def container_config(given: Json, image: Json, ident: str, node: str, mode: str) -> Json:
    """Config with the image's command, environment and the rest where the request has none (merge)."""
    made = dict(CONFIG_DEFAULTS)
    made.update({key: given[key] for key in given if key in made and given[key] is not None})
    for key in ("ExposedPorts", "StopSignal", "StopTimeout", "Healthcheck", "Shell", "NetworkDisabled"):
        value = given.get(key) or image.get(key)
        if value:
            made[key] = value
    if not made["Entrypoint"]:
        made["Cmd"] = made["Cmd"] or image.get("Cmd")
        made["Entrypoint"] = image.get("Entrypoint") if given.get("Entrypoint") != [""] else None
        if made["Entrypoint"] and given.get("Cmd"):
            made["Cmd"] = given["Cmd"]
    made["Env"] = _merged(made["Env"] or [], image.get("Env") or [])
    made["WorkingDir"] = made["WorkingDir"] or image.get("WorkingDir") or ""
    made["User"] = made["User"] or image.get("User") or ""
    made["Labels"] = {**(image.get("Labels") or {}), **(made["Labels"] or {})}
    if not made["Hostname"]:
        made["Hostname"] = node if mode == "host" else "" if mode.startswith("container:") else ident[:12]
    made["Volumes"] = made["Volumes"] or None
    return made


def _merged(given: list[str], image: list[str]) -> list[str]:
    """The request's variables, then the image's that it does not set."""
    names = {each.partition("=")[0] for each in given}
    return [*given, *(each for each in image if each.partition("=")[0] not in names)]
