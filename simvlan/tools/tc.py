"""tc of iproute2 6.1: `tc qdisc` with netem and tbf, alone or one under the other. All else is refused by name."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from simvlan.devices.device import Device
from simvlan.qdisc import Netem, NetemOptions, Tbf, TbfOptions, install, limit_for_latency
from simvlan.tools.program import Process
from simvlan.tools.tc_units import (
    BadValue,
    percent,
    percent_text,
    rate_bytes,
    rate_text,
    size_bytes,
    size_text,
    ticks_ns,
    time_ns,
    time_text,
)

NETEM_USAGE = """\
Usage: ... netem [limit N] [delay TIME [JITTER [CORR]]] [distribution NAME] [loss P [CORR]] [duplicate P [CORR]]
                 [corrupt P [CORR]] [reorder P [CORR] [gap N]] [rate RATE]: see tc-netem(8)
"""
TBF_USAGE = """\
Usage: ... tbf rate RATE burst OCTETS (limit OCTETS | latency TIME) [peakrate RATE mtu OCTETS]: see tc-tbf(8)
"""
USAGE = """\
Usage: tc [-s] [-d] [-j] [-n NETNS] qdisc {add|change|replace|del|show} [dev DEVICE] ...: see tc(8)
"""
KNOWN_KINDS = frozenset(
    ["bfifo", "cake", "cbs", "choke", "codel", "drr", "etf", "fq", "fq_codel", "hfsc", "htb", "ingress", "clsact", "mq",
     "mqprio", "multiq", "pfifo", "pfifo_fast", "pie", "prio", "qfq", "red", "sfb", "sfq", "taprio", "noqueue"]
)  # fmt: skip
NETEM_REFUSED = frozenset(("slot", "ecn"))


class Refused(Exception):  # noqa: N818
    """tc gives up: text for standard error, and the status."""

    def __init__(self, text: str, status: int) -> None:
        self.text, self.status = text, status
        super().__init__(text)


def kernel(text: str) -> Refused:
    """A refusal by the kernel."""
    return Refused(f"Error: {text}\n", 2)


def unmodelled(what: str) -> Refused:
    """A refusal by simvlan."""
    return Refused(f"simvlan: {what} is not modelled (netem and tbf are)\n", 2)


class Words:
    """The rest of the command line."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __bool__(self) -> bool:
        return bool(self.words)

    def peek(self) -> str:
        """Look at the next word."""
        return self.words[0] if self.words else ""

    def take(self) -> str:
        """Take the next word."""
        if not self.words:
            raise Refused('Command line is not complete. Try option "help"\n', 255)
        return self.words.pop(0)

    def quantity(self, read: Any, complaint: str) -> Any:
        """Take a quantity."""
        try:
            return read(self.take())
        except BadValue as bad:
            raise Refused(f"{complaint.format(bad)}\n", 1) from None

    def optional(self, read: Any) -> Any:
        """Take a quantity if the next word is one (it begins with a digit)."""
        if not self.peek()[:1].isdigit():
            return None
        return self.quantity(read, "Illegal value")


# -- netem ----------------------------------------------------------------------------------------------------------


def parse_netem(words: Words, before: NetemOptions | None) -> NetemOptions:
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
    if found["reorder"] and not found.get("delay_ns") and (before is None or "reorder" in found.get("_given", ())):
        raise Refused(f"reordering not possible without specifying some delay\n{NETEM_USAGE}", 1)
    if found["reorder"] and not found.get("gap"):
        found["gap"] = 1
    found.pop("_given", None)
    return NetemOptions(**found)


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


def netem_json(options: NetemOptions) -> dict[str, Any]:
    """Describe netem in iproute2's JSON."""
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


def netem_text(options: NetemOptions) -> str:
    """Describe netem as `tc qdisc show` does."""
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
    return text + (f" gap {options.gap}" if options.gap and not (options.reorder and options.gap == 1) else "")


# -- tbf ------------------------------------------------------------------------------------------------------------


def parse_tbf(words: Words) -> TbfOptions:
    """Read tbf's options."""
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


def tbf_json(options: TbfOptions) -> dict[str, Any]:
    """Describe tbf in iproute2's JSON."""
    peak = {"peakrate": options.peakrate, "minburst": options.mtu} if options.peakrate else {}
    return {"rate": options.rate, "burst": _shown_burst(options), **peak, "lat": _latency(options)}


def _shown_burst(options: TbfOptions) -> int:
    """The burst as the kernel keeps it: the time it takes, in ticks, turned back into octets."""
    return int(options.rate * (ticks_ns(1e6 * options.burst / options.rate) / 1000) / 1e6)


def _latency(options: TbfOptions) -> int:
    return int(1e6 * options.limit / options.rate - ticks_ns(1e6 * options.burst / options.rate) / 1000)


def tbf_text(options: TbfOptions) -> str:
    """Describe tbf as `tc qdisc show` does."""
    text = f"rate {rate_text(options.rate)} burst {size_text(_shown_burst(options))}"
    if options.peakrate:
        text += f" peakrate {rate_text(options.peakrate)} minburst {size_text(options.mtu)}"
    return f"{text} lat {time_text(_latency(options))} "


# -- qdisc ----------------------------------------------------------------------------------------------------------


class Request:
    """One `tc qdisc` command."""

    def __init__(self, proc: Process, words: Words) -> None:
        self.proc, self.words = proc, words
        self.net: Any = proc.lab.network
        self.devices: dict[str, Device] = self.net.netns[proc.netns].devices
        self.dev: Device | None = None
        self.root = False
        self.parent = self.handle = 0
        self.kind = ""

    def parse(self) -> None:
        """Read device, place and kind; what follows is the kind's."""
        while self.words:
            word = self.words.take()
            if word == "dev":
                self.dev = self.find(self.words.take())
            elif word == "root":
                self.root = True
            elif word == "parent":
                self.parent = self._handle(self.words.take())
            elif word == "handle":
                self.handle = self._handle(self.words.take())
            elif word in ("ingress", "clsact"):
                raise unmodelled(f"the {word} qdisc")
            else:
                self.kind = word
                return

    def find(self, name: str) -> Device:
        """Return a device of the namespace."""
        if name not in self.devices:
            raise Refused(f'Cannot find device "{name}"\n', 1)
        return self.devices[name]

    @staticmethod
    def _handle(text: str) -> int:
        major, _, minor = text.partition(":")
        try:
            number = int(major or "0", 16)
        except ValueError:
            raise Refused(f'Error: argument "{text}" is wrong: invalid qdisc ID\n', 255) from None
        if minor and int(minor, 16) > 1:
            raise unmodelled(f"class {text}")
        return number

    # -- changes ----------------------------------------------------------------------------------------------------

    def change(self, verb: str) -> None:
        """Add, change, replace or delete."""
        self.parse()
        if self.kind and self.kind not in ("netem", "tbf"):
            raise (
                unmodelled(f"qdisc {self.kind}")
                if self.kind in KNOWN_KINDS
                else kernel("Specified qdisc kind is unknown.")
            )
        options = None if verb == "del" else self._options(verb)
        if self.dev is None:
            raise Refused("RTNETLINK answers: No such device\n", 2)
        if verb == "del":
            self._delete(self.dev)
        else:
            self._put(self.dev, verb, options)

    def _options(self, verb: str) -> NetemOptions | TbfOptions:
        if self.kind == "tbf":
            return parse_tbf(self.words)
        there = self._there()
        before = there.options if verb != "add" and isinstance(there, Netem) else None
        return parse_netem(self.words, before)

    def _there(self) -> Any:
        """Return the discipline at the place asked for."""
        if self.dev is None or self.dev.qdisc is None:
            return None
        return self.dev.qdisc if not self.parent else self.dev.qdisc.child

    def _put(self, dev: Device, verb: str, options: Any) -> None:
        if not self.root and not self.parent:
            raise kernel("Handle cannot be zero.")
        if self.parent and (dev.qdisc is None or dev.qdisc.handle != self.parent):
            raise kernel("Failed to find specified qdisc.")
        there = self._there()
        if there is None and verb == "change":
            raise kernel("Qdisc not found. To create specify NLM_F_CREATE flag.")
        if there is not None and verb == "add":
            raise kernel("Exclusivity flag on, cannot modify.")
        if there is not None and there.kind == self.kind:
            self._alter(there, options)
            return
        self._install(dev, self._make(dev, options))

    def _alter(self, there: Any, options: Any) -> None:
        if there.kind == "tbf":
            there.change(options, self.net.now)
        else:
            there.change(options)

    def _make(self, dev: Device, options: Any) -> Any:
        made: Any
        if self.kind == "netem":
            made = Netem(options, Random(f"{self.net.seed}/qdisc/{dev.path}"))
        else:
            made = Tbf(options, self.net.now)
        if not self.handle:
            self.net.qdisc_handle += 1
        made.handle = self.handle or self.net.qdisc_handle
        return made

    def _install(self, dev: Device, made: Any) -> None:
        if self.parent:
            dev.qdisc.child = made
        else:
            install(dev, made, self.net.now)

    def _delete(self, dev: Device) -> None:
        if not self.root and not self.parent:
            raise kernel("Failed to find qdisc with specified handle.")
        there = self._there()
        if there is None:
            raise kernel("Cannot delete qdisc with handle of zero.")
        if self.kind and there.kind != self.kind:
            raise kernel("Invalid qdisc name.")
        if self.parent:
            dev.qdisc.child = None
        else:
            install(dev, None, self.net.now)

    # -- show -------------------------------------------------------------------------------------------------------

    def show(self, statistics: bool, as_json: bool) -> None:
        """List the disciplines of a device, or of all."""
        self.parse()
        chosen = [self.dev] if self.dev is not None else [d for d in self.devices.values() if d.up or d.qdisc]
        rows = [row for dev in chosen for row in self._rows(dev)]
        if as_json:
            documents = [self._document(dev, link, parent, statistics) for dev, link, parent in rows]
            self.proc.write(f"[{','.join(json.dumps(d, separators=(',', ':')) for d in documents)}]\n")
            return
        for dev, link, parent in rows:
            self.proc.write(self._text(dev, link, parent, statistics))

    @staticmethod
    def _rows(dev: Device) -> list[tuple[Device, Any, Any]]:
        rows: list[tuple[Device, Any, Any]] = [(dev, dev.qdisc, None)]
        if dev.qdisc is not None and dev.qdisc.child is not None:
            rows.append((dev, dev.qdisc.child, dev.qdisc))
        return rows

    def _text(self, dev: Device, link: Any, parent: Any, statistics: bool) -> str:
        named = f"dev {dev.name} " if self.dev is None else ""
        place = "root refcnt 2" if parent is None else f"parent {parent.handle:x}:"
        if link is None:
            text = f"qdisc noqueue 0: {named}{place} \n"
        else:
            text = f"qdisc {link.kind} {link.handle:x}: {named}{place} {_options_text(link)}\n"
        return text + (_counters_text(link, self.net.now) if statistics else "")

    def _document(self, dev: Device, link: Any, parent: Any, statistics: bool) -> dict[str, Any]:
        made: dict[str, Any] = {"kind": "noqueue" if link is None else link.kind}
        made["handle"] = "0:" if link is None else f"{link.handle:x}:"
        if self.dev is None:
            made["dev"] = dev.name
        made.update({"root": True, "refcnt": 2} if parent is None else {"parent": f"{parent.handle:x}:"})
        made["options"] = {} if link is None else _options_json(link)
        if statistics:
            made.update(_counters(link, self.net.now))
        return made


def _options_text(link: Any) -> str:
    return netem_text(link.options) if link.kind == "netem" else tbf_text(link.options)


def _options_json(link: Any) -> dict[str, Any]:
    return netem_json(link.options) if link.kind == "netem" else tbf_json(link.options)


def _counters(link: Any, now: int) -> dict[str, int]:
    names = ("bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen")
    values = (0,) * 7 if link is None else link.stats(now)
    return dict(zip(names, values, strict=True))


def _counters_text(link: Any, now: int) -> str:
    c = _counters(link, now)
    lost = f"(dropped {c['drops']}, overlimits {c['overlimits']} requeues {c['requeues']})"
    return (
        f" Sent {c['bytes']} bytes {c['packets']} pkt {lost} \n backlog {c['backlog']}b {c['qlen']}p requeues"
        f" {c['requeues']}\n"
    )


VERBS = {"add": "add", "change": "change", "replace": "replace", "link": "replace", "delete": "del", "del": "del"}


def main(proc: Process) -> int:
    """Configure queueing disciplines."""
    flags = [word for word in proc.argv[1:] if word.startswith("-")]
    words = Words([word for word in proc.argv[1:] if not word.startswith("-")])
    if any(flag in ("-V", "-Version") for flag in flags):
        proc.write("tc utility, iproute2-6.1.0, libbpf 1.1.2\n")
        return 0
    try:
        _dispatch(proc, words, flags)
    except Refused as refused:
        proc.write_err(refused.text)
        return refused.status
    return 0


def _dispatch(proc: Process, words: Words, flags: list[str]) -> None:
    for flag in flags:
        if not "-statistics".startswith(flag) and flag not in ("-j", "-json", "-p", "-pretty", "-d", "-details"):
            raise Refused(f'Option "{flag}" is unknown, try "tc -help".\n', 255)
    if not words or words.peek() == "help":
        raise Refused(USAGE, 0)
    noun = words.take()
    if not "qdisc".startswith(noun):
        known = ("class", "filter", "chain", "action", "actions", "monitor", "exec")
        if noun in known:
            raise unmodelled(f"tc {noun}")
        raise Refused(f'Object "{noun}" is unknown, try "tc help".\n', 255)
    request = Request(proc, words)
    verb = words.take() if words else "show"
    if verb in ("show", "list", "ls"):
        request.show(any("-statistics".startswith(f) for f in flags), any(f in ("-j", "-json") for f in flags))
    elif verb in VERBS:
        request.change(VERBS[verb])
    else:
        raise Refused(f'Command "{verb}" is unknown, try "tc qdisc help".\n', 255)
