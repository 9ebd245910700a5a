"""The rules of the underlays: what a hypervisor's switch, an access point, a managed switch or a cloud does not carry.

Nothing in Linux. Each class is one underlay at one NIC and answers for both directions: `outbound` (the NIC sends),
`inbound` (the network sends to the NIC). An answer is None (carried), a `Drop`, or `Altered`. Sources: VirtualBox's
manual ("Promiscuous Mode": Deny, Allow VMs, Allow All); vSphere's security policy of a port group (promiscuous mode,
MAC address changes, forged transmits); IEEE 802.11-2020 9.3.2.1 (three addresses: a station's own is the source);
switches' port security; RFC 2827 and the anti-spoofing of clouds; the MAC table of IEEE 802.1Q 8.8. Who was bitten:
docs/underlays.md.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from simvlan.frame import ARP, GROUP, IPV4, IPV6, VLAN_ETHERTYPES, Frame, mac_text
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.veth import Veth


class Altered(NamedTuple):
    """The frame goes on changed; what it lost is told as a drop."""

    frame: Frame
    lost: Drop


Answer: TypeAlias = "Drop | Altered | None"
Network46: TypeAlias = IPv4Network | IPv6Network

DENY, ALLOW_VMS, ALLOW_ALL = POLICIES = ("deny", "allow-vms", "allow-all")
PROMISCUOUS, MAC_CHANGES, FORGED = VMWARE_ACCEPTS = ("promiscuous", "mac-changes", "forged-transmits")


class Underlay:
    """An underlay at one NIC; this one carries everything."""

    word = "none"

    def outbound(self, frame: Frame, now: int) -> Answer:
        """Judge what the NIC sends."""
        return None

    def inbound(self, frame: Frame, now: int) -> Answer:
        """Judge what is on its way to the NIC."""
        return None


class VirtualBox(Underlay):
    """VirtualBox's switch gives a NIC the frames for the MAC it was made with, broadcasts and groups.

    Args:
        mac: the address the NIC was made with; one the guest sets later is not known to the switch.
        policy: the NIC's promiscuous policy.
        hosts: addresses of the hypervisor's own adapters: `allow-vms` shows what other machines send, not these.
    """

    word = "virtualbox"

    def __init__(self, mac: int, policy: str = DENY, hosts: frozenset[int] = frozenset()) -> None:
        if policy not in POLICIES:
            raise ValueError(f"{policy!r} is no promiscuous policy: there are {', '.join(POLICIES)}")
        self.mac, self.policy, self.hosts = mac, policy, hosts

    def inbound(self, frame: Frame, now: int) -> Answer:
        """Anything for others only as the policy says."""
        return None if self.lets_in(frame.dst, frame.src) else Drop.VSWITCH_NOT_PROMISCUOUS

    def lets_in(self, dst: int, src: int) -> bool:
        """Whether the NIC is given a frame between these addresses."""
        if dst == self.mac or dst & GROUP or self.policy == ALLOW_ALL:
            return True
        return self.policy == ALLOW_VMS and src not in self.hosts


class VMware(Underlay):
    """A port group of an ESXi host; what `accepts` does not name is rejected (the defaults of a distributed switch)."""

    word = "vmware"

    def __init__(self, nic: Veth, accepts: frozenset[str] = frozenset()) -> None:
        self.nic, self.mac, self.accepts = nic, nic.mac, acceptable(accepts)

    def outbound(self, frame: Frame, now: int) -> Answer:
        """Forged transmits: a source that is not the address the guest gave its NIC."""
        if FORGED in self.accepts or frame.src == self.nic.mac:
            return None
        return Drop.VMWARE_FORGED_TRANSMIT

    def inbound(self, frame: Frame, now: int) -> Answer:
        """MAC changes: a guest that changed its address hears nothing. Promiscuous mode: nor does it hear others'."""
        if MAC_CHANGES not in self.accepts and self.nic.mac != self.mac:
            return Drop.VMWARE_MAC_CHANGED
        if PROMISCUOUS in self.accepts or frame.dst == self.nic.mac or frame.dst & GROUP:
            return None
        return Drop.VMWARE_NOT_PROMISCUOUS


def acceptable(accepts: frozenset[str]) -> frozenset[str]:
    """What a port group may be told to accept; ValueError names what it cannot."""
    if unknown := sorted(accepts - set(VMWARE_ACCEPTS)):
        raise ValueError(f"a port group accepts no {unknown[0]!r}: there are {', '.join(VMWARE_ACCEPTS)}")
    return accepts


class WifiStation(Underlay):
    """A station at an access point: its frames have three addresses, so its own MAC is the only one behind it."""

    word = "wifi-sta"

    def __init__(self, nic: Veth) -> None:
        self.mac = nic.mac

    def outbound(self, frame: Frame, now: int) -> Answer:
        """The access point drops frames of a station that is not associated."""
        return None if frame.src == self.mac else Drop.WIFI_NOT_ASSOCIATED

    def inbound(self, frame: Frame, now: int) -> Answer:
        """It sends nothing on air for a MAC that is not associated."""
        return None if frame.dst == self.mac or frame.dst & GROUP else Drop.WIFI_NO_STATION


class PortSecurity(Underlay):
    """A switch port that takes *limit* source MACs, the NIC's own and the next: one more is dropped, or closes it.

    Args:
        first: a MAC that the port has learnt before anything else, the NIC's own.
        shutdown: a violation closes the port (err-disable) instead of costing the frame (restrict).
    """

    word = "port-security"

    def __init__(self, limit: int, first: int, shutdown: bool = False) -> None:
        self.limit, self.shutdown = limit, shutdown
        self.known = {first}
        self.closed = False

    def outbound(self, frame: Frame, now: int) -> Answer:
        """Learn while there is room; sources stay learnt."""
        if self.closed:
            return Drop.PORT_ERR_DISABLED
        if frame.src in self.known or len(self.known) < self.limit:
            self.known.add(frame.src)
            return None
        self.closed = self.shutdown
        return Drop.PORT_SECURITY

    def inbound(self, frame: Frame, now: int) -> Answer:
        """A closed port sends nothing."""
        return Drop.PORT_ERR_DISABLED if self.closed else None


class Cloud(Underlay):
    """A cloud's network interface: source MAC and source address are checked against what the cloud gave it.

    Args:
        nic: its MAC is the one that counts.
        addresses: networks of both families that it may send from.
    """

    word = "cloud"

    def __init__(self, nic: Veth, addresses: tuple[Network46, ...]) -> None:
        self.mac, self.addresses = nic.mac, addresses

    def outbound(self, frame: Frame, now: int) -> Answer:
        """MAC first, then the sender of a packet or of ARP; 0.0.0.0 and :: are a host that has no address yet."""
        if frame.src != self.mac:
            return Drop.CLOUD_SOURCE_MAC
        source = sender(frame)
        if source is None or source.is_unspecified or any(source in network for network in self.addresses):
            return None
        return Drop.CLOUD_SOURCE_IP

    def inbound(self, frame: Frame, now: int) -> Answer:
        """No interface has another MAC."""
        return None if frame.dst == self.mac or frame.dst & GROUP else Drop.CLOUD_UNKNOWN_MAC


def sender(frame: Frame) -> IPv4Address | IPv6Address | None:
    """The address that a frame says it is from, behind any tags; None for protocols without one."""
    proto, data = frame.proto, frame.payload
    while proto in VLAN_ETHERTYPES and len(data) >= 4:
        proto, data = int.from_bytes(data[2:4], "big"), data[4:]
    at, size = {IPV4: (12, 4), ARP: (14, 4), IPV6: (8, 16)}.get(proto, (0, 0))
    if not size or len(data) < at + size:
        return None
    octets = data[at : at + size]
    return IPv4Address(octets) if size == 4 else IPv6Address(octets)


class FiniteFdb(Underlay):
    """A switch whose MAC table holds *limit* learnt addresses: what is not in it is flooded, to strange NICs too."""

    word = "finite-fdb"

    def __init__(self, nic: Veth, limit: int) -> None:
        bridge = nic.peer.master if nic.peer is not None else None
        if bridge is None or bridge.kind != "bridge":
            raise ValueError(f"{nic.path} does not lead to a port of a bridge: there is no table to fill")
        self.nic, self.fdb, self.limit = nic, bridge.fdb, limit  # type: ignore[attr-defined]
        self.fdb.limit = limit

    def inbound(self, frame: Frame, now: int) -> Answer:
        """A NIC that is not promiscuous passes nothing on that is for another MAC; say why it came here."""
        nic: Any = self.nic
        if frame.dst & GROUP or frame.dst == nic.mac or nic.promiscuity or self.fdb.where(frame.dst):
            return None
        return Drop.FDB_FULL if self.fdb.full else None


class OffloadStripsVlan(Underlay):
    """Whoever carries the frames looks at their octets only: a tag that a NIC's offload keeps beside them is lost."""

    word = "offload-strips-vlan"

    def outbound(self, frame: Frame, now: int) -> Answer:
        """Take the tag away that is beside the octets."""
        return Altered(frame.with_accel(0), Drop.OFFLOAD_STRIPPED_VLAN) if frame.accel else None

    inbound = outbound


def described(rule: Underlay) -> str:
    """One line for a trace: the underlay let a frame through."""
    mac = getattr(rule, "mac", None)
    return f"underlay {rule.word}: carried" + (f" (the NIC is {mac_text(mac)})" if mac else "")
