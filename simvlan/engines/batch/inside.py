"""Whose an IPv4 address is, for networks with ipvlan: the same idea as `Stations`, but addresses never move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simvlan.devices.ipvlan import IpvlanPort
from simvlan.engines.batch.interner import U64, Interner

if TYPE_CHECKING:
    from simvlan.engines.batch.anatomy import Anatomy
    from simvlan.engines.batch.frames import FrameBatch

NOBODY = 0


class Addresses:
    """Roles of IPv4 addresses. 0 is nobody's; the others are numbered as they are met."""

    def __init__(self, anatomy: Anatomy) -> None:
        owners: dict[int, list[tuple[int, int]]] = {}
        for dev in anatomy.devices:
            port = dev.rx_handler
            for octets, slave in port.table.items() if isinstance(port, IpvlanPort) else ():
                place = slave.addresses.index(octets)
                owners.setdefault(int.from_bytes(octets, "big"), []).append((anatomy.number[slave], place))
        self._table = Interner()
        self._table.add(np.array(list(owners), np.uint64))
        roles: dict[tuple[int, ...], int] = {}
        role, limb = [NOBODY], [-1]
        for number, (address, found) in enumerate(owners.items()):
            device, place = found[0]
            own = int(anatomy.limb_of[device])
            name: tuple[int, ...] = (0, address, number)
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
        roles = self._role[destination] << np.uint64(12) | self._role[source]
        return roles, np.stack((self._limb[destination], self._limb[source]))

    def _index(self, addresses: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return 1 + the number of each address, 0 for nobody's."""
        found = self._table.find(addresses.astype(np.uint64))
        return np.where(found == self._table.missing, 0, found + np.uint64(1)).astype(np.int64)
