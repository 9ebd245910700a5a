"""Pictures: topologies, reachability, walks, timelines and measured curves. Matplotlib is imported when one is drawn.

Colours are Okabe and Ito's, which people with any colour vision can tell apart, and whatever a colour says is written
there too, or said by a shape or a dash: a picture printed in grey loses nothing. Every function returns a figure.
"""

from simvlan.plot.curves import bars, curves, multiples
from simvlan.plot.grid import Mark, grid
from simvlan.plot.heatmap import heat_map
from simvlan.plot.ladder import ladder
from simvlan.plot.style import FAILED, REACHED, SELF, html_picture, png, save
from simvlan.plot.timeline import timeline
from simvlan.plot.topology import topology

__all__ = [
    "FAILED",
    "REACHED",
    "SELF",
    "Mark",
    "bars",
    "curves",
    "grid",
    "heat_map",
    "html_picture",
    "ladder",
    "multiples",
    "png",
    "save",
    "timeline",
    "topology",
]
