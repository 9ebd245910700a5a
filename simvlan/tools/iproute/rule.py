"""`ip rule`: commands over the namespace's policy rules. Mirrors do_iprule of ip/iprule.c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.args import Args, Prefix, any_prefix, ip6_text, ip_text, look_up, matches, need, table, u32
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import USAGE, Quit, invalid, missing, refuse
from simvlan.tools.iproute.names import PROTOCOLS, TABLES, name_of, value_of
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.stack.fib_rules import Rule
    from simvlan.tools.iproute.context import Context

MAIN_TABLE = 254
ALL_MARK = 0xFFFF_FFFF
_VERBS = table([("list|lst|show", "show"), ("save|restore", "keep"), ("add", "add"), ("delete", "delete"),
                ("flush", "flush"), ("help", "help")])  # fmt: skip


def do_rule(ctx: Context, args: Args) -> None:
    """Run one `ip rule` command."""
    word = args.take() if args else "show"
    verb = look_up(_VERBS, word)
    if verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip rule help".\n')
    if verb == "help":
        raise usage("rule")
    if verb == "keep":
        raise refuse(f"ip rule {word}")
    if verb == "show":
        show(ctx, args)
    elif verb == "flush":
        flush(ctx, args)
    else:
        if not args:
            raise missing(f'"ip rule {"add" if verb == "add" else "del"}" requires arguments.')
        modify(ctx, args, verb)


# -- words ------------------------------------------------------------------------------------------------------------


@dataclass
class RuleWords:
    """A rule as typed; None is what was not said."""

    family: str | None = None
    invert: bool = False
    src: Prefix | None = None
    dst: Prefix | None = None
    priority: int | None = None
    tos: int | None = None
    fwmark: tuple[int, int] | None = None
    table: int | None = None
    suppress: int | None = None
    iif: str | None = None
    oif: str | None = None
    proto: int | None = None
    action: str | None = None


def _prefix_of(key: str) -> keywords.Rule[RuleWords]:
    def rule(ctx: Context, words: RuleWords, args: Args) -> None:
        setattr(words, key, any_prefix(args.value(), words.family))

    return rule


def _table(ctx: Context, words: RuleWords, args: Args) -> None:
    text = args.value()
    words.table = value_of(TABLES, text, 0xFFFF_FFFF)
    if words.table is None:
        raise invalid("invalid table ID\n", text)
    if not words.table:
        raise refuse("table 0 of ip rule (a table that is free)")


def _fwmark(ctx: Context, words: RuleWords, args: Args) -> None:
    mark, slash, mask = args.value().partition("/")
    value = need(u32, mark, invalid("fwmark value is invalid\n", mark))
    words.fwmark = value, need(u32, mask, invalid("fwmask value is invalid\n", mask)) if slash else ALL_MARK


def _tos(ctx: Context, words: RuleWords, args: Args) -> None:
    text = args.value()
    plain = all(char in "0123456789abcdefABCDEF" for char in text)
    value = int(text, 16) if plain and text else u32(text)
    if value is None or value > 255:
        raise invalid("TOS value is invalid\n", text)
    words.tos = value


def _priority(ctx: Context, words: RuleWords, args: Args) -> None:
    text = args.value()
    words.priority = need(u32, text, invalid("preference value is invalid\n", text))


def _suppress(ctx: Context, words: RuleWords, args: Args) -> None:
    text = args.value()
    words.suppress = need(u32, text, invalid("suppress_prefixlength value is invalid\n", text))


def _type(ctx: Context, words: RuleWords, args: Args) -> None:
    _action(ctx, words, args, args.value())


def _action(ctx: Context, words: RuleWords, args: Args, word: str) -> None:
    """A word that is no keyword is a type."""
    if matches(word, "help"):
        raise usage("rule")
    if word in ("nat", "goto", "nop", "realms", "map-to"):
        raise refuse(f"the option {word} of ip rule")
    if word not in ("unicast", "blackhole", "unreachable", "prohibit"):
        raise Quit(USAGE, f'Error: argument "{word}" is wrong: Failed to parse rule type\n')
    words.action = "lookup" if word == "unicast" else word


_WORDS = table(
    [
        ("=not", keywords.switch("invert")),
        ("=from", _prefix_of("src")),
        ("=to", _prefix_of("dst")),
        ("preference|=order|priority", _priority),
        ("=tos|dsfield", _tos),
        ("=fwmark", _fwmark),
        ("realms", keywords.refused("ip rule")),
        ("protocol", keywords.named("proto", PROTOCOLS, '"protocol" value is invalid\n')),
        ("table|=lookup", _table),
        ("suppress_prefixlength|=sup_pl", _suppress),
        ("suppress_ifgroup|=sup_group", keywords.refused("ip rule")),
        ("=dev|=iif", keywords.text("iif")),
        ("=oif", keywords.text("oif")),
        ("=l3mdev|=uidrange|=tun_id|=ipproto|=sport|=dport|=nop|goto|=nat|=map-to", keywords.refused("ip rule")),
        ("=type", _type),
    ]
)  # fmt: skip


# -- changing ---------------------------------------------------------------------------------------------------------


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add or delete a rule."""
    from simvlan.rtnl import rule as rtnl

    words = keywords.read(ctx, args, _WORDS, RuleWords(ctx.opt.family), _action)
    made = _rule(words, verb == "add", _family(ctx))
    families = tuple(6 if end is not None and end.family == "inet6" else made.family for end in (words.src, words.dst))
    with ctx.kernel():
        (rtnl.rule_add if verb == "add" else rtnl.rule_del)(ctx.ns, made, words.priority is not None, families)
    ctx.net.drain()


def _rule(words: RuleWords, adding: bool, family: int) -> Rule:
    """Build what is asked for; an addition leads to the main table unless it says otherwise."""
    from simvlan.stack.fib_rules import Rule

    action = words.action or ("lookup" if adding or words.table else "")
    number = words.table or (MAIN_TABLE if adding and action == "lookup" else 0)
    return Rule(
        words.priority or 0, action, number, _pair(words.src), _pair(words.dst), words.iif, words.oif, words.fwmark,
        words.tos or 0, words.invert, -1 if words.suppress is None else words.suppress, words.proto or 0, family,
    )  # fmt: skip


def _pair(prefix: Prefix | None) -> tuple[int, int] | None:
    return None if prefix is None or not prefix.length else (prefix.address, prefix.length)


# -- showing ----------------------------------------------------------------------------------------------------------


def show(ctx: Context, args: Args) -> None:
    """List the rules that fit."""
    ctx.show([rule_record(ctx, rule) for rule in _selected(ctx, args)], rule_text)


def flush(ctx: Context, args: Args) -> None:
    """Delete every rule that fits, but not those of priority 0."""
    from simvlan.rtnl.rule import rule_flush

    with ctx.kernel():
        rule_flush(ctx.ns, _family(ctx), [rule for rule in _selected(ctx, args) if rule.priority])
    ctx.net.drain()


def _family(ctx: Context) -> int:
    return 6 if ctx.opt.family == "inet6" else 4


def _selected(ctx: Context, args: Args) -> list[Rule]:
    words = keywords.read(ctx, args, _WORDS, RuleWords(ctx.opt.family or "inet"), _no_type)
    return [rule for rule in _rules(ctx) if _fits(words, rule)]


def _rules(ctx: Context) -> list[Rule]:
    """Those of a family; where IPv6 is off, the kernel's own."""
    from simvlan.stack.ipv6.fib6 import Fib6

    if _family(ctx) == 4:
        return list(ctx.ns.stack.fib.rules)
    ip6 = ctx.ns.stack.ip6
    return list(Fib6().rules if ip6 is None else ip6.fib.rules)


def _no_type(ctx: Context, words: RuleWords, args: Args, word: str) -> None:
    """In a listing a word that is no keyword is a source."""
    words.src = any_prefix(word, words.family)


def _fits(words: RuleWords, rule: Rule) -> bool:
    rows = (
        (words.priority, rule.priority),
        (words.table or None, rule.table),
        (words.iif, rule.iif),
        (words.oif, rule.oif),
        (words.tos, rule.tos),
        (words.fwmark and words.fwmark[0], rule.fwmark and rule.fwmark[0]),
        (words.proto, rule.protocol),
    )
    if any(want is not None and want != have for want, have in rows):
        return False
    pairs = ((words.src, rule.src), (words.dst, rule.dst))
    return all(_covered(want, has) for want, has in pairs if want is not None and want.length)


def _covered(want: Prefix, has: tuple[int, int] | None) -> bool:
    return has is not None and has[1] >= want.length and want.covers(has[0])


def rule_record(ctx: Context, rule: Rule) -> Record:
    """Describe a rule."""
    record: Record = {"priority": rule.priority}
    if rule.invert:
        record["not"] = None
    record |= _ends(rule)
    if rule.tos:
        record["tos"] = f"0x{rule.tos:x}"
    if rule.fwmark is not None:
        record["fwmark"] = f"0x{rule.fwmark[0]:x}"
        if rule.fwmark[1] != ALL_MARK:
            record["fwmask"] = f"0x{rule.fwmark[1]:x}"
    for key in ("iif", "oif"):
        name = getattr(rule, key)
        if name is not None:
            record[key] = name
            if name not in ctx.ns.devices:
                record[f"{key}_detached"] = None
    if rule.action != "lookup":
        record["action"] = rule.action
    else:
        record["table"] = name_of(TABLES, rule.table)
        if rule.suppress_prefixlength >= 0:
            record["suppress_prefixlen"] = rule.suppress_prefixlength
    if ctx.opt.details or rule.protocol not in (0, 2):
        record["protocol"] = name_of(PROTOCOLS, rule.protocol)
    return record


def _ends(rule: Rule) -> Record:
    text = ip6_text if rule.family == 6 else ip_text
    record: Record = {"src": "all" if rule.src is None else text(rule.src[0])}
    for key, prefix in (("src", rule.src), ("dst", rule.dst)):
        if prefix is not None:
            record[key] = text(prefix[0])
            if prefix[1] != (128 if rule.family == 6 else 32):
                record[f"{key}len"] = prefix[1]
    return record


def rule_text(record: Record) -> str:
    """Write a rule."""
    parts = [f"{record['priority']}:\t{'not ' if 'not' in record else ''}from {_end(record, 'src')}"]
    parts += [f"to {_end(record, 'dst')}"] if "dst" in record else []
    parts += [f"tos {record['tos']}"] if "tos" in record else []
    if "fwmark" in record:
        parts.append(f"fwmark {record['fwmark']}" + (f"/{record['fwmask']}" if "fwmask" in record else ""))
    for key in ("iif", "oif"):
        if key in record:
            parts.append(f"{key} {record[key]}" + (" [detached]" if f"{key}_detached" in record else ""))
    parts.append(record["action"] if "action" in record else f"lookup {record['table']}")
    parts += [f"suppress_prefixlength {record['suppress_prefixlen']}"] if "suppress_prefixlen" in record else []
    parts += [f"proto {record['protocol']}"] if "protocol" in record else []
    return " ".join(parts) + "\n"


def _end(record: Record, key: str) -> str:
    return f"{record[key]}/{record[f'{key}len']}" if f"{key}len" in record else str(record[key])
