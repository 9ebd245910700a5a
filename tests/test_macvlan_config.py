"""macvlan: state, addresses, MTU, filters, refusals. Rules of drivers/net/macvlan.c (Linux 6.1).

Numbers and refusals were read off Linux 6.1.176.
"""

from __future__ import annotations

import errno

import pytest
from bench_l2 import Bench, P

from simvlan.errors import RtnlError, Unsupported
from simvlan.rtnl.kinds import KINDS

M1, M2, NEW = 0x02_00_00_00_0A_01, 0x02_00_00_00_0A_02, 0x02_00_00_00_00_31


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refused(action: object, *args: object, **options: object) -> str:
    """Return the errno's name of a refusal."""
    with pytest.raises(RtnlError) as caught:
        action(*args, **options)  # type: ignore[operator]
    return caught.value.code


# -- state (macvlan_device_event) -----------------------------------------------------------------------------------


def test_carrier_follows_the_lower_device(bench: Bench) -> None:
    """Peer down or parent down (a veth loses its carrier): no carrier, and nothing passes between siblings either."""
    m = bench.add("macvlan", "m", bench.p0, mac=M1, mode="bridge")
    bench.add("macvlan", "n", bench.p0, mac=M2, mode="bridge")
    assert m.carrier
    for dev in (bench.w0, bench.p0):
        bench.set(dev, up=False)
        assert (m.up, m.carrier) == (True, False)
        assert bench.send(m, M2, M1) is None
        assert bench.got("n") == []
        bench.set(dev, up=True)
        assert m.carrier
        bench.send(m, M2, M1)
        assert bench.got("n") == ["HOST"]


def test_a_dummy_that_is_down_keeps_its_carrier(bench: Bench) -> None:
    """Only the carrier is handed on, not the administrative state."""
    d0 = bench.add("dummy", "d0")
    m = bench.add("macvlan", "m", d0)
    bench.set(d0, up=False)
    assert (m.up, m.carrier) == (True, True)


def test_it_may_come_up_while_the_lower_device_is_down(bench: Bench) -> None:
    bench.set(bench.p0, up=False)
    assert bench.add("macvlan", "m", bench.p0, mac=M1).up


def test_deleting_the_lower_device_deletes_all(bench: Bench) -> None:
    bench.add("macvlan", "m", bench.p0)
    bench.add("vlan", "v", bench.add("macvlan", "n", bench.p0), id=5)
    bench.delete(bench.p0)
    assert list(bench.root.devices) == ["lo"]


def test_the_last_macvlan_frees_the_lower_device(bench: Bench) -> None:
    bench.delete(bench.add("macvlan", "m", bench.p0))
    assert (bench.p0.rx_handler, bench.p0.uppers, bench.p0.promiscuity, bench.p0.uc) == (None, [], 0, {})
    bench.add("macvlan", "pt", bench.p0, mode="passthru")


def test_moving_either_keeps_them_connected(bench: Bench) -> None:
    """A moved parent forgets its secondary addresses, and with them its promiscuity; frames still find the macvlan."""
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    bench.set(m, netns=bench.net.add_netns("n1"))
    bench.set(m, up=True)
    bench.send(bench.w0, M1)
    assert bench.got("m") == ["HOST"]
    bench.set(bench.p0, netns=bench.net.add_netns("n2"))
    assert m.netns.name == "n1"
    bench.set(bench.p0, up=True)
    bench.send(bench.w0, M1)
    assert bench.got("m") == ["HOST"]
    assert (bench.p0.uc, bench.p0.promiscuity) == ({}, 0)


# -- addresses (macvlan_addr_busy, macvlan_sync_address) ------------------------------------------------------------


@pytest.mark.parametrize("mac", [P, M1])
def test_an_address_in_use_is_refused_at_up(bench: Bench, mac: int) -> None:
    """Creation succeeds; the parent's address or that of a macvlan that is up is EADDRINUSE when it comes up."""
    bench.add("macvlan", "m", bench.p0, mac=M1)
    n = bench.add("macvlan", "n", bench.p0, mac=mac, up=False)
    assert refused(bench.set, n, up=True) == "EADDRINUSE"
    assert not n.up
    bench.set(n, mac=M2)
    bench.set(n, up=True)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("mac", [P, M1])
def test_an_address_in_use_is_refused_on_change(bench: Bench, mac: int, up: bool) -> None:
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    n = bench.add("macvlan", "n", bench.p0, mac=M2, up=up)
    assert refused(bench.set, n, mac=mac) == "EADDRINUSE"
    assert n.mac == M2
    bench.set(m, up=False)
    if mac == M1:
        bench.set(n, mac=mac)
        assert n.mac == M1


def test_the_parent_may_take_a_macvlans_address(bench: Bench) -> None:
    """The macvlan keeps working, but cannot come up again."""
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    bench.set(bench.p0, mac=M1)
    bench.send(bench.w0, M1)
    assert bench.got("m") == ["HOST"]
    bench.set(m, up=False)
    assert refused(bench.set, m, up=True) == "EADDRINUSE"


def test_a_changed_address_is_found_at_once(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    bench.set(m, mac=M2)
    bench.send(bench.w0, M1)
    assert bench.got("m") == []
    bench.send(bench.w0, M2)
    assert bench.got("m") == ["HOST"]
    assert bench.p0.uc == {M2: 1}


@pytest.mark.parametrize("mac", [0, 1 << 40])
def test_no_station_address_is_refused(bench: Bench, mac: int) -> None:
    assert refused(bench.add, "macvlan", "m", bench.p0, mac=mac) == "EADDRNOTAVAIL"
    m = bench.add("macvlan", "m", bench.p0)
    assert refused(bench.set, m, mac=mac) == "EADDRNOTAVAIL"


def test_a_random_address_is_made_when_none_is_given(bench: Bench) -> None:
    one, two = (bench.add("macvlan", name, bench.p0) for name in ("m", "n"))
    assert one.mac != two.mac
    assert one.mac >> 40 & 3 == 2


# -- passthru -------------------------------------------------------------------------------------------------------


def test_passthru_shares_its_address_both_ways(bench: Bench) -> None:
    """A given address is ignored; a change through the macvlan is undone when it goes."""
    m = bench.add("macvlan", "m", bench.p0, mac=M1, mode="passthru")
    assert m.mac == P
    bench.set(bench.p0, mac=NEW)
    assert m.mac == NEW
    bench.set(m, mac=M2)
    assert (m.mac, bench.p0.mac) == (M2, M2)
    bench.send(bench.w0, 0xFFFF_FFFF_FFFF, M2)
    assert bench.got("m") == ["BROADCAST"]  # its own, by the new address
    bench.delete(m)
    assert bench.p0.mac == NEW


def test_passthru_leaves_an_address_the_parent_chose(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mode="passthru", up=False)
    bench.set(m, mac=M2)
    bench.set(bench.p0, mac=NEW)
    assert m.mac == NEW
    bench.delete(m)
    assert bench.p0.mac == NEW


def test_passthru_is_the_first_and_the_only(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mode="passthru")
    for mode in ("bridge", "passthru"):
        assert refused(bench.add, "macvlan", "n", bench.p0, mode=mode) == "EINVAL"
    assert refused(bench.set, m, info={"mode": "bridge"}) == "EINVAL"
    bench.delete(m)
    n = bench.add("macvlan", "n", bench.p0, mode="bridge")
    assert refused(bench.add, "macvlan", "m", bench.p0, mode="passthru") == "EINVAL"
    assert refused(bench.set, n, info={"mode": "passthru"}) == "EINVAL"
    bench.set(n, info={"mode": "private"})
    assert n.mode_name == "private"


def test_passthru_promiscuity(bench: Bench) -> None:
    """One reference while up, unless nopromisc; its own promisc adds none; allmulti is never given back."""
    m = bench.add("macvlan", "m", bench.p0, mode="passthru")
    assert (bench.p0.promiscuity, bench.p0.uc) == (1, {})
    bench.set(m, promisc=True)
    assert bench.p0.promiscuity == 1
    bench.set(m, allmulti=True)
    bench.set(m, up=False)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (0, 1)
    bench.set(m, up=True, info={"flags": ["nopromisc"]})
    assert bench.p0.promiscuity == 2**32 - 1  # 6.1 takes the reference back even while down
    with pytest.raises(RtnlError) as refused:
        bench.set(m, info={"flags": []})
    assert (refused.value.errno, bench.p0.promiscuity) == (errno.EOVERFLOW, 2**32 - 1)


def test_nopromisc_switched_while_up(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mode="passthru")
    bench.set(m, info={"flags": ["nopromisc"]})
    assert bench.p0.promiscuity == 0
    bench.set(m, info={"flags": []})
    assert bench.p0.promiscuity == 1


# -- filters --------------------------------------------------------------------------------------------------------


def test_an_address_of_its_own_makes_a_veth_promiscuous_while_up(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    assert (bench.p0.promiscuity, bench.p0.uc) == (1, {M1: 1})
    bench.set(m, promisc=True, allmulti=True)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (2, 1)
    bench.set(m, up=False)
    assert (bench.p0.promiscuity, bench.p0.allmulti) == (0, 0)


def test_groups_are_joined_below(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mac=M1)
    bench.net.mc_add(m, 0x01_00_5E_01_02_03)
    assert bench.p0.mc[0x01_00_5E_01_02_03] == 1
    bench.set(m, up=False)
    assert 0x01_00_5E_01_02_03 not in bench.p0.mc


# -- MTU ------------------------------------------------------------------------------------------------------------


def test_mtu_is_the_parents_at_most(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0)
    bench.set(bench.p0, mtu=1000)
    assert m.mtu == 1000
    bench.set(bench.p0, mtu=1500)
    assert m.mtu == 1000
    assert refused(bench.set, m, mtu=1501) == "EINVAL"
    assert refused(bench.add, "macvlan", "n", bench.p0, mtu=1501) == "EINVAL"
    bench.set(m, mtu=1500)


@pytest.mark.parametrize(
    ("mtu", "text"), [(67, "mtu less than device minimum."), (70_000, "mtu greater than device maximum.")]
)
def test_mtu_out_of_range(bench: Bench, mtu: int, text: str) -> None:
    m = bench.add("macvlan", "m", bench.p0)
    for action in (lambda: bench.add("macvlan", "n", bench.p0, mtu=mtu), lambda: bench.set(m, mtu=mtu)):
        with pytest.raises(RtnlError) as caught:
            action()
        assert (caught.value.code, caught.value.extack) == ("EINVAL", text)


# -- stacking -------------------------------------------------------------------------------------------------------


def test_a_macvlan_on_a_macvlan_is_its_sibling(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0)
    n = bench.add("macvlan", "n", m)
    assert n.lower is bench.p0
    assert bench.p0.rx_handler.vlans == [m, n]


def test_refused_lower_devices(bench: Bench) -> None:
    assert refused(bench.add, "macvlan", "m", None) == "EINVAL"
    assert refused(bench.add, "macvlan", "m", bench.root.devices["lo"]) == "EINVAL"
    d0 = bench.add("dummy", "d0")
    pt = bench.add("macvlan", "pt", d0, mode="passthru")
    assert refused(bench.add, "macvlan", "m", pt) == "EINVAL"
    assert refused(bench.add, "macvlan", "m", pt, mode="passthru") == "EINVAL"
    v = bench.add("vlan", "v", pt, id=3)
    bench.add("macvlan", "m", v, mode="passthru")


def test_a_device_another_handler_sits_on_is_busy(bench: Bench) -> None:
    bench.p0.rx_handler = object()
    assert refused(bench.add, "macvlan", "m", bench.p0) == "EBUSY"
    bench.p0.rx_handler = None
    bench.add("macvlan", "m", bench.p0)


# -- options --------------------------------------------------------------------------------------------------------


def sources(bench: Bench, verb: str, **more: object) -> None:
    bench.set(bench.root.devices["m"], info={"macaddr_mode": verb, **more})


def test_source_lists(bench: Bench) -> None:
    """Shown by hash bucket, the last added first in each, as recorded on 6.1."""
    macs = [f"02:00:00:00:{tail}" for tail in ("01:01", "01:02", "01:03", "02:04")]
    m = bench.add("macvlan", "m", bench.p0, mode="source")
    sources(bench, "add", macaddr=macs[0])
    sources(bench, "add", macaddr=macs[0])
    assert KINDS["macvlan"].info(m)["macaddr_data"] == macs[:1]
    sources(bench, "set", macaddr_data=macs)
    info = KINDS["macvlan"].info(m)
    assert (info["macaddr_count"], info["macaddr_data"]) == (4, [macs[2], macs[1], macs[0], macs[3]])
    sources(bench, "del", macaddr=macs[1])
    sources(bench, "del", macaddr=macs[1])  # an absent one is no error
    assert KINDS["macvlan"].info(m)["macaddr_count"] == 3
    sources(bench, "flush")
    assert KINDS["macvlan"].info(m) == {
        "mode": "source",
        "bcqueuelen": 1000,
        "usedbcqueuelen": 1000,
        "macaddr_count": 0,
    }


def test_leaving_source_mode_empties_the_list(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mode="source", macaddr_mode="add", macaddr="02:00:00:00:01:01")
    bench.set(m, info={"mode": "bridge"})
    bench.set(m, info={"mode": "source"})
    assert m.allowed == {}
    assert m.port.sources == {}


def test_refused_source_lists(bench: Bench) -> None:
    m = bench.add("macvlan", "m", bench.p0, mode="bridge")
    add = {"macaddr_mode": "add", "macaddr": "02:00:00:00:01:01"}
    assert refused(bench.set, m, info=add) == "EINVAL"
    assert refused(bench.add, "macvlan", "n", bench.p0, mode="vepa", **add) == "EINVAL"
    bench.set(m, info={"mode": "source"})
    assert refused(bench.set, m, info={**add, "macaddr": "01:00:00:00:01:01"}) == "EADDRNOTAVAIL"
    assert refused(bench.set, m, info={"macaddr_mode": "add"}) == "EINVAL"
    bench.set(m, info=add)


@pytest.mark.parametrize(("kind", "mode", "error"), [("macvlan", "vepa", "EBUSY"), ("ipvlan", "l2", "EINVAL")])
def test_enslaving_refused_makes_the_filter_anew(bench: Bench, kind: str, mode: str, error: str) -> None:
    """br_add_if sets allmulti before it finds the loop, or a device that has none take its frames first, and takes it
    back: a group left last is out of the filter."""
    br = bench.add("bridge", "br")
    m = bench.add(kind, "m", br, mode=mode)
    group = 0x3333_0000_0001
    bench.net.mc_add(m, group)
    bench.net.mc_del(m, group)
    assert group in m.filter
    assert refused(bench.set, m, master=br) == error
    assert group not in m.filter
    assert m.allmulti == br.allmulti == 0


def test_bad_mode_and_unknown_options(bench: Bench) -> None:
    assert refused(bench.add, "macvlan", "m", bench.p0, mode="nonsense") == "EINVAL"
    with pytest.raises(Unsupported, match="bclim"):
        bench.add("macvlan", "m", bench.p0, bclim=1)


def test_info_shows_flags_after_the_mode(bench: Bench) -> None:
    """Keys in iproute2's order; a mode change keeps the flags."""
    m = bench.add("macvlan", "m", bench.p0, mode="source", flags=["nodst"], bcqueuelen=7)
    bench.set(m, info={"mode": "bridge"})
    info = KINDS["macvlan"].info(m)
    assert list(info.items()) == [("mode", "bridge"), ("nodst", True), ("bcqueuelen", 7), ("usedbcqueuelen", 7)]


def test_three_hundred_on_one_device(bench: Bench) -> None:
    """There is no limit of its own."""
    macvlans = [bench.add("macvlan", f"m{n}", bench.p0, mac=0x02_00_00_01_00_00 + n) for n in range(300)]
    bench.send(bench.w0)
    assert all(m.rx_packets == 1 for m in macvlans)
