"""A till killed while it replays a log loses nothing that it acknowledged, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killed_replays import DEATHS, kill_replays


@pytest.mark.long
def test_a_replay_killed_at_any_write_keeps_every_acknowledged_sale_whole_and_sells_the_rest_once(
    tmp_path: Path,
) -> None:
    tally = kill_replays(tmp_path, kills=6 * len(DEATHS), seed=2026)
    assert set(tally.kills) == {death.value for death in DEATHS}
