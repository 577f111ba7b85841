"""Bits that flip in a node's files are found, or change nothing that anybody reads."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import bit_flips, flipped_backups
from tests.faults.fault import NEVER


@pytest.mark.long
def test_no_flipped_bit_shows_a_wrong_figure_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bit_flips, "FLIPS", 30)
    met: Counter[str] = Counter()
    for seed in (1, 2):
        met += bit_flips.run(seed, NEVER).facts
    assert met["node.db-wal: found at the start: the lost tail is named"]
    assert met.total() == 60


@pytest.mark.long
@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_a_flipped_backup_restores_what_was_sold_or_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flipped_backups, "FLIPS", 14)
    met = flipped_backups.run(tmp_path, random.Random(5), kind, NEVER).facts
    assert met.total() == 14
    assert any("unreadable" in what for what in met), met
    assert met[f"{kind} backup at work: right, then good"]
