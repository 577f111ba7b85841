"""Bits that flip in a node's files are found, or change nothing that anybody reads."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults import bit_flips
from tests.faults.fault import NEVER


@pytest.mark.long
def test_no_flipped_bit_shows_a_wrong_figure_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bit_flips, "FLIPS", 30)
    met: Counter[str] = Counter()
    for seed in (1, 2):
        met += bit_flips.run(seed, NEVER).facts
    assert met["node.db-wal: found at the start: the lost tail is named"]
    assert met.total() == 60
