"""Frames as TAPs and packet sockets hand them over: octets behind a virtio_net_hdr (include/uapi/linux/virtio_net.h).

The header says that a transport checksum is still partial, so that it need not be computed on the way in and out: a
`Frame` with `csum` is one (CHECKSUM_PARTIAL). Super-packets, which it tells of too, are cut in `gso.py`.
"""

from __future__ import annotations

import struct

from simvlan.frame import DOT1Q, HOST, IPV4, IPV6, QINQ, Frame

HEADER = struct.Struct("<BBHHHH")
"""flags, gso_type, hdr_len, gso_size, csum_start, csum_offset."""
NONE = bytes(HEADER.size)
NEEDS_CSUM = 1
TCP, UDP = 6, 17
_CSUM_OFFSET = {TCP: 16, UDP: 6}


def frame_of(data: memoryview, accel: int = 0) -> Frame:
    """Read one frame, virtio_net_hdr in front; its partial checksum stays partial where the simulation knows of such.

    *accel*: a tag that lies beside the octets, as `tpid << 16 | tci`.
    """
    head = int.from_bytes(data[10:24], "big")
    frame = Frame(head >> 64, head >> 16 & 0xFFFF_FFFF_FFFF, head & 0xFFFF, bytes(data[24:]), accel, HOST)
    if data[0] & NEEDS_CSUM:
        if transport(frame) is not None:
            frame.csum = True
        else:
            _complete(frame, data)
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
    _, start, protocol = found
    return HEADER.pack(NEEDS_CSUM, 0, 0, 0, len(head) + start, _CSUM_OFFSET[protocol]) + head + frame.payload


def transport(frame: Frame) -> tuple[int, int, int] | None:
    """Where IP begins in the payload (behind in-band tags), where TCP or UDP, and which; None when there is neither."""
    data, at, proto = frame.payload, 0, frame.proto
    while proto in (DOT1Q, QINQ) and len(data) >= at + 4:
        proto, at = data[at + 2] << 8 | data[at + 3], at + 4
    if proto == IPV4 and len(data) >= at + 20:
        protocol, start = data[at + 9], at + (data[at] & 15) * 4
    elif proto == IPV6 and len(data) >= at + 40:
        protocol, start = data[at + 6], at + 40
    else:
        return None
    if protocol not in _CSUM_OFFSET or len(data) < start + _CSUM_OFFSET[protocol] + 2:
        return None
    return at, start, protocol


def _complete(frame: Frame, data: memoryview) -> None:
    """Finish a partial checksum of whatever kind (skb_checksum_help)."""
    _, _, _, _, start, offset = HEADER.unpack_from(data)
    payload = bytearray(frame.payload)
    at = start - 14
    if at < 0 or at + offset + 2 > len(payload):
        return
    payload[at + offset : at + offset + 2] = folded(bytes(payload[at:])).to_bytes(2, "big")
    frame.payload = bytes(payload)


def folded(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of octets, never 0 where 0 would mean that there is none."""
    return 0xFFFF - _sum(data) or 0xFFFF


def _sum(data: bytes) -> int:
    """The one's complement sum of 16-bit words: the number that the octets are, modulo 2^16 - 1."""
    total = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    return total % 0xFFFF or (0xFFFF if total else 0)
