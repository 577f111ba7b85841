"""Owns the van's settlement on the screen: goods counted by a number and Enter, the drawer, and what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.counting import count_product
from edge.print_jobs import reprint
from edge.receipts import receipt_document
from edge.shifts import close_shift, current_shift
from edge.van_settlement import settle_van, settlement_entry, standing
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.count import CountScreen
from pos_tui.screens.dialogs import ConfirmScreen
from pos_tui.screens.money import amount_of, money
from pos_tui.screens.report import PaperScreen
from pos_tui.screens.van_load import goods_name
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row
from schema.amounts import parse_quantity

if TYPE_CHECKING:
    from edge.van_settlement import Standing
    from edge.wedge import Scan
    from schema.kinds.vans import SettledLine


class VanSettleScreen(TillScreen[None]):
    """Lists every product of the day; what ought to be aboard is shown once it has been counted."""

    NAME = "van_settle"
    ACTS = (
        act("count", "enter"), act("cash", "*", "f6"), act("settle", "+", "f8"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="goods")
        self.entry = EntryLine(id="entry")
        self._now: Standing | None = None

    def show(self) -> None:
        """State the goods, the money and what is still to do."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        self._now = now = standing(self.till.node)
        self.frame.border_title = self.t("van_settle.title")
        columns = (
            Column(self.t("sale.goods")), Column(self.t("van_settle.opening"), 8, "right"),
            Column(self.t("van_settle.came"), 8, "right"), Column(self.t("van_settle.went"), 8, "right"),
            Column(self.t("van_settle.book"), 8, "right", from_width=84),
            Column(self.t("van_settle.counted"), 8, "right"), Column(self.t("van_settle.difference"), 8, "right"),
            Column(self.t("van_settle.value"), 9, "right", from_width=84),
        )  # fmt: skip
        rows = [self._row(line) for line in now.settlement.lines]
        rows.append(Row(note=" "))
        for text, style in self._money(now):
            rows += self.listing.notes(text, style)
        self.listing.show(columns, rows, empty=(self.t("van_settle.nothing"),))
        self._ask_count()

    def _row(self, line: SettledLine) -> Row:
        name, unit = goods_name(self, line.product)
        came = line.loaded_milli + line.returned_milli + line.found_milli + max(0, line.repacked_milli)
        went = line.sold_milli + line.sent_milli + line.wasted_milli + line.given_milli + max(0, -line.repacked_milli)
        head = (f"{name} ({unit})" if unit else name, amount_of(line.opening_milli), amount_of(came), amount_of(-went))
        if line.closing_milli is None:
            return Row((*head, "", "?" if line.book_milli else "", "", ""), "")
        missing = line.difference_milli
        told = f"{'-' if missing > 0 else '+'}{amount_of(abs(missing))}" if missing else "✓"
        value = money(-line.value_minor) if line.value_minor else ""
        cells = (*head, amount_of(line.book_milli), amount_of(line.closing_milli), told, value)
        return Row(cells, "bad" if missing > 0 else "warn" if missing else "good")

    def _money(self, now: Standing) -> list[tuple[str, str]]:
        found = now.settlement
        lines = []
        for one in found.means:
            name = self.t(f"means.{one.means}")
            told = self.t("van_settle.means", means=name, sales=money(one.sales_minor),
                          collected=money(one.collected_minor), refunds=money(one.refunds_minor))  # fmt: skip
            lines.append((told, ""))
        if now.is_shift_open:
            lines.append((self.t("van_settle.cash_open"), "warn"))
        else:
            variance = found.cash_counted_minor - found.cash_expected_minor
            told = self.t("van_settle.cash", expected=money(found.cash_expected_minor),
                          counted=money(found.cash_counted_minor),
                          variance=f"{'+' if variance > 0 else ''}{money(variance)}")  # fmt: skip
            lines.append((told, "good" if not variance else "warn"))
        missing = found.missing_minor
        lines.append((self.t("van_settle.missing", amount=money(missing)), "bad" if missing > 0 else ""))
        return lines

    def _selected(self) -> SettledLine | None:
        assert self.listing is not None
        lines = () if self._now is None else self._now.settlement.lines
        place = max(0, self.listing.selected)
        return lines[place] if place < len(lines) else None

    def _ask_count(self) -> None:
        assert self.entry is not None
        line = self._selected()
        name = "" if line is None else goods_name(self, line.product)[0]
        self.entry.show(self.t("van_settle.prompt", name=name), self.t("van_settle.hint"))

    def moved(self) -> None:
        """Ask for the goods that were pointed at."""
        self._ask_count()

    def scanned(self, scan: Scan) -> None:
        """Select the goods of a scanned code."""
        assert self.listing is not None
        from edge.acting import named_product

        code = named_product(self.till.node, scan.text).code
        lines = () if self._now is None else self._now.settlement.lines
        for place, line in enumerate(lines):
            if line.product == code:
                self.listing.select(place)
                self._ask_count()
                return
        self.app.bell()
        self.say(self.t("van_settle.not_aboard", code=scan.text), "warn")

    def entered(self, text: str) -> None:
        """Take how much of the selected goods was counted, and go on to the next."""
        assert self.listing is not None
        line = self._selected()
        if line is None:
            return
        if text:
            try:
                quantity = parse_quantity(text)
            except ValueError:
                self.app.bell()
                self.say(self.t("van_settle.unreadable"), "bad")
                return
            with self.saying():
                count_product(self.till.node, line.product, quantity, operator=self.till.operator_id)
                self.say("")
        self.listing.move(1)
        self.show()

    def act_count(self) -> None:
        """Take how much of the selected goods was counted."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_cash(self) -> None:
        """Count the drawer, which closes the shift."""
        self.converse(self._cash())

    async def _cash(self) -> None:
        if current_shift(self.till.node) is None:
            self.say(self.t("van.no_shift"), "warn")
            return
        counted = await self.ask(CountScreen(self.t("shift.close")))
        if counted is None:
            return
        close_shift(self.till.node, counted.total_minor, operator=self.till.operator_id, denominations=counted.pieces)
        self.show()

    def act_settle(self) -> None:
        """Settle the day."""
        self.converse(self._settle())

    async def _settle(self) -> None:
        node = self.till.node
        if current_shift(node) is not None:
            await self._cash()
            if current_shift(node) is not None:
                return
        now = standing(node)
        if now.uncounted:
            question = self.t("van_settle.uncounted", count=len(now.uncounted))
        else:
            question = self.t("van_settle.confirm", amount=money(now.settlement.missing_minor))
        if not await self.ask(ConfirmScreen(self.t("van.settle"), question)):
            return
        done = settle_van(
            node, operator=self.till.operator_id, allows_uncounted=True, prints=self.till.has_printer
        )  # fmt: skip
        self.till_app.paper_queued()
        await self.ask(SettlementPaperScreen(done.settlement))
        self.dismiss(None)


class SettlementPaperScreen(PaperScreen):
    """Shows a settlement as it stands on paper, the last one where none is named, and prints it again."""

    NAME = "van_paper"

    def __init__(self, settlement: str = "") -> None:
        super().__init__()
        self._settlement = settlement

    def title_text(self) -> str:
        """Return what the paper is."""
        return self.t("van_paper.title")

    def preview(self) -> list[str]:
        """Return the settlement as it is laid out."""
        entry = settlement_entry(self.till.node, self._settlement)
        return receipt_document(self.till.node, entry, columns=48, language=self.till.language).preview()

    def print_paper(self) -> None:
        """Print it again."""
        reprint(self.till.node, settlement_entry(self.till.node, self._settlement))
