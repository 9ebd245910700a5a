"""Rules: what they match and what they do, and how iptables writes them down.

Mirrors struct ipt_entry and the extensions addrtype, comment, conntrack, icmp, physdev, tcp, udp; ACCEPT, DNAT, DROP,
MASQUERADE, REDIRECT, REJECT, RETURN, SNAT (xtables, 1.8.9). A rule only matches and says; `tables` walks, `hooks` acts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simvlan.netfilter.nat import Range
from simvlan.stack.ipaddr import MASKS, ip_text

if TYPE_CHECKING:
    from simvlan.netfilter.view import View

PROTOCOLS = {
    "all": 0, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "ospf": 89, "pim": 103,
    "vrrp": 112, "sctp": 132,
}  # fmt: skip
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
REJECTS = {
    "icmp-net-unreachable": 0, "icmp-host-unreachable": 1, "icmp-proto-unreachable": 2, "icmp-port-unreachable": 3,
    "icmp-net-prohibited": 9, "icmp-host-prohibited": 10, "icmp-admin-prohibited": 13, "tcp-reset": -1,
}  # fmt: skip
"""--reject-with: the code of the unreachable message; -1: a TCP reset."""
ICMP_NAMES = {
    "any": (255, -1), "echo-reply": (0, -1), "destination-unreachable": (3, -1), "source-quench": (4, -1),
    "redirect": (5, -1), "echo-request": (8, -1), "time-exceeded": (11, -1), "parameter-problem": (12, -1),
    "timestamp-request": (13, -1), "timestamp-reply": (14, -1), "network-unreachable": (3, 0),
    "host-unreachable": (3, 1), "protocol-unreachable": (3, 2), "port-unreachable": (3, 3),
    "fragmentation-needed": (3, 4), "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1),
}  # fmt: skip


def bang(negated: bool) -> str:
    """The mark of a negated match, as it is written before an option."""
    return "! " if negated else ""


@dataclass(frozen=True)
class Net:
    """-s or -d."""

    address: int
    plen: int
    negated: bool = False

    def holds(self, address: int) -> bool:
        """Whether an address is meant."""
        return ((address ^ self.address) & MASKS[self.plen] == 0) is not self.negated

    def __str__(self) -> str:
        return f"{ip_text(self.address)}/{self.plen}"


@dataclass(frozen=True)
class Dev:
    """-i or -o; a name that ends in + stands for all that begin so."""

    name: str
    negated: bool = False

    def holds(self, name: str) -> bool:
        """Whether a device is meant; "" where there is none."""
        same = name.startswith(self.name[:-1]) if self.name.endswith("+") else name == self.name
        return same is not self.negated


@dataclass(frozen=True)
class Ports:
    """-m tcp, -m udp: one or both of --sport and --dport, as (first, last, negated)."""

    proto: int
    sport: tuple[int, int, bool] | None = None
    dport: tuple[int, int, bool] | None = None

    def matches(self, view: View) -> bool:
        """Whether the ports fit; a later fragment has none."""
        if view.later_fragment:
            return False
        return _in(self.sport, view.sport) and _in(self.dport, view.dport)

    def spec(self) -> str:
        """As iptables -S writes it."""
        words = ["-m", PROTOCOL_NAMES[self.proto]]
        for option, each in (("--sport", self.sport), ("--dport", self.dport)):
            if each is not None:
                words.append(f"{bang(each[2])}{option} {_span(each)}")
        return " ".join(words)


def _in(wanted: tuple[int, int, bool] | None, port: int) -> bool:
    return wanted is None or (wanted[0] <= port <= wanted[1]) is not wanted[2]


def _span(each: tuple[int, int, bool]) -> str:
    return str(each[0]) if each[0] == each[1] else f"{each[0]}:{each[1]}"


@dataclass(frozen=True)
class IcmpType:
    """-m icmp --icmp-type; code -1: any."""

    type: int
    code: int = -1
    negated: bool = False

    def matches(self, view: View) -> bool:
        """Whether type and code fit."""
        if view.later_fragment:
            return False
        same = self.type == 255 or (view.icmp_type == self.type and self.code in (-1, view.icmp_code))
        return same is not self.negated

    def spec(self) -> str:
        """As iptables -S writes it."""
        shown = "any" if self.type == 255 else str(self.type) + (f"/{self.code}" if self.code >= 0 else "")
        return f"-m icmp {bang(self.negated)}--icmp-type {shown}"


CT_ORDER = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
"""The order in which iptables writes states."""


@dataclass(frozen=True)
class CtState:
    """-m conntrack --ctstate, -m state --state."""

    states: frozenset[str]
    negated: bool = False
    module: str = "conntrack"

    def matches(self, view: View) -> bool:
        """Whether the packet's state is one of them."""
        return (not self.states.isdisjoint(view.states)) is not self.negated

    @property
    def listed(self) -> str:
        """The states, as iptables orders them."""
        return ",".join(name for name in CT_ORDER if name in self.states)

    def spec(self) -> str:
        """As iptables -S writes it."""
        option = "--ctstate" if self.module == "conntrack" else "--state"
        return f"-m {self.module} {bang(self.negated)}{option} {self.listed}"


@dataclass(frozen=True)
class AddrType:
    """-m addrtype --src-type, --dst-type: what kind of address it is to this host's routing."""

    src: tuple[str, bool] | None = None
    dst: tuple[str, bool] | None = None

    def matches(self, view: View) -> bool:
        """Whether the addresses are of those kinds."""
        return all(
            each is None or (view.kind_of(address) in each[0].split(",")) is not each[1]
            for each, address in ((self.src, view.src), (self.dst, view.dst))
        )

    def spec(self) -> str:
        """As iptables -S writes it."""
        words = ["-m addrtype"]
        for option, each in (("--src-type", self.src), ("--dst-type", self.dst)):
            if each is not None:
                words.append(f"{bang(each[1])}{option} {each[0]}")
        return " ".join(words)


@dataclass(frozen=True)
class Comment:
    """-m comment."""

    text: str

    def matches(self, view: View) -> bool:
        """Always."""
        return True

    def spec(self) -> str:
        """As iptables -S writes it: quoted where a shell would need it."""
        plain = self.text and all(c.isalnum() or c in "_-" for c in self.text)
        escaped = "".join("\\" + c if c in "\"\\'" else c for c in self.text)
        return f"-m comment --comment {self.text if plain else chr(34) + escaped + chr(34)}"


@dataclass(frozen=True)
class Bridged:
    """-m physdev --physdev-is-bridged: a frame that stays on its bridge."""

    negated: bool = False

    def matches(self, view: View) -> bool:
        """Whether br_netfilter brought it and it is not routed."""
        return view.bridged is not self.negated

    def spec(self) -> str:
        """As iptables -S writes it."""
        return f"-m physdev {bang(self.negated)}--physdev-is-bridged"


Match = Ports | IcmpType | CtState | AddrType | Comment | Bridged


@dataclass(frozen=True)
class Target:
    """-j: a verdict, a chain, or a translation."""

    name: str
    reject: str = ""
    range: Range | None = None
    """SNAT and DNAT: to what; MASQUERADE and REDIRECT: the ports, if any."""

    def spec(self) -> str:
        """As iptables -S writes it."""
        words = [f"-j {self.name}"]
        if self.name == "REJECT":
            words.append(f"--reject-with {self.reject}")
        if self.range is not None:
            option = {"SNAT": "--to-source", "DNAT": "--to-destination"}.get(self.name, "--to-ports")
            words.append(f"{option} {range_text(self.range)}")
        return " ".join(words)


def range_text(given: Range) -> str:
    """ADDRESS[-ADDRESS][:PORT[-PORT]]; the ports alone where there is no address."""
    address = ip_text(given.low) + (f"-{ip_text(given.high)}" if given.high != given.low else "") if given.low else ""
    if not given.port_low:
        return address
    port = str(given.port_low) + (f"-{given.port_high}" if given.port_high != given.port_low else "")
    return f"{address}:{port}" if address else port


@dataclass(eq=False)
class Rule:
    """One rule and its counters."""

    src: Net | None = None
    dst: Net | None = None
    in_dev: Dev | None = None
    out_dev: Dev | None = None
    proto: int = 0
    proto_negated: bool = False
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    packets: int = field(default=0)
    octets: int = field(default=0)

    def holds(self, view: View) -> bool:
        """Whether a packet matches (ip_packet_match, then each extension in turn)."""
        if self.src is not None and not self.src.holds(view.src):
            return False
        if self.dst is not None and not self.dst.holds(view.dst):
            return False
        if self.in_dev is not None and not self.in_dev.holds(view.in_dev):
            return False
        if self.out_dev is not None and not self.out_dev.holds(view.out_dev):
            return False
        if self.proto and (view.proto == self.proto) is self.proto_negated:
            return False
        return all(each.matches(view) for each in self.matches)

    @property
    def tracks(self) -> bool:
        """Whether it needs connection tracking (xt_ct: nf_ct_netns_get)."""
        names = ("SNAT", "DNAT", "MASQUERADE", "REDIRECT")
        return any(isinstance(m, CtState) for m in self.matches) or (
            self.target is not None and self.target.name in names
        )

    def same(self, other: Rule) -> bool:
        """Whether two rules say the same, counters aside (-D, -C)."""
        return self.spec() == other.spec()

    def spec(self, counters: bool = False) -> str:
        """The rule as iptables -S writes it, behind the chain's name."""
        words = []
        for option, net in (("-s", self.src), ("-d", self.dst)):
            if net is not None:
                words.append(f"{bang(net.negated)}{option} {net}")
        for option, dev in (("-i", self.in_dev), ("-o", self.out_dev)):
            if dev is not None:
                words.append(f"{bang(dev.negated)}{option} {dev.name}")
        if self.proto:
            words.append(f"{bang(self.proto_negated)}-p {PROTOCOL_NAMES.get(self.proto, self.proto)}")
        words += [each.spec() for each in self.matches]
        if counters:
            words.append(f"-c {self.packets} {self.octets}")
        if self.target is not None:
            words.append(self.target.spec())
        return " ".join(words)
