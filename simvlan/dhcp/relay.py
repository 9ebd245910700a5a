"""A DHCP relay agent's rules (RFC 1542 section 4, without option 82): requests to the server, replies to the client."""

from __future__ import annotations

from dataclasses import replace

from simvlan.dhcp.message import Message

MOST_HOPS = 16
"""More are taken for a loop."""


def upward(msg: Message, address: int) -> Message | None:
    """A client's message as it goes to the server, marked with the address it was heard on; None: not relayed."""
    if msg.op != 1 or msg.hops >= MOST_HOPS:
        return None
    return replace(msg, hops=msg.hops + 1, giaddr=msg.giaddr or address)


def downward(msg: Message, addresses: frozenset[int]) -> int | None:
    """The address whose network a server's reply is for; None when it was not sent through us."""
    return msg.giaddr if msg.op == 2 and msg.giaddr in addresses else None
