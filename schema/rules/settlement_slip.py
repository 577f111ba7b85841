"""Owns the layout of a van's settlement on paper: where every product went, the money, the cash, two signatures."""

from __future__ import annotations

from schema.amounts import format_money, format_quantity
from schema.kinds.vans import SettledLine, VanSettled
from schema.rules.paper import Paper, ReceiptRow
from schema.rules.receipt import ReceiptNames, ReceiptTemplate
from schema.rules.slips import framed, signature


def settlement_rows(settled: VanSettled, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay a van's settlement out: every product with where it went, the money by means, the cash, two signatures."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("settlement", settled.settlement), ("business-date", settled.business_date), ("till", names.till),
         ("driver", names.operator), ("time", names.time), ("approver", settled.approver)),
    )  # fmt: skip
    rows += paper.rule()
    rows += paper.columns_of([paper.word(word) for word in ("opening", "came-aboard", "went-off", "still-aboard")])
    for line in settled.lines:
        if _is_idle(line):
            continue
        rows += paper.text(_goods(line, names))
        came = line.loaded_milli + line.returned_milli + line.found_milli + max(0, line.repacked_milli)
        went = line.sold_milli + line.sent_milli + line.wasted_milli + line.given_milli + max(0, -line.repacked_milli)
        figures = (line.opening_milli, came, -went, line.left_milli)
        rows += paper.columns_of([format_quantity(figure) for figure in figures])
        parts = [
            f"{paper.word(word)} {format_quantity(quantity)}"
            for word, quantity in (("loaded", line.loaded_milli), ("returned", line.returned_milli),
                                   ("found", line.found_milli), ("repacked", line.repacked_milli),
                                   ("sold", line.sold_milli), ("sent", line.sent_milli),
                                   ("wasted", line.wasted_milli), ("gift", line.given_milli))
            if quantity
        ]  # fmt: skip
        rows += paper.text("  ".join(parts), indent=2) if parts else []
        if line.closing_milli is None:
            rows += paper.text(paper.word("not-counted"), indent=2)
        elif line.difference_milli:
            word = "short" if line.difference_milli > 0 else "over"
            told = f"{paper.word('counted')} {format_quantity(line.closing_milli)}  {paper.word(word)}"
            shown = f"{format_quantity(abs(line.difference_milli))}  {format_money(line.value_minor)}"
            rows += paper.pair(told, shown, indent=2)
    idle = [line for line in settled.lines if _is_idle(line)]
    if idle:
        rows += paper.rule()
        rows += paper.text(paper.word("stayed-uncounted"))
        for line in idle:
            rows += paper.pair(_goods(line, names), format_quantity(line.left_milli), indent=2)
    rows += paper.rule()
    rows += paper.pair(paper.word("goods-missing"), format_money(settled.missing_minor), is_double=True)
    rows += paper.rule()
    rows += paper.columns_of([paper.word(word) for word in ("tender", "sales", "collected", "refunds")])
    for one in settled.means:
        name = names.tenders.get(one.means) or paper.word(one.means)
        amounts = (one.sales_minor, one.collected_minor, -one.refunds_minor)
        rows += paper.columns_of([name, *(format_money(amount) for amount in amounts)])
    for word, amount in (("deposits", settled.deposits_minor), ("empties", -settled.empties_minor)):
        if amount:
            rows += paper.pair(paper.word(word), format_money(amount))
    rows += paper.rule()
    rows += paper.pair(paper.word("expected"), format_money(settled.cash_expected_minor))
    rows += paper.pair(paper.word("counted"), format_money(settled.cash_counted_minor), is_double=True)
    variance = settled.cash_counted_minor - settled.cash_expected_minor
    word = "even" if not variance else "over" if variance > 0 else "short"
    rows += paper.pair(paper.word(word), format_money(variance), is_double=True)
    rows += paper.fact("note", settled.note) if settled.note else []
    rows += signature(paper, "driver-signs")
    rows += signature(paper, "warehouse-signs")
    return framed(paper, "van-settlement", rows, template, names)


def _is_idle(line: SettledLine) -> bool:
    """Tell whether goods only stayed aboard: nobody moved or counted them, so a row of the book is enough."""
    return line.closing_milli is None and not any(
        (line.loaded_milli, line.returned_milli, line.found_milli, line.repacked_milli, line.sold_milli,
         line.sent_milli, line.wasted_milli, line.given_milli)
    )  # fmt: skip


def _goods(line: SettledLine, names: ReceiptNames) -> str:
    unit = names.units.get(line.product, "")
    name = names.products.get(line.product, line.product)
    return f"{name} ({unit})" if unit else name
