"""Owns the basket: a value that the screen replaces with each key, and what it costs at a moment.

Edits are pure functions that return a new basket; they refuse what no basket can hold. Prices, promotions and
discounts are not kept in it: `price_basket` finds them anew each time, so that a basket that was parked in the morning
costs what its goods cost now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from edge.catalog import price_at, product_of
from edge.clock_source import local_time
from edge.node import Node
from schema.catalogue import KitPart
from schema.errors import RefusalError
from schema.identity import ProductId
from schema.kinds.trading import LineDiscount
from schema.rules import promotion_terms as terms
from schema.rules.allocation import allocate
from schema.rules.card_numbers import refuse_card_number
from schema.rules.deposits import DEPOSIT, EMPTIES
from schema.rules.pricing import PriceSource
from schema.rules.promotion_terms import PPM, Language, LocalMoment, reason_sentence
from schema.rules.promotions import REASON, best_combination
from schema.rules.rounding import PricePer, line_amount, scale

LINES_MAX: Final = 200
"""More lines than this, each with discounts, might not fit an entry of 64 KiB: pay, and begin another basket."""
QUANTITY_MILLI_MAX: Final = 9_999_000
"""More of one line than this is a mistyped quantity."""
PRICE_MINOR_MAX: Final = 99_999_999
REASON_LENGTH_MAX: Final = 60
OPEN: Final = "open"
"""The price source of goods that the catalogue does not know, or has no price for."""
_PER: Final = {1000: PricePer.PIECE, 500: PricePer.JIN, 100: PricePer.HECTOGRAM}


class BasketLine(msgspec.Struct, frozen=True, array_like=True):
    """What the cashier put into the basket; prices are found when it is priced.

    `quantity_milli` counts the selling unit `unit` (empty: the base unit, which people call `unit_name`), each of
    `factor_milli` base units. `override_minor` is a keyed price, `discount_minor` what is taken off the line and
    `discount_ppm` a share of it. `gift_reason` makes it free. `label_amount_minor` is what a scale printed: it wins
    over weight × price. `expiry` is an ISO date. `approver` allowed what this line needed a second person for.
    `is_empties`: the customer brings these back, and is given their deposit.
    """

    product: str
    name: str
    unit: str = ""
    unit_name: str = ""
    factor_milli: int = 1000
    quantity_milli: int = 1000
    category: str = ""
    tax_class: str = "13"
    is_weighed: bool = False
    is_known: bool = True
    barcode: str = ""
    override_minor: int | None = None
    discount_minor: int = 0
    discount_ppm: int = 0
    gift_reason: str = ""
    label_amount_minor: int | None = None
    lot: str = ""
    expiry: str = ""
    serial: str = ""
    approver: str = ""
    is_empties: bool = False

    @property
    def is_plain(self) -> bool:
        """Tell whether another scan of the same goods may be counted onto this line."""
        return not (
            self.is_weighed or self.override_minor is not None or self.discount_minor or self.discount_ppm
            or self.gift_reason or self.label_amount_minor is not None or self.lot or self.expiry or self.serial
            or self.is_empties
        )  # fmt: skip


class Member(msgspec.Struct, frozen=True, array_like=True):
    """Who buys: the person's random id and price tier, and how the screen names them."""

    person: str
    phone_masked: str = ""
    name: str = ""
    tier: str = ""


class Basket(msgspec.Struct, frozen=True, array_like=True):
    """What a customer is about to buy. `discount_minor` and `discount_ppm` are taken off the whole, by hand.

    `approvers` allowed what needed a second person; `flags` go into the sale as they are.
    """

    lines: tuple[BasketLine, ...] = ()
    member: Member | None = None
    coupons: tuple[str, ...] = ()
    discount_minor: int = 0
    discount_ppm: int = 0
    approvers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    label: str = ""

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is in it."""
        return not self.lines


EMPTY: Final = Basket()


class PricedLine(msgspec.Struct, frozen=True):
    """A line as it costs now. `amount_minor` is what is due for it after every discount but 抹零.

    `per_milli` is the quantity that a price buys (1,000: a piece or kilogram; 500: 斤). `reasons` say in the
    customer's language why it is cheaper. `difference_minor` is a label's amount less weight × price, None without a
    label. `is_unpriced`: a person must key its price.
    """

    line: BasketLine
    list_price_minor: int
    price_minor: int
    per_milli: int
    source: str
    list_amount_minor: int
    amount_minor: int
    discounts: tuple[LineDiscount, ...] = ()
    reasons: tuple[str, ...] = ()
    difference_minor: int | None = None
    is_unpriced: bool = False
    parts: tuple[KitPart, ...] = ()


class PricedBasket(msgspec.Struct, frozen=True):
    """A basket as it costs at `moment_ms`; `pieces` counts as people do, a weighed package is one.

    `discount_minor` is what the goods would cost without any discount, less `total_minor`. `reasons` are the
    promotions that gave something, `coupons_used` the single-use codes among them, `coupons_idle` the codes that were
    presented and gave nothing.
    """

    lines: tuple[PricedLine, ...]
    total_minor: int
    list_total_minor: int
    discount_minor: int
    pieces: int
    moment_ms: int
    reasons: tuple[str, ...] = ()
    coupons_used: tuple[str, ...] = ()
    coupons_idle: tuple[str, ...] = ()

    @property
    def unpriced(self) -> tuple[int, ...]:
        """Return the places of the lines whose price a person must key."""
        return tuple(place for place, line in enumerate(self.lines) if line.is_unpriced)


# Edits.


def add(basket: Basket, line: BasketLine) -> Basket:
    """Return the basket with a line more; the same plain goods as in the last line are counted onto it."""
    check_quantity(line, line.quantity_milli)
    last = basket.lines[-1] if basket.lines else None
    if last is not None and last.is_plain and line.is_plain and last.is_known and _same_goods(last, line):
        quantity = last.quantity_milli + line.quantity_milli
        check_quantity(last, quantity)
        return _with_line(basket, len(basket.lines) - 1, msgspec.structs.replace(last, quantity_milli=quantity))
    if len(basket.lines) >= LINES_MAX:
        raise RefusalError("basket_full", f"a basket holds {LINES_MAX} lines: take the money for these first",
                           lines=LINES_MAX)  # fmt: skip
    return msgspec.structs.replace(basket, lines=(*basket.lines, line))


def _same_goods(one: BasketLine, other: BasketLine) -> bool:
    return (one.product, one.unit, one.factor_milli) == (other.product, other.unit, other.factor_milli)


def check_quantity(line: BasketLine, quantity_milli: int) -> None:
    """Refuse a quantity that no line can have: nothing, too much, or a broken piece."""
    if quantity_milli <= 0:
        raise RefusalError("quantity_zero", "a quantity is more than nothing", name=line.name)
    if quantity_milli > QUANTITY_MILLI_MAX:
        raise RefusalError("quantity_large", f"a line holds at most {QUANTITY_MILLI_MAX // 1000}: was it a barcode?",
                           most=QUANTITY_MILLI_MAX // 1000)  # fmt: skip
    if not line.is_weighed and quantity_milli * line.factor_milli % 1_000_000:
        raise RefusalError("quantity_broken", f"{line.name} is sold in whole pieces", name=line.name)
    if line.serial and quantity_milli != 1000:
        raise RefusalError("quantity_serial", f"{line.name} with serial number {line.serial} is one piece",
                           name=line.name, serial=line.serial)  # fmt: skip


def check_price(price_minor: int) -> None:
    """Refuse a keyed price that no goods have: nothing is given away by keying zero, that is a gift line."""
    if price_minor <= 0:
        raise RefusalError("price_zero", "a price is more than nothing: use a gift line to give something away")
    if price_minor > PRICE_MINOR_MAX:
        raise RefusalError("price_large", "this price is too high: was it a barcode?", most=PRICE_MINOR_MAX // 100)


def _line_at(basket: Basket, place: int) -> BasketLine:
    if not 0 <= place < len(basket.lines):
        raise RefusalError("line_missing", f"the basket has no line {place + 1}", line=place + 1)
    return basket.lines[place]


def _with_line(basket: Basket, place: int, line: BasketLine) -> Basket:
    return msgspec.structs.replace(basket, lines=(*basket.lines[:place], line, *basket.lines[place + 1 :]))


def set_quantity(basket: Basket, place: int, quantity_milli: int) -> Basket:
    """Return the basket with another quantity of a line; a scale's label is what it is."""
    line = _line_at(basket, place)
    if line.label_amount_minor is not None:
        raise RefusalError("quantity_label", "the label says how much this is: void the line, or scan it again")
    check_quantity(line, quantity_milli)
    return _with_line(basket, place, msgspec.structs.replace(line, quantity_milli=quantity_milli))


def set_price(basket: Basket, place: int, price_minor: int, *, approver: str = "") -> Basket:
    """Return the basket with a keyed price on a line, for the quantity that its price is for."""
    check_price(price_minor)
    line = _line_at(basket, place)
    return _with_line(
        basket, place,
        msgspec.structs.replace(
            line, override_minor=price_minor, label_amount_minor=None, gift_reason="",
            approver=approver or line.approver,
        ),
    )  # fmt: skip


def set_line_discount(
    basket: Basket, place: int, *, discount_minor: int = 0, discount_ppm: int = 0, approver: str = ""
) -> Basket:
    """Return the basket with an amount or a share taken off a line; zero of both takes it back."""
    line = _line_at(basket, place)
    _check_discount(discount_minor, discount_ppm)
    changed = msgspec.structs.replace(
        line, discount_minor=discount_minor, discount_ppm=discount_ppm, approver=approver or line.approver
    )
    return _with_line(basket, place, changed)


def set_basket_discount(
    basket: Basket, *, discount_minor: int = 0, discount_ppm: int = 0, approver: str = ""
) -> Basket:
    """Return the basket with an amount or a share taken off the whole; zero of both takes it back."""
    _check_discount(discount_minor, discount_ppm)
    changed = msgspec.structs.replace(basket, discount_minor=discount_minor, discount_ppm=discount_ppm)
    return approve(changed, approver)


def _check_discount(discount_minor: int, discount_ppm: int) -> None:
    if discount_minor < 0 or not 0 <= discount_ppm <= PPM or (discount_minor and discount_ppm):
        raise RefusalError("discount_invalid", "a discount is an amount, or a share of at most 100 %")


def set_gift(basket: Basket, place: int, reason: str, *, approver: str = "") -> Basket:
    """Return the basket with a line given away (赠品); an empty reason takes that back."""
    line = _line_at(basket, place)
    refuse_card_number(reason, lambda _: False)
    if len(reason) > REASON_LENGTH_MAX:
        raise RefusalError("text_long", f"a reason has at most {REASON_LENGTH_MAX} characters", most=REASON_LENGTH_MAX)
    changed = msgspec.structs.replace(
        line, gift_reason=reason.strip(), discount_minor=0, discount_ppm=0, approver=approver or line.approver
    )
    return _with_line(basket, place, changed)


def take_empties(node: Node, basket: Basket, place: int) -> Basket:
    """Return the basket with a line's goods brought back empty (退空瓶), or sold again where they were.

    A line of a deposit article turns round; one of goods that bear deposits gives way to its empties, for an empty
    bottle bears the barcode of what was in it. Raises RefusalError `empties_unknown` for other goods.
    """
    line = _line_at(basket, place)
    found = product_of(node, line.product) if line.is_known else None
    if found is None or not (found.product.is_deposit or found.product.deposits):
        raise RefusalError("empties_unknown", f"{line.name} bears no deposit", name=line.name)
    if found.product.is_deposit:
        return _with_line(basket, place, msgspec.structs.replace(line, is_empties=not line.is_empties))
    empties = [msgspec.structs.replace(one, is_empties=True) for one in _deposit_lines(node, [line])]
    return msgspec.structs.replace(basket, lines=(*basket.lines[:place], *empties, *basket.lines[place + 1 :]))


def _deposit_lines(node: Node, lines: Iterable[BasketLine]) -> list[BasketLine]:
    """Return the deposits that are charged with goods, one line an article."""
    charged: dict[str, int] = {}
    for line in lines:
        found = product_of(node, line.product) if line.is_known and not line.is_empties else None
        for one in found.product.deposits if found is not None else ():
            if one.unit in {"", line.unit}:
                times = line.quantity_milli * (1000 if one.unit else line.factor_milli) // 1000
                charged[one.product] = charged.get(one.product, 0) + times * one.quantity_milli // 1000
    found_lines = []
    for article, quantity in charged.items():
        found = product_of(node, article)
        product = found.product if found is not None else None
        if quantity > 0:
            found_lines.append(
                BasketLine(
                    article, product.name if product else article, unit_name=product.unit_name if product else "",
                    quantity_milli=quantity, category=product.category if product else "",
                    tax_class=product.tax_class if product else "13", is_known=product is not None,
                )
            )  # fmt: skip
    return found_lines


def void(basket: Basket, place: int) -> Basket:
    """Return the basket without a line; who has to be told of it, `edge.parking.record_voids` tells."""
    _line_at(basket, place)
    return msgspec.structs.replace(basket, lines=basket.lines[:place] + basket.lines[place + 1 :])


def clear(basket: Basket) -> Basket:
    """Return an empty basket."""
    del basket
    return EMPTY


def set_member(basket: Basket, member: Member | None) -> Basket:
    """Return the basket of a member, or of nobody who is known."""
    return msgspec.structs.replace(basket, member=member)


def add_coupon(basket: Basket, code: str) -> Basket:
    """Return the basket with a coupon presented; the same one twice is one."""
    if code in basket.coupons:
        raise RefusalError("coupon_twice", f"coupon {code} is in the basket already", coupon=code)
    return msgspec.structs.replace(basket, coupons=(*basket.coupons, code))


def remove_coupon(basket: Basket, code: str) -> Basket:
    """Return the basket without a coupon."""
    return msgspec.structs.replace(basket, coupons=tuple(one for one in basket.coupons if one != code))


def approve(basket: Basket, approver: str) -> Basket:
    """Return the basket with a second person's approval, once each."""
    if not approver or approver in basket.approvers:
        return basket
    return msgspec.structs.replace(basket, approvers=(*basket.approvers, approver))


# Prices.


def price_basket(
    node: Node, basket: Basket, moment_ms: int | None = None, language: Language = Language.ZH
) -> PricedBasket:
    """Price a basket at a moment (now where none is given): prices, gifts, promotions, discounts by hand.

    It refuses nothing: a line without a price is marked, and a discount gives at most what there is.
    """
    moment_ms = node.now_ms() if moment_ms is None else moment_ms
    node.known.refresh(node.connection)
    tiers = frozenset({basket.member.tier}) if basket.member is not None and basket.member.tier else frozenset[str]()
    lines = [_price_line(node, line, moment_ms, tiers) for line in basket.lines]
    goods = [line for line in lines if not line.line.is_empties]
    goods, sentences, used, idle = _promoted(node, basket, goods, moment_ms, tiers, language)
    left = iter(_with_basket_discount(basket, goods))
    lines = [line if line.line.is_empties else next(left) for line in lines]
    deposits = [_price_line(node, line, moment_ms, tiers) for line in _deposit_lines(node, basket.lines)]
    lines += [msgspec.structs.replace(line, source=DEPOSIT) for line in deposits]
    total = sum(line.amount_minor for line in lines)
    listed = sum(line.list_amount_minor for line in lines)
    return PricedBasket(
        tuple(lines), total, listed, listed - total, sum(map(_pieces, basket.lines)), moment_ms, sentences, used, idle
    )


def _pieces(line: BasketLine) -> int:
    if line.is_empties:
        return 0
    return 1 if line.is_weighed or line.quantity_milli % 1000 else line.quantity_milli // 1000


def _price_line(node: Node, line: BasketLine, moment_ms: int, tiers: frozenset[str]) -> PricedLine:
    found = node.known.product(node.connection, line.product) if line.is_known else None
    chosen = price_at(found, line.unit, moment_ms, tiers) if found is not None else None
    parts = found.product.parts if found is not None else ()
    if chosen is None and line.override_minor is None and line.label_amount_minor is None:
        return PricedLine(line, 0, 0, 1000, OPEN, 0, 0, is_unpriced=True, parts=parts)
    per = chosen.per.milli if chosen is not None else 1000
    if line.override_minor is not None:
        price, source = line.override_minor, PriceSource.OVERRIDE.value if chosen is not None else OPEN
        listed = chosen.list_minor if chosen is not None else price
    elif chosen is not None:
        price, source, listed = chosen.price_minor, chosen.source.value, chosen.list_minor
    else:
        price, source, listed = 0, OPEN, 0
    amount: int = line_amount(price, line.quantity_milli, _PER[per])
    difference = None
    list_amount = max(amount, line_amount(listed, line.quantity_milli, _PER[per]))
    if line.label_amount_minor is not None:
        difference = line.label_amount_minor - amount if chosen is not None else None
        amount = list_amount = line.label_amount_minor
        source = PriceSource.LABEL.value
    discounts: tuple[LineDiscount, ...] = ()
    if line.gift_reason:
        discounts, amount = (LineDiscount("gift", line.gift_reason, amount),) if amount else (), 0
    elif line.discount_minor or line.discount_ppm:
        share = min(amount, line.discount_minor or scale(amount, line.discount_ppm, PPM))
        discounts, amount = (LineDiscount("line", "", share),) if share else (), amount - share
    if line.is_empties:
        return PricedLine(line, price, price, per, EMPTIES, -amount, -amount)
    return PricedLine(
        line, listed, price, per, source, list_amount, amount, discounts, difference_minor=difference, parts=parts
    )


def _promoted(
    node: Node, basket: Basket, lines: list[PricedLine], moment_ms: int, tiers: frozenset[str], language: Language
) -> tuple[list[PricedLine], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    promotions = node.known.promotions(node.connection)
    if not promotions or not lines:
        return lines, (), (), basket.coupons
    local = local_time(moment_ms, node.config.time_zone)
    moment = LocalMoment(moment_ms, local.isoweekday(), local.hour * 60 + local.minute)
    applied = best_combination([_for_promotions(line) for line in lines], promotions, moment, tiers, basket.coupons)
    if not applied.reasons:
        return lines, (), (), basket.coupons
    sentences = {reason.code: reason_sentence(reason, language) for reason in applied.reasons}
    promoted = [
        msgspec.structs.replace(
            line, amount_minor=new.amount_minor, discounts=(*line.discounts, *new.discounts),
            reasons=tuple(sentences[discount.reference] for discount in new.discounts if discount.reason == REASON),
        )
        if new.discounts
        else line
        for line, new in zip(lines, applied.lines, strict=True)
    ]  # fmt: skip
    gave = {reason.coupon for reason in applied.reasons}
    idle = tuple(code for code in basket.coupons if code not in gave)
    return promoted, tuple(sentences.values()), applied.coupons, idle


def _for_promotions(line: PricedLine) -> terms.BasketLine:
    goods = line.line
    return terms.BasketLine(
        product=ProductId(goods.product),
        quantity_milli=goods.quantity_milli,  # type: ignore[arg-type]
        price_minor=line.price_minor,  # type: ignore[arg-type]
        amount_minor=line.amount_minor,  # type: ignore[arg-type]
        category=goods.category,
        unit=goods.unit,
        per=_PER[line.per_milli] if not goods.is_weighed or line.per_milli != 1000 else PricePer.KG,
        is_weighed=goods.is_weighed,
        is_promotable=goods.override_minor is None and not goods.gift_reason and not line.is_unpriced,
    )


def _with_basket_discount(basket: Basket, lines: Sequence[PricedLine]) -> list[PricedLine]:
    due = sum(line.amount_minor for line in lines)
    discount = min(due, basket.discount_minor or scale(due, basket.discount_ppm, PPM))
    return spread(lines, discount, "basket")


def spread(lines: Sequence[PricedLine], amount_minor: int, reason: str, reference: str = "") -> list[PricedLine]:
    """Return the lines with an amount off the whole spread over them by largest remainder; a negative one adds.

    Deposits and empties bear no share: what was charged is what is given back.
    """
    if not amount_minor:
        return list(lines)
    shares = allocate(
        amount_minor, [0 if line.source in {DEPOSIT, EMPTIES} else max(0, line.amount_minor) for line in lines]
    )
    return [
        msgspec.structs.replace(
            line,
            amount_minor=line.amount_minor - share,
            discounts=(*line.discounts, LineDiscount(reason, reference, share)) if share else line.discounts,
        )
        for line, share in zip(lines, shares, strict=True)
    ]
