"""A DHCP relay agent's rules (RFC 1542 section 4, RFC 3046): requests to the server, replies to the client."""

from __future__ import annotations

from dataclasses import replace

from simvlan.dhcp import message as m
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


def marked(msg: Message, name: str) -> Message:
    """A request with what the relay says of it: the interface as its circuit, behind what another has said."""
    said = msg.options.get(m.AGENT, b"") + bytes((m.CIRCUIT, len(name))) + name.encode()
    rest = {code: value for code, value in msg.options.items() if code != m.AGENT}
    return replace(msg, options={**rest, m.AGENT: said})


def unmarked(msg: Message) -> tuple[Message, str]:
    """A reply without it, and the circuit it named ("" for none)."""
    rest = {code: value for code, value in msg.options.items() if code != m.AGENT}
    return replace(msg, options=rest), msg.agent.get(m.CIRCUIT, b"").decode("ascii", "replace")
