"""The direction of imports: frame, verdict, devices and stack, network, rtnl, engines, tools, lab, docker, cli."""

import ast
import re
import sys
from itertools import chain
from pathlib import Path

import pytest

import simvlan

ROOT = Path(simvlan.__file__).parent

LAYERS = [
    {"errors", "clock", "expect"},
    {"frame"},
    {"verdict"},
    {"devices", "stack", "netfilter", "links", "qdisc", "gro", "segmentation", "underlay"},
    {"linkwatch", "workers"},
    {"lifecycle"},
    {"transmission"},
    {"softirq"},
    {"network"},
    {"rtnl", "trace", "capture", "capture_ng", "table", "dhcp", "dns", "manifest", "radv"},
    {"engines"},
    {"tools"},
    {"shell"},
    {"diagnose", "explain", "fill", "matrix", "plot", "lab"},
    {"docker", "live"},
    {"oracle", "bench", "sweep"},
    {"arguments", "cli", "__main__", "pytest_plugin"},
]
"""Lower layers first; a module may import its own layer and those above it in this list."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

STDLIB_ONLY = {part for layer in LAYERS[:10] for part in layer}
ALLOWED_LAZY = {"frame": {"scapy"}, "trace": {"pandas"}, "table": {"pandas"}}
"""Third-party modules a core layer may import inside a function: the adapters at its edge."""


def part(module: str) -> str:
    """`simvlan.devices.bridge` -> `devices`."""
    return module.split(".")[1] if "." in module else "__init__"


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if "guest" not in p.parts)


def dotted(path: Path) -> str:
    return ".".join(("simvlan", *path.relative_to(ROOT).with_suffix("").parts))


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Modules a file imports at run time (imports for type checking only do not count)."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(inner for child in node.body for inner in ast.walk(child))
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped.update(ast.walk(node))
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{a.name}" if node.module == "simvlan" else node.module for a in node.names)
    return found


def test_the_map_in_the_docs_has_every_part_in_its_place() -> None:
    """A newcomer finds each file or folder of the package in docs/architecture.md, those that are imported first."""
    table = (ROOT.parent / "docs" / "architecture.md").read_text().partition("| --- |")[2].partition("\n\n")[0]
    named = [re.findall(r"`(\w+)(?:\.py|/)`", row.split("|")[1]) for row in table.splitlines()[1:]]
    assert sorted(chain(*named)) == sorted({part(dotted(path)) for path in modules()} - {"__init__", "__main__"})
    ranks = [RANK[name] for row in named for name in row]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_downwards(path: Path) -> None:
    me = part(dotted(path))
    if me == "__init__":
        return  # the package's own front door may name everything
    assert me in RANK, f"{dotted(path)} is in no layer: add it to LAYERS"
    for module in imports(path):
        if module.startswith("simvlan."):
            other = part(module)
            assert other not in RANK or RANK[other] <= RANK[me], f"{dotted(path)} imports upwards: {module}"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_core_imports_the_standard_library_only(path: Path) -> None:
    me = part(dotted(path))
    if me not in STDLIB_ONLY:
        return
    for module in imports(path):
        top = module.split(".")[0]
        assert top == "simvlan" or top in sys.stdlib_module_names or top in ALLOWED_LAZY.get(me, set()), module


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("simpy", {"engines", "lab", "tools", "shell", "docker"}),
        ("numpy", {"engines", "plot", "matrix", "bench"}),
        ("h11", {"tools", "docker"}),
        ("distributed", {"sweep"}),
    ],
)
def test_libraries_stay_in_their_place(library: str, homes: set[str]) -> None:
    for path in modules():
        uses = any(m.split(".")[0] == library for m in imports(path))
        assert not uses or part(dotted(path)) in homes, dotted(path)


RULES = ("devices", "stack", "network", "rtnl", "lifecycle", "transmission", "qdisc", "links", "verdict")
CODECS = {f"simvlan.stack.ipv6.{name}" for name in ("addr", "icmp6", "mld", "ndp", "packet")}
SEEN_FROM_OUTSIDE = {"simvlan.devices.device", "simvlan.stack.ipv6", *CODECS}
"""What a generator of scenarios may look at: the devices there are, and how IPv6 lays out octets (held to scapy's)."""


@pytest.mark.parametrize("path", [p for p in modules() if part(dotted(p)) == "oracle"], ids=dotted)
def test_the_oracle_knows_no_rule(path: Path) -> None:
    """A second opinion that shares code with the first is none; it drives a lab as any user does."""
    seen = SEEN_FROM_OUTSIDE if "fuzz" in path.parts else SEEN_FROM_OUTSIDE - CODECS
    for module in imports(path) - seen:
        assert not (module.startswith("simvlan.") and part(module) in RULES), module


def test_the_layer_check_bites(tmp_path: Path) -> None:
    """A rule that is not a test is a wish: an upward import is seen."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from simvlan import lab\nimport numpy\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scapy\n"
    )
    assert imports(bad) == {"simvlan.lab", "numpy", "typing"}


def test_scapy_is_imported_inside_functions_only() -> None:
    """Nobody waits for scapy before it is needed."""
    for path in modules():
        assert not any(m.split(".")[0] == "scapy" for m in imports(path, top_level_only=True)), dotted(path)
