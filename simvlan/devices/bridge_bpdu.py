"""BPDUs: the octets of 802.1D. Mirrors net/bridge/br_stp_bpdu.c (6.1).

802.3 length, LLC 42 42 03, then protocol 0, version 0 and either a configuration (35 octets) or a topology change
notification (4). Times travel in 1/256 s.
"""

from __future__ import annotations

from dataclasses import dataclass

from simvlan.clock import SECOND
from simvlan.frame import Frame

LLC = b"\x42\x42\x03"
TYPE_CONFIG, TYPE_TCN = 0x00, 0x80
PRIO_CONTROL = 7
TICKS = 256


@dataclass(frozen=True)
class Config:
    """A configuration BPDU. Bridge ids are `priority << 48 | MAC`; times in ns."""

    root: int
    root_cost: int
    bridge: int
    port_id: int
    age: int
    max_age: int
    hello_time: int
    forward_delay: int
    topology_change: bool
    ack: bool


def _bpdu(dst: int, src: int, body: bytes) -> Frame:
    """Wrap a BPDU (br_send_bpdu)."""
    data = LLC + body
    return Frame(dst, src, len(data), data, prio=PRIO_CONTROL)


def config_frame(dst: int, src: int, config: Config) -> Frame:
    """Write a configuration (br_send_config_bpdu)."""
    flags = config.topology_change | config.ack << 7
    body = bytes((0, 0, 0, TYPE_CONFIG, flags)) + config.root.to_bytes(8, "big")
    body += config.root_cost.to_bytes(4, "big") + config.bridge.to_bytes(8, "big") + config.port_id.to_bytes(2, "big")
    for time_ns in (config.age, config.max_age, config.hello_time, config.forward_delay):
        body += (time_ns * TICKS // SECOND & 0xFFFF).to_bytes(2, "big")
    return _bpdu(dst, src, body)


def tcn_frame(dst: int, src: int) -> Frame:
    """Write a topology change notification (br_send_tcn_bpdu)."""
    return _bpdu(dst, src, bytes((0, 0, 0, TYPE_TCN)))


def parse(frame: Frame) -> Config | int | None:
    """Read a BPDU: a configuration, TYPE_TCN, or None for anything else (llc_rcv, br_stp_rcv)."""
    if frame.proto >= 0x600 or frame.accel:
        return None
    data = frame.payload[: frame.proto]
    if data[:3] != LLC or len(data) < 7 or data[3:6] != b"\0\0\0":
        return None
    if data[6] == TYPE_TCN:
        return TYPE_TCN
    if data[6] != TYPE_CONFIG or len(data) < 38:
        return None
    config = _parse_config(data[7:])
    return None if config.age > config.max_age else config


def _parse_config(data: bytes) -> Config:
    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "big")

    def time(at: int) -> int:
        return number(at, 2) * SECOND // TICKS

    return Config(
        number(1, 8), number(9, 4), number(13, 8), number(21, 2), time(23), time(25), time(27), time(29),
        bool(data[0] & 1), bool(data[0] & 0x80),
    )  # fmt: skip
