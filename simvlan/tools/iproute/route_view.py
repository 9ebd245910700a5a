"""A route as `ip -j route` shows it, and its text. Mirrors print_route of ip/iproute.c.

What a listing was narrowed to is not repeated in it; `hidden` names those keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import ip_text
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.names import PROTOCOLS, SCOPES, TABLES, name_of

if TYPE_CHECKING:
    from simvlan.stack.fib import Route
    from simvlan.tools.iproute.context import Options

MAIN_TABLE = 254
BOOT = 3
_RTAX = ("mtu", "window", "rtt", "rttvar", "ssthresh", "cwnd", "advmss", "reordering", "hoplimit")


def route_record(route: Route, opt: Options, hidden: Iterable[str] = ()) -> Record:
    """Describe a route of a table."""
    record: Record = {}
    if route.type != "unicast" or opt.details:
        record["type"] = route.type
    record["dst"] = destination(route.dst, route.plen)
    if route.tos:
        record["tos"] = f"0x{route.tos:02x}"
    if route.via is not None:
        record["gateway"] = ip_text(route.via)
    if route.dev is not None:
        record["dev"] = route.dev.name
    if route.table != MAIN_TABLE or opt.details:
        record["table"] = name_of(TABLES, route.table)
    if route.proto != BOOT or opt.details:
        record["protocol"] = name_of(PROTOCOLS, route.proto)
    if route.scope or opt.details:
        record["scope"] = name_of(SCOPES, route.scope)
    if route.src:
        record["prefsrc"] = ip_text(route.src)
    if route.metric:
        record["metric"] = route.metric
    record["flags"] = flags(route)
    if route.metrics:
        record["metrics"] = [metrics_record(route)]
    for key in hidden:
        record.pop(key, None)
    return record


def destination(address: int, length: int) -> str:
    """Write a destination: `default`, an address, or a prefix."""
    if not length:
        return "default"
    return ip_text(address) + ("" if length == 32 else f"/{length}")


def flags(route: Route) -> list[str]:
    """List what ails or marks a route's next hop (RTNH_F_*)."""
    dead = route.dev is not None and not route.dev.up
    down = (dead or route.linkdown) and route.type != "local"  # host scope does not follow the link
    rows = (("dead", dead and down), ("onlink", route.onlink), ("linkdown", down))
    return [name for name, on in rows if on]


def metrics_record(route: Route) -> Record:
    """Return the route's metrics in the kernel's order."""
    return {name: route.metrics[name] for name in _RTAX if name in route.metrics}


_FIELDS = (
    ("type", "{} "),
    ("dst", "{} "),
    ("from", "from {} "),
    ("tos", "tos {} "),
    ("gateway", "via {} "),
    ("dev", "dev {} "),
    ("table", "table {} "),
    ("protocol", "proto {} "),
    ("scope", "scope {} "),
    ("prefsrc", "src {} "),
    ("metric", "metric {} "),
    ("flags", ""),
    ("mark", "mark {} "),
    ("uid", "uid {} "),
    ("cache", ""),
    ("expires", "expires {}sec "),
    ("error", "error {} "),
    ("users", "users {} "),
    ("age", "age {}sec "),
    ("metrics", ""),
    ("iif", "iif {} "),
)


def route_text(record: Record, opt: Options, locked: bool = False) -> str:
    """Write a route."""
    return "".join(_field(record, key, form, opt, locked) for key, form in _FIELDS if key in record) + "\n"


def _field(record: Record, key: str, form: str, opt: Options, locked: bool) -> str:
    value = record[key]
    if key == "flags":
        return "".join(f"{flag} " for flag in value)
    if key == "cache":
        return f"{opt.line}    cache " + (f"<{','.join(value)}> " if value else "")
    if key == "metrics":
        lock = "lock " if locked else ""
        return "".join(f"{name} {lock if name == 'mtu' else ''}{number} " for name, number in value[0].items())
    if key == "mark" and value >= 16:
        return f"mark 0x{value:x} "
    return form.format(value)
