"""A packet socket as an endpoint (net/packet/af_packet.c): on a device of this machine, or on one leg of a veth.

Promiscuous only when asked; its own frames are not read back (PACKET_IGNORE_OUTGOING); a VLAN tag that the kernel keeps
beside the octets is put back (PACKET_AUXDATA). A veth leg stands in a network namespace that only this process's socket
holds: when the process ends, however it ends, the namespace goes, and both ends of the veth with it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct

from simvlan.frame import Frame
from simvlan.live import vnet
from simvlan.live.endpoint import Gone, LinkState, Refused
from simvlan.live.places import (
    IFF_UP,
    SIOCGIFFLAGS,
    SIOCSIFFLAGS,
    Unattachable,
    add_veth,
    default_route_devices,
    fresh,
    index_of,
    inside,
    netns_path,
    quiet_offloads,
    request,
    set_up,
)
from simvlan.verdict import Drop

SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_STATISTICS, PACKET_AUXDATA = 263, 1, 6, 8
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 15, 23
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
AUXDATA = struct.Struct("IIIHHHH")
"""struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid."""
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40
BUFFER = 8 << 20
"""Octets the kernel keeps for us before it drops, where we may say so."""
SIZE = 66_000
LEG = "leg"
_DROPS = {
    errno.ENETDOWN: Drop.NO_CARRIER,
    errno.EMSGSIZE: Drop.PKT_TOO_BIG,
    errno.EINVAL: Drop.PKT_TOO_BIG,
    errno.ENOBUFS: Drop.QDISC_DROP,
}


class PacketSocket:
    """A socket bound to a device that is there."""

    def __init__(self, name: str, label: str, state: LinkState, *, promisc: bool = False) -> None:
        self.label, self.state = label, state
        self._lost = 0
        self._buffer = bytearray(SIZE)
        self._view = memoryview(self._buffer)
        self._sock = _packet_socket(name, promisc)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._sock.fileno()

    def receive(self) -> Frame | None:
        """The next frame that came by on the device."""
        try:
            size, told, _flags, _address = self._sock.recvmsg_into((self._buffer,), 64)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.ENETDOWN:
                return None  # rtnetlink says more
            raise
        return vnet.frame_of(self._view[:size], _tag(told)) if size >= 24 else None

    def transmit(self, frame: Frame) -> bool:
        """Send a frame on the device."""
        try:
            self._sock.send(vnet.octets_of(frame))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise Gone(self.label) from None
            if error.errno in _DROPS:
                raise Refused(_DROPS[error.errno]) from None
            raise
        return True

    def lost(self) -> int:
        """Frames that did not fit into the socket's buffer (PACKET_STATISTICS, which starts anew each time)."""
        if self._sock.fileno() >= 0:
            self._lost += struct.unpack("II", self._sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return self._lost

    def set_carrier(self, carrier: bool) -> None:
        """Somebody else's device keeps its state."""

    def moved(self) -> bool:
        """A socket stays where it was bound."""
        return False

    def close(self) -> None:
        """Let go of the socket."""
        self.lost()
        self._sock.close()
        self.state.close()


class Leg(PacketSocket):
    """A veth: one end in a real namespace, where programs use it, the other ours."""

    def set_carrier(self, carrier: bool) -> None:
        """Take our end up or down: the other's carrier follows."""
        with contextlib.suppress(OSError):  # it is gone: rtnetlink tells
            had = struct.unpack_from("H", fcntl.ioctl(self._sock, SIOCGIFFLAGS, request(LEG)), 16)[0]
            flags = had | IFF_UP if carrier else had & ~IFF_UP
            fcntl.ioctl(self._sock, SIOCSIFFLAGS, request(LEG, struct.pack("H", flags)))


def on_device(name: str, netns: str, label: str, words: frozenset[str]) -> PacketSocket:
    """Stand beside whoever else uses a device. Raises Unattachable; a machine's way to the world only by name."""
    with inside(netns):
        if not index_of(name):
            raise Unattachable(f"{label}: there is no such device; tap:{name} would make one")
        if name in default_route_devices() and "uplink" not in words:
            raise Unattachable(f"{label}: this machine reaches the world by it; if that is meant: {label},uplink")
        return PacketSocket(name, label, LinkState(name), promisc="promisc" in words)


def leg(name: str, netns: str, label: str, mtu: int, gso: bool = False) -> Leg:
    """Make a veth with one end in a real namespace, up; it sends super-packets only with *gso*. Raises Unattachable."""
    with inside(netns):
        if index_of(name):
            raise Unattachable(f"{label}: there is a device of that name already")
        there = os.open(netns_path(""), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with fresh():
            try:
                add_veth(LEG, name, there, mtu)
            except OSError as error:
                raise Unattachable(f"{label}: {error.strerror}: a veth needs CAP_NET_ADMIN in both places") from None
            set_up(LEG)
            made = Leg(LEG, label, _state(name, netns, gso))
    finally:
        os.close(there)
    return made


def _state(name: str, netns: str, gso: bool) -> LinkState:
    with inside(netns):
        if not gso:
            quiet_offloads(name)
        set_up(name)
        return LinkState(name)


def _packet_socket(name: str, promisc: bool) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except PermissionError:
        raise Unattachable(f"{name}: a packet socket needs CAP_NET_RAW: be root") from None
    try:
        sock.setblocking(False)
        for option in (PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING):
            sock.setsockopt(SOL_PACKET, option, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.bind((name, ETH_P_ALL))
        if promisc:
            wish = struct.pack("iHH8s", index_of(name), PACKET_MR_PROMISC, 0, b"")
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wish)
    except OSError as error:
        sock.close()
        raise Unattachable(f"{name}: {error.strerror}") from None
    return sock


def _tag(told: list[tuple[int, int, bytes]]) -> int:
    """The tag that lies beside the octets, as `tpid << 16 | tci`; 0 when there is none."""
    for level, kind, data in told:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = AUXDATA.unpack_from(data)
            if status & VLAN_VALID:
                return int((tpid if status & VLAN_TPID_VALID else 0x8100) << 16 | tci)
    return 0
