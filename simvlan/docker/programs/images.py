"""Which commands an image has. Every name is accepted as an image; what differs is whose tools are in it.

alpine and busybox (and names no distribution is known for) have busybox, as almost every small image does; debian,
ubuntu and nginx are shown with iproute2, iputils and tcpdump installed, which the real ones lack.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvlan.docker.programs.process import Program, Programs

HERE = "simvlan.docker.programs"
FUNCTIONS = {
    "text": "echo printf test cat head wc grep sort seq listing touch",
    "system": "true false sleep env hostname identity ps tty stty uname date kill which timeout",
}
ALIASES = {
    "test": "test [", "head": "head tail", "grep": "grep egrep fgrep", "sort": "sort uniq", "listing": "ls",
    "touch": "touch rm mkdir", "env": "env printenv", "identity": "id whoami",
}  # fmt: skip
"""Functions that stand for several commands, or for one of another name."""
TEXT = {
    name: f"{HERE}.{module}:{function}"
    for module, functions in FUNCTIONS.items()
    for function in functions.split()
    for name in ALIASES.get(function, function).split()
}

COMMON = TEXT | {
    "nc": f"{HERE}.network_tools:nc",
    "nslookup": f"{HERE}.network_tools:nslookup",
    "sh": f"{HERE}.sh.program:main",
    "tcpdump": "simvlan.tools.tcpdump:main",
}
BUSYBOX = COMMON | {
    "arp": f"{HERE}.busybox_ip:arp",
    "arping": f"{HERE}.busybox_ping:arping",
    "ash": f"{HERE}.sh.program:main",
    "busybox": f"{HERE}.images:busybox",
    "ifconfig": f"{HERE}.busybox_ip:ifconfig",
    "ip": f"{HERE}.busybox_ip:ip",
    "ping": f"{HERE}.busybox_ping:ping",
    "route": f"{HERE}.busybox_ip:route",
    "top": f"{HERE}.system:idle",
    "traceroute": f"{HERE}.busybox_ping:traceroute",
    "wget": "simvlan.tools.http.busybox_wget:main",
}
GNU = COMMON | {
    "arping": "simvlan.tools.arping:main",
    "bash": f"{HERE}.sh.program:main",
    "dash": f"{HERE}.sh.program:main",
    "ip": f"{HERE}.images:iproute2",
    "ping": "simvlan.tools.ping:main",
    "ifconfig": f"{HERE}.busybox_ip:ifconfig",
    "route": f"{HERE}.busybox_ip:route",
    "arp": f"{HERE}.busybox_ip:arp",
    "traceroute": "simvlan.tools.traceroute:main",
    "curl": "simvlan.tools.http.curl:main",
    "wget": "simvlan.tools.http.wget:main",
}
DISTRIBUTIONS = {"debian": GNU, "ubuntu": GNU, "fedora": GNU, "centos": GNU, "nicolaka/netshoot": GNU, "netshoot": GNU}
SERVERS = {"nginx": {"nginx": f"{HERE}.web:nginx", "/docker-entrypoint.sh": f"{HERE}.images:entrypoint"},
           "httpd": {"httpd-foreground": f"{HERE}.web:httpd"},
           "traefik/whoami": {"whoami": f"{HERE}.web:whoami", "/whoami": f"{HERE}.web:whoami"},
           "python": dict.fromkeys(("python", "python3"), f"{HERE}.web:python"),
           "curlimages/curl": {"/entrypoint.sh": f"{HERE}.web:curl_entrypoint"},
           "redis": {"redis-server": f"{HERE}.system:idle"}}  # fmt: skip


def repository(image: str) -> str:
    """`alpine` of `docker.io/library/alpine:3.20@sha256:...`."""
    name = image.partition("@")[0]
    name = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return name.removeprefix("docker.io/").removeprefix("library/")


def commands(image: str) -> dict[str, str]:
    """Name of a command -> `module:function`, for an image."""
    name = repository(image)
    if name in SERVERS:
        return GNU | SERVERS[name]
    return DISTRIBUTIONS.get(name, BUSYBOX)


def programs_of(image: str) -> Programs:
    """Find programs in an image."""
    table, loaded = commands(image), dict[str, "Program"]()

    def find(name: str) -> Program | None:
        if name not in table:
            return None
        if name not in loaded:
            module, _, function = table[name].partition(":")
            loaded[name] = getattr(import_module(module), function)
        return loaded[name]

    return find


def iproute2(proc: Any) -> int:
    """ip of iproute2, without what would lead out of the container."""
    words = proc.argv[1:]
    if "netns" in words or any(word in ("-n", "-netns", "--netns") for word in words):
        name = words[-1]
        if words[0] == "netns" and (len(words) < 2 or words[1] in ("list", "show", "ls")):
            return 0
        proc.write_err(f'Cannot open network namespace "{name}": No such file or directory\n')
        return 1
    changes = {"add", "del", "delete", "set", "change", "replace", "append", "flush", "up", "down"}
    if changes & set(words) and (not proc.container.privileged or proc.uid):
        proc.write_err("RTNETLINK answers: Operation not permitted\n")
        return 2
    from simvlan.tools.ip import main

    return main(proc)


def busybox(proc: Any) -> Any:
    """busybox APPLET: the applet itself; without one, what there is."""
    if len(proc.argv) < 2:
        proc.write(
            "BusyBox: multi-call binary.\n\nCurrently defined functions:\n\t" + ", ".join(sorted(BUSYBOX)) + "\n"
        )
        return 0
    program = proc.container.programs(proc.argv[1])
    if program is None:
        proc.write_err(f"{proc.argv[1]}: applet not found\n")
        return 127
    return proc.become(proc.argv[1:], program)


def entrypoint(proc: Any) -> Any:
    """A server image's entrypoint script: what it is given, in its own place."""
    from simvlan.docker.programs.system import instead

    return instead(proc, proc.argv[1:] or ["nginx"])
