"""What all pictures share: colours, the size of text, a sheet measured in inches, and how a figure becomes a file.

Colours are those of Okabe and Ito ("Color universal design", 2008); the fills are the same, mixed with white so that
black text can be read on them.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from functools import cache, lru_cache
from html import escape
from typing import Any

BLACK, GREY, PALE = "#222222", "#666666", "#EEEEEE"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)))
FILLS = ("#F8DF9F", "#A6D8F4", "#9FD9C7", "#F7F1A0", "#EAB3CF", "#F2B78F", "#9FC7E0")
HATCHES = ("", "///", "...", "xx")
"""Of the second and later round of fills, when there are more things than colours."""

REACHED, FAILED, SELF = "#D3EAF9", "#F3B73F", "#EEEEEE"
"""Cells: very light blue, a darker orange (apart in grey as well), and nothing to say."""

DPI = 144
SMALL, TEXT, TITLE = 8.0, 9.0, 10.5


@lru_cache(maxsize=4096)
def width(text: str, size: float = TEXT, bold: bool = False) -> float:
    """Return how wide one line of text is drawn, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0]) / 72


def widest(lines: Iterable[str], size: float = TEXT, bold: bool = False) -> float:
    """Return the width of the widest line of these (which may hold line feeds), in inches."""
    return max((width(line, size, bold) for text in lines for line in text.split("\n")), default=0.0)


def wrap(text: str, room: float, size: float = TEXT, bold: bool = False) -> list[str]:
    """Break text at spaces so that every line fits into *room* inches; a longer word stands alone."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if width(longer, size, bold) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _figure_class() -> Any:
    """Return matplotlib's Figure, made to show itself in a notebook without pyplot."""
    from matplotlib.figure import Figure

    return type("Figure", (Figure,), {"_repr_png_": png})


def new_figure(wide: float, high: float) -> Any:
    """Return an empty figure of this many inches."""
    return _figure_class()(figsize=(wide, high), dpi=DPI)


def sheet(wide: float, high: float) -> tuple[Any, Any]:
    """Return a figure of this many inches and axes whose data are inches, from the top left corner."""
    figure = new_figure(wide, high)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    return figure, axes


def write(axes: Any, x: float, y: float, text: str, size: float = TEXT, **style: Any) -> Any:
    """Put text there; dollar signs are dollar signs."""
    style = {"ha": "left", "va": "center", "color": BLACK, "zorder": 6, **style}
    return axes.text(x, y, text, size=size, parse_math=False, **style)


def box(axes: Any, x: float, y: float, wide: float, high: float, **style: Any) -> Any:
    """Draw a rectangle from its top left corner."""
    from matplotlib.patches import Rectangle

    style = {"facecolor": "white", "edgecolor": BLACK, "lw": 0.9, **style}
    return axes.add_patch(Rectangle((x, y), wide, high, **style))


def fill(number: int) -> dict[str, Any]:
    """Return colour and hatch of the n-th thing."""
    return {
        "facecolor": FILLS[number % len(FILLS)],
        "hatch": HATCHES[number // len(FILLS) % len(HATCHES)],
    }


def part_of_bar(number: int) -> dict[str, Any]:
    """Return colour, hatch and edge of the n-th part of a stacked bar: neighbours differ in both."""
    hatches = ("", "///", "...", "xx", "\\\\\\", "--", "++")
    colour = FILLS[number % len(FILLS)]
    hatch = hatches[(number + number // len(FILLS)) % len(hatches)]
    return {"facecolor": colour, "hatch": hatch, "edgecolor": BLACK, "lw": 0.8}


def line(number: int) -> dict[str, Any]:
    """Return colour, dash and marker of the n-th curve."""
    return {
        "color": LINES[number % len(LINES)],
        "ls": DASHES[(number + number // len(LINES)) % len(DASHES)],
        "marker": MARKERS[(number + number // len(LINES)) % len(MARKERS)],
    }


def png(figure: Any) -> bytes:
    """Return a figure as a small PNG file of at most 256 colours; the same figure gives the same octets."""
    import numpy as np
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI, metadata={"Software": None})
    pixels = np.asarray(Image.open(full).convert("RGB"))
    found, where, often = np.unique(pixels @ np.array([65536, 256, 1]), return_inverse=True, return_counts=True)
    palette = _palette(found, often)
    parts = [np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1) for colours in (found, palette)]
    nearest = np.abs(parts[0][:, None, :] - parts[1][None, :, :]).sum(2).argmin(1).astype(np.uint8)
    picture = Image.fromarray(nearest[where].reshape(pixels.shape[:2]))
    picture.putpalette(parts[1].astype(np.uint8).tobytes())
    picture.save(small, format="png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def _palette(found: Any, often: Any) -> Any:
    """Return the most frequent colours, and those that mean something however rare they are."""
    import numpy as np

    meant = np.array([int(colour[1:], 16) for colour in (*LINES, *FILLS, REACHED, FAILED, SELF, BLACK, GREY)])
    order = found[np.lexsort((found, -often))]
    rest = order[~np.isin(order, meant)]
    return np.concatenate([np.unique(meant), rest])[:256]


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure; the ending says the format. Neither time nor version goes into the file."""
    kind = os.path.splitext(path)[1].lower()
    if kind == ".png":
        octets = png(figure)
        with open(path, "wb") as file:
            file.write(octets)
        return
    silent: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None, "Producer": None}}
    figure.savefig(path, dpi=DPI, metadata=silent.get(kind))


def html_picture(figure: Any, alternative: str) -> str:
    """Return a figure as an HTML image that carries its own octets."""
    octets = base64.b64encode(png(figure)).decode()
    return f'<img alt="{escape(alternative)}" src="data:image/png;base64,{octets}">'
