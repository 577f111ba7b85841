"""The price of a moment is chosen from the history; a refund is priced as sold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.amounts import Milli, Minor
from schema.identity import ProductId
from schema.rules.pricing import (
    ChosenPrice,
    ListPrice,
    PriceBook,
    PriceSource,
    RefundAmounts,
    SoldLine,
    refund_as_sold,
)
from schema.rules.rounding import PricePer

COLA = ProductId("cola")
GOLD = frozenset({"gold"})


def price(
    minor: int, start: int = 0, end: int | None = None, tier: str = "", per: PricePer = PricePer.PIECE, rank: int = 0
) -> ListPrice:
    return ListPrice(
        product=COLA,
        unit="pc",
        price_minor=Minor(minor),
        per=per,
        valid_from_ms=start,
        valid_until_ms=end,
        tier=tier,
        rank=rank,
    )


def charged(book: PriceBook, moment_ms: int, tiers: frozenset[str] = frozenset()) -> tuple[int, PriceSource] | None:
    chosen = book.price_at(COLA, "pc", moment_ms, tiers)
    return None if chosen is None else (chosen.price_minor, chosen.source)


def test_a_scheduled_price_takes_effect_at_its_millisecond() -> None:
    book = PriceBook([price(350), price(380, start=1000)])
    assert charged(book, 999) == (350, PriceSource.LIST)
    assert charged(book, 1000) == (380, PriceSource.LIST)
    assert book.next_change_ms(0) == 1000
    assert book.next_change_ms(1000) is None


def test_a_temporary_price_uncovers_the_list_price_when_it_ends() -> None:
    book = PriceBook([price(350), price(299, start=1000, end=2000)])
    assert [charged(book, moment) for moment in (999, 1000, 1999, 2000)] == [
        (350, PriceSource.LIST),
        (299, PriceSource.TEMPORARY),
        (299, PriceSource.TEMPORARY),
        (350, PriceSource.LIST),
    ]
    assert book.next_change_ms(1000) == 2000


def test_a_member_pays_the_member_price_only_where_it_is_lower() -> None:
    book = PriceBook([price(350), price(320, tier="gold"), price(340, start=500), price(310, start=800, end=900)])
    assert charged(book, 0, GOLD) == (320, PriceSource.MEMBER)
    assert charged(book, 0) == (350, PriceSource.LIST)
    assert charged(book, 850, GOLD) == (310, PriceSource.TEMPORARY)
    assert book.price_at(COLA, "pc", 600, GOLD) == ChosenPrice(
        Minor(320), PricePer.PIECE, PriceSource.MEMBER, Minor(340)
    )


def test_member_prices_for_another_weight_are_compared_by_weight() -> None:
    book = PriceBook([price(1280, per=PricePer.KG), price(650, per=PricePer.JIN, tier="gold")])
    assert charged(book, 0, GOLD) == (1280, PriceSource.LIST)
    cheaper = PriceBook([price(1280, per=PricePer.KG), price(630, per=PricePer.JIN, tier="gold")])
    assert charged(cheaper, 0, GOLD) == (630, PriceSource.MEMBER)


def test_a_product_without_a_price_is_asked_for_and_goods_for_members_only_have_one() -> None:
    assert PriceBook([]).price_at(COLA, "pc", 0) is None
    only = PriceBook([price(320, tier="gold")])
    assert charged(only, 0) is None
    assert charged(only, 0, GOLD) == (320, PriceSource.MEMBER)


def test_of_two_prices_with_one_start_the_higher_rank_stands() -> None:
    assert charged(PriceBook([price(350, rank=2), price(360, rank=1)]), 0) == (350, PriceSource.LIST)
    assert len(PriceBook([price(350), price(360)]).history(COLA, "pc")) == 2


@given(
    st.lists(
        st.builds(
            price,
            st.integers(0, 999),
            st.integers(0, 50),
            st.none() | st.integers(0, 60),
            st.sampled_from(["", "gold"]),
            rank=st.integers(0, 3),
        ),
        max_size=12,
    ),
    st.randoms(),
    st.integers(0, 60),
)
def test_the_order_in_which_prices_arrive_never_matters(prices: list[ListPrice], shuffle: object, moment: int) -> None:
    shuffled = sorted(prices, key=lambda _: shuffle.random())  # type: ignore[attr-defined]
    assert PriceBook(prices).price_at(COLA, "pc", moment, GOLD) == PriceBook(shuffled).price_at(
        COLA, "pc", moment, GOLD
    )


def test_a_refund_gives_back_what_was_paid_and_not_todays_price() -> None:
    line = SoldLine(
        quantity_milli=Milli(3000), amount_minor=Minor(1050), allocated_minor=Minor(50), tax_minor=Minor(115)
    )
    assert refund_as_sold(line, 1000) == RefundAmounts(Minor(350), Minor(17), Minor(38), Minor(333))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_returns_of_all_pieces_give_back_exactly_what_was_paid(amount: int, allocated: int, parts: list[int]) -> None:
    quantity, back, paid = sum(parts), 0, 0
    for part in parts:
        line = SoldLine(
            quantity_milli=Milli(quantity),
            amount_minor=Minor(amount),
            allocated_minor=Minor(allocated),
            returned_milli=Milli(back),
        )
        paid += refund_as_sold(line, part).paid_minor
        back += part
    assert paid == amount - allocated


def test_more_than_was_sold_is_never_priced() -> None:
    with pytest.raises(ValueError, match="more would come back"):
        refund_as_sold(SoldLine(quantity_milli=Milli(1000), amount_minor=Minor(350), returned_milli=Milli(1000)), 1)
