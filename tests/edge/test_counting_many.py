"""A count of many products reads ahead what bears on them, and comes to the same figures as each by itself."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import sync.stock_tables
from edge.counting import close_session, count_product, open_session, record_looks
from edge.doctor import examine
from edge.selling import LineRequest, sell
from edge.stock import QuantityRequest, dispatch_transfer, open_stock, receive_transfer
from sync.read_ahead import ReadAhead
from tests.edge.shops import Shops, carry, exchange, figures

DRINKS = [f"P1{number:03d}" for number in range(20)]


def _a_day_with_a_count(shops: Shops, seed: int) -> None:
    """Two tills trade and count by zones, each behind the other; goods go to another shop and come back."""
    rng = Random(seed)
    one, other, branch = shops.make_node("A1"), shops.make_node("A2"), shops.make_node("B1", "B")

    def trade(times: int) -> None:
        for _ in range(times):
            lines = [LineRequest(product, rng.randint(1, 4) * 1000) for product in rng.sample(DRINKS, 4)]
            sell(rng.choice((one, other)), lines)
            shops.pass_minutes(rng.random() * 3)

    open_stock(one, [QuantityRequest(product, 50_000) for product in DRINKS])
    exchange(one, other)
    for session in range(2):
        trade(15)
        sent = dispatch_transfer(one, "B", [QuantityRequest(product, 2_000) for product in DRINKS[:6]])
        carry(one, branch, "loc/A")
        receive_transfer(branch, sent.transfer, [QuantityRequest(DRINKS[0], 1_000)], origin="A")
        opened = open_session(one, ("back", "front"), DRINKS).session
        exchange(one, other)
        for node, zone in ((one, "back"), (other, "front")):
            for product in rng.sample(DRINKS, 14):
                count_product(node, product, rng.randint(0, 30) * 1000, session=opened, zone=zone)
            trade(4)
            record_looks(node, opened)
        if session:
            carry(branch, one, "loc/B")
        exchange(one, other)
        assert close_session(one, opened, confirm_zeros=True).is_closed
        trade(5)
        exchange(one, other)
    assert figures(one) == figures(other)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_read_ahead_comes_to_what_each_key_by_itself_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    made: list[int] = []

    def counted(*about: object) -> ReadAhead:
        made.append(1)
        return ReadAhead(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(sync.stock_tables, "ReadAhead", counted)
    monkeypatch.setattr(sync.stock_tables, "KEYS_MIN", 1)
    shops = Shops(tmp_path)
    try:
        _a_day_with_a_count(shops, seed)
        assert made, "nothing was read ahead"
        made.clear()
        monkeypatch.setattr(sync.stock_tables, "KEYS_MIN", 1_000_000)
        for node in shops.nodes.values():
            assert not examine(node).findings, "folded anew, key by key, the figures are others"
        assert not made
    finally:
        shops.close()
