"""Owns how a product reads when it is looked up: prices, stock here and elsewhere with its age, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.catalog import find_product
from edge.clock_source import local_time
from edge.lookup import look_up
from edge.stock import why
from pos_tui.screens.money import ago, amount_of, money
from pos_tui.widgets.listing import Row
from pos_tui.widgets.painting import wrapped

if TYPE_CHECKING:
    from edge.node import Node
    from schema.texts import Texts

SENTENCE_WIDTH = 54
PER_WORDS = {500: "per.jin", 100: "per.hectogram"}
REASONS = frozenset(
    ("sale", "refund", "receipt", "ship", "transfer", "wastage", "damage", "own_use", "theft", "gift", "found",
     "opening", "repack")
)  # fmt: skip


def _range(t: Texts, value: int, lo: int, hi: int, unit: str) -> str:
    figure = amount_of(value, unit)
    return figure if lo == hi else t("stock.range", figure=figure, lo=amount_of(lo), hi=amount_of(hi))


def product_rows(node: Node, code: str, t: Texts) -> list[Row]:
    """Return a product's facts: prices by unit and what they will be, stock here, stock elsewhere with its age."""
    look, now_ms = look_up(node, code), node.now_ms()
    rows = [Row((t("search.code"), look.code))]
    rows += [Row((t("search.barcode"), f"{barcode}  {unit}")) for barcode, unit in look.barcodes[:4]]
    rows.append(Row(note=" "))
    for price in look.prices:
        per = t(PER_WORDS[price.per_milli]) if price.per_milli in PER_WORDS else f"/{price.name}"
        if price.price_minor is None:
            rows.append(Row((t("sale.price"), t("stock.no_price", unit=price.name)), "warn"))
        else:
            rows.append(Row((t("sale.price"), f"{money(price.price_minor)}{per}"), "accent"))
        if price.next_ms is not None and price.next_minor is not None:
            when = local_time(price.next_ms, node.config.time_zone).strftime("%m-%d %H:%M")
            rows.append(Row((t("stock.next_price"), t("stock.from", price=money(price.next_minor), time=when))))
    rows.append(Row(note=" "))
    here, unit = look.stock, look.prices[0].name
    figure = _range(t, here.value, here.lo, here.hi, unit)
    rows.append(Row((t("stock.here"), figure), "bad" if here.is_negative else "good"))
    for one in look.elsewhere:
        figure = _range(t, one.value_milli, one.lo_milli, one.hi_milli, unit)
        rows.append(Row((one.name, t("stock.as_of", figure=figure, age=ago(t, one.age_ms(now_ms))))))
    if not look.elsewhere:
        rows.append(Row((t("stock.elsewhere"), t("stock.nothing_told")), "muted"))
    return rows


def why_rows(node: Node, code: str, t: Texts) -> list[Row]:
    """Return why a stock figure is what it is: the count it starts from, what moved since, and who is silent."""
    found = find_product(node, code)
    unit = "" if found is None else found.product.unit_name
    told = why(node, code)

    def at(moment_ms: int) -> str:
        return local_time(moment_ms, node.config.time_zone).strftime("%m-%d %H:%M")

    rows = [Row((t("stock.here"), _range(t, told.value, told.lo, told.hi, unit)), "strong"), Row(note=" ")]
    if not told.counts:
        rows.append(Row((t("why.start"), t("why.never_counted"))))
    for count in told.counts:
        when = max((line.hi_ms for line in count.lines), default=0)
        text = t("why.counted", quantity=amount_of(count.quantity, unit), node=" ".join(count.nodes), time=at(when))
        rows.append(Row((t("why.start"), text), "" if count.gives_value else "muted"))
    for group in told.movements:
        reason = t(f"why.reason_{group.reason}") if group.reason in REASONS else group.reason
        text = t("why.moved", node=group.node, quantity=_signed(group.quantity, unit), entries=group.entries,
                 first=at(group.first_ms), last=at(group.last_ms))  # fmt: skip
        tone = {"BEFORE": "muted", "AMBIGUOUS": "warn"}.get(group.side, "")
        side = "" if group.side == "AFTER" else f" {t(f'why.side_{group.side}')}"
        rows.append(Row((reason, text + side), tone))
    for conflict in told.conflicts:
        sentence = _conflict(
            t, conflict.code, conflict.status == "OPEN", conflict.sentence,
            product=told.name, count=len(conflict.references), subject=conflict.subject,
        )  # fmt: skip
        for n, line in enumerate(wrapped(sentence, SENTENCE_WIDTH)):
            rows.append(Row((t("why.conflict") if not n else "", line), "warn"))
    rows.append(Row(note=" "))
    for voice in told.nodes:
        silent = ago(t, voice.silent_ms)
        rows.append(Row((voice.node, t("why.heard", age=silent)), "muted"))
    return rows


def _conflict(t: Texts, code: str, is_open: bool, sentence: str, **facts: object) -> str:
    """Say a conflict in the cashier's language; in its English `sentence` where there is no text for it."""
    name = f"conflict.{code}"
    if not is_open and t.has(f"{name}.settled"):
        name = f"{name}.settled"
    return t(name, **facts) if t.has(name) else sentence


def _signed(quantity: int, unit: str) -> str:
    return ("+" if quantity > 0 else "") + amount_of(quantity, unit)
