"""ARP: what is answered, what is learned, what is asked. Mirrors net/ipv4/arp.c (arp_rcv, arp_process, arp_solicit)."""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import TYPE_CHECKING

from simvlan.clock import TICK
from simvlan.frame import ARP, BROADCAST, HOST, OTHERHOST, Frame
from simvlan.stack.ipaddr import LINK, ip_text, is_loopback, is_multicast
from simvlan.stack.neigh import REACHABLE, STALE, Neighbour
from simvlan.verdict import Drop, Why

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.stack.inetdev import InDevice
    from simvlan.stack.netstack import Stack

REQUEST, REPLY = 1, 2
ETHER, IEEE802 = 1, 6

_BODY = Struct("!HHBBH6sI6sI")


def body(op: int, sender_mac: int, sender_ip: int, target_mac: int, target_ip: int) -> bytes:
    """Write the 28 octets of an ARP packet for IPv4 over Ethernet."""
    return _BODY.pack(
        ETHER, 0x0800, 6, 4, op, sender_mac.to_bytes(6, "big"), sender_ip, target_mac.to_bytes(6, "big"), target_ip
    )


class Message:
    """An ARP packet taken apart."""

    __slots__ = ("op", "sha", "sip", "tha", "tip")

    def __init__(self, octets: bytes) -> None:
        _, _, _, _, self.op, sha, self.sip, tha, self.tip = _BODY.unpack_from(octets)
        self.sha = int.from_bytes(sha, "big")
        self.tha = int.from_bytes(tha, "big")


def parse(octets: bytes) -> Message | Drop:
    """Check what arp_rcv and the head of arp_process check."""
    if len(octets) < 28 or octets[4] != 6 or octets[5] != 4:
        return Drop.ARP_MALFORMED
    if (octets[0] << 8 | octets[1]) not in (ETHER, IEEE802) or octets[2:4] != b"\x08\x00":
        return Drop.ARP_MALFORMED
    message = Message(octets)
    return message if message.op in (REQUEST, REPLY) else Drop.ARP_OPCODE


class Arp:
    """The ARP half of a stack."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, dev: Device, frame: Frame, why: Why) -> Drop | None:
        """Take an ARP frame (arp_rcv)."""
        if dev.noarp or not dev.kind:
            return Drop.ARP_NOARP
        if frame.ptype is OTHERHOST:
            return Drop.OTHERHOST
        message = parse(frame.payload)
        if isinstance(message, Drop):
            return message
        return self.process(dev, frame, message, why, enqueued=False)

    def process(self, dev: Device, frame: Frame, arp: Message, why: Why, enqueued: bool) -> Drop | None:
        """Answer or learn (arp_process)."""
        stack = self.stack
        if dev in stack.without_ip:
            return Drop.IP_INADDRERRORS
        indev = stack.indev(dev)
        if is_multicast(arp.tip) or (is_loopback(arp.tip) and not stack.either(indev, "route_localnet")):
            return Drop.ARP_NOT_UNICAST
        if arp.sip == arp.tip and stack.either(indev, "drop_gratuitous_arp"):
            return Drop.ARP_GRATUITOUS
        if arp.sip == 0:
            return self._probe(dev, indev, arp)
        if arp.op == REQUEST:
            kind = stack.route_kind(dev, arp.tip, arp.sip)
            if kind == "local":
                return self._local(dev, indev, arp, why)
            if kind == "forward" and self._proxied(dev, indev, arp):
                stack.neigh.heard(dev, arp.sip, arp.sha)
                return self._proxy(dev, indev, frame, arp, why, enqueued)
        return self._update(dev, indev, frame, arp, why)

    def _probe(self, dev: Device, indev: InDevice, arp: Message) -> Drop | None:
        """Duplicate address detection (RFC 5227): answer for an own address, learn nothing."""
        if arp.op == REQUEST and self.stack.addr_type(arp.tip) == "local" and not self._ignored(indev, 0, arp.tip):
            self._reply(dev, arp, 0)
            return None
        return Drop.ARP_NOT_OURS

    def _local(self, dev: Device, indev: InDevice, arp: Message, why: Why) -> Drop | None:
        """A request for an own address: answer unless arp_ignore or arp_filter says no, and learn the sender."""
        if self._ignored(indev, arp.sip, arp.tip):
            return Drop.ARP_IGNORE
        if self.stack.either(indev, "arp_filter") and self._filtered(dev, arp):
            return Drop.ARP_FILTER
        self.stack.neigh.heard(dev, arp.sip, arp.sha)
        if why:
            why(f"{ip_text(arp.tip)} is local: answered")
        self._reply(dev, arp, arp.sip)
        return None

    def _ignored(self, indev: InDevice, sip: int, tip: int) -> bool:
        """Whether arp_ignore forbids the answer (arp_ignore)."""
        mode = max(self.stack.conf_all.get("arp_ignore"), indev.conf.get("arp_ignore"))
        if mode == 1:
            return not indev.owns(tip)
        if mode == 2:
            return not any(ifa.local == tip and ifa.covers(sip) for ifa in indev.addresses)
        if mode == 3:
            return not any(
                ifa.local == tip and ifa.scope <= LINK
                for other in self.stack.indevs.values() for ifa in other.addresses
            )  # fmt: skip
        return mode == 8

    def _filtered(self, dev: Device, arp: Message) -> bool:
        """Whether the way back leaves by another device (arp_filter)."""
        route = self.stack.output.find(arp.sip, src=arp.tip)
        return isinstance(route, int) or route.dev is not dev

    def _proxied(self, dev: Device, indev: InDevice, arp: Message) -> bool:
        """Whether to answer for somebody behind another device (arp_fwd_proxy, arp_fwd_pvlan, pneigh_lookup)."""
        route = self.stack.routed_dev(dev, arp.tip, arp.sip)
        if route is dev:
            return bool(self.stack.either(indev, "proxy_arp_pvlan")) and arp.sip != arp.tip
        return bool(self.stack.either(indev, "proxy_arp")) or self.stack.neigh.proxied(dev, arp.tip)

    def _proxy(self, dev: Device, indev: InDevice, frame: Frame, arp: Message, why: Why, enqueued: bool) -> Drop | None:
        """Answer by proxy: at once to a unicast, after a random part of proxy_delay otherwise (pneigh_enqueue)."""
        delay = indev.neigh.get("proxy_delay") * TICK
        if enqueued or frame.ptype is HOST or not delay:
            self._reply(dev, arp, arp.sip)
        else:
            at = self.stack.kernel.now + indev.rng.randrange(delay)
            self.stack.kernel.at(at, partial(self._proxy_later, dev, frame, arp))
        if why:
            why(f"{ip_text(arp.tip)} is routed elsewhere: answered by proxy")
        return None

    def _proxy_later(self, dev: Device, frame: Frame, arp: Message) -> None:
        if dev.up and dev.netns.stack is self.stack:
            self.process(dev, frame, arp, None, enqueued=True)

    def _update(self, dev: Device, indev: InDevice, frame: Frame, arp: Message, why: Why) -> Drop | None:
        """Refresh an entry we have; make one only where arp_accept allows."""
        table = self.stack.neigh
        entry = table.get(dev, arp.sip)
        accept = self._accepts(indev, arp.sip)
        garp = (entry is not None or accept) and self._gratuitous(arp)
        if entry is None and accept and (garp or (arp.op == REPLY and self.stack.addr_type(arp.sip) == "unicast")):
            entry = table.ensure(dev, arp.sip)
        if entry is None:
            return Drop.ARP_NOT_OURS
        proof = arp.op == REPLY and frame.ptype is HOST
        unlocked = self.stack.kernel.now > entry.updated + indev.neigh.get("locktime") * TICK
        if why:
            why(f"entry for {ip_text(arp.sip)} {'confirmed' if proof else 'refreshed'}")
        table.update(entry, arp.sha, REACHABLE if proof else STALE, override=garp or unlocked)
        return None

    def _accepts(self, indev: InDevice, sip: int) -> bool:
        """Whether an unasked message may make an entry (arp_accept): 1 always, 2 if the sender is on a subnet here."""
        mode = max(self.stack.conf_all.get("arp_accept"), indev.conf.get("arp_accept"))
        return mode == 1 or (mode == 2 and indev.onlink(sip, 0))

    def _gratuitous(self, arp: Message) -> bool:
        """Whether a message announces its own sender (arp_is_garp)."""
        if arp.tip != arp.sip or (arp.op == REPLY and arp.tha != arp.sha):
            return False
        return self.stack.addr_type(arp.sip) == "unicast"

    # -- sending ----------------------------------------------------------------------------------------------------

    def _reply(self, dev: Device, arp: Message, target_ip: int) -> None:
        answer = body(REPLY, dev.mac, arp.tip, arp.sha, target_ip)
        self.stack.emit(dev, Frame(arp.sha, dev.mac, ARP, answer))

    def announce(self, dev: Device, address: int) -> None:
        """Send a gratuitous request (inetdev_send_gratuitous_arp)."""
        if not dev.noarp and dev.kind:
            self.stack.emit(dev, Frame(BROADCAST, dev.mac, ARP, body(REQUEST, dev.mac, address, 0, address)))

    def solicit(self, entry: Neighbour, packet_src: int, mac: int | None) -> None:
        """Ask for a neighbour: broadcast, or unicast to *mac* when probing (arp_solicit)."""
        dev = entry.dev
        source = self._source(dev, entry.ip, packet_src)
        if source is None:
            return
        request = body(REQUEST, dev.mac, source, 0, entry.ip)
        self.stack.emit(dev, Frame(BROADCAST if mac is None else mac, dev.mac, ARP, request))

    def _source(self, dev: Device, target: int, packet_src: int) -> int | None:
        """The sender address of a request, as arp_announce says; None only for a device without IPv4."""
        stack = self.stack
        indev = stack.indev(dev)
        mode = max(stack.conf_all.get("arp_announce"), indev.conf.get("arp_announce"))
        if (
            mode < 2
            and packet_src
            and stack.addr_type(packet_src) == "local"
            and (mode == 0 or indev.onlink(target, packet_src))
        ):
            return packet_src
        return stack.select_address(dev, target, LINK)
