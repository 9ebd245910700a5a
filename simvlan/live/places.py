"""Real network namespaces and real devices, from outside: entering, indexes, flags. Linux system calls, no rule.

A namespace is named as ip-netns(8) names it (`/run/netns/NAME`), or by a process in it (a number); "" is the one that
this process is in.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFINDEX, SIOCETHTOOL, SIOCSIFMTU = 0x8913, 0x8914, 0x8933, 0x8946, 0x8922
ETHTOOL_STSO, ETHTOOL_SGSO = 0x1F, 0x24
IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 1, 0x40, 0x10000
NAME_SIZE = 16
CAP_NET_ADMIN = 12
NS_GET_USERNS = 0xB701

_libc = ctypes.CDLL(None, use_errno=True)


class Unattachable(Exception):  # noqa: N818 - an answer to the user
    """A real endpoint cannot be had; the text says what is missing and what helps."""


def check_name(name: str) -> str:
    """Return a device's name if the kernel would take it (dev_valid_name)."""
    if not name or len(os.fsencode(name)) >= NAME_SIZE or name in (".", "..") or any(c in "/: \t\n" for c in name):
        raise Unattachable(f"{name!r} is no name of a device: 1 to 15 characters, no slash, colon or space")
    return name


def netns_path(name: str) -> str:
    """The file that is a namespace."""
    if not name:
        return "/proc/thread-self/ns/net"
    return f"/proc/{name}/ns/net" if name.isdigit() else f"/run/netns/{name}"


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a network namespace for a while, this thread only. Raises Unattachable."""
    if not name:
        yield
        return
    try:
        there = os.open(netns_path(name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unattachable(f"network namespace {name}: {error.strerror}: ip netns add {name}") from None
    with entered(there, name):
        os.close(there)
        yield


@contextlib.contextmanager
def entered(there: int, name: str) -> Iterator[None]:
    """Be in the namespace behind a descriptor for a while."""
    home = os.open(netns_path(""), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            error = os.strerror(ctypes.get_errno())
            raise Unattachable(f"network namespace {name}: {error}: entering it needs CAP_SYS_ADMIN there")
        try:
            yield
        finally:
            _libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """Be in a new network namespace, which lives as long as something in it or a descriptor for it."""
    home = os.open(netns_path(""), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWNET):
            raise Unattachable(f"a network namespace of one's own: {os.strerror(ctypes.get_errno())}: be root")
        try:
            yield
        finally:
            _libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def can_manage() -> bool:
    """Whether this process may make network devices where it is: CAP_NET_ADMIN over the namespace's owner."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return bool(effective >> CAP_NET_ADMIN & 1) and _owned()


def _owned() -> bool:
    """Whether the network namespace belongs to this process's user namespace or one inside it (NS_GET_USERNS)."""
    with open(netns_path(""), "rb") as here:
        try:
            os.close(fcntl.ioctl(here, NS_GET_USERNS))
        except OSError as error:
            return error.errno != errno.EPERM
    return True


def become_own_root() -> str | None:
    """Enter user and network namespaces of one's own, as root of them; why not, where the machine does not allow it."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return os.strerror(ctypes.get_errno())
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1\n"), ("gid_map", f"0 {gid} 1\n")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def request(name: str, body: bytes = b"") -> bytes:
    """A struct ifreq."""
    return struct.pack("16s24s", name.encode(), body)


def _asked(call: int, name: str, body: bytes = b"") -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        return fcntl.ioctl(sock, call, request(name, body))[16:]


def index_of(name: str) -> int:
    """A device's index in the current namespace, 0 where there is none."""
    try:
        return int(struct.unpack_from("i", _asked(SIOCGIFINDEX, name))[0])
    except OSError as error:
        if error.errno == errno.ENODEV:
            return 0
        raise


def flags_of(name: str) -> int:
    """A device's flags (16 bits of them)."""
    return int(struct.unpack_from("H", _asked(SIOCGIFFLAGS, name))[0])


def set_up(name: str) -> None:
    """Bring a device of ours up."""
    _asked(SIOCSIFFLAGS, name, struct.pack("H", flags_of(name) | IFF_UP))


def set_mtu(name: str, mtu: int) -> None:
    """Give a device of ours an MTU."""
    _asked(SIOCSIFMTU, name, struct.pack("i", mtu))


def quiet_offloads(name: str) -> None:
    """Have a device of ours send frames no longer than its MTU: no super-packets (ETHTOOL_STSO, ETHTOOL_SGSO)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        for command in (ETHTOOL_STSO, ETHTOOL_SGSO):
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            fcntl.ioctl(sock, SIOCETHTOOL, request(name, struct.pack("P", ctypes.addressof(value))))


# -- rtnetlink: one request -----------------------------------------------------------------------------------------

RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 16, 1, 4, 0x200, 0x400
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 4, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFINFOMSG = bytes(16)


def add_veth(name: str, peer: str, peer_netns: int, mtu: int) -> None:
    """Make a veth pair: one end here, the other in the namespace behind a descriptor. Raises OSError."""
    size = _attribute(IFLA_MTU, struct.pack("I", mtu))
    there = _attribute(IFLA_IFNAME, peer.encode() + b"\0") + _attribute(IFLA_NET_NS_FD, struct.pack("I", peer_netns))
    data = _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, IFINFOMSG + there + size))
    info = _attribute(IFLA_LINKINFO, _attribute(IFLA_INFO_KIND, b"veth\0") + data)
    body = IFINFOMSG + _attribute(IFLA_IFNAME, name.encode() + b"\0") + size + info
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        sock.send(struct.pack("IHHII", 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body)
        error = -struct.unpack_from("i", sock.recv(4096), 16)[0]
    if error:
        raise OSError(error, os.strerror(error), peer)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


# -- the way to the world -------------------------------------------------------------------------------------------


def default_route_devices() -> set[str]:
    """Devices by which this machine reaches the world, in the current namespace (IPv4 and IPv6)."""
    found = set()
    with contextlib.suppress(OSError), open("/proc/thread-self/net/route", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
        found |= {row[0] for row in rows if row[1] == row[7] == "00000000"}
    with contextlib.suppress(OSError), open("/proc/thread-self/net/ipv6_route", encoding="ascii") as file:
        rows = [line.split() for line in file]
        found |= {row[9] for row in rows if row[1] == "00" and row[9] != "lo"}
    return found
