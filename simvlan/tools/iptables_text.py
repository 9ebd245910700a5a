"""What iptables 1.8.9 prints: -L with its columns, -S, and iptables-save."""

from __future__ import annotations

from collections.abc import Iterable

from simvlan.netfilter.rules import (
    ICMP_NAMES,
    PROTOCOL_NAMES,
    AddrType,
    Bridged,
    Comment,
    CtState,
    Dev,
    IcmpType,
    Match,
    Net,
    Ports,
    Rule,
    Target,
    range_text,
)
from simvlan.netfilter.tables import Chain, Table
from simvlan.tools.iptables_values import SERVICES

_SERVICE_NAMES = {number: name for name, number in SERVICES.items()}
_ICMP = {pair: name for name, pair in reversed(ICMP_NAMES.items())}


def chains_of(table: Table) -> list[Chain]:
    """The chains in the order of a listing: built-in ones, then by name."""
    own = sorted((chain for chain in table.chains.values() if not chain.policy), key=lambda chain: chain.name)
    return [chain for chain in table.chains.values() if chain.policy] + own


def listed(table: Table, chains: Iterable[Chain], flags: set[str], number: int = 0) -> str:
    """-L: n numeric, v verbose, x exact counters, 0 line numbers."""
    return "\n".join(_chain(table, chain, flags, number) for chain in chains)


def _chain(table: Table, chain: Chain, flags: set[str], number: int) -> str:
    lines = [] if number else [_head(table, chain, flags), _columns(flags)]
    for at, rule in enumerate(chain.rules, 1):
        if number in (0, at):
            lines.append(_row(rule, at, flags))
    return "".join(line + "\n" for line in lines)


def _head(table: Table, chain: Chain, flags: set[str]) -> str:
    if not chain.policy:
        return f"Chain {chain.name} ({table.references(chain.name)} references)"
    counted = " 0 packets, 0 bytes" if "v" in flags else ""  # nf_tables counts no policies
    return f"Chain {chain.name} (policy {chain.policy}{counted})"


def _columns(flags: set[str]) -> str:
    number = "num  " if "0" in flags else ""
    if "v" not in flags:
        return f"{number}target     prot opt source               destination         "
    counters = "    pkts      bytes" if "x" in flags else " pkts bytes"
    return f"{number}{counters} target     prot opt in     out     source               destination         "


def _row(rule: Rule, at: int, flags: set[str]) -> str:
    numeric, made = "n" in flags, f"{at:<4} " if "0" in flags else ""
    if "v" in flags:
        made += _count(rule.packets, "x" in flags) + _count(rule.octets, "x" in flags)
    target = rule.target.name if rule.target is not None else ""
    made += f"{target:<9} {'!' if rule.proto_negated else ' '}{_proto(rule, numeric):<4} --  "
    if "v" in flags:
        made += f"{_dev(rule.in_dev, numeric):<6} {_dev(rule.out_dev, numeric):<6} "
    made = made[:-1] if "v" not in flags else made
    made += _net(rule.src, numeric) + _net(rule.dst, numeric)
    tail = [_match(each, numeric) for each in rule.matches]
    tail += [_target(rule.target)] if rule.target is not None else []
    return made + "".join(" " + text for text in tail if text)


def _count(number: int, exact: bool) -> str:
    if exact:
        return f"{number:>8} "
    if number <= 99_999:
        return f"{number:>5} "
    for unit in "KMGT":
        number = (number + 500) // 1000
        if number <= 9999:
            return f"{number:>4}{unit} "
    return f"{number:>4}T "


def _proto(rule: Rule, numeric: bool) -> str:
    return str(rule.proto) if numeric else PROTOCOL_NAMES.get(rule.proto, str(rule.proto))


def _dev(dev: Dev | None, numeric: bool) -> str:
    return ("*" if numeric else "any") if dev is None else ("!" if dev.negated else "") + dev.name


def _net(net: Net | None, numeric: bool) -> str:
    text = ("0.0.0.0/0" if numeric else "anywhere") if net is None else str(net).removesuffix("/32")
    return f"{'!' if net is not None and net.negated else ' '}{text:<19} "


def _match(each: Match, numeric: bool) -> str:
    match each:
        case Ports():
            return _ports(each, numeric)
        case IcmpType():
            return _icmp(each, numeric)
        case CtState():
            word = "ctstate" if each.module == "conntrack" else "state"
            return f"{'! ' if each.negated else ''}{word} {each.listed}"
        case AddrType():
            kinds = (("src-type", each.src), ("dst-type", each.dst))
            shown = [f"{word} {'!' if kind[1] else ''}{kind[0]}" for word, kind in kinds if kind is not None]
            return "ADDRTYPE match " + " ".join(shown)
        case Comment():
            return f"/* {each.text} */"
        case Bridged():
            return f"PHYSDEV match {'! ' if each.negated else ''}--physdev-is-bridged"


def _ports(each: Ports, numeric: bool) -> str:
    words = [PROTOCOL_NAMES[each.proto]]
    for short, span in (("spt", each.sport), ("dpt", each.dport)):
        if span is not None:
            low, high, negated = span
            one = str(low) if numeric else _SERVICE_NAMES.get(low, str(low))
            text = f"{short}:" if low == high else f"{short}s:"
            words.append(f"{text}{'!' if negated else ''}{one if low == high else f'{low}:{high}'}")
    return " ".join(words)


def _icmp(each: IcmpType, numeric: bool) -> str:
    if numeric or (each.type, each.code) not in _ICMP:
        code = f" code {each.code}" if each.code >= 0 else ""
        return f"icmp !type {each.type}{code}" if each.negated else f"icmptype {each.type}{code}"
    return f"icmp {'!' if each.negated else ''}{_ICMP[each.type, each.code]}"


def _target(target: Target) -> str:
    if target.name == "REJECT":
        return f"reject-with {target.reject}"
    if target.range is None:
        return ""
    words = {"MASQUERADE": "masq ports: ", "REDIRECT": "redir ports "}
    return words.get(target.name, "to:") + range_text(target.range)


def rules_text(chains: list[Chain], counters: bool) -> str:
    """-S: policies and chains, then rules."""
    tail = " -c 0 0" if counters else ""
    lines = [f"-P {c.name} {c.policy}{tail}" if c.policy else f"-N {c.name}" for c in chains]
    lines += [f"-A {chain.name} {rule.spec(counters)}".rstrip() for chain in chains for rule in chain.rules]
    return "".join(line + "\n" for line in lines)


def saved(table: Table, counters: bool, moment: str, variant: str) -> str:
    """One table as iptables-save writes it; *moment*: the date in its comments."""
    lines = [f"# Generated by iptables-save v1.8.9{variant} on {moment}", f"*{table.name}"]
    chains = chains_of(table)
    lines += [f":{chain.name} {chain.policy or '-'} [0:0]" for chain in chains]
    for chain in chains:
        for rule in chain.rules:
            count = f"[{rule.packets}:{rule.octets}] " if counters else ""
            lines.append(f"{count}-A {chain.name} {rule.spec()}".rstrip())
    lines += ["COMMIT", f"# Completed on {moment}"]
    return "".join(line + "\n" for line in lines)
