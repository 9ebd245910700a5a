"""What TCP gets out of a clean link of 1 Gb/s with 10 ms each way: results/tcp.

    python experiments/tcp/run.py            about a minute of one processor

Two namespaces on a veth, `netem delay 10ms rate 1gbit limit 3000` on both ends, iperf3 for four seconds of lab time.
Capacity is the payload that full frames leave: 1448 of 1514 octets.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from simvlan import Lab  # noqa: E402
from simvlan.manifest import manifest  # noqa: E402

RESULTS = ROOT / "results" / "tcp"
COMMAND = "python experiments/tcp/run.py"
SECOND = r"^\[  5\] +\d+\.00-(\d+)\.00 +sec +\S+ \w+ +(\S+) Mbits/sec +$"
"""A whole second in the server's report."""
CAPACITY = 1e9 * 1448 / 1514


def main() -> int:
    """Measure, write, and say whether 95 % was reached."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    started = time.monotonic()
    run = Lab(1).sh((Path(__file__).parent / "gigabit.sh").read_text())
    if run.exit:
        print(run.stderr, file=sys.stderr)
        return 1
    rows = [(end, float(mbps) * 1e6) for end, mbps in re.findall(SECOND, run.stdout, re.MULTILINE)]
    RESULTS.mkdir(parents=True, exist_ok=True)
    lines = ["second,goodput_bps,share_of_capacity"]
    lines += [f"{end},{bps:.0f},{bps / CAPACITY:.4f}" for end, bps in rows]
    (RESULTS / "gigabit.csv").write_text("\n".join(lines) + "\n")
    about = manifest(COMMAND, seed=1, duration_s=time.monotonic() - started)
    (RESULTS / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
    print("\n".join(lines))
    return 0 if rows[-1][1] >= 0.95 * CAPACITY else 1


if __name__ == "__main__":
    sys.exit(main())
