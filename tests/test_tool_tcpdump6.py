"""tcpdump of IPv6 against the real one: the same frames printed by both, at every verbosity."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.layers import inet6 as s
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from simvlan.capture import file_header, read_pcap, record
from simvlan.frame import Frame
from simvlan.tools.tcpdump_filter import FilterError, compile_filter
from simvlan.tools.tcpdump_print import Style, print_frame
from simvlan.tools.tcpdump_view import View

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
E = Ether(src=A, dst=B)
I = s.IPv6(src="fe80::1", dst="2001:db8::2")  # noqa: E741
LOST = s.IPv6(src="2001:db8::1", dst="2001:db8::9", fl=5)
SLLA = s.ICMPv6NDOptSrcLLAddr(lladdr=A)
TLLA = s.ICMPv6NDOptDstLLAddr(lladdr=B)
MLD = s.IPv6(src="fe80::1", dst="ff02::16", hlim=1) / s.IPv6ExtHdrHopByHop(options=[s.RouterAlert()])


def records(*rows: tuple[int, str, list[str]]) -> s.ICMPv6MLReport2:
    return s.ICMPv6MLReport2(records=[s.ICMPv6MLDMultAddrRec(rtype=k, dst=g, sources=who) for k, g, who in rows])


CORPUS = [
    E / I / s.ICMPv6EchoRequest(id=5, seq=1, data=b"q" * 56),
    E / s.IPv6(src="fe80::1", dst="ff02::1", tc=0xB8, fl=0x12345, hlim=1) / s.ICMPv6EchoReply(id=5, seq=65535),
    E / I / s.ICMPv6EchoRequest(cksum=0x1234),
    E / Dot1Q(vlan=5) / I / s.ICMPv6EchoRequest(id=1, seq=1),
    *[E / I / s.ICMPv6DestUnreach(code=code) / LOST / UDP(dport=33434) / Raw(b"x" * 12) for code in range(5)],
    E / I / s.ICMPv6DestUnreach(code=4) / LOST / TCP(sport=4000, dport=81),
    E / I / s.ICMPv6DestUnreach(code=4) / LOST / s.IPv6ExtHdrDestOpt() / UDP(dport=9),
    E / I / s.ICMPv6PacketTooBig(mtu=1280) / LOST / UDP(),
    *[E / I / s.ICMPv6TimeExceeded(code=code) / LOST / UDP() for code in range(3)],
    *[E / I / s.ICMPv6ParamProblem(code=code, ptr=40) / LOST / UDP() for code in range(5)],
    E / I / s.ICMPv6ND_RS() / SLLA,
    E / I / s.ICMPv6ND_RS(),
    E / I / s.ICMPv6ND_RA(M=1, O=1, routerlifetime=1800, reachabletime=30000, retranstimer=1000, prf=1) / SLLA
    / s.ICMPv6NDOptMTU(mtu=1400) / s.ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
    / s.ICMPv6NDOptRDNSS(dns=["2001:db8::53", "2001:db8::54"], lifetime=600)
    / s.ICMPv6NDOptRouteInfo(prefix="2001:db8:5::", plen=48, len=2, rtlifetime=60),
    E / I / s.ICMPv6ND_RA(routerlifetime=0, chlim=0)
    / s.ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64, L=0, A=0, validlifetime=7200, preferredlifetime=0),
    E / I / s.ICMPv6ND_NS(tgt="2001:db8::2") / SLLA,
    E / s.IPv6(src="::", dst="ff02::1:ff00:2") / s.ICMPv6ND_NS(tgt="2001:db8::2")
    / s.ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce1"),
    *[E / I / s.ICMPv6ND_NA(tgt="2001:db8::2", R=r, S=f, O=o) / TLLA for r, f, o in ((1, 1, 1), (0, 1, 0), (0, 0, 0))],
    E / I / s.ICMPv6ND_Redirect(tgt="fe80::9", dst="2001:db8::2") / TLLA / s.ICMPv6NDOptRedirectedHdr(pkt=bytes(LOST)),
    E / MLD / records((4, "ff02::1:ff00:1", [])),
    E / MLD / records((3, "ff0e::1", []), (5, "ff0e::2", ["2001:db8::1", "2001:db8::2"]), (1, "ff0e::3", ["::1"])),
    E / MLD / s.ICMPv6MLReport(mladdr="ff0e::1"),
    E / MLD / s.ICMPv6MLDone(mladdr="ff0e::1"),
    E / MLD / s.ICMPv6MLQuery(mladdr="::", mrd=10000),
    E / MLD / s.ICMPv6MLQuery2(mladdr="::", mrd=10000, QRV=2, QQIC=125),
    E / MLD / s.ICMPv6MLQuery2(mladdr="ff0e::1", mrd=1000, S=1, QRV=0, QQIC=200, sources=["2001:db8::1"]),
    E / I / UDP(sport=4000, dport=5000) / Raw(b"hello"),
    E / I / UDP(sport=4000, dport=5000, chksum=0x1234) / Raw(b"hello"),
    E / I / TCP(sport=4000, dport=81, flags="S", seq=1000, options=[("MSS", 1440)]),
    E / I / TCP(sport=4000, dport=81, flags="PA", seq=1001, ack=6) / Raw(b"12345"),
    E / I / s.IPv6ExtHdrFragment(nh=58, offset=0, m=1, id=0x1234) / s.ICMPv6EchoRequest(id=5, seq=1, data=b"q" * 1232),
    E / I / s.IPv6ExtHdrFragment(nh=58, offset=155, m=0, id=0x1234) / Raw(b"q" * 100),
    E / I / s.IPv6ExtHdrDestOpt(options=[s.PadN(optdata=b"\0\0\0\0")]) / UDP(sport=4000, dport=5000) / Raw(b"hello"),
    E / s.IPv6(src="fe80::1", dst="2001:db8::2", nh=59),
    E / s.IPv6(src="fe80::1", dst="2001:db8::2", nh=200) / Raw(b"12345678"),
    E / s.IPv6(src="fe80::1", dst="2001:db8::2", nh=58) / Raw(bytes((250, 0, 0, 0, 1, 2, 3, 4, 5, 6))),
    E / s.IPv6(src="fe80::1", dst="2001:db8::2", plen=200) / s.ICMPv6EchoRequest(),
    Ether(src=A, dst=B, type=0x86DD) / Raw(b"\x60" + bytes(20)),
    Ether(src=A, dst=B, type=0x86DD) / Raw(b"\x45" + bytes(60)),
]  # fmt: skip


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("options", ["", "-n", "-n -e", "-n -v", "-n -e -vv", "-n -q"])
def test_prints_what_the_real_one_prints(tmp_path: Path, options: str) -> None:
    path, words = tmp_path / "corpus.pcap", options.split()
    path.write_bytes(file_header() + b"".join(record(0, bytes(frame)) for frame in CORPUS))
    command = ["tcpdump", "-t", *words, "-r", str(path)]
    want = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    verbose = 2 if "-vv" in words else int("-v" in words)
    style = Style("-n" in words, "-e" in words, verbose, "-q" in words, time=1)
    ours = "\n".join(print_frame(octets, style) for _, octets in read_pcap(path)) + "\n"
    assert ours.splitlines() == want.splitlines()


FILTERS = (
    "icmp6", "ip6", "not icmp6", "udp", "tcp", "ip6 host fe80::1", "host 2001:db8::2", "dst host ff02::16",
    "src fe80::1", "ip6 net fe80::/10", "net 2001:db8::/32", "net 2001:db8::5/32", "host fe80::zz",
    "ip6 host 10.0.0.1", "port 5000",
    "icmp6 and ip6[40] == 135", "vlan and icmp6",
)  # fmt: skip


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("expression", FILTERS)
def test_filters_as_the_real_one_does(tmp_path: Path, expression: str) -> None:
    path, out = tmp_path / "corpus.pcap", tmp_path / "out.pcap"
    path.write_bytes(file_header() + b"".join(record(0, bytes(frame)) for frame in CORPUS))
    command = ["tcpdump", "-r", str(path), "-w", str(out), *expression.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        with pytest.raises(FilterError):
            compile_filter(expression)
        return
    test = compile_filter(expression)
    passed = [
        octets for _, octets in read_pcap(path) if test is None or test(View(Frame.parse(octets), outgoing=False))
    ]
    assert passed == [octets for _, octets in read_pcap(out)]
