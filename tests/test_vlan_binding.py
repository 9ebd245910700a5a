"""bridge_binding: a VLAN on a bridge has a carrier while a port in its VLAN has one. br_vlan_set_vlan_dev_state (6.1).

Every state was read off Linux 6.1.176 after the same commands.
"""

from __future__ import annotations

from typing import Any

import pytest
from bench_l2 import Bench

from simvlan.rtnl.bridge_vlan import vlan_add, vlan_del
from simvlan.rtnl.link import link_add
from simvlan.rtnl.spec import LinkSpec, PeerSpec


class Bound(Bench):
    """br0 with ports p1 (VLAN 5) and p2; b5 and b6 bound to it."""

    def __init__(self) -> None:
        super().__init__()
        self.br = self.add("bridge", "br0", vlan_filtering=1)
        for n in (1, 2):
            port = link_add(self.net, self.root, LinkSpec("veth", f"p{n}", peer=PeerSpec(f"w{n}")))
            self.set(port, up=True)
            self.set(self.dev(f"w{n}"), up=True)
            self.set(port, master=self.br)
        vlan_add(self.net, self.dev("p1"), 5)
        self.b5 = self.add("vlan", "b5", self.br, id=5, bridge_binding=True)
        self.b6 = self.add("vlan", "b6", self.br, id=6, bridge_binding=True)

    def dev(self, name: str) -> Any:
        return self.root.devices[name]


@pytest.fixture
def bound() -> Bound:
    return Bound()


def test_only_a_vlan_with_a_live_port_has_a_carrier(bound: Bound) -> None:
    assert (bound.b5.up, bound.b5.carrier) == (True, True)
    assert (bound.b6.up, bound.b6.carrier) == (True, False)
    assert bound.br.carrier


def test_the_ports_carrier_and_state_count(bound: Bound) -> None:
    for name in ("w1", "p1"):
        bound.set(bound.dev(name), up=False)
        assert not bound.b5.carrier
        bound.set(bound.dev(name), up=True)
        assert bound.b5.carrier


def test_membership_counts(bound: Bound) -> None:
    vlan_del(bound.net, bound.dev("p1"), 5)
    assert not bound.b5.carrier
    vlan_add(bound.net, bound.dev("p2"), 5)
    assert bound.b5.carrier
    bound.set(bound.dev("p2"), master=None)
    assert not bound.b5.carrier


def test_the_bridges_own_membership_does_not_count(bound: Bound) -> None:
    vlan_add(bound.net, bound.br, 6, to_self=True)
    assert not bound.b6.carrier


def test_without_the_flag_the_bridges_carrier_counts(bound: Bound) -> None:
    assert bound.add("vlan", "b7", bound.br, id=7).carrier


def test_the_flag_alone_changes_nothing_until_the_next_event(bound: Bound) -> None:
    bound.set(bound.dev("w1"), up=False)
    bound.set(bound.b5, info={"bridge_binding": False})
    assert not bound.b5.carrier
    bound.set(bound.b5, info={"bridge_binding": True})
    bound.set(bound.dev("w1"), up=True)
    assert bound.b5.carrier


def test_on_anything_but_a_bridge_it_never_gets_a_carrier(bound: Bound) -> None:
    v = bound.add("vlan", "v", bound.p0, id=5, bridge_binding=True)
    assert (v.up, v.carrier) == (True, False)
    bound.set(bound.w0, up=False)
    bound.set(bound.w0, up=True)
    assert not v.carrier
