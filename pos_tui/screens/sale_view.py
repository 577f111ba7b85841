"""Owns how a priced basket reads on the screen: its rows, its total and the facts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pos_tui.screens.money import money
from pos_tui.widgets.listing import Column, Row
from pos_tui.widgets.total_panel import Fact, TotalFigures
from schema.amounts import format_quantity
from schema.rules.deposits import DEPOSIT

if TYPE_CHECKING:
    from edge.basket import BasketLine, PricedBasket, PricedLine
    from pos_tui.till import Done
    from schema.texts import Texts

PER_WORDS = {500: "per.jin", 100: "per.hectogram"}


def quantity(line: BasketLine) -> str:
    """Write a line's quantity with its unit where that is not a plain piece."""
    return format_quantity(line.quantity_milli) + (line.unit_name if line.is_weighed or line.unit else "")


def columns(t: Texts) -> tuple[Column, ...]:
    """Return the columns of the basket; the code shows where there is room."""
    return (
        Column("#", 3, "right"),
        Column(t("sale.goods")),
        Column(t("sale.code"), 13, from_width=82),
        Column(t("sale.quantity"), 9, "right"),
        Column(t("sale.price"), 9, "right"),
        Column(t("sale.amount"), 10, "right"),
    )


def rows(priced: PricedBasket, t: Texts, today: str) -> list[Row]:
    """Return the rows of a basket: each line, and below it why it costs what it does."""
    found: list[Row] = []
    for number, line in enumerate(priced.lines, 1):
        found.append(_row(number, line, t))
        found += [Row(note=f"  └ {text}", style=style) for text, style in _notes(line, t, today)]
    return found


def _row(number: int, priced: PricedLine, t: Texts) -> Row:
    line = priced.line
    price = "?" if priced.is_unpriced else money(priced.price_minor)
    if priced.per_milli in PER_WORDS:
        price += t(PER_WORDS[priced.per_milli])
    style = "warn" if priced.is_unpriced else ""
    return Row(
        (str(number), line.name, line.barcode or line.product, quantity(line), price, money(priced.amount_minor)), style
    )


def _notes(priced: PricedLine, t: Texts, today: str) -> list[tuple[str, str]]:
    line = priced.line
    notes: list[tuple[str, str]] = []
    if priced.is_unpriced:
        notes.append((t("sale.unpriced"), "warn"))
    if line.is_empties:
        notes.append((t("sale.empties_line"), "good"))
    if priced.source == DEPOSIT:
        notes.append((t("sale.deposit_line"), "muted"))
    if line.gift_reason:
        notes.append((t("sale.gift_line", reason=line.gift_reason), "good"))
    if line.override_minor is not None and priced.list_price_minor and priced.list_price_minor != priced.price_minor:
        notes.append((t("sale.list_price", price=money(priced.list_price_minor)), "muted"))
    by_hand = sum(one.share_minor for one in priced.discounts if one.reason == "line")
    if by_hand:
        notes.append((t("sale.line_discount", amount=money(by_hand)), "good"))
    promoted = sum(one.share_minor for one in priced.discounts if one.reason == "promotion")
    if priced.reasons:
        notes.append((t("sale.promoted", reason="；".join(priced.reasons), amount=money(promoted)), "good"))
    if priced.difference_minor:
        notes.append((t("sale.label_differs", amount=money(priced.difference_minor)), "warn"))
    if line.lot or line.expiry or line.serial:
        is_expired = bool(line.expiry) and line.expiry < today
        parts = [t("sale.lot", lot=line.lot)] if line.lot else []
        if line.expiry:
            parts.append(t("sale.expired" if is_expired else "sale.expiry", date=line.expiry))
        parts += [t("sale.serial", serial=line.serial)] if line.serial else []
        notes.append((" · ".join(parts), "bad" if is_expired else "muted"))
    return notes


def basket_figures(priced: PricedBasket, t: Texts, facts: Sequence[Fact], notes: Sequence[Fact]) -> TotalFigures:
    """Return the panel of a basket that is being filled."""
    own = [Fact(t("sale.pieces"), str(priced.pieces))]
    if priced.discount_minor:
        own += [Fact(t("sale.list_total"), money(priced.list_total_minor)),
                Fact(t("sale.saved"), f"-{money(priced.discount_minor)}", "good")]  # fmt: skip
    return TotalFigures(t("sale.due"), money(priced.total_minor), "big", (*own, *facts), tuple(notes))


def done_figures(done: Done, t: Texts) -> TotalFigures:
    """Return the panel after a sale: the change large, then how it was paid."""
    if done.is_refund:
        back = tuple(Fact(t(f"means.{one.means}"), money(one.amount_minor)) for one in done.payments)
        return TotalFigures(t("refund.given"), money(done.total_minor), "warn", back)
    facts = [Fact(t("sale.due"), money(done.total_minor))]
    facts += [Fact(t(f"means.{one.means}"), money(one.given_minor or one.amount_minor)) for one in done.payments]
    if done.dropped_minor:
        facts.append(Fact(t("tender.dropped"), f"-{money(done.dropped_minor)}", "good"))
    facts.append(Fact(t("done.receipt"), done.receipt_number))
    if done.change_minor or any(one.means == "cash" for one in done.payments):
        return TotalFigures(t("done.change"), money(done.change_minor), "big", tuple(facts))
    return TotalFigures(t("done.paid"), money(done.total_minor), "big", tuple(facts))
