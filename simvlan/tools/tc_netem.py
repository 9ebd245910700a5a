"""tc qdisc ... netem: its options, and how they are shown. Mirrors tc/q_netem.c of iproute2 6.1."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.qdisc.netem import Netem, NetemOptions
from simvlan.tools.tc_units import BadValue, percent, percent_text, rate_bytes, rate_text, time_ns, time_text
from simvlan.tools.tc_words import Refused, Words, unmodelled

if TYPE_CHECKING:
    from simvlan.network import Network

NETEM_USAGE = """\
Usage: ... netem [limit N] [delay TIME [JITTER [CORR]]] [distribution NAME] [loss P [CORR]] [duplicate P [CORR]]
                 [corrupt P [CORR]] [reorder P [CORR] [gap N]] [rate RATE]: see tc-netem(8)
"""
NETEM_REFUSED = frozenset(("slot", "ecn"))


def parse(words: Words, before: NetemOptions | None) -> NetemOptions:
    """Read netem's options; a change keeps the rate and what needs a chance of its own, as netem_change does."""
    kept = before or NetemOptions()
    found: dict[str, Any] = {
        "rate": kept.rate,
        "packet_overhead": kept.packet_overhead,
        "cell_size": kept.cell_size,
        "cell_overhead": kept.cell_overhead,
        "reorder": kept.reorder,
        "corrupt": kept.corrupt,
        "distribution": kept.distribution,
    }
    while words:
        _netem_option(words, words.take(), found)
    if found.get("gap") and "reorder" not in found.get("_given", ()):
        raise Refused(f"gap specified without reorder probability\n{NETEM_USAGE}", 1)
    reorders = "reorder" in found.pop("_given", ())
    if reorders and found["reorder"] and not found.get("delay_ns"):
        raise Refused(f"reordering not possible without specifying some delay\n{NETEM_USAGE}", 1)
    if reorders and not found.get("gap"):
        found["gap"] = 1  # tc's doing, for a chance that is on its line; to the kernel no gap is no reordering
    return NetemOptions(**found)


def make(options: NetemOptions, net: Network, dev: Device) -> Netem:
    """Make the discipline, with randomness of its own."""
    return Netem(options, Random(f"{net.seed}/qdisc/{dev.path}"))


def alter(there: Netem, options: NetemOptions, now: int) -> None:
    """Give one that is there other options."""
    there.change(options)


def _netem_option(words: Words, name: str, found: dict[str, Any]) -> None:
    if name == "limit":
        found["limit"] = words.quantity(_count, 'Illegal "limit"')
    elif name in ("delay", "latency"):
        found["delay_ns"] = words.quantity(time_ns, 'Illegal "latency"')
        _extra(words, found, "jitter_ns", time_ns)
        if "jitter_ns" in found:
            _extra(words, found, "delay_correlation", percent)
    elif name in ("loss", "drop"):
        _loss(words, found)
    elif name in ("corrupt", "reorder", "duplicate"):
        found[name] = words.quantity(percent, f'Illegal "{name}"')
        found.setdefault("_given", []).append(name)
        _extra(words, found, f"{name}_correlation", percent)
    elif name == "gap":
        found["gap"] = words.quantity(_count, 'Illegal "gap"')
    elif name == "rate":
        found["rate"] = words.quantity(rate_bytes, 'Illegal "rate"')
        for extra in ("packet_overhead", "cell_size", "cell_overhead"):
            _extra(words, found, extra, _count)
    elif name == "distribution":
        found["distribution"] = _distribution(words.take())
    elif name in NETEM_REFUSED:
        raise unmodelled(f"netem {name}")
    else:
        raise Refused(("" if name == "help" else f'What is "{name}"?\n') + NETEM_USAGE, 1)


def _extra(words: Words, found: dict[str, Any], key: str, read: Any) -> None:
    value = words.optional(read)
    if value is not None:
        found[key] = value


def _loss(words: Words, found: dict[str, Any]) -> None:
    if words.peek() in ("state", "gemodel"):
        raise unmodelled(f"netem loss {words.peek()}")
    if words.peek() == "random":
        words.take()
    found["loss"] = words.quantity(percent, 'Illegal "loss percent"')
    _extra(words, found, "loss_correlation", percent)


def _distribution(name: str) -> str:
    if name not in ("uniform", "normal"):
        raise unmodelled(f"netem distribution {name}")
    return name


def _count(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise BadValue(text) from None


def as_json(options: NetemOptions, details: bool) -> dict[str, Any]:
    """Describe netem in iproute2's JSON; it has no more details."""
    shown: dict[str, Any] = {"limit": options.limit}
    if options.delay_ns:
        shown["delay"] = {
            "delay": _seconds(options.delay_ns),
            "jitter": _seconds(options.jitter_ns),
            "correlation": _fraction(options.delay_correlation),
        }
    for key, name, chance, rho in _chances(options):
        shown[key] = {name: _fraction(chance), "correlation": _fraction(rho)}
    if options.rate:
        shown["rate"] = {
            "rate": options.rate,
            "packetoverhead": options.packet_overhead,
            "cellsize": options.cell_size,
            "celloverhead": options.cell_overhead,
        }
    return {**shown, "ecn": False, "gap": options.gap}


def _chances(options: NetemOptions) -> list[tuple[str, str, int, int]]:
    every = [
        ("loss-random", "loss", options.loss, options.loss_correlation),
        ("duplicate", "duplicate", options.duplicate, options.duplicate_correlation),
        ("reorder", "reorder", options.reorder, options.reorder_correlation),
        ("corrupt", "corrupt", options.corrupt, options.corrupt_correlation),
    ]
    return [each for each in every if each[2]]


def _fraction(value: int) -> float | int:
    number = float(f"{value / 0xFFFF_FFFF:g}")
    return int(number) if number.is_integer() else number


def _seconds(ns: int) -> float | int:
    number = _micros(ns) / 1e6
    return int(number) if number.is_integer() else number


def _micros(ns: int) -> int:
    return ns // 1000


def as_text(options: NetemOptions, details: bool) -> str:
    """Describe netem as `tc qdisc show` does; it has no more details."""
    text = f"limit {options.limit}"
    if options.delay_ns:
        text += f" delay {time_text(_micros(options.delay_ns))}"
        if options.jitter_ns:
            text += f"  {time_text(_micros(options.jitter_ns))}"
            text += f" {percent_text(options.delay_correlation)}" if options.delay_correlation else ""
    for _, name, chance, rho in _chances(options):
        text += f" {name} {percent_text(chance)}" + (f" {percent_text(rho)}" if rho else "")
    if options.rate:
        text += f" rate {rate_text(options.rate)}"
        text += f" packetoverhead {options.packet_overhead}" if options.packet_overhead else ""
        text += f" cellsize {options.cell_size}" if options.cell_size else ""
        text += f" celloverhead {options.cell_overhead}" if options.cell_overhead else ""
    return text + (f" gap {options.gap}" if options.gap else "")
