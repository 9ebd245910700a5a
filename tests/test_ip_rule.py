"""`ip rule`: its words as iproute2 6.1 and Linux 6.18 took them, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan.lab import Lab

FOLDER = Path(__file__).parent / "rules"


def test_it_says_what_the_real_one_said() -> None:
    lab = Lab(seed=1)
    assert lab.sh((FOLDER / "words.sh").read_text()).stdout == (FOLDER / "words.out").read_text()


@pytest.mark.parametrize(
    "words",
    ["ipproto tcp table 9", "sport 80 table 9", "dport 80 table 9", "uidrange 0-9 table 9", "goto 5", "nop", "l3mdev",
     "realms 5 table 9", "tun_id 5 table 9", "suppress_ifgroup 0 table 9", "table 0"],
)  # fmt: skip
def test_what_is_not_modelled_is_refused_by_name_and_nothing_is_done(words: str) -> None:
    lab = Lab()
    done = lab.command("ip", "rule", "add", *words.split())
    assert (done.exit, done.stderr.startswith("simvlan: ")) == (2, True)
    assert words.split()[0] in done.stderr
    assert len(lab.command("ip", "rule").stdout.splitlines()) == 3


MULTIHOMED = """
for n in c r1 r2; do
    ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
done
for r in 1 2; do
    ip link add eth$r netns c type veth peer name eth0 netns r$r
    ip -n c link set eth$r up; ip -n r$r link set eth0 up
    ip -n c addr add 10.0.$r.5/24 dev eth$r; ip -n c addr add 2001:db8:$r::5/64 dev eth$r nodad
    ip -n r$r addr add 10.0.$r.1/24 dev eth0; ip -n r$r addr add 2001:db8:$r::1/64 dev eth0 nodad
    ip -n r$r addr add 10.9.0.9/32 dev lo; ip -n r$r addr add 2001:db8:9::9/128 dev lo nodad
done
ip -n c route add default via 10.0.1.1; ip -n c -6 route add default via 2001:db8:1::1
"""


def ways(lab: Lab, *words: str) -> list[str]:
    """By which device a ping of c leaves, of IPv4 and of IPv6 (from its second address where *words* name it)."""
    found = []
    for source, target in (("10.0.2.5", "10.9.0.9"), ("2001:db8:2::5", "2001:db8:9::9")):
        with lab.capture("c/eth1") as first, lab.capture("c/eth2") as second:
            lab.command("ping", "-c1", "-W1", *(["-I", source] if words else []), target, netns="c")
        kinds = [sum(_echo(bytes(each)) for each in seen) for seen in (first, second)]
        found.append("eth1" if kinds[0] else "eth2" if kinds[1] else "nowhere")
    return found


def _echo(frame: bytes) -> bool:
    return frame[34:35] == b"\x08" if frame[12:14] == b"\x08\x00" else frame[54:55] == b"\x80"


def test_a_container_with_two_networks_answers_by_the_one_it_was_asked_by() -> None:
    lab = Lab(seed=1)
    lab.sh(MULTIHOMED)
    assert ways(lab) == ["eth1", "eth1"]
    assert ways(lab, "from the second") == ["eth1", "eth1"]
    lab.sh(
        "ip -n c rule add from 10.0.2.5 table 2; ip -n c route add default via 10.0.2.1 table 2;"
        "ip -n c -6 rule add from 2001:db8:2::5 table 2; ip -n c -6 route add default via 2001:db8:2::1 table 2"
    )
    assert ways(lab) == ["eth1", "eth1"]
    assert ways(lab, "from the second") == ["eth2", "eth2"]
    lab.sh("ip -n c rule del table 2; ip -n c -6 rule del table 2")
    assert ways(lab, "from the second") == ["eth1", "eth1"]


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
def test_a_rule_without_a_table_refuses(kind: str) -> None:
    lab = Lab(seed=1)
    lab.sh(MULTIHOMED)
    lab.sh(f"ip -n c rule add to 10.9.0.0/16 {kind} pref 9; ip -n c -6 rule add to 2001:db8:9::/48 {kind} pref 9")
    assert ways(lab) == ["nowhere", "nowhere"]
    lab.sh("ip -n c rule del pref 9; ip -n c -6 rule del pref 9")
    assert ways(lab) == ["eth1", "eth1"]
