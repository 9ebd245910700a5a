"""A TAP as an endpoint (drivers/net/tun.c): made here and gone with this process, or one that was there before."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from simvlan.frame import Frame
from simvlan.live import vnet
from simvlan.live.endpoint import Gone, LinkState, Refused
from simvlan.live.places import Unattachable, check_name, entered, index_of, inside, set_mtu, set_up
from simvlan.verdict import Drop

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETCARRIER, TUNGETIFF, TUNGETDEVNETNS = (
    0x4004_54CA,
    0x4004_54D0,
    0x4004_54D8,
    0x4004_54E2,
    0x8004_54D2,
    0x54E3,
)
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
SIZE = 66_000
"""More than any frame with its header."""
_DROPS = {
    errno.EIO: Drop.NO_CARRIER,
    errno.EINVAL: Drop.PKT_TOO_BIG,
    errno.EMSGSIZE: Drop.PKT_TOO_BIG,
    errno.ENOBUFS: Drop.QDISC_DROP,
    errno.ENOMEM: Drop.QDISC_DROP,
}


class Tap:
    """The descriptor of a TAP device.

    Args:
        name: of the device.
        netns: the real namespace it is in, "" for this process's own.
        label: what to call it.
        mtu: of a device that is made.
        gso: whether super-packets of TCP may come.
    """

    def __init__(self, name: str, netns: str, label: str, mtu: int, gso: bool = False) -> None:
        self.label = label
        self._lost = 0
        self._buffer = bytearray(SIZE)
        self._view = memoryview(self._buffer)
        check_name(name)
        with inside(netns):
            existed = index_of(name) != 0
            self._fd = _open(name, existed, gso)
            try:
                if not existed:
                    set_mtu(name, mtu)
                    set_up(name)
                self.state = LinkState(name)
            except BaseException:
                os.close(self._fd)
                raise

    def fileno(self) -> int:
        """The descriptor of the TAP."""
        return self._fd

    def receive(self) -> Frame | None:
        """The next frame that the real kernel sent on the device."""
        try:
            size = os.readv(self._fd, (self._buffer,))
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._why(error) from None
        return vnet.frame_of(self._view[:size]) if size >= 24 else None

    def transmit(self, frame: Frame) -> bool:
        """Have the real kernel receive a frame on the device."""
        try:
            os.write(self._fd, vnet.octets_of(frame))
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._why(error) from None
        return True

    def _why(self, error: OSError) -> Exception:
        """What an error means: EBADFD: it was deleted; EIO: it is down."""
        if error.errno == errno.EBADFD:
            return Gone(self.label)
        drop = _DROPS.get(error.errno or 0)
        return error if drop is None else Refused(drop)

    def lost(self) -> int:
        """Frames that did not fit into the TAP's ring."""
        self._lost = max(self._lost, self.state.lost())
        return self._lost

    def set_carrier(self, carrier: bool) -> None:
        """Plug the cable in, or pull it, as the real side sees it."""
        try:
            fcntl.ioctl(self._fd, TUNSETCARRIER, struct.pack("I", carrier))
        except OSError as error:
            if error.errno != errno.EBADFD:
                raise

    def moved(self) -> bool:
        """Find the device again where somebody moved it (`ip link set tap0 netns X`)."""
        try:
            there = fcntl.ioctl(self._fd, TUNGETDEVNETNS)
        except OSError:
            return False
        try:
            name = fcntl.ioctl(self._fd, TUNGETIFF, bytes(40))[:16].rstrip(b"\0").decode()
            with entered(there, name):
                self.state.close()
                self.state = LinkState(name)
        finally:
            os.close(there)
        return True

    def close(self) -> None:
        """The device is gone with its descriptor, unless it was made persistent by somebody else."""
        self.lost()
        os.close(self._fd)
        self.state.close()


def _open(name: str, existed: bool, gso: bool) -> int:
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        help_ = "modprobe tun; a container needs --device /dev/net/tun" if error.errno != errno.EACCES else "be root"
        raise Unattachable(f"/dev/net/tun: {error.strerror}: {help_}") from None
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", vnet.HEADER.size))
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | (TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN if gso else 0))
    except OSError as error:
        os.close(fd)
        raise Unattachable(f"{name}: {error.strerror}: {_remedy(error, name, existed)}") from None
    return fd


def _remedy(error: OSError, name: str, existed: bool) -> str:
    if error.errno == errno.EBUSY:
        return "another program holds this TAP; another name, or dev:NAME to stand beside it"
    if error.errno == errno.EINVAL and existed:
        return "there is a device of that name that is no TAP; dev:NAME attaches to any"
    if error.errno == errno.EPERM:
        return f"making a TAP needs CAP_NET_ADMIN: be root, or have root run `ip tuntap add {name} mode tap user $USER`"
    return "is the name taken?"
