"""Whatever a node was doing when it was killed: nothing acknowledged is lost, and nothing is there twice."""

from __future__ import annotations

import pytest

from tests.faults import kills
from tests.faults.fault import NEVER


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_what_was_acknowledged_survives_a_kill_at_any_write_of_any_work(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORK_KILLS", "SYNC_KILLS", "OPENING_KILLS", "RESTORE_KILLS"):
        monkeypatch.setattr(kills, name, 8)
    assert kills.run(seed, NEVER).count >= 3
