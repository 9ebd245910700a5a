"""What is to be computed: points in a fixed order, each with a seed of its own."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simvlan import __version__

Params: TypeAlias = "dict[str, Any]"
Row: TypeAlias = "dict[str, Any]"
Scenario: TypeAlias = "Callable[..., Row | list[Row]]"
"""Called with a point's parameters and `seed`, by name; returns a row, or several, of numbers, texts and booleans."""

RESERVED = ("seed", "repeat")


@dataclass(frozen=True)
class Point:
    """One call of the scenario.

    Attributes:
        index: its place in the sweep's order.
        params: what the scenario is called with.
        repeat: 0, 1 ... when every point is computed several times, with different seeds.
        seed: 0 ... 2**63 - 1; from the sweep's seed, the parameters and the repeat alone.
    """

    index: int
    params: Params
    repeat: int
    seed: int

    @property
    def key(self) -> str:
        """Its name in the record."""
        return canonical({"params": self.params, "repeat": self.repeat})

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"{told}, seed={self.seed}" if told else f"seed={self.seed}"


def grid(**axes: Any) -> list[Params]:
    """Return every combination of the axes' values, the last axis fastest; a single value stands for itself.

    Raises:
        TypeError, ValueError: an axis without values, or one that names them.
    """
    several = {name: list(values) if _is_axis(values) else [values] for name, values in axes.items()}
    for name, values in axes.items():
        if isinstance(values, Mapping):
            raise TypeError(f"axis {name}={values!r}: a list of values is expected")
        if not several[name]:
            raise ValueError(f"axis {name}={values!r}: there is no value in it, so that there would be no point")
    return [dict(zip(several, chosen, strict=True)) for chosen in itertools.product(*several.values())]


def _is_axis(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes)


def canonical(value: Any) -> str:
    """Return a value as JSON in one way only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def point_seed(seed: int, params: Mapping[str, Any], repeat: int) -> int:
    """Return a point's seed: what else is in the sweep, and where the point stands, does not matter."""
    digest = hashlib.sha256(canonical([seed, params, repeat]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plan(points: Iterable[Mapping[str, Any]], seed: int, repeats: int) -> list[Point]:
    """Return all points in order.

    Raises:
        TypeError, ValueError: a parameter that cannot be recorded, or a point that occurs twice.
    """
    made: list[Point] = []
    for params in [points] if isinstance(points, Mapping) else points:
        if not isinstance(params, Mapping) or params is points:
            raise TypeError(f"points={params!r}: dictionaries of parameters are expected, such as grid(a=[1, 2]) gives")
        checked = {name: plain(value, f"parameter {name}") for name, value in params.items()}
        if undefined := [name for name, value in params.items() if value is not None and checked[name] is None]:
            raise ValueError(f"parameter {undefined[0]}=nan: it is equal to no value; use None")
        if taken := [name for name in RESERVED if name in checked]:
            raise ValueError(f"parameter {taken[0]}: the sweep gives it; use seed= and repeats= of sweep()")
        made += [Point(len(made) + n, checked, n, point_seed(seed, checked, n)) for n in range(repeats)]
    _refuse_twins(made)
    return made


def refuse_other_names(scenario: Scenario, points: Iterable[Point]) -> None:
    """Refuse a scenario that the points' parameters and `seed` are not what it takes.

    Raises:
        TypeError: what it lacks, or does not know.
    """
    if not callable(scenario):
        raise TypeError(f"scenario={scenario!r}: a function of the points' parameters and seed is expected")
    try:
        takes = inspect.signature(scenario)
    except (TypeError, ValueError):
        return
    for names in dict.fromkeys((*point.params, "seed") for point in points):
        try:
            takes.bind(**dict.fromkeys(names))
        except TypeError as error:
            name = getattr(scenario, "__name__", repr(scenario))
            raise TypeError(f"{name}{takes} is called with {', '.join(names)}: {error}") from None


def _refuse_twins(points: Sequence[Point]) -> None:
    seen: set[str] = set()
    for point in points:
        if point.key in seen:
            raise ValueError(f"the point {point.params} occurs twice: repeats= computes points several times")
        seen.add(point.key)


def plain(value: Any, what: str) -> Any:
    """Return a value as JSON and a data frame have it: NumPy's numbers become Python's.

    Raises:
        TypeError: it is no number, text, boolean or None.
        ValueError: a whole number that tables do not hold.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        value = item()
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{what}={value}: tables hold whole numbers of 64 bits: give it as a text")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else value
    raise TypeError(f"{what}={value!r}: a number, a text, a boolean or None is expected")


def identity(scenario: Scenario, seed: int) -> dict[str, Any]:
    """Return what must be the same for recorded points to belong to a sweep."""
    name = f"{getattr(scenario, '__module__', '?')}.{getattr(scenario, '__qualname__', repr(type(scenario)))}"
    name = name.removeprefix("__main__.")
    return {"scenario": name, "source": _source(scenario), "seed": seed, "simvlan": __version__}


def _source(scenario: Scenario) -> str:
    """Return a digest of the code: of its whole file, or of the function alone when it was typed in."""
    function = inspect.unwrap(getattr(scenario, "func", scenario))
    try:
        file = inspect.getsourcefile(function)
        with open(file or "", "rb") as source:
            return hashlib.sha256(source.read()).hexdigest()[:16]
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return hashlib.sha256(code.co_code if code else b"").hexdigest()[:16]
