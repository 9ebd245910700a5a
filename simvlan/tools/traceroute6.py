"""traceroute 2.1.2 for IPv6: what differs in what it sends and prints."""

from __future__ import annotations

from typing import Any

from simvlan.stack.family import PROBE_PMTU
from simvlan.stack.ipv6 import icmp6, packet
from simvlan.stack.ipv6.addr import ip6_text, is_link_local
from simvlan.tools.traceroute import Probe, Traceroute

NOTES = (" !N", " !X", " !H", " !H", "")
"""What an unreachable code is shown as; the last is the target's own answer."""


class Traceroute6(Traceroute):
    """One run; `zone` is the device of an address of one link (`fe80::1%eth0`)."""

    family, header, usual_size, echo_request, unfragmented = 6, 48, 80, icmp6.ECHO, PROBE_PMTU

    def _quoted(self, about: bytes) -> bytes:
        upper = packet.skip_extensions(about, about[6]) if len(about) > packet.HEADER else None
        return about[upper.at :] if upper is not None else bytes(8)

    def _judge(self, probe: Probe, problem: Any) -> None:
        kind, code = problem.type, problem.code
        if kind == icmp6.TIME_EXCEEDED and code == 0:
            return
        probe.final = True
        if kind == icmp6.UNREACH:
            probe.note = NOTES[code] if code < len(NOTES) else f" !<{code}>"
        elif kind == icmp6.TOO_BIG:
            probe.note = f" !F-{problem.info}"
        else:
            probe.note = f" !<{kind}-{code}>"

    def text(self, address: int) -> str:
        """Write an address, with its device where it means something on one link only."""
        zone = f"%{self.zone.name}" if self.zone is not None and is_link_local(address) else ""
        return ip6_text(address) + zone
