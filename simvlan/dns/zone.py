"""What a small name server knows, as dnsmasq has it: hosts files, --host-record, --address, names of leases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from simvlan.dns.message import (
    AAAA,
    EXTENDED_ERROR,
    NOERROR,
    NXDOMAIN,
    PTR,
    REFUSED,
    A,
    Address,
    Edns,
    Message,
    reverse_address,
)


@dataclass
class Zone:
    """Names and addresses.

    Attributes:
        hosts: addresses by name, in the order in which they were given.
        hosts6: the same of IPv6.
        domains: (domain, address) pairs: the domain and all below it; "#" is every name, address 0 none (NXDOMAIN).
        domains6: the same of IPv6, without 0.
    """

    hosts: dict[str, list[int]] = field(default_factory=dict)
    domains: list[tuple[str, int]] = field(default_factory=list)
    hosts6: dict[str, list[int]] = field(default_factory=dict)
    domains6: list[tuple[str, int]] = field(default_factory=list)

    def add(self, name: str, address: int) -> None:
        """Enter a name with an address of IPv4."""
        self.hosts.setdefault(name.lower().rstrip("."), []).append(address)

    def enter(self, name: str, address: Address) -> None:
        """Enter a name with an address of either family."""
        table = self.hosts if address.version == 4 else self.hosts6
        table.setdefault(name.lower().rstrip("."), []).append(int(address))

    def read_hosts(self, text: str, domain: str = "") -> None:
        """Enter what a hosts file says; lines that are none are passed over.

        Args:
            domain: what simple names have as well, and first (--expand-hosts).
        """
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            try:
                address = ip_address(words[0]) if words else IPv4Address(0)
            except ValueError:
                continue
            for name in words[1:]:
                if domain and "." not in name:
                    self.enter(f"{name}.{domain}", address)
                self.enter(name, address)

    def named(self, name: str) -> list[str]:
        """The addresses of a name in the files, written: of IPv4, then of IPv6."""
        name = name.lower().rstrip(".")
        fours, sixes = self.hosts.get(name, ()), self.hosts6.get(name, ())
        return [str(IPv4Address(each)) for each in fours] + [str(IPv6Address(each)) for each in sixes]

    def addresses(self, name: str, kind: int = A) -> list[int] | None:
        """The addresses of a name: hosts first, then the longest domain; [] where it is said to have none."""
        name = name.lower().rstrip(".")
        hosts = self.hosts if kind == A else self.hosts6
        if name in hosts:
            return hosts[name]
        domains = self.domains if kind == A else self.domains6 + [pair for pair in self.domains if not pair[1]]
        fits = [(domain, found) for domain, found in domains if below(name, domain)]
        if not fits:
            return None
        _, found = max(fits, key=lambda pair: 0 if pair[0] == "#" else len(pair[0]))
        return [found] if found else []

    def name_of(self, address: Address) -> str | None:
        """The first name of an address."""
        hosts = self.hosts if address.version == 4 else self.hosts6
        return next((name for name, found in hosts.items() if int(address) in found), None)

    def answer(self, question: Message) -> Message | None:
        """Answer a question; None where nothing is known of it (somebody else may)."""
        if question.type == PTR:
            address = reverse_address(question.name)
            name = self.name_of(address) if address is not None else None
            return None if name is None else _reply(question, (name,))
        if question.type not in (A, AAAA):
            nothing = self.addresses(question.name) == [] and question.name.lower().rstrip(".") not in self.hosts6
            return _reply(question, (), NXDOMAIN) if nothing else None
        found = self.addresses(question.name, question.type)
        if found is None:
            return None
        return _reply(question, tuple(found)) if found else _reply(question, (), NXDOMAIN)

    def knows(self, name: str) -> bool:
        """Whether there is anything of a name."""
        return any(self.addresses(name, kind) for kind in (A, AAAA))


def below(name: str, domain: str) -> bool:
    """Whether a name is a domain or in it."""
    return domain == "#" or name == domain or name.endswith(f".{domain}")


def reply(
    question: Message, answers: tuple[int | str, ...] = (), code: int = NOERROR, authoritative: bool = False
) -> Message:
    """An answer to a question, with EDNS where that had it; who cannot say anything says so (EDE 14, Not Ready)."""
    told = {EXTENDED_ERROR: b"\0\x0e"} if code == REFUSED else {}
    edns = Edns(options=told) if question.edns is not None else None
    return replace(question, reply=True, code=code, answers=answers, authoritative=authoritative, edns=edns, ad=False)


def _reply(question: Message, answers: tuple[int | str, ...], code: int = NOERROR) -> Message:
    return reply(question, answers, code, authoritative=not code)
