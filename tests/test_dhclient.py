"""dhclient: the lines and messages that ISC's dhclient 4.4.3-P1 wrote against dnsmasq 2.90 on Linux."""

from __future__ import annotations

import re

import pytest
from scapy.layers.dhcp import DHCP

from simvlan.dhcp import message as m
from simvlan.dhcp.client import Say
from simvlan.dhcp.isc import IscClient
from simvlan.lab import Lab

NETWORK = """
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 address 02:00:00:00:00:11 netns a type veth peer name eth0 address 02:00:00:00:00:12 netns b
ip -n b addr add 10.9.0.1/24 dev eth0; ip -n b link set eth0 up; ip -n a link set eth0 up
"""
RANGE = "10.9.0.50,10.9.0.60,255.255.255.0,2m"
SERVER = f"ip netns exec b dnsmasq -k -p 0 --dhcp-authoritative -F {RANGE} --no-ping 2> /dev/null &\n"
START = NETWORK + SERVER + "server=$!; sleep 2; D='ip netns exec a dhclient'\n"
HEAD = """\
Internet Systems Consortium DHCP Client 4.4.3-P1
Copyright 2004-2022 Internet Systems Consortium.
All rights reserved.
For info, please visit https://www.isc.org/software/dhcp/

Listening on LPF/eth0/02:00:00:00:00:11
Sending on   LPF/eth0/02:00:00:00:00:11
Sending on   Socket/fallback
"""
FIRST = f"""\
{HEAD}DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval N
DHCPOFFER of 10.9.0.60 from 10.9.0.1
DHCPREQUEST for 10.9.0.60 on eth0 to 255.255.255.255 port 67
DHCPACK of 10.9.0.60 from 10.9.0.1
bound to 10.9.0.60 -- renewal in N seconds.
"""
AGAIN = f"""\
{HEAD}DHCPREQUEST for 10.9.0.60 on eth0 to 255.255.255.255 port 67
DHCPACK of 10.9.0.60 from 10.9.0.1
bound to 10.9.0.60 -- renewal in N seconds.
"""
RELEASE = f"Killed old client process\n{HEAD}DHCPRELEASE of 10.9.0.60 on eth0 to 10.9.0.1 port 67\n"


def said(script: str) -> str:
    out = Lab().sh(START + script + "\nkill $server").stdout
    return re.sub(r"(interval|renewal in) \d+", r"\1 N", out)


def test_a_lease_its_reuse_and_its_end() -> None:
    assert said("$D -v eth0 2>&1; echo $?") == f"{FIRST}0\n"
    again = said("$D eth0 2>&1; $D -x eth0 2>&1; $D -1 -v eth0 2>&1; echo $?")
    assert again == f"Killed old client process\n{AGAIN}0\n"
    assert said("$D eth0 2>&1; $D -r -v eth0 2>&1; echo $?") == f"{RELEASE}0\n"
    assert said("$D eth0; ip -n a -4 -o addr show eth0 | grep -o 'inet [^ ]* brd [^ ]*'; ip -n a route | head -1") == (
        "inet 10.9.0.60/24 brd 10.9.0.255\ndefault via 10.9.0.1 dev eth0 \n"
    )


def test_it_renews_in_the_background_and_loses_what_nobody_renews() -> None:
    held = "ip -n a -4 -o addr show eth0 | grep -c inet"
    # Between renewals no less than half of the two minutes is left.
    assert said(f"$D eth0; sleep 600; {held}; kill $server; sleep 55; {held}; sleep 70; {held}; true") == "1\n1\n0\n"


def test_nobody_answers() -> None:
    out = Lab().sh(NETWORK + "ip netns exec a dhclient -1 -v eth0 2>&1; echo $?").stdout
    discover = re.findall(r"^DHCPDISCOVER on eth0 to 255\.255\.255\.255 port 67 interval (\d+)$", out, re.M)
    assert sum(map(int, discover)) == 301  # the timeout, and a second
    assert 3 <= int(discover[0]) <= 8
    assert out.endswith("No DHCPOFFERS received.\nUnable to obtain a lease on first try.  Exiting.\n2\n")


def test_messages_are_dhclient_s() -> None:
    lab = Lab()
    lab.sh(NETWORK)
    with lab.capture("a/eth0") as packets:
        lab.sh(SERVER + "server=$!; sleep 2; D='ip netns exec a dhclient'\n$D eth0; $D -r eth0; $D eth0; kill $server")
    sent = [p for p in packets if DHCP in p and p["UDP"].sport == 68]
    wanted = ("param_req_list", [1, 28, 2, 3, 15, 6, 12])
    here, there = ("requested_addr", "10.9.0.60"), ("server_id", "10.9.0.1")
    assert [[option for option in p[DHCP].options if option not in ("end", "pad")] for p in sent] == [
        [("message-type", 1), wanted],
        [("message-type", 3), there, here, wanted],
        [("message-type", 7), there],
        [("message-type", 1), here, wanted],
        [("message-type", 3), there, here, wanted],
    ]
    assert [(p["IP"].tos, p["IP"].ttl, len(p["UDP"].payload)) for p in sent] == [
        (16, 128, 300), (16, 128, 300), (0, 64, 300), (16, 128, 300), (16, 128, 300)
    ]  # fmt: skip


@pytest.mark.parametrize("drawn", [0, 0.99])
def test_a_renewal_is_drawn_before_t1(drawn: float) -> None:
    """Between three quarters of T1 and T1 (dhclient.c, bind_lease)."""
    client = IscClient(b"\2\0\0\0\0\1", 1, "eth0", lambda below: int(drawn * below))
    client.start(0)
    server = {m.SERVER_ID: bytes((10, 0, 0, 1)), m.LEASE_TIME: (120).to_bytes(4, "big")}
    for kind in (m.OFFER, m.ACK):
        client.receive(m.Message(2, client.xid, client.mac, {m.TYPE: bytes((kind,)), **server}, yiaddr=0x0A000009), 0)
    assert client.holds
    assert client.due == (45 + int(drawn * 15)) * 1_000_000_000


def test_another_s_transaction_and_a_refusal() -> None:
    client = IscClient(b"\2\0\0\0\0\1", 1, "eth0", lambda below: 0)
    client.remember(0x0A000009, 10**12)
    client.start(0)
    refusal = {m.TYPE: bytes((m.NAK,)), m.SERVER_ID: bytes((10, 0, 0, 1))}
    assert client.receive(m.Message(2, client.xid + 1, client.mac, refusal), 0) == []
    done = client.receive(m.Message(2, client.xid, client.mac, refusal), 0)
    texts = [each.text for each in done if isinstance(each, Say)]
    assert texts == ["DHCPNAK from 10.0.0.1", "DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval 3"]
