"""VLAN devices: state, addresses, MTU, filters, refusals. Rules of net/8021q/vlan.c, vlan_dev.c, vlan_netlink.c (6.1).

The texts and the numbers were read off Linux 6.1.176 with the commands in the docstrings.
"""

from __future__ import annotations

from errno import EOPNOTSUPP

import pytest
from bench_l2 import Bench, P

from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.kinds import KINDS

OWN, NEW = 0x02_00_00_00_00_55, 0x02_00_00_00_00_31
GROUP_ADDRESS = 0x01_80_C2_00_00_21


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- state (vlan_dev_open, vlan_device_event) -----------------------------------------------------------------------


def test_up_needs_the_lower_device_up(bench: Bench) -> None:
    """ENETDOWN; with loose_binding it is allowed."""
    v = bench.add("vlan", "v", bench.p0, up=False, id=5)
    bench.set(bench.p0, up=False)
    with pytest.raises(RtnlError) as caught:
        bench.set(v, up=True)
    assert caught.value.code == "ENETDOWN"
    assert not v.up
    bench.set(v, info={"loose_binding": True})
    bench.set(v, up=True)
    assert v.up


def test_goes_down_with_the_lower_device_unless_loose(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    loose = bench.add("vlan", "loose", bench.p0, id=6, loose_binding=True)
    bench.set(bench.p0, up=False)
    assert (v.up, loose.up) == (False, True)


def test_comes_up_with_the_lower_device_even_if_taken_down_by_hand(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, up=False)
    loose = bench.add("vlan", "loose", bench.p0, id=6, up=False, loose_binding=True)
    bench.set(bench.p0, up=False)
    bench.set(bench.p0, up=True)
    assert (v.up, loose.up) == (True, False)


def test_carrier_follows_the_lower_device(bench: Bench) -> None:
    """Handed over at creation (register_vlan_dev), taken away when the VLAN goes down (vlan_dev_stop)."""
    v = bench.add("vlan", "v", bench.p0, id=5, up=False)
    assert v.carrier
    bench.set(v, up=True)
    assert v.carrier
    bench.set(v, up=False)
    assert not v.carrier
    bench.set(v, up=True)
    bench.set(bench.w0, up=False)
    assert (v.up, v.carrier) == (True, False)
    bench.set(bench.w0, up=True)
    assert v.carrier


def test_flags_are_copied_at_creation(bench: Bench) -> None:
    """A VLAN on a dummy is NOARP as the dummy is."""
    assert bench.add("vlan", "v", bench.add("dummy", "d0"), id=5).noarp
    assert not bench.add("vlan", "x", bench.p0, id=5).noarp


def test_deleting_the_lower_device_deletes_it(bench: Bench) -> None:
    bench.add("vlan", "vv", bench.add("vlan", "v", bench.p0, id=5), id=7)
    bench.delete(bench.p0)
    assert list(bench.root.devices) == ["lo"]


def test_deletion_frees_the_vid(bench: Bench) -> None:
    bench.delete(bench.add("vlan", "v", bench.p0, id=5))
    assert bench.p0.vlans is None
    assert bench.p0.uppers == []
    bench.add("vlan", "v", bench.p0, id=5)


def test_moved_lower_device_keeps_its_vlans(bench: Bench) -> None:
    """The VLAN stays where it is, goes down with the move and comes up again with the lower device."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.set(bench.p0, netns=bench.net.add_netns("n1"))
    assert (v.netns.name, v.up) == ("", False)
    bench.set(bench.p0, up=True)
    assert v.up


def test_moved_vlan_still_receives(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.set(v, netns=bench.net.add_netns("n1"))
    bench.set(v, up=True)
    bench.send(bench.w0, P, accel=0x8100_0005)
    assert bench.got("v") == ["HOST"]


# -- addresses (vlan_dev_inherit_address, vlan_sync_address) --------------------------------------------------------


def test_inherits_and_follows_the_address_while_up(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    assert v.mac == P
    bench.set(bench.p0, mac=NEW)
    assert v.mac == NEW
    assert bench.p0.uc == {}


def test_while_down_it_follows_only_when_set_up(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, up=False)
    bench.set(bench.p0, mac=NEW)
    assert v.mac == P
    bench.set(v, up=True)
    assert v.mac == NEW


@pytest.mark.parametrize("at_creation", [True, False])
def test_an_address_of_its_own_makes_it_independent(bench: Bench, at_creation: bool) -> None:
    """The lower device listens to it: a veth has no unicast filter and becomes promiscuous."""
    v = bench.add("vlan", "v", bench.p0, id=5, **({"mac": OWN} if at_creation else {}))
    bench.set(v, mac=OWN)
    assert bench.p0.promiscuity == 1
    bench.set(bench.p0, mac=NEW)
    assert v.mac == OWN
    bench.set(v, up=False)
    assert (bench.p0.promiscuity, bench.p0.uc) == (0, {})


def test_the_lower_ones_address_by_hand_needs_no_filter_and_stays(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, mac=P)
    assert bench.p0.uc == {}
    bench.set(bench.p0, mac=NEW)
    assert (v.mac, bench.p0.uc) == (P, {P: 1})


def test_own_address_becoming_the_lower_ones_needs_no_filter(bench: Bench) -> None:
    """vlan_sync_address drops and adds the secondary address as the two addresses meet and part."""
    v = bench.add("vlan", "v", bench.p0, id=5, mac=OWN)
    bench.set(bench.p0, mac=OWN)
    assert bench.p0.uc == {}
    bench.set(bench.p0, mac=NEW)
    assert bench.p0.uc == {OWN: 1}
    bench.set(v, mac=NEW)
    assert bench.p0.uc == {}


# -- MTU (vlan_dev_change_mtu) --------------------------------------------------------------------------------------


def test_mtu_is_the_lower_ones_and_follows_down_only(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    assert v.mtu == 1500
    bench.set(bench.p0, mtu=1200)
    assert v.mtu == 1200
    bench.set(bench.p0, mtu=1500)
    assert v.mtu == 1200
    bench.set(v, mtu=1500)
    assert v.mtu == 1500


def test_mtu_has_no_minimum(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5, mtu=60)
    bench.set(v, mtu=0)
    assert v.mtu == 0


# -- filters --------------------------------------------------------------------------------------------------------


def test_promisc_and_allmulti_are_one_reference_each_up_or_down(bench: Bench) -> None:
    """vlan_dev_change_rx_flags asks no more whether the device is up; opening and stopping pass nothing on."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.set(v, promisc=True, allmulti=True)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (1, 1)
    bench.set(v, up=False)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (1, 1)
    bench.set(v, promisc=False, allmulti=False)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (0, 0)


def test_groups_and_secondary_addresses_go_down(bench: Bench) -> None:
    """A macvlan on the VLAN: the VLAN has a unicast filter, the veth below has none."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    m = bench.add("macvlan", "m", v, mac=OWN)
    bench.net.mc_add(m, 0x01_00_5E_01_02_03)
    assert (v.promiscuity, bench.p0.promiscuity, bench.p0.uc) == (0, 1, {OWN: 1})
    assert 0x01_00_5E_01_02_03 in bench.p0.mc
    bench.delete(m)
    assert (bench.p0.promiscuity, bench.p0.uc) == (0, {})
    assert 0x01_00_5E_01_02_03 not in bench.p0.mc


def test_the_first_vlan_joins_the_registration_group_twice(bench: Bench) -> None:
    """GVRP and MVRP each join 01:80:c2:00:00:21 (ip maddr: users 2); the last VLAN leaves it."""
    a = bench.add("vlan", "a", bench.p0, id=5)
    b = bench.add("vlan", "b", bench.p0, id=6)
    assert bench.p0.mc[GROUP_ADDRESS] == 2
    bench.delete(a)
    assert bench.p0.mc[GROUP_ADDRESS] == 2
    bench.delete(b)
    assert GROUP_ADDRESS not in bench.p0.mc


# -- refusals -------------------------------------------------------------------------------------------------------

REFUSED_AT_CREATION = {
    "id 4095": ({"id": 4095}, "ERANGE", "8021q: Invalid VLAN id"),
    "id 4096": ({"id": 4096}, "ERANGE", "8021q: Invalid VLAN id"),
    "no options": ({}, "EINVAL", "8021q: VLAN properties not specified"),
    "no id": ({"reorder_hdr": True}, "EINVAL", "8021q: VLAN id not specified"),
    "protocol": ({"id": 5, "protocol": "[2048]"}, "EPROTONOSUPPORT", "8021q: Invalid VLAN protocol"),
    "group address": ({"id": 5, "mac": 1 << 40}, "EADDRNOTAVAIL", "8021q: Invalid link address"),
    "zero address": ({"id": 5, "mac": 0}, "EADDRNOTAVAIL", "8021q: Invalid link address"),
    "mtu": ({"id": 5, "mtu": 1501}, "EINVAL", None),
    "huge mtu": ({"id": 5, "mtu": 70_000}, "EINVAL", "mtu greater than device maximum."),
}


@pytest.mark.parametrize("case", REFUSED_AT_CREATION)
def test_refused_at_creation(bench: Bench, case: str) -> None:
    options, code, text = REFUSED_AT_CREATION[case]
    with pytest.raises(RtnlError) as caught:
        bench.add("vlan", "v", bench.p0, **options)
    assert (caught.value.code, caught.value.extack) == (code, text)
    assert "v" not in bench.root.devices
    assert bench.p0.vlans is None


def test_refused_lower_devices(bench: Bench) -> None:
    with pytest.raises(RtnlError) as caught:
        bench.add("vlan", "v", None, id=5)
    assert (caught.value.code, caught.value.extack) == ("EINVAL", "8021q: link not specified")
    with pytest.raises(RtnlError) as caught:
        bench.add("vlan", "v", bench.root.devices["lo"], id=5)
    assert (caught.value.errno, caught.value.extack) == (EOPNOTSUPP, "8021q: VLANs not supported on device")
    bench.add("vlan", "v", bench.p0, id=4094)
    with pytest.raises(RtnlError) as caught:
        bench.add("vlan", "w", bench.p0, id=4094)
    assert (caught.value.code, caught.value.extack) == ("EEXIST", "8021q: VLAN device already exists")


def test_refused_changes(bench: Bench) -> None:
    v = bench.add("vlan", "v", bench.p0, id=5)
    for changes, code in (
        ({"mtu": 1501}, "ERANGE"),
        ({"mac": 1 << 40}, "EADDRNOTAVAIL"),
        ({"mac": 0}, "EADDRNOTAVAIL"),
        ({"info": {"id": 4095}}, "ERANGE"),
        ({"info": {}}, "EINVAL"),
    ):
        with pytest.raises(RtnlError) as caught:
            bench.set(v, **changes)
        assert caught.value.code == code


def test_id_and_protocol_are_for_life(bench: Bench) -> None:
    """`ip link set v type vlan id 9` succeeds and changes nothing."""
    v = bench.add("vlan", "v", bench.p0, id=5)
    bench.set(v, info={"id": 9, "protocol": "802.1ad"})
    assert KINDS["vlan"].info(v) == {"protocol": "802.1Q", "id": 5, "flags": ["REORDER_HDR"]}


def test_seven_levels_above_the_base_are_enough(bench: Bench) -> None:
    """The eighth is EMLINK (MAX_NEST_DEV); a macvlan counts as a level too."""
    lower = bench.p0
    for level in range(7):
        lower = bench.add("vlan", f"v{level}", lower, id=1)
    for kind, options in (("vlan", {"id": 1}), ("macvlan", {})):
        with pytest.raises(RtnlError) as caught:
            bench.add(kind, "x", lower, **options)
        assert caught.value.code == "EMLINK"
    bench.add("macvlan", "m", bench.root.devices["v5"])


def test_options_that_do_not_exist_are_refused_by_name(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="vni"):
        bench.add("vlan", "v", bench.p0, id=5, vni=5)


# -- what `ip -d -j link` shows -------------------------------------------------------------------------------------


def test_info_shows_flags_and_maps_in_the_kernels_order(bench: Bench) -> None:
    """Sixteen buckets, newest first; mappings to 0 disappear. Recorded on 6.1: 32, 16, 0, 6; then 48, 32, 0, 6."""
    maps = {"ingress_qos": [(0, 3), (5, 6)], "egress_qos": [(0, 2), (6, 5), (16, 1), (32, 4)]}
    options = {key: [{"from": a, "to": b} for a, b in pairs] for key, pairs in maps.items()}
    v = bench.add("vlan", "v", bench.p0, id=6, protocol="802.1ad", reorder_hdr=False, loose_binding=True, **options)
    info = KINDS["vlan"].info(v)
    assert list(info) == ["protocol", "id", "flags", "ingress_qos", "egress_qos"]
    assert info["flags"] == ["LOOSE_BINDING"]
    assert info["ingress_qos"] == [{"from": 0, "to": 3}, {"from": 5, "to": 6}]
    assert [pair["from"] for pair in info["egress_qos"]] == [32, 16, 0, 6]
    bench.set(
        v, info={"egress_qos": [{"from": 16, "to": 0}, {"from": 48, "to": 7}], "ingress_qos": [{"from": 5, "to": 0}]}
    )
    info = KINDS["vlan"].info(v)
    assert [pair["from"] for pair in info["egress_qos"]] == [48, 32, 0, 6]
    assert info["ingress_qos"] == [{"from": 0, "to": 3}]
