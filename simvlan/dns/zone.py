"""What a small name server knows, as dnsmasq has it: hosts files, --host-record, --address, names of leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from simvlan.dns.message import (
    NOERROR,
    NXDOMAIN,
    PTR,
    A,
    Message,
    reverse_address,
)


@dataclass
class Zone:
    """Names and addresses.

    Attributes:
        hosts: addresses by name, in the order in which they were given.
        domains: (domain, address) pairs: the domain and all below it; "#" is every name, address 0 none (NXDOMAIN).
    """

    hosts: dict[str, list[int]] = field(default_factory=dict)
    domains: list[tuple[str, int]] = field(default_factory=list)

    def add(self, name: str, address: int) -> None:
        """Enter a name."""
        self.hosts.setdefault(name.lower().rstrip("."), []).append(address)

    def read_hosts(self, text: str) -> None:
        """Enter what a hosts file says; lines that are none are passed over, IPv6 addresses too."""
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            try:
                address = int(IPv4Address(words[0])) if words else 0
            except ValueError:
                continue
            for name in words[1:]:
                self.add(name, address)

    def addresses(self, name: str) -> list[int] | None:
        """The addresses of a name: hosts first, then the longest domain; [] where it is said to have none."""
        name = name.lower().rstrip(".")
        if name in self.hosts:
            return self.hosts[name]
        fits = [(domain, found) for domain, found in self.domains if _below(name, domain)]
        if not fits:
            return None
        _, found = max(fits, key=lambda pair: 0 if pair[0] == "#" else len(pair[0]))
        return [found] if found else []

    def name_of(self, address: int) -> str | None:
        """The first name of an address."""
        return next((name for name, found in self.hosts.items() if address in found), None)

    def answer(self, question: Message) -> Message | None:
        """Answer a question; None where nothing is known of it (somebody else may)."""
        if question.type == PTR:
            address = reverse_address(question.name)
            name = self.name_of(address) if address is not None else None
            return None if name is None else _reply(question, (name,))
        found = self.addresses(question.name)
        if found is None:
            return None
        if not found:
            return _reply(question, (), NXDOMAIN)
        return _reply(question, tuple(found)) if question.type == A else None


def _below(name: str, domain: str) -> bool:
    return domain == "#" or name == domain or name.endswith(f".{domain}")


def _reply(question: Message, answers: tuple[int | str, ...], code: int = NOERROR) -> Message:
    return Message(question.ident, question.name, question.type, True, code, answers, authoritative=True)
