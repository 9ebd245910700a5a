"""What `ip link add|set|del` asks for, word by word. Mirrors iplink_parse of ip/iplink.c.

The words are tried in iproute2's order, so that its abbreviations mean the same here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simvlan.tools.iproute.args import (
    Args,
    atoi,
    integer,
    is_altname,
    is_ifname,
    lladdr,
    look_up,
    matches,
    meant,
    need,
    number,
    on_off,
    on_off_text,
    parse_on_off,
    table,
)
from simvlan.tools.iproute.errors import (
    USAGE,
    Failed,
    Quit,
    duplicate,
    duplicate_or_garbage,
    invalid,
    no_device,
    refuse,
)
from simvlan.tools.iproute.names import GROUPS, value_of
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns
    from simvlan.tools.iproute.context import Context

IFALIASZ = 256
EINVAL_STATUS = 22
"""What parse_on_off leaves with."""


@dataclass
class LinkWords:
    """A request as typed. `master` is meaningful when `master_given`; `dev` is the device's present name."""

    creating: bool
    name: str | None = None
    dev: str | None = None
    link: str | None = None
    type: str | None = None
    mac: bytes | None = None
    mtu: int | None = None
    txqlen: int | None = None
    netns: Netns | None = None
    index: int | None = None
    group: int | None = None
    alias: str | None = None
    master: Device | None = None
    master_given: bool = False
    up: bool | None = None
    promisc: bool | None = None
    allmulti: bool | None = None
    arp: bool | None = None
    multicast: bool | None = None
    carrier: bool | None = None


Rule = Callable[["Context", LinkWords, Args], None]


def parse_link(ctx: Context, args: Args, *, creating: bool) -> LinkWords:
    """Read words up to and including `type KIND`, then check what they say together."""
    words = LinkWords(creating)
    while args and words.type is None:
        word = args.take()
        rule = look_up(_WORDS, word)
        args.keyword = meant(_WORDS, word)
        if rule is not None:
            rule(ctx, words, args)
        else:
            _device(words, args, word)
    _name_and_dev(words)
    _check(ctx, words)
    return words


def _device(words: LinkWords, args: Args, word: str) -> None:
    """Take a bare word for the device."""
    if matches(word, "help"):
        raise usage("link")
    if word == "dev":
        word = args.value()
    if words.dev is not None and words.dev != words.name:
        raise duplicate_or_garbage("dev", word)
    if not is_altname(word):
        raise invalid('"dev" not a valid ifname', word)
    words.dev = word


def _name_and_dev(words: LinkWords) -> None:
    """Allow `add X`, `add dev X` and `add name X` alike."""
    if words.name is None:
        words.name = words.dev
    elif words.dev is None:
        words.dev = words.name


def _check(ctx: Context, words: LinkWords) -> None:
    if words.dev and words.mac is not None and not words.creating:
        _check_length(ctx, words)
    if words.index and not words.creating and words.netns is None:
        raise Quit(USAGE, "index can be used only when creating devices or when moving device to another netns.\n")
    if words.group is not None and words.dev is None:
        raise refuse("a group of devices in place of a device")
    if words.creating:
        if words.name != words.dev:
            raise Quit(USAGE, 'both "name" and "dev" cannot be used when creating devices.\n')
        if words.link is not None:
            ctx.need(words.link)
    elif words.dev is None:
        raise Quit(USAGE, 'Not enough information: "dev" argument is required.\n')
    elif ctx.device(words.dev) is None:
        raise no_device(words.dev)


def _check_length(ctx: Context, words: LinkWords) -> None:
    if ctx.device(str(words.dev)) is not None and words.mac is not None and len(words.mac) != 6:
        raise Failed(1, f"Invalid address length {len(words.mac)} - must be 6 bytes\n")


# -- one rule per word -------------------------------------------------------------------------------------------------


def _set(key: str, value: object) -> Rule:
    def rule(ctx: Context, words: LinkWords, args: Args) -> None:
        setattr(words, key, value)

    return rule


def _switch(key: str, word: str) -> Rule:
    def rule(ctx: Context, words: LinkWords, args: Args) -> None:
        setattr(words, key, on_off(word, args.value()))

    return rule


def _number(key: str, word: str) -> Rule:
    def rule(ctx: Context, words: LinkWords, args: Args) -> None:
        text = args.value()
        if getattr(words, key) is not None:
            raise duplicate(word, text)
        setattr(words, key, need(integer, text, invalid(f'Invalid "{word}" value\n', text)))

    return rule


def _not_modelled(ctx: Context, words: LinkWords, args: Args) -> None:
    raise refuse(f"the option {args.keyword} of ip link")


def _carrier(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    words.carrier = parse_on_off(text)
    if words.carrier is None:
        raise Failed(EINVAL_STATUS, on_off_text("carrier", text))


def _queues(word: str) -> Rule:
    def rule(ctx: Context, words: LinkWords, args: Args) -> None:
        text = args.value()
        need(integer, text, invalid(f'Invalid "{word}" value\n', text))
        raise refuse(f"the option {word} of ip link")

    return rule


def _name(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    if words.name is not None:
        raise duplicate("name", text)
    if not is_ifname(text):
        raise invalid('"name" not a valid ifname', text)
    words.name = text
    words.dev = words.dev or text


def _index(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    if words.index:
        raise duplicate("index", text)
    words.index = atoi(text)
    if words.index <= 0:
        raise invalid('Invalid "index" value', text)


def _link(ctx: Context, words: LinkWords, args: Args) -> None:
    words.link = args.value()


def _address(ctx: Context, words: LinkWords, args: Args) -> None:
    words.mac = lladdr(args.value())


def _netns(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    if words.netns is not None:
        raise duplicate("netns", text)
    words.netns = find_netns(ctx, text)
    if words.netns is None:
        raise invalid('Invalid "netns" value\n', text)


def find_netns(ctx: Context, text: str) -> Netns | None:
    """Return a namespace by name, by path, or the initial one by its process id 1."""
    for folder in ("/run/netns/", "/var/run/netns/"):
        text = text.removeprefix(folder)
    if text in ("/proc/self/ns/net", "/proc/thread-self/ns/net"):
        return ctx.ns
    found = ctx.netns(text)
    if found is not None:
        return found
    if text in ("1", "/proc/1/ns/net"):
        return ctx.net.netns[""]
    if integer(text) is not None:
        raise refuse(f"a network namespace named by process id ({text})")
    return None


def _master(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    words.master, words.master_given = ctx.device(text), True
    if words.master is None:
        raise invalid("Device does not exist\n", text)


def _nomaster(ctx: Context, words: LinkWords, args: Args) -> None:
    words.master, words.master_given = None, True


def _type(ctx: Context, words: LinkWords, args: Args) -> None:
    words.type = args.value()


def _alias(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    if len(text.encode()) >= IFALIASZ:
        raise invalid("alias too long\n", text)
    words.alias = text


def _group(ctx: Context, words: LinkWords, args: Args) -> None:
    text = args.value()
    if words.group is not None:
        raise duplicate("group", text)
    words.group = group_of(text)
    if words.group is None:
        raise invalid('Invalid "group" value\n', text)


def group_of(text: str) -> int | None:
    """Read a device group: a name or a number."""
    found = value_of(GROUPS, text)
    return number(text, 0, 0x7FFF_FFFF) if found is None else found


_RULES: list[tuple[str, Any]] = [
    ("=up", _set("up", True)),
    ("=down", _set("up", False)),
    ("=name", _name),
    ("=index", _index),
    ("link", _link),
    ("address", _address),
    ("broadcast|=brd", _not_modelled),
    ("txqueuelen|=qlen|txqlen", _number("txqlen", "txqueuelen")),
    ("=mtu", _number("mtu", "mtu")),
    ("=xdpgeneric|=xdpdrv|=xdpoffload|=xdp", _not_modelled),
    ("=netns", _netns),
    ("=multicast", _switch("multicast", "multicast")),
    ("=allmulticast", _switch("allmulti", "allmulticast")),
    ("=promisc", _switch("promisc", "promisc")),
    ("=trailers", _not_modelled),
    ("=arp", _switch("arp", "arp")),
    ("=carrier", _carrier),
    ("=vf", _not_modelled),
    ("master", _master),
    ("=vrf", _not_modelled),
    ("nomaster", _nomaster),
    ("dynamic", _not_modelled),
    ("type", _type),
    ("alias", _alias),
    ("=group", _group),
    ("=mode|=state", _not_modelled),
    ("numtxqueues", _queues("numtxqueues")),
    ("numrxqueues", _queues("numrxqueues")),
    ("addrgenmode", _not_modelled),
    ("link-netns|link-netnsid", _not_modelled),
    ("=protodown|=protodown_reason|=gso_max_size|=gso_max_segs|=gro_max_size|=parentdev", _not_modelled),
]
_WORDS = table(_RULES)
