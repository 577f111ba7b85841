"""Adding an entry kind is one file; everything else finds it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from schema.kinds import KIND_OF, KINDS, collect
from schema.kinds.base import Permission

_NEW_KIND = '''
"""Entries of tastings."""
from schema.kinds.base import Code, Kind, Payload, Permission, StockEffects, StockMove


class TastingGiven(Payload, frozen=True):
    """Goods given away to taste."""

    operator: Code
    moves: tuple[StockMove, ...]


KINDS = (Kind("tasting.given", TastingGiven, Permission.STOCK, effects=lambda p: StockEffects(p.moves, "tasting")),)
'''


def test_a_file_with_a_kind_is_all_that_a_kind_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tastings_of_a_test.py").write_text(_NEW_KIND, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    kinds = collect([*(f"schema.kinds.{name}" for name in ("trading", "stock")), "tastings_of_a_test"])
    monkeypatch.delitem(sys.modules, "tastings_of_a_test")
    added = kinds["tasting.given", 1]
    assert added.permission is Permission.STOCK
    assert set(kinds) > {("sale.completed", 1), ("stock.received", 1)}


def test_a_kind_is_listed_once_and_its_payload_belongs_to_it() -> None:
    assert len(KIND_OF) == len(KINDS)
    with pytest.raises(AssertionError, match="listed twice"):
        collect(["schema.kinds.trading", "schema.kinds.trading"])
