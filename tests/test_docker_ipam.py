"""Address management: moby's own numbers, the order of addresses, overlaps; and what holds for any requests."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from simvlan.docker.errors import DockerError
from simvlan.docker.ipam import EXHAUSTED, IN_USE, OVERLAP, AddressSpace, Ipam, NoAddressError
from tests.dockersim.world import Node


def space(shared: bool = False) -> AddressSpace:
    return Ipam(shared).v4


def take(pool: Any, sub: Any, count: int) -> list[str]:
    return [str(pool.address(pool.lowest(sub))) for _ in range(count)]


def test_the_order_of_a_24() -> None:
    pool = space().request(ip_network("192.168.1.0/24"), None)
    assert take(pool, None, 254)[-1] == "192.168.1.254"
    with pytest.raises(NoAddressError, match=EXHAUSTED):
        pool.lowest(None)


def test_the_256th_of_a_16() -> None:
    pool = space().request(ip_network("10.5.0.0/16"), None)
    assert take(pool, None, 256)[-1] == "10.5.1.0"


def test_a_range_hands_out_its_ends_and_then_nothing() -> None:
    sub = ip_network("172.28.30.0/24")
    pool = space().request(ip_network("172.28.0.0/16"), sub)
    got = take(pool, sub, 256)
    assert (got[0], got[-1]) == ("172.28.30.0", "172.28.30.255")
    with pytest.raises(NoAddressError):
        pool.lowest(sub)
    pool.give_back(ip_address("172.28.30.97"))
    pool.give_back(ip_address("172.28.30.201"))
    assert take(pool, sub, 1) == ["172.28.30.97"]  # the lowest hole comes first


def test_a_range_at_the_end_of_its_subnet() -> None:
    sub = ip_network("192.168.255.0/24")
    pool = space().request(ip_network("192.168.0.0/16"), sub)
    assert take(pool, sub, 255)[-1] == "192.168.255.254"
    with pytest.raises(NoAddressError):
        pool.lowest(sub)


@pytest.mark.parametrize(("subnet", "addresses"), [
    ("192.168.135.0/31", ["192.168.135.0", "192.168.135.1"]),
    ("192.168.135.7/32", ["192.168.135.7"]),
    ("192.168.135.4/30", ["192.168.135.5", "192.168.135.6"]),
])  # fmt: skip
def test_the_smallest_subnets(subnet: str, addresses: list[str]) -> None:
    pool = space().request(ip_network(subnet), None)
    assert take(pool, None, len(addresses)) == addresses
    with pytest.raises(NoAddressError):
        pool.lowest(None)


def test_ipv6_reserves_the_anycast_address_alone() -> None:
    pool = Ipam().v6.request(ip_network("2001:db8::/64"), None)
    assert take(pool, None, 2) == ["2001:db8::1", "2001:db8::2"]
    assert pool.status(None)[0] == 3


OVERLAPS = [
    # first (subnet, range), second (subnet, range), whether the second is refused: measured on 20.10, 26.1 and 28.5
    (("10.9.0.0/16", "10.9.1.0/24"), ("10.9.0.0/16", "10.9.2.0/24"), False),
    (("10.9.0.0/16", "10.9.1.0/24"), ("10.9.0.0/16", "10.9.1.0/25"), False),
    (("10.9.0.0/16", "10.9.1.0/24"), ("10.9.0.0/16", "10.9.1.0/24"), True),
    (("10.9.0.0/16", None), ("10.9.0.0/16", "10.9.1.0/24"), False),
    (("10.9.0.0/16", "10.9.1.0/24"), ("10.9.0.0/16", None), True),
    (("10.9.0.0/16", None), ("10.9.0.0/16", None), True),
    (("10.9.0.0/16", None), ("10.9.5.0/24", None), True),
    (("10.9.5.0/24", None), ("10.9.0.0/16", None), True),
    (("10.9.0.0/16", None), ("10.10.0.0/16", None), False),
    (("10.9.0.0/16", "10.9.1.0/24"), ("10.9.1.0/24", "10.9.1.0/25"), False),  # its own bitmap: duplicates possible
]


@pytest.mark.parametrize(("first", "second", "refused"), OVERLAPS)
def test_overlaps(first: Any, second: Any, refused: bool) -> None:
    made = space()
    made.request(*(ip_network(each) if each else None for each in first))
    ask = [ip_network(each) if each else None for each in second]
    if not refused:
        made.request(*ask)
        return
    with pytest.raises(DockerError) as caught:
        made.request(*ask)
    assert (caught.value.status, caught.value.message) == (403, OVERLAP)


def test_networks_of_one_subnet_share_its_addresses() -> None:
    made, subnet = space(), ip_network("10.9.0.0/16")
    one = made.request(subnet, ip_network("10.9.1.0/24"))
    two = made.request(subnet, ip_network("10.9.1.0/25"))
    assert one is two
    assert take(one, ip_network("10.9.1.0/24"), 1) + take(two, ip_network("10.9.1.0/25"), 1) == ["10.9.1.0", "10.9.1.1"]
    made.release(subnet, ip_network("10.9.1.0/24"))
    with pytest.raises(DockerError, match=IN_USE):
        two.take(ip_address("10.9.1.0"))
    made.release(subnet, ip_network("10.9.1.0/25"))
    assert made.pools == {}


def test_1_12_shares_an_identical_pair() -> None:
    made, subnet, sub = space(shared=True), ip_network("10.9.0.0/16"), ip_network("10.9.1.0/24")
    assert made.request(subnet, sub) is made.request(subnet, sub)
    made.release(subnet, sub)
    assert subnet in made.pools
    made.release(subnet, sub)
    assert made.pools == {}


def test_the_predefined_pools_in_order() -> None:
    made = space()
    got = [str(made.request_predefined([]).subnet) for _ in range(31)]
    assert got[:5] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16", "172.21.0.0/16"]
    assert got[14:17] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    with pytest.raises(DockerError, match="fully subnetted"):
        made.request_predefined([])
    made.release(ip_network("172.19.0.0/16"), None)
    with pytest.raises(DockerError, match="fully subnetted"):
        made.request_predefined([ip_network("172.19.3.0/24")])  # a route of the host's
    assert str(made.request_predefined([]).subnet) == "172.19.0.0/16"


def test_automatic_pools_keep_clear_of_the_nodes_routes() -> None:
    node = Node()
    node.host("ip addr add 172.18.0.77/16 dev eth1")
    node.network("auto", "macvlan", parent="eth1")
    assert node.engine.network_inspect("auto")["IPAM"]["Config"] == [{"Subnet": "172.19.0.0/16",
                                                                     "Gateway": "172.19.0.1"}]  # fmt: skip


WORKED: list[tuple[dict[str, Any], dict[str, tuple[str, list[str]]]]] = [
    ({"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24"},
     {"28": ("192.168.11.0", ["192.168.11.1", "192.168.11.2"]), "29": ("", ["192.168.11.0", "192.168.11.1"])}),
    ({"Subnet": "192.168.0.0/16", "IPRange": "192.168.11.0/24", "Gateway": "192.168.0.1"},
     {"28": ("192.168.0.1", ["192.168.11.0"]), "29": ("192.168.0.1", ["192.168.11.0"])}),
    ({"Subnet": "172.16.86.0/24", "Gateway": "172.16.86.1"},
     {"28": ("172.16.86.1", ["172.16.86.2"]), "29": ("172.16.86.1", ["172.16.86.2"])}),
    ({"Subnet": "172.16.86.0/24"}, {"28": ("172.16.86.1", ["172.16.86.2"]), "29": ("", ["172.16.86.1"])}),
    ({"Subnet": "192.168.32.0/24", "IPRange": "192.168.32.128/25", "Gateway": "192.168.32.254"},
     {"28": ("192.168.32.254", ["192.168.32.128"]), "29": ("192.168.32.254", ["192.168.32.128"])}),
    ({"Subnet": "192.168.32.0/24", "IPRange": "192.168.32.128/25", "Gateway": "192.168.32.254",
      "AuxiliaryAddresses": {"my-router": "192.168.32.129"}},
     {"28": ("192.168.32.254", ["192.168.32.128", "192.168.32.130"])}),
    ({"Subnet": "10.60.0.0/24", "IPRange": "10.60.0.128/25"}, {"28": ("10.60.0.128", ["10.60.0.129"])}),
    ({"Subnet": "10.60.0.0/31"}, {"28": ("10.60.0.0", ["10.60.0.1"])}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("block", "dialect", "gateway", "addresses"),
    [(block, dialect, *found) for block, by_dialect in WORKED for dialect, found in by_dialect.items()],
)
def test_worked_examples(block: dict[str, Any], dialect: str, gateway: str, addresses: list[str]) -> None:
    node = Node(dialect=dialect)
    node.network("t", "macvlan", block, parent="eth1")
    for number, address in enumerate(addresses):
        node.run(f"c{number}", "t")
        shown = node.endpoint(f"c{number}", "t")
        assert (shown["IPAddress"], shown["Gateway"]) == (address, gateway)


def test_a_freed_address_is_the_next_one() -> None:
    """Lowest first, from the start each time; a stopped container has none, `--ip` is asked for again."""
    node = Node()
    node.network("t", "macvlan", "10.60.0.0/24", parent="eth1")
    for name in ("ca", "cb", "cc"):
        node.run(name, "t")
    node.engine.container_kill("cb")
    assert node.endpoint("cb", "t")["IPAddress"] == ""
    node.run("cd", "t")
    assert node.endpoint("cd", "t")["IPAddress"] == "10.60.0.3"
    node.engine.container_start("cb")
    assert node.endpoint("cb", "t")["IPAddress"] == "10.60.0.5"
    node.run("fixed", "t", ip="10.60.0.6")
    node.engine.container_kill("fixed")
    node.run("thief", "t")
    text = "failed to set up container networking: Address already in use"
    node.refuses(403, text, node.engine.container_start, "fixed")


# -- properties --------------------------------------------------------------------------------------------------------

SUBNETS = [ip_network(text) for text in ("10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/29", "10.1.0.0/30", "10.2.0.0/31")]


class Model(RuleBasedStateMachine):
    """Random requests and releases against a model of sets: never twice, lowest first, nothing lost."""

    pools = Bundle("pools")

    def __init__(self) -> None:
        super().__init__()
        self.space = AddressSpace(shared=False)
        self.held: list[tuple[IPv4Network, IPv4Network | None]] = []
        self.given: dict[IPv4Network, set[int]] = {}

    @rule(target=pools, subnet=st.sampled_from(SUBNETS), longer=st.integers(0, 3), index=st.integers(0, 7))
    def request(self, subnet: IPv4Network, longer: int, index: int) -> Any:
        plen = min(32, subnet.prefixlen + longer)
        subs = list(subnet.subnets(new_prefix=plen))
        sub = subs[index % len(subs)] if longer else None
        refused = (subnet, sub) in self.held or (sub is None and any(subnet.overlaps(s) for s, _ in self.held))
        if refused:
            with pytest.raises(DockerError, match=OVERLAP):
                self.space.request(subnet, sub)
            return None
        self.space.request(subnet, sub)
        self.held.append((subnet, sub))
        self.given.setdefault(subnet, set())
        return subnet, sub

    @rule(held=pools)
    def take(self, held: Any) -> None:
        if held not in self.held:
            return
        subnet, sub = held
        pool = self.space.pools[subnet]
        base = int(subnet.network_address)
        inside = range(int((sub or subnet).network_address) - base, int((sub or subnet).broadcast_address) - base + 1)
        reserved = {0, subnet.num_addresses - 1} if subnet.prefixlen < 31 else set()
        free = [offset for offset in inside if offset not in self.given[subnet] | reserved]
        if not free:
            with pytest.raises(NoAddressError):
                pool.lowest(sub)
            return
        assert pool.lowest(sub) == free[0]
        self.given[subnet].add(free[0])

    @rule(held=pools, offset=st.integers(0, 15))
    def ask_for_one(self, held: Any, offset: int) -> None:
        if held not in self.held or offset >= held[0].num_addresses:
            return
        subnet, _ = held
        reserved = {0, subnet.num_addresses - 1} if subnet.prefixlen < 31 else set()
        address = subnet[offset]
        if offset in self.given[subnet] | reserved:
            with pytest.raises(DockerError, match=IN_USE):
                self.space.pools[subnet].take(address)
        else:
            self.space.pools[subnet].take(address)
            self.given[subnet].add(offset)

    @rule(held=pools, offset=st.integers(0, 15))
    def give_back(self, held: Any, offset: int) -> None:
        if held in self.held and offset in self.given[held[0]]:
            self.space.pools[held[0]].give_back(held[0][offset])
            self.given[held[0]].discard(offset)

    @rule(held=pools)
    def release(self, held: Any) -> None:
        if held in self.held:
            self.space.release(*held)
            self.held.remove(held)
            if not any(subnet == held[0] for subnet, _ in self.held):
                del self.given[held[0]]

    @invariant()
    def agrees(self) -> None:
        assert set(self.space.pools) == {subnet for subnet, _ in self.held}
        for subnet, pool in self.space.pools.items():
            reserved = {0, subnet.num_addresses - 1} if subnet.prefixlen < 31 else set()
            assert pool.taken == self.given[subnet] | reserved


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=100, deadline=None)
@given(st.integers(8, 30), st.integers(0, 8), st.randoms())
def test_whatever_is_given_back_is_lowest_first(plen: int, longer: int, rng: Any) -> None:
    subnet = ip_network((10 << 24, plen))
    sub = next(iter(subnet.subnets(new_prefix=min(32, plen + longer)))) if longer else None
    pool = AddressSpace(False).request(subnet, sub)
    count = min(40, sum(pool.status(sub)) - pool.status(sub)[0])
    taken = [pool.lowest(sub) for _ in range(count)]
    back = rng.sample(taken, len(taken) // 2)
    for offset in back:
        pool.give_back(pool.address(offset))
    assert [pool.lowest(sub) for _ in back] == sorted(back)


def test_one_pool_serves_ten_thousand_quickly() -> None:
    """The lowest free address is not looked for from the start each time."""
    pool = space().request(ip_network("10.0.0.0/8"), None)
    got = take(pool, None, 10_000)
    assert got[-1] == "10.0.39.16"
    pool.give_back(ip_address("10.0.0.5"))
    assert take(pool, None, 2) == ["10.0.0.5", "10.0.39.17"]
