"""A van's settlement is a fold over a set of entries: it adds up, whatever the order, and one day opens the next."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from schema.kinds.balances import BalanceMove, BalancePaid
from schema.kinds.base import Payload, StockMove
from schema.kinds.stock import GoodsReceived, StockAdjusted, StockRepacked, TransferDispatched, TransferReceived
from schema.kinds.trading import LineDiscount, Refund, RefundLine, Sale, SaleLine, ShiftClosed, Tender
from schema.rules.van_settlement import settle

PRODUCTS = ("11001", "11002", "19001")
PRICES = {"11001": (200, 1000), "11002": (350, 1000), "19001": (1280, 1000)}
_products = st.sampled_from(PRODUCTS)
_milli = st.integers(1, 40).map(lambda pieces: pieces * 1000)


def _sale(product: str, milli: int, *, is_gift: bool, means: str) -> Sale:
    amount = 0 if is_gift else PRICES[product][0] * milli // 1000
    discounts = (LineDiscount("gift", "赠品", 500),) if is_gift else ()
    line = SaleLine(product, "", 1000, milli, 1, 1, 1000, "list", amount, "13", 1300, discounts)
    return Sale("V1-1-1", "2026-03-02", "V1-2026-03-02", "o1", (line,), (StockMove(product, -milli),),
                (Tender(means, amount),), amount)  # fmt: skip


def _refund(product: str, milli: int) -> Refund:
    amount = PRICES[product][0] * milli // 1000
    line = RefundLine(0, product, "", 1000, milli, amount, "13", 1300, "shelf")
    return Refund("V1-1-2", "2026-03-02", "V1-2026-03-02", "o1", "", (line,), (StockMove(product, milli),),
                  (Tender("cash", amount),), amount)  # fmt: skip


def _adjusted(reason: str, product: str, milli: int) -> StockAdjusted:
    sign = 1 if reason == "found" else -1
    return StockAdjusted(reason, "o1", (StockMove(product, sign * milli),))


_events: st.SearchStrategy[Payload] = st.one_of(
    st.builds(_sale, _products, _milli, is_gift=st.booleans(), means=st.sampled_from(("cash", "account"))),
    st.builds(_refund, _products, _milli),
    st.builds(_adjusted, st.sampled_from(("wastage", "damage", "own_use", "gift", "found")), _products, _milli),
    st.builds(lambda p, q: TransferReceived("T1", "W", "o1", (StockMove(p, q),)), _products, _milli),
    st.builds(lambda p, q: TransferDispatched("T2", "W", "o1", (StockMove(p, -q),)), _products, _milli),
    st.builds(lambda p, q: GoodsReceived("", "", "o1", (StockMove(p, q),)), _products, _milli),
    st.builds(
        lambda p, q: StockRepacked("o1", (StockMove(p, -1000), StockMove("11002", q))), st.just("11001"), _milli
    ),
    st.builds(lambda counted, expected: ShiftClosed("s", "o1", counted, expected), st.integers(0, 900_00),
              st.integers(0, 900_00)),
    st.builds(
        lambda amount: BalancePaid("V1-1-3", "2026-03-02", "s", "o1", "repaid",
                                   (BalanceMove("customer-credit", "p1", -amount),), (Tender("cash", amount),), amount,
                                   "", "p1"),
        st.integers(1, 50_000),
    ),
)  # fmt: skip
_days = st.lists(_events, max_size=20)
_shelves = st.dictionaries(_products, st.integers(-5, 60).map(lambda pieces: pieces * 1000))


def _net(events: Sequence[Payload]) -> dict[str, int]:
    """Add the movements up as the stock does."""
    sums: dict[str, int] = {}
    for event in events:
        for move in getattr(event, "moves", ()):
            if isinstance(move, StockMove):
                sums[move.product] = sums.get(move.product, 0) + move.quantity_milli
    return sums


@given(_shelves, _days, _shelves)
def test_every_line_adds_up_to_what_moved(opening: dict[str, int], day: list[Payload], closing: dict[str, int]) -> None:
    net = _net(day)
    lines = {line.product: line for line in settle(opening, day, closing, PRICES).lines}
    for product in PRODUCTS:
        book = opening.get(product, 0) + net.get(product, 0)
        line = lines.get(product)
        if line is None:
            assert book == 0
            assert not closing.get(product)
            continue
        assert line.book_milli == book
        assert line.left_milli == closing.get(product, book)
        assert line.difference_milli == (book - closing[product] if product in closing else 0)
        assert line.value_minor == PRICES[product][0] * line.difference_milli // 1000
        assert min(line.loaded_milli, line.returned_milli, line.found_milli, line.sold_milli, line.sent_milli,
                   line.wasted_milli, line.given_milli) >= 0  # fmt: skip


@given(_shelves, _days, _shelves, st.randoms(use_true_random=False))
def test_the_order_of_entries_decides_nothing(
    opening: dict[str, int], day: list[Payload], closing: dict[str, int], random: object
) -> None:
    shuffled = list(day)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert settle(opening, shuffled, closing, PRICES) == settle(opening, day, closing, PRICES)


@given(_shelves, _days, _days)
def test_what_one_settlement_leaves_aboard_is_what_the_next_one_opens_with(
    opening: dict[str, int], first: list[Payload], second: list[Payload]
) -> None:
    whole = settle(opening, [*first, *second], {})
    between = {line.product: line.left_milli for line in settle(opening, first, {}).lines}
    after = settle(between, second, {})
    assert {line.product: line.left_milli for line in after.lines if line.left_milli} == {
        line.product: line.left_milli for line in whole.lines if line.left_milli
    }
    both = settle(opening, first, {})
    assert both.cash_expected_minor + after.cash_expected_minor == whole.cash_expected_minor
    assert both.sales + after.sales == whole.sales


@given(_days)
def test_money_by_means_is_what_was_paid(day: list[Payload]) -> None:
    found = settle({}, day, {})
    sold = sum(event.total_minor for event in day if isinstance(event, Sale))
    collected = sum(event.total_minor for event in day if isinstance(event, BalancePaid))
    back = sum(event.total_minor for event in day if isinstance(event, Refund))
    assert sum(one.sales_minor for one in found.means) == sold
    assert sum(one.collected_minor for one in found.means) == collected == sum(found.collected.values())
    assert sum(one.refunds_minor for one in found.means) == back


def test_gifts_are_told_apart_from_what_was_sold_and_a_kits_parts_follow_their_kit() -> None:
    kit = SaleLine("K1", "", 1000, 1000, 0, 0, 1000, "list", 0, "13", 1300, (LineDiscount("gift", "赠品", 900),))
    part = SaleLine("11001", "", 1000, 2000, 0, 0, 1000, "kit", 0, "13", 1300, (), 0)
    sold = SaleLine("11002", "", 1000, 3000, 350, 350, 1000, "list", 1050, "13", 1300)
    moves = (StockMove("11001", -2000), StockMove("11002", -3000))
    sale = Sale("V1-1-1", "2026-03-02", "s", "o1", (kit, part, sold), moves, (Tender("cash", 1050),), 1050)
    lines = {line.product: line for line in settle({}, [sale], {}).lines}
    assert (lines["11001"].given_milli, lines["11001"].sold_milli) == (2000, 0)
    assert (lines["11002"].given_milli, lines["11002"].sold_milli) == (0, 3000)
