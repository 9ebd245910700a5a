"""tc of iproute2 6.1: `tc qdisc` with netem and tbf, alone or one under the other. All else is refused by name.

A discipline is a module (`tc_netem`, `tc_tbf`) that reads its options, makes and alters it, and shows it.
"""

from __future__ import annotations

import json
from typing import Any

from simvlan.devices.device import Device
from simvlan.qdisc.queue import install
from simvlan.tools import tc_netem, tc_tbf
from simvlan.tools.program import Process
from simvlan.tools.tc_words import Refused, Words, kernel, unmodelled

USAGE = """\
Usage: tc [-s] [-d] [-j] [-n NETNS] qdisc {add|change|replace|del|show} [dev DEVICE] ...: see tc(8)
"""
DISCIPLINES: dict[str, Any] = {"netem": tc_netem, "tbf": tc_tbf}
KNOWN_KINDS = frozenset(
    ["bfifo", "cake", "cbs", "choke", "codel", "drr", "etf", "fq", "fq_codel", "hfsc", "htb", "ingress", "clsact", "mq",
     "mqprio", "multiq", "pfifo", "pfifo_fast", "pie", "prio", "qfq", "red", "sfb", "sfq", "taprio", "noqueue"]
)  # fmt: skip


class Request:
    """One `tc qdisc` command."""

    def __init__(self, proc: Process, words: Words) -> None:
        self.proc, self.words = proc, words
        self.net: Any = proc.lab.network
        self.devices: dict[str, Device] = self.net.netns[proc.netns].devices
        self.dev: Device | None = None
        self.details = False
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
        if self.kind and self.kind not in DISCIPLINES:
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

    def _options(self, verb: str) -> Any:
        there = self._there()
        same = verb != "add" and there is not None and there.kind == self.kind
        return DISCIPLINES[self.kind or "netem"].parse(self.words, there.options if same else None)

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
        other = self.root and there is not None and bool(self.handle) and self.handle != there.handle
        if other and verb != "replace":
            raise kernel("NLM_F_REPLACE needed to override.")
        if there is None and verb == "change":
            raise kernel("Qdisc not found. To create specify NLM_F_CREATE flag.")
        if there is not None and verb == "add":
            raise kernel("Exclusivity flag on, cannot modify.")
        if not self.kind:
            raise kernel("Specified qdisc kind is unknown.")
        if there is not None and there.kind == self.kind and not other:
            DISCIPLINES[self.kind].alter(there, options, self.net.now)
            return
        self._install(dev, self._make(dev, options))

    def _make(self, dev: Device, options: Any) -> Any:
        made = DISCIPLINES[self.kind].make(options, self.net, dev)
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

    def show(self, statistics: bool, as_json: bool, details: bool) -> None:
        """List the disciplines of a device, or of all."""
        self.details = details
        self.parse()
        if self.kind:
            raise Refused(f'What is "{self.kind}"? Try "tc qdisc help".\n', 255)
        asked = [self.dev] if self.dev is not None else list(self.devices.values())
        chosen = [dev for dev in asked if dev.opened or dev.qdisc]  # what was never up has the noop discipline
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
            told = DISCIPLINES[link.kind].as_text(link.options, self.details)
            text = f"qdisc {link.kind} {link.handle:x}: {named}{place} {told}\n"
        return text + (_counters_text(link, self.net.now) if statistics else "")

    def _document(self, dev: Device, link: Any, parent: Any, statistics: bool) -> dict[str, Any]:
        made: dict[str, Any] = {"kind": "noqueue" if link is None else link.kind}
        made["handle"] = "0:" if link is None else f"{link.handle:x}:"
        if self.dev is None:
            made["dev"] = dev.name
        made.update({"root": True, "refcnt": 2} if parent is None else {"parent": f"{parent.handle:x}:"})
        made["options"] = {} if link is None else DISCIPLINES[link.kind].as_json(link.options, self.details)
        if statistics:
            made.update(_counters(link, self.net.now))
        return made


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


PLAIN_FLAGS = frozenset(["-j", "-json", "-p", "-pretty", "-d", "-details"])
VERBS = {"add": "add", "change": "change", "replace": "replace", "link": "replace", "delete": "del", "del": "del"}


def main(proc: Process) -> int:
    """Configure queueing disciplines."""
    words = Words(proc.argv[1:])
    try:
        _dispatch(proc, words, _options(proc, words))
    except Refused as refused:
        proc.write_err(refused.text)
        return refused.status
    return 0


def _options(proc: Process, words: Words) -> list[str]:
    """Take the options, which stand before the object; `-n NETNS` goes on in another namespace."""
    flags = []
    while words.peek().startswith("-"):
        flag = words.take()
        if flag in ("-V", "-Version"):
            proc.write("tc utility, iproute2-6.1.0, libbpf 1.1.2\n")
            raise Refused("", 0)
        if "-netns".startswith(flag):
            _switch(proc, words.take() if words else "(null)")
        elif "-statistics".startswith(flag) or flag in PLAIN_FLAGS:
            flags.append(flag)
        else:
            raise Refused(f'Option "{flag}" is unknown, try "tc -help".\n', 255)
    return flags


def _switch(proc: Process, name: str) -> None:
    if not name or name not in proc.lab.network.netns:
        raise Refused(f'Cannot open network namespace "{name}": No such file or directory\n', 255)
    proc.netns = name


def _dispatch(proc: Process, words: Words, flags: list[str]) -> None:
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
        statistics, as_json = any("-statistics".startswith(f) for f in flags), any(f in ("-j", "-json") for f in flags)
        request.show(statistics, as_json, any(f in ("-d", "-details") for f in flags))
    elif verb in VERBS:
        request.change(VERBS[verb])
    else:
        raise Refused(f'Command "{verb}" is unknown, try "tc qdisc help".\n', 255)
