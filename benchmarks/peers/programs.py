"""Peers as programs beside this one: ns-3's bridge and a packet socket into the real kernel (`make bench-peers`).

Each is started once, given frames as files of octets, and asked to forward them as often as rounds need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import Run
from simvlan.engines.batch import FrameBatch

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "peers"
NS3, SENDER = BUILD / "ns3_bridge", BUILD / "packet_sender"


class Missing(Exception):  # noqa: N818 - not an error of the program
    """A peer is not there; the text says how to get it."""


class Program:
    """A running peer that forwards the frames it was given."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.files = 0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, encoding="ascii"
        )

    def ask(self, line: str) -> list[str]:
        """Give one command; return the words of the answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended ({self.process.wait()})")
        return answer

    def load(self, batch: FrameBatch, gap_ns: int = 1000) -> None:
        """Hand frames of equal size over."""
        self.files += 1
        octets, ingress = self.folder / f"{self.files}.octets", self.folder / f"{self.files}.ingress"
        packed, sizes = batch.packed()
        packed.tofile(octets)
        batch.ingress.tofile(ingress)
        assert int(self.ask(f"load {octets} {sizes[0]} {ingress} {gap_ns}")[0]) == len(batch)
        octets.unlink()
        ingress.unlink()

    def close(self) -> None:
        """End it; what it built in the kernel ends with it."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(timeout=60)


class Ns3(Program):
    """ns-3: bridges and hosts joined by cables of SimpleNetDevices."""

    def __init__(self, topology: Iterable[str], folder: Path) -> None:
        if not NS3.exists():
            raise Missing("ns-3's bridge is not built: `make bench-peers`")
        path = folder / "topology"
        path.write_text("\n".join(topology) + "\n")
        super().__init__([str(NS3), str(path)], folder)

    def contender(self, batch: FrameBatch, expected: int, gap_ns: int = 1000) -> Run:
        """Return a run of these frames; it must deliver `expected` of them."""
        self.load(batch, gap_ns)

        def run() -> tuple[float, int]:
            used, delivered, _ = self.ask("run")
            assert int(delivered) == expected, f"ns-3 delivered {delivered} of {expected}"
            return float(used), len(batch)

        return run

    def learn(self, batch: FrameBatch) -> None:
        """Forward frames for what bridges learn from them."""
        self.load(batch)
        self.ask("run")


class Kernel(Program):
    """The real kernel: a namespace built with `ip -batch`, and a packet socket that sends into it."""

    def __init__(self, commands: Iterable[str], senders: Sequence[str], receivers: Sequence[str], folder: Path) -> None:
        if not SENDER.exists():
            raise Missing("the packet sender is not built: `make bench-peers`")
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Missing("the real kernel's bridge needs root and iproute2")
        path = folder / "commands"
        path.write_text("\n".join(commands) + "\n")
        quiet = "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done 2> /dev/null; "
        script = quiet + 'ip -batch "$0" && exec "$@"'
        super().__init__(
            ["unshare", "--net", "sh", "-c", script, str(path), str(SENDER), *senders], folder
        )
        self.receivers = receivers

    def received(self) -> int:
        """Count the frames that have arrived at the receivers."""
        lines = Path(f"/proc/{self.process.pid}/net/dev").read_text().splitlines()[2:]
        counts = {name.strip(): int(rest.split()[1]) for name, rest in (line.split(":", 1) for line in lines)}
        return sum(counts[name] for name in self.receivers)

    def contender(self, batch: FrameBatch, lost: float = 0.01) -> Run:
        """Return a run of these frames; cost is per frame that arrived, and at most `lost` of them may get lost."""
        self.load(batch)

        def run() -> tuple[float, int]:
            before = self.received()
            used = float(self.ask("run")[0])
            arrived = self.received() - before
            assert arrived >= (1 - lost) * len(batch), f"the kernel delivered {arrived} of {len(batch)}"
            return used, arrived

        return run

    def learn(self, batch: FrameBatch) -> None:
        """Forward frames for what bridges learn from them."""
        self.load(batch)
        self.ask("run")


def bridge_commands(ports: int) -> list[str]:
    """A bridge with `ports` veth ports, h0 ... outside."""
    out = ["link add br0 type bridge ageing_time 8640000 mcast_snooping 0", "link set br0 up"]
    for n in range(ports):
        out += [f"link add h{n} type veth peer name p{n}", f"link set p{n} master br0 up", f"link set h{n} up"]
    return out


def macvlan_commands(macs: Iterable[str]) -> list[str]:
    """One macvlan (bridge mode) per MAC on p0, whose other end is h0."""
    out = ["link add h0 type veth peer name p0", "link set p0 up", "link set h0 up"]
    for n, mac in enumerate(macs):
        out += [f"link add m{n} link p0 address {mac} type macvlan mode bridge", f"link set m{n} up"]
    return out
