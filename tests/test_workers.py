"""Whose turn it is: workers and ksoftirqd on one processor (simvlan/workers.py).

Expectations are kernel/workqueue.c's and kernel/softirq.c's of Linux 6.1; whole networks are in
golden/fuzz-uml-workers.jsonl.gz, as User Mode Linux answered (tests/test_fuzz.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from simvlan import Lab
from simvlan.frame import Frame
from simvlan.stack.ipaddr import parse_ip
from simvlan.workers import KSOFTIRQD, Workers


class Bench:
    """Workers whose works write down their names."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.done: list[str] = []

    def queue(self, name: str, *, bound: bool, then: Callable[[], object] = lambda: None) -> None:
        def work() -> None:
            self.done.append(name)
            then()

        self.workers.queue_work(work, bound=bound)

    def turn(self) -> str:
        """One task's turn."""
        task = self.workers.switch()
        if task == KSOFTIRQD:
            self.done.append(task)
            self.workers.rested()
        while work := self.workers.work(task):
            assert callable(work)
            work()
        return task

    def run(self) -> list[str]:
        while self.workers.ready:
            self.turn()
        return self.done


def test_who_was_awakened_first_goes_first_and_does_all_there_is() -> None:
    bench = Bench()
    for name, bound in (("a", True), ("b", False), ("c", True)):
        bench.queue(name, bound=bound)
    assert bench.run() == ["a", "c", "b"]


@pytest.mark.parametrize(("waiting", "order"), [(("a", "b"), "abdc"), (("a",), "acd")])
def test_a_second_unbound_worker_is_awakened_where_more_waits(waiting: tuple[str, ...], order: str) -> None:
    """need_more_worker: awake before the bound worker, it does what comes meanwhile; else that waits for the first."""
    bench = Bench()
    later = {"c": True, "d": False}

    def more() -> None:
        for name, bound in later.items():
            bench.queue(name, bound=bound)

    for name in waiting:
        bench.queue(name, bound=False)
    bench.turn()
    more()
    assert "".join(bench.run()) == order


def test_an_unbound_worker_does_itself_what_its_work_queues() -> None:
    """The other one is awakened too, and finds nothing."""
    bench = Bench()
    bench.queue("a", bound=False, then=lambda: bench.queue("b", bound=False))
    bench.queue("c", bound=True)
    assert bench.run() == ["a", "b", "c"]


@pytest.mark.parametrize(("several", "order"), [(False, ["a", KSOFTIRQD, "b"]), (True, ["a", "b"])])
def test_ksoftirqd_is_awakened_where_tasks_change_and_a_route_was_let_go(several: bool, order: list[str]) -> None:
    """rcu_qs of tiny RCU; not where there are several processors."""
    bench = Bench()
    bench.workers.several = several
    bench.queue("a", bound=True)
    bench.workers.let_go_of_route()
    bench.turn()
    bench.queue("b", bound=False)
    assert bench.run() == order


def test_ksoftirqd_sees_itself_to_what_it_lets_go() -> None:
    """rcu_softirq_qs: it is not awake for what comes next; for what others let go it is."""
    bench = Bench()
    bench.workers.let_go_of_route()
    bench.queue("a", bound=True)
    bench.turn()
    assert not bench.workers.at_once
    bench.workers.let_go_of_route()
    assert bench.turn() == KSOFTIRQD
    assert bench.workers.at_once
    bench.queue("b", bound=True)
    assert bench.run() == ["a", KSOFTIRQD, "b"]


def test_what_waits_already_is_not_queued_twice() -> None:
    bench = Bench()
    action = bench.run
    bench.workers.queue_work(action, bound=False)
    bench.workers.queue_work(action, bound=False)
    assert bench.workers.work(bench.workers.switch()) == action
    assert bench.workers.work(bench.workers.switch()) is None


@pytest.fixture(scope="module")
def host() -> Any:
    """A namespace with 10.0.0.1/24 and fe80::a/64 on `va`; no router."""
    lab = Lab(ipv6=True)
    lab.sh(
        "ip netns add a; ip link add va netns a type veth peer name vb; ip -n a addr add 10.0.0.1/24 dev va;"
        "ip -n a addr add fe80::a/64 dev va nodad; ip -n a link set va up; ip link set vb up; sleep 9"
    )
    return lab


def frame(packet: Any) -> Frame:
    return Frame.parse(bytes(Ether(src="02:00:00:00:00:09", dst="ff:ff:ff:ff:ff:ff") / packet))


@pytest.mark.parametrize(
    ("packet", "own"),
    [
        (IP(src="10.0.0.9", dst="10.0.0.1") / ICMP(type=0), False),
        (IP(src="10.0.0.9", dst="10.0.0.255") / ICMP(type=0), False),
        (IP(src="10.0.0.9", dst="255.255.255.255") / ICMP(type=0), True),
        (IP(src="10.0.0.9", dst="224.0.0.1") / ICMP(type=0), True),
        (IP(src="10.0.0.9", dst="10.9.9.9") / ICMP(type=0), True),
        (IP(src="10.0.0.1", dst="10.0.0.1") / ICMP(type=0), False),
        (ARP(psrc="10.0.0.9", pdst="10.0.0.1"), False),
        (ARP(psrc="10.0.0.9", pdst="10.0.0.8"), True),
        (ARP(op=2, psrc="10.0.0.9", pdst="10.0.0.8"), False),
    ],
    ids=["ours", "broadcast", "limited", "group", "nowhere", "from ourselves", "who has ours", "who has", "reply"],
)
def test_routes_of_received_packets_that_no_nexthop_keeps_are_let_go(host: Any, packet: Any, own: bool) -> None:
    """do_cache of ip_route_input_slow; ip_route_input_mc; a reply of ARP is routed nowhere."""
    net = host.network
    net.workers.rested()
    net.netns["a"].stack.receive(net.device("a/va"), frame(packet), None)
    assert net.workers.released == own
    net.drain()
    assert not net.workers.released  # ksoftirqd saw to it while all else rested: it is not awake for what comes next


@pytest.mark.parametrize(
    ("dst", "oif", "own"),
    [
        ("10.0.0.9", False, False),
        ("10.0.0.255", False, True),
        ("224.0.0.9", True, True),
        ("10.9.9.9", True, True),
        ("10.0.0.1", False, False),
        ("10.0.0.1", True, True),
    ],
    ids=["neighbour", "broadcast", "group", "taken for on-link", "local", "local by a device"],
)
def test_routes_of_our_packets_that_no_nexthop_keeps_are_their_own(host: Any, dst: str, oif: bool, own: bool) -> None:
    """do_cache of __mkroute_output."""
    net = host.network
    route = net.netns["a"].stack.output.find(parse_ip(dst), oif=net.device("a/va") if oif else None)
    assert route.own == own


def test_linkwatch_is_for_a_worker_of_no_certain_processor_and_addresses_works_for_one_of_this(host: Any) -> None:
    """system_unbound_wq of linkwatch_schedule_work; addrconf_wq is bound."""
    net = host.network
    net.linkwatch.fire(net.device("a/va"))
    net.soon(lambda: None)
    assert [task.rstrip("01") for task in net.workers.ready] == ["kworker/u:", "kworker/"]
    net.drain()
    assert not net.workers.ready
