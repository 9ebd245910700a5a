"""tc qdisc ... tbf: its options, and how they are shown. Mirrors tc/q_tbf.c of iproute2 6.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simvlan.devices.device import Device
from simvlan.qdisc.tbf import Tbf, TbfOptions, limit_for_latency
from simvlan.tools.tc_units import rate_bytes, rate_text, size_bytes, size_text, ticks_ns, time_ns, time_text
from simvlan.tools.tc_words import Refused, Words, unmodelled

if TYPE_CHECKING:
    from simvlan.network import Network

TBF_USAGE = """\
Usage: ... tbf rate RATE burst OCTETS (limit OCTETS | latency TIME) [peakrate RATE mtu OCTETS]: see tc-tbf(8)
"""


def parse(words: Words, before: TbfOptions | None) -> TbfOptions:
    """Read tbf's options; a change keeps nothing of what was *before*."""
    found: dict[str, Any] = {}
    latency: int | None = None
    while words:
        name = words.take()
        if name == "limit":
            found["limit"] = words.quantity(size_bytes, 'tbf: illegal value for "limit": "{}"')
        elif name == "latency":
            latency = words.quantity(time_ns, 'tbf: illegal value for "latency": "{}"')
        elif name in ("burst", "buffer", "maxburst"):
            found["burst"] = words.quantity(_burst, f'tbf: illegal value for "{name}": "{{}}"')
        elif name in ("mtu", "minburst"):
            found["mtu"] = words.quantity(_burst, f'tbf: illegal value for "{name}": "{{}}"')
        elif name in ("rate", "peakrate"):
            found[name] = words.quantity(rate_bytes, f'tbf: illegal value for "{name}": "{{}}"')
        elif name in ("overhead", "linklayer"):
            raise unmodelled(f"tbf {name}")
        else:
            raise Refused(("" if name == "help" else f'tbf: unknown parameter "{name}"\n') + TBF_USAGE, 1)
    return _whole_tbf(found, latency)


def make(options: TbfOptions, net: Network, dev: Device) -> Tbf:
    """Make the discipline, its bucket full."""
    return Tbf(options, net.now)


def alter(there: Tbf, options: TbfOptions, now: int) -> None:
    """Give one that is there other options."""
    there.change(options, now)


def _burst(text: str) -> int:
    return size_bytes(text.partition("/")[0])


def _whole_tbf(found: dict[str, Any], latency: int | None) -> TbfOptions:
    if latency is not None and "limit" in found:
        raise Refused('tbf: specifying both "latency" and "limit" is not allowed\n', 1)
    missing = [f'tbf: the "{name}" parameter is mandatory.\n' for name in ("rate", "burst") if not found.get(name)]
    if latency is None and "limit" not in found:
        missing.append('tbf: either "limit" or "latency" is required.\n')
    if missing:
        raise Refused("".join(missing) + TBF_USAGE, 1)
    if latency is not None:
        found["limit"] = limit_for_latency(found["rate"], found["burst"], latency)
    return TbfOptions(**found)


def as_json(options: TbfOptions, details: bool) -> dict[str, Any]:
    """Describe tbf in iproute2's JSON; what the kernel reckons with (cell, mpu, link layer) among the *details*."""
    latency = {"lat": _latency(options)}
    if details:
        peak = {"mtu": _cells(options.mtu), "mpu": 0} if options.peakrate else {}
        burst = {"burst": _cells(_shown_burst(options)), "mpu": 0}
        return {"rate": options.rate, **burst, **peak, **latency, "linklayer": "ethernet"}
    peak = {"peakrate": options.peakrate, "minburst": options.mtu} if options.peakrate else {}
    return {"rate": options.rate, "burst": _shown_burst(options), **peak, **latency}


def _cells(size: int) -> str:
    """A size with the octets that one cell of the rate table stands for: always one here."""
    return f"{size_text(size)}/1"


def _shown_burst(options: TbfOptions) -> int:
    """The burst as the kernel keeps it: the time it takes, in ticks, turned back into octets."""
    return int(options.rate * (ticks_ns(1e6 * options.burst / options.rate) / 1000) / 1e6)


def _latency(options: TbfOptions) -> int:
    return int(1e6 * options.limit / options.rate - ticks_ns(1e6 * options.burst / options.rate) / 1000)


def as_text(options: TbfOptions, details: bool) -> str:
    """Describe tbf as `tc qdisc show` does."""
    burst, peak = _shown_burst(options), ""
    if details:
        if options.peakrate:
            peak = f" peakrate {rate_text(options.peakrate)} mtu {_cells(options.mtu)} mpu 0b"
        text = f"rate {rate_text(options.rate)} burst {_cells(burst)} mpu 0b{peak}"
        return f"{text} lat {time_text(_latency(options))} linklayer ethernet "
    if options.peakrate:
        peak = f" peakrate {rate_text(options.peakrate)} minburst {size_text(options.mtu)}"
    return f"rate {rate_text(options.rate)} burst {size_text(burst)}{peak} lat {time_text(_latency(options))} "
