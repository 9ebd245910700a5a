"""dhclient of ISC DHCP 4.4.3: a client for one interface, in virtual time; the rules are in `simvlan/dhcp/isc.py`.

What Debian's dhclient-script does is done here: the device up, address with its lifetime, default routes. What is kept
in /var/lib/dhcp and /run (the lease, the process that holds it) is kept with the namespace; no file is read or written.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from simvlan.clock import SECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.client import Bound
from simvlan.dhcp.isc import WANTED, IscClient
from simvlan.errors import RtnlError
from simvlan.rtnl import link_set
from simvlan.rtnl.address import address_add, address_flush, address_replace
from simvlan.rtnl.route import route_add
from simvlan.stack.fib import Route
from simvlan.stack.ipaddr import Ifaddr
from simvlan.tools.common import Refused
from simvlan.tools.dhcp_io import Voice
from simvlan.tools.dhcp_script import Script, lease_variables, wishes
from simvlan.tools.program import Process
from simvlan.tools.udhcpc import Interface
from simvlan.tools.udhcpc_options import script_of

if TYPE_CHECKING:
    from simvlan.devices.device import Device

BANNER = """Internet Systems Consortium DHCP Client 4.4.3-P1
Copyright 2004-2022 Internet Systems Consortium.
All rights reserved.
For info, please visit https://www.isc.org/software/dhcp/
"""
USAGE = """Usage: dhclient [-4|-6] [-SNTPRI1dvrxi] [-nw] [-p <port>] [-D LL|LLT]
                [-s server-addr] [-cf config-file]
                [-df duid-file] [-lf lease-file]
                [-pf pid-file] [--no-pid] [-e VAR=val]
                [-sf script-file] [interface]*
       dhclient {--version|--help|-h}
"""
FLAGS = frozenset(("-4", "-v", "-q", "-d", "-1", "-r", "-x", "--no-pid"))
IGNORED = frozenset(("-lf",))
"""It names a file that is not kept."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""What a script's search path is after dhclient's own (CLIENT_PATH)."""
NOT_BUILT = frozenset(
    (
        "-6",
        "-S",
        "-N",
        "-T",
        "-P",
        "-R",
        "-I",
        "-i",
        "-nw",
        "-w",
        "-n",
        "-p",
        "-D",
        "-s",
        "-g",
        "-cf",
        "-df",
    )
)
TOS, TTL = 16, 128
"""Of what it sends through its packet socket (common/packet.c)."""


@dataclass
class Options:
    """What dhclient was told; *told*: variables for its script (-e)."""

    script: str = ""
    pidfile: str = ""
    told: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)

    @property
    def talks(self) -> bool:
        """Whether lines are shown."""
        return bool(self.flags & {"-v", "-d"}) and "-q" not in self.flags


def read(words: list[str]) -> Options:
    """Read the command line.

    Raises:
        Refused: an option there is not, or that is not built.
    """
    made, words = Options(), list(words)
    while words:
        word = words.pop(0)
        if word in FLAGS:
            made.flags.add(word)
        elif word == "-sf" and words:
            made.script = words.pop(0)
        elif word == "-pf" and words:
            made.pidfile = words.pop(0)
        elif word == "-e" and words:
            name, _, value = words.pop(0).partition("=")
            made.told[name] = value
        elif word in IGNORED:
            words = words[1:]
        elif word == "--version":
            raise Refused("isc-dhclient-4.4.3-P1\n", 0)
        elif word in ("-h", "--help"):
            raise Refused(BANNER + USAGE, 0)
        elif word == "-cf" and words[:1] == ["/dev/null"]:
            words = words[1:]
        elif word in NOT_BUILT:
            instead = "; it behaves as with -cf /dev/null" if word == "-cf" else ""
            raise Refused(f"simvlan: dhclient {word} is not built{instead}\n", 1)
        elif word.startswith("-"):
            raise Refused(f"{BANNER}Unknown command: {word}\n{USAGE}\nexiting.\n")
        else:
            made.names.append(word)
    return made


@dataclass(frozen=True)
class Kept:
    """A lease in the lease file: its address, when it ends (0: it was given back), what was told, until when."""

    address: int
    ends: int
    lease: m.Message | None = None
    ends_s: int = 0


def lease_file(dev: Device) -> str:
    """Where a device's lease is kept."""
    return f"/var/lib/dhcp/dhclient.{dev.name}.leases"


class IscInterface(Interface):
    """dhclient at work on a device."""

    prefix = ""
    tos, ttl = TOS, TTL

    def __init__(self, network: Any, dev: Device, voice: Voice, client: IscClient) -> None:
        super().__init__(network, dev, client, voice)
        self.background = True
        self.told: dict[str, str] = {}
        """Variables for the script that are always the same."""
        self.lease_ends_s = 0
        self.filed: m.Message | None = None
        """The lease of the file, until there is another."""
        self.leaving = "EXPIRE"
        """Why an address is given up."""

    def report(self, reason: str, new: m.Message | None = None) -> bool:
        """Have the script do something for a reason, if there is one."""
        told = {"interface": self.dev.name, "reason": reason, **self.told}
        old = self.filed or self.lease
        if old is not None and reason not in ("PREINIT", "REBOOT"):
            told |= lease_variables("old", old, self.lease_ends_s)
        if new is not None:
            self.filed = None
            self.lease_ends_s = self.client.ends // SECOND
            told |= lease_variables("new", new, self.lease_ends_s)
        if reason != "PREINIT":
            told |= wishes(WANTED)
        return self.script.start([], told, self._go_on)

    def _tell(self, event: str, msg: m.Message | None) -> bool:
        if event == "deconfig":
            self._note(held=False)
            return self.report(self.leaving)
        if msg is None:
            return self.report(event)
        assert isinstance(self.client, IscClient)
        if self.script.run is None:
            return False
        self._note(held=True)
        return self.report(self.client.reason, msg)

    def start(self) -> None:
        """Begin: the device up."""
        if self.report("PREINIT"):
            super().start()
            return
        try:
            link_set(self.network, self.dev, up=True)
        except RtnlError as error:
            self.voice.say(f"RTNETLINK answers: {os.strerror(error.errno or 0)}")
        super().start()

    def _configure(self, action: Bound) -> None:
        msg, held = action.message, self.lease
        self.lease = msg
        if held is not None and held.yiaddr != msg.yiaddr:
            address_flush(self.network, self.dev)
        self._name_servers(msg)
        seconds = msg.number(m.LEASE_TIME)
        mask = msg.number(m.MASK) or 0xFFFF_FF00
        ifa = Ifaddr(msg.yiaddr, mask.bit_count(), broadcast=msg.number(m.BROADCAST) or 0, label=self.dev.name,
                     valid_lft=seconds, preferred_lft=seconds)  # fmt: skip
        try:
            (address_add if action.new else address_replace)(self.network, self.dev, ifa)
            self._routes_of(msg)
        except RtnlError as error:
            self.voice.say(f"RTNETLINK answers: {os.strerror(error.errno or 0)}")
        self._note(held=True)

    def _note(self, held: bool) -> None:
        """Keep the lease where the next run finds it."""
        filed = replace(self.lease, siaddr=0) if self.lease is not None else self.filed
        ends = self.client.ends if held else 0
        self.dev.netns.kept[lease_file(self.dev)] = Kept(self.client.address, ends, filed, self.lease_ends_s)

    def _routes_of(self, msg: m.Message) -> None:
        routers = msg.options.get(m.ROUTER, b"")
        for at in range(0, len(routers), 4):
            via = int.from_bytes(routers[at : at + 4], "big")
            metric = 1 + at // 4 if len(routers) > 4 else 0
            if not any(r.via == via and not r.plen for r in self._routes()):
                route_add(self.network, self.dev.netns, Route(0, 0, via=via, dev=self.dev, metric=metric))

    def _bound(self) -> None:
        """It goes on to say for how long."""

    def _left_behind(self) -> None:
        self._leave()

    def _deconfigure(self) -> None:
        if self.lease is not None:
            address_flush(self.network, self.dev)
        self.lease = None


class Dhclient:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc, self.options = proc, read(proc.argv[1:])
        self.ns = proc.lab.network.netns[proc.netns]
        self.kept: dict[str, object] = self.ns.kept
        self.dev = self._device()
        self.ended = proc.lab.env.event()

    def _device(self) -> Device | None:
        names = self.options.names or [name for name in self.ns.devices if name != "lo"]
        if len(names) > 1:
            raise Refused("simvlan: dhclient works on one interface here: name it\n")
        dev: Device | None = self.ns.devices.get(names[0]) if names else None
        return dev

    def say(self, text: str) -> None:
        """A line that -v shows."""
        if self.options.talks:
            self.proc.write_err(text)

    def run(self) -> Generator[Any, Any, int]:
        """Get a lease and leave the rest to the background; or give it back (-r), or end what holds it (-x)."""
        dev, flags = self.dev, self.options.flags
        old = self._old()
        if old is not None and flags & {"-r", "-x"}:
            self.proc.write_err("Killed old client process\n")
        self.say(f"{BANNER}\n")
        if dev is None:
            self.say("Failed to get interface index: No such device\n\nexiting.\n")
            return 1
        mac = dev.mac.to_bytes(6, "big")
        text = ":".join(f"{octet:02x}" for octet in mac)
        self.say(
            f"Listening on LPF/{dev.name}/{text}\nSending on   LPF/{dev.name}/{text}\nSending on   Socket/fallback\n"
        )
        if flags & {"-r", "-x"}:
            return (yield from self._end(old, release="-r" in flags))
        if old is not None:
            old.stop(False)
        it = self._begin(mac)
        status = yield from self._work(it)
        if status == 0 and it.background and (self.options.script or self.options.pidfile):
            self.proc.detach(partial(self._let_go, it), self.options.pidfile)  # somebody has to run the script
        return status

    def _let_go(self, it: IscInterface) -> None:
        """End it, if it is not ended; the address stays."""
        it.stop(False)
        self.kept.pop(self._key(), None)

    def _script(self) -> Script:
        return script_of(self.proc, self.options.script)

    def _key(self) -> str:
        return f"/run/dhclient.{self.dev.name if self.dev is not None else ''}.pid"

    def _old(self) -> IscInterface | None:
        found = self.kept.get(self._key())
        return found if isinstance(found, IscInterface) and self.dev is not None and found.dev is self.dev else None

    def _end(self, old: IscInterface | None, release: bool) -> Generator[Any, Any, int]:
        if old is not None:
            old.voice, old.script = Voice(self.say), self._script()
            old.leaving = "RELEASE" if release else "STOP"
            old.told["pid"] = str(self.proc.pid)
            old.lease_ends_s = self.proc.lab.network.now // SECOND if release else old.lease_ends_s
            if old.lease is not None:
                old.filed = replace(old.lease, siaddr=0)
            address = old.client.address
            old.stop(release)
            if release:
                old.client.address = address
                old._note(held=False)
            elif not old.report("STOP"):
                old._deconfigure()
            del self.kept[self._key()]
            if old.script.busy:
                yield old.script.event
        return 0

    def _begin(self, mac: bytes) -> IscInterface:
        rng = self.proc.lab.network.rng
        assert self.dev is not None
        client = IscClient(mac, rng.getrandbits(32), self.dev.name, rng.randrange, once="-1" in self.options.flags)
        filed, ends_s = None, 0
        kept = self.kept.get(lease_file(self.dev))
        if isinstance(kept, Kept):
            client.remember(kept.address, kept.ends)
            filed, ends_s = kept.lease, kept.ends_s
        voice = Voice(self.say, self._over)
        made = self.kept[self._key()] = IscInterface(self.proc.lab.network, self.dev, voice, client)
        made.background = "-d" not in self.options.flags
        made.filed, made.lease_ends_s = filed, ends_s
        made.script, made.told = self._script(), {"pid": str(self.proc.pid), "PATH": PATH, **self.options.told}
        return made

    def _over(self, status: int) -> None:
        if not self.ended.triggered:
            self.ended.succeed(status)

    def _work(self, it: IscInterface) -> Generator[Any, Any, int]:
        try:
            it.start()
            return int((yield self.ended))
        except simpy.Interrupt as signal:
            it.stop(False)
            self.kept.pop(self._key(), None)
            return 0 if signal.cause in ("SIGTERM", "SIGINT") else 137


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run dhclient."""
    try:
        return (yield from Dhclient(proc).run())
    except Refused as refused:
        (proc.write if refused.status == 0 else proc.write_err)(str(refused))
        return refused.status
