"""What the batch engine cannot express, refused by name before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.devices.bridge import Bridge
from simvlan.devices.ipvlan import Ipvlan
from simvlan.errors import Unsupported
from simvlan.frame import ETH_HLEN
from simvlan.underlay import underlay_of

if TYPE_CHECKING:
    from simvlan.devices.device import Device
    from simvlan.engines.batch.pipeline import Pipeline
    from simvlan.network import Network


def check(network: Network) -> None:
    """Refuse a network whose rules depend on more than frames and forwarding databases.

    Raises:
        Unsupported: names the device, and what to do.
    """
    for dev in network.devices():
        if dev.qdisc is not None:
            raise Unsupported(f"{dev.path} has a queueing discipline: tc qdisc del dev {dev.name} root, or use events")
        rule = underlay_of(dev)  # type: ignore[arg-type]  # any device has a wire or None
        if rule is not None:
            raise Unsupported(f"{dev.path} lies on an underlay ({rule.word}): a plain bridge, or use events")
        if isinstance(dev, Bridge):
            _check_bridge(dev)


def _check_bridge(bridge: Bridge) -> None:
    if bridge.stp.enabled:
        raise Unsupported(f"{bridge.path} runs the spanning tree: ip link set {bridge.name} type bridge stp_state 0")
    if bridge.filtered:
        raise Unsupported(
            f"{bridge.path}: br_netfilter shows its packets to iptables, which keeps state of them: "
            "sysctl -w net.bridge.bridge-nf-call-iptables=0, or use the event engine"
        )
    if bridge.answers_arp:
        who = next(p for p in bridge.ports if p.neigh_suppress or p.proxy_arp or p.proxy_arp_wifi)
        raise Unsupported(
            f"{who.dev.path}: the bridge answers ARP by itself: bridge link set dev {who.dev.name} "
            "neigh_suppress off proxy_arp off proxy_arp_wifi off"
        )


def check_sender(dev: Device) -> None:
    """Refuse a device to send on whose driver looks for a packet socket's packets where they are not.

    Raises:
        Unsupported: names the device.
    """
    if isinstance(dev, Ipvlan) and dev.hard_header_len != ETH_HLEN:
        raise Unsupported(
            f"{dev.path}: below it tags are written into frames, which hides addresses of what a packet socket sends "
            "from ipvlan: use the event engine"
        )


def check_cables(pipeline: Pipeline) -> None:
    """Refuse cables whose times are random, or that are busy already.

    Raises:
        Unsupported: names the device at the cable's end.
    """
    for dev in pipeline.anatomy.devices:
        wire = dev.wire
        if wire is None:
            continue
        for flaw in ("jitter_ns", "loss", "duplicate", "reorder"):
            if getattr(wire.options, flaw):
                raise Unsupported(f"{dev.path}: its cable has {flaw.removesuffix('_ns')}: use the event engine")
        if wire.queued(pipeline.start_ns):
            raise Unsupported(
                f"{dev.path}: frames are waiting for its cable: let them pass (lab.run) and compile again"
            )
