"""Pictures say what they should, in words that do not touch: measured through the renderer, not by pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether

from experiments.conformance import run as conformance
from simvlan import Lab, plot
from simvlan.matrix import Cell, Matrix
from simvlan.plot.style import SMALL, width, wrap

ROOT = Path(__file__).resolve().parents[1]


def texts(figure: Any) -> list[Any]:
    """Every text that a figure shows: in the axes, at the ticks, in titles and legends."""
    if figure.stale:
        figure.draw_without_rendering()
    found = list(figure.texts)
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
        if axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label, *ticks(axes.xaxis), *ticks(axes.yaxis)]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def ticks(axis: Any) -> list[Any]:
    """The labels of the ticks within the axis."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in texts(figure)]


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes touch, as drawn (a dot of tolerance: boxes are rounded up)."""
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts(figure)]
    return [(a, b) for (a, here), (b, there) in combinations(boxes, 2) if here.overlaps(there)]


def outside(figure: Any) -> list[str]:
    """Texts that leave the sheet."""
    sheet = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    return [t for t, b in boxes if b.x0 < -1 or b.y0 < -1 or b.x1 > sheet.x1 + 1 or b.y1 > sheet.y1 + 1]


def smallest(figure: Any) -> float:
    """The smallest type, in points."""
    return min((text.get_size() for text in texts(figure)), default=12.0)


def legible(figure: Any) -> None:
    """Nothing overlaps, nothing is cut off, and at half size of the file's resolution letters have 6 dots or more."""
    assert overlaps(figure) == []
    assert outside(figure) == []
    assert smallest(figure) / 72 * 144 / 2 >= 6


def nodes(devices: str) -> Lab:
    lab = Lab()
    done = lab.sh(devices)
    assert done.exit == 0, done.stderr
    return lab


@pytest.fixture(scope="module")
def two_nodes() -> Lab:
    lab = Lab()
    assert lab.sh(f"bash {ROOT}/examples/two-nodes.sh").exit == 0
    return lab


MANY = """
ip link add br0 type bridge; ip link set br0 up
for i in $(seq 12); do
    ip netns add c$i; ip link add v$i type veth peer name eth0 netns c$i; ip link set v$i master br0 up
done
ip link add d0 type dummy; ip link set d0 up
for i in $(seq 40); do ip netns add m$i; ip link add link d0 name eth0 netns m$i type macvlan mode private; done
"""

CIRCLE = """
for n in a b c; do ip netns add $n; ip -n $n link add br0 type bridge; done
ip link add ab netns a type veth peer name ba netns b
ip link add bc netns b type veth peer name cb netns c
ip link add ca netns c type veth peer name ac netns a
ip link add loop0 netns a type veth peer name loop1 netns a
for p in a/ab b/ba b/bc c/cb c/ca a/ac; do ip -n ${p%/*} link set ${p#*/} master br0; done
"""

STACKED = """
ip link add br0 type bridge vlan_filtering 1 vlan_protocol 802.1ad; ip netns add c; ip netns add d
ip link add p1 type veth peer name eth0 netns c; ip link set p1 master br0
bridge vlan add dev p1 vid 50 pvid untagged
bridge vlan add dev p1 vid 100-199
ip -n c link add link eth0 name s50 type vlan proto 802.1ad id 50
ip -n c link add link s50 name s50.10 type vlan id 10
ip -n c link add link s50.10 name v netns d type ipvlan mode l3 vepa
"""

TOPOLOGIES = {"many": MANY, "circle": CIRCLE, "stacked": STACKED, "empty": "ip link add d0 type dummy"}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topologies_are_legible(name: str) -> None:
    legible(nodes(TOPOLOGIES[name]).plot())


def test_a_topology_names_every_namespace_device_mode_vlan_and_address(two_nodes: Lab) -> None:
    figure = two_nodes.plot()
    legible(figure)
    said = words(figure)
    for name in ("switch", "node-1", "node-2", "n1-100-a", "n2-200-b"):
        assert said.count(name) == 1
    assert said.count("eth0") == 8
    assert said.count("macvlan bridge") == 8
    assert said.count("tagged 100 200") == 2
    assert said.count("192.168.11.1/16") == 1
    assert said.count("VLAN 100") == said.count("VLAN 200") == 6 + 1  # six devices, and the legend
    assert {"cable (veth pair)", "stands on", "port of"} <= set(said)


def test_a_topology_has_addresses_of_both_families() -> None:
    """Link-local ones are left out: everybody has them, and nobody asks for them."""
    said = words(nodes("""
        ip netns add a; ip link add eth0 netns a type veth peer name eth1
        ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
        ip -n a link set eth0 up; ip link set eth1 up
        ip -n a address add 10.0.0.1/24 dev eth0; ip -n a address add 2001:db8::1/64 dev eth0
    """).plot())  # fmt: skip
    assert {"10.0.0.1/24", "2001:db8::1/64"} <= set(said)
    assert not [text for text in said if "fe80" in text or text == "::1/128"]


def test_a_vlan_has_one_colour_and_its_name_on_it(two_nodes: Lab) -> None:
    """What is said by colour is written too; the same VLAN looks the same everywhere."""
    figure = two_nodes.plot()
    figure.draw_without_rendering()
    plates = [patch for patch in figure.axes[0].patches if patch.get_zorder() == 4]
    colours: dict[str, set[Any]] = {}
    for text in texts(figure):
        under = [p for p in plates if p.get_window_extent().contains(*text.get_window_extent().p0)]
        if text.get_text().startswith("VLAN") and under:
            colours.setdefault(text.get_text(), set()).add(under[0].get_facecolor())
    assert [len(colours[name]) for name in ("VLAN 100", "VLAN 200")] == [1, 1]
    assert colours["VLAN 100"] != colours["VLAN 200"]


def test_what_is_too_much_is_counted() -> None:
    said = words(nodes(MANY).plot())
    assert "and 4 more below" in said  # of 12 ports
    assert "and 16 more below" in said  # of 40 macvlans
    assert said.count("macvlan private") == 24
    assert "is down" in said
    assert "down or without carrier" in said


def test_a_circle_is_closed_in_words() -> None:
    """Three switches in a ring: two cables are lines, the third is named at both of its ends, as is a loop."""
    said = words(nodes(CIRCLE).plot())
    assert len([text for text in said if text.startswith("cable to ")]) == 4
    assert {"cable to loop0", "cable to loop1"} <= set(said)


def test_stacked_tags_ports_and_modes_are_said() -> None:
    said = words(nodes(STACKED).plot())
    assert {"vlan 802.1ad", "VLAN 50", "VLAN 10/50", "ipvlan l3 vepa"} <= set(said)
    assert "untagged 1 50, tagged 100-199, PVID 50" in said


# -- reachability ---------------------------------------------------------------------------------------------------


def test_every_failing_cell_has_its_reason(two_nodes: Lab) -> None:
    matrix = two_nodes.matrix(["node-1", "n1-100-a", "n1-200-a", "n2-100-a"])
    figure = matrix.plot()
    legible(figure)
    said = words(figure)
    numbers = {why: at for at, why in enumerate(matrix.reasons(), 1)}
    expected = [f"no ({numbers[c.reason, c.sentence]})\n{c.reason}" for c in matrix.failures]
    assert expected
    for text in set(expected):
        assert said.count(text) == expected.count(text)
    assert said.count("yes") == len(matrix.cells) - len(matrix.failures) > 0
    notes = " ".join(said)
    for cell in matrix.failures:
        assert cell.sentence in notes.replace("\n", " ").replace("       ", " ")


def test_long_reasons_stay_in_their_cells() -> None:
    names = ["a", "b", "a-namespace-with-a-long-name"]
    cells = [
        Cell(a, b, "192.0.2.1", False, "BRIDGE_INGRESS_STP_STATE", "x/y", f"because of {a} and {b}", "do something")
        for a in names for b in names if a != b
    ]  # fmt: skip
    legible(Matrix(names, [(name, "192.0.2.1") for name in names], cells).plot())


def test_a_large_matrix_has_numbers_and_says_what_they_are() -> None:
    names = [f"c{at}" for at in range(30)]
    targets = [(name, f"10.0.0.{at}") for at, name in enumerate(names)]
    pairs = [(a, b, ip) for a in names for b, ip in targets if a != b]
    cells = [Cell(a, b, ip, a == "c0", "" if a == "c0" else "WHY", "x", "so", "r") for a, b, ip in pairs]
    figure = Matrix(names, targets, cells).plot()
    legible(figure)
    said = words(figure)
    assert said.count("yes") == 29
    assert any(text.startswith("(1) WHY, at x: so") for text in said)
    assert "c7 10.0.0.7" in " ".join(" ".join(said).split())  # a line may end between the two


# -- walks ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walk(two_nodes: Lab) -> Any:
    return two_nodes.trace("n1-100-a/eth0", Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="192.168.10.1"))


def test_a_ladder_shows_devices_tags_drops_and_deliveries(walk: Any) -> None:
    figure = walk.plot()
    legible(figure)
    said = words(figure)
    assert f"From n1-100-a/eth0: {walk.verdict}" in said
    for name in ("n1-100-a\neth0", "switch\np1", "node-2\neth1.100", "n2-100-a\neth0"):
        assert said.count(name) == 1
    assert "ARP who has 192.168.10.1 says 192.168.11.1" in said
    assert any(text.startswith("ARP is at ") for text in said)
    assert said.count("VLAN 100") == 8  # four hops with the tag, there and back
    assert sum(text.startswith("DROP ARP_NOT_OURS: ") for text in said) == len(walk.drops)
    assert sum(text.endswith("delivered") for text in said) == len(walk.deliveries) + 1  # and the legend


def test_neighbour_discovery_is_said_as_tcpdump_says_it() -> None:
    """Not in scapy's names of layers; and what is bold is measured bold: no word leaves the sheet."""
    lab = Lab(ipv6=True)
    assert lab.sh("""
        ip netns add a; ip netns add b; ip link add eth0 netns a type veth peer name eth0 netns b
        for n in a b; do ip -n $n link set eth0 up; ip -n $n address add 2001:db8:1:2:3:4:5:${#n}$n/64 dev eth0; done
        sleep 3
    """).exit == 0  # fmt: skip
    with lab.record() as steps:
        assert lab.ping("a", "2001:db8:1:2:3:4:5:1b")
    asked = next(step for step in steps if step.frame.payload[40] == 135)
    figure = steps.of(asked.fid).plot()
    legible(figure)
    said = " ".join(words(figure))
    for part in ("2001:db8:1:2:3:4:5:1a > ", "who has 2001:db8:1:2:3:4:5:1b", "neighbor advertisement, tgt is 2001"):
        assert part in said
    assert "ICMPv6ND" not in said
    legible(steps[:3].plot("a part of them"))


def test_bold_words_are_measured_bold() -> None:
    """Which is wider: what fits a line otherwise may not."""
    text = "what is bold is wider " * 20
    lines, thin = (wrap(text, 2.0, SMALL, bold=bold) for bold in (True, False))
    assert max(width(line, SMALL, bold=True) for line in lines) <= 2.0
    assert max(width(line, SMALL, bold=True) for line in thin) > 2.0
    assert " ".join(lines).split() == " ".join(thin).split() == text.split()


def arrows(figure: Any) -> Iterator[tuple[float, float]]:
    from matplotlib.patches import FancyArrowPatch

    for patch in figure.axes[0].patches:
        if isinstance(patch, FancyArrowPatch):
            (x, _), (to, _) = patch._posA_posB
            yield x, to


def test_there_is_an_arrow_for_every_way(walk: Any) -> None:
    """Requests go right, the answer comes back; each arrow ends at a device's line."""
    figure = walk.plot()
    drawn = list(arrows(figure))
    went = sum(len(step.outcome.split(", ")) for step in walk if step.outcome.startswith("->"))
    stayed = sum(step.outcome.count(f"{step.path} ") for step in walk)
    assert len(drawn) == went - stayed
    assert any(x < to for x, to in drawn)
    assert any(x > to for x, to in drawn)


def test_a_ladder_counts_what_it_leaves_out(walk: Any) -> None:
    figure = plot.ladder(list(walk) * 5)
    legible(figure)
    assert f"... and {5 * len(walk) - 60} more steps" in words(figure)


def slow() -> Lab:
    lab = nodes("""
        ip netns add a; ip netns add b; ip link add eth0 netns a type veth peer name eth0 netns b
        for n in a b; do ip -n $n link set eth0 up; done
        ip -n a addr add 192.0.2.1/24 dev eth0; ip -n b addr add 192.0.2.2/24 dev eth0
    """)
    lab.link("a/eth0", delay=0.001, rate=1e9)
    return lab


def test_a_recording_has_times_in_ladder_and_timeline() -> None:
    lab = slow()
    with lab.record() as steps:
        assert lab.ping("a", "192.0.2.2")
    kept = len(steps)
    lab.ping("a", "192.0.2.2")
    assert len(steps) == kept  # recorded inside the block only
    ladder, timeline = steps.plot(), steps.timeline("Ping over 1 ms")
    legible(ladder)
    legible(timeline)
    assert {"0 ms", "1 ms"} <= set(words(ladder))
    assert {"a/eth0", "b/eth0", "time since the first step (ms)", "delivered", "Ping over 1 ms"} <= set(words(timeline))
    marks = sum(len(dots.get_offsets()) for dots in timeline.axes[0].collections)
    assert marks == len([step for step in steps if step.path in ("a/eth0", "b/eth0")])


def test_no_steps_are_drawn_too() -> None:
    legible(plot.ladder([]))
    legible(plot.timeline([]))


# -- curves ---------------------------------------------------------------------------------------------------------

NAMES = ("bridge", "macvlan", "ipvlan l2")
SERIES = {name: [(2**i, 10 - n, 9 - n, 10.5 - n) for i in range(8)] for n, name in enumerate(NAMES)}
PUBLISHED = {"Somebody 2023, macvlan": [(1, 9.36), (4, 9.38)]}


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_curves_have_units_intervals_and_sources(log: str) -> None:
    x, y = "containers", "rate (Gbit/s, modelled)"
    figure = plot.curves(SERIES, x=x, y=y, title="T", log=log, published=PUBLISHED, note="n")
    legible(figure)
    assert {x, y, "T", "n", *SERIES, *PUBLISHED} <= set(words(figure))
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines() if line.get_label() in SERIES}
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3
    hollow = [line for line in figure.axes[0].get_lines() if line.get_label() in PUBLISHED]
    assert [line.get_markerfacecolor() for line in hollow] == ["none"]
    assert len(figure.axes[0].collections) >= 3  # the bands


def test_small_multiples_show_one_curve_each_before_all_others() -> None:
    rate, delay = "rate\n(Gbit/s)", "delay (µs)"
    rows = {rate: SERIES, delay: {name: [(x, 10 * y) for x, y, *_ in points] for name, points in SERIES.items()}}
    bounds = {rate: [(1, 12), (128, 12)]}
    figure = plot.multiples(rows, x="containers", log="x", logged=[delay], bounds=bounds, title="T")
    legible(figure)
    assert {"containers", "T", "delay (µs)", "1", "128", *rows, *SERIES} <= set(words(figure))
    assert len(figure.axes) == 6
    for number, axes in enumerate(figure.axes):
        first, *_, own = axes.get_lines()[:4]
        assert own.get_color() != first.get_color() == "#BBBBBB"
        assert ("--" in [line.get_linestyle() for line in axes.get_lines() if len(line.get_xdata())]) == (number < 3)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear"] * 3 + ["log"] * 3
    assert figure.axes[0].get_ylim()[0] == 0


def test_bars_of_many_parts_look_all_different() -> None:
    from simvlan.plot.style import part_of_bar

    looks = {(str(part["facecolor"]), str(part["hatch"])) for part in map(part_of_bar, range(20))}
    assert len(looks) == 20


def test_bars_are_stacked_with_hatches_and_a_legend() -> None:
    stacks = {"macvlan bridge": {"socket": 1.0, "macvlan": 0.5}, "bridge": {"socket": 1.0, "veth": 0.8, "bridge": 1.1}}
    published = {"Somebody 2014": {"bridge": 3.0}}
    figure = plot.bars(stacks, y="cost (µs, measured)", title="T", published=published, note="n")
    legible(figure)
    assert {"macvlan\nbridge", "bridge", "socket", "veth", "cost (µs, measured)", "Somebody 2014"} <= set(words(figure))
    drawn = [patch for patch in figure.axes[0].patches if patch.get_height()]
    assert max(patch.get_y() + patch.get_height() for patch in drawn) == pytest.approx(2.9)
    looks = {(patch.get_facecolor(), patch.get_hatch()) for patch in drawn}
    assert len({colour for colour, _ in looks}) == len({hatch for _, hatch in looks}) == 4


def test_panels_are_drawn_into() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert plot.curves(SERIES, x="containers", y="y (s)", axes=left, legend=False) is figure
    assert plot.curves(SERIES, x="containers", y="y (s)", axes=right) is figure
    assert left.get_legend() is None
    legible(figure)


# -- files and notebooks --------------------------------------------------------------------------------------------


def test_the_same_picture_is_the_same_file(two_nodes: Lab, tmp_path: Path) -> None:
    for ending in ("png", "svg", "pdf"):
        for name in ("one", "two"):
            plot.save(two_nodes.plot(), tmp_path / f"{name}.{ending}")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert all((tmp_path / f"one.{ending}").stat().st_size > 1000 for ending in ("png", "svg", "pdf"))


def test_a_rare_colour_is_kept(walk: Any) -> None:
    """A file has few colours, but those that mean something are never replaced by their neighbours."""
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(plot.png(walk.plot()))).convert("RGB")
    there = {colour for _, colour in picture.getcolors(1 << 24)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= there  # tag, drop, delivery
    assert len(there) <= 256
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_a_notebook_shows_figures_without_pyplot(walk: Any) -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(walk.plot())
    assert shown["image/png"].startswith(b"\x89PNG")
    assert "<img" in walk._repr_html_()


# -- conformance ----------------------------------------------------------------------------------------------------

REPORT = """# Conformance

| kernel | seed |
| --- | --- |
| uml 6.1 | 1 |

## uml 6.1

| device | unicast | broadcast |
| --- | --- | --- |
| veth | 12 | **3 of 4** |
| dummy |  | 5 |

## host 6.18

| device | unicast | broadcast |
| --- | --- | --- |
| veth | 7 | 8 |
"""


def test_the_conformance_picture_says_its_table() -> None:
    figure = conformance.picture(REPORT)
    legible(figure)
    said = words(figure)
    assert {"Linux 6.1 uml", "Linux 6.18 host", "veth", "dummy", "12", "3\nof 4", "5", "7", "8"} <= set(said)


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        (".", "Cases that agree, by device and class of frame"),
        ("ipv6", "Cases that agree in networks with IPv6, by device and class of frame"),
    ],
)
def test_the_committed_conformance_reports_are_drawn(folder: str, title: str) -> None:
    figure = conformance.picture((ROOT / "results" / "conformance" / folder / "README.md").read_text())
    legible(figure)
    assert {"ipvlan l3s vepa", title} <= set(words(figure))
