"""Records which rtnetlink message iproute2 makes of a line: `python tests/record_messages.py` (root, strace).

Each line of tests/golden/iproute-messages.txt is then tried in a namespace in which every name that it uses is a veth;
what the kernel says to it does not matter. Beside it stands the message: type, flags and body, as strace shows them.
Namespaces' descriptors are drawn as 7.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "iproute-messages.txt"
NAMES = ("v1", "v3", "br5", "m7", "i9")
"""The devices of the namespace, in this order: index 3, 5, 7, 9 and 11."""
SPACE, DESCRIPTOR = "n2", 7
LINES = """
ip link add v9 address 02:00:00:00:00:01 type veth peer name w9 address 02:00:00:00:00:02 netns n2
ip link add d9 address 02:00:00:00:00:01 type dummy
ip link add name d9 type dummy
ip link add b9 address 02:00:00:00:00:03 type bridge mcast_snooping 0
ip link add b9 type bridge mcast_snooping 0 group_fwd_mask 0x4108 vlan_filtering 1 vlan_default_pvid 5
ip link add b9 type bridge vlan_protocol 802.1ad stp_state 1 ageing_time 300 priority 4096 mcast_querier 1
ip link add link v1 name q9 type vlan id 5
ip link add link v1 name q9 address 02:00:00:00:00:01 netns n2 type vlan protocol 802.1ad id 4094 reorder_hdr off
ip link add link v1 name q9 type vlan id 5 loose_binding on ingress-qos-map 3:5 5:1
ip link add link v1 name q9 type vlan id 6 bridge_binding on egress-qos-map 0:4 5:2
ip link add link v1 name q9 type vlan id 0 protocol 802.1ad
ip link add link v1 name m9 type macvlan mode bridge
ip link add link v1 name m9 address 02:00:00:00:00:01 netns n2 type macvlan mode passthru nopromisc
ip link add link v1 name m9 type macvlan mode source
ip link add link v1 name i8 type ipvlan mode l2 bridge
ip link add link v1 name i8 type ipvlan mode l3s private
ip link add link v1 name i8 netns n2 type ipvlan mode l3 vepa
ip link set v1 up
ip link set v1 down
ip link set v1 mtu 600
ip link set v1 address 02:00:00:00:00:99
ip link set v1 master br5
ip link set v1 nomaster
ip link set v1 netns n2
ip link set v1 name r7
ip link set v1 name v1
ip link set v1 promisc on
ip link set v1 promisc off
ip link set v1 allmulticast on
ip link set v1 arp off
ip link set v1 arp on
ip link set v1 multicast off
ip link set v1 type bridge_slave hairpin on
ip link set v1 type bridge_slave isolated off
ip link set v1 type bridge_slave learning off
ip link set v1 type bridge_slave flood off
ip link set v1 type bridge_slave mcast_flood off
ip link set v1 type bridge_slave bcast_flood off
ip link set v1 type bridge_slave cost 0
ip link set m7 type macvlan mode vepa
ip link set m7 type macvlan macaddr add 02:00:00:00:00:09
ip link set i9 type ipvlan mode l3s
ip link set i9 type ipvlan mode l2 private
ip link set br5 type bridge vlan_filtering 1
ip link del v1
ip addr add 10.0.1.1/24 dev v1
bridge fdb add 02:00:00:00:00:99 dev v1 master static
bridge fdb add 02:00:00:00:00:99 dev v1 master static sticky vlan 5
bridge fdb append 02:00:00:00:00:99 dev v1 master permanent
bridge fdb replace 02:00:00:00:00:99 dev br5 self dynamic
bridge fdb del 02:00:00:00:00:99 dev v1 master
bridge fdb del 02:00:00:00:00:99 dev br5 self vlan 5
bridge vlan add dev v1 vid 5
bridge vlan add dev v1 vid 5 pvid untagged
bridge vlan add dev br5 vid 2-7 untagged self
bridge vlan del dev v1 vid 6
bridge vlan del dev br5 vid 2-7 self
""".strip().splitlines()

_HEX = re.compile(r"^ \| [0-9a-f]{5}  ((?:[0-9a-f]{2} +)+)", re.MULTILINE)


def message(line: str) -> bytes:
    """The last message that the tool sends, with a descriptor replaced."""
    setup = [f"ip link add {name} type veth peer name p{number}" for number, name in enumerate(NAMES)]
    script = "\n".join(
        [
            "mount -t tmpfs none /run",
            f"ip netns add {SPACE}",
            *setup,
            f"exec strace -e trace=sendmsg,sendto,openat -e write=all {line}",
        ]
    )
    done = subprocess.run(["unshare", "-mn", "bash", "-c", script], capture_output=True, text=True, check=False)
    sent = re.split(r"^send(?:msg|to)\(", done.stderr, flags=re.MULTILINE)[-1]
    octets = bytes.fromhex("".join(_HEX.findall(sent)))
    opened = re.findall(rf'"/var/run/netns/{SPACE}".* = (\d+)|"/run/netns/{SPACE}".* = (\d+)', done.stderr)
    if opened:
        fd = int(next(filter(None, opened[-1])))
        octets = octets.replace(
            b"\x08\0\x1c\0" + fd.to_bytes(4, "little"), b"\x08\0\x1c\0" + DESCRIPTOR.to_bytes(4, "little")
        )
    return octets


def main() -> int:
    """Write the table."""
    rows = []
    for line in LINES:
        octets = message(line)
        kind, flags = int.from_bytes(octets[4:6], "little"), int.from_bytes(octets[6:8], "little")
        rows.append(f"{line}\t{kind}\t{flags:#x}\t{octets[16:].hex()}\n")
        print(rows[-1], end="")
    GOLDEN.write_text("".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
