"""Whether this kernel's ipvlan filters confuse groups that nobody joins with ones that all join.

They are hashes of 256 bits with a secret drawn at boot (ipvlan_jhash_secret). A kernel with such a secret would show
frames by chance, so a guest with one is given up for another.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence

from . import syscalls

_ETHERTYPE = 0x88B7
_SOURCE = b"\2\0\0\0\0\x51" + _ETHERTYPE.to_bytes(2, "big") + bytes(46)
_BROADCAST = b"\xff" * 6
_COMMANDS = (
    "link add a0 type veth peer name b0",
    "link add link b0 name i0 type ipvlan mode l2",
    "link set a0 up",
    "link set b0 up",
    "link set i0 up",
)
_TRIES = 50
_IPV6_GROUPS = b"\x33\x33"
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP = 263, 1


def confused(groups: Sequence[str], env: dict[str, str]) -> list[str]:
    """Which of the groups (hexadecimal) an ipvlan hears without having joined them; leaves the network namespace.

    Those of IPv6 are joined one after the other, for none may pass for another.
    """
    syscalls.unshare(syscalls.CLONE_NEWNET)
    subprocess.run(["ip", "-batch", "-"], input="\n".join(_COMMANDS), text=True, check=True, env=env)
    octets = [bytes.fromhex(group) for group in groups]
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as mouth,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as ear,
    ):
        ear.bind(("i0", _ETHERTYPE))
        ear.settimeout(0.1)
        found = _heard(mouth, ear, octets)
        for joined in [group for group in octets if group[:2] == _IPV6_GROUPS]:
            if found:
                break
            with _member(joined):
                found = _heard(mouth, ear, [group for group in octets if group != joined])
        return found


@contextlib.contextmanager
def _member(group: bytes) -> Iterator[None]:
    """While this lasts the ipvlan hears a group: what packet sockets join, devices hear."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as member:
        asked = struct.pack("=iHH8s", socket.if_nametoindex("i0"), 0, 6, group)
        member.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, asked)
        yield


def _heard(mouth: socket.socket, ear: socket.socket, groups: list[bytes]) -> list[str]:
    """Groups, each sent until the broadcast behind it arrives: they queue in one line."""
    for _ in range(_TRIES):
        for group in (*groups, _BROADCAST):
            mouth.sendto(group + _SOURCE, ("a0", _ETHERTYPE))
        heard = []
        try:
            while (frame := ear.recv(256))[:6] != _BROADCAST:
                heard.append(frame[:6].hex())
        except TimeoutError:
            continue  # the carrier is not there yet
        return heard
    raise RuntimeError("an ipvlan hears no broadcast")


@contextlib.contextmanager
def elsewhere(shift: int, env: dict[str, str]) -> Iterator[None]:
    """While this lasts so many pairs of devices stand in this namespace, and what is made lies elsewhere in memory.

    A macvlan's filter mixes its own address in memory into the hash (macvlan_hash_mix): where it let a group through by
    chance, it does not again.
    """
    names = [f"shift{number}" for number in range(shift)]
    for name in names:
        subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True, env=env)
    try:
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=True, env=env)


def checked(groups: Sequence[str], env: dict[str, str]) -> bool:
    """The same question asked in a process of its own; whether all is well."""
    if (child := os.fork()) == 0:
        status = 2
        try:
            status = 1 if confused(groups, env) else 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 2:
        raise RuntimeError("the check of ipvlan's filters failed")
    return os.waitstatus_to_exitcode(status) == 0
