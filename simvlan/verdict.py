"""The words a rule answers with: where a frame goes next (`Emit`), or why it goes nowhere (`Drop`).

Every drop has a name, one sentence and a remedy. Names follow the kernel's `enum skb_drop_reason`
(include/net/dropreason-core.h) where it has one, the same style where it has none. No rules live here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, unique
from typing import TYPE_CHECKING, TypeAlias

from simvlan.frame import Frame

if TYPE_CHECKING:
    from simvlan.devices.device import Device


class Way(Enum):
    """How a frame moves on from a rule; the order of the kernel's queues is kept by the network."""

    RX = "rx"
    """Into a device's receive path, within the same call ("another round")."""
    BACKLOG = "backlog"
    """Into a device's receive path through the CPU's backlog: after the current call, first in first out (netif_rx)."""
    NAPI = "napi"
    """Into a device's own queue, from which it takes in many at once, merging segments (napi_schedule, veth_poll)."""
    WORK = "work"
    """To the device's `deferred` rule, from the kernel's work queue: after the backlog is empty."""
    TX = "tx"
    """Out through a device, within the same call (dev_queue_xmit)."""
    UP = "up"
    """To the protocols of the device's namespace (after every receive handler has passed)."""
    IP_OUT = "ip-out"
    """The frame's IPv4 packet to the IP output of the device's namespace, which must send it by this device."""


@unique
class Drop(Enum):
    """Why a frame ended: (sentence, remedy)."""

    # -- any device -------------------------------------------------------------------------------------------------
    DEV_DOWN = ("the device is administratively down", "ip link set DEV up")
    NO_CARRIER = ("the device has no carrier: its lower device or peer is down", "set the peer or lower device up")
    DEV_READY = ("the receiving device is down", "ip link set DEV up")
    PKT_TOO_BIG = (
        "the frame is longer than the target's MTU allows (mtu + header + 4 octets)",
        "raise the target's MTU or send smaller packets",
    )
    RECURSION_LIMIT = ("too many devices transmit through each other", "unstack the devices")
    STORM = (
        "a forwarding loop: more copies of one frame than any loop-free network makes",
        "break the loop or turn STP on (ip link set BR type bridge stp_state 1)",
    )
    QDISC_DROP = ("the queue in front of the device is full", "raise the queue's limit or its rate")
    QDISC_PURGED = (
        "the queue it waited in was emptied: the device went down, or another qdisc took its place",
        "change a qdisc (tc qdisc change) instead of replacing it",
    )
    VSWITCH_NOT_PROMISCUOUS = (
        "the virtual switch gives a NIC only frames for the MAC it was made with: its promiscuous policy denies others",
        "VBoxManage controlvm NODE nicpromiscN allow-all (or allow-vms), or ipvlan: its children have the NIC's MAC",
    )
    VMWARE_NOT_PROMISCUOUS = (
        "the port group gives a NIC only frames for its own MAC: promiscuous mode is rejected there",
        "accept promiscuous mode and forged transmits on the port group, or ipvlan: its children have the NIC's MAC",
    )
    VMWARE_FORGED_TRANSMIT = (
        "sent from a MAC that is not the NIC's: the port group rejects forged transmits",
        "accept forged transmits on the port group, or ipvlan: its children have the NIC's MAC",
    )
    VMWARE_MAC_CHANGED = (
        "the guest gave its NIC another MAC: the port group rejects MAC address changes, and nothing reaches it",
        "set the MAC back, or accept MAC address changes on the port group",
    )
    WIFI_NOT_ASSOCIATED = (
        "sent from a MAC that is not the station's: the access point knows no such station",
        "ipvlan: its children have the station's MAC; or route, or NAT behind the station",
    )
    WIFI_NO_STATION = (
        "for a MAC that is not associated with the access point: it is not sent on air",
        "ipvlan: its children have the station's MAC; or route, or NAT behind the station",
    )
    PORT_SECURITY = (
        "port security: the switch port has learnt as many source MACs as it may",
        "raise the maximum at the switch, or ipvlan: its children share one MAC",
    )
    PORT_ERR_DISABLED = (
        "port security closed the switch port after a violation (err-disabled)",
        "take the strange MAC away and re-enable the port at the switch (shutdown, no shutdown)",
    )
    CLOUD_SOURCE_MAC = (
        "the cloud checks sources: the MAC is not the one it gave this interface",
        "ipvlan: its children have the interface's MAC; or an overlay, or NAT behind the interface",
    )
    CLOUD_SOURCE_IP = (
        "the cloud checks sources: the address is not one it gave this interface",
        "assign the address to the interface at the cloud (secondary or alias address), or NAT behind the interface",
    )
    CLOUD_UNKNOWN_MAC = (
        "no interface of the cloud has the destination's MAC",
        "ipvlan: its children have the interface's MAC; or an overlay, or NAT behind the interface",
    )
    FDB_FULL = (
        "flooded here because the switch's MAC table is full, for another MAC than this NIC's",
        "fewer MACs (ipvlan children share the parent's), or a switch with a larger table",
    )
    OFFLOAD_STRIPPED_VLAN = (
        "the VLAN tag was beside the octets (offload), and whoever carries frames reads octets: it goes on untagged",
        "ethtool -K DEV txvlan off at both ends, or let the switch tag (an access port per VLAN)",
    )
    LINK_LOSS = ("lost on the cable, as the link model says", "lower the loss of the link model")
    VLAN_TOO_SHORT = ("a tagged frame with fewer than 20 octets is freed before anyone sees it", "send a longer frame")

    DUMMY = ("a dummy device has no wire: what is sent there ends there", "use a veth as the lower device")

    # -- vlan -------------------------------------------------------------------------------------------------------
    VLAN_DEV_DOWN = ("the VLAN device that claims this tag is down", "ip link set the VLAN device up")
    VLAN_UNCLAIMED = (
        "tagged, and no VLAN device for this VID on the receiving device: its stack ignores the frame",
        "ip link add link DEV name DEV.VID type vlan id VID",
    )

    # -- ipvlan -----------------------------------------------------------------------------------------------------
    IPVLAN_PRIVATE = (
        "ipvlan private: slaves of one parent must not reach each other",
        "ip link set DEV type ipvlan bridge (for all slaves of the parent)",
    )
    IPVLAN_L3_GROUP = (
        "ipvlan l3 and l3s carry no link-layer broadcast or multicast",
        "ip link set DEV type ipvlan mode l2",
    )
    IPVLAN_L3_PROTO = ("ipvlan l3 and l3s send nothing but IP", "ip link set DEV type ipvlan mode l2")
    IPVLAN_NO_IPV6 = (
        "ipvlan l3: the host's namespace has no IPv6 route for it",
        "ip -6 route add it there, or use IPv4 addresses",
    )
    IPVLAN_BAD_IP = ("ipvlan l3: too short for an IPv4 header, the host cannot route it", "send a whole IPv4 packet")
    IPVLAN_PAUSE = ("ipvlan hands pause frames to nobody", "none: pause frames are for the wire alone")
    IPVLAN_QUEUE_FULL = ("more than 1000 broadcasts wait for ipvlan's work queue", "send fewer broadcasts at once")
    IPVLAN_NO_LISTENER = (
        "a broadcast or multicast frame that no ipvlan slave wants (the host had its copy)",
        "set a slave up, or join the group there",
    )

    # -- macvlan ----------------------------------------------------------------------------------------------------
    MACVLAN_DOWN = ("the macvlan that this frame belongs to is down", "ip link set the macvlan up")
    MACVLAN_NO_LISTENER = (
        "no other macvlan on this device is up, in a mode that gets this broadcast, and joined to its group",
        "join the group or set allmulticast on; private macvlans never hear their siblings",
    )
    MACVLAN_BACKLOG = (
        "the queue for broadcasts to the macvlans of this device is full",
        "ip link set the macvlan type macvlan bcqueuelen N",
    )
    MACVLAN_FRAGMENT = (
        "a multicast IPv4 fragment is held back until its packet is whole: macvlans get packets, not fragments",
        "send all fragments, within 30 s",
    )

    # -- bridge -----------------------------------------------------------------------------------------------------
    MAC_INVALID_SOURCE = ("the source MAC is zero or a group address", "send from a unicast address")
    MAC_IEEE_MAC_CONTROL = (
        "01:80:c2:00:00:01 is for the two ends of one cable (PAUSE): a bridge never passes it on",
        "send to another group address",
    )
    BRIDGE_INGRESS_STP_STATE = (
        "the bridge port it came in by is disabled, blocking or listening",
        "set the bridge and the port up, or wait for the spanning tree (twice forward_delay)",
    )
    BRIDGE_LEARNING = (
        "the bridge port it came in by only learns so far",
        "wait one more forward_delay, or bridge link set dev PORT state 3",
    )
    BRIDGE_EGRESS_STP_STATE = (
        "the bridge port it should leave by is not forwarding",
        "set the port up, or wait for the spanning tree (twice forward_delay)",
    )
    BRIDGE_NO_PVID = (
        "untagged, and the bridge port (or bridge) has no PVID",
        "bridge vlan add dev PORT vid VID pvid untagged",
    )
    BRIDGE_VLAN_INGRESS = (
        "the bridge port (or bridge) it came in by is not a member of its VLAN",
        "bridge vlan add dev PORT vid VID (dev BRIDGE ... self for the bridge)",
    )
    BRIDGE_VLAN_EGRESS = (
        "the bridge port it should leave by is not a member of its VLAN",
        "bridge vlan add dev PORT vid VID",
    )
    BRIDGE_VLAN_LOCAL = (
        "for this host, but the bridge itself is not a member of its VLAN",
        "bridge vlan add dev BRIDGE vid VID self",
    )
    BRIDGE_LOCKED = (
        "the port is locked and the source has no FDB entry there",
        "bridge fdb add MAC dev PORT master static, or bridge link set dev PORT locked off",
    )
    BRIDGE_ISOLATED = (
        "both ports are isolated from each other",
        "bridge link set dev PORT isolated off on one of them",
    )
    BRIDGE_SAME_PORT = (
        "the destination is on the port it came in by",
        "bridge link set dev PORT hairpin on, where that is meant",
    )
    BRIDGE_OWN_MAC = (
        "the bridge sends to its own address: it never comes back up",
        "look for a stale neighbour entry with the bridge's MAC",
    )
    BRIDGE_MCAST_INVALID = (
        "a multicast IP packet that multicast snooping finds malformed",
        "send a correct IP header and checksum, or set mcast_snooping 0",
    )
    NO_TX_TARGET = (
        "the bridge has no port to send it to",
        "add ports, or look at flood, mcast_flood and bcast_flood of the others",
    )

    # -- stack ------------------------------------------------------------------------------------------------------
    OTHERHOST = (
        "the destination MAC is another host's",
        "look for a stale neighbour entry at the sender, or a flooding bridge",
    )
    UNHANDLED_PROTO = ("no protocol handler for this ethertype", "nothing listens for this ethertype here")
    IPV6DISABLED = (
        "IPv6 is off on this device",
        "sysctl -w net.ipv6.conf.all.disable_ipv6=0 (and an MTU of 1280 octets at least)",
    )
    IPV6_BAD_EXTHDR = ("an option in an extension header that must be known is not", "send without the option")
    IPV6_NOT_FORWARDING = (
        "not for this host, and forwarding of IPv6 is off",
        "sysctl -w net.ipv6.conf.all.forwarding=1, or look for the wrong MAC",
    )
    IPV6_TOO_BIG = (
        "longer than the next link's MTU: routers of IPv6 cut nothing, the sender is told",
        "lower the sender's MTU, or let ICMPv6 'packet too big' reach it",
    )
    IPV6_NDISC_FRAG = ("neighbour discovery in fragments (suppress_frag_ndisc)", "send it whole")
    IPV6_NDISC_HOP_LIMIT = (
        "neighbour discovery with a hop limit other than 255: it may come from elsewhere",
        "send it with hop limit 255, on the link",
    )
    IPV6_NDISC_BAD_CODE = ("neighbour discovery with a code other than 0", "send code 0")
    IPV6_NDISC_BAD_OPTIONS = (
        "neighbour discovery with options that are broken or forbidden there",
        "correct lengths; no link-layer address from ::",
    )
    IPV6_NDISC_INVALID = (
        "neighbour discovery about or from an address that the rules forbid",
        "ask for unicast targets; routers speak from link-local addresses",
    )
    IPV6_NDISC_NS_OTHERHOST = ("a solicitation for somebody else's address", "nothing: hosts hear some of these")
    IPV6_NDISC_UNSOLICITED = (
        "an advertisement nobody asked for (drop_unsolicited_na)", "sysctl drop_unsolicited_na=0"
    )  # fmt: skip
    IPV6_NDISC_OWN_ADDRESS = (
        "another host advertises an address of this one",
        "look for a duplicate address: only one that is tentative gives way",
    )
    IPV6_NDISC_NO_ENTRY = (
        "an advertisement about a neighbour we have no entry for", "nothing: entries are made by asking"
    )  # fmt: skip
    IPV6_TENTATIVE = (
        "asked for an address that is still being checked for duplicates",
        "wait a second or two for DAD to end, or add the address with nodad",
    )
    IPV6_DAD_LOOPED = ("our own DAD solicitation came back (its nonce is ours)", "look for a loop or a hairpin port")
    IPV6_NOT_ROUTER = (
        "a router solicitation, and this host is no router", "sysctl -w net.ipv6.conf.all.forwarding=1"
    )  # fmt: skip
    IPV6_RA_IGNORED = (
        "router advertisements are not accepted here (accept_ra, or forwarding is on)",
        "sysctl -w net.ipv6.conf.DEV.accept_ra=1, on a router 2",
    )
    MLD_MALFORMED = (
        "not a valid MLD query", "send it from a link-local address, with hop limit 1 and router alert"
    )  # fmt: skip
    IP_TRUNCATED = ("too few octets for an IPv4 header", "send at least the 20 octets of a header")
    IP_INHDR = ("the IP header's version or length makes no sense", "correct version, header length and total length")
    IP_CSUM = ("the IPv4 header checksum is wrong", "recompute the header checksum")
    PKT_TOO_SMALL = ("shorter than its own length field says", "correct the length field, or send all of the packet")
    IP_OPTIONS = ("malformed IPv4 options", "correct the length octets of the options")
    IP_SOURCE_ROUTE = ("source routes are refused", "send without the source-route option")
    IP_INADDRERRORS = (
        "not for this host, and forwarding is off",
        "sysctl -w net.ipv4.ip_forward=1, or look for the wrong MAC",
    )
    IP_INNOROUTES = ("a router without a route for the destination", "ip route add the destination's subnet")
    IP_OUTNOROUTES = ("no usable route out of the device", "ip route add the destination's subnet")
    BLACKHOLE = ("a blackhole route swallowed it", "ip route del blackhole ...")
    IP_INVALID_SOURCE = (
        "a source address no packet may have (martian)",
        "use a unicast source, not loopback, on the wire",
    )
    IP_INVALID_DEST = ("a destination address no packet may have here (martian)", "do not send 0/8 or 127/8 on a wire")
    IP_LOCAL_SOURCE = (
        "the source is an address of this host itself",
        "look for a duplicate address, or sysctl accept_local=1",
    )
    IP_RPFILTER = (
        "reverse path filter: the way back to the source is not by this device",
        "sysctl rp_filter=2 or 0, or a route back",
    )
    IP_MC_NOT_JOINED = ("nobody here joined the multicast group", "join the group on this device")
    IP_TTL_EXPIRED = ("TTL ran out in transit", "look for a routing loop, or send with a larger TTL")
    FRAG_NEEDED = ("longer than the next link's MTU, with DF set", "lower the sender's MTU, or clear DF")
    FORWARD_NOT_HOST = ("a router forwards only frames sent to its own MAC", "send to the router's MAC")
    IP_NOPROTO = ("no handler for the IP protocol", "open a raw socket for the protocol")
    NO_SOCKET = ("no socket is bound to the port", "start the program that listens, or bind it to this address")
    TCP_CSUM = ("the TCP checksum is wrong", "compute it over the pseudo header too")
    TCP_LISTEN_OVERFLOW = (
        "too many connections wait to be accepted", "accept them faster, or listen with a larger backlog"
    )  # fmt: skip
    TCP_LISTEN_UNFIT = ("a listening socket has no use for the segment", "begin a connection with a SYN")
    UDP_CSUM = ("the UDP checksum is wrong", "recompute the checksum, or send 0 for none")
    ICMP_CSUM = ("the ICMP checksum is wrong", "recompute the checksum")
    ICMP_ECHO_IGNORED = ("pings are not answered (icmp_echo_ignore_all)", "sysctl -w net.ipv4.icmp_echo_ignore_all=0")
    ICMP_ECHO_BROADCAST = (
        "pings to broadcast and groups are not answered",
        "sysctl -w net.ipv4.icmp_echo_ignore_broadcasts=0",
    )
    ICMP_BROADCAST = ("an ICMP message that may not be broadcast", "send it to a unicast address")
    ICMP_UNHANDLED = ("an ICMP type or code nobody handles", "use a type the kernel knows")
    ICMP_REDIRECT_IGNORED = (
        "the redirect is not from the gateway in use, or redirects are off",
        "sysctl accept_redirects, or route by that gateway",
    )
    IGMP_MALFORMED = ("not a valid IGMP message", "correct length and checksum")
    FRAG_INVALID = ("a fragment that fits no packet", "send fragments in multiples of 8 octets, not beyond 65535")
    FRAG_HEADERS_CUT = (
        "the first fragment ends before the header of TCP, UDP or ICMPv6 does",
        "send a first fragment that holds all headers (RFC 8200 4.5)",
    )
    FRAG_OVERLAP = ("fragments overlap: the whole packet is given up", "send fragments that do not overlap")
    DUP_FRAG = ("a fragment already received", "nothing: copies do no harm")
    FRAG_REASM_FULL = (
        "too many unfinished packets are waiting for fragments",
        "send fewer fragments, or whole packets",
    )
    ARP_NOARP = ("the device does not use ARP (NOARP)", "a route by the parent's address instead of ARP")
    ARP_MALFORMED = ("not ARP for IPv4 over Ethernet", "send hardware type 1, protocol 0x0800, lengths 6 and 4")
    ARP_OPCODE = ("an ARP operation other than request and reply", "send operation 1 or 2")
    ARP_NOT_UNICAST = ("ARP about a loopback or multicast address", "ask for a unicast address")
    ARP_GRATUITOUS = ("gratuitous ARP is dropped here (drop_gratuitous_arp)", "sysctl drop_gratuitous_arp=0")
    ARP_NOT_OURS = ("ARP about somebody else, and no entry to refresh", "nothing: hosts hear all broadcast requests")
    ARP_IGNORE = ("arp_ignore forbids the answer", "sysctl arp_ignore=0, or ask on the address' own device")
    ARP_FILTER = (
        "arp_filter: the answer would leave by another device",
        "sysctl arp_filter=0, or a route back by this device",
    )
    NETFILTER_DROP = (
        "a rule or policy of a packet filter (iptables) drops it",
        "a rule with -j ACCEPT for such packets before that one (iptables -I CHAIN ...), or iptables -P CHAIN ACCEPT",
    )
    NETFILTER_FRAGMENT = (
        "a bridged fragment is held back until its packet is whole: connection tracking wants packets",
        "send all fragments, within 30 s",
    )
    NETFILTER_NO_ADDRESS = (
        "MASQUERADE has no address to give it: the device it leaves by has none",
        "ip address add one to that device",
    )
    NEIGH_FAILED = (
        "nobody answered for the next hop's address (ARP; IPv6: neighbour discovery)",
        "is it up, in the same VLAN, and does it answer such questions?",
    )
    NEIGH_QUEUEFULL = (
        "too many packets wait for the next hop's MAC",
        "wait for ARP or neighbour discovery, or raise unres_qlen",
    )
    NEIGH_CREATEFAIL = ("the neighbour table is full", "talk to fewer neighbours at once")
    NEIGH_DEAD = ("the neighbour entry was deleted while packets waited", "send again")

    @property
    def sentence(self) -> str:
        """What happened, in one sentence."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return self.value[1]


_UNDERLAYS = ("VSWITCH_", "VMWARE_", "WIFI_", "PORT_", "CLOUD_", "FDB_", "OFFLOAD_")
UNDERLAY_DROPS = tuple(drop for drop in Drop if drop.name.startswith(_UNDERLAYS))
"""What the networks under a NIC do not carry (`underlay/`)."""

Emit: TypeAlias = "tuple[Way | Drop, Device, Frame]"
"""One next hook: the way, the device, the frame; or the drop of one copy."""

Verdict: TypeAlias = "Drop | Sequence[Emit]"
"""What a rule answers: one named drop, or the next hooks in order. Never an empty sequence."""

Why: TypeAlias = "Callable[[str], None] | None"
"""Where a rule tells what it matched while somebody traces; None when nobody does."""
