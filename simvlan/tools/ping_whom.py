"""Whom ping means: the addresses of its target in the order in which they are tried (main of iputils' ping.c)."""

from __future__ import annotations

from simvlan.tools.hosts import WRONG_FAMILY, Host, find_all, literal, ordered
from simvlan.tools.names import at_hand
from simvlan.tools.ping_options import Options, Refused
from simvlan.tools.program import Process


def is_address(target: str) -> bool:
    """Whether a target is an address: then ping looks for no names."""
    return target != "localhost" and literal(target) is not None


def _localhosts(proc: Process, family: int) -> list[Host] | str:
    """What the namespace's hosts file says; without one, the loopback address of the family that is wanted."""
    listed = [host for host in map(literal, at_hand(proc, "localhost") or ()) if host is not None]
    stack = proc.lab.network.netns[proc.netns].stack
    return ordered(stack, listed) if listed else find_all(proc, "localhost", family)


def candidates(proc: Process, options: Options) -> list[tuple[Host, str]]:
    """The addresses to try with what they are called: only the first of all has the full name (ai_canonname).

    Raises:
        Refused: there are none, or none of the family that -4 or -6 asks for.
    """
    target = options.target
    found = _localhosts(proc, options.family) if target == "localhost" else find_all(proc, target)
    if isinstance(found, str):
        raise Refused(f"ping: {target}: {found}\n")
    full = target if is_address(target) else proc.full_names.get(target, target)
    named = [(host, "" if at else full) for at, host in enumerate(found)]
    fits = [(host, shown) for host, shown in named if options.family in (0, host.family)]
    if not fits:
        raise Refused(f"ping: {target}: {WRONG_FAMILY}\n")
    return fits
