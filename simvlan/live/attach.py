"""The words of `--attach NETNS/DEV=KIND:REAL`: which simulated device's wire leads to which real endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simvlan.live.packet import leg, on_device
from simvlan.live.places import Unattachable, check_name
from simvlan.live.port import Port
from simvlan.live.tap import Tap

if TYPE_CHECKING:
    from simvlan.engines.live import LiveEngine
    from simvlan.live.endpoint import Endpoint

KINDS = ("tap", "dev", "netns")
FORMS = "NETNS/DEV=tap:NAME, NETNS/DEV=dev:NAME or NETNS/DEV=netns:REAL-NETNS/NAME"
WORDS = {"dev": frozenset({"promisc", "uplink"})}
"""What may follow a device's name, after a comma."""


@dataclass(frozen=True)
class Attachment:
    """One `--attach`.

    Attributes:
        place: the simulated device, `netns/device`.
        kind: tap, dev or netns.
        netns: the real namespace of the endpoint, "" for this process's own.
        name: the real device's.
        words: `promisc`, `uplink`.
    """

    place: str
    kind: str
    netns: str
    name: str
    words: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The endpoint as it is written."""
        space = f"{self.netns}/" if self.netns else ""
        return f"{self.kind}:{space}{self.name}"


def parse(text: str) -> Attachment:
    """Read one. Raises Unattachable, which says what is expected."""
    place, sign, real = text.partition("=")
    kind, colon, rest = real.partition(":")
    if not (place and sign and colon and rest) or kind not in KINDS:
        raise Unattachable(f"--attach {text}: {FORMS} is expected")
    rest, *words = rest.split(",")
    netns, _, name = rest.rpartition("/")
    if kind == "netns" and not netns:
        raise Unattachable(f"--attach {text}: which namespace? netns:REAL-NETNS/NAME is expected")
    for word in words:
        if word not in WORDS.get(kind, ()):
            known = ", ".join(sorted(WORDS.get(kind, ()))) or "nothing"
            raise Unattachable(f"--attach {text}: {word!r} is not known; {known} may follow {kind}:NAME")
    return Attachment(place, kind, netns, check_name(name), frozenset(words))


def parse_all(texts: Sequence[str]) -> list[Attachment]:
    """Read all; no device twice."""
    found = [parse(text) for text in texts]
    for what in (lambda a: a.place, lambda a: (a.netns, a.name)):  # type: Callable[[Attachment], Any]
        seen = set()
        for each in found:
            if what(each) in seen:
                raise Unattachable(f"--attach {each.place}={each.label}: attached twice")
            seen.add(what(each))
    return found


def endpoint(wanted: Attachment, mtu: int, gso: bool = False) -> Endpoint:
    """Open the real side; what is made has an MTU of *mtu*, and sends super-packets with *gso*. Raises Unattachable."""
    if wanted.kind == "tap":
        return Tap(wanted.name, wanted.netns, wanted.label, mtu, gso)
    if wanted.kind == "dev":
        return on_device(wanted.name, wanted.netns, wanted.label, wanted.words)
    return leg(wanted.name, wanted.netns, wanted.label, mtu, gso)


def attach(lab: Any, engine: LiveEngine, wanted: Sequence[Attachment]) -> list[Port]:
    """Open all endpoints and join them; all or none. Raises Unattachable."""
    ports: list[Port] = []
    try:
        for each in wanted:
            try:
                dev = lab.network.device(each.place)
            except KeyError as missing:
                raise Unattachable(f"--attach {each.place}={each.label}: {missing.args[0]}") from None
            ports.append(_port(lab, engine, dev, each))
    except BaseException:
        close(ports)
        raise
    return ports


def _port(lab: Any, engine: LiveEngine, dev: Any, wanted: Attachment) -> Port:
    real = endpoint(wanted, dev.mtu, lab.network.gso)
    try:
        return Port(lab.network, dev, real, engine)
    except BaseException:
        real.close()
        raise


def close(ports: Sequence[Port]) -> None:
    """Take everything away again."""
    for port in ports:
        port.close()
