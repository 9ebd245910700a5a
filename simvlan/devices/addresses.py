"""The addresses that a device listens to beside its own, and who asked for them. Mirrors net/core/dev_addr_lists.c.

A device that stands on another hands its list down: the lower device holds a reference, and so does the device itself
for as long as the address is handed down. Either list may be flushed meanwhile (a move to another namespace does that);
then the other still counts what is no longer there.
"""

from __future__ import annotations


class AddressList(dict[int, int]):
    """MAC -> references, in the order of their coming (struct netdev_hw_addr_list).

    Attributes:
        handed: addresses handed down to the lower device (sync_cnt, never more than one: there is one lower device).
        received: references by which devices above hand theirs down (synced).
    """

    __slots__ = ("handed", "received")

    def __init__(self) -> None:
        super().__init__()
        self.handed: set[int] = set()
        self.received: dict[int, int] = {}

    def add(self, mac: int) -> None:
        """Add a reference (__hw_addr_add)."""
        self[mac] = self.get(mac, 0) + 1

    def remove(self, mac: int) -> bool:
        """Drop a reference, whoever's it is; whether there was one (__hw_addr_del)."""
        if mac not in self:
            return False
        self[mac] -= 1
        if not self[mac]:
            del self[mac]
            self.handed.discard(mac)
            self.received.pop(mac, None)
        return True

    def sync(self, lower: AddressList) -> None:
        """Hand down what is new, and take back what nobody but the lower list holds any more (__hw_addr_sync)."""
        for mac in tuple(self):
            if mac not in self.handed:
                self._hand_down(mac, lower)
            elif self[mac] == 1:
                self._take_back(mac, lower)

    def unsync(self, lower: AddressList) -> None:
        """Take back everything (__hw_addr_unsync)."""
        for mac in tuple(self):
            if mac in self.handed:
                self._take_back(mac, lower)

    def _hand_down(self, mac: int, lower: AddressList) -> None:
        """Hold it in both lists (__hw_addr_sync_one)."""
        lower.add(mac)
        lower.received[mac] = lower.received.get(mac, 0) + 1
        self.add(mac)
        self.handed.add(mac)

    def _take_back(self, mac: int, lower: AddressList) -> None:
        """Let go of it in both lists, unless the lower one knows of none handed down (__hw_addr_unsync_one)."""
        if lower.received.get(mac):
            lower.received[mac] -= 1
            lower.remove(mac)
            self.handed.discard(mac)
            self.remove(mac)

    def flush(self) -> None:
        """Forget everything and tell nobody (__hw_addr_flush)."""
        self.clear()
        self.handed.clear()
        self.received.clear()
