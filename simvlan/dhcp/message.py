"""DHCPv4 messages: octets <-> fields and options (RFC 2131 section 2, RFC 2132). No rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
NAMES = {DISCOVER: "DHCPDISCOVER", OFFER: "DHCPOFFER", REQUEST: "DHCPREQUEST", DECLINE: "DHCPDECLINE", ACK: "DHCPACK",
         NAK: "DHCPNAK", RELEASE: "DHCPRELEASE", INFORM: "DHCPINFORM"}  # fmt: skip
SERVER_PORT, CLIENT_PORT = 67, 68
BROADCAST_FLAG = 0x8000
COOKIE = bytes.fromhex("63825363")
LEAST = 300
"""BOOTP's size: shorter messages are filled with zeros."""

MASK, ROUTER, DNS, HOSTNAME, DOMAIN, MTU, BROADCAST = 1, 3, 6, 12, 15, 26, 28
REQUESTED, LEASE_TIME, TYPE, SERVER_ID, WANTED, TEXT, MAX_SIZE, T1, T2, VENDOR, CLIENT_ID = (
    50, 51, 53, 54, 55, 56, 57, 58, 59, 60, 61)  # fmt: skip
USER_CLASS, AGENT, SUBNET = 77, 82, 118
CIRCUIT, REMOTE, LINK, SUBSCRIBER, SERVER_OVERRIDE = 1, 2, 5, 6, 11
"""Suboptions of what a relay says (RFC 3046, RFC 3527, RFC 3993, RFC 5107)."""

_HEAD = Struct("!BBBBIHHIIII16s")


class MessageError(ValueError):
    """Octets that are no DHCP message; the text says why."""


@dataclass(frozen=True)
class Message:
    """One message; addresses are integers, options octets by number, in the order of the wire."""

    op: int
    xid: int
    chaddr: bytes
    options: dict[int, bytes] = field(default_factory=dict)
    secs: int = 0
    flags: int = 0
    ciaddr: int = 0
    yiaddr: int = 0
    siaddr: int = 0
    giaddr: int = 0
    hops: int = 0

    @property
    def type(self) -> int:
        """DISCOVER, OFFER ...; 0 for plain BOOTP."""
        return self.options.get(TYPE, b"\0")[0]

    @property
    def client(self) -> bytes:
        """The client identifier, empty without one."""
        return self.options.get(CLIENT_ID, b"")

    @property
    def agent(self) -> dict[int, bytes]:
        """What a relay says of the client, by suboption (option 82); nothing where it is malformed."""
        try:
            return _options(self.options.get(AGENT, b""), ends=False)
        except MessageError:
            return {}

    def number(self, option: int) -> int:
        """An option as a number or address; 0 without it."""
        return int.from_bytes(self.options.get(option, b""), "big")

    def pack(self) -> bytes:
        """The octets of the message, BOOTP's size at least."""
        head = _HEAD.pack(
            self.op, 1, len(self.chaddr), self.hops, self.xid, self.secs, self.flags, self.ciaddr, self.yiaddr,
            self.siaddr, self.giaddr, self.chaddr,
        )  # fmt: skip
        tail = b"".join(bytes((code, len(value))) + value for code, value in self.options.items())
        return (head + bytes(192) + COOKIE + tail + b"\xff").ljust(LEAST, b"\0")


def parse(octets: bytes) -> Message:
    """Read a message.

    Raises:
        MessageError: too short, no Ethernet address, no DHCP options, or an option beyond the end.
    """
    if len(octets) < 240:
        raise MessageError(f"{len(octets)} octets are too few for a DHCP message (240)")
    op, kind, size, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr = _HEAD.unpack_from(octets)
    if kind != 1 or size != 6:
        raise MessageError(f"hardware type {kind} with {size} octets is no Ethernet address")
    if octets[236:240] != COOKIE:
        raise MessageError("no DHCP options: the magic cookie is missing")
    return Message(
        op, xid, chaddr[:size], _options(octets[240:]), secs, flags, ciaddr, yiaddr, siaddr, giaddr, hops
    )  # fmt: skip


def _options(octets: bytes, ends: bool = True) -> dict[int, bytes]:
    """Options by number; *ends*: 0 fills and 255 ends them."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets) and not (ends and octets[at] == 255):
        if ends and octets[at] == 0:
            at += 1
            continue
        if at + 2 > len(octets) or at + 2 + octets[at + 1] > len(octets):
            raise MessageError(f"option {octets[at]} is longer than the message")
        size = octets[at + 1]
        found[octets[at]] = found.get(octets[at], b"") + octets[at + 2 : at + 2 + size]
        at += 2 + size
    return found
