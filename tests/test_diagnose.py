"""The design behind an unanswered ping is named: OWN_CHILD, OTHER_VLAN, PRIVATE_SIBLINGS, VEPA_NO_HAIRPIN."""

import pytest
from scapy.layers.l2 import ARP, Ether

from simvlan.lab import Lab

BROADCAST = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01")
HOST = """
ip netns add host; ip netns add wire
ip link add eth0 netns host type veth peer name w netns wire
ip -n host link set eth0 up; ip -n wire link set w up
"""


def child(name: str, number: int, lower: str, kind: str) -> str:
    """A namespace with one sub-interface of the host's device."""
    return f"""
    ip netns add {name}
    ip -n host link add link {lower} name {name} netns {name} type {kind}
    ip -n {name} address add 10.0.0.{number}/24 dev {name}
    ip -n {name} link set {name} up
    """


def reasons(script: str) -> dict[tuple[str, str], str]:
    """(source, target) -> reason, empty where reached."""
    lab = Lab()
    assert lab.sh(HOST + script).exit == 0
    return {(c.source, c.target): c.reason for c in lab.matrix().cells.values()}


@pytest.mark.parametrize("kind", ["macvlan mode bridge", "ipvlan mode l2"])
def test_a_host_and_its_own_child(kind: str) -> None:
    """macvlan_queue_xmit and ipvlan: between lower device and child there is only the wire; siblings do talk."""
    found = reasons(
        "ip -n host address add 10.0.0.100/24 dev eth0\n" + child("c1", 1, "eth0", kind) + child("c2", 2, "eth0", kind)
    )
    assert found["host", "c1"] == found["c1", "host"] == "OWN_CHILD"
    assert found["c1", "c2"] == ""


def test_two_vlans_are_two_broadcast_domains() -> None:
    """The same subnet on eth0.10 and eth0.20: ARP never crosses; inside one VLAN it does."""
    vlan = "ip -n host link add link eth0 name eth0.{0} type vlan id {0}; ip -n host link set eth0.{0} up\n"
    vlans = vlan.format(10) + vlan.format(20)
    found = reasons(
        vlans
        + child("c1", 1, "eth0.10", "macvlan mode bridge")
        + child("c2", 2, "eth0.20", "macvlan mode bridge")
        + child("c3", 3, "eth0.10", "macvlan mode bridge")
    )
    assert found["c1", "c2"] == found["c2", "c1"] == "OTHER_VLAN"
    assert found["c1", "c3"] == ""


def test_a_bridge_is_in_the_vlan_of_its_uplink() -> None:
    """Containers on br0, whose port is eth0.10, and one on eth0.20; two bridges without such a port say nothing."""
    found = reasons(
        """
        for v in 10 20; do
            ip -n host link add link eth0 name eth0.$v type vlan id $v; ip -n host link set eth0.$v up
        done
        ip -n host link add br0 type bridge; ip -n host link set br0 up; ip -n host link set eth0.10 master br0
        ip -n host link add br1 type bridge; ip -n host link set br1 up
        for c in 1 2 4; do
            ip netns add c$c; ip link add c$c netns c$c type veth peer name p$c netns host
            ip -n host link set p$c up; ip -n c$c link set c$c up; ip -n c$c address add 10.0.0.$c/24 dev c$c
        done
        ip -n host link set p1 master br0; ip -n host link set p2 master br0; ip -n host link set p4 master br1
        """
        + child("c3", 3, "eth0.20", "macvlan mode bridge")
    )
    assert found["c1", "c3"] == found["c3", "c1"] == "OTHER_VLAN"
    assert found["c1", "c2"] == ""
    assert found["c1", "c4"] == found["c4", "c3"] == "NEIGH_FAILED"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("macvlan mode private", "PRIVATE_SIBLINGS"),
        ("macvlan mode vepa", "VEPA_NO_HAIRPIN"),
        ("macvlan mode source", "SOURCE_NO_HAIRPIN"),
        ("macvlan mode bridge", ""),
        ("ipvlan mode l2 vepa", "VEPA_NO_HAIRPIN"),
    ],
)
def test_siblings_that_may_not_talk(kind: str, reason: str) -> None:
    found = reasons(child("c1", 1, "eth0", kind) + child("c2", 2, "eth0", kind))
    assert found["c1", "c2"] == reason


def test_a_target_that_is_merely_down_is_not_blamed_on_its_design() -> None:
    """The negative twin: the devices' stacking says nothing, so the walk's own verdict stays."""
    found = reasons(
        child("c1", 1, "eth0", "macvlan mode bridge")
        + child("c2", 2, "eth0", "macvlan mode bridge")
        + "ip -n c2 link set c2 down\n"
    )
    assert found["c1", "c2"] not in ("", "OWN_CHILD", "OTHER_VLAN", "PRIVATE_SIBLINGS", "VEPA_NO_HAIRPIN")


@pytest.mark.parametrize(
    ("mode", "reason"), [("bridge", ""), ("vepa", "VEPA_NO_HAIRPIN"), ("private", "PRIVATE_SIBLINGS")]
)
def test_a_trace_says_the_same_as_the_matrix(mode: str, reason: str) -> None:
    """An ARP request for a sibling: bystanders were not meant, the diagnosis says why the wanted one is silent."""
    lab, kind = Lab(), f"macvlan mode {mode}"
    assert lab.sh(HOST + child("c1", 1, "eth0", kind) + child("c2", 2, "eth0", kind)).exit == 0
    walk = lab.trace("c1/c1", BROADCAST / ARP(psrc="10.0.0.1", pdst="10.0.0.2"))
    assert [why.reason for why in walk.unheard] == ([reason] if reason else [])
    assert lab.matrix()["c1", "c2"].reason == reason
    assert (f"c2/c2, which has the address, never heard it: {reason}:" in walk.to_text()) == bool(reason)
    assert not lab.trace("c1/c1", BROADCAST / ARP(psrc="10.0.0.1", pdst="10.0.0.77")).unheard


@pytest.mark.parametrize(("asked", "answers"), [("10.0.0.2", 1), ("10.0.0.77", 0)])
def test_a_trace_has_the_answer_of_a_sibling_that_heard_a_copy(asked: str, answers: int) -> None:
    """A stack is done with what it hears once its answer is sent: that is told before its copy of the question."""
    lab, kind = Lab(), "macvlan mode bridge"
    assert lab.sh(HOST + child("c1", 1, "eth0", kind) + child("c2", 2, "eth0", kind)).exit == 0
    walk = lab.trace("c1/c1", BROADCAST / ARP(psrc="10.0.0.1", pdst=asked))
    replies = [step for step in walk if step.frame.payload[7] == 2]
    assert len({step.fid for step in replies}) == answers
    assert not answers or (replies[0].path, replies[-1].path) == ("c2/c2", "c1/c1")
    # Set in under the question, one deeper than c2's copy of it.
    margins = [len(line) - len(line.lstrip()) for line in walk.to_text().splitlines() if f" {'c2/c2'} TX" in line]
    assert margins == [4] * answers


def remedies(script: str) -> dict[tuple[str, str], str]:
    """(source, target) -> remedy of what is not reached."""
    lab = Lab()
    assert lab.sh(SWITCHED + script).exit == 0
    return {(c.source, c.target): c.remedy for c in lab.matrix().failures}


SWITCHED = (
    HOST
    + """
ip -n host address add 10.0.0.100/24 dev eth0
ip -n wire link add br0 type bridge; ip -n wire link set br0 up; ip -n wire link set w master br0; sleep 1.5
"""
)


def test_a_reflecting_switch_is_advised_where_it_helps() -> None:
    """macvlan_handle_frame: what a private child sent comes back to it alone, and an l3 child does not ask."""
    for kind, helps in (("macvlan mode bridge", True), ("ipvlan mode l2", True), ("macvlan mode private", False)):
        one = child("c1", 1, "eth0", kind)
        assert ("hairpin" in remedies(one)["c1", "host"]) is helps, kind
        reflecting = remedies(one + "ip -n wire link set w type bridge_slave hairpin on")
        assert reflecting == {} if helps else "hairpin" not in reflecting["c1", "host"], kind
