"""What the Python interface says of an argument that is no use: which one, what it was, what is expected instead."""

from __future__ import annotations

import math
from typing import Any


def text(name: str, value: Any, example: str) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError(f'{name}={value!r}: a text is expected, such as "{example}"')
    return value


def texts(name: str, values: Any, example: str) -> list[str]:
    """Return several texts; one alone, whose letters would be taken for the texts, is refused."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f'{name}={values!r}: a list of texts is expected, such as ["{example}"]')
    return [text(name, value, example) for value in values]


def whole(name: str, value: Any, low: int | None = None) -> int:
    """Return a whole number, not below *low*."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r}: a whole number is expected")
    number = int(value.__index__())
    if low is not None and number < low:
        raise ValueError(f"{name}={value!r}: it must not be below {low}")
    return number


def number(name: str, value: Any, low: float | None = None) -> float:
    """Return a finite number, not below *low*."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}={value!r}: a number is expected")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value!r}: a finite number is expected")
    if low is not None and value < low:
        raise ValueError(f"{name}={value!r}: it must not be below {low:g}")
    return value  # type: ignore[no-any-return]  # exact: a large int would lose digits as a float
