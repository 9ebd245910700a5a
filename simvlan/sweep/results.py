"""What a sweep found: rows in the order of the grid, as DataFrame, CSV and Parquet, and what failed."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simvlan.errors import Unsupported
from simvlan.sweep.plan import Params, Point
from simvlan.table import Table


@dataclass(frozen=True)
class Failure:
    """A point that did not come to a result."""

    params: Params
    seed: int
    error: str
    traceback: str = ""

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"{told}, seed={self.seed}: {self.error}"


class Results(Table):
    """The rows; each begins with the point's parameters, `repeat` where there are several, and `seed`.

    Attributes:
        failures: points that failed, in order.
        manifest: what the sweep was made with.
    """

    def __init__(self, points: Sequence[Point], done: dict[str, dict[str, Any]], manifest: dict[str, Any]) -> None:
        several = any(point.repeat for point in points)
        rows: list[dict[str, Any]] = []
        self.failures: list[Failure] = []
        self.manifest = manifest
        for point in points:
            line = done[point.key]
            head = {**point.params, **({"repeat": point.repeat} if several else {}), "seed": point.seed}
            rows += [{**head, **row} for row in line.get("rows", ())]
            if "error" in line:
                self.failures.append(Failure(point.params, point.seed, line["error"], line.get("traceback", "")))
        if self.failures:
            manifest["failed"] = [{"params": f.params, "seed": f.seed, "error": f.error} for f in self.failures]
        super().__init__(rows)

    def write(self, folder: str | os.PathLike[str], name: str = "results") -> None:
        """Write NAME.csv, NAME.parquet and manifest.json; each complete or not at all.

        No Parquet is left without pyarrow, or where a column holds numbers and texts: the manifest says so.
        """
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        _replace(where / f"{name}.csv", self._write_csv)
        self.manifest.pop("parquet", None)
        if why := self._write_parquet(where / f"{name}.parquet"):
            self.manifest["parquet"] = why
        _replace(where / "manifest.json", lambda path: path.write_text(json.dumps(self.manifest, indent=1) + "\n"))

    def _write_parquet(self, file: Path) -> str | None:
        """Write it, or take away what an earlier call left and return why there is none."""
        try:
            frame = self.to_dataframe()
            _replace(file, lambda path: frame.to_parquet(path, index=False))
        except (Unsupported, ImportError):
            why = "left out: pip install 'simvlan[sweep]'"
        except (TypeError, ValueError) as error:  # pyarrow's ArrowInvalid and ArrowTypeError are such
            why = f"left out: {error}"
        else:
            return None
        file.unlink(missing_ok=True)
        file.with_name(f".{file.name}.new").unlink(missing_ok=True)
        return why

    def _write_csv(self, path: Path) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def _replace(path: Path, write: Any) -> None:
    """Write a file beside its place, then put it there."""
    beside = path.with_name(f".{path.name}.new")
    write(beside)
    beside.replace(path)
