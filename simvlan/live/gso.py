"""Super-packets, cut into the frames that would have been on the wire (tcp_gso_segment, __udp_gso_segment).

A device with GRO hands several segments over as one; a simulated wire carries frames. Checksums stay partial.
"""

from __future__ import annotations

from simvlan.frame import Frame
from simvlan.live.vnet import TCP, UDP, folded, frame_of, transport

GSO_ECN = 0x80
FIN_PSH, CWR = 0x09, 0x80


def frames_of(data: memoryview, accel: int = 0) -> list[Frame]:
    """Read what a socket gave, virtio_net_hdr in front, as the frames that it stands for."""
    frame = frame_of(data, accel)
    size = data[4] | data[5] << 8
    found = transport(frame) if data[1] & ~GSO_ECN and size else None
    return [frame] if found is None else segments(frame, *found, size)


def segments(frame: Frame, ip: int, start: int, protocol: int, size: int) -> list[Frame]:
    """Cut one into frames of at most *size* octets of payload.

    *ip* and *start* are where IP and the transport begin in the frame's payload.
    """
    data = frame.payload
    body = start + ((data[start + 12] >> 4) * 4 if protocol == TCP else 8)
    cuts = range(body, len(data), size) or (body,)
    made = []
    for number, at in enumerate(cuts):
        piece = data[at : at + size]
        head = bytearray(data[:body])
        _transport(head, start, protocol, at - body, number == 0, at + size >= len(data))
        _lengths(head, ip, start, protocol, number, len(piece), len(data) - body)
        made.append(Frame(frame.dst, frame.src, frame.proto, bytes(head) + piece, frame.accel, csum=frame.csum))
    return made


def _transport(head: bytearray, start: int, protocol: int, offset: int, first: bool, last: bool) -> None:
    """TCP: sequence number; FIN and PSH on the last only, CWR on the first."""
    if protocol == TCP:
        seq = int.from_bytes(head[start + 4 : start + 8], "big") + offset
        head[start + 4 : start + 8] = (seq & 0xFFFF_FFFF).to_bytes(4, "big")
        head[start + 13] &= 0xFF & ~((0 if last else FIN_PSH) | (0 if first else CWR))


def _lengths(head: bytearray, ip: int, start: int, protocol: int, number: int, piece: int, whole: int) -> None:
    """The lengths in IP, UDP and the pseudo header that the partial checksum holds; IPv4's id and checksum."""
    inner = len(head) - start + piece
    if head[ip] >> 4 == 4:
        head[ip + 2 : ip + 4] = (start - ip + inner).to_bytes(2, "big")
        ident = int.from_bytes(head[ip + 4 : ip + 6], "big") + number
        head[ip + 4 : ip + 6] = (ident & 0xFFFF).to_bytes(2, "big")
        head[ip + 10 : ip + 12] = b"\0\0"
        head[ip + 10 : ip + 12] = folded(bytes(head[ip:start])).to_bytes(2, "big")
    else:
        head[ip + 4 : ip + 6] = (start - ip - 40 + inner).to_bytes(2, "big")
    if protocol == UDP:
        head[start + 4 : start + 6] = inner.to_bytes(2, "big")
    at = start + (16 if protocol == TCP else 6)
    pseudo = int.from_bytes(head[at : at + 2], "big") - whole + piece
    head[at : at + 2] = (pseudo % 0xFFFF).to_bytes(2, "big")
