"""What a connection is told when it is made: sizes, limits and switches, with Linux's defaults.

Mirrors net.ipv4.tcp_* (net/ipv4/tcp_ipv4.c, tcp_sk_init) and include/net/tcp.h of 6.1. Times in ns, sizes in octets.
"""

from __future__ import annotations

from dataclasses import dataclass

from simvlan.clock import MILLISECOND, SECOND

RTO_MAX_NS = 120 * SECOND
RTO_INIT_NS = SECOND
TIME_WAIT_NS = 60 * SECOND
DELACK_MIN_NS = 40 * MILLISECOND
DELACK_MAX_NS = 200 * MILLISECOND
INVALID_LIMIT_NS = 500 * MILLISECOND
"""Between two answers to segments out of the window (tcp_invalid_ratelimit)."""
MIN_MSS = 88
DEFAULT_MSS = 536
MAX_WINDOW = 65_535


@dataclass(frozen=True)
class Config:
    """How one end behaves."""

    mss: int = 1460
    """The MSS announced: what the device's MTU leaves beside the headers."""
    headers: int = 40
    """Octets of headers in a packet: 60 in IPv6."""
    congestion: str = "cubic"
    """cubic or reno."""
    sack: bool = True
    timestamps: bool = True
    window_scaling: bool = True
    nodelay: bool = False
    """Nagle's algorithm off (TCP_NODELAY)."""
    rmem: tuple[int, int, int] = (4096, 131_072, 6_291_456)
    wmem: tuple[int, int, int] = (4096, 16_384, 4_194_304)
    rcvbuf: int = 0
    """What SO_RCVBUF fixed the receive buffer at; 0: it grows within rmem."""
    sndbuf: int = 0
    """The same of SO_SNDBUF, wmem."""
    initcwnd: int = 10
    rto_min_ns: int = 200 * MILLISECOND
    syn_retries: int = 6
    syn_linear_timeouts: int = 0
    """Retransmissions of a SYN before its timeout doubles (4 from Linux 6.5 on)."""
    synack_retries: int = 5
    retries2: int = 15
    orphan_retries: int = 8
    fin_timeout_ns: int = 60 * SECOND
    reordering: int = 3
    rack: bool = True
    """Losses are told by time (net.ipv4.tcp_recovery=1) instead of by three later segments."""
    loss_probes: bool = True
    """Tail loss probes (net.ipv4.tcp_early_retrans=3)."""
    frto: bool = True
    """After a timeout new data goes first, to see whether it was spurious (net.ipv4.tcp_frto)."""
    delayed_ack: bool = True
    """Off: every segment is acknowledged at once, as with a persistent TCP_QUICKACK."""


def window_of(space: int) -> int:
    """The window that a receive buffer stands for: half of it, the rest is overhead (tcp_win_from_space)."""
    return space >> 1


def initial_window(config: Config, mss: int) -> int:
    """The first receive window: whole segments of what the default buffer holds (tcp_select_initial_window)."""
    space = window_of(config.rcvbuf or config.rmem[1])
    return min(space // mss * mss if space > mss else space, MAX_WINDOW)


def window_scale(config: Config) -> int:
    """The shift that lets the window grow to the largest buffer."""
    if not config.window_scaling:
        return 0
    return max(0, min(max(config.rmem[2], 212_992).bit_length() - 1 - 15, 14))
