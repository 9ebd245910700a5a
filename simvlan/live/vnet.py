"""Frames as TAPs and packet sockets hand them over: octets behind a virtio_net_hdr (include/uapi/linux/virtio_net.h).

The header says that a transport checksum is still partial, so that it need not be computed on the way in and out: a
`Frame` with `csum` is one (CHECKSUM_PARTIAL). It tells of super-packets too (`Frame.gso_size`).
"""

from __future__ import annotations

import struct

from simvlan.frame import HOST, Frame
from simvlan.segmentation import CSUM_OFFSET, TCP, folded, transport

HEADER = struct.Struct("<BBHHHH")
"""flags, gso_type, hdr_len, gso_size, csum_start, csum_offset."""
NONE = bytes(HEADER.size)
NEEDS_CSUM = 1
GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 1, 4, 5, 0x80


def frame_of(data: memoryview, accel: int = 0) -> Frame:
    """Read one frame, virtio_net_hdr in front; what was left to a device stays so where the simulation knows of such.

    *accel*: a tag that lies beside the octets, as `tpid << 16 | tci`.
    """
    head = int.from_bytes(data[10:24], "big")
    frame = Frame(head >> 64, head >> 16 & 0xFFFF_FFFF_FFFF, head & 0xFFFF, bytes(data[24:]), accel, HOST)
    if data[0] & NEEDS_CSUM:
        if transport(frame) is None:
            _complete(frame, data)
        else:
            frame.csum = max(1, data[4] | data[5] << 8) if data[1] & ~GSO_ECN else 1
    return frame


def octets_of(frame: Frame) -> bytes:
    """Write one frame, virtio_net_hdr in front."""
    head = (frame.dst << 64 | frame.src << 16 | frame.proto).to_bytes(14, "big")
    if frame.accel:
        head = head[:12] + frame.accel.to_bytes(4, "big") + head[12:]
    if not frame.csum:
        return NONE + head + frame.payload
    found = transport(frame)
    if found is None:
        return NONE + head + frame.payload
    ip, start, protocol = found
    kind = _gso_type(frame.payload[ip] >> 4, protocol) if frame.csum > 1 else 0
    hint = len(head) + start + CSUM_OFFSET[protocol] + 2  # tun and af_packet look at no more than where it ends
    vnet = HEADER.pack(NEEDS_CSUM, kind, hint if kind else 0, frame.gso_size, len(head) + start, CSUM_OFFSET[protocol])
    return vnet + head + frame.payload


def _gso_type(version: int, protocol: int) -> int:
    if protocol != TCP:
        return GSO_UDP_L4
    return GSO_TCPV4 if version == 4 else GSO_TCPV6


def _complete(frame: Frame, data: memoryview) -> None:
    """Finish a partial checksum of whatever kind (skb_checksum_help)."""
    _, _, _, _, start, offset = HEADER.unpack_from(data)
    payload = bytearray(frame.payload)
    at = start - 14
    if at < 0 or at + offset + 2 > len(payload):
        return
    payload[at + offset : at + offset + 2] = folded(bytes(payload[at:])).to_bytes(2, "big")
    frame.payload = bytes(payload)
