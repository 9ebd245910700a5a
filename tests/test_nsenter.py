"""nsenter: into the namespace of a process, a container, a file; as util-linux 2.38.1 answers on Linux 6.18."""

from __future__ import annotations

import pytest
from shell_stage import needs_namespaces

from simvlan import Lab

pytestmark = needs_namespaces


def test_by_process_and_by_file() -> None:
    said = (
        Lab(seed=1)
        .sh(
            """exec 2>&1
        ip netns add a; ip -n a link set lo up
        ip netns exec a sleep 100 & P=$!
        sleep .2
        nsenter -t $P -n ip -br a | cut -c1-20; nsenter -n -t $P ip netns identify
        nsenter --target $P --net ip netns identify
        nsenter --net=/run/netns/a ip netns identify; nsenter -n/var/run/netns/a ip netns identify
        nsenter --net=/run/netns/nosuch true; echo $?
        nsenter -t 99999 -n true; echo $?
        nsenter -n true; echo $?
        nsenter -t x -n true; echo $?
        nsenter -t $P -n nosuch; echo $?
        nsenter -t $P -n -- ip netns identify
        nsenter -t $P -n sh -c 'ip netns identify; exit 4'; echo $?
        nsenter --foo; echo $?
        nsenter -t $P -m true; echo $?
        kill $P"""
        )
        .stdout
    )
    assert said == (
        "lo               UNK\na\na\na\na\n"
        "nsenter: cannot open /run/netns/nosuch: No such file or directory\n1\n"
        "nsenter: cannot open /proc/99999/ns/net: No such file or directory\n1\n"
        "nsenter: neither filename nor target pid supplied for ns/net\n1\n"
        "nsenter: failed to parse pid: 'x'\n1\n"
        "nsenter: failed to execute nosuch: No such file or directory\n127\n"
        "a\na\n4\n"
        "nsenter: unrecognized option '--foo'\nTry 'nsenter --help' for more information.\n1\n"
        "simvlan: nsenter -m is not modelled; there are -t PID and -n[=FILE]\n95\n"
    )


@pytest.mark.parametrize("inside", ["ip -4 -br addr show eth0", "sh -c 'ip -4 -br addr show eth0'"])
def test_a_container_s_process(inside: str) -> None:
    """The machine's own `ip` in the container's namespace, as people look into containers without one."""
    said = (
        Lab(seed=1)
        .sh(
            "for c in c1 c2; do docker run -d --name $c alpine sleep 1000 >/dev/null 2>&1; done;"
            f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' c2) -n {inside}"
        )
        .stdout
    )
    assert said.split()[0].startswith("eth0@if")
    assert said.split()[2] == "172.17.0.3/16"
