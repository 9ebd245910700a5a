"""The command `bridge` of iproute2 6.1.0. Mirrors bridge/bridge.c; a failed command leaves with 255."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from simvlan.tools.ip import is_color, run_batch, switch
from simvlan.tools.iproute.args import Args, look_up, table
from simvlan.tools.iproute.context import Context
from simvlan.tools.iproute.errors import USAGE, Ended, Failed, Quit, invalid, refuse
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.program import Process

VERSION = "bridge utility, 6.1.0\n"
EINVAL_STATUS = 234

_OBJECTS = table(
    [
        ("link", "bridge_link:do_link"),
        ("fdb", "bridge_fdb:do_fdb"),
        ("mdb", "bridge_mdb:do_mdb"),
        ("vlan", "bridge_vlan:do_vlan"),
        ("vni|monitor", ""),
        ("help", "help"),
    ]
)
_OPTIONS = table(
    [
        ("-help", "help"),
        ("-Version", "version"),
        ("-stats|-statistics", "stats"),
        ("-details", "details"),
        ("-oneline", "oneline"),
        ("-timestamp", "timestamp"),
        ("-family", "family"),
        ("=-4|=-6", "short"),
        ("-netns", "netns"),
    ]
)
_MORE_OPTIONS = table(
    [
        ("-compressvlans", "compressvlans"),
        ("-force", "force"),
        ("-json", "json"),
        ("-pretty", "pretty"),
        ("-batch", "batch"),
    ]
)


def main(proc: Process) -> int:
    """Run `bridge`."""
    try:
        return _run(proc)
    except Failed as end:
        proc.write_err(end.text)
        return end.status if end.status == EINVAL_STATUS else USAGE
    except Ended as end:
        if end.text:
            proc.write_err(end.text)
        return end.status


def _run(proc: Process) -> int:
    net = proc.lab.network
    ctx = Context(proc, net, net.netns[proc.netns])
    args = Args(proc.argv[1:])
    while args and args.first.startswith("-"):
        word = args.take()
        if word == "--":
            break
        _option(ctx, args, word[1:] if word.startswith("--") else word)
    if ctx.opt.batch is not None:
        return run_batch(ctx, ctx.opt.batch, _command)
    if not args:
        raise usage("bridge")
    return _command(ctx, args)


def _command(ctx: Context, args: Args) -> int:
    word = args.take()
    where = look_up(_OBJECTS, word)
    if where is None:
        raise Failed(USAGE, f'Object "{word}" is unknown, try "bridge help".\n')
    if where == "help":
        raise usage("bridge")
    if not where:
        raise refuse(f"bridge {word}")
    module, _, function = where.partition(":")
    getattr(import_module(f"simvlan.tools.iproute.{module}"), function)(ctx, args)
    return 0


def _option(ctx: Context, args: Args, word: str) -> None:
    meaning = look_up(_OPTIONS, word)
    if meaning is None:
        if is_color(word):
            return
        meaning = look_up(_MORE_OPTIONS, word)
    if meaning is None:
        raise Quit(USAGE, f'Option "{word}" is unknown, try "bridge help".\n')
    if meaning in ("stats", "details", "oneline", "compressvlans", "force", "json", "pretty"):
        setattr(ctx.opt, meaning, getattr(ctx.opt, meaning) + 1)
    elif meaning == "netns":
        switch(ctx, args)
    elif meaning == "batch":
        ctx.opt.batch = _needed(args)
    elif meaning == "version":
        ctx.say(VERSION)
        raise Quit(0)
    elif meaning == "help":
        raise usage("bridge")
    elif meaning in ("family", "short"):
        _family(ctx, word if meaning == "short" else _needed(args))


def _needed(args: Args) -> str:
    if not args:
        raise usage("bridge")
    return args.take()


def _family(ctx: Context, text: str) -> None:
    if text == "help":
        raise usage("bridge")
    if text in ("-6", "inet6"):
        raise refuse("the protocol family inet6")
    if text not in ("-4", "inet"):
        raise invalid("invalid protocol family", text)
    ctx.opt.family = "inet"
