"""Who reaches whom by ping over macvlan: every mode, with and without a hairpin on the switch's port.

The same site as for ipvlan (test_ipvlan_reach.py): c1, c2 on the host's p0; p0 and ext on one switch. As Linux answers.
"""

from __future__ import annotations

import pytest
from test_ipvlan_reach import ALL, OUTSIDE, PATHS, Site

from simvlan.rtnl import LinkSpec, link_del


@pytest.mark.parametrize(
    ("mode", "hairpin", "expected"),
    [
        ("bridge", False, "yes no no yes yes"),
        ("bridge", True, ALL),
        ("vepa", False, OUTSIDE),
        ("vepa", True, ALL),
        ("private", False, OUTSIDE),
        ("private", True, "no no yes yes yes"),
    ],
)
def test_reachability(mode: str, hairpin: bool, expected: str) -> None:
    """A private macvlan's broadcast comes back to itself alone: nobody else here hears its ARP request."""
    site = Site(mode, "", hairpin, "macvlan")
    assert " ".join(site.ping(*path.split()) for path in PATHS) == expected


def test_a_passthru_macvlan_takes_its_hosts_place() -> None:
    """All unicast goes to it: the host's stack hears no answer any more, the macvlan and ext reach each other."""
    site = Site("bridge", "", False, "macvlan")
    for name in ("c1", "c2"):
        link_del(site.net, site.net.device(f"{name}/eth0"))
    assert site.ping("host", "ext") == "yes"
    p0 = site.net.device("host/p0")
    dev = site.add("c1", LinkSpec("macvlan", "eth0", link=p0, info={"mode": "passthru"}))
    site.give(dev, site.addresses["c1"])
    assert (site.ping("c1", "ext"), site.ping("ext", "c1"), site.ping("host", "ext")) == ("yes", "yes", "no")
