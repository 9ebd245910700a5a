"""Filters of list, prune and event requests. Mirrors api/types/filters: both wire forms, exact and pattern matches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from simvlan.docker.errors import DockerError, invalid

Filters: TypeAlias = "Mapping[str, Sequence[str]]"


def parse_filters(text: str | None) -> dict[str, list[str]]:
    """Read the `filters` query: `{"name": {"a": true}}` or `{"name": ["a"]}`.

    Raises:
        DockerError: 400 `invalid filter`.
    """
    if not text:
        return {}
    try:
        read = json.loads(text)
        made = {str(key): _values(value) for key, value in read.items()}
    except (ValueError, AttributeError, TypeError):
        raise invalid("invalid filter") from None
    return made


def _values(value: object) -> list[str]:
    if isinstance(value, dict):
        if not all(isinstance(flag, bool) for flag in value.values()):
            raise TypeError
        return [key for key, flag in value.items() if flag]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    raise TypeError


def check_names(filters: Filters, known: Iterable[str]) -> None:
    """Refuse a filter nobody knows."""
    accepted = set(known)
    for name in sorted(filters):
        if name not in accepted:
            raise invalid(f"invalid filter '{name}'")


def exact(filters: Filters, name: str, value: str) -> bool:
    """The filter is absent, or names this value."""
    return not filters.get(name) or value in filters[name]


def fuzzy(filters: Filters, name: str, value: str) -> bool:
    """The filter is absent, or one of its patterns is in the value (filters.Args.Match)."""
    return not filters.get(name) or any(_matches(pattern, value) for pattern in filters[name])


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return pattern == value


def labels_match(filters: Filters, labels: Mapping[str, str], name: str = "label") -> bool:
    """Every `k` or `k=v` is among the labels."""
    for wanted in filters.get(name, ()):
        key, sep, value = wanted.partition("=")
        if key not in labels or (sep and labels[key] != value):
            return False
    return True


def boolean(filters: Filters, name: str) -> bool | None:
    """A yes-or-no filter; None when it is absent. Raises 400 when it is neither."""
    values = {value.lower() for value in filters.get(name, ())}
    if not values:
        return None
    if values <= {"true", "1"}:
        return True
    if values <= {"false", "0"}:
        return False
    raise DockerError(400, f"invalid filter '{name}={sorted(filters[name])}'")
