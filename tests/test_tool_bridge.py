"""`bridge`: ports, FDB, VLANs, groups, as iproute2 6.1.0 shows and refuses them on Linux 6.1.

The listings are compared with recordings in test_tool_ip_golden.py; here are the rules behind them.
"""

from __future__ import annotations

import json
import shlex
from types import SimpleNamespace

import pytest

from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.tools import load
from simvlan.tools.program import Process


class Shell:
    def __init__(self) -> None:
        clock = EventClock()
        self.clock = clock
        self.network = Network(clock)
        self.lab = SimpleNamespace(network=self.network, clock=clock, env=clock.env)

    def run(self, command: str) -> tuple[int, str, str]:
        process = Process(shlex.split(command), self.lab)
        status = load(process.name)(process)
        assert isinstance(status, int)
        return status, "".join(process.out), "".join(process.err)

    def ok(self, *commands: str) -> str:
        out = ""
        for command in commands:
            status, out, err = self.run(command)
            assert (status, err) == (0, ""), (command, err)
        return out

    def learn(self, device: str, mac: int) -> None:
        """Let a station behind a port be heard."""
        dev = self.network.netns[""].devices[device]
        self.network.send(dev, Frame(0xFFFF_FFFF_FFFF, mac, 0x88B5, b"hello"))


@pytest.fixture
def shell() -> Shell:
    made = Shell()
    made.ok("ip link add br0 address 02:00:00:00:00:b0 type bridge vlan_filtering 1 mcast_snooping 0")
    for n in "12":
        made.ok(f"ip link add p{n} address 02:00:00:00:00:0{n} type veth peer name h{n}")
        made.ok(f"ip link set p{n} master br0 up", f"ip link set h{n} up")
    made.ok("ip link set br0 up")
    return made


def macs(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()]


def test_failures_leave_with_255(shell: Shell) -> None:
    """bridge returns its commands' -1 as it is; a kernel refusal too, but `fdb get` says -2, parse_on_off -EINVAL."""
    assert shell.run("bridge fdb add 02:00:00:00:00:07 dev h1 master")[0] == 255
    assert shell.run("bridge vlan add dev p1")[0] == 255
    assert shell.run("bridge fdb get 02:00:00:00:00:07 br br0") == (254, "", "Error: Fdb entry not found.\n")
    status, _, err = shell.run("bridge link set dev p1 hairpin maybe")
    assert (status, err) == (234, 'Error: argument of "hairpin" must be one of "off", "on", not "maybe"\n')


def test_learned_entries_are_listed_newest_first(shell: Shell) -> None:
    shell.learn("h1", 0x02AA_0000_0001)
    shell.learn("h1", 0x02AA_0000_0002)
    text = shell.ok("bridge fdb show br br0 dynamic")
    assert macs(text) == ["02:aa:00:00:00:02", "02:aa:00:00:00:01"]
    assert text.splitlines()[0] == "02:aa:00:00:00:02 dev p1 vlan 1 master br0 "


def test_ages_count_seconds(shell: Shell) -> None:
    shell.learn("h1", 0x02AA_0000_0001)
    shell.clock.run(shell.network.now + 7_000_000_000)
    record = json.loads(shell.ok("bridge -j -s fdb show br br0 dynamic"))[0]
    assert (record["used"], record["updated"], record["state"]) == (7, 7, "")


def test_states_of_entries_added_by_hand(shell: Shell) -> None:
    """Without a word permanent; static and dynamic by name; permanent wins."""
    for last, words in enumerate(("", "static", "dynamic", "static local"), 5):
        shell.ok(f"bridge fdb add 02:aa:00:00:00:0{last} dev p1 master vlan 1 {words}")
    shown = {r["mac"][-1]: r["state"] for r in json.loads(shell.ok("bridge -j fdb show dev p1 vlan 1"))}
    assert {k: shown[k] for k in "5678"} == {"5": "permanent", "6": "static", "7": "", "8": "permanent"}


def test_flush_takes_everything_or_what_fits(shell: Shell) -> None:
    """br_fdb_delete_bulk: without a word all entries, permanent ones too; with one only those."""
    shell.learn("h1", 0x02AA_0000_0001)
    shell.ok("bridge fdb add 02:aa:00:00:00:02 dev p2 master static vlan 1", "bridge fdb flush dev br0 dynamic")
    left = macs(shell.ok("bridge fdb show br br0"))
    assert ("02:aa:00:00:00:01" in left, "02:aa:00:00:00:02" in left) == (False, True)
    shell.ok("bridge fdb flush dev p2 master")
    assert "02:aa:00:00:00:02" not in macs(shell.ok("bridge fdb show br br0"))
    assert "02:00:00:00:00:01" in macs(shell.ok("bridge fdb show br br0"))
    shell.ok("bridge fdb flush dev br0")
    assert "02:00:00:00:00:01" not in macs(shell.ok("bridge fdb show br br0"))


def test_vlan_ranges(shell: Shell) -> None:
    shell.ok("bridge vlan add vid 10-12 dev p1", "bridge vlan add vid 13 dev p1 untagged")
    assert [v["vlan"] for v in json.loads(shell.ok("bridge -j vlan show dev p1"))[0]["vlans"]] == [1, 10, 11, 12, 13]
    joined = json.loads(shell.ok("bridge -j -compressvlans vlan show dev p1"))[0]["vlans"]
    assert joined == [
        {"vlan": 1, "flags": ["PVID", "Egress Untagged"]},
        {"vlan": 10, "vlanEnd": 12},
        {"vlan": 13, "flags": ["Egress Untagged"]},
    ]
    shell.ok("bridge vlan add vid 2 dev p2 untagged")  # as untagged as VLAN 1, but not the PVID
    assert [v["vlan"] for v in json.loads(shell.ok("bridge -j -compressvlans vlan show dev p2"))[0]["vlans"]] == [1, 2]
    assert shell.run("bridge vlan add vid 12-10 dev p1")[2] == 'Invalid VLAN range "12-10"\n'
    assert shell.run("bridge vlan add vid 20-30 dev p1 pvid")[2] == "pvid cannot be configured for a vlan range\n"


def test_the_bridges_own_vlans_need_self(shell: Shell) -> None:
    assert shell.run("bridge vlan add vid 30 dev br0") == (255, "", "RTNETLINK answers: Operation not supported\n")
    shell.ok("bridge vlan add vid 30 dev br0 self")
    assert shell.ok("bridge vlan show dev br0").splitlines()[-1] == " " * 18 + "30"


def test_per_vlan_counters_are_shown_only_where_they_are_zero(shell: Shell) -> None:
    """A bridge that counts none shows zeros; one that should count is refused by name."""
    assert "RX: 0 bytes 0 packets" in shell.ok("bridge -s vlan show")
    shell.ok("ip link set br0 type bridge vlan_stats_enabled 1")
    assert shell.run("bridge -s vlan show")[0] == 2


def test_port_options_show_in_both_tools(shell: Shell) -> None:
    shell.ok("bridge link set dev p1 cost 5 priority 7 hairpin on learning off isolated on")
    record = json.loads(shell.ok("bridge -j -d link show dev p1"))[0]
    same = json.loads(shell.ok("ip -j -d link show p1"))[0]["linkinfo"]["info_slave_data"]
    for key, value in (("cost", 5), ("priority", 7), ("hairpin", True), ("learning", False), ("isolated", True)):
        assert record[key] == same[key] == value
    assert " mcast_fast_leave off " in shell.ok("ip -d link show p1")


def test_groups_by_hand_are_static(shell: Shell) -> None:
    shell.ok("ip link set br0 type bridge mcast_snooping 1")
    shell.ok("bridge mdb add dev br0 port p1 grp 239.1.1.1 permanent vid 1")
    assert shell.ok("bridge -d mdb") == "dev br0 port p1 grp 239.1.1.1 permanent proto static  vid 1\n"
    assert json.loads(shell.ok("bridge -j mdb"))[0]["router"] == {}
    status, _, err = shell.run("bridge mdb add dev br0 port p1 grp 239.1.1.1 permanent vid 1")
    assert (status, err) == (255, "Error: bridge: Group is already joined by port.\n")
