"""The devices of a network namespace, as one rtnetlink dump tells them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from . import rtnetlink as rt
from .rtnetlink import Attributes, Rtnetlink, attributes


class NotKnown(Exception):  # noqa: N818 - iproute2 will know
    """Not one of the forms that are known here: iproute2 itself has to do it."""


@dataclass(frozen=True)
class Link:
    """One device: struct ifinfomsg and its attributes."""

    index: int
    type: int
    flags: int
    attributes: Attributes

    @property
    def name(self) -> str:
        """Its name."""
        return self.attributes[rt.IFLA_IFNAME].rstrip(b"\0").decode()


def links(net: Rtnetlink, family: int = 0) -> list[Link]:
    """All of them, in the kernel's order."""
    bodies = net.dump(rt.GETLINK, rt.link_head(family) + rt.u32(rt.IFLA_EXT_MASK, rt.FILTER_VF))
    return [_link(body) for body in bodies]


def _link(body: bytes) -> Link:
    kind, index, flags = struct.unpack_from("=HiI", body, 2)
    return Link(index, kind, flags, attributes(body[16:]))


def name_of(index: int, all_links: Iterable[Link]) -> str:
    """ll_index_to_name: a device's name, `if7` where there is none."""
    return next((each.name for each in all_links if each.index == index), f"if{index}")
