"""hostname -I, as hostname 3.23 answered on Linux 6.18; everything else is the real one's."""

from __future__ import annotations

import socket

from shell_stage import needs_namespaces

from simvlan import Lab

pytestmark = needs_namespaces


def test_addresses_of_what_is_up() -> None:
    said = (
        Lab(seed=1, ipv6=True)
        .sh(
            """ip link set lo up; ip link add e0 type veth peer name e1
        ip addr add 10.0.0.1/24 dev e0; ip addr add 10.0.0.5/24 dev e0; ip addr add 2001:db8::1/64 dev e0 nodad
        hostname -I; ip link set e0 up; ip link set e1 up; sleep 2
        ip addr add 192.168.0.1/16 dev e1; ip addr add 169.254.3.3/16 dev e1
        hostname -I; hostname --all-ip-addresses; hostname; ip netns add a; ip netns exec a hostname -I"""
        )
        .stdout
    )
    line = "192.168.0.1 169.254.3.3 10.0.0.1 10.0.0.5 2001:db8::1 \n"
    assert said == f"\n{line}{line}{socket.gethostname()}\n\n"
