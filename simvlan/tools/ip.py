"""The command `ip` of iproute2 6.1.0: options, objects, batches. Mirrors ip/ip.c."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import Args, look_up, matches, table
from simvlan.tools.iproute.context import Context, Options, netns_missing
from simvlan.tools.iproute.errors import USAGE, WRONG, Ended, Quit, invalid, refuse
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.program import Process

VERSION = "ip utility, iproute2-6.1.0, libbpf 1.1.2\n"

_OBJECTS = table(
    [
        ("address", "address:do_address"),
        ("addrlabel", ""),
        ("maddress", "maddress:do_maddress"),
        ("route", "route:do_route"),
        ("rule", "rule:do_rule"),
        ("neighbor|neighbour", "neigh:do_neigh"),
        ("ntable|ntbl", ""),
        ("link", "link:do_link"),
        ("l2tp|fou|ila|macsec|tunnel|tunl|tuntap|tap|token|tcpmetrics|tcp_metrics", ""),
        ("monitor|xfrm|mroute|mrule", ""),
        ("netns", "netns:do_netns"),
        ("netconf|vrf|sr|nexthop|mptcp|ioam", ""),
        ("help", "help"),
        ("stats", ""),
    ]
)
"""Objects in the order they are tried; those without a module are not modelled."""

FAMILIES = ("inet", "inet6", "link", "mpls", "bridge")


def main(proc: Process) -> int:
    """Run `ip`."""
    try:
        return run(proc)
    except Ended as end:
        if end.text:
            proc.write_err(end.text)
        return end.status


def run(proc: Process) -> int:
    """Read the options, then run the object's command or the batch."""
    net = proc.lab.network
    ctx = Context(proc, net, net.netns[proc.netns])
    args = Args(proc.argv[1:])
    parse_options(ctx, args)
    if ctx.opt.batch is not None:
        return run_batch(ctx, ctx.opt.batch, command)
    if not args:
        raise usage("ip")
    return command(ctx, args)


def command(ctx: Context, args: Args) -> int:
    """Run one command; returns its status."""
    word = args.take()
    where = look_up(_OBJECTS, word)
    if where is None:
        raise Quit(WRONG, f'Object "{word}" is unknown, try "ip help".\n')
    if where == "help":
        raise usage("ip")
    if not where:
        raise refuse(f"ip {word}")
    module, _, function = where.partition(":")
    return int(getattr(import_module(f"simvlan.tools.iproute.{module}"), function)(ctx, args) or 0)


# -- options -----------------------------------------------------------------------------------------------------------


_COUNTED = table(
    [
        ("-human|-human-readable", "human"),
        ("-iec", "iec"),
        ("-stats|-statistics", "stats"),
        ("-details", "details"),
        ("-resolve", "resolve"),
        ("-oneline", "oneline"),
        ("-timestamp|-tshort", "timestamp"),
        ("-Version", "version"),
        ("-force", "force"),
        ("-batch", "batch"),
        ("-brief", "brief"),
        ("-json", "json"),
        ("-pretty", "pretty"),
        ("-rcvbuf", "rcvbuf"),
        ("-color|-colour", "color"),
        ("-help", "help"),
        ("-netns", "netns"),
        ("-Numeric", "numeric"),
        ("-all", "all"),
        ("=-echo", "echo"),
    ]
)
_SHORT = {"-4": "inet", "-6": "inet6", "-0": "link", "-M": "mpls", "-B": "bridge"}


def parse_options(ctx: Context, args: Args) -> None:
    """Take the words that begin with a dash."""
    while args and args.first.startswith("-"):
        word = args.take()
        if word == "--":
            break
        word = word[1:] if word.startswith("--") else word
        _option(ctx, args, word)
    if ctx.opt.family not in (None, "inet", "inet6", "link"):
        raise refuse(f"the protocol family {ctx.opt.family}")


def _option(ctx: Context, args: Args, word: str) -> None:
    opt = ctx.opt
    if matches(word, "-loops"):
        _needed(args)
    elif matches(word, "-family"):
        opt.family = _family(_needed(args))
    elif word in _SHORT:
        opt.family = _SHORT[word]
    elif is_color(word):
        return
    else:
        _named_option(ctx, args, word, look_up(_COUNTED, word))


def _needed(args: Args) -> str:
    if not args:
        raise usage("ip")
    return args.take()


def _family(text: str) -> str:
    if text == "help":
        raise usage("ip")
    if text not in FAMILIES:
        raise invalid("invalid protocol family", text)
    return text


def is_color(word: str) -> bool:
    """Say whether a word is -c[olor][={always|auto|never}]; colours are never written."""
    name, equals, when = word.partition("=")
    if not matches(name, "-color") or len(name) < 2:
        return False
    return not equals or when in ("", "always", "auto", "never")


def _named_option(ctx: Context, args: Args, word: str, meaning: str | None) -> None:
    opt: Options = ctx.opt
    if meaning in ("human", "iec", "stats", "details", "oneline", "force", "brief", "json", "pretty", "numeric"):
        setattr(opt, meaning, getattr(opt, meaning) + 1)
    elif meaning == "batch":
        opt.batch = _needed(args)
    elif meaning == "rcvbuf":
        _needed(args)
    elif meaning == "netns":
        switch(ctx, args)
    elif meaning == "all":
        opt.everything = True
    elif meaning == "version":
        raise _version(ctx)
    elif meaning == "help":
        raise usage("ip")
    elif meaning in ("resolve", "timestamp"):
        return
    elif meaning == "echo":
        raise refuse("ip -echo")
    else:
        raise Quit(USAGE, f'Option "{word}" is unknown, try "ip -help".\n')


def switch(ctx: Context, args: Args) -> None:
    """Go on in another namespace (-n NAME)."""
    name = args.take() if args else "(null)"
    found = ctx.netns(name)
    if found is None:
        raise netns_missing(name)
    ctx.ns = found


def _version(ctx: Context) -> Quit:
    ctx.say(VERSION)
    return Quit(0)


# -- batches -----------------------------------------------------------------------------------------------------------


def run_batch(ctx: Context, name: str, command: object) -> int:
    """Run the lines of a file (do_batch); the first failure ends it unless -force."""
    from simvlan.tools.iproute.batch import lines_of

    assert callable(command)
    status, family = 0, ctx.opt.family
    ctx.batching = True
    for number, words in lines_of(ctx, name):
        ctx.opt.family = family
        try:
            done = command(ctx, Args(words))
        except Quit as end:
            if end.status != WRONG or not end.text.startswith("Object"):
                raise
            ctx.warn(end.text)
            done = WRONG
        except Ended as end:
            ctx.warn(end.text)
            done = end.status
        if done:
            ctx.warn(f"Command failed {name}:{number}\n")
            status = 1
            if not ctx.opt.force:
                break
    return status
