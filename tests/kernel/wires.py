"""Commands, then frames, given alike to the simulator and to a kernel: what the tests of routers and hosts share.

A kernel is through with one frame before it gets the next (the guest's settling), so what the two show does not hang on
how busy the machine is; a pause between frames is for limits of rates.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from simvlan.devices.device import Device
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.oracle import STACK, compare_captures, run_many
from simvlan.oracle.kernels import Kernel
from simvlan.tools.program import call

PACE_MS = 2
SECOND, MS = 1_000_000_000, 1_000_000

Captures = dict[str, list[tuple[int, str, bytes]]]
Shot = tuple[str, str, bytes]


def sending(shots: Sequence[Shot]) -> list[str]:
    """The lines of a script that send frames, each when the kernel is through with the one before."""
    batch = [f"{ns} {device} {octets.hex()}" for ns, device, octets in shots]
    return ["cat > /run/frames <<'END'", *batch, "END", f"simvlan send --pause {PACE_MS} --batch /run/frames"]


def simulate(
    commands: Sequence[str], shots: Sequence[Shot], before_s: float, after_s: float = 0, last: str = ""
) -> tuple[Captures, str]:
    """What every device shows from the commands' end on, and what `last` says; pauses before and after the frames."""
    clock = EventClock()
    net = Network(clock)
    lab: Any = SimpleNamespace(network=net, clock=clock, env=clock.env, step=clock.step)
    for line in commands:
        result = call(lab, shlex.split(line))
        assert result.status == 0, (line, result.err)
    captures: Captures = {}
    for dev in net.devices():
        seen = captures.setdefault(f"{dev.netns.name or 'root'}.{dev.name}", [])

        def tap(now: int, dev: Device, frame: Frame, out: bool, seen=seen) -> None:  # type: ignore[no-untyped-def]
            seen.append((now, "out" if out else "in", bytes(frame)))

        dev.taps.append(tap)
    clock.advance(clock.now + int(before_s * SECOND))
    for space, device, octets in shots:
        net.send(net.netns[space].devices[device], Frame.parse(octets))
        clock.advance(clock.now + PACE_MS * MS)
    clock.advance(clock.now + int(after_s * SECOND))
    return captures, call(lab, shlex.split(last)).out if last else ""


def total(octets: bytes) -> int:
    """The internet checksum, written out."""
    if len(octets) % 2:
        octets += b"\0"
    value = sum(octets[i] << 8 | octets[i + 1] for i in range(0, len(octets), 2))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return 0xFFFF - value


Plan = tuple[list[str], list[Shot]]
"""Commands, and what is sent then."""


@dataclass(frozen=True)
class Router:
    """How the router r of one IP version is asked.

    Attributes:
        quiet_s: what passes before the first frame.
        neighbours: what lists them in the end.
        comparable: what of the captures counts.
    """

    quiet_s: float
    neighbours: str
    comparable: Callable[[Captures], Captures]

    def script(self, plan: Plan) -> str:
        """For a kernel; neighbours, which are many, by one process."""
        commands, shots = plan
        batch = [line for line in commands if line.startswith("ip -n r neigh")]
        lines = ["set -e", *(line for line in commands if line not in batch), "cat > /run/batch <<'END'"]
        lines += [line.removeprefix("ip -n r ") for line in batch]
        lines += ["END", "ip -n r -batch /run/batch", f"sleep {self.quiet_s}", "set +e", *sending(shots)]
        return "\n".join([*lines, self.neighbours])

    def problems(self, plans: Sequence[Plan], kernel: Kernel) -> list[str]:
        """What r does otherwise than a kernel's: frames of its wires, and the neighbours it knows."""
        runs = run_many(kernel, [self.script(plan) for plan in plans], timeout_s=90)
        found = []
        for number, (plan, run) in enumerate(zip(plans, runs, strict=True)):
            assert run.exit_code == 0, run.stderr
            ours, table = simulate(*plan, self.quiet_s, last=self.neighbours)
            knobs = " ".join(line.split()[-1] for line in plan[0] if "sysctl" in line)
            sides = (self.comparable(ours), self.comparable(run.captures))
            found += [f"plan {number} ({knobs}): {each}" for each in compare_captures(*sides, STACK)]
            if unlike := set(settled(table)) ^ set(settled(run.stdout)):
                found.append(f"plan {number} ({knobs}): {sorted(unlike)}")
        return found


def settled(listing: str) -> list[str]:
    """Neighbours whose state does not depend on the coarse clock."""
    return sorted(line.strip() for line in listing.splitlines() if "INCOMPLETE" not in line and "FAILED" not in line)
