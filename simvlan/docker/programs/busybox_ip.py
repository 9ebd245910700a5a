"""ip, ifconfig, route and arp as busybox prints them. Changes go through iproute2's words to the simulated kernel.

A container may not change its network unless it is privileged (it lacks CAP_NET_ADMIN). The loopback's ::1 is shown as
Docker leaves it, also where IPv6 is on for no device.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from simvlan.docker.programs.process import Proc
from simvlan.tools.program import Process

DENIED = "RTNETLINK answers: Operation not permitted"
SHOWS = ("show", "list", "lst", "sh", "s", "l", "ls", "get", "")
FAILED_PROBES = 6
"""Requests after which the kernel gives a neighbour up, as `ip neigh` of busybox counts them."""


def asked(proc: Proc, *argv: str) -> Any:
    """What iproute2's `ip -j` answers in the container's namespace."""
    inner = Process(["ip", "-j", *argv], proc.lab, netns=proc.netns)
    from simvlan.tools.ip import main

    if main(inner):
        raise LookupError("".join(inner.err))
    return json.loads("".join(inner.out) or "[]")


def ip(proc: Proc) -> int:
    """`ip [-4|-6|-o] address|route|link|neigh ...`: show anybody; change if the container is privileged."""
    words, family, oneline = proc.argv[1:], "", False
    while words and words[0].startswith("-"):
        flag = words.pop(0).lstrip("-")
        if flag in ("4", "6", "0"):
            family = flag
        elif flag in ("f", "family") and words:
            family = {"inet": "4", "inet6": "6", "link": "0"}.get(words.pop(0), "4")
        elif flag in ("o", "oneline"):
            oneline = True
        else:
            proc.write_err("BusyBox ip: usage: ip [OPTIONS] address|route|link|neigh|rule [ARGS]\n")
            return 1
    kind = next((name for name in KINDS if words and name.startswith(words[0])), None)
    if kind is None or kind == "rule":
        proc.write_err("BusyBox ip: usage: ip [OPTIONS] address|route|link|neigh|rule [ARGS]\n")
        return 1
    return _object(proc, kind, words[1:], family, oneline)


KINDS = ("address", "link", "route", "neigh", "rule")


def _object(proc: Proc, kind: str, words: list[str], family: str, oneline: bool) -> int:
    verb = words[0] if words else ""
    if verb not in SHOWS:
        return _change(proc, kind, words)
    shows = {"address": _addresses, "link": _links, "route": _routes, "neigh": _neighbours}
    try:
        text = shows[kind](proc, words, family)
    except LookupError as error:
        text, complaint = "", str(error.args[0])
        proc.write_err(_complaint(complaint, words))
        return 1
    proc.write(_joined(text) if oneline else text)
    return 0


def _joined(text: str) -> str:
    """One line each (-o)."""
    return text.replace("\n    ", "\\    ").replace("\n       ", "\\       ")


def _complaint(text: str, words: Sequence[str]) -> str:
    if "does not exist" in text:
        return f"ip: can't find device '{words[-1]}'\n"
    return "ip: " + text.removeprefix("Error: ")


def _change(proc: Proc, kind: str, words: list[str]) -> int:
    """Whatever is not a question."""
    if not proc.container.privileged or proc.uid:
        proc.write_err(f"ip: {DENIED}\n")
        return 2
    if "netns" in words:
        proc.write_err(f"ip: invalid argument '{words[-1]}' to 'netns'\n")
        return 1
    from simvlan.tools.ip import main

    inner = Process(["ip", kind, *words], proc.lab, netns=proc.netns)
    status = main(inner)
    proc.write("".join(inner.out))
    text = "".join(inner.err)
    proc.write_err(f"ip: {text}" if text.startswith("RTNETLINK") else text)
    return status


def _device_of(words: Sequence[str]) -> list[str]:
    rest = [word for word in words if word not in SHOWS and word != "dev"]
    return ["dev", rest[0]] if rest else []


def _head(row: dict[str, Any], proc: Proc) -> str:
    dev = proc.lab.network.netns[proc.netns].devices[row["ifname"]]
    flags = [flag for flag in row["flags"] if flag != "M-DOWN"]
    other = f"if{row['link_index']}" if "link_index" in row else row.get("link", "")
    link = f"@{other}" if other else ""
    if other and other not in dev.netns.devices:
        flags.append("M-DOWN")  # busybox looks for the other end in this namespace, where it is not
    queue = f" qlen {row['txqlen']}" if "txqlen" in row and dev.kind in ("", "dummy") else ""
    master = f" master {row['master']}" if "master" in row else ""
    kind = row.get("link_type", "ether")
    qdisc = f" qdisc {row['qdisc']}" if "qdisc" in row else ""
    return (
        f"{row['ifindex']}: {row['ifname']}{link}: <{','.join(flags)}> mtu {row['mtu']}{qdisc}"
        f"{master}{queue} \n"
        f"    link/{kind} {row.get('address')} brd {row.get('broadcast')}\n"
    ).replace("qlen 1000 \n", "qlen 1000\n")


def _addresses(proc: Proc, words: Sequence[str], family: str) -> str:
    text = ""
    for row in asked(proc, *_of(family), "address", "show", *_device_of(words)):
        entries = "".join(map(_address, row.get("addr_info", ())))
        if row.get("ifname") == "lo" and family != "4" and "::1/128" not in entries:
            entries += "    inet6 ::1/128 scope host \n       valid_lft forever preferred_lft forever\n"
        if family and not entries:
            continue
        text += (_head(row, proc) if not family else _head(row, proc).partition("\n")[0] + "\n") + entries
    return text


def _of(family: str) -> list[str]:
    """The option of `ip` for a family that was asked for."""
    return ["-6"] if family == "6" else []


def _address(entry: dict[str, Any]) -> str:
    brd = f" brd {entry['broadcast']}" if "broadcast" in entry else ""
    peer = f" peer {entry['address']}" if "address" in entry else ""
    lft = f"       valid_lft {_life(entry['valid_life_time'])} preferred_lft {_life(entry['preferred_life_time'])}\n"
    prefix = f"    {entry['family']} {entry['local']}{peer}/{entry['prefixlen']}{brd} scope {entry['scope']}"
    if entry["family"] == "inet6":
        return f"{prefix} {_flags6(entry)}\n{lft}"
    secondary = " secondary" if entry.get("secondary") else ""
    return f"{prefix}{secondary} {entry['label']}\n{lft}"


def _flags6(entry: dict[str, Any]) -> str:
    """Flags by name, and what is left of them as a number (IFA_F_NODAD is 2)."""
    named = "".join(f"{flag} " for flag in ("tentative", "dadfailed", "deprecated", "dynamic") if entry.get(flag))
    left = sum(bit for flag, bit in LEFT_FLAGS.items() if entry.get(flag))
    return named + (f"flags {left:02x} " if left else "")


LEFT_FLAGS = {"nodad": 0x02, "home": 0x10, "mngtmpaddr": 0x100, "noprefixroute": 0x200}
"""Flags of addresses that busybox has no words for (if_addr.h)."""


def _life(seconds: int) -> str:
    return "forever" if seconds == 0xFFFF_FFFF else f"{seconds}sec"


def _links(proc: Proc, words: Sequence[str], _family: str) -> str:
    return "".join(_head(row, proc) for row in asked(proc, "link", "show", *_device_of(words)))


def _routes(proc: Proc, words: Sequence[str], family: str) -> str:
    if words[:1] == ["get"]:
        rows = asked(proc, *_of(family), "route", *words)
        return "".join(_route(row) + "\n" for row in rows)
    rows = asked(proc, *_of(family), "route", "show", *words[1:])
    groups = asked(proc, "-6", "route", "show", "table", "local", *words[1:]) if family == "6" else []
    rows += [row for row in groups if row.get("type") == "multicast"]
    return "".join(_route(row) + "\n" for row in rows)


def _route(row: dict[str, Any]) -> str:
    text = f"{row['dst']} " if row.get("type", "unicast") == "unicast" else f"{row['type']} {row['dst']} "
    text += f"via {row['gateway']} " if "gateway" in row else ""
    text += f"dev {row['dev']} " if "dev" in row else ""
    text += f"scope {row['scope']} " if "scope" in row else ""
    text += f" src {row['prefsrc']} " if "prefsrc" in row else ""
    return text + (f" metric {row['metric']} " if "metric" in row else "")


def _neighbours(proc: Proc, words: Sequence[str], family: str) -> str:
    text = ""
    for row in asked(proc, *_of(family), "neigh", "show", *_device_of(words)):
        state = " ".join(row["state"])
        lladdr = f"lladdr {row['lladdr']} " if "lladdr" in row else " "
        probes = FAILED_PROBES if state in ("FAILED", "INCOMPLETE") else 4
        text += f"{row['dst']} dev {row['dev']} {lladdr}used 0/0/0 probes {probes} {state}\n"
    return text


# -- ifconfig, route, arp --------------------------------------------------------------------------------------------


def ifconfig(proc: Proc) -> int:
    """`ifconfig [-a] [DEV]`: show devices; changes are not permitted."""
    words = [word for word in proc.argv[1:] if word != "-a"]
    if len(words) > 1:
        proc.write_err("ifconfig: SIOCSIFADDR: Operation not permitted\n")
        return 1
    rows = asked(proc, "-s", "address", "show")
    if words and words[0] not in (row["ifname"] for row in rows):
        proc.write_err(f"ifconfig: {words[0]}: error fetching interface information: Device not found\n")
        return 1
    chosen = [
        row for row in rows if (row["ifname"] == words[0] if words else "UP" in row["flags"] or "-a" in proc.argv)
    ]
    for row in sorted(chosen, key=lambda row: (row["ifname"] == "lo", row["ifname"])):
        proc.write(_interface(row))
    return 0


def _interface(row: dict[str, Any]) -> str:
    loopback = row.get("link_type") == "loopback"
    name, pad = row["ifname"], " " * 10
    head = "Local Loopback  " if loopback else f"Ethernet  HWaddr {row['address'].upper()}  "
    text = f"{name:<9} Link encap:{head}\n"
    fours = [entry for entry in row.get("addr_info", ()) if entry["family"] == "inet"]
    sixes = [entry for entry in row.get("addr_info", ()) if entry["family"] == "inet6" and entry["local"] != "::1"]
    for entry in fours:
        bcast = f"  Bcast:{entry['broadcast']}" if "broadcast" in entry else ""
        text += f"{pad}inet addr:{entry['local']}{bcast}  Mask:{_mask(entry['prefixlen'])}\n"
    text += f"{pad}inet6 addr: ::1/128 Scope:Host\n" if loopback else ""
    for entry in sixes:
        text += f"{pad}inet6 addr: {entry['local']}/{entry['prefixlen']} Scope:{entry['scope'].capitalize()}\n"
    known = {"UP": "UP", "BROADCAST": "BROADCAST", "LOOPBACK": "LOOPBACK", "LOWER_UP": "RUNNING", "NOARP": "NOARP",
             "PROMISC": "PROMISC", "ALLMULTI": "ALLMULTI", "MULTICAST": "MULTICAST"}  # fmt: skip
    flags = " ".join(text for flag, text in known.items() if flag in row["flags"])
    text += f"{pad}{flags}  MTU:{row['mtu']}  Metric:1\n"
    rx, tx = row["stats64"]["rx"], row["stats64"]["tx"]
    text += f"{pad}RX packets:{rx['packets']} errors:{rx['errors']} dropped:{rx['dropped']} overruns:0 frame:0\n"
    text += f"{pad}TX packets:{tx['packets']} errors:{tx['errors']} dropped:{tx['dropped']} overruns:0 carrier:0\n"
    text += f"{pad}collisions:0 txqueuelen:{row.get('txqlen', 0)} \n"
    text += f"{pad}RX bytes:{rx['bytes']} ({human(rx['bytes'])})  TX bytes:{tx['bytes']} ({human(tx['bytes'])})\n\n"
    return text


def human(octets: int) -> str:
    """A size as ifconfig writes it."""
    value, unit = float(octets), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.1f} {unit}"


def _mask(length: int) -> str:
    value = 0xFFFF_FFFF << (32 - length) & 0xFFFF_FFFF
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def route(proc: Proc) -> int:
    """`route [-n]`: show the table; changes are not permitted."""
    words = [word for word in proc.argv[1:] if not word.startswith("-")]
    if words:
        proc.write_err("route: SIOCADDRT: Operation not permitted\n")
        return 1
    proc.write(
        "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n"
    )
    numeric = any("n" in word for word in proc.argv[1:] if word.startswith("-"))
    for row in asked(proc, "-4", "route", "show"):
        dst, _, length = ("0.0.0.0/0" if row["dst"] == "default" else row["dst"]).partition("/")
        gateway = row.get("gateway", "0.0.0.0")
        flags = "U" + ("G" if "gateway" in row else "") + ("" if length else "H")
        if not numeric:
            dst, gateway = "default" if dst == "0.0.0.0" else dst, "*" if gateway == "0.0.0.0" else gateway
        mask = _mask(int(length or 32))
        proc.write(f"{dst:<15} {gateway:<15} {mask:<16}{flags:<6}{row.get('metric', 0):<6} 0        0 {row['dev']}\n")
    return 0


def arp(proc: Proc) -> int:
    """`arp`: show neighbours; changes are not permitted."""
    if any(word[:1] == "-" and ("d" in word or "s" in word) for word in proc.argv[1:]):
        proc.write_err("arp: SIOCDARP: Operation not permitted\n")
        return 1
    for row in asked(proc, "-4", "neigh", "show", "nud", "all"):
        state = row["state"]
        if "NOARP" in state:
            continue
        known = "FAILED" not in state and "INCOMPLETE" not in state and "lladdr" in row
        at = f"{row['lladdr']} [ether] " if known else "<incomplete> "
        perm = "PERM " if "PERMANENT" in state else ""
        proc.write(f"? ({row['dst']}) at {at}{perm} on {row['dev']}\n")
    return 0
