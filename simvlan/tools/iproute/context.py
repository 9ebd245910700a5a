"""What every command of `ip` and `bridge` works with: the options, the namespace, and where the output goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simvlan.errors import RtnlError, Unsupported
from simvlan.tools.iproute.errors import REFUSED, Quit, no_device, refused
from simvlan.tools.iproute.jsonout import dump

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.network import Netns, Network
    from simvlan.tools.program import Process

Record = dict[str, Any]
"""One object in iproute2's JSON shape, from which the text is written too."""


@dataclass
class Options:
    """The options before the object. `family` is inet, link, ... or None for any."""

    family: str | None = None
    details: int = 0
    stats: int = 0
    oneline: int = 0
    brief: int = 0
    json: int = 0
    pretty: int = 0
    human: int = 0
    iec: int = 0
    numeric: int = 0
    compressvlans: int = 0
    force: int = 0
    everything: bool = False
    batch: str | None = None

    @property
    def line(self) -> str:
        """What separates the lines of one object: a backslash with -oneline."""
        return "\\" if self.oneline else "\n"


@dataclass
class Context:
    """One run of `ip` or `bridge`."""

    proc: Process
    net: Network
    ns: Netns
    opt: Options = field(default_factory=Options)
    batching: bool = False

    # -- output -----------------------------------------------------------------------------------------------------

    def show(self, records: Sequence[Record], text: Callable[[Record], str]) -> None:
        """Print objects as JSON or, each through *text*, as lines."""
        if self.opt.json:
            self.proc.write(dump(list(records), bool(self.opt.pretty)))
        else:
            self.say("".join(map(text, records)))

    def say(self, text: str) -> None:
        """Print text, if there is any."""
        if text:
            self.proc.write(text)

    def warn(self, text: str) -> None:
        """Print a line on stderr and go on."""
        self.proc.write_err(text)

    # -- names ------------------------------------------------------------------------------------------------------

    def device(self, name: str) -> Device | None:
        """Return a device by name, or by index as `ifN` (ll_name_to_index).

        The kernel describes it, and so gives the namespace of its link a number (rtnl_fill_link_netnsid).
        """
        found = self.ns.devices.get(name)
        if found is None and re.fullmatch(r"if\d+", name):
            return self.ns.by_index(int(name[2:]))
        if found is not None and found.link is not None and found.link.netns is not self.ns:
            self.ns.id_of(found.link.netns)
        return found

    def need(self, name: str) -> Device:
        """Return a device or fail as iproute2 does."""
        found = self.device(name)
        if found is None:
            raise no_device(name)
        return found

    def netns(self, name: str) -> Netns | None:
        """Return a namespace that has a name."""
        return self.net.netns.get(name) if name else None

    # -- the kernel's answers ---------------------------------------------------------------------------------------

    @contextmanager
    def kernel(self) -> Iterator[None]:
        """Turn refusals of the configuration into what libnetlink prints."""
        try:
            yield
        except RtnlError as error:
            raise refused(error) from error
        except Unsupported as error:
            raise Quit(REFUSED, f"simvlan: {error}\n") from error


def netns_missing(name: str) -> Quit:
    """Say that a namespace cannot be entered."""
    return Quit(255, f'Cannot open network namespace "{name}": No such file or directory\n')
