"""The customer gets the cheapest legal combination, the same on every till, and the receipt can say why."""

from __future__ import annotations

from itertools import combinations, permutations, product
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.amounts import Milli, Minor
from schema.identity import ProductId
from schema.kinds.trading import LineDiscount
from schema.rows import PromotionKind, PromotionRow
from schema.rules.promotion_terms import (
    EVERYTHING,
    BasketLine,
    Language,
    LocalMoment,
    Promotion,
    is_open,
    may_combine,
    read_terms,
    reason_sentence,
    write_terms,
)
from schema.rules.promotions import Applied, best_combination
from schema.rules.rounding import PricePer

NOON = LocalMoment(1_000_000, 3, 12 * 60)
KIND = PromotionKind
COLA, MILK, BREAD, PEARS = (ProductId(code) for code in ("cola", "milk", "bread", "pears"))


def line(code: str, price: int, pieces: int = 1, category: str = "", **other: object) -> BasketLine:
    fields = {
        "product": ProductId(code),
        "quantity_milli": Milli(pieces * 1000),
        "price_minor": Minor(price),
        "amount_minor": Minor(price * pieces),
        "category": category,
    }
    return msgspec.convert(fields | other, BasketLine)


def weighed(code: str, amount: int, grams: int, price: int) -> BasketLine:
    return line(code, price, quantity_milli=grams, amount_minor=amount, per=PricePer.KG, is_weighed=True)


def promotion(kind: PromotionKind, code: str = "P", **terms: object) -> Promotion:
    return msgspec.convert({"code": code, "name": code, "kind": kind} | terms, Promotion)


def priced(
    basket: list[BasketLine], *promotions: Promotion, tiers: tuple[str, ...] = (), coupons: tuple[str, ...] = ()
) -> Applied:
    return best_combination(basket, promotions, NOON, tiers, coupons)


def amounts(applied: Applied) -> list[int]:
    return [each.amount_minor for each in applied.lines]


# Each kind by itself.


def test_a_percentage_is_taken_off_each_piece_and_off_weighed_goods() -> None:
    percent = promotion(KIND.PERCENT_OFF, categories=("fruit",), percent_ppm=200_000)
    basket = [line("apple", 333, 3, "fruit"), line("cola", 350), weighed("pears", 1234, 617, 2000)]
    basket[2] = msgspec.structs.replace(basket[2], category="fruit")
    assert amounts(priced(basket, percent)) == [999 - 3 * 67, 350, 1234 - 247]


def test_an_amount_off_named_goods_is_for_each_piece_and_never_below_zero() -> None:
    off = promotion(KIND.AMOUNT_OFF, products=("cola", "gum"), amount_minor=100)
    assert amounts(priced([line("cola", 350, 2), line("gum", 60)], off)) == [500, 0]


def test_a_special_price_is_taken_only_where_it_is_lower_and_for_its_selling_unit() -> None:
    special = promotion(KIND.SPECIAL_PRICE, products=("cola",), amount_minor=300)
    assert amounts(priced([line("cola", 350, 2)], special)) == [600]
    assert amounts(priced([line("cola", 280, 2)], special)) == [560]
    assert amounts(priced([line("cola", 7600, 1, unit="case")], special)) == [7600]


def test_a_special_price_of_weighed_goods_is_for_the_weight() -> None:
    special = promotion(KIND.SPECIAL_PRICE, products=("pears",), amount_minor=1500)
    assert amounts(priced([weighed("pears", 1234, 617, 2000)], special)) == [926]


def test_of_buy_two_get_one_the_cheapest_is_free_and_the_bought_ones_bear_the_discount_too() -> None:
    offer = promotion(KIND.BUY_N_GET_M, products=("a", "b", "c"), buy_count=2, free_count=1)
    applied = priced([line("a", 500), line("b", 300), line("c", 200)], offer)
    assert applied.discount_minor == 200
    assert amounts(applied) == [400, 240, 160]
    assert applied.reasons[0].times == 1


def test_six_pieces_are_grouped_so_that_the_customer_saves_most() -> None:
    offer = promotion(KIND.BUY_N_GET_M, categories=("x",), buy_count=2, free_count=1)
    basket = [line(code, price, 1, "x") for code, price in zip("abcdef", (900, 800, 700, 300, 200, 100), strict=True)]
    assert priced(basket, offer).discount_minor == 700 + 100


def test_the_free_goods_may_be_others_than_the_bought_ones() -> None:
    offer = promotion(KIND.BUY_N_GET_M, products=("milk",), buy_count=2, parts=({"count": 1, "products": ("bread",)},))
    assert priced([line("milk", 600, 4), line("bread", 450, 3)], offer).discount_minor == 900
    assert priced([line("milk", 600, 1), line("bread", 450, 3)], offer).discount_minor == 0


def test_three_for_ten_takes_the_dearest_pieces_and_leaves_the_rest_at_their_price() -> None:
    offer = promotion(KIND.N_FOR_PRICE, products=("a", "b"), buy_count=3, amount_minor=1000)
    applied = priced([line("a", 450, 2), line("b", 390, 2)], offer)
    assert applied.discount_minor == 450 * 2 + 390 - 1000
    assert priced([line("b", 300, 3)], offer).discount_minor == 0


def test_weighed_goods_and_lines_already_discounted_are_never_counted_as_pieces() -> None:
    offer = promotion(KIND.N_FOR_PRICE, products=("pears", "cola"), buy_count=2, amount_minor=100)
    label = line("cola", 350, 2, amount_minor=Minor(650))
    assert priced([weighed("pears", 2000, 1000, 2000), label], offer).discount_minor == 0


def test_a_mixed_set_takes_its_pieces_from_each_group() -> None:
    parts = ({"count": 1, "categories": ("main",)}, {"count": 2, "categories": ("drink",)})
    offer = promotion(KIND.MIX_AND_MATCH, parts=parts, amount_minor=2000)
    basket = [line("rice", 1500, 2, "main"), line("cola", 350, 3, "drink"), line("tea", 500, 1, "drink")]
    assert priced(basket, offer).discount_minor == (1500 * 2 + 500 + 350 * 3) - 4000
    percent = promotion(KIND.MIX_AND_MATCH, parts=parts, percent_ppm=100_000)
    assert priced(basket, percent).discount_minor == 150 * 2 + 50 + 35 * 3


def test_a_threshold_gives_once_or_for_each_time_that_it_is_reached() -> None:
    once = promotion(KIND.AMOUNT_OFF, threshold_minor=10_000, amount_minor=2000)
    each = msgspec.structs.replace(once, is_each=True)
    basket = [line("a", 12_500, 2)]
    assert priced(basket, once).discount_minor == 2000
    assert priced(basket, each).discount_minor == 4000
    assert priced(basket, msgspec.structs.replace(each, limit=1)).discount_minor == 2000
    assert priced([line("a", 9_999)], once).discount_minor == 0


def test_a_basket_discount_is_spread_by_largest_remainder() -> None:
    off = promotion(KIND.AMOUNT_OFF, threshold_minor=Minor(1000), amount_minor=Minor(100))
    applied = priced([line("a", 333), line("b", 333), line("c", 334)], off)
    assert [each.discounts for each in applied.lines] == [
        (LineDiscount("promotion", "P", share),) for share in (33, 33, 34)
    ]


def test_member_prices_are_for_their_tier_alone() -> None:
    offer = promotion(KIND.SPECIAL_PRICE, products=("cola",), amount_minor=300, tiers=("gold",))
    assert priced([line("cola", 350)], offer).discount_minor == 0
    assert priced([line("cola", 350)], offer, tiers=("silver",)).discount_minor == 0
    assert priced([line("cola", 350)], offer, tiers=("gold",)).discount_minor == 50


def test_a_coupon_must_be_presented_and_a_single_use_one_is_reported_as_used() -> None:
    coupon = promotion(KIND.AMOUNT_OFF, amount_minor=500, coupon="SPRING-*", is_single_use=True)
    assert priced([line("a", 2000)], coupon).discount_minor == 0
    assert priced([line("a", 2000)], coupon, coupons=("SPRING-",)).discount_minor == 0
    applied = priced([line("a", 2000)], coupon, coupons=("SPRING-22", "SPRING-17", "OTHER"))
    assert (applied.discount_minor, applied.coupons) == (500, ("SPRING-17",))
    assert priced([line("a", 0)], coupon, coupons=("SPRING-22",)).coupons == ()


def test_a_limit_holds_for_the_whole_basket() -> None:
    special = promotion(KIND.SPECIAL_PRICE, products=("cola", "milk"), amount_minor=100, limit=3)
    assert priced([line("cola", 350, 2), line("milk", 600, 2)], special).discount_minor == 500 * 2 + 250
    sets = promotion(KIND.N_FOR_PRICE, products=("cola",), buy_count=2, amount_minor=500, limit=2)
    assert priced([line("cola", 350, 9)], sets).discount_minor == 400


def test_prices_that_a_person_keyed_in_and_excepted_goods_are_left_alone() -> None:
    percent = promotion(KIND.PERCENT_OFF, percent_ppm=100_000, except_categories=("tobacco",), except_products=("d",))
    basket = [line("a", 1000, is_promotable=False), line("b", 1000, 1, "tobacco"), line("c", 1000), line("d", 1000)]
    assert amounts(priced(basket, percent)) == [1000, 1000, 900, 1000]


# Together.


def test_a_piece_is_claimed_once_and_goes_where_most_is_saved() -> None:
    three = promotion(KIND.N_FOR_PRICE, "A", products=("cola",), buy_count=3, amount_minor=900)
    free = promotion(KIND.BUY_N_GET_M, "B", products=("cola",), buy_count=1, free_count=1)
    applied = priced([line("cola", 400, 5)], three, free)
    assert applied.discount_minor == 800  # Two pairs and one single beat a set of three with a pair (300 + 400).
    assert [reason.code for reason in applied.reasons] == ["B"]


def test_a_goods_promotion_is_left_out_where_it_would_cost_a_larger_basket_discount() -> None:
    special = promotion(KIND.SPECIAL_PRICE, "A", products=("cola",), amount_minor=300)
    threshold = promotion(KIND.AMOUNT_OFF, "B", threshold_minor=10_000, amount_minor=2000)
    applied = priced([line("cola", 350, 2), line("rice", 9300)], special, threshold)
    assert [reason.code for reason in applied.reasons] == ["B"]
    assert applied.total_minor == 8000


def test_basket_promotions_go_by_priority_and_skip_promoted_lines_where_they_say_so() -> None:
    special = promotion(KIND.SPECIAL_PRICE, "A", products=("cola",), amount_minor=100)
    percent = promotion(KIND.PERCENT_OFF, "B", percent_ppm=100_000, skips_promoted=True)
    assert amounts(priced([line("cola", 350), line("rice", 1000)], special, percent)) == [100, 900]
    amount = promotion(KIND.AMOUNT_OFF, "C", amount_minor=500, priority=1)
    plain = promotion(KIND.PERCENT_OFF, "B", percent_ppm=100_000)
    assert priced([line("rice", 1000)], plain, amount).total_minor == 450
    assert priced([line("rice", 1000)], plain, msgspec.structs.replace(amount, priority=-1)).total_minor == 400


def test_groups_that_refuse_each_other_are_never_combined_and_the_better_one_stands() -> None:
    special = promotion(KIND.SPECIAL_PRICE, "A", products=("cola",), amount_minor=300, groups=("week",))
    percent = promotion(KIND.PERCENT_OFF, "B", percent_ppm=100_000, not_with=("week",))
    assert [r.code for r in priced([line("cola", 350), line("rice", 100)], special, percent).reasons] == ["A"]
    assert [r.code for r in priced([line("cola", 350), line("rice", 900)], special, percent).reasons] == ["B"]
    alone = promotion(KIND.AMOUNT_OFF, "C", amount_minor=10, not_with=(EVERYTHING,))
    assert not may_combine(alone, special)
    assert [r.code for r in priced([line("cola", 350)], special, alone).reasons] == ["A"]


# When.


@pytest.mark.parametrize(
    ("weekday", "minute", "expected"),
    [
        (5, 21 * 60 + 59, False),
        (5, 22 * 60, True),
        (6, 119, True),
        (6, 120, False),
        (6, 23 * 60, False),
        (5, 60, False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_began(weekday: int, minute: int, expected: bool) -> None:
    night = promotion(KIND.PERCENT_OFF, percent_ppm=1, weekdays=(5,), from_minute=22 * 60, until_minute=120)
    assert is_open(night, LocalMoment(0, weekday, minute)) is expected


def test_dates_and_minutes_include_their_start_and_exclude_their_end() -> None:
    offer = promotion(
        KIND.PERCENT_OFF, percent_ppm=1, valid_from_ms=10, valid_until_ms=20, from_minute=60, until_minute=120
    )
    assert [is_open(offer, LocalMoment(ms, 1, 60)) for ms in (9, 10, 19, 20)] == [False, True, True, False]
    assert [is_open(offer, LocalMoment(10, 1, minute)) for minute in (59, 60, 119, 120)] == [False, True, True, False]
    assert is_open(promotion(KIND.PERCENT_OFF, percent_ppm=1, from_minute=600), LocalMoment(0, 1, 1439))


# As data.


def test_what_the_hub_imports_from_a_table_is_a_promotion_of_the_till() -> None:
    row = PromotionRow(
        code="P4", name="满减", kind=KIND.AMOUNT_OFF, amount_minor=Minor(1000), threshold_minor=Minor(10_000)
    )
    read = read_terms(msgspec.json.encode(row).decode())
    assert read is not None
    assert best_combination([line("a", 12_000)], [read], NOON).discount_minor == 1000
    full = promotion(KIND.MIX_AND_MATCH, parts=({"count": 2, "products": ("a",)},), weekdays=(1, 7), tiers=("gold",))
    assert read_terms(write_terms(full)) == full


@pytest.mark.parametrize(
    "terms",
    [
        None, 7, "", "{", "{}", '{"code":"a","name":"a","kind":"lottery"}',
        '{"code":"a","name":"a","kind":"percent-off"}',
        '{"code":"a","name":"a","kind":"percent-off","percent_ppm":1000001}',
        '{"code":"a","name":"a","kind":"amount-off","amount_minor":-1}',
        '{"code":"a","name":"a","kind":"n-for-price","amount_minor":1}',
        '{"code":"a","name":"a","kind":"special-price","amount_minor":1}',
        '{"code":"a","name":"a","kind":"mix-and-match"}',
        '{"code":"a","name":"a","kind":"mix-and-match","parts":[{"count":0}]}',
        '{"code":"a","name":"a","kind":"buy-n-get-m","buy_count":2}',
        '{"code":"a","name":"a","kind":"percent-off","percent_ppm":1,"weekdays":[0]}',
        '{"code":"a","name":"a","kind":"percent-off","percent_ppm":1,"from_minute":1440}',
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_are_no_promotion_and_stop_no_till(terms: object) -> None:
    assert read_terms(terms) is None


def test_a_reason_reads_as_a_shop_would_write_it_in_both_languages() -> None:
    def words(applied: Applied) -> tuple[str, str]:
        return reason_sentence(applied.reasons[0], Language.ZH), reason_sentence(applied.reasons[0], Language.EN)

    basket = [line("a", 10_000, 3)]
    cases = {
        promotion(KIND.PERCENT_OFF, percent_ppm=200_000): ("8折", "20% off"),
        promotion(KIND.PERCENT_OFF, percent_ppm=150_000, name="店庆"): ("店庆 85折", "店庆 15% off"),
        promotion(KIND.PERCENT_OFF, percent_ppm=125_000): ("87.5%价", "12.5% off"),
        promotion(KIND.PERCENT_OFF, percent_ppm=1_000_000): ("免费", "free"),
        promotion(KIND.AMOUNT_OFF, amount_minor=1000, threshold_minor=10_000): ("满100减10元", "10 off from 100"),
        promotion(KIND.SPECIAL_PRICE, amount_minor=150, products=("a",)): ("特价1.50元", "special price 1.50"),
        promotion(KIND.BUY_N_GET_M, buy_count=2, free_count=1, products=("a",)): ("买2送1", "buy 2 get 1 free"),
        promotion(KIND.N_FOR_PRICE, buy_count=3, amount_minor=1000, products=("a",)): ("3件10元", "3 for 10"),
        promotion(KIND.MIX_AND_MATCH, parts=({"count": 2},), amount_minor=1000): ("组合价10元", "set for 10"),
        promotion(KIND.MIX_AND_MATCH, parts=({"count": 2},), percent_ppm=500_000): ("组合5折", "set 50% off"),
    }
    assert {p: words(priced(basket, p)) for p in cases} == cases


# Properties.

PRODUCTS = ("a", "b", "c", "d")
GROUPS = ("g", "h")


@st.composite
def baskets(draw: st.DrawFn, lines_max: int = 6, pieces_max: int = 3) -> list[BasketLine]:
    found = []
    for _ in range(draw(st.integers(1, lines_max))):
        code = draw(st.sampled_from(PRODUCTS))
        price = draw(st.sampled_from([0, 1, 99, 100, 250, 333, 500, 997]))
        if draw(st.integers(0, 5)) == 0:
            found.append(weighed(code, price, 500, price * 2))
        else:
            pieces = draw(st.integers(1, pieces_max))
            extra = {"is_promotable": False} if draw(st.integers(0, 9)) == 0 else {}
            found.append(line(code, price, pieces, "x" if code in "ab" else "y", **extra))
    return found


@st.composite
def offers(draw: st.DrawFn, offers_max: int = 5) -> list[Promotion]:
    found = []
    for number in range(draw(st.integers(0, offers_max))):
        kind = draw(st.sampled_from(list(KIND)))
        scope: dict[str, object] = draw(
            st.sampled_from([{}, {"products": ("a",)}, {"products": ("a", "c")}, {"categories": ("x",)},
                             {"categories": ("y",)}])
        )  # fmt: skip
        terms: dict[str, object] = {
            "amount_minor": draw(st.sampled_from([1, 50, 200, 500])),
            "limit": draw(st.sampled_from([0, 0, 0, 1, 2])),
            "groups": draw(st.sampled_from([(), (), *[(group,) for group in GROUPS]])),
            "not_with": draw(st.sampled_from([(), (), (), *[(group,) for group in GROUPS], (EVERYTHING,)])),
            "priority": draw(st.integers(0, 2)),
        }
        match kind:
            case KIND.PERCENT_OFF:
                terms |= {"percent_ppm": draw(st.sampled_from([50_000, 333_333, 500_000, 1_000_000]))}
                terms |= {"threshold_minor": draw(st.sampled_from([0, 0, 500, 1000]))}
                terms |= {"skips_promoted": draw(st.booleans())}
            case KIND.AMOUNT_OFF:
                terms |= {"threshold_minor": draw(st.sampled_from([0, 300, 800])), "is_each": draw(st.booleans())}
            case KIND.SPECIAL_PRICE:
                scope = scope or {"products": ("b",)}
            case KIND.BUY_N_GET_M:
                terms |= {"buy_count": draw(st.integers(1, 2)), "free_count": 1}
                if draw(st.booleans()):
                    terms |= {"parts": ({"count": 1, "products": ("d", "a")},)}
            case KIND.N_FOR_PRICE:
                terms |= {"buy_count": draw(st.integers(1, 3))}
            case KIND.MIX_AND_MATCH:
                terms |= {"parts": ({"count": 1, "categories": ("x",)}, {"count": 1, "products": ("a", "d")})}
                terms |= {"percent_ppm": draw(st.sampled_from([0, 400_000]))}
        found.append(promotion(kind, f"P{number}", **scope, **terms))
    return found


@given(baskets(), offers())
def test_no_promotion_raises_an_amount_and_shares_sum_to_the_discount(
    basket: list[BasketLine], promotions: list[Promotion]
) -> None:
    applied = priced(basket, *promotions)
    for before, after in zip(basket, applied.lines, strict=True):
        assert 0 <= after.amount_minor <= before.amount_minor
        assert all(discount.share_minor > 0 for discount in after.discounts)
        assert after.amount_minor + sum(d.share_minor for d in after.discounts) == before.amount_minor
        assert before.is_promotable or not after.discounts
    assert applied.total_minor == sum(amounts(applied))
    shares: dict[str, int] = {}
    for discount in (each for after in applied.lines for each in after.discounts):
        shares[discount.reference] = shares.get(discount.reference, 0) + discount.share_minor
    assert shares == {reason.code: reason.discount_minor for reason in applied.reasons}
    used = [next(p for p in promotions if p.code == reason.code) for reason in applied.reasons]
    assert all(may_combine(one, other) for one, other in combinations(used, 2))
    for one, reason in zip(used, applied.reasons, strict=True):
        assert not one.limit or reason.times <= one.limit


@given(baskets(), offers(), st.integers(0, 999))
def test_the_order_of_lines_and_promotions_never_matters(
    basket: list[BasketLine], promotions: list[Promotion], seed: int
) -> None:
    random = Random(seed)
    places = random.sample(range(len(basket)), len(basket))
    applied = priced(basket, *promotions)
    again = priced([basket[place] for place in places], *random.sample(promotions, len(promotions)))
    assert (again.total_minor, again.reasons, again.is_exact) == (
        applied.total_minor,
        applied.reasons,
        applied.is_exact,
    )

    def bag(lines: list[BasketLine], found: Applied) -> list[str]:
        return sorted(repr(pair) for pair in zip(lines, found.lines, strict=True))

    assert bag([basket[place] for place in places], again) == bag(basket, applied)


@given(baskets(), offers(4), offers(1))
def test_a_promotion_more_never_makes_the_customer_pay_more(
    basket: list[BasketLine], promotions: list[Promotion], more: list[Promotion]
) -> None:
    added = [msgspec.structs.replace(one, code="Q") for one in more]
    before, after = priced(basket, *promotions), priced(basket, *promotions, *added)
    assert before.is_exact
    assert after.is_exact
    assert after.total_minor <= before.total_minor


@settings(max_examples=150)
@given(baskets(), offers(5))
def test_no_legal_set_of_promotions_is_cheaper_than_the_one_found(
    basket: list[BasketLine], promotions: list[Promotion]
) -> None:
    """Every subset whose promotions combine, each with all that it gives, costs at least as much."""
    best = priced(basket, *promotions)
    for size in range(len(promotions) + 1):
        for some in combinations(promotions, size):
            if all(may_combine(one, other) for one, other in combinations(some, 2)):
                assert best.total_minor <= priced_without_choice(basket, some)


def test_pieces_go_alike_whatever_promotions_are_switched_off() -> None:
    """Sets that save the same leave different lines to a threshold: which is filled may not hang on what is unused."""
    sets = promotion(KIND.MIX_AND_MATCH, "P0", percent_ppm=400_000,
                     parts=({"count": 1, "categories": ("x",)}, {"count": 1, "products": ("a", "d")}))  # fmt: skip
    half = promotion(KIND.PERCENT_OFF, "P1", products=("a", "c"), percent_ppm=500_000, threshold_minor=500)
    unused = promotion(KIND.BUY_N_GET_M, "P2", products=("a",), buy_count=1, free_count=1, limit=1)
    basket = [line("d", 500, 2, "y"), line("a", 500, 3, "x")]
    assert priced(basket, sets, half).total_minor == 1150
    assert priced(basket, sets, half, unused).total_minor == 1150

    gift = promotion(KIND.BUY_N_GET_M, "P0", buy_count=1, limit=1, parts=({"count": 1, "products": ("d", "a")},))
    penny = promotion(KIND.N_FOR_PRICE, "P1", products=("a",), buy_count=1, amount_minor=1)
    free = promotion(KIND.PERCENT_OFF, "P3", products=("a",), percent_ppm=1_000_000, threshold_minor=500)
    basket = [line("b", 1, 1, "x"), line("a", 250, 3, "x")]
    assert priced(basket, gift, free).total_minor == 0
    assert priced(basket, gift, penny, free).total_minor == 0


def priced_without_choice(basket: list[BasketLine], promotions: tuple[Promotion, ...]) -> int:
    """Apply all of some promotions: goods by trying every way to use the pieces, then the basket's by priority."""
    goods = [one for one in promotions if not one.is_for_basket]
    left = best_combination(basket, goods, NOON)
    rest = list(left.lines)
    due = [each.amount_minor for each in rest]
    for one in sorted((p for p in promotions if p.is_for_basket), key=lambda p: (-p.priority, p.code)):
        places = [
            n for n, each in enumerate(basket)
            if each.is_promotable and each.amount_minor > 0 and in_scope(one, each)
            and not (one.skips_promoted and rest[n].discounts)
        ]  # fmt: skip
        reached, base = sum(rest[n].amount_minor for n in places), sum(due[n] for n in places)
        if not places or reached < one.threshold_minor:
            continue
        if one.kind is KIND.PERCENT_OFF:
            discount = (2 * base * one.percent_ppm + 1_000_000) // 2_000_000
        else:
            times = reached // one.threshold_minor if one.is_each and one.threshold_minor else 1
            discount = min(base, one.amount_minor * min(times, one.limit or times))
        if discount:
            from schema.rules.allocation import allocate

            order = sorted(places, key=lambda n: (repr(basket[n]), n))
            for n, share in zip(order, allocate(discount, [due[n] for n in order]), strict=True):
                due[n] = Minor(due[n] - share)
    return sum(due)


def in_scope(one: Promotion, each: BasketLine) -> bool:
    if not one.products and not one.categories:
        return True
    return each.product in one.products or each.category in one.categories


def uses(one: Promotion, pieces: list[tuple[int, str, str, bool]]) -> int | None:
    """Return what one use of a goods promotion saves on exactly these pieces, the best way round; None: no use."""

    def fits(piece: tuple[int, str, str, bool], products: tuple[str, ...], categories: tuple[str, ...]) -> bool:
        return (not products and not categories) or piece[1] in products or piece[2] in categories

    inside = all(fits(piece, one.products, one.categories) for piece in pieces)
    is_whole = any(piece[3] for piece in pieces)
    price = sum(piece[0] for piece in pieces)
    match one.kind:
        case KIND.PERCENT_OFF if inside and len(pieces) == 1:
            return (2 * price * one.percent_ppm + 1_000_000) // 2_000_000
        case KIND.AMOUNT_OFF if inside and len(pieces) == 1 and not is_whole:
            return min(price, one.amount_minor)
        case KIND.SPECIAL_PRICE if inside and len(pieces) == 1:
            special = (one.amount_minor + 1) // 2 if is_whole else one.amount_minor  # Weighed: 500 g at a kg's price.
            return max(0, price - special)
        case KIND.N_FOR_PRICE if inside and len(pieces) == one.buy_count and not is_whole:
            return price - one.amount_minor
        case KIND.BUY_N_GET_M if one.parts and len(pieces) == one.buy_count + 1 and not is_whole:
            ways = [
                p[-1][0]
                for p in permutations(pieces)
                if all(fits(each, one.products, one.categories) for each in p[:-1])
                and fits(p[-1], one.parts[0].products, ())
            ]
            return max(ways, default=None)
        case KIND.BUY_N_GET_M if inside and not one.parts and len(pieces) == one.buy_count + 1 and not is_whole:
            return min(piece[0] for piece in pieces)
        case KIND.MIX_AND_MATCH if len(pieces) == 2 and not is_whole:
            first, second = one.parts
            if any(
                fits(p, first.products, first.categories) and fits(q, second.products, second.categories)
                for p, q in permutations(pieces)
            ):
                if one.percent_ppm:
                    return sum((2 * p[0] * one.percent_ppm + 1_000_000) // 2_000_000 for p in pieces)
                return price - one.amount_minor
    return None


def most_saved(pieces: list[tuple[int, str, str, bool]], goods: list[Promotion], used: tuple[int, ...]) -> int:
    """Try every way to put pieces into uses of promotions, the first piece first."""
    if not pieces:
        return 0
    head, tail = pieces[0], pieces[1:]
    best = most_saved(tail, goods, used)
    for number, one in enumerate(goods):
        if one.limit and used[number] >= one.limit:
            continue
        counted = (*used[:number], used[number] + 1, *used[number + 1 :])
        for size in range(min(3, len(tail)) + 1):
            for others in combinations(range(len(tail)), size):
                saved = uses(one, [head, *(tail[n] for n in others)])
                if saved is not None and saved > 0:
                    rest = [piece for n, piece in enumerate(tail) if n not in others]
                    best = max(best, saved + most_saved(rest, goods, counted))
    return best


@settings(max_examples=150, deadline=None)
@given(baskets(lines_max=4, pieces_max=2), offers(3))
def test_pieces_are_shared_out_as_well_as_by_trying_every_way(
    basket: list[BasketLine], promotions: list[Promotion]
) -> None:
    goods = [msgspec.structs.replace(one, not_with=()) for one in promotions if not one.is_for_basket]
    pieces: list[tuple[int, str, str, bool]] = []
    for each in basket:
        if each.is_promotable and each.amount_minor > 0:
            count = each.pieces
            price = each.price_minor if count else each.amount_minor
            pieces += [(price, each.product, each.category, not count)] * (count or 1)
    pieces = pieces[:6]
    kept: list[BasketLine] = []
    for each in basket:
        if each.is_promotable and each.amount_minor > 0:
            kept.append(each)
    if sum(each.pieces or 1 for each in kept) > 6:
        return
    applied = priced(basket, *goods)
    assert applied.is_exact
    assert applied.discount_minor == most_saved(pieces, goods, (0,) * len(goods))


def test_a_search_that_meets_its_bound_is_legal_repeatable_and_says_so() -> None:
    random = Random(7)
    basket = [line(f"p{n}", random.randrange(100, 3000), 40) for n in range(40)]
    names = [f"p{n}" for n in range(40)]
    crowd = [
        promotion(
            KIND.N_FOR_PRICE, f"S{n}", products=tuple(random.sample(names, 20)), buy_count=3 + n % 4,
            amount_minor=random.randrange(500, 4000), not_with=(f"g{n % 3}",), groups=(f"g{n % 5}",),
        )
        for n in range(12)
    ]  # fmt: skip
    applied = priced(basket, *crowd)
    assert not applied.is_exact
    assert applied == priced(basket, *reversed(crowd))
    assert applied.discount_minor > 0
    assert all(
        0 <= after.amount_minor <= before.amount_minor for before, after in zip(basket, applied.lines, strict=True)
    )
    used = [next(p for p in crowd if p.code == reason.code) for reason in applied.reasons]
    assert all(may_combine(one, other) for one, other in combinations(used, 2))


def test_a_small_amount_off_for_each_yuan_is_counted_and_not_listed() -> None:
    each = promotion(KIND.AMOUNT_OFF, "A", threshold_minor=1, amount_minor=1, is_each=True, not_with=("g",))
    other = promotion(KIND.AMOUNT_OFF, "B", threshold_minor=1, amount_minor=400, groups=("g",), not_with=("g",))
    special = promotion(KIND.SPECIAL_PRICE, "C", products=("a",), amount_minor=300)
    applied = priced([line("a", 500), line("rice", 10**9)], each, other, special)
    assert (applied.total_minor, applied.is_exact) == (0, True)
    assert priced([line("a", 500)], msgspec.structs.replace(each, limit=100), other, special).total_minor == 0


def test_an_ordinary_basket_is_searched_exactly() -> None:
    applied = best_combination(*ordinary())
    assert applied.is_exact
    assert len(applied.reasons) > 5


def ordinary() -> tuple[list[BasketLine], list[Promotion], LocalMoment]:
    """Thirty lines, and two hundred promotions of which about twenty meet the basket."""
    basket = [line(f"p{n}", 150 + 37 * n, 1 + n % 4, f"c{n % 6}") for n in range(30)]
    kinds = list(product(range(10), range(20)))
    promotions = [
        promotion(KIND.SPECIAL_PRICE, f"X{a}-{b}", products=tuple(f"q{a}{b}{n}" for n in range(10)), amount_minor=100)
        for a, b in kinds[:180]
    ]
    for n in range(6):
        promotions.append(promotion(KIND.SPECIAL_PRICE, f"A{n}", products=(f"p{n}", f"p{n + 6}"), amount_minor=140 + n))
    promotions += [
        promotion(KIND.PERCENT_OFF, f"B{n}", categories=(f"c{n}",), percent_ppm=50_000 * (n + 1)) for n in range(4)
    ]
    promotions += [
        promotion(KIND.BUY_N_GET_M, "C1", categories=("c1",), buy_count=2, free_count=1),
        promotion(KIND.BUY_N_GET_M, "C2", products=("p8", "p14", "p20"), buy_count=3, free_count=1),
        promotion(KIND.N_FOR_PRICE, "D1", categories=("c3",), buy_count=3, amount_minor=1500),
        promotion(KIND.N_FOR_PRICE, "D2", products=("p4", "p10", "p16"), buy_count=2, amount_minor=500),
        promotion(KIND.MIX_AND_MATCH, "E1", amount_minor=1200,
                  parts=({"count": 1, "products": ("p5", "p11")}, {"count": 1, "products": ("p17", "p23")})),
        promotion(KIND.AMOUNT_OFF, "F1", threshold_minor=20_000, amount_minor=1500, is_each=True),
        promotion(KIND.AMOUNT_OFF, "F2", threshold_minor=50_000, amount_minor=6000, not_with=("f",), groups=("f",)),
        promotion(KIND.AMOUNT_OFF, "F3", threshold_minor=30_000, amount_minor=3000, not_with=("f",), groups=("f",)),
        promotion(KIND.PERCENT_OFF, "G1", percent_ppm=20_000, tiers=("gold",)),
        promotion(KIND.PERCENT_OFF, "G2", percent_ppm=30_000, except_categories=("c5",)),
    ]  # fmt: skip
    return basket, promotions, NOON
