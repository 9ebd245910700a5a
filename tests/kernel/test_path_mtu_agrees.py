"""An MTU that falls during a connection: what is sent again, how it is cut, what is known of the path is Linux's.

Which window the change catches hangs on how fast the guest's commands are: of several moments here one must be the
kernel's, for a hundred segments (later ones hang on when single acknowledgements come).
"""

from __future__ import annotations

import shutil

import pytest

from simvlan.oracle.kernels import Job, run_jobs
from tests.kernel.tcp_seen import sent
from tests.kernels import require
from tests.test_path_mtu import CASES, HOSTS, OCTETS, Case, play

SETTINGS = """
for n in a b; do
    ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 1000000 4194304"
    ip netns exec $n sysctl -qw net.ipv4.tcp_early_retrans=0 net.ipv4.tcp_recovery=0
done
"""
TRANSFER = """
ip netns exec b nc {nc} -l {port} < /dev/null > got &
sleep 0.3
ip netns exec a nc -N {address} {port} < data &
sleep 0.5
{fall}
wait
cmp data got && echo "{port}: every octet is there"
ip -n a route get {address} | sed 's/expires [0-9]*sec/expires SOON/'
{back}
"""


def script() -> str:
    """The same network and changes for the kernel."""
    lines = ['cd "$(mktemp -d)"', HOSTS, SETTINGS, f"head -c {OCTETS} /dev/zero > data"]
    for port, case in CASES.items():
        nc = "-6" if ":" in case.address else ""
        lines.append(TRANSFER.format(port=port, nc=nc, address=case.address, fall=case.fall, back=case.back))
    return "\n".join(lines)


@pytest.mark.kernel
def test_a_falling_mtu_is_followed_as_linux_does() -> None:
    require("uml")
    if shutil.which("nc") is None:
        pytest.skip("nc is missing: apt-get install netcat-openbsd (.ci/packages)")
    (theirs,) = run_jobs("uml", [Job(script(), timeout_s=120, ipv6=True)])
    told = "".join(f"{port}: every octet is there\n{case.route}" for port, case in CASES.items())
    assert theirs.stdout is not None
    assert theirs.stdout[theirs.stdout.index("8001") :] == told, theirs.stderr
    for port, case in CASES.items():
        seen = sent(theirs.captures, "a.eth0", port)
        assert {size for _, size, _ in seen} >= {case.longest}, f"{port}: the MTU fell too late"
        assert seen[:100] in [_ours(case, window) for window in range(5)], (port, seen)


def _ours(case: Case, window: int) -> list[tuple[int, int, str]]:
    return play(case, window).data[:100]
