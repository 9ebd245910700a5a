"""A path that carries less than its first link: what a router drops goes again as Linux sends it, in both families.

The first window finds the router's other link too narrow; from then on nothing hangs on when anything happens, as the
errors come at once and the data is 100 ms on its way. Compared: the order, sizes and flags of what carries data, what
the router says, and what is known of the path afterwards. Flags until all that was dropped has gone again: later on
it hangs on when single acknowledgements come where one super-packet ends, which says PSH.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

import pytest

from simvlan.oracle.kernels import Job, run_jobs
from simvlan.oracle.observation import Captured
from simvlan.oracle.simulated import simulate
from tests.kernel.tcp_seen import sent
from tests.kernels import require
from tests.test_path_mtu import CASES, HOSTS, too_big

OCTETS = 60_000
FLAGGED = 40
SETTINGS = """
for n in a b; do
    ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 1000000 4194304"
done
tc -n a qdisc change dev eth0 root netem delay 100ms
"""
TRANSFER = """
{fall}
ip netns exec b nc {nc} -l {port} < /dev/null > got &
for try in {{1..20}}; do ip netns exec a nc -N {address} {port} < data && break; sleep 0.3; done
wait
cmp data got && echo "{port}: every octet is there"
ip -n a route get {address} | sed 's/expires [0-9]*sec/expires SOON/'
{back}
"""
PORTS = (8003, 8001)
"""Those of the cases in which a router drops. IPv4's last: its MTU is too small for IPv6, which is gone after it."""


def script() -> str:
    lines = ['cd "$(mktemp -d)"', HOSTS, SETTINGS, f"head -c {OCTETS} /dev/zero > data"]
    for port in PORTS:
        case = CASES[port]
        nc = "-6" if ":" in case.address else ""
        lines.append(TRANSFER.format(port=port, nc=nc, address=case.address, fall=case.fall, back=case.back))
    return "\n".join(lines)


def errors(captures: Mapping[str, Sequence[Captured]]) -> int:
    return sum(way == "in" and too_big(octets) for _, way, octets in captures["a.eth0"])


@pytest.mark.kernel
def test_what_a_router_drops_for_its_length_goes_again_as_linux_sends_it() -> None:
    require("uml")
    if shutil.which("nc") is None:
        pytest.skip("nc is missing: apt-get install netcat-openbsd (.ci/packages)")
    job = Job(script(), timeout_s=120, ipv6=True, gso=True)
    (theirs,) = run_jobs("uml", [job])
    ours = simulate(job).observation
    told = "".join(f"{port}: every octet is there\n{CASES[port].route}" for port in PORTS)
    for run in (theirs, ours):
        assert (run.stdout or "")[(run.stdout or "").index("8003") :] == told, run.stderr
    for port in PORTS:
        seen = sent(theirs.captures, "a.eth0", port)
        assert {size for _, size, _ in seen} >= {CASES[port].longest}
        mine = sent(ours.captures, "a.eth0", port)
        assert [piece[:2] for piece in mine] == [piece[:2] for piece in seen], port
        assert mine[:FLAGGED] == seen[:FLAGGED], port
    assert errors(ours.captures) == errors(theirs.captures) > 0
