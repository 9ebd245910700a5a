"""Pictures: the topology of a lab, and the heat map of a reachability matrix. Matplotlib is imported when one is drawn.

Colours are from Paul Tol's "bright" and "light" schemes, which people with any colour vision can tell apart; nothing is
said by colour alone.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from simvlan.devices.device import Device

if TYPE_CHECKING:
    from simvlan.lab import Lab
    from simvlan.matrix import Matrix

KIND_COLOUR = {
    "veth": "#99DDFF",
    "bridge": "#EEDD88",
    "vlan": "#BBCC33",
    "macvlan": "#FFAABB",
    "ipvlan": "#EE8866",
    "dummy": "#DDDDDD",
}
REACHED, FAILED, SELF = "#77AADD", "#EE8866", "#EEEEEE"
ROW, BOX_WIDTH, GAP_X, GAP_Y = 0.42, 2.6, 0.7, 1.1


class Box(NamedTuple):
    """Where a namespace is drawn: left and top edge, and its devices from the top."""

    name: str
    x: float
    y: float
    devices: tuple[Device, ...]

    @property
    def height(self) -> float:
        """Return how tall it is: a row per device, and its name."""
        return ROW * (len(self.devices) + 1.2)

    def place(self, dev: Device) -> tuple[float, float]:
        """Return the middle of a device's row."""
        return self.x + BOX_WIDTH / 2, self.y - ROW * (self.devices.index(dev) + 1.5)


def png(figure: Any) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()


def html_picture(figure: Any, alternative: str) -> str:
    """Return a figure as an HTML image that carries its own octets."""
    octets = base64.b64encode(png(figure)).decode()
    return f'<img alt="{escape(alternative)}" src="data:image/png;base64,{octets}">'


# -- topology -------------------------------------------------------------------------------------------------------


def topology(lab: Lab) -> Any:
    """Draw namespaces as boxes with their devices, cables between them, and what stands on what."""
    figure, axes = _canvas()
    boxes = _layout(_spaces(lab))
    for box in boxes:
        _draw_box(axes, box)
    home = {dev: box for box in boxes for dev in box.devices}
    for dev in home:
        _draw_edges(axes, dev, home)
    _legend(axes, {dev.kind for dev in home})
    axes.autoscale_view()
    width, height = axes.dataLim.width, axes.dataLim.height
    figure.set_size_inches(min(20, max(4, width * 0.9)), min(20, max(3, height * 0.8)))
    return figure


def _canvas() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    return figure, axes


def _spaces(lab: Lab) -> dict[str, tuple[Device, ...]]:
    """Return the namespaces worth drawing: those with more than a loopback device."""
    shown = {ns.name: tuple(d for d in ns.devices.values() if d.kind) for ns in lab.network.netns.values()}
    return {name: devices for name, devices in shown.items() if devices}


def _neighbours(dev: Device) -> list[Device]:
    """Return what a device is tied to: its peer and its lower device."""
    return [other for other in (getattr(dev, "peer", None), dev.lower) if other is not None]


def _layout(spaces: dict[str, tuple[Device, ...]]) -> list[Box]:
    """Put the best-connected namespace on top, what hangs on it below, and so on."""
    ties = {name: {o.netns.name for d in devices for o in _neighbours(d)} - {name} for name, devices in spaces.items()}
    for name, others in list(ties.items()):
        for other in sorted(others):
            ties.setdefault(other, set()).add(name)
    boxes: list[Box] = []
    y = 0.0
    for row in _layers(spaces, ties):
        x = -(len(row) * (BOX_WIDTH + GAP_X) - GAP_X) / 2
        made = [Box(name, x + i * (BOX_WIDTH + GAP_X), y, spaces[name]) for i, name in enumerate(row)]
        boxes += made
        y -= max(box.height for box in made) + GAP_Y
    return boxes


def _layers(spaces: dict[str, tuple[Device, ...]], ties: dict[str, set[str]]) -> list[list[str]]:
    left, layers = list(spaces), []
    while left:
        layer = [max(left, key=lambda name: (len(ties[name]), -left.index(name)))]
        while layer:
            layers.append(layer)
            left = [name for name in left if name not in layer]
            layer = [name for upper in layers[-1] for name in left if name in ties[upper]]
            layer = list(dict.fromkeys(layer))
    return layers


def _draw_box(axes: Any, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (box.x, box.y - box.height),
            BOX_WIDTH,
            box.height,
            boxstyle="round,pad=0.06",
            fc="white",
            ec="#555555",
            lw=1.2,
        )
    )
    axes.text(
        box.x + BOX_WIDTH / 2, box.y - ROW * 0.55, box.name or "root", ha="center", va="center", weight="bold", size=9,
        zorder=5, bbox={"fc": "white", "ec": "none", "pad": 1.0, "alpha": 0.85},
    )  # fmt: skip
    for dev in box.devices:
        x, y = box.place(dev)
        style = "-" if dev.up and dev.carrier else ":"
        axes.add_patch(
            FancyBboxPatch(
                (x - 1.12, y - 0.14),
                2.24,
                0.28,
                boxstyle="round,pad=0.03",
                fc=KIND_COLOUR.get(dev.kind, "white"),
                ec="#333333",
                lw=0.9,
                ls=style,
                zorder=4,  # over the lines, which run over the namespaces
            )
        )
        axes.text(x, y, f"{dev.name}  ({dev.kind})", ha="center", va="center", size=7.5, zorder=5)


def _draw_edges(axes: Any, dev: Device, home: dict[Device, Box]) -> None:
    """Draw a cable once, from the end that was made first; and a line to the lower device and to the bridge."""
    peer = getattr(dev, "peer", None)
    if peer in home and id(peer) != id(dev) and list(home).index(dev) < list(home).index(peer):
        _line(axes, dev, peer, home, color="#333333", lw=1.6)
    if dev.lower in home:
        assert dev.lower is not None
        _line(axes, dev, dev.lower, home, color="#AA3377", lw=1.1, ls="--")
    if dev.master in home:
        assert dev.master is not None
        _line(axes, dev, dev.master, home, color="#997700", lw=1.1, ls="-.")


def _line(axes: Any, a: Device, b: Device, home: dict[Device, Box], **style: Any) -> None:
    """Draw a curve between two devices; where a box holds several, it leaves or enters at the device's side."""
    from matplotlib.patches import FancyArrowPatch

    (xa, ya), (xb, yb) = home[a].place(a), home[b].place(b)
    if home[a] is home[b]:
        start, end, bend = (xa + 1.15, ya), (xb + 1.15, yb), 0.5 if ya < yb else -0.5
    else:
        start, end, bend = _anchor(home[a], (xa, ya), (xb, yb)), _anchor(home[b], (xb, yb), (xa, ya)), 0.08
    axes.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", arrowstyle="-", zorder=3, **style))


def _anchor(box: Box, at: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where a line touches a device: above or below one that is alone in its box, else at the nearer side."""
    (x, y), (far_x, far_y) = at, towards
    if len(box.devices) == 1:
        return x, y + (0.17 if far_y > y else -0.17)
    return x + (1.15 if far_x > x else -1.15), y


def _legend(axes: Any, kinds: set[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color="#333333", lw=1.6, label="cable (veth pair)")]
    if kinds & {"vlan", "macvlan", "ipvlan"}:
        lines.append(Line2D([], [], color="#AA3377", lw=1.1, ls="--", label="stands on"))
    if "bridge" in kinds:
        lines.append(Line2D([], [], color="#997700", lw=1.1, ls="-.", label="port of"))
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(lines), fontsize=8, frameon=False)


# -- reachability ---------------------------------------------------------------------------------------------------


def heat_map(matrix: Matrix) -> Any:
    """Draw who reaches whom: blue yes, orange no with the reason."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    rows, columns = len(matrix.sources), len(matrix.targets)
    small = rows <= 24 and columns <= 24
    figure = Figure(
        figsize=(max(4.5, 1.9 + (1.45 if small else 0.25) * columns), max(2.8, 1.6 + (0.6 if small else 0.25) * rows))
    )
    axes = figure.add_subplot()
    axes.imshow(_levels(matrix), cmap=ListedColormap([SELF, FAILED, REACHED]), vmin=0, vmax=2, aspect="auto")
    axes.set_xticks(
        range(columns),
        [f"{name or 'root'}\n{address}" for name, address in matrix.targets],
        fontsize=8,
        rotation=0 if small else 90,
    )
    axes.set_yticks(range(rows), [name or "root" for name in matrix.sources], fontsize=8)
    axes.set_xlabel("to")
    axes.set_ylabel("from")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.set_xticks([c - 0.5 for c in range(1, columns)], minor=True)
    axes.set_yticks([r - 0.5 for r in range(1, rows)], minor=True)
    axes.grid(which="minor", color="white", lw=1.5)
    axes.tick_params(length=0, which="both")
    if small:
        _write_cells(axes, matrix)
    figure.tight_layout()
    return figure


def _levels(matrix: Matrix) -> list[list[int]]:
    def level(source: str, target: tuple[str, str]) -> int:
        cell = matrix.cells.get((source, *target))
        return 0 if cell is None else 2 if cell.reached else 1

    return [[level(source, target) for target in matrix.targets] for source in matrix.sources]


def _write_cells(axes: Any, matrix: Matrix) -> None:
    for row, source in enumerate(matrix.sources):
        for column, target in enumerate(matrix.targets):
            cell = matrix.cells.get((source, *target))
            text = "" if cell is None else "yes" if cell.reached else f"{cell.reason}\n{cell.device}"
            size = (
                9
                if cell is not None and cell.reached
                else max(4.5, min(7, 120 / max(1, max(map(len, text.split("\n"))) * 1.0)))
            )
            axes.text(column, row, text, ha="center", va="center", fontsize=size)
