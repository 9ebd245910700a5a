"""`ip route get`: the route one destination would take. Mirrors iproute_get of ip/iproute.c and inet_rtm_getroute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import Args, Prefix, ip_text, look_up, matches, need, prefix, table, u32
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import invalid, missing, refuse
from simvlan.tools.iproute.names import TABLES, name_of
from simvlan.tools.iproute.route_view import metrics_record, route_record, route_text
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.fib import Route
    from simvlan.stack.output import RouteResult
    from simvlan.tools.iproute.context import Context

_WORDS = table(
    [
        ("=tos|dsfield", "tos"),
        ("from", "src"),
        ("iif", "iif"),
        ("mark", "mark"),
        ("oif|=dev", "oif"),
        ("notify|connected|vrf|uid", "refused"),
        ("fibmatch", "fibmatch"),
        ("=as|sport|dport|ipproto", "refused"),
    ]
)


@dataclass
class Question:
    """What is asked."""

    dst: Prefix | None = None
    src: Prefix | None = None
    iif: str | None = None
    oif: str | None = None
    mark: int = 0
    family: str | None = None
    tos: int = 0
    fibmatch: bool = False


def get(ctx: Context, args: Args) -> None:
    """Look one destination up and print the route it takes."""
    asked = _parse(ctx, args)
    if asked.dst is None:
        raise missing("need at least a destination address")
    iif = ctx.need(asked.iif) if asked.iif else None
    oif = ctx.need(asked.oif) if asked.oif else None
    with ctx.kernel():
        result = ctx.ns.stack.route_get(
            asked.dst.address,
            src=asked.src.address if asked.src else None,
            oif=oif,
            iif=iif,
            mark=asked.mark,
            tos=asked.tos,
        )
    record = _fib_record(ctx, result.route) if asked.fibmatch else _record(ctx, asked, result, iif)
    ctx.show([record], lambda r: route_text(r, ctx.opt))


def _parse(ctx: Context, args: Args) -> Question:
    asked = Question(family=ctx.opt.family)
    while args:
        word = args.take()
        key = look_up(_WORDS, word)
        if key is None:
            _destination(ctx, asked, args, word)
        elif key == "refused":
            raise refuse(f"the option {word} of ip route get")
        elif key == "fibmatch":
            asked.fibmatch = True
        elif key == "src":
            asked.src = prefix(args.value(), asked.family)
            asked.family = "inet"
        elif key in ("iif", "oif"):
            setattr(asked, key, args.value())
        else:
            text = args.value()
            problem = "invalid mark value" if key == "mark" else "TOS value is invalid\n"
            setattr(asked, key, need(u32, text, invalid(problem, text)))
    return asked


def _destination(ctx: Context, asked: Question, args: Args, word: str) -> None:
    if word == "to":
        word = args.value()
    if matches(word, "help"):
        raise usage("route")
    asked.dst = prefix(word, asked.family)
    asked.family = "inet"
    if asked.dst.length != 32:
        ctx.warn(f"Warning: /{asked.dst.length} as prefix is invalid, only /32 (or none) is supported.\n")


def _fib_record(ctx: Context, route: Route | None) -> Record:
    """Describe the route of a table that answered (fibmatch)."""
    if route is None:
        raise refuse("ip route get fibmatch of a destination that no table holds")
    return route_record(route, ctx.opt, ("table",) if not ctx.opt.details and route.table == 254 else ())


def _record(ctx: Context, asked: Question, result: RouteResult, iif: Device | None) -> Record:
    """Describe the answer as the kernel's cached route."""
    opt, kind, route = ctx.opt, result.kind, result.route
    record: Record = {"type": kind} if kind != "unicast" or opt.details else {}
    assert asked.dst is not None
    record["dst"] = ip_text(asked.dst.address)
    if asked.src is not None:
        record["from"] = ip_text(asked.src.address)
    if result.gateway:
        record["gateway"] = ip_text(result.gateway)
    record["dev"] = result.dev.name
    number = route.table if route is not None else 254
    merged = 255 if not ctx.ns.stack.fib.custom else 254  # local is main until there are rules (fib_unmerge)
    if opt.details or number not in (254, merged):
        record["table"] = name_of(TABLES, number)
    if asked.src is None and result.src:
        record["prefsrc"] = ip_text(result.src)
    record["flags"] = ["rt_offload_failed"] if kind == "multicast" else []
    if asked.mark:
        record["mark"] = asked.mark
    if iif is None:
        record["uid"] = 0
    record["cache"] = _cache(result)
    if result.expires_ns:
        record["expires"] = (result.expires_ns - ctx.net.now) // 1_000_000_000
    metrics = metrics_record(route) if route is not None else {}
    if result.mtu:
        metrics = {"mtu": result.mtu} | metrics | {"mtu": result.mtu}
    if metrics:
        record["metrics"] = [metrics]
    if iif is not None:
        record["iif"] = iif.name
    return record


def _cache(result: RouteResult) -> list[str]:
    """Name the flags of a cached route (RTCF_*)."""
    rows = (
        ("local", result.local or result.loop),
        ("mc", result.kind == "multicast"),
        ("brd", result.kind == "broadcast"),
        ("redirected", result.redirected),
    )
    return [name for name, on in rows if on]
