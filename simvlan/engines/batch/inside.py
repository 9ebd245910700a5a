"""Whose an IP address is, for networks with ipvlan: the same idea as `Stations`, but addresses never move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simvlan.devices.ipvlan import IpvlanPort
from simvlan.devices.ipvlan_key import destination_key, source_key
from simvlan.engines.batch import parse
from simvlan.engines.batch.interner import U64, Interner
from simvlan.frame import ETH_HLEN, IPV6, VLAN_HLEN, Frame

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.engines.batch.frames import FrameBatch

NOBODY = 0
IPV4_SIZE = 4


def _size(item: tuple[bytes, object]) -> int:
    return len(item[0])


class Addresses:
    """Roles of IPv4 and IPv6 addresses. 0 is nobody's; the others are numbered as they are met."""

    def __init__(self, anatomy: Anatomy) -> None:
        owners: dict[bytes, list[tuple[int, int]]] = {}
        for dev in anatomy.devices:
            port = dev.rx_handler
            for octets, slave in port.table.items() if isinstance(port, IpvlanPort) else ():
                owners.setdefault(octets, []).append((anatomy.number[slave], slave.addresses.index(octets)))
        owners = dict(sorted(owners.items(), key=_size))
        four = [int.from_bytes(octets, "big") for octets in owners if len(octets) == IPV4_SIZE]
        self._table = Interner()
        self._table.add(np.array(four, np.uint64))
        self._six = {octets: 1 + n for n, octets in enumerate(owners) if len(octets) != IPV4_SIZE}
        roles: dict[tuple[int, ...], int] = {}
        role, limb = [NOBODY], [-1]
        for number, found in enumerate(owners.values()):
            device, place = found[0]
            own = int(anatomy.limb_of[device])
            name: tuple[int, ...] = (0, number)
            if own >= 0 and len(found) == 1:
                name = (1, int(anatomy.breed_of[own]), int(anatomy.place_of[device]), place)
            else:
                own = -1
            role.append(roles.setdefault(name, len(roles) + 1))
            limb.append(own)
        self._role: NDArray[np.uint64] = np.array(role, np.uint64)
        self._limb: NDArray[np.int32] = np.array(limb, np.int32)

    def of(self, batch: FrameBatch) -> tuple[U64, NDArray[np.int32]]:
        """Return the roles of destination and source as 24 bits, and their limbs, int32 (2, n)."""
        destination, source = self._index(batch.ip_dst), self._index(batch.ip_src)
        for at in np.flatnonzero(batch.ethertype == IPV6).tolist() if self._six else ():
            tags = int(parse.depth(batch.tags[at : at + 1])[0])
            packet = Frame(0, 0, IPV6, batch.octets(at)[ETH_HLEN + VLAN_HLEN * tags :])
            destination[at] = self._six.get(destination_key(packet) or b"", 0)
            source[at] = self._six.get(source_key(packet) or b"", 0)
        roles = self._role[destination] << np.uint64(12) | self._role[source]
        return roles, np.stack((self._limb[destination], self._limb[source]))

    def _index(self, addresses: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return 1 + the number of each address, 0 for nobody's."""
        found = self._table.find(addresses.astype(np.uint64))
        return np.where(found == self._table.missing, 0, found + np.uint64(1)).astype(np.int64)
