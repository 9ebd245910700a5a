"""The offload features of each device kind, as `ethtool -k` lists them on Linux 6.1 (measured; net/ethtool, drivers).

Marks: + on, - off, +f and -f the same and fixed, -r off though requested. Lines set in belong to the group above.
"""

from __future__ import annotations

_VETH = """\
rx-checksumming +
tx-checksumming:
  tx-checksum-ipv4 -f
  tx-checksum-ip-generic +
  tx-checksum-ipv6 -f
  tx-checksum-fcoe-crc -f
  tx-checksum-sctp +
scatter-gather:
  tx-scatter-gather +
  tx-scatter-gather-fraglist +
tcp-segmentation-offload:
  tx-tcp-segmentation +
  tx-tcp-ecn-segmentation +
  tx-tcp-mangleid-segmentation +
  tx-tcp6-segmentation +
generic-segmentation-offload +
generic-receive-offload -
large-receive-offload -f
rx-vlan-offload +
tx-vlan-offload +
ntuple-filters -f
receive-hashing -f
highdma +
rx-vlan-filter -f
vlan-challenged -f
tx-lockless +f
netns-local -f
tx-gso-robust -f
tx-fcoe-segmentation -f
tx-gre-segmentation +
tx-gre-csum-segmentation +
tx-ipxip4-segmentation +
tx-ipxip6-segmentation +
tx-udp_tnl-segmentation +
tx-udp_tnl-csum-segmentation +
tx-gso-partial -f
tx-tunnel-remcsum-segmentation -f
tx-sctp-segmentation +
tx-esp-segmentation -f
tx-udp-segmentation +
tx-gso-list +
fcoe-mtu -f
tx-nocache-copy -
loopback -f
rx-fcs -f
rx-all -f
tx-vlan-stag-hw-insert +
rx-vlan-stag-hw-parse +
rx-vlan-stag-filter -f
l2-fwd-offload -f
hw-tc-offload -f
esp-hw-offload -f
esp-tx-csum-hw-offload -f
rx-udp_tunnel-port-offload -f
tls-hw-tx-offload -f
tls-hw-rx-offload -f
rx-gro-hw -f
tls-hw-record -f
rx-gro-list -
macsec-hw-offload -f
rx-udp-gro-forwarding -
hsr-tag-ins-offload -f
hsr-tag-rm-offload -f
hsr-fwd-offload -f
hsr-dup-offload -f
"""
_CHANGES: dict[str, dict[str, str]] = {
    "vlan": {
        "-f": "rx-checksumming rx-vlan-offload tx-vlan-offload tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse",
        "-r": "tx-checksum-fcoe-crc tx-fcoe-segmentation fcoe-mtu",
        "+": "generic-receive-offload",
    },
    "macvlan": {
        "+f": "rx-checksumming tx-checksum-ip-generic tx-scatter-gather tx-scatter-gather-fraglist "
        "tx-tcp-segmentation tx-tcp-ecn-segmentation tx-tcp-mangleid-segmentation tx-tcp6-segmentation "
        "highdma tx-gso-robust tx-gre-segmentation tx-gre-csum-segmentation tx-ipxip4-segmentation "
        "tx-ipxip6-segmentation tx-udp_tnl-segmentation tx-udp_tnl-csum-segmentation "
        "tx-sctp-segmentation tx-udp-segmentation tx-gso-list",
        "-f": "tx-checksum-sctp rx-vlan-offload tx-vlan-offload tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse",
        "-r": "generic-receive-offload",
        "-": "large-receive-offload",
    },
    "ipvlan": {
        "+f": "rx-checksumming tx-checksum-ip-generic tx-scatter-gather tx-scatter-gather-fraglist "
        "tx-tcp-segmentation tx-tcp-ecn-segmentation tx-tcp-mangleid-segmentation tx-tcp6-segmentation "
        "highdma vlan-challenged tx-gso-robust tx-gre-segmentation tx-gre-csum-segmentation "
        "tx-ipxip4-segmentation tx-ipxip6-segmentation tx-udp_tnl-segmentation "
        "tx-udp_tnl-csum-segmentation tx-sctp-segmentation tx-udp-segmentation tx-gso-list",
        "-f": "tx-checksum-sctp rx-vlan-offload tx-vlan-offload tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse",
        "-r": "generic-receive-offload",
    },
    "bridge": {
        "-f": "rx-checksumming tx-checksum-sctp rx-vlan-offload rx-vlan-stag-hw-parse",
        "+": "generic-receive-offload tx-gso-robust tx-fcoe-segmentation tx-gso-partial "
        "tx-tunnel-remcsum-segmentation tx-esp-segmentation",
        "+f": "netns-local",
    },
    "dummy": {
        "-f": "rx-checksumming tx-checksum-sctp rx-vlan-offload tx-vlan-offload tx-vlan-stag-hw-insert "
        "rx-vlan-stag-hw-parse",
        "+": "generic-receive-offload",
    },
    "": {
        "+f": "rx-checksumming tx-checksum-ip-generic tx-checksum-sctp tx-scatter-gather "
        "tx-scatter-gather-fraglist highdma vlan-challenged netns-local loopback",
        "+": "generic-receive-offload",
        "-f": "rx-vlan-offload tx-vlan-offload tx-gre-segmentation tx-gre-csum-segmentation "
        "tx-ipxip4-segmentation tx-ipxip6-segmentation tx-udp_tnl-segmentation "
        "tx-udp_tnl-csum-segmentation tx-nocache-copy tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse",
    },
}
"""What differs from veth: mark -> features."""


def features(kind: str) -> list[tuple[str, str, bool]]:
    """Return (feature or group, mark, whether it is in a group) in the order of the list; a group's mark is empty."""
    other = {name: mark for mark, names in _CHANGES.get(kind, {}).items() for name in names.split()}
    found = []
    for line in _VETH.splitlines():
        name, _, mark = line.strip().partition(" ")
        if name.endswith(":"):
            found.append((name[:-1], "", False))
        else:
            found.append((name, other.get(name, mark), line.startswith(" ")))
    return found
