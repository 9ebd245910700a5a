"""What happened, for `docker events`: kept for those who ask about the past, told to those who listen now.

Mirrors daemon/events: the last 256 messages are kept, filters as the API's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from simvlan.docker.filters import Filters, check_names, exact, labels_match

KEPT = 256
FILTERS = (
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret",
    "service", "type", "volume",
)  # fmt: skip

Event: TypeAlias = "dict[str, Any]"


class EventLog:
    """The events of one engine."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[tuple[Filters, Callable[[Event], None]]] = []

    def tell(self, kind: str, action: str, ident: str, attributes: Mapping[str, str]) -> None:
        """Note an event and tell whoever listens."""
        event = _message(kind, action, ident, dict(sorted(attributes.items())), self._now())
        self._kept.append(event)
        for filters, callback in tuple(self._listeners):
            if _wanted(event, filters):
                callback(event)

    def past(self, filters: Filters, since_ns: int, until_ns: int | None) -> list[Event]:
        """The kept events from *since_ns* to *until_ns*."""
        check_names(filters, FILTERS)
        last = until_ns if until_ns is not None else 1 << 63
        return [e for e in self._kept if since_ns <= e["timeNano"] <= last and _wanted(e, filters)]

    def subscribe(self, filters: Filters, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Be told of what happens from now on; what is returned ends it."""
        check_names(filters, FILTERS)
        entry = (filters, callback)
        self._listeners.append(entry)

        def stop() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return stop

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)


def _message(kind: str, action: str, ident: str, attributes: dict[str, str], now_ns: int) -> Event:
    """Build the JSON of one event; containers and images have the old fields too (API below 1.52)."""
    old: Event = {}
    if kind in ("container", "image"):
        old = {"status": action, "id": ident}
        if kind == "container":
            old["from"] = attributes.get("image", "")
    return old | {
        "Type": kind, "Action": action, "Actor": {"ID": ident, "Attributes": attributes}, "scope": "local",
        "time": now_ns // 1_000_000_000, "timeNano": now_ns,
    }  # fmt: skip


def _wanted(event: Event, filters: Filters) -> bool:
    attributes = event["Actor"]["Attributes"]
    action = event["Action"]
    wanted = filters.get("event")
    if wanted and action not in wanted and action.split(":")[0] not in wanted:
        return False
    if not (exact(filters, "type", event["Type"]) and exact(filters, "scope", event["scope"])):
        return False
    return labels_match(filters, attributes) and all(
        _names(event, kind, filters[kind]) for kind in ("container", "network", "image", "volume") if filters.get(kind)
    )


def _names(event: Event, kind: str, wanted: Any) -> bool:
    """The event is about one of these objects, by id, name or the beginning of an id."""
    attributes = event["Actor"]["Attributes"]
    if event["Type"] == kind:
        ident, name = event["Actor"]["ID"], attributes.get("name", "")
    elif kind == "image" and event["Type"] == "container":
        ident = name = attributes.get("image", "")
    else:
        return False
    return any(each == name or ident.startswith(each) or name.partition(":")[0] == each for each in wanted)
