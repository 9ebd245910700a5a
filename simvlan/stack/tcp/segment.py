"""One TCP segment: octets <-> fields (RFC 9293, 3.1). Checksums belong to who knows the addresses."""

from __future__ import annotations

from struct import Struct

from simvlan.stack.tcp import options as tcp_options
from simvlan.stack.tcp.options import Options

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
HEADER = 20

_HEADER = Struct("!HHIIBBHHH")


class Segment:
    """A segment without its ports; `seq`, `ack` and `window` as on the wire."""

    __slots__ = ("ack", "flags", "gso_size", "options", "payload", "seq", "window")

    def __init__(
        self,
        seq: int,
        ack: int = 0,
        flags: int = ACK,
        window: int = 0,
        options: Options = tcp_options.NONE,
        payload: bytes = b"",
        gso_size: int = 0,
    ) -> None:
        self.seq = seq & 0xFFFF_FFFF
        self.ack = ack & 0xFFFF_FFFF
        self.flags = flags
        self.window = window
        self.options = options
        self.payload = payload
        self.gso_size = gso_size
        """Octets in each segment that it stands for; 0: it is one."""

    @property
    def size(self) -> int:
        """Sequence numbers it takes: octets, SYN and FIN (SEG.LEN)."""
        return len(self.payload) + (self.flags & FIN) + (self.flags >> 1 & 1)

    @property
    def packets(self) -> int:
        """Segments that it stands for."""
        return -(-len(self.payload) // self.gso_size) if self.gso_size else 1

    def __repr__(self) -> str:
        letters = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "."))
        names = "".join(letter for bit, letter in letters if self.flags & bit)
        return f"<{names} seq {self.seq} ack {self.ack} win {self.window} len {len(self.payload)}>"


def encode(segment: Segment, sport: int, dport: int) -> bytes:
    """Write a segment with a zero checksum."""
    extra = tcp_options.encode(segment.options)
    words = 5 + len(extra) // 4
    return (
        _HEADER.pack(
            sport, dport, segment.seq, segment.ack, words << 4, segment.flags, segment.window, 0, 0
        ) + extra + segment.payload
    )  # fmt: skip


def decode(octets: bytes) -> Segment:
    """Read a segment whose header was found to be whole."""
    _, _, seq, ack, offset, flags, window, _, _ = _HEADER.unpack_from(octets)
    start = (offset >> 4) * 4
    told = tcp_options.decode(octets[HEADER:start], bool(flags & SYN)) if start > HEADER else tcp_options.NONE
    return Segment(seq, ack, flags, window, told, octets[start:])


def reset_for(segment: Segment) -> Segment:
    """The RST that answers a segment nobody expects, from what it says alone (RFC 9293, 3.10.7.1)."""
    if segment.flags & ACK:
        return Segment(segment.ack, 0, RST)
    return Segment(0, segment.seq + segment.size, RST | ACK)
