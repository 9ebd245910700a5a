"""Tags of dnsmasq's DHCP server, and what else decides who gets what; the recording is tags.json."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from simvlan.dhcp import message as m
from simvlan.dhcp.asking import Interface
from simvlan.dhcp.message import Message
from simvlan.dhcp.server import Log, Reply, Server
from simvlan.dhcp.tags import TagIf, has
from simvlan.tools.dnsmasq_options import read

MAC, OTHER = bytes.fromhex("020000000011"), bytes.fromhex("020000000012")
BASE = "-p 0 --no-ping -F 10.0.0.100,10.0.0.109,1h"


def interface(unicast: bool = False) -> Interface:
    return Interface("eth0", int(IPv4Address("10.0.0.1")), 0xFFFF_FF00, unicast)


def ask(kind: int, mac: bytes = MAC, ciaddr: str = "0.0.0.0", giaddr: str = "0.0.0.0", **said: bytes) -> Message:
    options = {getattr(m, name): value for name, value in said.items()}
    every = bytes(range(1, 255))
    return Message(1, 1, mac, {m.TYPE: bytes((kind,)), m.WANTED: every, **options}, ciaddr=int(IPv4Address(ciaddr)),
                   giaddr=int(IPv4Address(giaddr)))  # fmt: skip


def reply(line: str, msg: Message, unicast: bool = False) -> Message | None:
    """What a server that was started so answers."""
    return answer(Server(read(f"{BASE} {line}".split()).dhcp), msg, unicast)


def answer(it: Server, msg: Message, unicast: bool = False) -> Message | None:
    return next((each.message for each in it.receive(msg, interface(unicast), 0) if isinstance(each, Reply)), None)


def offer(line: str, msg: Message) -> Message:
    found = reply(line, msg)
    assert found is not None
    return found


def lease(it: Server, mac: bytes) -> str:
    got = answer(it, ask(m.DISCOVER, mac))
    assert got is not None
    wish = {"REQUESTED": got.yiaddr.to_bytes(4, "big"), "SERVER_ID": bytes((10, 0, 0, 1))}
    taken = answer(it, ask(m.REQUEST, mac, **wish))
    return str(IPv4Address(taken.yiaddr)) if taken is not None and taken.type == m.ACK else ""


@pytest.mark.parametrize(
    ("wanted", "plain", "there"),
    [
        ((), False, False), ((), True, True), (("a",), False, True), (("a", "b"), False, False),
        (("a", "!b"), False, True), (("!a",), True, False), (("c",), True, False),
    ],
)  # fmt: skip
def test_tags_that_are_wanted(wanted: tuple[str, ...], plain: bool, there: bool) -> None:
    assert has(wanted, {"a", "eth0"}, plain) is there


def test_tags_that_follow_from_others() -> None:
    assert TagIf(("x",), ("eth*", "!b")).holds({"eth0"})
    assert not TagIf(("x",), ("eth*", "!b")).holds({"eth0", "b"})
    assert not TagIf(("x",), ("wlan*",)).holds({"eth0"})
    line = "--dhcp-mac=set:a,02:*:*:*:*:11 --tag-if=set:b,tag:a --tag-if=set:c,tag:b -O tag:c,42,10.0.0.42"
    assert offer(line, ask(m.DISCOVER)).options[42] == bytes((10, 0, 0, 42))
    assert 42 not in offer(line, ask(m.DISCOVER, OTHER)).options


def test_who_is_ignored_and_who_is_not() -> None:
    line = "--dhcp-ignore=tag:!known -G 02:00:00:00:00:11,10.0.0.7"
    assert offer(line, ask(m.DISCOVER)).yiaddr == int(IPv4Address("10.0.0.7"))
    assert reply(line, ask(m.DISCOVER, OTHER)) is None
    it = Server(read(f"{BASE} {line}".split()).dhcp)
    assert it.receive(ask(m.DISCOVER, OTHER), interface(), 0) == [
        Log("DHCPDISCOVER(eth0) 02:00:00:00:00:12 ignored")
    ]  # fmt: skip
    assert it.receive(ask(m.REQUEST, OTHER), interface(), 0) == []


@pytest.mark.parametrize(
    ("line", "loud"),
    [("--dhcp-broadcast", True), ("--dhcp-broadcast=tag:eth0", True), ("--dhcp-broadcast=tag:x", False), ("", False)],
)
def test_answers_to_everybody(line: str, loud: bool) -> None:
    """What helps clients behind an ipvlan that do not ask for broadcasts."""
    assert bool(offer(line, ask(m.DISCOVER)).flags & m.BROADCAST_FLAG) is loud


def test_client_identifiers_that_are_passed_over() -> None:
    first, second = ask(m.DISCOVER, CLIENT_ID=b"\0a"), ask(m.DISCOVER, CLIENT_ID=b"\0b")
    for line, same in (("--dhcp-ignore-clid", True), ("-G 02:00:00:00:00:11,id:*", True), ("", False)):
        it = Server(read(f"{BASE} {line}".split()).dhcp)
        for msg in (first, second):
            got = answer(it, msg)
            assert got is not None
            wish = {"REQUESTED": got.yiaddr.to_bytes(4, "big"), "SERVER_ID": bytes((10, 0, 0, 1))}
            answer(it, ask(m.REQUEST, CLIENT_ID=msg.client, **wish))
        assert (len(it.leases.by_address) == 1) is same, line


def test_addresses_in_order_and_no_more_leases_than_said() -> None:
    it = Server(read(f"{BASE} --dhcp-sequential-ip --dhcp-lease-max=2".split()).dhcp)
    macs = [bytes((2, 0, 0, 0, 0, number)) for number in (9, 5, 7)]
    assert [lease(it, mac) for mac in macs] == ["10.0.0.100", "10.0.0.101", ""]


def test_the_server_s_own_address_and_values_of_several_kinds() -> None:
    line = "-O 6,0.0.0.0,9.9.9.9 -O 26,1400 -O 119,a.example,b.a.example,example -O 121,10.1.0.0/16,10.0.0.9"
    told = offer(
        f"{line},0.0.0.0/0,10.0.0.1 -O 43,01:02:ff -O 150,0.0.0.0 -O 252,text,more -O 3", ask(m.DISCOVER)
    ).options
    assert told[6] == bytes((10, 0, 0, 1, 9, 9, 9, 9))
    assert told[26] == (1400).to_bytes(2, "big")
    assert told[119] == b"\1a\7example\0\1b\xc0\0\xc0\2"
    assert told[121] == bytes((16, 10, 1, 10, 0, 0, 9, 0, 10, 0, 0, 1))
    assert (told[43], told[150], told[252], 3 in told) == (b"\1\2\xff", bytes((10, 0, 0, 1)), b"text,more", False)


def test_options_of_an_own_tag_count_for_more_than_those_of_a_range() -> None:
    line = "-p 0 --no-ping -F set:r,10.0.0.100,10.0.0.109 --dhcp-mac=set:m,*:*:*:*:*:11"
    line += " -O 15,plain -O tag:m,15,mine -O tag:r,15,ranged"
    for mac, name in ((MAC, b"mine"), (OTHER, b"ranged")):
        got = answer(Server(read(line.split()).dhcp), ask(m.DISCOVER, mac))
        assert got is not None
        assert got.options[15] == name


def test_what_a_relay_says_comes_back_and_counts() -> None:
    """Option 82 is the answer's last; its link names the network, its override is what the server calls itself."""
    line = "-F 10.9.0.10,10.9.0.20,255.255.255.0"
    said = b"\1\2ab\5\4\x0a\x09\0\0\x0b\4\x0a\0\0\xfe"
    got = offer(line, ask(m.DISCOVER, giaddr="10.0.0.254", AGENT=said))
    assert list(got.options)[-1] == m.AGENT
    assert (got.options[m.AGENT], got.options[m.SUBNET]) == (said, bytes((10, 9, 0, 0)))
    assert str(IPv4Address(got.yiaddr)).startswith("10.9.0.")
    assert got.options[m.SERVER_ID] == bytes((10, 0, 0, 254))
    plain = offer(line, ask(m.DISCOVER, giaddr="10.0.0.254", AGENT=b"\1\2ab"))
    assert str(IPv4Address(plain.yiaddr)).startswith("10.0.0.")
    assert plain.options[m.SERVER_ID] == bytes((10, 0, 0, 1))
    broken = offer(line, ask(m.DISCOVER, AGENT=b"\1\x09ab"))
    assert broken.options[m.AGENT] == b"\1\x09ab"


def test_who_renews_by_broadcast_may_have_another_server_s_lease() -> None:
    """Nothing is said to it; who asks this server alone is refused."""
    assert reply("", ask(m.REQUEST, ciaddr="10.0.0.105"), unicast=False) is None
    refused = reply("", ask(m.REQUEST, ciaddr="10.0.0.105"), unicast=True)
    assert refused is not None
    assert refused.options[m.TEXT] == b"lease not found"


def test_a_name_belongs_to_one_lease() -> None:
    it = Server(read(f"{BASE} -G 02:00:00:00:00:13,box".split()).dhcp)
    named = {mac: ask(m.REQUEST, mac, HOSTNAME=name, SERVER_ID=bytes((10, 0, 0, 1)), REQUESTED=bytes((10, 0, 0, last)))
             for mac, name, last in ((MAC, b"lap.example", 101), (OTHER, b"LAP", 102))}  # fmt: skip
    assert [str(each.text)[:15] for each in it.receive(named[MAC], interface(), 0) if isinstance(each, Log)] == [
        "DHCPREQUEST(eth", "Ignoring domain", "DHCPACK(eth0) 1"
    ]  # fmt: skip
    it.receive(named[OTHER], interface(), 0)
    lease(it, bytes.fromhex("020000000013"))
    assert sorted(each.name for each in it.leases) == ["", "LAP", "box"]
    thief = ask(m.REQUEST, HOSTNAME=b"box", SERVER_ID=bytes((10, 0, 0, 1)), REQUESTED=bytes((10, 0, 0, 101)))
    it.receive(thief, interface(), 0)
    assert sorted(each.name for each in it.leases) == ["", "LAP", "box"]
