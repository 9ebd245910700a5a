"""What devices' counters gained, by name: zeros are left out but can be asked for, what there is not is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simvlan.engines.batch.given import unknown
from simvlan.engines.batch.probe import COUNTERS


class Gain(dict[str, int]):
    """What one device's counters gained: counter -> number. One that is not in it gained nothing."""

    def __missing__(self, name: str) -> int:
        """Return 0 for a counter that gained nothing.

        Raises:
            KeyError: devices have no such counter; names those they have.
        """
        if name in COUNTERS:
            return 0
        raise KeyError(f"{unknown('counter', name, COUNTERS)} Devices have {', '.join(COUNTERS)}")


class Gains(dict[str, Gain]):
    """What all devices' counters gained: path -> `Gain`. A device that is not in it gained nothing."""

    def __init__(self, devices: Sequence[str], totals: Any) -> None:
        super().__init__()
        self.devices = devices
        for number in np.flatnonzero(totals.any(axis=1)).tolist():
            row = zip(COUNTERS, totals[number].tolist(), strict=True)
            self[devices[number]] = Gain((name, value) for name, value in row if value)

    def __missing__(self, path: str) -> Gain:
        """Return no gain for a device of the lab that gained nothing.

        Raises:
            KeyError: the lab has no such device; names those that come near.
        """
        if path in self.devices:
            return Gain()
        raise KeyError(f"{unknown('device', path, self.devices)} Paths are netns/device, see Outcome.devices")
