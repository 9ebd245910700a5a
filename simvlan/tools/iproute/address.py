"""`ip address`: add, change, delete. Mirrors ipaddr_modify and do_ipaddr of ip/ipaddress.c."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EOPNOTSUPP
from typing import TYPE_CHECKING

from simvlan.errors import RtnlError
from simvlan.tools.iproute import keywords
from simvlan.tools.iproute.address_show import FOREVER, flush, show
from simvlan.tools.iproute.args import Args, Prefix, address, any_prefix, matches, need, table, u32
from simvlan.tools.iproute.errors import (
    duplicate,
    duplicate_or_garbage,
    invalid,
    missing,
    refuse,
)
from simvlan.tools.iproute.names import SCOPES
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.ipaddr import Ifaddr
    from simvlan.tools.iproute.context import Context

HOST_SCOPE = 254

_VERBS = table(
    [
        ("add", "add"),
        ("change|=chg", "change"),
        ("replace", "replace"),
        ("delete", "delete"),
        ("list|show|lst", "show"),
        ("flush", "flush"),
        ("save", "save"),
        ("showdump", "showdump"),
        ("restore", "restore"),
        ("help", "help"),
    ]
)


def do_address(ctx: Context, args: Args) -> None:
    """Run one `ip address` command."""
    if not args:
        show(ctx, args)
        return
    verb = keywords.verb(args, _VERBS, "ip address")
    if verb in ("save", "showdump", "restore"):
        raise refuse(f"ip address {verb}")
    if verb == "show":
        show(ctx, args)
    elif verb == "flush":
        flush(ctx, args)
    else:
        modify(ctx, args, verb)


# -- changing ----------------------------------------------------------------------------------------------------------


@dataclass
class AddressWords:
    """A request as typed."""

    family: str | None = None
    """inet or inet6 once an address was read: from then on only such are expected."""
    local: Prefix | None = None
    local_text: str = ""
    peer: Prefix | None = None
    broadcast: int | str | None = None
    label: str = ""
    scope: int | None = None
    dev: str | None = None
    metric: int = 0
    valid_lft: int | None = None
    preferred_lft: int | None = None
    noprefixroute: bool = False
    nodad: bool = False
    optimistic: bool = False
    home: bool = False
    mngtmpaddr: bool = False


def _peer(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    if words.peer is not None:
        raise duplicate("peer", text)
    words.peer = any_prefix(text, words.family)
    words.family = words.family or (None if words.peer.unset else words.peer.family)


def _broadcast(ctx: Context, words: AddressWords, args: Args) -> None:
    text = args.value()
    if words.broadcast is not None:
        raise duplicate("broadcast", text)
    words.broadcast = text if text in ("+", "-") else address(text, words.family)
    if text not in ("+", "-"):
        words.family = "inet"


def _lifetime(key: str) -> keywords.Rule[AddressWords]:
    def rule(ctx: Context, words: AddressWords, args: Args) -> None:
        if getattr(words, key) is not None:
            raise duplicate(key, args.words[args.at - 1])
        text = args.value()
        seconds = FOREVER if text == "forever" else need(u32, text, invalid(f"{key} value", text))
        setattr(words, key, seconds)

    return rule


def _readonly(ctx: Context, words: AddressWords, args: Args) -> None:
    ctx.warn(f"Warning: {args.words[args.at - 1]} option is not mutable from userspace\n")


def _ipv6_only(ctx: Context, words: AddressWords, args: Args) -> None:
    word = args.words[args.at - 1]
    if words.family != "inet6":
        ctx.warn(f"Warning: {word} option can be set only for IPv6 addresses\n")
    else:
        setattr(words, word, True)


_RULES: list[tuple[str, keywords.Rule[AddressWords]]] = [
    ("=peer|=remote", _peer),
    ("broadcast|=brd", _broadcast),
    ("=anycast", keywords.refused("ip address")),
    ("=scope", keywords.named("scope", SCOPES, "invalid scope value.")),
    ("=dev", keywords.text("dev")),
    ("=label", keywords.text("label")),
    ("metric|priority|preference", keywords.number("metric", '"metric" value is invalid\n')),
    ("valid_lft", _lifetime("valid_lft")),
    ("preferred_lft", _lifetime("preferred_lft")),
    ("=secondary|=temporary|=dadfailed|=deprecated|=tentative|=permanent|=stable-privacy", _readonly),
    ("=nodad|=optimistic|=home|=mngtmpaddr", _ipv6_only),
    ("=noprefixroute", keywords.switch("noprefixroute")),
    ("=autojoin", keywords.refused("ip address")),
]
_WORDS = table(_RULES)


def parse(ctx: Context, args: Args) -> AddressWords:
    """Read the words of a request."""
    return keywords.read(ctx, args, _WORDS, AddressWords(ctx.opt.family), _local)


def _local(ctx: Context, into: AddressWords, args: Args, word: str) -> None:
    if word == "local":
        word = args.value()
    if matches(word, "help"):
        raise usage("address")
    if into.local is not None:
        raise duplicate_or_garbage("local", word)
    into.local, into.local_text = any_prefix(word, into.family), word
    into.family = into.family or (None if into.local.unset else into.local.family)


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Add, change or delete an address."""
    words = parse(ctx, args)
    if words.dev is None:
        raise missing('Not enough information: "dev" argument is required.')
    six = words.family == "inet6"
    wildcard = verb == "delete" and not six and words.peer is None and words.local is not None and _no_length(words)
    if wildcard:
        ctx.warn(
            "Warning: Executing wildcard deletion to stay compatible with old scripts.\n"
            f"         Explicitly specify the prefix length ({words.local_text}/32) to avoid this warning.\n"
            "         This special behaviour is likely to disappear in further releases,\n"
            "         fix your scripts!\n"
        )
    dev = ctx.need(words.dev)
    _check_lifetimes(words)
    with ctx.kernel():
        if words.peer is None and (words.local is None or words.local.unset):
            raise RtnlError(EADDRNOTAVAIL if verb == "delete" else EOPNOTSUPP)
        if six:
            from simvlan.tools.iproute.address6 import modify6

            modify6(ctx, dev, words, verb)
        elif verb == "delete":
            _delete(ctx, dev, words, wildcard)
        else:
            _put(ctx, dev, words, verb)
    ctx.net.drain()


def _no_length(words: AddressWords) -> bool:
    return words.local is not None and not words.local.given


def _check_lifetimes(words: AddressWords) -> None:
    if words.valid_lft is None and words.preferred_lft is None:
        return
    valid = FOREVER if words.valid_lft is None else words.valid_lft
    if not valid:
        raise missing("valid_lft is zero")
    if valid < (FOREVER if words.preferred_lft is None else words.preferred_lft):
        raise missing("preferred_lft is greater than valid_lft")


def _delete(ctx: Context, dev: Device, words: AddressWords, wildcard: bool) -> None:
    from simvlan.rtnl.address import address_del

    local = words.local or words.peer
    assert local is not None
    outer = words.peer or local
    address_del(
        ctx.net,
        dev,
        local=local.address if words.local else None,
        prefixlen=None if wildcard else outer.length,
        peer=None if wildcard else outer.address,
        label=words.label or None,
    )


def _put(ctx: Context, dev: Device, words: AddressWords, verb: str) -> None:
    from simvlan.rtnl.address import address_add, address_replace

    ifaddr = _ifaddr(words)
    if verb == "add":
        address_add(ctx.net, dev, ifaddr)
    else:
        address_replace(ctx.net, dev, ifaddr)


def _ifaddr(words: AddressWords) -> Ifaddr:
    from simvlan.stack.ipaddr import Ifaddr

    outer = words.peer or words.local
    local = words.local or words.peer
    assert outer is not None
    assert local is not None
    scope = words.scope
    if scope is None:
        scope = HOST_SCOPE if local.address >> 24 == 127 else 0
    return Ifaddr(
        local=local.address,
        prefixlen=outer.length or local.length,
        peer=words.peer.address if words.peer else None,
        broadcast=_broadcast_of(words, outer),
        label=words.label,
        scope=scope,
        noprefixroute=words.noprefixroute,
        valid_lft=_finite(words.valid_lft),
        preferred_lft=_finite(words.preferred_lft),
        metric=words.metric,
    )


def _finite(seconds: int | None) -> int | None:
    return None if seconds in (None, FOREVER) else seconds


def _broadcast_of(words: AddressWords, outer: Prefix) -> int | None:
    """Work out `brd +` (all ones) and `brd -` (all zeros); prefixes above 30 bits get none."""
    if not isinstance(words.broadcast, str):
        return words.broadcast
    if outer.length > 30:
        return None
    host = 0xFFFF_FFFF >> outer.length
    return outer.address | host if words.broadcast == "+" else outer.address & ~host
