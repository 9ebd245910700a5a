"""What TCP gets: of a clean link, under random loss, and beside other flows; and what theory says of each.

    python experiments/tcp/run.py [--full]

Two namespaces on a veth with netem on both ends, iperf3 between them (flows.sh, run by the lab). Capacity is the payload
that full frames leave: 1448 of 1514 octets. With --full the clean link has 1 Gb/s (a minute of one processor), else 100 Mb/s.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import common  # noqa: E402
from experiments.common import Claim, Report  # noqa: E402
from simvlan import Lab  # noqa: E402
from simvlan.plot import bars, curves  # noqa: E402
from simvlan.sweep import grid  # noqa: E402

SCRIPT = Path(__file__).with_name("flows.sh")
LINE = re.compile(r"^(\d+) \[ *\d+\] +([\d.]+)-([\d.]+) +sec +\S+ \w*Bytes +(\S+) ([KMG]?)bits/sec *$", re.MULTILINE)
"""An interval of a server's report: flow, begin, end, rate."""
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
MSS, FRAME = 1448, 1514
RTT_S, TIMEOUT_S, WARM_S = 0.1, 0.3, 20
"""Of the lossy path; a retransmission timeout there; what is left out while a flow finds its place."""
STUDENT = {2: 12.71, 4: 3.18}
Interval = tuple[float, float, float]


def flows(
    seed: int, rate: str, delay: str, loss: str, limit: int, flows: int, seconds: int, congestion: str
) -> dict[int, list[Interval]]:
    """Run the script; return each flow's whole seconds: begin, end (s), goodput (bit/s) as the server counted it."""
    words = (rate, delay, loss, str(limit), str(flows), str(seconds), congestion)
    with tempfile.TemporaryDirectory() as folder:
        run = Lab(seed % 2**32).sh(f"cd {folder}\n{SCRIPT.read_text()}", *words)
    if run.exit:
        raise RuntimeError(run.stderr)
    found: dict[int, list[Interval]] = {}
    for flow, begin, end, value, unit in LINE.findall(run.stdout):
        if float(end) - float(begin) == 1:
            found.setdefault(int(flow), []).append((float(begin), float(end), float(value) * UNITS[unit]))
    return found


def clean(rate_mbps: int, seconds: int, seed: int) -> list[dict[str, Any]]:
    """One flow on a link without loss, 10 ms each way: its goodput second by second."""
    seen = flows(seed, f"{rate_mbps}mbit", "10ms", "0%", 3 * rate_mbps, 1, seconds, "cubic")[1]
    capacity = rate_mbps * 1e6 * MSS / FRAME
    return [{"second": int(end), "goodput_mbps": bps / 1e6, "of_capacity": round(bps / capacity, 4)} for _, end, bps in seen]


def lossy(loss_percent: float, seconds: int, seed: int) -> dict[str, Any]:
    """One flow of Reno, every packet of the sender lost with the same chance, 50 ms each way: what it gets when it has found its place."""
    seen = flows(seed, "1gbit", "50ms", f"{loss_percent}%", 10_000, 1, WARM_S + seconds, "reno")[1]
    goodput = fmean(bps for begin, _, bps in seen if begin >= WARM_S)
    told = {"mathis": mathis(loss_percent / 100), "padhye": padhye(loss_percent / 100)}
    return {"goodput_mbps": goodput / 1e6, **{f"{name}_mbps": round(bps / 1e6, 4) for name, bps in told.items()}}


def mathis(loss: float) -> float:
    """Bits a second: MSS sqrt(3/2) / (RTT sqrt(p)), an acknowledgement for each segment (Mathis et al. 1997)."""
    return MSS * 8 * sqrt(1.5 / loss) / RTT_S


def padhye(loss: float) -> float:
    """The same with timeouts (Padhye et al. 1998, equation 30; an acknowledgement for each segment)."""
    waits = TIMEOUT_S * min(1.0, 3 * sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    return MSS * 8 / (RTT_S * sqrt(2 * loss / 3) + waits)


def shared(congestion: str, count: int, rate_mbps: int, seconds: int, seed: int) -> list[dict[str, Any]]:
    """Flows through one queue, 10 ms each way, half a product of rate and delay in it: each one's goodput after they found their places."""
    limit = max(16, rate_mbps * 20_000 // 8 // FRAME)
    seen = flows(seed, f"{rate_mbps}mbit", "10ms", "0%", limit, count, seconds, congestion)
    return [{"flow": flow, "goodput_mbps": fmean(bps for begin, _, bps in mine if begin >= 5) / 1e6} for flow, mine in seen.items()]


def jain(values: Any) -> float:
    """Jain's index: 1 when all get the same, 1/n when one gets all."""
    return float(sum(values) ** 2 / (len(values) * sum(value**2 for value in values)))


# -- what is said ---------------------------------------------------------------------------------------------------


def claims(tables: Mapping[str, Any]) -> list[Claim]:
    """The answer."""
    last = tables["clean"].groupby("rate_mbps").last()["of_capacity"]
    first = tables["clean"].groupby("rate_mbps").first()["of_capacity"]
    fast, loss = int(last.index.max()), mean_by_loss(tables["loss"])
    mathis_off = (loss["goodput_mbps"] / loss["mathis_mbps"] - 1).loc[:1.0].abs()
    padhye_off = (loss["goodput_mbps"] / loss["padhye_mbps"] - 1).abs()
    index = tables["fair"].groupby("congestion")["goodput_mbps"].apply(lambda each: jain(list(each)))
    used = tables["fair"].groupby("congestion")["goodput_mbps"].sum() / tables["fair"]["rate_mbps"].iloc[0] * FRAME / MSS
    return [
        Claim(
            f"On a clean link of {fast:,} Mb/s with 10 ms each way, CUBIC gets {last[fast]:.1%} of the payload that full frames leave in its last"
            f" second ({first[fast]:.0%} in the first, of which slow start takes its part).",
            bool((last >= 0.95).all()) and bool((last <= 1.005).all()) and bool((first < last).all()),
        ),
        Claim(
            f"With {loss.index.min():g} to {loss.index.max():g} % of its segments lost at random and an RTT of 100 ms, Reno gets what Padhye's formula"
            f" says within {padhye_off.max():.0%}, and up to 1 % of loss, where timeouts are rare, what Mathis's says within {mathis_off.max():.0%}.",
            padhye_off.max() <= 0.15 and mathis_off.max() <= 0.15,
        ),
        Claim(
            "Eight flows through one queue share it evenly and fill it: Jain's index is "
            + " and ".join(f"{value:.3f} with {name} ({used[name]:.0%} of the link's payload together)" for name, value in index.items()) + ".",
            bool((index >= 0.95).all()) and bool((used >= 0.9).all()) and bool((tables["fair"].groupby("congestion")["flow"].nunique() == 8).all()),
        ),
    ]  # fmt: skip


def mean_by_loss(frame: Any) -> Any:
    """Means over repeats."""
    return frame.groupby("loss_percent")[["goodput_mbps", "mathis_mbps", "padhye_mbps"]].mean()


def link_and_loss(tables: Mapping[str, Any]) -> Any:
    """Goodput second by second, and against loss beside the formulas."""
    figure, (left, right) = common.panels(2)
    series = {
        f"{rate:,} Mb/s, 10 ms each way": [(row.second, row.of_capacity * 100) for row in mine.itertuples()]
        for rate, mine in tables["clean"].groupby("rate_mbps")
    }
    title = "A clean link"
    curves(series, x="second", y="goodput, % of the link's payload", title=title, axes=left, legend="below")
    left.axhline(95, color="#666666", lw=0.9, ls=":")
    left.text(0.98, 94, "95 %", va="top", ha="right", fontsize=8, transform=left.get_yaxis_transform())
    left.set_ylim(0, 105)
    left.set_xticks(sorted(set(tables["clean"]["second"])))
    got = []
    for loss, mine in tables["loss"].groupby("loss_percent"):
        values = list(mine["goodput_mbps"])
        half = STUDENT[len(values)] * stdev(values) / len(values) ** 0.5 if len(values) in STUDENT else 0.0
        got.append((loss, fmean(values), max(fmean(values) - half, 0.01), fmean(values) + half))
    least = got[0][0]
    at = [least * (3 / least) ** (n / 40) for n in range(41)]
    lines = {
        "Reno, simulated": got,
        "Mathis et al. 1997": [(loss, mathis(loss / 100) / 1e6) for loss in at],
        "Padhye et al. 1998": [(loss, padhye(loss / 100) / 1e6) for loss in at],
    }
    curves(lines, x="segments lost, %", y="goodput, Mb/s (RTT 100 ms)", title="Random loss", log="xy", axes=right, legend="below")
    for drawn in (*right.get_lines(), *right.get_legend().get_lines()):
        if drawn.get_label() in list(lines)[1:]:
            drawn.set_marker("")
    right.set_xticks(sorted({loss for loss, *_ in got}), [f"{loss:g}" for loss in sorted({loss for loss, *_ in got})])
    right.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    right.minorticks_off()
    return figure


def fairness(tables: Mapping[str, Any]) -> Any:
    """What each of the flows gets."""
    frame = tables["fair"]
    names = list(dict.fromkeys(frame["congestion"]))
    figure, axes = common.panels(len(names), 3.2)
    for axis, name in zip(axes if len(names) > 1 else [axes], names, strict=True):
        mine = frame[frame["congestion"] == name]
        stacks = {str(row.flow): {"goodput": row.goodput_mbps} for row in mine.itertuples()}
        bars(stacks, y="goodput, Mb/s", title=f"Eight flows of {name}: Jain's index {jain(list(mine['goodput_mbps'])):.3f}", axes=axis, legend=False)
        axis.axhline(mine["rate_mbps"].iloc[0] * MSS / FRAME / 8, color="#222222", lw=1.0, ls="--")
        axis.set_ylim(0, 1.05 * frame["goodput_mbps"].max())
        axis.set_xlabel("flow (dashed: an eighth of the link's payload)", size=9)
    return figure


def main(words: list[str] | None = None) -> int:
    """Run it."""
    made = common.options("tcp", __doc__, words)
    full = made.full
    rates = [{"rate_mbps": 100, "seconds": 3}, {"rate_mbps": 1000, "seconds": 4}] if full else [{"rate_mbps": 100, "seconds": 2}]
    tried = [0.1, 0.2, 0.3, 0.5, 1, 2, 3] if full else [0.3, 1, 3]
    losses = [{"loss_percent": loss, "seconds": (150 if loss >= 1 else 100) if full else 60} for loss in tried]
    shares = grid(congestion=["reno", "cubic"] if full else ["reno"], count=8, rate_mbps=20, seconds=20 if full else 12)
    tables = {
        "clean": common.table(made, clean, rates, "clean"),
        "loss": common.table(made, lossy, losses, "loss", repeats=4 if full else 2),
        "fair": common.table(made, shared, shares, "fair"),
    }
    report = Report(
        "What does TCP get of a clean link, of a link that loses at random, and of a link that it shares; and is it what theory says?",
        claims(tables),
        {
            "tcp.png": (link_and_loss(tables), "Goodput on a clean link by second, and against random loss beside two formulas"),
            "fairness.png": (fairness(tables), "What each of eight flows gets of one link"),
        },
        [
            "iperf3 in the lab, its server's own figures; `netem` on a veth delays, limits and loses. Loss: "
            f"the first {WARM_S} s are left out; intervals are 95 % over repeats. The queue of the shared link holds what the link sends in"
            " 20 ms, and its first 5 s are left out. Formulas: Mathis, Semke, Mahdavi and Ott 1997; Padhye, Firoiu, Towsley and Kurose 1998"
            " (equation 30), both with an acknowledgement for each segment."
        ],
    )  # fmt: skip
    return common.finish(made, report)


if __name__ == "__main__":
    sys.exit(main())
