"""tcpdump against the real one: the same frames printed and filtered by both; lines recorded from tcpdump 4.99.3."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scapy.contrib.igmp import IGMP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.l2 import ARP, LLC, STP, Dot1Q, Dot3, Ether
from scapy.packet import Raw

from simvlan.capture import file_header, read_pcap, record
from simvlan.devices.veth import Veth, join
from simvlan.engines.events import EventClock
from simvlan.frame import Frame
from simvlan.network import Network
from simvlan.tools.program import call
from simvlan.tools.tcpdump_filter import FilterError, compile_filter
from simvlan.tools.tcpdump_print import Style, dump, print_frame
from simvlan.tools.tcpdump_view import View

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
E = Ether(src=A, dst=B)
I = IP(src="192.0.2.1", dst="192.0.2.2", id=7)  # noqa: E741
QUOTED = IP(src="192.0.2.1", dst="198.51.100.9", id=3, ttl=2) / UDP(sport=4000, dport=33434) / Raw(b"x" * 12)

CORPUS = [
    Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=A, psrc="192.0.2.1", pdst="192.0.2.2"),
    E / ARP(op=2, hwsrc=A, psrc="192.0.2.1", hwdst=B, pdst="192.0.2.2") / Raw(bytes(18)),
    E / ARP(op=1, hwsrc=A, psrc="192.0.2.1", hwdst=B, pdst="192.0.2.2"),
    E / I / ICMP(type=8, id=5, seq=1) / Raw(b"q" * 56),
    E / I / ICMP(type=0, id=5, seq=1) / Raw(b"q" * 56),
    E / I / ICMP(type=8, id=5, seq=1, chksum=0x1234) / Raw(b"q" * 56),
    E / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", id=9) / ICMP(id=5, seq=2) / Raw(b"q" * 1472),
    E / IP(src="192.0.2.1", dst="192.0.2.2", frag=185, id=9, proto=1) / Raw(b"q" * 100),
    E / IP(src="192.0.2.1", dst="192.0.2.2", frag=185, flags="MF", id=9, proto=17) / Raw(b"q" * 104),
    E / IP(src="192.0.2.1", dst="192.0.2.2", tos=0x11, flags="DF", ttl=1, chksum=0x1111) / ICMP(id=1, seq=1),
    *[E / I / ICMP(type=3, code=code, nexthopmtu=1400 if code == 4 else 0) / QUOTED for code in range(16)],
    *[E / I / ICMP(type=11, code=code) / QUOTED for code in range(2)],
    *[E / I / ICMP(type=5, code=code, gw="192.0.2.254") / QUOTED for code in range(4)],
    E / I / ICMP(type=42) / Raw(b"abcd"),
    E / I / UDP(sport=4000, dport=5000) / Raw(b"hello"),
    E / I / UDP(sport=4000, dport=5000, chksum=0x1234) / Raw(b"hello"),
    E / I / UDP(sport=4000, dport=5000, chksum=0) / Raw(b"hello"),
    E / I / UDP(sport=4000, dport=5000, len=400) / Raw(b"hello"),
    E / I / TCP(sport=4000, dport=81, flags="S", seq=1000, options=[("MSS", 1460), ("NOP", None), ("WScale", 7)]),
    Ether(src=B, dst=A) / IP(src="192.0.2.2", dst="192.0.2.1") / TCP(sport=81, dport=4000, flags="SA", seq=5, ack=1001),
    E / I / TCP(sport=4000, dport=81, flags="A", seq=1001, ack=6),
    E / I / TCP(sport=4000, dport=81, flags="PA", seq=1001, ack=6) / Raw(b"12345"),
    Ether(src=B, dst=A) / IP(src="192.0.2.2", dst="192.0.2.1") / TCP(sport=81, dport=4000, flags="FA", seq=6, ack=1006),
    E / I / TCP(sport=4000, dport=81, flags="R", seq=1006),
    Ether(src=A, dst="01:00:5e:00:00:16")
    / IP(src="192.0.2.1", dst="224.0.0.22", ttl=1, proto=2, options=[IPOption_Router_Alert()])
    / Raw(bytes.fromhex("2200fafd0000000104000000ef010101")),
    Ether(src=A, dst="01:00:5e:01:01:01")
    / IP(src="192.0.2.1", dst="239.1.1.1", ttl=1)
    / IGMP(type=0x16, gaddr="239.1.1.1"),
    Ether(src=A, dst="01:00:5e:00:00:01") / IP(src="192.0.2.1", dst="224.0.0.1", ttl=1) / IGMP(type=0x11, mrcode=100),
    Ether(src=A, dst="01:00:5e:00:00:02")
    / IP(src="192.0.2.1", dst="224.0.0.2", ttl=1)
    / IGMP(type=0x17, gaddr="239.1.1.1"),
    E / Dot1Q(vlan=100) / I / ICMP(id=1, seq=1),
    E / Dot1Q(vlan=100, prio=5, id=1) / ARP(op=1, hwsrc=A, psrc="192.0.2.1", pdst="192.0.2.2"),
    Ether(src=A, dst=B, type=0x88A8) / Dot1Q(vlan=10) / Dot1Q(vlan=20) / I / ICMP(id=1, seq=1),
    E / Dot1Q(vlan=5, type=0x88B5) / Raw(bytes(range(42))),
    Ether(src=A, dst=B, type=0x88B5) / Raw(bytes(range(46))),
    Ether(src=A, dst=B, type=0x88B5),
    Dot3(src=A, dst="01:80:c2:00:00:00")
    / LLC()
    / STP(rootid=32768, rootmac=A, bridgeid=32768, bridgemac=B, portid=0x8001, pathcost=4, bpduflags=1, age=1)
    / Raw(bytes(8)),
    Ether(src=A, dst=B, type=0x0800) / Raw(b"\x45"),
    Ether(src=A, dst=B, type=0x0806) / Raw(b"\0\1\x08\0"),
    Ether(src=A, dst=B, type=0x8100) / Raw(b"\0\5"),
    E / IP(src="192.0.2.1", dst="192.0.2.2", len=200) / ICMP(id=1, seq=1) / Raw(b"abc"),
    Ether(src=A, dst=B, type=0x0800) / Raw(b"\x44" + bytes(30)),
    Ether(src=A, dst=B, type=0x0800) / Raw(b"\x65" + bytes(30)),
]

FILTERS = """arp|icmp|udp|tcp|ip|ip6|igmp|vlan|vlan 100|vlan 10 and vlan 20|vlan and arp|vlan 100 and host 192.0.2.1
host 192.0.2.1|src host 192.0.2.2|dst 192.0.2.2|src 192.0.2.1 and dst 192.0.2.2
host 192.0.2.9 or 192.0.2.2|arp host 192.0.2.1
net 192.0.2.0/24|net 224|dst net 224.0.0.0/4|src and dst host 192.0.2.1|port 81|udp port 5000 or 81|portrange 80-90
src port 4000|ether host 02:00:00:00:00:01|ether dst ff:ff:ff:ff:ff:ff|broadcast|multicast|ip multicast
ether proto 0x88b5
ip proto 2|not arp and not icmp|not (arp or icmp)|arp or icmp and host 192.0.2.2|icmp[0] == 8|icmp[icmptype] = icmp-echo
tcp[tcpflags] & tcp-syn != 0|ip[8] < 5|ip[6:2] & 0x1fff != 0|ether[0] & 1 = 1|less 60|greater 100|icmp && host 192.0.2.1
host|foo|and|host 192.0.2.1 port|tcp host|arp port 5|vlan 5000|(arp|host 300.1.1.1|net 192.0.2.1/8|ether host foo|icmp[
port 99999|ether port 5|icmp host 192.0.2.1|less|dst arp|vlan arp|host nowhere|port nowhere""".replace("\n", "|").split(
    "|"
)

real = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tcpdump") / "corpus.pcap"
    path.write_bytes(file_header() + b"".join(record(0, bytes(frame)) for frame in CORPUS))
    return path


@real
@pytest.mark.parametrize(
    "options", ["", "-n", "-n -e", "-e", "-n -v", "-n -e -vv", "-n -q", "-e -q", "-n -xx", "-n -X -e"]
)
def test_prints_what_the_real_one_prints(corpus: Path, options: str) -> None:
    words = options.split()
    command = ["tcpdump", "-t", *words, "-r", str(corpus)]
    want = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    hexdump = next((w[1:] for w in words if w in ("-x", "-xx", "-X", "-XX")), "")
    verbose = 2 if "-vv" in words else int("-v" in words)
    style = Style("-n" in words, "-e" in words, verbose, "-q" in words, time=1, hexdump=hexdump)
    octets = [o for _, o in read_pcap(corpus)]
    whole = len(octets) if hexdump != "X" else len(octets) - 6  # of a cut frame -X shows the link header too
    ours = [print_frame(o, style) + dump(o, style) for o in octets]
    assert ours[:whole] == _records(want)[:whole]


def _records(text: str) -> list[str]:
    """Join the lines that belong to one frame."""
    records: list[str] = []
    for line in text.splitlines():
        if line.startswith(("\t", "    ")):
            records[-1] += f"\n{line}"
        else:
            records.append(line)
    return records


@real
@pytest.mark.parametrize("expression", FILTERS)
def test_filters_as_the_real_one_does(corpus: Path, tmp_path: Path, expression: str) -> None:
    command = ["tcpdump", "-r", str(corpus), "-w", str(tmp_path / "out.pcap"), *expression.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        test = compile_filter(expression)
    except FilterError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"tcpdump: {refused}")
        return
    assert done.returncode == 0, done.stderr
    assert test is not None
    chosen = Counter(o for _, o in read_pcap(corpus) if test(View(Frame.parse(o), False)))
    assert chosen == Counter(o for _, o in read_pcap(tmp_path / "out.pcap"))


def test_a_tag_beside_the_frame_is_seen_only_by_vlan() -> None:
    """The kernel's filter machine reads octets without the accelerated tag, and the tag through SKF_AD_VLAN_TAG."""
    frame = Frame.parse(bytes(E / Dot1Q(vlan=100) / I / ICMP())).pop_inband()
    assert frame is not None
    answers = {
        text: compile_filter(text)(View(frame, False)) for text in ("icmp", "vlan", "vlan 100 and icmp", "vlan 99")
    }  # type: ignore[misc]
    assert answers == {"icmp": True, "vlan": True, "vlan 100 and icmp": True, "vlan 99": False}


def test_lines_recorded_from_tcpdump_4_99() -> None:
    style = Style(numeric=True, link=True)
    tagged = bytes(E / Dot1Q(vlan=100) / I / ICMP(id=1, seq=1))
    assert print_frame(tagged, style) == (
        "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 46: vlan 100, p 0, "
        "ethertype IPv4 (0x0800), 192.0.2.1 > 192.0.2.2: ICMP echo request, id 1, seq 1, length 8"
    )


# -- the program ----------------------------------------------------------------------------------------------------


class FakeLab(SimpleNamespace):
    """A lab with two namespaces a and b and a veth between them."""

    def __init__(self) -> None:
        clock = EventClock()
        net = Network(clock)
        ends = [Veth("eth0", net.add_netns(name), 0x020000000000 + i) for i, name in ((1, "a"), (2, "b"))]
        join(*ends)
        for dev in ends:
            net.register(dev, dev.netns)
            net.set_up(dev)
        super().__init__(env=clock.env, clock=clock, network=net)

    def step(self) -> bool:
        return self.clock.step()

    def later(self, octets: bytes, at: int, path: str = "a/eth0") -> None:
        def send() -> Any:
            return self.network.send(self.network.device(path), Frame.parse(octets))

        self.network.at(at, send)


ECHO = bytes(E / I / ICMP(type=8, id=5, seq=1))


def test_counts_prints_and_goes_promiscuous_while_it_listens() -> None:
    lab = FakeLab()
    lab.later(ECHO, 1_500_000_000)
    lab.later(bytes(E / ARP(hwsrc=A, psrc="192.0.2.1", pdst="192.0.2.2")), 2_000_000_000)
    seen: list[bool] = []
    lab.network.at(1_000_000_000, lambda: seen.append(lab.network.device("b/eth0").promisc))
    done = call(lab, ["tcpdump", "-ni", "eth0", "-c", "1", "arp"], netns="b")
    assert done.out == "00:00:02.000000 ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 28\n"
    assert done.err == (
        "tcpdump: verbose output suppressed, use -v[v]... for full protocol decode\n"
        "listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n"
        "1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n"
    )
    assert (done.status, seen, lab.network.device("b/eth0").promisc) == (0, [True], False)


def test_without_promiscuous_mode_and_one_direction_only() -> None:
    lab = FakeLab()
    lab.later(ECHO, 1, "b/eth0")
    lab.later(ECHO, 2)
    seen: list[bool] = []
    lab.network.at(1, lambda: seen.append(lab.network.device("b/eth0").promisc))
    done = call(lab, ["tcpdump", "-i", "eth0", "-pntttc1", "-Q", "in"], netns="b")
    assert (seen, done.status) == ([False], 0)
    assert done.out == " 00:00:00.000000 IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 5, seq 1, length 8\n"


def test_any_names_devices_and_directions() -> None:
    """Lines recorded on a real kernel with `tcpdump -i any -n -e`: interface index, source, SLL2 length."""
    lab = FakeLab()
    lab.later(ECHO, 1)
    lab.later(ECHO, 2, "b/eth0")
    done = call(lab, ["tcpdump", "-i", "any", "-ntec2"], netns="b")
    assert done.out == (
        "eth0  In  ifindex 2 02:00:00:00:00:01 ethertype IPv4 (0x0800), length 48: "
        "192.0.2.1 > 192.0.2.2: ICMP echo request, id 5, seq 1, length 8\n"
        "eth0  Out ifindex 2 02:00:00:00:00:01 ethertype IPv4 (0x0800), length 48: "
        "192.0.2.1 > 192.0.2.2: ICMP echo request, id 5, seq 1, length 8\n"
    )


def test_writes_a_pcap(tmp_path: Path) -> None:
    lab = FakeLab()
    lab.later(ECHO, 1_234_567_890)
    done = call(lab, ["tcpdump", "-i", "eth0", "-c", "1", "-w", "out.pcap"], netns="b", cwd=str(tmp_path))
    assert done.err.startswith(
        "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n"
    )
    assert read_pcap(tmp_path / "out.pcap") == [(1_234_567_000, ECHO)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-i nope", "tcpdump: nope: No such device exists\n(No such device exists)\n"),
        ("-i lo", "tcpdump: lo: That device is not up\n"),
        ("-i eth0 -c x", "tcpdump: invalid packet count x\n"),
        ("-i eth0 -Q foo", "tcpdump: unknown capture direction `foo'\n"),
        ("-i eth0 host", "tcpdump: can't parse filter expression: syntax error\n"),
    ],
)
def test_refusals(words: str, text: str) -> None:
    done = call(FakeLab(), ["tcpdump", *words.split()], netns="b")
    assert (done.status, done.err) == (1, text)
