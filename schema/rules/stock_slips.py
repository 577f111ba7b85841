"""Owns the layout of paper about goods: what came, what was sent with the codes that prove it, what was written off."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from schema.amounts import format_quantity
from schema.rules.paper import Paper, ReceiptRow, RowKind
from schema.rules.receipt import ReceiptNames, ReceiptTemplate
from schema.rules.slips import framed, signature


class GoodsPaper(StrEnum):
    """Which paper it is; its value names its title."""

    RECEIVED = "goods-received"
    ARRIVED = "transfer-received"
    DISPATCHED = "transfer-dispatched"
    ADJUSTED = "stock-adjusted"


class SlipLine(msgspec.Struct, frozen=True, kw_only=True):
    """One product: quantities in thousandths of its unit; `short_milli` is negative where more came than expected.

    `reason` says why it is short or over, `damage` what was wrong.
    """

    name: str
    product: str
    unit: str
    quantity_milli: int
    short_milli: int = 0
    damaged_milli: int = 0
    reason: str = ""
    damage: str = ""
    lot: str = ""
    expiry: str = ""


class GoodsSlip(msgspec.Struct, frozen=True, kw_only=True):
    """What a paper about goods says; `facts` are (word of paper, value), `pages` the texts of its QR codes.

    `reason` is that of an adjustment.
    """

    kind: GoodsPaper
    facts: tuple[tuple[str, str], ...]
    lines: tuple[SlipLine, ...]
    reason: str = ""
    note: str = ""
    pages: tuple[str, ...] = ()
    is_partly: bool = False


def goods_rows(slip: GoodsSlip, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay a paper about goods out: what, how much, what differs, and who signs for it."""
    paper = Paper(template.columns, template.language)
    reason = paper.word(f"adjust-{slip.reason}") if slip.reason else ""
    who = (("till", names.till), ("handled-by", names.operator), ("time", names.time))
    rows = paper.facts((("reason", reason), *slip.facts, *who))
    rows += paper.rule()
    rows += paper.pair(paper.word("goods"), paper.word("quantity"))
    for number, line in enumerate(slip.lines, 1):
        rows += _line(paper, number, line)
    rows += paper.rule()
    rows += paper.pair(paper.word("lines"), str(len(slip.lines)))
    if slip.is_partly:
        rows += paper.text(paper.word("more-to-come"), is_centred=True)
    if slip.note:
        rows += paper.fact("note", slip.note)
    for word in _SIGNERS[slip.kind]:
        rows += signature(paper, word)
    rows += _codes(paper, slip.pages)
    return framed(paper, slip.kind.value, rows, template, names)


_SIGNERS = {
    GoodsPaper.RECEIVED: ("delivered-by", "received-by"),
    GoodsPaper.ARRIVED: ("delivered-by", "received-by"),
    GoodsPaper.DISPATCHED: ("handed-out-by", "driver-signs"),
    GoodsPaper.ADJUSTED: ("signature",),
}


def _line(paper: Paper, number: int, line: SlipLine) -> list[ReceiptRow]:
    rows = paper.pair(f"{number} {line.name}", f"{format_quantity(line.quantity_milli)}{line.unit}")
    told = [line.product] if line.product != line.name else []
    if line.lot:
        told.append(f"{paper.word('lot')} {line.lot}")
    if line.expiry:
        told.append(f"{paper.word('expiry')} {line.expiry}")
    if told:
        rows += paper.text("  ".join(told), indent=2)
    if line.damaged_milli:
        word = paper.word(f"damage-{line.damage}") if line.damage else ""
        rows += paper.pair(f"{paper.word('damaged')} {word}".strip(), format_quantity(line.damaged_milli), indent=2)
    if line.short_milli:
        word = paper.word("goods-short" if line.short_milli > 0 else "goods-over")
        why = f" {paper.word(f'why-{line.reason}')}" if line.reason else ""
        rows += paper.pair(f"{word}{why}", format_quantity(abs(line.short_milli)), indent=2)
    return rows


def _codes(paper: Paper, pages: Sequence[str]) -> list[ReceiptRow]:
    """Print the codes with which the other location takes the goods in, each named by its place among all."""
    if not pages:
        return []
    rows = [*paper.rule(), *paper.text(paper.word("scan-pages"), is_centred=True)]
    for place, page in enumerate(pages, 1):
        rows += paper.code(RowKind.QR, page, f"{place} / {len(pages)}")
    return rows
