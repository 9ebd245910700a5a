"""The object a Python user holds: one simulated world, its clock, and everything one wants to ask of it.

lab = Lab()
lab.sh("ip netns add c1; ip link add veth0 type veth peer name eth0 netns c1")
print(lab.ping("c1", "10.0.0.1"))
print(lab.trace("c1/eth0", Ether() / IP(dst="10.0.0.1") / ICMP()))
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from simvlan import expect
from simvlan.capture import OutsideSnapshots
from simvlan.clock import SECOND
from simvlan.devices.device import Device
from simvlan.engines.events import EventClock, Snapshot, restore, snapshot
from simvlan.fill import FrameLike, frames_of
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.stack.packet_socket import transmit
from simvlan.table import Table

if TYPE_CHECKING:
    from simvlan.engines.batch import Pipeline
    from simvlan.explain import Recording, Walk
    from simvlan.links import Cable
    from simvlan.matrix import Matrix

QUIET_LIMIT_S = 60
"""How long `run()` waits for silence: periodic timers (STP hellos, IGMP queries) never let it come."""

HTML_ROWS = 40
"""Devices that a notebook's summary of a lab lists."""


@dataclass(frozen=True)
class ShellResult:
    """What a script wrote, and its exit status."""

    stdout: str
    stderr: str
    exit: int

    def __str__(self) -> str:
        return self.stdout + self.stderr + (f"[exit status {self.exit}]" if self.exit else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = ' style="color:#b2182b"' if self.exit else ""
        return f"<pre>{escape(self.stdout)}</pre><pre{colour}>{escape(self.stderr)}</pre>"


@dataclass(frozen=True)
class PingResult:
    """What ping said."""

    sent: int
    received: int
    text: str
    exit: int

    def __bool__(self) -> bool:
        return self.received > 0

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


class Lab:
    """A simulated world. The same seed gives the same bytes.

    Attributes:
        network: namespaces and devices.
    """

    def __init__(self, seed: int = 0, script: str | None = None, *, ipv6: bool = False, gso: bool = False) -> None:
        """Make an empty world, or the one a script makes.

        With *ipv6* its namespaces start with IPv6 on; with *gso* TCP sends super-packets where devices take them.
        """
        self.network = Network(EventClock(), expect.whole("seed", seed), ipv6=ipv6, gso=gso)
        if script is not None:
            done = self.sh(expect.text("script", script, "ip netns add c1"))
            if done.exit:
                raise RuntimeError(f"the script ended with status {done.exit}: {done.stderr.strip()}")

    def __repr__(self) -> str:
        spaces = len(self.network.netns) - 1
        return f"<Lab: {spaces} namespaces, {sum(1 for _ in self.network.devices())} devices, t = {self.now / 1e9:g} s>"

    def _repr_html_(self) -> str:
        from simvlan.plot import html_picture

        title = f"<p>{escape(repr(self)[1:-1])}</p>"
        drawn = any(dev.kind for dev in self.network.devices())
        picture = html_picture(self.plot(), "The namespaces and what connects them") if drawn else ""
        table = self.devices()
        left = len(table) - HTML_ROWS
        more = f"<p>and {left} more: lab.devices()</p>" if left > 0 else ""
        return f"{title}{picture}{table[:HTML_ROWS]._repr_html_()}{more}"

    # -- time -------------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> EventClock:
        """The clock of the network."""
        clock = self.network.clock
        assert isinstance(clock, EventClock)
        return clock

    @property
    def env(self) -> Any:
        """The SimPy environment, for processes of one's own."""
        return self.clock.env

    @property
    def now(self) -> int:
        """The current time in ns."""
        return self.clock.now

    def step(self) -> bool:
        """Do the next thing; False when nothing is pending."""
        return self.clock.step()

    def run(self, until: float | None = None, *, until_ns: int | None = None) -> Lab:
        """Let time pass until a time (seconds, or *until_ns*), else until nothing is pending or a minute has passed.

        Raises:
            ValueError: the time is over already.
        """
        if until is not None and until_ns is not None:
            raise TypeError(f"until={until!r} and until_ns={until_ns!r}: one of them says when to stop")
        if until is not None:
            until_ns = round(expect.number("until", until) * SECOND)
        if until_ns is not None:
            until_ns = expect.whole("until_ns", until_ns)
            if until_ns < self.now:
                raise ValueError(f"it is already {self.now} ns: time does not run back (use restore())")
            self.clock.advance(until_ns)
            return self
        limit = self.now + QUIET_LIMIT_S * SECOND
        while (due := self.clock.peek()) is not None and due <= limit:
            self.clock.step()
        return self

    # -- doing ------------------------------------------------------------------------------------------------------

    def sh(self, text: str, *args: str, confined: bool = True) -> ShellResult:
        """Run a bash script on this lab; its network commands act here, in virtual time.

        Args:
            text: the script itself, not its file's name.
            args: its `$1`, `$2` ...
            confined: in namespaces that keep it from the machine's own network (docs/scripts.md).

        Raises:
            simvlan.shell.confine.Refused: this machine does not allow such namespaces; `confined=False` does without.
            simvlan.shell.run.ScriptMissing: there is no bash.
        """
        from simvlan.shell.run import Streams, run_text

        expect.text("text", text, "ip netns add c1")
        expect.texts("args", args, "eth0")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as none:
            streams = Streams(none.fileno(), out.fileno(), err.fileno())
            status = run_text(self, text, args, confined=confined, streams=streams)
            return ShellResult(_read(out), _read(err), status)

    def command(self, *argv: str, netns: str = "") -> ShellResult:
        """Run one simulated command (`lab.command("ip", "link")`) without a shell.

        Raises:
            KeyError: no such namespace. What the command itself refuses is in the result, as in a shell.
        """
        from simvlan.tools.program import call

        if not expect.texts("argv", argv, "ip"):
            raise TypeError('argv: a command is expected, such as lab.command("ip", "link")')
        done = call(self, argv, netns=self._netns(netns))
        return ShellResult(done.out, done.err, done.status)

    def ping(self, ns: str, address: str, count: int = 1, *options: str) -> PingResult:
        """Ping an address from a namespace: *count* times, with further options of ping.

        Raises:
            KeyError: no such namespace.
        """
        argv = ["-c", str(expect.whole("count", count, 1)), *expect.texts("options", options, "-n")]
        done = self.command("ping", *argv, expect.text("address", address, "192.0.2.1"), netns=ns)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
        sent, received = (int(found[1]), int(found[2])) if found else (0, 0)
        return PingResult(sent, received, done.stdout + done.stderr, done.exit)

    def send(self, path: str, what: FrameLike) -> None:
        """Transmit on a device through a packet socket; a pcap file's frames go one after the other.

        Raises:
            KeyError: no such namespace or device.
            OSError: ENETDOWN, EMSGSIZE, ENOBUFS or ENETUNREACH, as the socket would say; ENOENT: no such pcap file.
        """
        dev = self._device(path)
        for frame in frames_of(what, dev):
            transmit(self.network, dev, frame)

    @contextmanager
    def capture(self, path: str) -> Iterator[Any]:
        """Collect what a packet socket on a device sees; the scapy PacketList is filled while the block runs.

        Times are in seconds of the lab; `direction` is 1 for what came in, 2 for what went out.

        Raises:
            KeyError: no such namespace or device.
        """
        from scapy.plist import PacketList

        dev, packets = self._device(path), PacketList(name=path)
        tap = _Collector(packets)
        dev.taps.append(tap.tap)
        try:
            yield packets
        finally:
            if tap.tap in dev.taps:
                dev.taps.remove(tap.tap)

    def link(self, path: str, **options: Any) -> Cable:
        """Make a cable of a veth pair, both ways alike (`links.CableOptions`).

        Args:
            path: either end.
            options: delay and jitter in seconds (or `delay_ns`, `jitter_ns`), rate in bit/s, loss, duplicate and
                reorder as fractions of one, limit in frames.

        Raises:
            KeyError: no such device.
            ValueError: it is no veth, or a value is no use.
            TypeError: a cable has no such option.
        """
        from simvlan.links import Cable, CableOptions

        dev: Any = self._device(path)
        if not hasattr(dev, "peer"):
            raise ValueError(f"{dev.path} is no veth: a cable lies between the ends of a veth pair")
        return Cable(self.network, dev, CableOptions(**_cable(options)))

    def underlay(self, word: str, place: str = "") -> list[str]:
        """Lay an underlay (`virtualbox`, `wifi-sta`, `port-security:1` ...) under NICs; returns their paths.

        Args:
            word: see docs/underlays.md; `none` takes it away.
            place: a NIC, or a bridge that is the segment's switch; default: wherever a parent hangs on a switch.

        Raises:
            KeyError: no such device.
            ValueError: no such word, or no NIC there.
        """
        from simvlan.underlay.words import put

        return put(self.network, expect.text("place", place, "node-1/eth1"), expect.text("word", word, "virtualbox"))

    # -- asking -----------------------------------------------------------------------------------------------------

    def trace(self, path: str, what: FrameLike) -> Walk:
        """Tell where a frame sent on a device would go, and why; nothing changes here.

        Raises:
            KeyError: no such namespace or device.
            ValueError: more than one frame, or none.
        """
        from simvlan.explain import explain

        frames = frames_of(what, self._device(path))
        if len(frames) != 1:
            raise ValueError(f"a trace follows one frame, not {len(frames)}")
        return explain(self.network, path, frames[0])

    def matrix(self, between: Sequence[str] | None = None) -> Matrix:
        """Ping between all namespaces (or these) and say why where it fails; nothing changes here.

        Raises:
            KeyError: no such namespace.
        """
        from simvlan.matrix import reach

        return reach(self, None if between is None else expect.texts("between", between, "c1"))

    @contextmanager
    def record(self) -> Iterator[Recording]:
        """Collect every step of every frame while the block runs; the recording is filled as it does."""
        from simvlan.explain import Recording
        from simvlan.trace import listen, unlisten

        steps = Recording()
        listen(self.network, steps.steps.append)
        try:
            yield steps
        finally:
            unlisten(self.network, steps.steps.append)

    def compile(self, engine: str = "auto", threads: int | None = None) -> Pipeline:
        """Turn the lab as it is now into tables that forward millions of frames: see docs/batch.md.

        *engine* is "numpy", "numba" or "auto" (Numba where it is installed); *threads*, by default all cores, are for
        Numba.

        Raises:
            Unsupported: it has something whose answers cannot be tabulated; says what, and what to do.
        """
        from simvlan.engines.batch import Pipeline

        return Pipeline(self.network, engine, threads)

    def plot(self) -> Any:
        """Return the topology as a matplotlib figure: namespaces, devices, VLANs and what connects them."""
        from simvlan.plot import topology

        return topology(self)

    def fdb(self, bridge: str) -> Table:
        """Show a bridge's forwarding database (`bridge fdb show br`).

        Raises:
            KeyError: no such device.
            ValueError: it is no bridge.
        """
        dev = self._device(bridge, "bridge")
        if dev.kind != "bridge":
            raise ValueError(f"{dev.path} is no bridge, but {dev.kind or 'a loopback device'}: only bridges learn")
        return self._json(["bridge", "-j", "fdb", "show", "br", dev.name], dev.netns.name)

    def neigh(self, ns: str = "") -> Table:
        """Show a namespace's neighbours (`ip neigh`)."""
        return self._json(["ip", "-j", "neigh"], ns)

    def routes(self, ns: str = "") -> Table:
        """Show a namespace's routes (`ip route`)."""
        return self._json(["ip", "-j", "route"], ns)

    def devices(self) -> Table:
        """Show every device of every namespace."""
        return Table(_device_row(dev) for dev in self.network.devices())

    def _json(self, argv: list[str], ns: str) -> Table:
        done = self.command(*argv, netns=ns)
        if done.exit:
            raise RuntimeError(done.stderr.strip())
        return Table(json.loads(done.stdout or "[]"))

    def _device(self, path: str, name: str = "path") -> Device:
        return self.network.device(expect.text(name, path, "c1/eth0"))

    def _netns(self, name: str) -> str:
        name = "" if expect.text("netns", name, "c1") == "root" else name
        if name not in self.network.netns:
            raise KeyError(f'no network namespace "{name}"')
        return name

    # -- going back -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Keep the world as it is: tables, counters, frames under way, timers, random generators."""
        return snapshot(self.network)

    def restore(self, saved: Snapshot) -> Lab:
        """Put the world back to a snapshot of this lab; a snapshot may be used any number of times."""
        if not isinstance(saved, Snapshot):
            raise TypeError(f"{saved!r} is no snapshot: give what snapshot() returned")
        restore(saved, self.network)
        return self


class _Collector(OutsideSnapshots):
    """A tap that makes scapy packets."""

    def __init__(self, packets: Any) -> None:
        self.packets = packets

    def tap(self, now: int, dev: Device, frame: Frame, outgoing: bool) -> None:
        import scapy.layers.inet  # noqa: F401 - scapy reads IP only once this is loaded
        from scapy.layers.l2 import Ether
        from scapy.utils import EDecimal

        packet = Ether(bytes(frame))
        packet.time = EDecimal(now) / SECOND
        packet.direction = 2 if outgoing else 1
        self.packets.append(packet)


def _read(file: Any) -> str:
    file.seek(0)
    return bytes(file.read()).decode(errors="replace")


def _cable(options: dict[str, Any]) -> dict[str, Any]:
    """Translate seconds and rates into the cable's own options."""
    from simvlan.links import CableOptions

    names = {"delay": "delay_ns", "jitter": "jitter_ns", "rate": "rate_bps"}
    known = {field.name for field in fields(CableOptions)}
    unknown = sorted(name for name in options if names.get(name, name) not in known)
    if unknown:
        raise TypeError(f"a cable has no {', '.join(unknown)}: it has delay, jitter, rate, loss ...")
    made: dict[str, Any] = {}
    for name, value in options.items():
        given = expect.number(name, value)
        scale = {"delay": SECOND, "jitter": SECOND, "rate": 1}.get(name)  # 1e9 bit/s is a whole number too
        made[names.get(name, name)] = round(given * scale) if scale else given
    return made


def _device_row(dev: Device) -> dict[str, Any]:
    state = "up" if dev.up and dev.carrier else "no carrier" if dev.up else "down"
    return {
        "netns": dev.netns.name or "root",
        "device": dev.name,
        "kind": dev.kind or "loopback",
        "state": state,
        "mtu": dev.mtu,
        "address": dev.mac.to_bytes(6, "big").hex(":"),
        "lower": dev.lower.path if dev.lower else "",
        "master": dev.master.name if dev.master else "",
        "rx": dev.rx_packets,
        "tx": dev.tx_packets,
        "dropped": dev.rx_dropped + dev.tx_dropped,
    }
