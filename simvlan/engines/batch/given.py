"""What callers hand to a batch, taken as it is or refused: nothing is rounded, wrapped or spelt out in silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MEANT = {
    "time": "whole nanoseconds; for seconds: np.rint(seconds * 1e9).astype(np.int64)",
    "ingress": "an index into devices for every frame",
    "mac": "48-bit integers; from text: simvlan.frame.parse_mac(text)",
    "ip": "32-bit integers; from text: int(ipaddress.ip_address(text))",
    "tag": "tpid << 16 | vid, 0 for none",
}
"""What an array of integers says, where its name does not."""


def integers(name: str, value: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Return integers (one or an array of one dimension) as *dtype*, each as it was given.

    Raises:
        ValueError: they are no integers, more than one dimension of them, or not all have room; says which.
    """
    array = np.asarray(value)
    if array.dtype == dtype or not array.size:
        return array.astype(dtype, copy=False)
    if array.dtype.kind not in "iu":
        hint = f" ({MEANT[name]})" if name in MEANT else ""
        raise ValueError(f"{name} is {array.dtype}, integers are expected{hint}")
    room = np.iinfo(dtype)
    wrong = np.flatnonzero((array < room.min) | (array > room.max))
    if len(wrong):
        which = f"{name}[{wrong[0]}]" if array.ndim else name
        raise ValueError(f"{which} is {array.flat[wrong[0]]}: it must lie between {room.min} and {room.max}")
    return array.astype(dtype)


def each(name: str, value: ArrayLike, n: int, dtype: Any) -> NDArray[Any]:
    """Return one integer per frame, whether one or n were given.

    Raises:
        ValueError: as `integers`; or neither one nor n were given.
    """
    array = integers(name, value, dtype)
    if array.ndim == 0:
        return np.full(n, array) if array else np.zeros(n, dtype)
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}, expected ({n},): one for each, or one number for all")
    return array


def paths(devices: Sequence[str]) -> tuple[str, ...]:
    """Return device paths.

    Raises:
        TypeError: one path instead of several, or something that is no path.
    """
    if isinstance(devices, (str, bytes)):
        raise TypeError(f"devices is {devices!r}, one path where several are expected: write devices=[{devices!r}]")
    made = tuple(devices)
    for number, path in enumerate(made):
        if not isinstance(path, str):
            raise TypeError(
                f"devices[{number}] is {path!r}, a {type(path).__name__}: paths as text (netns/device) are expected; "
                "a device's own is dev.path"
            )
    return made


def kinds(what: str, items: Iterable[Any], wanted: tuple[type, ...], remedy: str) -> list[Any]:
    """Return items as a list.

    Raises:
        TypeError: one is of none of the kinds that are wanted.
    """
    made = list(items)
    for number, item in enumerate(made):
        if not isinstance(item, wanted):
            raise TypeError(f"{what} {number} is {item!r:.60}, a {type(item).__name__}: {remedy}")
    return made


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such name, and which comes near."""
    near = difflib.get_close_matches(str(name), list(known), 3)
    return f"no {what} {name!r}" + (f": perhaps {' or '.join(map(repr, near))}?" if near else "")
