"""What the parts of one engine share: the lab, the node's namespace, the dialect, time, chance, the store, the log."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from simvlan.docker.dialects import Dialect
from simvlan.docker.events import EventLog
from simvlan.docker.store import MemoryStore, Store

if TYPE_CHECKING:
    from simvlan.lab import Lab
    from simvlan.network import Netns, Network

KERNEL = "6.1.176"
"""The release of the kernel that is simulated."""

EPOCH_NS = 1_767_225_600 * 1_000_000_000
"""2026-01-01: where a lab's virtual time begins for an engine that is given no other time."""


class Core:
    """One engine's surroundings."""

    def __init__(
        self,
        lab: Lab,
        node: str,
        dialect: Dialect,
        now: Callable[[], int] | None,
        rng: Random,
        store: Store | None,
    ) -> None:
        self.lab = lab
        self.node = node
        """The namespace that is the node; "" is the initial one."""
        self.dialect = dialect
        self.rng = rng
        self.store: Store = store if store is not None else MemoryStore()
        self.now: Callable[[], int] = now or self._virtual_now
        """The time in ns since 1970."""
        self.events = EventLog(lambda: self.now())
        self.on_note: Callable[[str], object] = lambda _text: None
        """Told of each note as well: a server prints them."""
        self.log: list[str] = []
        """What a daemon would write to its log: notes on what was ignored or is not simulated."""
        self.kernel = KERNEL

    def _virtual_now(self) -> int:
        return EPOCH_NS + self.net.now

    @property
    def net(self) -> Network:
        """The simulated world."""
        return self.lab.network

    @property
    def host(self) -> Netns:
        """The node's namespace; looked up each time, for a restored lab has new ones."""
        return self.net.netns[self.node]

    @property
    def hostname(self) -> str:
        """The node's name."""
        return self.node or "node"

    def new_id(self) -> str:
        """64 hex digits; never digits alone in the first twelve, as Docker takes care of."""
        while True:
            made = f"{self.rng.getrandbits(256):064x}"
            if not made[:12].isdigit():
                return made

    def note(self, text: str) -> None:
        """Write to the engine's log."""
        self.log.append(text)
        self.on_note(text)


def short(ident: str) -> str:
    """The first twelve digits of an id."""
    return ident[:12]
