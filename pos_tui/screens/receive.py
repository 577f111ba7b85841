"""Owns the door: what is awaited here, a transfer's paper scanned page by page, and the goods checked as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.deliveries import (
    DAMAGES,
    ORDER,
    OVER_REASONS,
    SHORT_REASONS,
    Expected,
    differences,
    expected_by_paper,
    expected_deliveries,
    receive_delivery,
)
from edge.goods_sheet import KeptSheet, SheetLine, SheetNotes, go_on_with, kept_sheets, sheet_of
from edge.keyed import keyed_quantity
from edge.limits import Act, limits_of, may
from edge.papers import PaperScanner, read_paper
from edge.suppliers import suppliers
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.goods import GoodsScreen, offer_kept
from pos_tui.screens.money import age, amount_of
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.total_panel import Fact
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.deliveries import Difference
    from edge.wedge import Scan


class DeliveriesScreen(TillScreen[None]):
    """Lists what is awaited here; a transfer's paper is scanned straight into it, also with no network at all."""

    NAME = "deliveries"
    ACTS = (
        act("open", "enter"), act("without", "+", "f5"), act("again", "/"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list")
        self.entry = EntryLine(id="entry")
        self._awaited: list[Expected] = []
        self._scanner = PaperScanner()
        self._pages: list[str] = []
        self._has_offered = False

    def offers(self, name: str) -> bool:
        """Pages are given up where some were scanned."""
        return bool(self._pages) if name == "again" else True

    def show(self) -> None:
        """State what is awaited, transfers on the road first."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        self.frame.border_title = self.t("deliveries.title")
        self._awaited = expected_deliveries(self.till.node)
        columns = (
            Column(self.t("deliveries.kind"), 6), Column(self.t("deliveries.number"), 16),
            Column(self.t("deliveries.source")), Column(self.t("deliveries.due"), 10, from_width=70),
            Column(self.t("deliveries.age"), 10, "right"), Column(self.t("goods.lines"), 5, "right"),
        )  # fmt: skip
        rows = [
            Row(
                (self.t(f"deliveries.kind_{one.kind}"), one.reference, one.source_name or "–", one.due,
                 age(self.till_app.texts, one.age_ms), str(sum(1 for line in one.lines if line.left_milli))),
                "warn" if one.is_partly else "",
            )
            for one in self._awaited
        ]  # fmt: skip
        self.listing.show(columns, rows, empty=(self.t("deliveries.none"), self.t("deliveries.none_hint")))
        self.entry.show(self.t("deliveries.prompt"), self.t("deliveries.hint"))
        self.show_keys()
        if not self._has_offered:
            self._has_offered = True
            if kept_sheets(self.till.node, ReceiveScreen.NAME):
                self.converse(self._offer())

    def scanned(self, scan: Scan) -> None:
        """Take a page of a transfer's paper, or the number of what is awaited."""
        self._take(scan.text)

    def entered(self, text: str) -> None:
        """Open what is selected, or what was typed."""
        with self.saying():
            if text:
                self._take(text)
            elif self._awaited:
                assert self.listing is not None
                self.converse(self._open(self._awaited[max(0, self.listing.selected)]))
            else:
                self.perform("without")

    def _take(self, text: str) -> None:
        if self._scanner.scan(text):
            self._take_page(text)
            return
        wanted = text.strip().upper()
        found = next((one for one in self._awaited if one.reference.upper() == wanted), None)
        if found is None:
            self.app.bell()
            self.say(self.t("deliveries.unknown", text=text[:24]), "warn")
            return
        self.converse(self._open(found))

    def _take_page(self, text: str) -> None:
        """Take a page, in any order and however often; a page of another paper begins anew."""
        if self._scanner.count == 1:
            self._pages = []
        self._pages.append(text)
        if not self._scanner.is_complete:
            self.say(self.t("deliveries.page", count=self._scanner.count, pages=self._scanner.total,
                            missing=" ".join(map(str, self._scanner.missing[:8]))))  # fmt: skip
            self.show_keys()
            return
        pages = self._pages
        self._forget_pages()
        self.converse(self._open(expected_by_paper(self.till.node, read_paper(self.till.node, pages))))

    def _forget_pages(self) -> None:
        self._scanner = PaperScanner()
        self._pages = []

    def act_open(self) -> None:
        """Open what was typed or selected."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_without(self) -> None:
        """Take goods in of which nothing is known here."""
        self.converse(self._open(None))

    def act_again(self) -> None:
        """Give up the pages that were scanned so far."""
        self._forget_pages()
        self.say(self.t("deliveries.pages_dropped"))
        self.show()

    async def _offer(self) -> None:
        """Offer what somebody had in hand when the till ended."""
        kept, _ = await offer_kept(self, kept_sheets(self.till.node, ReceiveScreen.NAME))
        if kept is not None:
            await self._open(kept.notes.expected, kept)

    async def _open(self, expected: Expected | None, kept: KeptSheet | None = None) -> None:
        if kept is None and expected is not None:  # it was begun: nobody scans it twice
            begun = kept_sheets(self.till.node, ReceiveScreen.NAME)
            kept = next((one for one in begun if _checks(one, expected.reference)), None)
        said = await self.ask(ReceiveScreen(expected, kept))
        self.show()
        if said:
            self.say(said, "good")

    def act_back(self) -> None:
        """Leave."""
        self.escaped()


def _checks(kept: KeptSheet, reference: str) -> bool:
    return kept.notes.expected is not None and kept.notes.expected.reference == reference


class ReceiveScreen(GoodsScreen):
    """Checks one delivery: what came, what is damaged, short or over, then takes it in and prints the note."""

    NAME = "receive"
    ACTS = (
        *GoodsScreen.SHEET_ACTS[:1], act("all", "*"), act("damaged", "/", "f5"), act("cost", "f6"),
        *GoodsScreen.SHEET_ACTS[1:],
    )  # fmt: skip

    ASKS_FOR_KEPT = False

    def __init__(self, expected: Expected | None = None, kept: KeptSheet | None = None) -> None:
        super().__init__(kept=kept)
        self._expected = expected
        self._supplier = "" if expected is None else expected.source
        self._supplier_name = "" if expected is None else expected.source_name
        self._document = ""

    def offers(self, name: str) -> bool:
        """Costs are for those who may see them; a transfer has none."""
        if name == "cost":
            is_bought = self._expected is None or self._expected.kind == ORDER
            return is_bought and bool(self.sheet.lines) and self._sees_cost()
        if name == "all":
            return self.has_expected
        return True

    def _sees_cost(self) -> bool:
        operator = self.till.operator
        return operator is not None and may(limits_of(self.till.node, operator.role), Act.SEE_COST)

    async def begin(self) -> bool:
        """Fill the list with what is awaited; without anything ask who delivers."""
        if self._expected is not None:
            self.sheet = sheet_of(self.till.node, self._expected)
            if self._expected.is_counted:
                self.say(self.t("receive.counted_hint"), "warn")
            if self._sees_cost():
                costs = {line.product: line.cost_minor for line in self._expected.lines}
                for line in self.sheet.lines:
                    line.cost_minor = costs.get(line.product)
            return True
        return await self._ask_supplier()

    def notes(self) -> SheetNotes:
        """Keep what is checked, who delivers and under which number."""
        title = self._document or self._supplier_name if self._expected is None else self._expected.reference
        about = {"title": title, "supplier": self._supplier, "supplier_name": self._supplier_name,
                 "document": self._document}  # fmt: skip
        return SheetNotes(self.remark, about, self._expected)

    def take_up(self, kept: KeptSheet) -> str:
        """Go on with what was checked so far, beside what is awaited by now."""
        about, expected = kept.notes.about, kept.notes.expected
        self._supplier, self._supplier_name = about["supplier"], about["supplier_name"]
        self._document = about["document"]
        if expected is not None:
            awaited = expected_deliveries(self.till.node)
            expected = next((one for one in awaited if one.reference == expected.reference), expected)
        self._expected = expected
        said = super().take_up(kept)
        self.sheet = go_on_with(self.till.node, kept, expected)
        return said

    async def _ask_supplier(self) -> bool:
        known = suppliers(self.till.node)
        if known:
            choices = [Choice(one.code, one.name, one.code) for one in known]
            chosen = await self.ask(
                ChooseScreen(self.t("receive.supplier"), [*choices, Choice("-", self.t("receive.other_supplier"))])
            )
            if chosen is None:
                return False
            found = next((one for one in known if one.code == chosen), None)
            self._supplier, self._supplier_name = (found.code, found.name) if found else ("", "")
        document = await self.ask(
            AskScreen(self.t("receive.document_title"), self._supplier_name, prompt=self.t("receive.document"),
                      hint=self.t("receive.document_hint"), takes_scan=True)
        )  # fmt: skip
        if document is None:
            return False
        self._document = document[:60]
        return True

    def facts(self) -> list[Fact]:
        """Say from whom, under which number, and what differs so far."""
        facts = []
        if self._supplier_name:
            facts.append(Fact(self.t("deliveries.source"), self._supplier_name))
        if self._expected is not None:
            facts.append(Fact(self.t(f"deliveries.kind_{self._expected.kind}"), self._expected.reference))
            if self._expected.is_counted:
                facts.append(Fact(self.t("receive.counted"), self.t("receive.counted_is"), "warn"))
        elif self._document:
            facts.append(Fact(self.t("receive.document"), self._document))
        short = sum(1 for line in self.sheet.lines if line.expected_milli is not None and line.short_milli > 0)
        damaged = sum(1 for line in self.sheet.lines if line.damaged_milli)
        if short:
            facts.append(Fact(self.t("receive.short_lines"), str(short), "warn"))
        if damaged:
            facts.append(Fact(self.t("receive.damaged_lines"), str(damaged), "warn"))
        return facts

    def label(self) -> str:
        """Say of how many lines the figure counts those that were checked."""
        awaited = sum(1 for line in self.sheet.lines if line.expected_milli is not None)
        return self.t("receive.checked_of", count=awaited) if awaited else super().label()

    def act_all(self) -> None:
        """Everything that nothing was said of came as expected."""
        self.sheet.fill()
        self.say(self.t("receive.all_filled"))
        self.show_sheet()

    def act_damaged(self) -> None:
        """Say how much of the selected line is damaged, and how."""
        self.converse(self._damaged())

    async def _damaged(self) -> None:
        place = self.selected()
        line = self.sheet.lines[place]
        text = await self.ask(
            AskScreen(self.t("damaged.title"), line.name, prompt=self.t("damaged.prompt"), hint=self.t("damaged.hint"),
                      check=keyed_quantity)
        )  # fmt: skip
        if text is None:
            return
        damaged = keyed_quantity(text)
        how = ""
        if damaged:
            choices = [Choice(name, self.t(f"damage.{name}")) for name in DAMAGES]
            how = await self.ask(ChooseScreen(self.t("damaged.how"), choices, line.name)) or ""
            if not how:
                return
        self.sheet.set_damaged(place, damaged, how)
        self.say(self.t("damaged.said", name=line.name, quantity=amount_of(damaged, line.unit_name)))
        self.show_sheet()

    async def finish(self) -> str | None:
        """Ask why what differs does, whether more comes, and take the delivery in."""
        if self.sheet.is_empty and self._expected is None:
            raise RefusalError("sheet_empty", "there are no goods on the list yet: scan or type some")
        differing = differences(self.till.node, self._expected, self.sheet.delivered())
        is_final = True
        if self._expected is not None and any(one.short_milli > 0 for one in differing):
            choices = [Choice(name, self.t(f"receive.{name}")) for name in ("more", "final")]
            chosen = await self.ask(ChooseScreen(self.t("receive.short_title"), choices, self._told(differing)))
            if chosen is None:
                return None
            is_final = chosen == "final"
        if not await self._reasons(differing, is_final):
            return None
        count = len(self.sheet.touched)
        is_asked = self._expected is not None and any(one.short_milli for one in differing)
        if not is_asked:  # no other question was asked: nothing goes into the stock at one key
            text = self.t("receive.confirm", lines=count)
            if not await self.ask(ConfirmScreen(self.t("receive.confirm_title"), text)):
                return None
        done: list[str] = []

        def take_in(approver: str) -> None:
            recorded = receive_delivery(
                self.till.node, self._expected, self.sheet.delivered(), is_final=is_final, supplier=self._supplier,
                document=self._document, operator=self.till.operator_id, approver=approver, note=self.remark,
                prints=self.till.has_printer, in_hand=self.in_hand,
            )  # fmt: skip
            done.append(recorded.entry)

        await self.insisting(take_in)
        if not done:
            return None
        return self.t("receive.done" if is_final else "receive.done_partly", lines=count)

    def _told(self, differing: list[Difference]) -> str:
        told = [
            self.t("receive.differs", name=one.name, quantity=amount_of(abs(one.short_milli), one.unit))
            for one in differing
            if one.short_milli > 0
        ]
        more = [self.t("receive.and_more", count=len(told) - 4)] if len(told) > 4 else []
        return "\n".join([*told[:4], *more])

    async def _reasons(self, differing: list[Difference], is_final: bool) -> bool:
        """Ask once why goods are short for good, and once why there are too many; False where nobody answers."""
        if self._expected is None:
            return True
        short = {one.product for one in differing if one.short_milli > 0} if is_final else set()
        over = {one.product for one in differing if one.short_milli < 0}
        for products, reasons, title in ((short, SHORT_REASONS, "why_short"), (over, OVER_REASONS, "why_over")):
            if not products:
                continue
            choices = [Choice(name, self.t(f"why_differs.{name}")) for name in reasons]
            reason = await self.ask(ChooseScreen(self.t(f"receive.{title}"), choices))
            if reason is None:
                return False
            for line in self.sheet.lines:
                if line.product in products:
                    line.reason = reason
        return True

    def style_of(self, line: SheetLine) -> str:
        """Mark lines without anything expected only where something is."""
        return super().style_of(line) if self._expected is not None else ("warn" if line.damaged_milli else "")
