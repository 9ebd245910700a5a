"""Who hears a container, for every driver and mode, and why not: results/mode-matrix.

    python experiments/mode-matrix/run.py            the simulator, held to the recorded answers of Linux
    python experiments/mode-matrix/run.py --full     the same script on User Mode Linux as well, recorded anew

Fifteen ways to attach a container (a veth on a bridge; macvlan in 5 modes; ipvlan in 3 modes with 3 flags) times eleven
questions. Question and network are in modes.sh, which runs unmodified on the simulator and on Linux. Reasons are the
simulator's: the design that forbids it, or the drop that ended the frame.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import common  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from simvlan import Lab  # noqa: E402
from simvlan.diagnose import diagnose  # noqa: E402
from simvlan.matrix import try_ping  # noqa: E402
from simvlan.oracle import available, run_jobs  # noqa: E402
from simvlan.oracle.observation import Captured  # noqa: E402
from simvlan.oracle.runs import Job  # noqa: E402
from simvlan.oracle.simulated import simulate  # noqa: E402
from simvlan.plot import Mark, grid  # noqa: E402

HERE = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "mode-matrix"

FLAGS = ("bridge", "private", "vepa")
ROWS: dict[str, tuple[str, ...]] = {
    "bridge": ("bridge", "-"),
    **{f"macvlan {mode}": ("macvlan", mode) for mode in ("bridge", "private", "vepa", "passthru", "source")},
    **{f"ipvlan {mode} {flag}": ("ipvlan", mode, flag) for mode in ("l2", "l3", "l3s") for flag in FLAGS},
}
"""How a container is attached, and the script's words for it."""


class Question(NamedTuple):
    """A column: what it is called, who is asked for, and what is done to the network before."""

    title: str
    netns: str
    address: str
    before: str = ""


HAIRPIN = "bridge -n switch link set dev host hairpin on"
QUESTIONS = {
    "sibling": Question("sibling", "c2", "10.0.1.2"),
    "host": Question("its host", "host", "10.0.1.254"),
    "far": Question("other node", "far", "10.0.2.1"),
    "vlan": Question("other VLAN", "v", "10.0.1.9"),
    "sibling-hairpin": Question("sibling,\nswitch\nreflects", "c2", "10.0.1.2", HAIRPIN),
    "host-hairpin": Question("its host,\nswitch\nreflects", "host", "10.0.1.254", HAIRPIN),
    "far-route": Question(
        "other node,\nwhich has\na route", "far", "10.0.2.1", "ip -n far route add 10.0.1.1/32 via 10.0.1.254"
    ),
}
BROADCASTS = {
    "broadcast-sibling": Question("broadcast\nto sibling", "c2", "10.0.1.2"),
    "broadcast-host": Question("broadcast\nto its host", "host", "10.0.1.254"),
    "broadcast-far": Question("broadcast\nto other\nnode", "far", "10.0.2.1"),
    "broadcast-vlan": Question("broadcast\nto other\nVLAN", "v", "10.0.1.9"),
}
COLUMNS = QUESTIONS | BROADCASTS

MARKER = bytes.fromhex("020000000101" + "88b5" + "6d" * 46)
"""The broadcast that c1 sends, from its source address on (ipvlan and passthru keep what a socket writes)."""

STILL_APART = "STILL_APART"
REFUSED = ("REFUSED", "host", "a passthru child is alone on its lower device", "use mode bridge")

Answers = dict[str, str]
"""Column -> `yes`, `no`, `refused` (there can be no such sibling); a column that was not tried is missing."""


class Why(NamedTuple):
    """Why somebody is not reached."""

    reason: str
    device: str
    sentence: str
    remedy: str


# -- asking ---------------------------------------------------------------------------------------------------------


def job(row: str) -> Job:
    """The script for a row, for either side."""
    return Job((HERE / "modes.sh").read_text(), ROWS[row], cwd=str(HERE), timeout_s=120.0)


def answers(row: str, stdout: str, captures: Mapping[str, Sequence[Captured]]) -> Answers:
    """Read what a run of the script showed: what it printed, and who got the broadcast."""
    found: Answers = {}
    for line in stdout.splitlines():
        name, said = line.split()
        found.setdefault(name, said)  # the first word about a sibling that was refused stands
    if found.get("sibling") == "refused":
        found["sibling-hairpin"] = "refused"
    hosts = "host.br100" if row == "bridge" else "host.eth1.100"
    points = {"sibling": "c2.eth0", "host": hosts, "far": "far.eth1.100", "vlan": "v.eth0"}
    for name, point in points.items():
        heard = any(way == "in" and MARKER in octets for _, way, octets in captures.get(point, ()))
        found[f"broadcast-{name}"] = "yes" if heard else "no"
    if found.get("sibling") == "refused":
        found["broadcast-sibling"] = "refused"
    return {name: found[name] for name in COLUMNS if name in found}


def scenario(container: str, seed: int) -> list[dict[str, str]]:
    """One row of the matrix: the simulator's answers with reasons. Nothing in it is random."""
    said = simulated(container)
    why = reasons(container, said)
    blank = dict.fromkeys(Why._fields, "")
    return [
        {"question": name, "answer": answer, **(why[name]._asdict() if name in why else blank)} for name, answer in said.items()
    ]


def simulated(row: str) -> Answers:
    """The simulator's answers."""
    seen = simulate(job(row)).observation
    assert seen.exit_code == 0, seen.stderr
    return answers(row, seen.stdout or "", seen.captures)


def on_linux(rows: Sequence[str], guests: int = 2) -> tuple[dict[str, Answers], str]:
    """What User Mode Linux answers, and its release."""
    runs = run_jobs("uml", [job(row) for row in rows], guests=guests)
    for row, run in zip(rows, runs, strict=True):
        if run.exit_code:
            raise RuntimeError(f"{row}: exit {run.exit_code} on Linux: {run.stderr}")
    found = {row: answers(row, run.stdout, run.captures) for row, run in zip(rows, runs, strict=True)}
    return found, runs[0].kernel_release


# -- why not --------------------------------------------------------------------------------------------------------


def reasons(row: str, said: Answers) -> dict[str, Why]:
    """Say of every cell that is not `yes` why; each question on a network of its own."""
    lab = Lab()
    done = lab.sh((HERE / "modes.sh").read_text(), *(*ROWS[row], "")[:3], "build")
    assert done.exit == 0, done.stderr
    fresh = lab.snapshot()
    found: dict[str, Why] = {}
    for name, answer in said.items():
        question = COLUMNS[name]
        if answer == "refused":
            found[name] = Why(*REFUSED)
        elif name in BROADCASTS and answer == "no":
            found[name] = _unheard(lab, question)
        elif name in QUESTIONS:
            lab.restore(fresh)
            assert not question.before or lab.sh(question.before).exit == 0
            cell = try_ping(lab.snapshot(), "c1", question.netns, question.address)
            assert cell.reached == (answer == "yes"), (row, name)
            lab.restore(fresh)
            if answer == "no":
                found[name] = _by_reflection(question, Why(cell.reason, cell.device, cell.sentence, cell.remedy))
    return found


def _by_reflection(question: Question, why: Why) -> Why:
    """Where the switch does reflect, that it does not is no reason."""
    if question.before == HAIRPIN and why.reason in ("OWN_CHILD", "VEPA_NO_HAIRPIN"):
        return Why(STILL_APART, why.device, "what the switch reflects does not come to them either", "use mode bridge")
    return why


def _unheard(lab: Lab, question: Question) -> Why:
    """Say why a broadcast did not come to somebody: the design, or the drop of its walk."""
    address = int.from_bytes(map(int, question.address.split(".")), "big")
    if designed := diagnose(lab.network, "c1", question.netns, address):
        return Why(designed.reason, designed.device, designed.sentence, designed.remedy)
    drops = [step for step in lab.trace("c1/eth0", b"\xff" * 6 + MARKER).drops if step.netns in ("c1", question.netns)]
    assert drops, question
    step = drops[-1]
    assert step.drop is not None
    return Why(step.drop.name, step.path, step.drop.sentence, step.drop.remedy)


# -- claims ---------------------------------------------------------------------------------------------------------

Table = Mapping[str, Answers]

MACVLAN = [row for row in ROWS if row.startswith("macvlan")]
LAYER2 = [row for row in ROWS if row.startswith(("bridge", "macvlan", "ipvlan l2"))]
LAYER3 = [row for row in ROWS if row.startswith("ipvlan l3")]


def _all(table: Table, rows: Sequence[str], column: str, answer: str) -> bool:
    return all(table[row].get(column) == answer for row in rows)


CLAIMS: list[tuple[str, Callable[[Table], bool]]] = [
    (
        "A veth on a bridge reaches its sibling, its host and the other node.",
        lambda t: all(t["bridge"][name] == "yes" for name in ("sibling", "host", "far")),
    ),
    (
        "No macvlan and no ipvlan in any mode reaches its own host.",
        lambda t: _all(t, [row for row in ROWS if row != "bridge"], "host", "no"),
    ),
    (
        "Siblings talk only in mode bridge (macvlan) or with the flag bridge (ipvlan, in each of its modes).",
        lambda t: all((t[row]["sibling"] == "yes") == row.endswith("bridge") for row in ROWS),
    ),
    (
        "A switch that reflects (hairpin) lets vepa siblings of macvlan and of ipvlan l2 talk, and their vepa and"
        " bridge children reach their host; private macvlans stay apart even so.",
        lambda t: (
            all(_all(t, [row], name, "yes") for row in ("macvlan vepa", "ipvlan l2 vepa")
                for name in ("sibling-hairpin", "host-hairpin"))
            and _all(t, ["macvlan bridge", "ipvlan l2 bridge"], "host-hairpin", "yes")
            and t["macvlan private"]["sibling-hairpin"] == "no"
        ),
    ),
    (
        "A passthru macvlan has no sibling: a second child is refused.",
        lambda t: [row for row in ROWS if t[row]["sibling"] == "refused"] == ["macvlan passthru"],
    ),
    (
        "Every layer-2 way reaches the other node; ipvlan l3 and l3s do so only once that has a route by the host,"
        " because nobody answers ARP for their children.",
        lambda t: (
            _all(t, LAYER2, "far", "yes") and _all(t, LAYER3, "far", "no") and _all(t, LAYER3, "far-route", "yes")
        ),
    ),
    (
        "A broadcast leaves every layer-2 way to the other node, and none of ipvlan l3 or l3s.",
        lambda t: _all(t, LAYER2, "broadcast-far", "yes") and _all(t, LAYER3, "broadcast-far", "no"),
    ),
    (
        "Only on a bridge does the host hear its container's broadcast.",
        lambda t: [row for row in ROWS if t[row]["broadcast-host"] == "yes"] == ["bridge"],
    ),
    (
        "Nothing crosses to the other VLAN.",
        lambda t: _all(t, list(ROWS), "vlan", "no") and _all(t, list(ROWS), "broadcast-vlan", "no"),
    ),
]  # fmt: skip
"""The sentences of the report, each with what makes it true."""


# -- writing --------------------------------------------------------------------------------------------------------


def picture(table: Table, why: Mapping[str, Mapping[str, Why]]) -> object:
    """The heat map: `yes`, or the number and name of the reason; sentences below."""
    names = list(ROWS)
    numbers: dict[str, int] = {}
    for row in names:
        for each in why[row].values():
            numbers.setdefault(each.reason, len(numbers) + 1)
    cells = {}
    for y, row in enumerate(names):
        for x, column in enumerate(COLUMNS):
            if column in table[row]:
                cells[y, x] = _mark(why[row].get(column), numbers)
    notes = [f"({number}) {reason}: {_said(reason, why)}." for reason, number in numbers.items()]
    notes.append("White: not tried (a bridge needs no reflecting switch; only l3 and l3s need a route).")
    titles = [question.title for question in COLUMNS.values()]
    title = "Does a container reach ...? By ping, and by broadcast"
    return grid(names, titles, cells, title=title, sides=("container on", ""), notes=notes)


def _mark(why: Why | None, numbers: Mapping[str, int]) -> Mark:
    if why is None:
        return Mark("yes", "yes")
    short = why.reason.replace("_", "_\n", 1) if len(why.reason) > 10 else why.reason
    return Mark("no", f"no ({numbers[why.reason]})\n{short}")


def _said(reason: str, why: Mapping[str, Mapping[str, Why]]) -> str:
    """The sentences of a reason, each once, without names of devices."""
    said = [each.sentence for cells in why.values() for each in cells.values() if each.reason == reason]
    return "; or ".join(list(dict.fromkeys(said))[:2])


def from_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Answers], dict[str, dict[str, Why]]]:
    """A sweep's rows as answers and reasons."""
    table: dict[str, Answers] = {}
    why: dict[str, dict[str, Why]] = {row: {} for row in ROWS}
    for cell in rows:
        table.setdefault(cell["container"], {})[cell["question"]] = cell["answer"]
        if cell["reason"]:
            why[cell["container"]][cell["question"]] = Why(*(cell[name] for name in Why._fields))
    return table, why


def read_kernel(folder: Path = RESULTS) -> dict[str, Answers]:
    """The recorded answers of Linux."""
    with (folder / "kernel.csv").open(newline="") as file:
        table: dict[str, Answers] = {}
        for line in csv.DictReader(file):
            table.setdefault(line["container"], {})[line["question"]] = line["answer"]
    return table


def write_kernel(folder: Path, table: Table) -> None:
    """kernel.csv: what Linux answered."""
    with (folder / "kernel.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["container", "question", "answer"])
        out.writerows([row, column, answer] for row in ROWS for column, answer in table[row].items())


def differences(ours: Table, theirs: Table) -> list[str]:
    """Cells in which the two differ."""
    cells = [(row, column) for row in ours for column in COLUMNS if row in theirs]
    return [
        f"{row}, {column}: simulator {ours[row].get(column)}, Linux {theirs[row].get(column)}"
        for row, column in cells
        if ours[row].get(column) != theirs[row].get(column)
    ]


def report(table: Table, why: Mapping[str, Mapping[str, Why]], theirs: Table, release: str) -> Report:
    """What README.md says."""
    wrong = differences(table, theirs)
    agree = Claim(
        f"All {sum(map(len, table.values()))} cells are as Linux {release} (User Mode Linux) answers the same script."
        + "".join(f" Not so: {each}." for each in wrong),
        not wrong,
    )
    caption = "Who is reached, by driver and mode, with the reason where not"
    return Report(
        "Which way of attaching a container to a node (bridge, macvlan, ipvlan; mode and flag) reaches whom, and why not?",
        [*(Claim(sentence, holds(table)) for sentence, holds in CLAIMS), agree],
        {"mode-matrix.png": (picture(table, why), caption)},
        [
            "Network and questions are one script, [`modes.sh`](../../experiments/mode-matrix/modes.sh), which the simulator and Linux run"
            " unmodified. `matrix.csv` has the cells with reasons and remedies, `kernel.csv` what Linux answered."
        ],
    )  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Ask, compare, write; 1 when a cell disagrees, 4 when Linux is asked for and is not there."""
    made = common.options("mode-matrix", __doc__, words)
    if made.draw:
        with (made.folder / "matrix.csv").open(newline="") as file:
            table, why = from_rows(list(csv.DictReader(file)))
        about = json.loads((made.folder / "manifest.json").read_text())
        return common.finish(made, report(table, why, read_kernel(made.folder if made.full else RESULTS), about["linux"]))
    if made.full and (missing := available("uml")):
        print(f"mode-matrix: {missing}", file=sys.stderr)
        return 4
    found = common.points(made, scenario, [{"container": row} for row in ROWS], "matrix")
    table, why = from_rows(found.rows)
    if made.full:
        theirs, release = on_linux(list(ROWS))
        write_kernel(made.folder, theirs)
    else:
        theirs, release = read_kernel(), json.loads((RESULTS / "manifest.json").read_text())["linux"]
    made.parts["matrix"]["linux"] = release
    return common.finish(made, report(table, why, theirs, release))


if __name__ == "__main__":
    sys.exit(main())
