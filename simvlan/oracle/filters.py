"""What the filters of a kernel's ipvlans take for one, asked of that kernel: given to the simulator, not masked.

They are hashes of 256 bits with a secret drawn at boot (ipvlan_mac_hash of drivers/net/ipvlan/ipvlan_core.c), so that
every ipvlan of one boot hears the same strange groups with the same joined ones. Where one heard a group more often
than ours, a network of its own says which joined groups let that group in; the simulator, told so, must then agree in
everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Protocol

from simvlan.frame import BROADCAST, mac_text
from simvlan.oracle.observation import Captured, Captures
from simvlan.oracle.runs import Job, KernelRun

WHY = "The kernel takes two groups for one in ipvlan's filter (ipvlan_mac_hash)"
Alike = frozenset[tuple[int, int]]
"""(joined group, group let in with it)."""

_TAIL = "02000000005188b5"
"""Source and ethertype of what is sent."""
_MAKE = """ip link add p0 type veth peer name w0
ip link add link p0 name i0 type ipvlan mode l2
for d in p0 w0 i0; do ip link set $d up; done
"""


class Asked(Protocol):
    """A guest, always of the same boot."""

    def run(self, job: Job) -> KernelRun:
        """What a script did."""


def uninvited(joined: Iterable[str], ours: Captures, theirs: Captures) -> set[int]:
    """Groups that an ipvlan, named by its capture point, heard more often there than here."""
    found = set()
    for point in joined:
        mine, its = (_groups(seen.get(point, ())) for seen in (ours, theirs))
        found |= {group for group in its if its[group] > mine[group]}
    return found - {BROADCAST}


def _groups(seen: Sequence[Captured]) -> Counter[int]:
    return Counter(int.from_bytes(octets[:6], "big") for _, way, octets in seen if way == "in" and octets[0] & 1)


def ask(guest: Asked, joined: Collection[int], others: Collection[int]) -> Alike:
    """Which of the others an ipvlan of this boot hears while it has joined which.

    What one hears that has joined no more than every ipvlan has goes with the broadcast address.
    """
    turns = [BROADCAST, *sorted({*joined} - {BROADCAST})]
    groups = sorted({*others})
    seen = guest.run(Job(_script(turns, groups))).captures.get("root.i0", ())
    heard = {octets for _, way, octets in seen if way == "in"}
    pairs = {
        (member, group)
        for (number, member), group in product(enumerate(turns), groups)
        if member != group and bytes.fromhex(_frame(group, number)) in heard
    }
    always = {group for member, group in pairs if member == BROADCAST}
    return frozenset((member, group) for member, group in pairs if member == BROADCAST or group not in always)


def _script(turns: Sequence[int], groups: Sequence[int]) -> str:
    """The groups sent once with each of the joined ones a member."""
    lines = [_MAKE]
    for number, member in enumerate(turns):
        sent = "".join(f"- w0 {_frame(group, number)}\n" for group in groups if group != member)
        change = "" if member == BROADCAST else f"ip maddr {{}} {mac_text(member)} dev i0\n"
        lines.append(change.format("add"))
        lines.append(f"cat > /run/shots <<'END'\n{sent}END\nsimvlan send --pause 0 --batch /run/shots\n")
        lines.append(change.format("del"))
    return "".join(lines)


def _frame(group: int, number: int) -> str:
    """A frame that tells which turn it is of."""
    return f"{group:012x}{_TAIL}{number:092x}"
