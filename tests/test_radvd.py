"""radvd: what the real one said of configurations and on links, recorded and met again; its rules one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from simvlan import Lab
from simvlan.frame import IPV6, Frame
from simvlan.radv import advert
from simvlan.radv.config import INFINITY, ConfigError, NotModelledError, Reader
from simvlan.stack.ipv6 import ndp, packet
from simvlan.stack.ipv6.addr import ALL_ROUTERS, parse_ip6
from tests.radvd.configurations import CONFIGURATIONS, FILE
from tests.radvd.exchange import heard, said

HERE = Path(__file__).parent / "radvd"
SECOND = 1_000_000_000
TRIES = 3
"""As `simvlan diff`: on a machine that stalls, time may pass while a program of the script is starting."""
HOST = parse_ip6("fe80::ff:fe00:2")
OFTEN = "interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 20; MaxRtrAdvInterval 60; };"
MAC = 0x02_00_00_00_00_01


# -- the real program -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["advertises", "asked", "signals"])
def test_it_does_what_the_real_one_did(name: str, tmp_path: Path) -> None:
    """Every solicitation and advertisement at every device, and what hosts made of it, as of radvd 2.19 on Linux."""
    theirs = json.loads((HERE / f"{name}.json").read_text())
    for number in range(TRIES):
        folder = tmp_path / str(number)
        command = [str(Path(sys.executable).parent / "simvlan"), "run", "--pcap", str(folder), str(HERE / f"{name}.sh")]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        ours = {"said": said(run.stdout + run.stderr), "frames": heard(folder)}
        if ours == {"said": theirs["said"], "frames": theirs["frames"]}:
            break
    assert ours["said"] == theirs["said"]
    assert ours["frames"] == theirs["frames"]
    assert len(theirs["frames"]["r.eth0"]) >= 2


def test_it_says_of_configurations_what_the_real_one_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = json.loads((HERE / "configurations.json").read_text())["answers"]
    ours, lab = {}, Lab()
    for name, text in CONFIGURATIONS.items():
        Path(FILE).write_text(text)
        done = lab.command("radvd", "-c", "-C", FILE, "-m", "stderr_clean")
        ours[name] = [done.exit, done.stderr]
    assert ours == theirs
    assert {status for status, _ in theirs.values()} == {0, 1}


# -- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["AdvHomeAgentFlag on;", "lowpanco { };", "prefix ::/64 { Base6to4Interface eth1; };"])
def test_what_radvd_knows_and_is_not_modelled_is_named_with_its_line(word: str) -> None:
    text = "interface eth0 {\n  AdvSendAdvert on;\n  " + word + "\n};\n"
    with pytest.raises(NotModelledError, match=r"^f\.conf:3: \w+: .* is not modelled$"):
        Reader(text, "f.conf").file()


def test_every_refused_word_is_one_that_is_not_read() -> None:
    assert Reader("interface eth0 {\n  AdvSendAdvert on;\n};\n", "f.conf").file()[0].send
    with pytest.raises(ConfigError, match=r"^f\.conf:2 error: syntax error$"):
        Reader("interface eth0 {\n  AdvSendAdverts on;\n};\n", "f.conf").file()


def test_lifetimes_follow_the_interval_before_them() -> None:
    """As radvd reads: what stands in front of MaxRtrAdvInterval follows its default."""
    route = "route 2001:db8::/48 { };"
    text = f"interface e {{ {route} MaxRtrAdvInterval 10; {route} RDNSS ::1 {{ }}; prefix ::/64; }};"
    (found,) = Reader(text, "f").file()
    assert [each.lifetime for each in found.routes] == [1800, 30]
    assert (found.dns[0].lifetime, found.prefixes[0].valid, INFINITY) == (10, 86_400, 0xFFFF_FFFF)


def own(_name: str) -> list[tuple[int, int]]:
    return []


def test_what_does_not_fit_goes_into_more_advertisements() -> None:
    prefixes = "".join(f"prefix 2001:db8:{n}::/64 {{ }};" for n in range(1, 41))
    (conf,) = Reader(f"interface e {{ {prefixes} }};", "f").file()
    most = advert.room(conf, 1500, 1500)
    parts = list(advert.parts(advert.options(conf, MAC, own, False), most))
    assert [len(part) for part in parts] == [37, 4]
    assert all(16 + len(ndp.write_options(part)) <= most == 1210 for part in parts)
    (few,) = Reader("interface e { prefix 2001:db8:1::/64 { }; };", "f").file()
    assert len(list(advert.parts(advert.options(few, MAC, own, False), most))) == 1


def test_lifetimes_count_down_only_where_they_are_told_to() -> None:
    body = "AdvValidLifetime 100; AdvPreferredLifetime 50;"
    falling, standing = f"{{ {body} DecrementLifetimes on; }}", f"{{ {body} }}"
    text = f"interface e {{ prefix 2001:db8:1::/64 {falling}; prefix 2001:db8:2::/64 {standing}; }};"
    (conf,) = Reader(text, "f").file()
    advert.age(conf, 20, False)
    assert [(each.valid, each.preferred) for each in conf.prefixes] == [(80, 30), (100, 50)]
    advert.age(conf, 30, False)
    assert [kind for kind, _ in advert.options(conf, MAC, own, False)] == [ndp.PREFIX, ndp.SLLA]  # preferred no more


CABLE = """ip netns add r
ip netns add h
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns r address 02:00:00:00:00:01 type veth peer name eth0 netns h address 02:00:00:00:00:02
ip -n r link set eth0 up
ip -n h link set eth0 up"""


def routed(conf: str, folder: Path) -> Lab:
    """A router r and a host h on a cable, quiet; then radvd in the background on r, its configuration *conf*."""
    lab = Lab(seed=3, ipv6=True)
    for line in CABLE.splitlines():
        do(lab, line)
    lab.run(until=30)
    (folder / FILE).write_text(conf)
    do(lab, f"ip netns exec r radvd -C {folder / FILE}")
    return lab


def do(lab: Lab, line: str) -> None:
    """A command, without a shell: no time passes."""
    done = lab.command(*line.split())
    assert done.exit == 0, done.stderr


def advertised(lab: Lab, seconds: float) -> list[tuple[float, int]]:
    """When advertisements left the router from now on, and their router lifetimes."""
    found: list[tuple[float, int]] = []
    begin = lab.network.now
    dev = lab.network.netns["r"].devices["eth0"]

    def tap(now: int, at: object, frame: object, outgoing: bool) -> None:
        octets = frame.payload  # type: ignore[attr-defined]
        if outgoing and octets[6] == 58 and octets[40] == 134:
            found.append(((now - begin) / SECOND, int.from_bytes(octets[46:48], "big")))

    dev.taps.append(tap)
    lab.run(until=(begin + int(seconds * SECOND)) / SECOND)
    dev.taps.remove(tap)
    return found


def test_three_come_soon_and_the_others_at_random(tmp_path: Path) -> None:
    lab = routed(OFTEN, tmp_path)
    when = [at for at, _ in advertised(lab, 3600)]
    assert when[:2] == [16, 32]
    gaps = [b - a for a, b in pairwise(when[1:])]
    assert all(20 <= gap <= 60 for gap in gaps)
    assert max(gaps) - min(gaps) > 20
    again = routed(OFTEN, tmp_path)
    assert [at for at, _ in advertised(again, 3600)] == when  # drawn from the seed


def test_without_send_nothing_comes(tmp_path: Path) -> None:
    assert advertised(routed(OFTEN.replace("AdvSendAdvert on", "AdvSendAdvert off"), tmp_path), 600) == []


def test_a_link_that_comes_back_is_advertised_on_a_second_later(tmp_path: Path) -> None:
    lab = routed("interface eth0 { AdvSendAdvert on; };", tmp_path)
    do(lab, "ip -n r link set eth0 down")
    assert advertised(lab, 100) == []
    do(lab, "ip -n r link set eth0 up")
    when = [at for at, _ in advertised(lab, 100)]
    assert when
    assert when[0] >= 1


def test_a_snapshot_has_the_daemon_with_its_timers(tmp_path: Path) -> None:
    lab = routed(OFTEN, tmp_path)
    saved = lab.snapshot()
    first = advertised(lab, 600)
    assert len(first) > 9
    lab.restore(saved)
    assert advertised(lab, 600) == first


def test_a_solicitation_that_is_traced_is_answered_in_the_copy_only(tmp_path: Path) -> None:
    lab = routed("interface eth0 { AdvSendAdvert on; };", tmp_path)
    solicitation = ndp.build_rs(HOST, ALL_ROUTERS, (ndp.link_layer(ndp.SLLA, 2),))
    frame = Frame(0x3333_0000_0002, 2, IPV6, packet.build(HOST, ALL_ROUTERS, packet.ICMPV6, solicitation, 255))
    walk = lab.trace("h/eth0", frame)
    assert [step.frame.payload[40] for step in walk if step.way == "up"] == [133, 134]  # there and back
    assert [at for at, _ in advertised(lab, 60)] == [16, 32]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("radvd -C /nonexistent -n -m stderr_clean", "can't open /nonexistent: No such file or directory"),
        ("radvd -m nosuch", "unknown log method: nosuch"),
        ("radvd -t /jail", "simvlan: radvd: -t /jail is not modelled"),
        ("radvd -Q", "radvd: invalid option -- 'Q'"),
        ("radvd -d 2", "simvlan: radvd: -d 2 is not modelled"),
    ],
)
def test_what_is_refused(command: str, said: str) -> None:
    done = Lab().command(*command.split())
    assert done.exit in (1, 95)
    assert said in done.stderr
