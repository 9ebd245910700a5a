"""Mixed traffic through `simvlan live`: two minutes in CI, 20 seconds elsewhere; `make soak-live` for an hour.

In a file of its own, so that the other half of a parallel run goes on meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernels import require_host_tun
from tests.live_bench import machine
from tests.live_soak import soak

pytestmark = pytest.mark.kernel

SECONDS = 120 if os.environ.get("CI", "").lower() in ("1", "true", "yes") else 20


def test_mixed_traffic_leaves_nothing_behind(tmp_path: Path) -> None:
    """Memory, descriptors and every frame's count are as they must be, and the machine's network as it was."""
    require_host_tun()
    before = machine()
    seen = soak(tmp_path, SECONDS)
    assert seen["faults"] == [], seen
    assert seen["counters"]["real 1"]["tx"] > 250 * SECONDS
    assert machine() == before
