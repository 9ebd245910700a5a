"""DHCP: exchanges of the real dnsmasq and udhcpc, recorded and met again; the rules of server and client one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from simvlan import Lab
from simvlan.clock import SECOND
from simvlan.dhcp import message as m
from simvlan.dhcp.asking import Interface
from simvlan.dhcp.client import Bound, Client, Deconfigured, Exit, Options, Say, Send
from simvlan.dhcp.leases import FOREVER, Config, Range, Reservation
from simvlan.dhcp.message import Message, MessageError, parse
from simvlan.dhcp.options import Option
from simvlan.dhcp.server import Log, Probe, Reply, Server, place
from simvlan.stack.packet import UDP, build
from simvlan.tools.common import Refused
from simvlan.tools.dnsmasq_options import read
from tests.dhcp.exchange import heard, said

HERE = Path(__file__).parent / "dhcp"
RECORDED = ["clients", "lease-times", "tags", "relay", "scripts", "isc-scripts"]
MAC, OTHER = bytes.fromhex("020000000011"), bytes.fromhex("020000000012")
ETH0 = Interface("eth0", int(IPv4Address("10.0.0.1")), 0xFFFF_FF00)


def ip(text: str) -> int:
    return int(IPv4Address(text))


# -- the real programs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_both_do_what_the_real_ones_did(name: str, tmp_path: Path) -> None:
    """Every DHCP frame at every device, and what was said, as dnsmasq 2.90, udhcpc 1.35 and dhclient 4.4.3 did."""
    command = [str(Path(sys.executable).parent / "simvlan"), "run", "--pcap", str(tmp_path), str(HERE / f"{name}.sh")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    theirs = json.loads((HERE / f"{name}.json").read_text())
    assert said(run.stdout + run.stderr) == theirs["said"]
    assert name.startswith("isc") or heard(tmp_path) == theirs["frames"]  # when dhclient sends is drawn


def recorded(name: str, device: str) -> list[Message]:
    frames = json.loads((HERE / f"{name}.json").read_text())["frames"][device]
    return [parse(bytes.fromhex(each)[42:]) for each in frames]


def packed(msg: Message) -> bytes:
    """A message's octets without the renewal times that the recordings are without."""
    zeros = dict.fromkeys((m.T1, m.T2), bytes(4))
    return replace(msg, options={code: zeros.get(code, value) for code, value in msg.options.items()}).pack()


SERVED = """
--port=0 --no-ping --dhcp-range=10.0.0.100,10.0.0.150,1h --dhcp-range=10.1.0.50,10.1.0.60,255.255.255.0,30m
--dhcp-host=id:00:aa,10.0.0.7,infinite --dhcp-host=02:00:00:00:00:12,ignore
--dhcp-option=option:router,10.0.0.254 --dhcp-option=6,10.0.0.53 --dhcp-option=15,example.net --dhcp-option=42
"""


def test_our_server_answers_a_real_client_as_dnsmasq_does() -> None:
    """Octet for octet, from what udhcpc sent; what it declined and released on the way included."""
    asked = read(SERVED.split())
    server, wanted, got = Server(asked.dhcp), [], []
    for msg in recorded("clients", "srv.eth0"):
        if msg.op == 2:
            wanted.append(packed(msg))
        else:
            got += [packed(each.message) for each in server.receive(msg, ETH0, 10) if isinstance(each, Reply)]
    assert len(wanted) > 10
    assert got == wanted


def test_our_client_gets_a_lease_from_a_real_server() -> None:
    """It sends what udhcpc sent, octet for octet, and takes what dnsmasq answered."""
    discover, offer, request, ack = recorded("lease-times", "c1.eth0")[:4]
    client = Client(MAC, Options(client=b"\x01" + MAC), 0)
    _, _, first = client.start(0)
    client.xid = 0
    assert isinstance(first, Send)
    assert replace(first.message, xid=0).pack() == discover.pack()
    _, second = client.receive(offer, 0)
    assert isinstance(second, Send)
    assert second.message.pack() == request.pack()
    assert client.receive(ack, 0)[-1] == Bound(ack, True)
    assert client.due == 60 * SECOND


# -- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_is_what_was_packed_and_nonsense_is_refused() -> None:
    msg = Message(1, 7, MAC, {m.TYPE: b"\1", m.CLIENT_ID: b"\0a"}, 3, m.BROADCAST_FLAG, 1, 2, 3, 4, 5)
    octets = msg.pack()
    assert len(octets) == 300
    assert parse(octets) == msg
    for bad, why in (
        (octets[:239], "too few"),
        (octets[:236] + bytes(4) + octets[240:], "cookie"),
        (b"\1\6" + octets[2:], "hardware type"),
        (octets[:240] + b"\x35\x09\1", "longer than"),
    ):
        with pytest.raises(MessageError, match=why):
            parse(bad)


# -- the server -------------------------------------------------------------------------------------------------------


def server(**more: object) -> Server:
    return Server(Config([Range(ip("10.0.0.100"), ip("10.0.0.102"), 600)], ping=False, **more))  # type: ignore[arg-type]


def ask(kind: int, mac: bytes = MAC, client: bytes = b"", ciaddr: str = "0.0.0.0", **options: str | bytes) -> Message:
    numbers = {getattr(m, name): ip(value).to_bytes(4, "big") if isinstance(value, str) else value
               for name, value in options.items()}  # fmt: skip
    own = {m.CLIENT_ID: client} if client else {}
    return Message(1, 1, mac, {m.TYPE: bytes((kind,)), **numbers, **own}, ciaddr=ip(ciaddr))


def answer(it: Server, msg: Message, now_s: int = 0) -> tuple[int, str, str]:
    """(type, address, why not) of the reply; type 0 for silence."""
    for each in it.receive(msg, ETH0, now_s):
        if isinstance(each, Reply):
            reply = each.message
            return reply.type, str(IPv4Address(reply.yiaddr)), reply.options.get(m.TEXT, b"").decode()
    return 0, "", ""


def lease(it: Server, mac: bytes, client: bytes = b"", now_s: int = 0) -> str:
    _, address, _ = answer(it, ask(m.DISCOVER, mac, client), now_s)
    taken = answer(it, ask(m.REQUEST, mac, client, REQUESTED=address, SERVER_ID="10.0.0.1"), now_s)
    assert taken == (m.ACK, address, "")
    return address


def test_one_lease_for_a_mac_one_for_each_client_identifier() -> None:
    it = server()
    assert lease(it, MAC) == lease(it, MAC)
    assert lease(it, MAC, b"\0a") != lease(it, MAC, b"\0b")
    assert lease(it, MAC, b"\0a") == lease(it, MAC, b"\0a")


def test_a_full_range_has_nothing_until_a_lease_expires() -> None:
    it = server()
    taken = {lease(it, bytes((2, 0, 0, 0, 0, number))) for number in range(3)}
    assert len(taken) == 3
    assert it.receive(ask(m.DISCOVER), ETH0, 599) == [Log("DHCPDISCOVER(eth0) 02:00:00:00:00:11 no address available")]
    assert lease(it, MAC, now_s=600) in taken


def test_a_reserved_address_is_kept_for_its_client() -> None:
    kept = Reservation(frozenset((OTHER,)), address=place_of(MAC), name="box")
    it = server(reservations=[kept])
    assert ip(lease(it, MAC)) != place_of(MAC)
    assert ip(lease(it, OTHER)) == place_of(MAC)
    refused = answer(it, ask(m.REQUEST, REQUESTED=str(IPv4Address(place_of(MAC))), SERVER_ID="10.0.0.1"))
    assert refused == (m.NAK, "0.0.0.0", "address reserved")


def place_of(mac: bytes) -> int:
    return place(mac, ip("10.0.0.100"), ip("10.0.0.102"))


@pytest.mark.parametrize(
    ("asked", "authoritative", "reply"),
    [
        (ask(m.REQUEST, REQUESTED="10.0.0.101"), False, (0, "", "")),  # nothing known of it: silence
        (ask(m.REQUEST, REQUESTED="10.0.0.101"), True, (m.ACK, "10.0.0.101", "")),
        (ask(m.REQUEST, REQUESTED="10.9.0.9"), True, (m.NAK, "0.0.0.0", "wrong network")),
        (ask(m.REQUEST, REQUESTED="10.0.0.99"), True, (m.NAK, "0.0.0.0", "address not available")),
        (ask(m.REQUEST, REQUESTED="10.0.0.101", SERVER_ID="10.0.0.2"), True, (0, "", "")),  # another server's
        (ask(m.REQUEST, ciaddr="10.0.0.101"), False, (m.NAK, "0.0.0.0", "lease not found")),
        (ask(m.REQUEST, OTHER, ciaddr="10.0.0.102"), False, (m.NAK, "0.0.0.0", "lease not found")),
        (ask(m.REQUEST, OTHER, REQUESTED="10.0.0.102"), False, (m.NAK, "0.0.0.0", "wrong address")),
        (ask(m.INFORM, ciaddr="10.0.0.9"), False, (m.ACK, "0.0.0.0", "")),
    ],
)
def test_requests(asked: Message, authoritative: bool, reply: tuple[int, str, str]) -> None:
    it = server(authoritative=authoritative)
    it.receive(ask(m.REQUEST, OTHER, REQUESTED="10.0.0.100", SERVER_ID="10.0.0.1"), ETH0, 0)
    assert answer(it, asked) == reply


def test_a_renewal_lengthens_a_lease_and_a_release_ends_it() -> None:
    it = server()
    address = lease(it, MAC)
    assert answer(it, ask(m.REQUEST, ciaddr=address), 300) == (m.ACK, address, "")
    assert it.leases.by_address[ip(address)].expires_s == 900
    it.receive(ask(m.RELEASE, ciaddr=address, SERVER_ID="10.0.0.2"), ETH0, 300)
    assert ip(address) in it.leases.by_address  # it was another server's
    it.receive(ask(m.RELEASE, ciaddr=address, SERVER_ID="10.0.0.1"), ETH0, 300)
    assert not it.leases.by_address


def test_a_shorter_time_is_granted_a_longer_is_not() -> None:
    for wish, given in ((200, 200), (10, 120), (9000, 600)):
        (*_, reply) = server().receive(ask(m.DISCOVER, LEASE_TIME=wish.to_bytes(4, "big")), ETH0, 0)
        assert isinstance(reply, Reply)
        assert reply.message.number(m.LEASE_TIME) == given
    (*_, reply) = Server(Config([Range(ip("10.0.0.5"), ip("10.0.0.9"), FOREVER)], ping=False)).receive(
        ask(m.DISCOVER), ETH0, 0
    )
    assert isinstance(reply, Reply)
    assert m.T1 not in reply.message.options


def test_an_address_is_pinged_before_it_is_offered_and_another_taken_if_somebody_answers() -> None:
    it = server()
    it.config.ping = True
    msg = ask(m.DISCOVER)
    (first,) = it.receive(msg, ETH0, 0)
    assert first == Probe(place_of(MAC))
    (second,) = it.probed(msg, ETH0, first.address, True, 1)
    assert isinstance(second, Probe)
    assert second.address != first.address
    log, _, reply = it.probed(msg, ETH0, second.address, False, 4)
    assert isinstance(log, Log)
    assert isinstance(reply, Reply)
    assert reply.message.yiaddr == second.address
    assert isinstance(it.receive(msg, ETH0, 34)[0], Probe)  # what was found is believed for 30 s


def test_a_network_without_a_range() -> None:
    far = replace(ask(m.DISCOVER), giaddr=ip("10.7.0.1"))
    assert server().receive(far, ETH0, 0) == [Log("no address range available for DHCP request via 10.7.0.1")]


# -- the client -------------------------------------------------------------------------------------------------------


def offer(kind: int, client: Client, address: str = "10.0.0.101", seconds: int = 1000) -> Message:
    options = {m.TYPE: bytes((kind,)), m.SERVER_ID: ip("10.0.0.1").to_bytes(4, "big"),
               m.LEASE_TIME: seconds.to_bytes(4, "big")}  # fmt: skip
    return Message(2, client.xid, MAC, options, yiaddr=ip(address))


def bound(**options: object) -> Client:
    client = Client(MAC, Options(**options), 5)  # type: ignore[arg-type]
    client.start(0)
    client.receive(offer(m.OFFER, client), 0)
    client.receive(offer(m.ACK, client), 0)
    return client


def kinds(actions: object) -> list[str]:
    return [str(each.text) if isinstance(each, Say) else type(each).__name__ for each in actions]  # type: ignore[attr-defined]


def test_no_answer_fails_or_begins_again() -> None:
    for fail, last in ((True, ["Told", "no lease, failing", "Exit"]), (False, ["Told"])):
        client = Client(MAC, Options(fail=fail, retries=2, pause_s=3, again_s=20), 5)
        assert kinds(client.start(0)) == ["Deconfigured", "broadcasting discover", "Send"]
        assert client.due == 3 * SECOND
        assert kinds(client.wake(3 * SECOND)) == ["broadcasting discover", "Send"]
        assert kinds(client.wake(6 * SECOND)) == last
    before = client.xid
    assert client.due == 26 * SECOND
    client.wake(26 * SECOND)
    assert client.xid != before


def test_answers_for_somebody_else_are_nothing() -> None:
    client = Client(MAC, Options(), 5)
    client.start(0)
    good = offer(m.OFFER, client)
    for bad in (replace(good, xid=good.xid ^ 1), replace(good, chaddr=OTHER), replace(good, op=1),
                offer(m.ACK, client), replace(good, options={m.TYPE: b"\2"})):  # fmt: skip
        assert client.receive(bad, 0) == []
    assert kinds(client.receive(good, 0)) == ["broadcasting select for 10.0.0.101, server 10.0.0.1", "Send"]


def test_an_offer_without_an_acknowledgement_is_given_up() -> None:
    client = Client(MAC, Options(retries=2), 5)
    client.start(0)
    client.receive(offer(m.OFFER, client), 0)
    for second in (3, 6):
        assert kinds(client.wake(second * SECOND))[1:] == ["Send"]
    assert kinds(client.wake(9 * SECOND)) == ["Told"]
    assert kinds(client.wake(29 * SECOND)) == ["broadcasting discover", "Send"]


def test_a_refusal_is_waited_out_and_takes_the_address_away() -> None:
    client = bound()
    client.wake(500 * SECOND)
    nak = offer(m.NAK, client)
    other = replace(nak, options={**nak.options, m.SERVER_ID: b"\x0a\0\0\2"})
    assert client.receive(other, 500 * SECOND) == []
    assert kinds(client.receive(nak, 500 * SECOND)) == ["received DHCP NAK", "Told", "Deconfigured"]
    assert client.due == 503 * SECOND
    assert kinds(client.wake(503 * SECOND)) == ["broadcasting discover", "Send"]


def test_leaving_after_a_lease_and_giving_it_back() -> None:
    client = Client(MAC, Options(quit=True), 5)
    client.start(0)
    client.receive(offer(m.OFFER, client), 0)
    assert client.receive(offer(m.ACK, client), 0)[-1] == Exit(0)
    client = bound()
    actions = client.release(0)
    sent = next(each for each in actions if isinstance(each, Send))
    assert (sent.message.type, sent.message.ciaddr, sent.dst) == (m.RELEASE, ip("10.0.0.101"), ip("10.0.0.1"))
    assert Deconfigured() in actions
    assert kinds(client.release(0)) == ["entering released state", "Deconfigured"]


# -- the programs in a lab --------------------------------------------------------------------------------------------

NETWORK = """
ip netns add srv; ip netns add c1
ip link add eth0 netns srv type veth peer name eth0 netns c1 address 02:00:00:00:00:11
for n in srv c1; do ip -n $n link set eth0 up; done
ip -n srv address add 10.0.0.1/24 dev eth0
"""
SERVE = "ip netns exec srv dnsmasq --port=0 --no-ping -i eth0 -F 10.0.0.100,10.0.0.150,1h"


def lab_after(text: str) -> tuple[Lab, str]:
    lab = Lab(seed=1)
    done = lab.sh(NETWORK + text)
    return lab, done.stdout + done.stderr


def test_a_client_in_the_background_renews(tmp_path: Path) -> None:
    lab, text = lab_after(f"{SERVE}; sleep 2\nip netns exec c1 udhcpc -i eth0 && ip -n c1 -br -4 address show dev eth0")
    assert "eth0@if2         UP             10.0.0.110/24" in text
    with lab.capture("c1/eth0") as seen:
        lab.run(until=1810)
    assert [bytes(packet)[282 + 2] for packet in seen if is_dhcp(bytes(packet))] == [m.REQUEST, m.ACK]


def is_dhcp(octets: bytes) -> bool:
    from tests.dhcp.exchange import is_dhcp as ask

    return ask(octets)


def test_a_server_answers_in_a_copy_of_the_network_too() -> None:
    """`simvlan trace` of a discover: an offer comes back; nothing changes in the network itself."""
    lab, _ = lab_after(SERVE)
    before = lab.snapshot()
    copy = Lab()
    copy.restore(before)
    assert copy.command("udhcpc", "-n", "-q", netns="c1").exit == 0
    assert copy.ping("c1", "10.0.0.1")
    assert not lab.ping("c1", "10.0.0.1", 1, "-W", "1")


def test_the_walk_of_an_answer_that_an_ipvlan_never_hears() -> None:
    """To the parent's MAC, to an address nobody has yet: up to the host, which does not forward."""
    lab = Lab(seed=1)
    lab.sh(NETWORK + "ip netns add c2; ip -n c1 link add link eth0 name e1 netns c2 type ipvlan mode l2")
    lab.command("ip", "link", "set", "e1", "up", netns="c2")
    payload = m.Message(2, 1, MAC, {m.TYPE: b"\2"}, yiaddr=ip("10.0.0.110")).pack()
    data = b"\0\x43\0\x44" + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    from simvlan.frame import IPV4, Frame

    packet = build(ip("10.0.0.1"), ip("10.0.0.110"), UDP, data)
    srv = lab.network.device("srv/eth0").mac
    told = lab.trace("srv/eth0", Frame(int.from_bytes(MAC, "big"), srv, IPV4, packet))
    assert [(step.path, step.drop.name) for step in told.drops if step.drop] == [("c1/eth0", "IP_INADDRERRORS")]
    told = lab.trace("srv/eth0", Frame(2**48 - 1, srv, IPV4, build(ip("10.0.0.1"), 2**32 - 1, UDP, data)))
    assert "c2/e1" in {step.path for step in told if step.way == "up"}


@pytest.mark.parametrize(
    ("kind", "flags", "ends"),
    [
        ("macvlan mode bridge", 0, "c2/e1"),  # a client's packet socket takes it, whatever the stack says
        ("ipvlan mode l2", 0, "c1/eth0"),
        ("ipvlan mode l2", m.BROADCAST_FLAG, "c2/e1"),
    ],
)
def test_a_traced_discover_is_followed_to_the_offer(kind: str, flags: int, ends: str) -> None:
    """The frame wakes the server: what that sends then is an answer to it, and its drop has a remedy that helps."""
    made = f"ip netns add c2; ip -n c1 link add link eth0 name e1 netns c2 type {kind}"
    lab, _ = lab_after(f"{SERVE}; sleep 2\n{made}")
    lab.command("ip", "link", "set", "e1", "up", netns="c2")
    mac = lab.network.device("c2/e1").mac
    payload = m.Message(1, 1, mac.to_bytes(6, "big"), {m.TYPE: b"\1"}, flags=flags).pack()
    data = b"\0\x44\0\x43" + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    from simvlan.frame import IPV4, Frame

    walk = lab.trace("c2/e1", Frame(2**48 - 1, mac, IPV4, build(0, 2**32 - 1, UDP, data)))
    offers = [step for step in walk if step.frame.payload[20:24] == b"\0\x43\0\x44"]
    assert offers[0].path == "srv/eth0"
    assert ends in {step.path for step in offers if step.way == "up"}
    helped = [walk.remedy(step) for step in walk.drops if step in offers and step.path == "c1/eth0"]
    assert any("udhcpc -B" in remedy for remedy in helped) == (ends == "c1/eth0")
    assert ("remedy: no slave of the ipvlan has the offered address" in walk.to_text()) == (ends == "c1/eth0")


def test_udhcpc_s_long_options_are_its_short_ones() -> None:
    """As busybox 1.35 has them; what begins like one is that one."""
    lab, _ = lab_after(SERVE)
    words = ("--interface", "eth0", "--now", "--quit", "--foregr", "--request=10.0.0.110")
    done = lab.command("udhcpc", *words, netns="c1")
    assert "lease of 10.0.0.110 obtained" in done.stdout + done.stderr, done


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("udhcpc -i eth9", "SIOCGIFINDEX: No such device"),
        ("udhcpc -F name", "udhcpc -F: DNS updates are not modelled"),
        ("udhcpc -s /tmp/own.sh", "/tmp/own.sh is run in scripts of `simvlan run`, not by itself"),
        ("dhclient -sf /tmp/own.sh eth0", "/tmp/own.sh is run in scripts of `simvlan run`, not by itself"),
        ("udhcpc -r 10.0.0.300", "bad address '10.0.0.300'"),
        ("udhcpc -x nosuch:1", "unknown option 'nosuch'"),
        ("udhcpc -x 61:xx", "hex digits are expected"),
        ("udhcpc -t x", "invalid number 'x'"),
        ("udhcpc -Q", "invalid option -- 'Q'"),
        ("udhcpc --client-id=1", "unrecognized option '--client-id=1'"),
        ("udhcpc --interface=eth9 --now", "SIOCGIFINDEX: No such device"),
        ("udhcpc --retries=x", "invalid number 'x'"),
        ("udhcpc --re", "option '--re' is ambiguous"),
        ("udhcpc --now=1", "option '--now' doesn't allow an argument"),
        ("dnsmasq -d -z -i eth9", "unknown interface eth9"),
        ("dnsmasq -d --dhcp-boot=x", "simvlan does not model --dhcp-boot"),
        ("dnsmasq -d --dhcp-range=10.0.0.1", "bad command line options: bad dhcp-range\n"),
        ("dnsmasq -d --dhcp-range=10.0.0.9,10.1.0.1,255.255.255.0", "inconsistent DHCP range"),
        ("dnsmasq -d --dhcp-range=::1,::2", "DHCPv6 is not modelled; there are ra-only and slaac"),
        ("dnsmasq -d --dhcp-range=set:x,set:y,10.0.0.1,10.0.0.2", "only one tag allowed"),
        ("dnsmasq -d --dhcp-range=interface:x,10.0.0.1,10.0.0.2", "interface:x is not modelled"),
        ("dnsmasq -d --dhcp-range=10.0.0.0,proxy", "proxy is not modelled"),
        ("dnsmasq -d --dhcp-host=02:00:00:00:00:01,[2001:db8::1]", "addresses of IPv6 are not modelled"),
        ("dnsmasq -d --dhcp-option=vendor:PXEClient,6,2", "vendor:PXEClient is not modelled"),
        ("dnsmasq -d --dhcp-match=set:x,vi-encap:1,2", "vi-encap:1 is not modelled"),
        ("dnsmasq -d --dhcp-mac=set:x", "bad dhcp-mac"),
        ("dnsmasq -d --tag-if=tag:x", "bad tag-if"),
        ("dnsmasq -d --dhcp-script=x", "simvlan does not model --dhcp-script"),
        ("dnsmasq -d -6 x", "simvlan does not model --dhcp-script"),
        ("dnsmasq -d --dhcp-option=option:nosuch,1", "there are numbers and router"),
        ("dnsmasq -d junk", "junk found in command line"),
        ("dhcrelay -d -id eth9 10.0.0.1", "no interface eth9"),
        ("dhcrelay -d", "No servers specified"),
        ("dhcrelay -d -D 10.0.0.1", "-D is not modelled"),
        ("dhcpcd eth0", "use `udhcpc`"),
        ("dhclient -cf f eth0", "dhclient -cf is not built; it behaves as with -cf /dev/null"),
        ("dhclient -6 eth0", "dhclient -6 is not built"),
        ("dhclient --nosuch", "Unknown command: --nosuch"),
        ("dhclient -v eth7", "Failed to get interface index: No such device"),
    ],
)
def test_what_is_refused(command: str, said: str) -> None:
    lab = Lab()
    lab.command("ip", "link", "add", "eth0", "type", "dummy")
    done = lab.command(*command.split())
    assert said in done.stderr
    assert done.exit


def test_values_of_a_command_line() -> None:
    line = "-F 10.0.0.5,static --dhcp-range=10.1.0.5,10.1.0.9,255.255.0.0,infinite -G id:*x,nas,45m -O 26,1400"
    line += " -O option:ntp-server,10.0.0.3,10.0.0.4 --dhcp-option-force=58,60"
    asked = read(line.split())
    first, second = asked.dhcp.ranges
    assert (first.static, second.mask, second.lease_s) == (True, 0xFFFF_0000, FOREVER)
    assert asked.dhcp.reservations == [Reservation(client=b"*x", name="nas", lease_s=2700)]
    assert asked.dhcp.options == [
        Option(26, b"\x05\x78"),
        Option(42, b"\x0a\0\0\3\x0a\0\0\4", addresses=True),
        Option(58, (60).to_bytes(4, "big"), forced=True),
    ]
    with pytest.raises(Refused):
        read(["--dhcp-range=10.0.0.1,10.0.0.2,forever"])


def test_a_relay_asks_the_servers_of_the_network_that_it_was_asked_from() -> None:
    """One --dhcp-relay for each network with clients: each request goes on once (relay_upstream4)."""
    lab = Lab(seed=1)
    lab.sh(r"""
        for n in srv r c1 c2; do ip netns add $n; ip -n $n link set lo up; done
        ip link add eth0 netns srv type veth peer name u0 netns r
        for n in 2 3; do ip -n srv addr add 192.0.2.$n/24 dev eth0; done; ip -n r addr add 192.0.2.1/24 dev u0
        ip -n srv link set eth0 up; ip -n r link set u0 up; ip -n srv route add default via 192.0.2.1
        for c in 1 2; do
            ip link add eth0 netns c$c type veth peer name d$c netns r
            ip -n r addr add 10.0.$c.1/24 dev d$c; ip -n r link set d$c up; ip -n c$c link set eth0 up
        done
        sleep 1
        ip netns exec r dnsmasq --port=0 --dhcp-relay=10.0.1.1,192.0.2.2 \
            --dhcp-relay=10.0.2.1,192.0.2.3 --dhcp-relay=10.0.2.1,192.0.2.2
    """)
    with lab.capture("r/u0") as seen:
        lab.sh("for c in 1 2; do ip netns exec c$c udhcpc -i eth0 -n -q -t 1 -T 1; done")
    sent = [bytes(each) for each in seen if bytes(each)[23:24] == b"\x11"]
    ways = [(IPv4Address(each[26:30]), IPv4Address(each[30:34])) for each in sent]
    assert [(str(src), str(dst)) for src, dst in ways] == [
        ("10.0.1.1", "192.0.2.2"), ("10.0.2.1", "192.0.2.3"), ("10.0.2.1", "192.0.2.2")
    ]  # fmt: skip
