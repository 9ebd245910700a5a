"""Modules that load when first needed, loaded before that: a served engine does it while nobody asks for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

from simvlan.docker.programs.images import BUSYBOX, GNU
from simvlan.rtnl.kinds import KINDS

FIRST = ("vlan", "macvlan", "ipvlan", "dummy")
"""Kinds of links that the drivers make."""
BESIDES = ("simvlan.shell.commands", "simvlan.rtnl.stacking")
"""What those modules load only when they run."""


def preloads() -> Iterator[Callable[[], object]]:
    """Small steps, each a few milliseconds; the likeliest first."""
    for kind in FIRST:
        yield partial(KINDS.__getitem__, kind)
    places = [*dict.fromkeys(place.partition(":")[0] for place in (BUSYBOX | GNU).values())]
    for module in (*BESIDES, *places):
        yield partial(import_module, module)
