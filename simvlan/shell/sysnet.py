"""/sys/class/net as a script sees it: a folder for each device of its namespace, in step with the simulated kernel.

Mirrors what people read of net/core/net-sysfs.c and net/bridge/br_sysfs_if.c. Everything is read-only; counters are not
here (`ip -s link` has them), and `carrier` is there only where the kernel lets it be read: on a device that is up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simvlan.frame import mac_text
from simvlan.tools.iproute.link_view import operstate

ROOT = "@root"
"""The folder of the initial namespace, whose name is empty."""
ETHER, LOOPBACK = 1, 772
"""ARPHRD_ETHER, ARPHRD_LOOPBACK."""
Facts = tuple[Any, ...]


class SysNet:
    """The folders, and what they say."""

    def __init__(self, lab: Any, directory: Path) -> None:
        self.lab = lab
        self.directory = directory / "sysnet"
        self._shown: dict[str, dict[str, Facts]] = {}
        """Per namespace on show: its devices as they were last written down."""

    def show(self, netns: str) -> None:
        """Make a namespace's folders, from now on kept in step."""
        if netns not in self._shown:
            self._shown[netns] = {}
            (self.directory / (netns or ROOT)).mkdir(parents=True, exist_ok=True)
            self._follow(netns)

    def publish(self) -> None:
        """Write down what has changed."""
        for netns in self._shown:
            self._follow(netns)

    def _follow(self, netns: str) -> None:
        found = self.lab.network.netns.get(netns)
        now = _all_facts(found.devices.values()) if found is not None else {}
        before, base = self._shown[netns], self.directory / (netns or ROOT)
        for name in [name for name in before if name not in now]:
            shutil.rmtree(base / name, ignore_errors=True)
        for name, facts in now.items():
            if before.get(name) != facts:
                _write(base / name, found.devices[name], facts[-1])
        self._shown[netns] = now


def _all_facts(devices: Iterable[Any]) -> dict[str, Facts]:
    """What the files of each device are made from; last, the ports of a bridge."""
    ports: dict[str, list[str]] = {}
    for dev in devices:
        if dev.master is not None:
            ports.setdefault(dev.master.name, []).append(dev.name)
    return {dev.name: (*_facts(dev), tuple(ports.get(dev.name, ()))) for dev in devices}


def _facts(dev: Any) -> Facts:
    return (
        dev.ifindex, _iflink(dev), dev.mac, dev.mtu, dev.up, dev.carrier, dev.operstate, dev.txqlen, dev.alias,
        _flags(dev), dev.master and dev.master.name,
    )  # fmt: skip


def _iflink(dev: Any) -> int:
    return int(dev.ifindex if dev.link is None else dev.link.ifindex)


def _flags(dev: Any) -> int:
    """`dev->flags`: what was set, and what the kernel has set for itself; running or not is not among them."""
    loopback = not dev.kind
    rows = ((0x1, dev.up), (0x2, dev.broadcast and not loopback), (0x8, loopback), (0x80, dev.noarp),
            (0x100, dev.promiscuity > 0), (0x200, dev.allmulti > 0), (0x1000, dev.multicast_flag))  # fmt: skip
    return sum(bit for bit, on in rows if on)


def _texts(dev: Any) -> dict[str, str]:
    loopback = not dev.kind
    return {
        "addr_len": "6",
        "address": mac_text(dev.mac),
        "broadcast": mac_text(0 if loopback else 0xFFFF_FFFF_FFFF),
        "flags": hex(_flags(dev)),
        "ifalias": dev.alias,
        "ifindex": str(dev.ifindex),
        "iflink": str(_iflink(dev)),
        "link_mode": "0",
        "mtu": str(dev.mtu),
        "operstate": operstate(dev).lower(),
        "tx_queue_len": str(dev.txqlen),
        "type": str(LOOPBACK if loopback else ETHER),
    } | ({"carrier": str(int(dev.carrier))} if dev.up else {})


def _write(folder: Path, dev: Any, ports: Iterable[str]) -> None:
    """Write a device's folder anew, each file only where it says something else."""
    folder.mkdir(exist_ok=True)
    texts = _texts(dev)
    for name, text in texts.items():
        line = f"{text}\n" if text or name != "ifalias" else ""
        file = folder / name
        if not file.exists() or file.read_text() != line:
            file.write_text(line)
    if "carrier" not in texts:
        (folder / "carrier").unlink(missing_ok=True)
    _point(folder / "master", None if dev.master is None else f"../{dev.master.name}")
    if dev.kind == "bridge":
        (folder / "bridge").mkdir(exist_ok=True)
        _list(folder / "brif", set(ports))


def _point(link: Path, where: str | None) -> None:
    if where is None or (link.is_symlink() and os.readlink(link) != where):
        link.unlink(missing_ok=True)
    if where is not None and not link.is_symlink():
        link.symlink_to(where)


def _list(folder: Path, ports: set[str]) -> None:
    """The ports of a bridge, as links to their folders."""
    folder.mkdir(exist_ok=True)
    for name in set(os.listdir(folder)) - ports:
        (folder / name).unlink()
    for name in ports:
        _point(folder / name, f"../../{name}")
