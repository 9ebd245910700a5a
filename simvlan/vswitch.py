"""The port of a hypervisor's virtual switch: what it lets through to a virtual machine's NIC.

Nothing in Linux: VirtualBox's internal networking gives a NIC the frames for the MAC it was made with, broadcasts and
groups; anything else only as the NIC's promiscuous policy says (manual, "Promiscuous Mode": Deny, Allow VMs, Allow
All). That is why macvlan, whose children have MACs of their own, needs `allow-vms` or `allow-all` and ipvlan does not.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simvlan.frame import Frame
from simvlan.links import CableOptions, Wire
from simvlan.qdisc import Departures
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.devices.veth import Veth

DENY, ALLOW_VMS, ALLOW_ALL = POLICIES = ("deny", "allow-vms", "allow-all")


class SwitchPort(Wire):
    """From the switch to one NIC: a wire that looks at addresses.

    Args:
        mac: the address the NIC was made with; one the guest sets later is not known to the switch.
        policy: the NIC's promiscuous policy.
        hosts: addresses of the hypervisor's own adapters: `allow-vms` shows what other machines send, not these.
    """

    def __init__(self, mac: int, policy: str = DENY, hosts: frozenset[int] = frozenset()) -> None:
        if policy not in POLICIES:
            raise ValueError(f"{policy!r} is no promiscuous policy: there are {', '.join(POLICIES)}")
        super().__init__(CableOptions(), Random(0))
        self.mac, self.policy, self.hosts = mac, policy, hosts
        self.ideal = False  # every frame is asked about

    def admit(self, frame: Frame, now: int) -> Drop | Departures:
        """Let a frame through at once, or not at all."""
        if not self.plugged:
            return Drop.NO_CARRIER
        if not self.lets_in(frame.dst, frame.src):
            return Drop.VSWITCH_NOT_PROMISCUOUS
        self.sent += 1
        return ((now, frame),)

    def lets_in(self, dst: int, src: int) -> bool:
        """Whether the NIC is given a frame between these addresses."""
        if dst == self.mac or dst >> 40 & 1 or self.policy == ALLOW_ALL:
            return True
        return self.policy == ALLOW_VMS and src not in self.hosts


def port_of(dev: Veth) -> SwitchPort | None:
    """The virtual switch's port that a veth end is, if it is one."""
    return dev.wire if isinstance(dev.wire, SwitchPort) else None
