"""The desk's work on promotions: listed with what they say, saved as one scalar each, tried on a basket beforehand."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from hub.catalogue import CatalogueDesk, view_product
from schema.amounts import Milli, Minor
from schema.catalogue import DEFAULT_LIST
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ProductId, is_code
from schema.rules.promotion_terms import (
    BasketLine,
    Language,
    LocalMoment,
    Promotion,
    Reason,
    read_terms,
    reason_sentence,
    write_terms,
)
from schema.rules.promotions import best_combination
from schema.rules.rounding import PricePer, line_amount
from sync.document_projection import decode_fields
from sync.entry import Entry

DOCUMENT: Final = "promotions/standard"
FIELD: Final = "terms"
_PER: Final = {1000: PricePer.PIECE, 500: PricePer.JIN, 100: PricePer.HECTOGRAM}


class TriedLine(msgspec.Struct, frozen=True):
    """One line of a test basket; amounts before and after promotions in minor units."""

    product: str
    name: str
    quantity_milli: int
    before_minor: int
    after_minor: int


class TriedBasket(msgspec.Struct, frozen=True):
    """What a basket would cost: its lines, the sentences of the promotions that gave something, and the totals."""

    lines: tuple[TriedLine, ...]
    sentences: tuple[str, ...]
    total_minor: int
    discount_minor: int


def all_promotions(connection: Connection) -> list[Promotion]:
    """Return every promotion that can be read, by code."""
    rows = connection.execute(
        "SELECT record, fields FROM record WHERE document = ? ORDER BY record", (DOCUMENT,)
    ).fetchall()
    found = (read_terms(decode_fields(bytes(fields)).get(FIELD)) for _, fields in rows)
    return [promotion for promotion in found if promotion is not None]


def find_promotion(connection: Connection, code: str) -> Promotion:
    """Return one promotion; raises RefusalError `promotion_unknown`."""
    row = connection.execute("SELECT fields FROM record WHERE document = ? AND record = ?", (DOCUMENT, code)).fetchone()
    found = read_terms(decode_fields(bytes(row[0])).get(FIELD)) if row else None
    if found is None:
        raise RefusalError("promotion_unknown", f"there is no promotion {code}", promotion=code)
    return found


def sentence(promotion: Promotion, language: Language) -> str:
    """Say what a promotion does, as its receipt will."""
    return reason_sentence(
        Reason(
            code=promotion.code, name="", kind=promotion.kind, times=1, discount_minor=Minor(0),
            percent_ppm=promotion.percent_ppm, amount_minor=promotion.amount_minor,
            threshold_minor=promotion.threshold_minor, buy_count=promotion.buy_count,
            free_count=promotion.parts[0].count if promotion.parts else promotion.free_count,
        ),
        language,
    )  # fmt: skip


def save_promotion(desk: CatalogueDesk, connection: Connection, promotion: Promotion, *, is_new: bool) -> list[Entry]:
    """Write a promotion; it holds at every till from its next exchange on, within its own dates.

    Raises RefusalError `promotion_invalid` with the fact `problem` (a code of `Promotion.problem`),
    `promotion_exists`, `promotion_window`, and `product_unknown` for goods that are not in the catalogue.
    """
    if not is_code(promotion.code):
        raise RefusalError("promotion_code", "a promotion's code has letters, digits and hyphens alone")
    known = connection.execute(
        "SELECT 1 FROM record WHERE document = ? AND record = ?", (DOCUMENT, promotion.code)
    ).fetchone()
    if is_new and known:
        raise RefusalError("promotion_exists", f"{promotion.code} exists already", promotion=promotion.code)
    if promotion.problem:
        raise RefusalError(
            "promotion_invalid", f"these terms cannot be applied: {promotion.problem}", problem=promotion.problem
        )
    start, end = promotion.valid_from_ms, promotion.valid_until_ms
    if start is not None and end is not None and end <= start:
        raise RefusalError("promotion_window", "a promotion ends after it begins")
    named = {*promotion.products, *promotion.except_products, *(p for part in promotion.parts for p in part.products)}
    missing = sorted(named - _known_products(connection, named))
    if missing:
        raise RefusalError("product_unknown", f"{missing[0]} is not in the catalogue", product=missing[0])
    return desk.put_record(DOCUMENT, promotion.code, {FIELD: write_terms(promotion)})


def _known_products(connection: Connection, codes: Collection[str]) -> set[str]:
    if not codes:
        return set()
    marks = ", ".join("?" * len(codes))
    rows = connection.execute(
        f"SELECT DISTINCT product FROM product_index WHERE product IN ({marks})", list(codes)
    ).fetchall()
    return {str(row[0]) for row in rows}


def end_promotion(desk: CatalogueDesk, connection: Connection, code: str) -> list[Entry]:
    """Take a promotion away; sales that had it keep what they recorded."""
    find_promotion(connection, code)
    return desk.put_record(DOCUMENT, code, {FIELD: None})


def try_basket(
    connection: Connection,
    promotions: Sequence[Promotion],
    goods: Sequence[tuple[str, int]],
    *,
    moment_ms: int,
    zone: ZoneInfo,
    language: Language,
    tiers: frozenset[str] = frozenset(),
    coupons: Collection[str] = (),
) -> TriedBasket:
    """Price (product, thousandths) pairs as tills do; raises RefusalError for goods without a price."""
    lines, names = [], []
    for code, quantity_milli in goods:
        view = view_product(connection, code)
        product = view.product
        prices = next((p for p in view.prices if (p.price_list, p.unit) == (DEFAULT_LIST, product.unit)), None)
        step = prices.current(moment_ms) if prices is not None else None
        if step is None:
            raise RefusalError("price_missing", f"{product.name} has no price yet", product=product.name)
        per = PricePer.KG if product.is_weighed and step.per_milli == 1000 else _PER[step.per_milli]
        amount = line_amount(step.price_minor, quantity_milli, per)
        names.append(product.name)
        lines.append(
            BasketLine(
                product=ProductId(product.code), quantity_milli=Milli(quantity_milli),
                price_minor=Minor(step.price_minor), amount_minor=Minor(amount), category=product.category, per=per,
                is_weighed=product.is_weighed,
            )
        )  # fmt: skip
    local = datetime.datetime.fromtimestamp(moment_ms / 1000, zone)
    moment = LocalMoment(moment_ms, local.isoweekday(), local.hour * 60 + local.minute)
    applied = best_combination(lines, promotions, moment, tiers, coupons)
    return TriedBasket(
        tuple(
            TriedLine(line.product, name, line.quantity_milli, line.amount_minor, new.amount_minor)
            for line, name, new in zip(lines, names, applied.lines, strict=True)
        ),
        tuple(reason_sentence(reason, language) for reason in applied.reasons),
        applied.total_minor,
        applied.discount_minor,
    )
