"""How far the simulator and real kernels agree, by device, mode and class of frame: results/conformance.

    python experiments/conformance/run.py [--kernel uml host] [--scenarios N] [--frames M] [--seed S ...] [--jobs J]
    python experiments/conformance/run.py --report      (from the campaigns there are, without running any)
    python experiments/conformance/run.py --picture     (the report's tables drawn again)
    python experiments/conformance/run.py --ipv6 ...    (the same of networks with IPv6: results/conformance/ipv6)

Each kernel and seed is one `simvlan fuzz` campaign in out/conformance/KERNEL-SEED, which an interrupted run goes on
with. The report has the cases run and agreeing, what newer kernels do by rules of their own, and what disagrees.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from simvlan.oracle import available  # noqa: E402
from simvlan.oracle.fuzz.tally import CLASSES  # noqa: E402
from simvlan.plot import Mark, grid, save  # noqa: E402

OUT = ROOT / "out" / "conformance"
RESULTS = ROOT / "results" / "conformance"
RESULTS6 = RESULTS / "ipv6"
KERNELS = ("uml", "host")
ORDER = ("veth", "dummy", "bridge", "vlan", "macvlan", "ipvlan")

Cells = dict[tuple[str, str], list[int]]


def campaign(kernel: str, seed: int, options: argparse.Namespace) -> int:
    """One campaign, begun or continued."""
    words = ["--kernel", kernel, "--scenarios", options.scenarios, "--frames", options.frames, "--seed", seed]
    more = _more(vars(options)).split()
    words += [*more, "--jobs", options.jobs, "--out", OUT / f"{kernel}-{seed}{_place(vars(options))}"]
    words += ["--shrink-time", options.shrink_time]
    command = [sys.executable, "-m", "simvlan.cli", "fuzz", *map(str, words)]
    print("simvlan fuzz", *map(str, words[: 8 + len(more)]), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def states(ipv6: bool = False) -> list[dict[str, Any]]:
    """Every campaign there is, by kernel and seed; those with IPv6 or those without."""
    every = [json.loads(path.read_text()) for path in sorted(OUT.glob("*/state.json"))]
    found = [state for state in every if bool(state["plan"].get("ipv6")) == ipv6]
    return sorted(found, key=lambda state: (KERNELS.index(state["plan"]["kernel"]), state["plan"]["seed"]))


def cells(found: Iterable[dict[str, Any]]) -> Cells:
    """(device, class) -> [cases, agreeing], summed."""
    total: Cells = {}
    for state in found:
        for name, (cases, agreeing) in state["tally"]["cells"].items():
            device, _, kind = name.partition("|")
            cell = total.setdefault((device, kind), [0, 0])
            cell[0] += cases
            cell[1] += agreeing
    return total


def devices(total: Cells) -> list[str]:
    """Kinds and modes, in the order of a textbook."""
    return sorted({device for device, _ in total}, key=lambda name: (ORDER.index(name.split()[0]), name))


def summary(state: dict[str, Any]) -> dict[str, Any]:
    """One campaign for the manifest."""
    tally, plan = state["tally"], state["plan"]
    return {
        "command": f"simvlan fuzz --kernel {plan['kernel']} --scenarios {plan['scenarios']} --frames {plan['frames']}"
        f" --seed {plan['seed']}{_more(plan)}",
        "kernel_release": state["kernel_release"],
        "scenarios": tally["scenarios"],
        "agreeing": tally["agreeing"],
        "commands": tally["commands"],
        "commands_refused": tally["refused"],
        "frames_sent": tally["sent"],
        "frames_captured": tally["captured"],
        "seconds": state["seconds"],
        "scenarios_a_second": state["scenarios_a_second"],
        "known_differences": tally["known"],
        "disagreements": [{"seed": each["seed"], "about": each["kinds"]} for each in state["found"]],
    }


def _more(plan: dict[str, Any]) -> str:
    return "".join(f" --{name}" for name in ("timed", "ipv6") if plan.get(name))


def _place(plan: dict[str, Any]) -> str:
    return _more(plan).replace(" -", "")


def manifest(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What one needs to run it again."""
    return {
        "command": f"python experiments/conformance/run.py{_more(found[0]['plan']) if found else ''}",
        "commit": _said("git", "rev-parse", "HEAD"),
        "python": platform.python_version(),
        "iproute2": _said("ip", "-V"),
        "rate": _rate() if not any(state["plan"].get("ipv6") for state in found) else None,
        "campaigns": [summary(state) for state in found],
    }


def _said(*argv: str) -> str:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def markdown(found: list[dict[str, Any]]) -> str:
    """The report for a person."""
    ipv6 = any(state["plan"].get("ipv6") for state in found)
    lines = [
        f"# Conformance: the simulator against real kernels{', with IPv6' if ipv6 else ''}",
        "",
        f"Made by `python experiments/conformance/run.py{' --ipv6' if ipv6 else ''}`; seeds, versions and counts are in `manifest.json`.",
        "A scenario agrees when every frame at every capture point, every answer and error text, and every listing",
        "with its counters are the same. A case is one device in one scenario and one class of frame seen there.",
        "Campaigns with `--timed` have spanning trees and entries that age, and sleep for true: their rate is no measure.",
        "Rates are those of the machine as it was: this one was shared and loaded.",
        "",
        "| kernel | seed | scenarios run | agreeing | commands (refused) | frames sent | captured | scenarios/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for state in found:
        tally, plan = state["tally"], state["plan"]
        lines.append(
            f"| {plan['kernel']} {state['kernel_release']} | {plan['seed']}{_more(plan)} | {tally['scenarios']} |"
            f" {tally['agreeing']} | {tally['commands']} ({tally['refused']}) | {tally['sent']} | {tally['captured']} |"
            f" {state['scenarios_a_second']} |"
        )
    lines += _rates() + with_ipv6() if not ipv6 else []
    for kernel in KERNELS:
        mine = [state for state in found if state["plan"]["kernel"] == kernel]
        if mine:
            lines += _section(kernel, mine, columns(found))
    return "\n".join([*lines, ""])


def _rate() -> Any:
    file = RESULTS / "rate.json"
    return json.loads(file.read_text()) if file.exists() else None


def _rates() -> list[str]:
    """What rate.py measured, if it has been run."""
    rate = _rate()
    if rate is None:
        return []
    lines = [
        "",
        f"Throughput (`{rate['command']}`: {rate['rounds']} rounds of {rate['scenarios']} scenarios of {rate['frames']}"
        f" frames, {rate['jobs']} guests, {rate['cores']} cores; boot apart):",
        "",
        "| kernel | scenarios/s: median (slowest to fastest round) | CPU s a scenario: guests | simulator | load |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in rate["kernels"]:
        loads = [entry["load"] for entry in each["rounds"]]
        lines.append(
            f"| {each['kernel']} {each['release']} | {each['a_second']} ({each['slowest']} to {each['fastest']}) |"
            f" {each['cpu_s_guests']} | {each['cpu_s_simulator']} | {min(loads)} to {max(loads)} |"
        )
    return lines


def with_ipv6() -> list[str]:
    """What the report of the networks with IPv6 comes to, in a line, if there is one."""
    file = RESULTS6 / "manifest.json"
    if not file.exists():
        return []
    sums: dict[str, list[int]] = {}
    for each in json.loads(file.read_text())["campaigns"]:
        words = each["command"].split()
        total = sums.setdefault(f"{words[words.index('--kernel') + 1]} {each['kernel_release']}", [0, 0])
        total[0] += each["scenarios"]
        total[1] += each["agreeing"]
    said = "; ".join(f"{kernel} {agreeing} of {scenarios}" for kernel, (scenarios, agreeing) in sums.items())
    return ["", f"{WITH_IPV6} ([ipv6](ipv6/README.md)) agree: {said}."]


WITH_IPV6 = "Of networks with IPv6"


def tell_of_ipv6() -> None:
    """Have the report of the others say it, which may be older."""
    file = RESULTS / "README.md"
    head, *sections = file.read_text().split("\n## ") if file.exists() else [""]
    lines = [line for line in head.rstrip().split("\n") if not line.startswith(WITH_IPV6)]
    head = "\n".join(["\n".join(lines).rstrip(), *with_ipv6(), ""])
    file.write_text("\n## ".join([head, *sections]))


def columns(found: list[dict[str, Any]]) -> list[str]:
    """The classes of frames that any of these campaigns has seen."""
    seen = {name for _, name in cells(found)}
    return [name for name in CLASSES if name in seen]


def _section(kernel: str, found: list[dict[str, Any]], names: list[str]) -> list[str]:
    total = cells(found)
    lines = ["", f"## {kernel} {found[0]['kernel_release']}", "", f"| device | {' | '.join(names)} |"]
    lines.append("| --- " * (len(names) + 1) + "|")
    for device in devices(total):
        lines.append(f"| {device} | {' | '.join(_cell(total.get((device, name))) for name in names)} |")
    known = {why: count for state in found for why, count in state["tally"]["known"].items()}
    if known:
        lines += ["", "Known differences, by a rule newer than 6.1:", ""]
        lines += [f"- {why} ({count} scenarios)" for why, count in sorted(known.items())]
    open_ones = [(state["plan"]["seed"], each) for state in found for each in state["found"]]
    if open_ones:
        lines += ["", "Disagreements, by seed (those made small are kept as scripts in this folder):", ""]
        lines += [f"- seed {each['seed']}: {', '.join(each['kinds'])}" for _, each in open_ones]
    return lines


def _cell(cell: list[int] | None) -> str:
    if cell is None:
        return ""
    return str(cell[0]) if cell[0] == cell[1] else f"**{cell[1]} of {cell[0]}**"


def tables(report: str) -> dict[str, list[tuple[str, list[str]]]]:
    """The report's tables: kernel -> (device, words of its cells) from the top."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for part in report.split("\n## ")[1:]:
        rows = [[word.strip() for word in row.strip("| ").split(" | ")] for row in part.split("\n") if row[:2] == "| "]
        named = [row for row in rows if not row[0].startswith(("---", "device"))]
        found[part.split("\n")[0]] = [(row[0], row[1:]) for row in named]
    return found


def picture(report: str) -> Any:
    """Draw the report's tables as one grid: light where all cases agree, dark and `37 of 38` where not."""
    rows: list[str] = []
    marks: dict[tuple[int, int], Mark] = {}
    for kernel, devices_there in tables(report).items():
        rows.append(f"Linux {' '.join(reversed(kernel.split()))}")
        for device, words in devices_there:
            marks |= {(len(rows), x): _mark(word) for x, word in enumerate(words) if word}
            rows.append(device)
    key = {"yes": "all cases agree (how many there were)", "no": "not all of them (how many did, of how many)"}
    header = next(row for row in report.split("\n") if row.startswith("| device"))
    names = [name.strip().replace(" ", "\n") for name in header.strip("| ").split(" | ")[1:]]
    networks = " in networks with IPv6" if "with IPv6" in report.split("\n")[0] else ""
    return grid(rows, names, marks, title=f"Cases that agree{networks}, by device and class of frame", key=key)


def _mark(word: str) -> Mark:
    return Mark("no", word.strip("*").replace(" of ", "\nof ")) if word.startswith("*") else Mark("yes", word)


def write(found: list[dict[str, Any]], folder: Path) -> None:
    """Everything in results/conformance, or in its folder for IPv6."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.sh"):
        old.unlink()
    for state in found:
        plan = state["plan"]
        for each in state["found"]:
            if each["shrunk"]:
                script = OUT / f"{plan['kernel']}-{plan['seed']}{_place(plan)}" / each["script"]
                (folder / each["script"]).write_text(script.read_text())
    (folder / "README.md").write_text(markdown(found))
    (folder / "manifest.json").write_text(json.dumps(manifest(found), indent=1) + "\n")
    draw(folder)


def draw(folder: Path) -> None:
    """The picture of the report as it stands."""
    save(picture((folder / "README.md").read_text()), folder / "conformance.png")


def main() -> int:
    """Run campaigns, write the report; 1 when something disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", nargs="+", choices=KERNELS, default=KERNELS)
    parser.add_argument("--scenarios", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--timed", action="store_true", help="campaigns of scenarios for which the clock matters")
    parser.add_argument("--ipv6", action="store_true", help="campaigns of networks with IPv6, and their report")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--shrink-time", type=float, default=60.0)
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("--picture", action="store_true", help="only draw the report as it stands")
    options = parser.parse_args()
    folder = RESULTS6 if options.ipv6 else RESULTS
    if options.picture:
        draw(folder)
        return 0
    for kernel in () if options.report else options.kernel:
        if why := available(kernel):
            print(f"{kernel}: left out: {why}", file=sys.stderr)
            continue
        for seed in options.seed:
            if campaign(kernel, seed, options) not in (0, 1):
                return 1
    found = states(options.ipv6)
    if not found:
        print("no campaign: nothing to report", file=sys.stderr)
        return 1
    write(found, folder)
    if options.ipv6:
        tell_of_ipv6()
    print(markdown(found))
    return 1 if any(state["found"] for state in found) else 0


if __name__ == "__main__":
    sys.exit(main())
