"""VLAN filtering: which VLANs a port or the bridge belongs to, and what that does to a frame.

Mirrors net/bridge/br_vlan.c (6.1): __allowed_ingress, br_allowed_egress, br_handle_vlan.
"""

from __future__ import annotations

from typing import TypeAlias

from simvlan.frame import VLAN_ETHERTYPES, Frame
from simvlan.verdict import Drop

VID_MASK = 0xFFF


class VlanGroup:
    """The VLANs of one port, or of the bridge itself.

    Attributes:
        vids: VLAN id to whether frames leave untagged.
        pvid: the VLAN of untagged frames that come in, 0 when there is none.
    """

    __slots__ = ("pvid", "vids")

    def __init__(self) -> None:
        self.vids: dict[int, bool] = {}
        self.pvid = 0

    def set(self, vid: int, pvid: bool, untagged: bool) -> None:
        """Make the owner a member with exactly these flags (__vlan_add_flags)."""
        self.vids[vid] = untagged
        if pvid:
            self.pvid = vid
        elif self.pvid == vid:
            self.pvid = 0

    def remove(self, vid: int) -> None:
        """End the membership (__vlan_del)."""
        self.vids.pop(vid, None)
        if self.pvid == vid:
            self.pvid = 0

    def is_default(self, vid: int) -> bool:
        """Say whether an entry is still as the default PVID made it (vlan_default_pvid)."""
        return vid == self.pvid and self.vids.get(vid, False)


Classified: TypeAlias = "tuple[int, Frame] | Drop"


def classify(group: VlanGroup, tpid: int, frame: Frame) -> Classified:
    """Put a frame that comes in into a VLAN; a tag of the other ethertype is payload (__allowed_ingress)."""
    if not frame.accel and frame.proto in VLAN_ETHERTYPES and frame.proto == tpid:
        popped = frame.pop_inband()
        if popped is None:
            return Drop.VLAN_TOO_SHORT
        frame = popped
    if frame.accel and frame.accel >> 16 != tpid:
        frame = frame.push_inband()
    vid = frame.accel & VID_MASK
    if vid:
        return (vid, frame) if vid in group.vids else Drop.BRIDGE_VLAN_INGRESS
    pvid = group.pvid
    if not pvid:
        return Drop.BRIDGE_NO_PVID
    return pvid, frame.with_accel((frame.accel or tpid << 16) | pvid)


def learning_vid(group: VlanGroup, tpid: int, frame: Frame) -> int | None:
    """Return the VLAN in which to learn a reserved-address frame's source; None: not at all (br_should_learn)."""
    vid = frame.accel & VID_MASK if frame.accel >> 16 == tpid else 0
    if not vid:
        return group.pvid or None
    return vid if vid in group.vids else None


def untag(group: VlanGroup, vid: int, frame: Frame) -> Frame:
    """Take the tag off where the VLAN leaves untagged (br_handle_vlan)."""
    return frame.with_accel(0) if group.vids.get(vid) else frame
