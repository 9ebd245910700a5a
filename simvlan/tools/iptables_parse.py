"""The command line of iptables 1.8.9, as far as it is built; what is not is refused by name.

Mirrors do_parse of iptables/xshared.c. What stands behind an option is read by `iptables_values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from simvlan.netfilter.rules import Dev, Rule
from simvlan.tools import iptables_values as values
from simvlan.tools.iptables_values import Mistake, NotBuilt

VERSION = "1.8.9"
COMMANDS = {
    "append": "A", "delete": "D", "insert": "I", "replace": "R", "list": "L", "list-rules": "S", "flush": "F",
    "new-chain": "N", "new": "N", "delete-chain": "X", "policy": "P", "check": "C", "zero": "Z", "rename-chain": "E",
}  # fmt: skip
LONG = {
    "source": "s", "src": "s", "destination": "d", "dst": "d", "in-interface": "i", "out-interface": "o",
    "protocol": "p", "proto": "p", "jump": "j", "table": "t", "match": "m", "numeric": "n", "verbose": "v",
    "exact": "x", "line-numbers": "0", "wait": "w", "set-counters": "c", "goto": "g", "fragment": "f", "ipv4": "4",
    "ipv6": "6", "version": "V", "help": "h", "modprobe": "M", "wait-interval": "W",
}  # fmt: skip
VALUED = frozenset("sdiopjtmgMW")
KNOWN_MATCHES = frozenset(("addrtype", "comment", "conntrack", "icmp", "physdev", "state", "tcp", "udp"))
REAL_MATCHES = frozenset(
    ("ah", "bpf", "cgroup", "cluster", "connbytes", "connlabel", "connlimit", "connmark", "cpu", "dccp", "devgroup",
     "dscp", "ecn", "esp", "hashlimit", "helper", "iprange", "ipvs", "length", "limit", "mac", "mark", "multiport",
     "nfacct", "osf", "owner", "pkttype", "policy", "quota", "rateest", "realm", "recent", "rpfilter", "sctp", "set",
     "socket", "statistic", "string", "tcpmss", "time", "tos", "ttl", "u32")
)  # fmt: skip
REAL_TARGETS = frozenset(
    ("AUDIT", "CHECKSUM", "CLASSIFY", "CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HMARK", "IDLETIMER",
     "LED", "LOG", "MARK", "NETMAP", "NFLOG", "NFQUEUE", "NOTRACK", "QUEUE", "RATEEST", "SECMARK", "SET", "SYNPROXY",
     "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL", "ULOG")
)  # fmt: skip
OF_TARGET = {
    "reject-with": "REJECT", "to-destination": "DNAT", "to-source": "SNAT", "to-ports": "MASQUERADE, REDIRECT",
}  # fmt: skip


@dataclass
class Order:
    """One command line, read."""

    table: str = "filter"
    command: str = ""
    chain: str = ""
    number: int = 0
    new_name: str = ""
    policy: str = ""
    rule: Rule = field(default_factory=Rule)
    flags: set[str] = field(default_factory=set)


class Parser:
    """Reads one command line."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.order = Order()
        self.negated = False
        self.matches: list[object] = []
        """Matches in order: names until their options have come, then what they became."""
        self.options: dict[str, dict[str, tuple[str, bool]]] = {}
        self.target = ""
        self.target_options: dict[str, str] = {}

    def read(self) -> Order:
        """The order. Raises Mistake, NotBuilt."""
        while self.words:
            word = self.words.pop(0)
            if word == "!":
                if self.negated:
                    raise Mistake("Multiple `!' flags not allowed")
                self.negated = True
                continue
            if word.startswith("--"):
                self._long(word[2:])
            elif word.startswith("-") and len(word) > 1:
                self._short(word[1:])
            else:
                raise Mistake(f"Bad argument `{word}'", bare=True)
            self.negated = False
        if not self.order.command and not self.order.flags & {"V", "h"}:
            raise Mistake("no command specified")
        self._finish()
        return self.order

    # -- options ------------------------------------------------------------------------------------------------------

    def _short(self, letters: str) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "ADIRLSFNXPCZE":
                if letters:  # -nvL has its command last; what follows one is its chain
                    self.words.insert(0, letters)
                return self._command(letter)
            if letter in VALUED:
                if letters:
                    self.words.insert(0, letters)
                return self._general(letter, f"-{letter}")
            self._flag(letter, f"-{letter}")
        return None

    def _long(self, name: str) -> None:
        name, equals, value = name.partition("=")
        if equals:
            self.words.insert(0, value)
        if name in COMMANDS:
            self._command(COMMANDS[name])
        elif name in LONG:
            letter = LONG[name]
            self._general(letter, f"--{name}") if letter in VALUED else self._flag(letter, f"--{name}")
        else:
            self._extension(name)

    def _value(self, option: str) -> str:
        if not self.words:
            raise Mistake(f'option "{option}" requires an argument')
        return self.words.pop(0)

    def _peek(self) -> str | None:
        """The next word if it is an operand."""
        return self.words[0] if self.words and self.words[0][:1] not in ("-", "!") else None

    def _flag(self, letter: str, option: str) -> None:
        if letter in "gf6":
            raise NotBuilt(f"iptables {option}")
        if letter not in "nvx0w4cVh":
            raise Mistake(f'unknown option "{option}"')
        if letter == "w" and self._peek() is not None and self._peek().isdigit():  # type: ignore[union-attr]
            self.words.pop(0)
        elif letter == "c":
            self.order.rule.packets, self.order.rule.octets = (self._count(option) for _ in range(2))
        self.order.flags.add(letter)

    def _count(self, option: str) -> int:
        text = self._value(option)
        if not text.isdigit():
            raise Mistake(f"{option} packet counter not numeric")
        return int(text)

    def _command(self, letter: str) -> None:
        order = self.order
        if order.command:
            raise Mistake(f"Cannot use -{letter} with -{order.command}")
        order.command = letter
        if letter in "LSFXZ":
            order.chain = self.words.pop(0) if self._peek() is not None else ""
            if letter in "LSZ" and self._peek() is not None:
                order.number = int(self.words.pop(0))
            return
        order.chain = self._value(f"-{letter}")
        if letter in "NE" and order.chain.startswith(("-", "!")):
            raise Mistake(f"chain name not allowed to start with `{order.chain[0]}'")
        if len(order.chain) > 28:
            raise Mistake(f"chain name `{order.chain}' too long (must be under 29 chars)")
        if letter == "P":
            order.policy = self._value("-P")
        elif letter == "E":
            order.new_name = self._value("-E")
        elif letter == "R" or (letter in "DI" and self._peek() is not None):
            text = self._value(f"-{letter}")
            if not text.isdigit() or not int(text):
                raise Mistake(f"Invalid rule number `{text}'")
            order.number = int(text)
        elif letter == "I":
            order.number = 1

    def _general(self, letter: str, option: str) -> None:
        if letter == "g":
            raise NotBuilt("iptables -g (goto)")
        value, rule = self._value(option), self.order.rule
        if letter == "t":
            self.order.table = value
        elif letter in "sd":
            net = values.net(value, self.negated)
            if letter == "s":
                rule.src = net
            else:
                rule.dst = net
        elif letter in "io":
            self._device(letter, value)
        elif letter == "p":
            rule.proto, rule.proto_negated = values.protocol(value), self.negated
        elif letter == "j":
            self._jump(value)
        elif letter == "m":
            self._match(value)

    def _device(self, letter: str, value: str) -> None:
        rule, chain = self.order.rule, self.order.chain
        if letter == "o" and chain in ("PREROUTING", "INPUT"):
            raise Mistake(f"Can't use -o with {chain}\n")
        if letter == "i" and chain in ("POSTROUTING", "OUTPUT"):
            raise Mistake(f"Can't use -i with {chain}\n")
        if len(value) > 15:
            raise Mistake(f"interface name `{value}' must be shorter than IFNAMSIZ (15)")
        dev = None if value == "+" else Dev(value, self.negated)
        if letter == "i":
            rule.in_dev = dev
        else:
            rule.out_dev = dev

    def _jump(self, name: str) -> None:
        if name in REAL_TARGETS:
            raise NotBuilt(f"iptables -j {name}")
        self.target = name

    def _match(self, name: str) -> None:
        if name in REAL_MATCHES:
            raise NotBuilt(f"iptables -m {name}")
        if name not in KNOWN_MATCHES:
            raise Mistake(f"Couldn't load match `{name}':No such file or directory\n")
        if name not in self.options:
            self.options[name] = {}
            self.matches.append(name)

    # -- extensions ---------------------------------------------------------------------------------------------------

    def _extension(self, name: str) -> None:
        """An option of a match that was loaded, of the protocol, or of the target."""
        own = next((each for each, targets in OF_TARGET.items() if self.target in targets.split(", ")), "")
        if name and own.startswith(name):  # getopt_long: `--to` is enough
            self.target_options[own] = self._value(f"--{name}")
            return
        if self.target and name in ("random", "random-fully", "persistent"):
            raise NotBuilt(f"iptables -j {self.target} --{name}")
        module, key = self._owner(name)
        if key == "physdev-is-bridged":
            self.options[module][key] = ("", self.negated)
            return
        self.options[module][key] = (self._value(f"--{name}"), self.negated)

    def _owner(self, name: str) -> tuple[str, str]:
        name = {"source-port": "sport", "destination-port": "dport"}.get(name, name)
        homes = {
            "ctstate": "conntrack", "state": "state", "comment": "comment", "src-type": "addrtype",
            "dst-type": "addrtype", "physdev-is-bridged": "physdev",
        }  # fmt: skip
        if homes.get(name) in self.options:
            return homes[name], name
        proto = {6: "tcp", 17: "udp", 1: "icmp"}.get(self.order.rule.proto, "")
        for module, names in (("tcp", ("sport", "dport")), ("udp", ("sport", "dport")), ("icmp", ("icmp-type",))):
            if name in names and (module in self.options or module == proto):
                self._match(module)
                return module, name
        for module in ("conntrack", "physdev", "addrtype", "tcp"):
            if module in self.options and name in _UNBUILT.get(module, ()):
                raise NotBuilt(f"iptables -m {module} --{name}")
        if proto == "tcp" and name in _UNBUILT["tcp"]:
            raise NotBuilt(f"iptables -p tcp --{name}")
        raise Mistake(f'unknown option "--{name}"')

    def _finish(self) -> None:
        rule = self.order.rule
        built = [values.match(str(name), self.options[str(name)], rule.proto) for name in self.matches]
        rule.matches = tuple(each for each in built if each is not None)
        if self.target:
            rule.target = values.target(self.target, self.target_options, rule.proto)


_UNBUILT = {
    "conntrack": ("ctproto", "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst", "ctorigsrcport", "ctorigdstport",
                  "ctreplsrcport", "ctrepldstport", "ctstatus", "ctexpire", "ctdir"),
    "physdev": ("physdev-in", "physdev-out", "physdev-is-in", "physdev-is-out"),
    "addrtype": ("limit-iface-in", "limit-iface-out"),
    "tcp": ("syn", "tcp-flags", "tcp-option"),
}  # fmt: skip


ADDRESSED = ("-s", "--src", "--source", "-d", "--dst", "--destination")


def orders(words: Sequence[str]) -> list[Order]:
    """Read a command line; one order for each of the addresses after -s and -d, sources first (add_entry).

    Raises:
        Mistake: a bad command line; nothing is to be done then.
        NotBuilt: iptables has it, we do not.
    """
    at = [place + 1 for place, word in enumerate(words[:-1]) if word in ADDRESSED and "," in words[place + 1]]
    at.sort(key=lambda place: words[place - 1] in ADDRESSED[3:])
    if any(place >= 2 and words[place - 2] == "!" for place in at):
        raise Mistake("! not allowed with multiple source or destination IP addresses")
    made = []
    for chosen in product(*(words[place].split(",") for place in at)):
        one = list(words)
        for place, address in zip(at, chosen, strict=True):
            one[place] = address
        made.append(Parser(one).read())
    if len(made) > 1 and made[0].command == "R":
        raise Mistake("Replacement rule does not specify a unique address")
    return made
