"""`ip link`: what is asked becomes rtnl operations. Mirrors iplink_modify and do_iplink of ip/iplink.c."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP
from typing import TYPE_CHECKING, Any

from simvlan.errors import RtnlError
from simvlan.rtnl import KINDS, LinkSpec, PeerSpec, link_add, link_del, link_set
from simvlan.tools.iproute.args import Args, look_up, matches, table
from simvlan.tools.iproute.errors import USAGE, WRONG, Failed, Quit, duplicate, refuse
from simvlan.tools.iproute.kind_parse import has_options, parse_kind, refuse_kind
from simvlan.tools.iproute.link_parse import LinkWords, parse_link
from simvlan.tools.iproute.usage import kind_usage, usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns
    from simvlan.tools.iproute.context import Context


def do_link(ctx: Context, args: Args) -> None:
    """Run one `ip link` command."""
    from simvlan.tools.iproute.link_show import show_links

    if not args:
        show_links(ctx, Args([]))
        return
    word = args.take()
    verb = look_up(_VERBS, word)
    if verb == "show":
        show_links(ctx, args)
    elif verb in ("xstats", "afstats", "property"):
        raise refuse(f"ip link {verb}")
    elif verb == "help":
        raise usage(args.first if args else "link")
    elif verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip link help".\n')
    else:
        modify(ctx, args, verb)


_VERBS = table(
    [
        ("add", "add"),
        ("set|change", "set"),
        ("replace", "replace"),
        ("delete", "delete"),
        ("show|lst|list", "show"),
        ("xstats", "xstats"),
        ("afstats", "afstats"),
        ("property", "property"),
        ("help", "help"),
    ]
)


def modify(ctx: Context, args: Args, verb: str) -> None:
    """Read the request and carry it out."""
    if verb == "replace":
        raise refuse("ip link replace")
    creating = verb == "add"
    words = parse_link(ctx, args, creating=creating)
    peer, info = _kind_words(ctx, words, args)
    with ctx.kernel():
        if creating:
            _create(ctx, words, peer, info)
        elif verb == "delete":
            link_del(ctx.net, ctx.need(str(words.dev)))
        else:
            _change(ctx, words, info)


def _kind_words(ctx: Context, words: LinkWords, args: Args) -> tuple[LinkWords | None, dict[str, Any] | None]:
    """Read what follows the type: a veth's peer or the kind's options; None when nothing follows."""
    kind = words.type
    if kind is None:
        if words.creating:
            raise Failed(WRONG, 'Not enough information: "type" argument is required\n')
        return None, None
    refuse_kind(kind)
    if not args:
        return None, None
    if kind == "dummy":
        args.rest()  # iproute2 looks at no word after `type dummy`
        return None, None
    if kind == "veth":
        return _peer(ctx, args), None
    if has_options(kind):
        return None, parse_kind(ctx, kind, args)
    if matches(args.first, "help"):
        raise usage("link")
    raise Failed(WRONG, f'Garbage instead of arguments "{args.first} ...". Try "ip link help".\n')


def _peer(ctx: Context, args: Args) -> LinkWords:
    if args.take() != "peer":
        raise Failed(WRONG, kind_usage("veth"))
    peer = parse_link(ctx, args, creating=True)
    if peer.type is not None:
        raise duplicate("type", peer.type)
    return peer


# -- adding ------------------------------------------------------------------------------------------------------------


def _create(ctx: Context, words: LinkWords, peer: LinkWords | None, info: dict[str, Any] | None) -> None:
    """Make a device, then what the kernel does after: master and flags; a refused master takes the device back."""
    target = words.netns or ctx.ns
    dev = link_add(ctx.net, target, _spec(ctx, words, peer, info), ctx.ns)
    for made, asked in ((getattr(dev, "peer", None), peer), (dev, words)):
        if made is not None and asked is not None:
            _after_creation(ctx, dev, made, asked)


def _spec(ctx: Context, words: LinkWords, peer: LinkWords | None, info: dict[str, Any] | None) -> LinkSpec:
    return LinkSpec(
        kind=str(words.type),
        name=words.name,
        link=ctx.need(words.link) if words.link else None,
        mac=_mac(words),
        mtu=words.mtu,
        txqlen=words.txqlen,
        ifindex=words.index,
        group=words.group,
        info=info or {},
        peer=_peer_spec(peer, ctx.ns) if words.type == "veth" else None,
    )


def _peer_spec(peer: LinkWords | None, ns: Netns) -> PeerSpec:
    """Say what the other end shall be: without a word for it, in the namespace of the command."""
    if peer is None:
        return PeerSpec(netns=ns)
    return PeerSpec(peer.name, peer.netns or ns, _mac(peer), peer.mtu, peer.txqlen, peer.index)


def _mac(words: LinkWords) -> int | None:
    """Return the address asked for; the kernel wants six octets."""
    if words.mac is None:
        return None
    if len(words.mac) < 6:
        raise RtnlError(EINVAL)
    return int.from_bytes(words.mac[:6], "big")


def _after_creation(ctx: Context, first: Device, dev: Device, words: LinkWords) -> None:
    changes = _flags(words)
    if words.group is not None:
        changes["group"] = words.group
    if words.master_given and dev is first:
        changes["master"] = words.master
    if not changes:
        return
    try:
        link_set(ctx.net, dev, **changes)
    except RtnlError:
        link_del(ctx.net, first)
        raise


def _flags(words: LinkWords) -> dict[str, Any]:
    wanted = {key: getattr(words, key) for key in ("up", "promisc", "allmulti", "arp", "multicast")}
    return {key: value for key, value in wanted.items() if value is not None}


# -- changing ----------------------------------------------------------------------------------------------------------


def _change(ctx: Context, words: LinkWords, info: dict[str, Any] | None) -> None:
    dev = ctx.need(str(words.dev))
    changes = _flags(words)
    for key, value in (("mac", _mac(words)), ("mtu", words.mtu), ("txqlen", words.txqlen), ("group", words.group)):
        if value is not None:
            changes[key] = value
    if words.name != words.dev:
        changes["name"] = words.name
    if words.alias is not None:
        changes["alias"] = words.alias
    if words.master_given:
        changes["master"] = words.master
    if info is not None:
        changes |= _kind_change(dev, str(words.type), info)
    if words.netns is not None:
        changes["netns"] = words.netns
    link_set(ctx.net, dev, **changes)
    if words.carrier is not None:
        _set_carrier(ctx, dev, words.carrier)


def _set_carrier(ctx: Context, dev: Device, carrier: bool) -> None:
    """Turn the carrier on or off by hand: dummies only have that (ndo_change_carrier)."""
    if dev.kind != "dummy":
        raise RtnlError(EOPNOTSUPP)
    ctx.net.set_carrier(dev, carrier)
    ctx.net.drain()


def _kind_change(dev: Device, kind: str, info: dict[str, Any]) -> dict[str, Any]:
    """Say whose options change: the device's own kind's, or those of the bridge's port."""
    if kind == "bridge_slave":
        if dev.master is None:
            raise RtnlError(EOPNOTSUPP)
        return {"slave_info": info}
    if kind != dev.kind or kind not in KINDS:
        raise RtnlError(EOPNOTSUPP)
    return {"info": info}
