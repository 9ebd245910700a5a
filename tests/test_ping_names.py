"""ping of names, and tracepath: what they ask, send and print, as the real ones do."""

from __future__ import annotations

import re
from pathlib import Path

from simvlan.dns.message import AAAA, PTR, A, parse
from simvlan.lab import Lab

FOLDER = Path(__file__).parent / "ping"
SCRIPT = (FOLDER / "names.sh").read_text()
NETWORK = SCRIPT.partition("for c in")[0]
FOUR, SIX = "3.0.0.10.in-addr.arpa", "3.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.ip6.arpa"


def timeless(text: str) -> str:
    text = re.sub(r"time=[0-9.]+ ms", "time=T ms", text)
    return re.sub(r"(?m)^rtt.*", "rtt", re.sub(r"time \d+ms", "time Tms", text))


def test_it_prints_what_the_real_one_printed() -> None:
    assert timeless(Lab(seed=1).sh(SCRIPT).stdout) == (FOLDER / "names.out").read_text()


def test_names_of_addresses_are_asked_for_anew_each_time() -> None:
    """Once for each answer, over IPv6 once more for the first line; never where -n or an address was given."""
    lab = Lab(seed=1)
    lab.sh(f"{NETWORK} ip -n b addr add 10.0.0.3/24 dev vb; ip -n b addr add 2001:db8::3/64 dev vb nodad")
    heard: dict[str, list[tuple[int, str]]] = {}
    for whom in ("q4.lan", "q6.lan", "-n q4.lan", "10.0.0.3"):
        with lab.capture("a/va") as seen:
            lab.sh(
                "mkdir -p /etc/netns/a; echo nameserver 10.0.0.2 >/etc/netns/a/resolv.conf; "
                f"ip netns exec a ping -c2 -i0.1 {whom}"
            )
        asked = [parse(bytes(each)[42:]) for each in seen if bytes(each)[36:38] == b"\0\x35"]
        heard[whom] = [(each.type, each.name) for each in asked]
    name = [(A, "q4.lan"), (AAAA, "q4.lan")]
    assert heard == {
        "q4.lan": [*name, *[(PTR, FOUR)] * 2],
        "q6.lan": [(A, "q6.lan"), (AAAA, "q6.lan"), *[(PTR, SIX)] * 3],
        "-n q4.lan": name,
        "10.0.0.3": [],
    }


def test_the_next_address_is_tried_where_there_is_no_way_to_the_first() -> None:
    """`-I DEV` of a device without a way over IPv6: the full name is the first address's, so none is printed."""
    said = Lab(seed=1).sh(f"{NETWORK} a ping -c1 -W1 -I lo both.lan; a ping -6 -c1 -W1 -I lo both.lan")
    assert said.stdout.startswith("PING  (10.0.0.2) from ")
    assert said.stderr.endswith("ping: connect: Network is unreachable\n")


def test_tracepath_says_what_the_real_one_said() -> None:
    script = (FOLDER / "tracepath.sh").read_text()
    said = re.sub(r" *\d+\.\d{3}ms", " T ms", Lab(seed=1).sh(script).stdout)
    assert said == (FOLDER / "tracepath.out").read_text()


def test_tracepath_sends_what_the_path_carries_to_ports_that_rise() -> None:
    """Linux 6.18: the first is as long as the device carries, the one behind the router as long as its way does."""
    lab = Lab(seed=1)
    lab.sh((FOLDER / "tracepath.sh").read_text().split("a tracepath")[0])
    with lab.capture("a/eth0") as seen:
        lab.command("tracepath", "-n", "10.0.2.2", netns="a")
    sent = [bytes(each)[14:] for each in seen if bytes(each)[23:24] == b"\x11"]
    told = [(each[8], len(each), int.from_bytes(each[22:24], "big"), each[6] >> 6) for each in sent]
    assert told == [(1, 1500, 44444, 1), (1, 1500, 44445, 1), (2, 1500, 44446, 1), (2, 1400, 44447, 1)]
