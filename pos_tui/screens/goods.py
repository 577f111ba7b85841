"""Owns the screen on which goods are listed by scanning: the base of receiving, sending, adjusting and drafting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Container

from edge.acting import base_quantity, named_product
from edge.catalog import find_product, product_of
from edge.goods_in_hand import give_up, new_name
from edge.goods_sheet import (
    GoodsSheet,
    KeptSheet,
    SheetLine,
    SheetNotes,
    go_on_with,
    keep_sheet,
    kept_sheets,
    written_sheet,
)
from edge.keyed import keyed_money, keyed_quantity, plain_width
from edge.scanning import (
    Candidates,
    Found,
    NothingFound,
    PriceNeeded,
    QuantityKeyed,
    Unknown,
    WeightNeeded,
    interpret,
    interpret_scan,
    pick,
)
from edge.stock_dates import keyed_date
from pos_tui.keys import Act, act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.money import ago, amount_of, money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.basket import BasketLine
    from edge.scanning import Interpretation
    from edge.wedge import Scan
    from pos_tui.screens.base import TillScreen

QUANTITY_DIGITS_MAX = 5
"""A shorter number that is no product's code is the selected line's quantity."""


class GoodsScreen(AllowingScreen[str]):
    """A sheet of goods: scan or type goods, a number sets the selected line, `+` finishes.

    Its answer says what was done. A subclass names itself, says what stands in the panel (`label`, `facts`) and what
    finishing does (`finish`).
    """

    ASKS_FOR_KEPT: ClassVar[bool] = True
    """Whether the screen itself offers the lists that are in hand; else another has done so before."""
    SHEET_ACTS: ClassVar[tuple[Act, ...]] = (
        act("finish", "+", "f8"), act("lot", "f4"), act("note", "f7"), act("take_back", "-", "delete"),
        act("line", "enter", on_bar=False), act("back", "escape"),
    )  # fmt: skip

    def __init__(self, sheet: GoodsSheet | None = None, kept: KeptSheet | None = None) -> None:
        super().__init__()
        self.sheet = sheet or GoodsSheet()
        self.remark = ""
        self.in_hand = new_name()
        self._kept = kept
        self._written = b""
        self._is_ready = False
        self.listing = Listing(id="lines")
        self.total = TotalPanel(id="total")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")
        self._has_begun = False

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.listing is not None
        assert self.entry is not None
        yield StatusLine(id="status")
        with Container(id="body"):
            yield self.listing
            yield self.total
        yield self.message
        yield self.entry
        yield KeyBar(id="keys")

    # What a subclass says.

    def label(self) -> str:
        """Return what the big figure counts."""
        return self.t("goods.lines")

    def figure(self) -> str:
        """Return the big figure."""
        return str(len(self.sheet.touched))

    def facts(self) -> list[Fact]:
        """Return what stands in the panel beside the figure."""
        return []

    def empty(self) -> tuple[str, ...]:
        """Return what an empty sheet says."""
        return (self.t(f"goods.empty_{self.NAME}"), self.t("goods.empty_hint"))

    async def begin(self) -> bool:
        """Ask what must be known before goods are scanned; False leaves the screen."""
        return True

    async def finish(self) -> str | None:
        """Record the sheet; returns what to say where it was done, None to stay."""
        raise NotImplementedError

    def notes(self) -> SheetNotes:
        """Return what stands beside the lines, as it is kept with them."""
        return SheetNotes(self.remark)

    def take_up(self, kept: KeptSheet) -> str:
        """Go on with a list that was in hand; returns what to say about it."""
        self.sheet = go_on_with(self.till.node, kept, kept.notes.expected)
        return self.t("in_hand.back", lines=kept.touched)

    @property
    def has_expected(self) -> bool:
        """Tell whether anything is expected."""
        return any(line.expected_milli is not None for line in self.sheet.lines)

    # Showing

    def show(self) -> None:
        """State the sheet and its panel."""
        self.show_status()
        self.show_sheet()
        if not self._has_begun:
            self._has_begun = True
            self.converse(self._begun())

    async def _begun(self) -> None:
        offered = kept_sheets(self.till.node, self.NAME) if self._kept is None and self.ASKS_FOR_KEPT else []
        if offered:
            kept, is_left = await offer_kept(self, offered)
            if is_left:
                self.dismiss(None)
                return
            self._kept = kept
        if self._kept is not None:
            self.in_hand, self.remark = self._kept.name, self._kept.notes.remark
            said = self.take_up(self._kept)
            self._is_ready = True
            self.say(said, "warn")
            self.show_sheet(max(0, len(self.sheet.lines) - 1) if not self.has_expected else None)
        elif await self.begin():
            self._is_ready = True
            self.show_sheet()
        else:
            self.dismiss(None)

    def _keep(self) -> None:
        """Write the list down where it changed: what was scanned survives the till and the power."""
        if not self._is_ready or self.till.is_training:
            return
        written = b"" if self.sheet.is_empty else written_sheet(self.sheet, self.notes())
        if written == self._written:
            return
        if written:
            keep_sheet(self.till.node, self.in_hand, self.NAME, written, self.till.operator_id)
        else:
            give_up(self.till.node, self.in_hand)
        self._written = written

    def show_sheet(self, selected: int | None = None) -> None:
        """State the lines, the figures and the prompt; what changed is kept."""
        with self.saying():
            self._keep()
        assert self.listing is not None
        assert self.entry is not None
        rows = [self._row(line) for line in self.sheet.lines]
        self.listing.show(self._columns(), rows, selected=selected, empty=self.empty())
        self.total.show(TotalFigures(self.label(), self.figure(), "big", tuple(self._facts())))
        self.entry.show(self.t("goods.prompt"), self.t("goods.hint" if self.sheet.lines else "goods.hint_empty"))
        self.show_keys()

    def _facts(self) -> list[Fact]:
        facts = self.facts()
        if self.remark:
            facts.append(Fact(self.t("goods.note"), self.remark))
        return facts

    def _columns(self) -> tuple[Column, ...]:
        lot = (Column(self.t("goods.lot"), 19, from_width=60),) if self._has_lots() else ()
        columns = (Column(self.t("search.code"), 8, from_width=70), Column(self.t("sale.goods")), *lot)
        if self.has_expected:
            columns += (Column(self.t("goods.expected"), 9, "right"),)
        columns += (Column(self.t("goods.quantity"), 10, "right"),)
        if any(line.damaged_milli for line in self.sheet.lines):
            columns += (Column(self.t("goods.damaged"), 7, "right"),)
        if self._has_costs():
            columns += (Column(self.t("goods.cost"), 8, "right"),)
        return columns

    def _has_costs(self) -> bool:
        return any(line.cost_minor is not None for line in self.sheet.lines)

    def _has_lots(self) -> bool:
        return any(line.lot or line.expiry for line in self.sheet.lines)

    def _row(self, line: SheetLine) -> Row:
        lot = (" ".join(part for part in (line.expiry, line.lot) if part),) if self._has_lots() else ()
        cells: tuple[str, ...] = (line.product, line.name, *lot)
        if self.has_expected:
            cells += (amount_of(line.expected_milli) if line.expected_milli is not None else "–",)
        cells += (amount_of(line.quantity_milli, line.unit_name) if line.quantity_milli or line.is_touched else "",)
        if any(each.damaged_milli for each in self.sheet.lines):
            cells += (amount_of(line.damaged_milli) if line.damaged_milli else "",)
        if self._has_costs():
            cells += (money(line.cost_minor) if line.cost_minor is not None else "",)
        return Row(cells, self.style_of(line))

    def style_of(self, line: SheetLine) -> str:
        """Return how a line is painted: what is complete, what differs, what nothing was said of."""
        if line.expected_milli is None:
            return "warn" if self.has_expected else ""
        if not line.is_touched:
            return "muted"
        return "good" if not line.short_milli and not line.damaged_milli else "warn"

    # Goods

    def scanned(self, scan: Scan) -> None:
        """Take scanned goods; what stands in the entry line may multiply them."""
        assert self.entry is not None
        outcome, left = interpret_scan(self.till.node, self.entry.take(), scan)
        self.entry.set_text(left)
        self.take_outcome(outcome)

    def entered(self, text: str) -> None:
        """Take typed goods, or the quantity of the selected line."""
        with self.saying():
            if not text:
                self.accepted()
            elif self._is_quantity(text):
                self.set_quantity(keyed_quantity(text))
            else:
                self.take_outcome(interpret(self.till.node, text, is_scan=False))

    def _is_quantity(self, text: str) -> bool:
        plain = plain_width(text)
        if not self.sheet.lines or not plain.replace(".", "", 1).isdecimal():
            return False
        if "." in plain:
            return True
        return len(plain) <= QUANTITY_DIGITS_MAX and find_product(self.till.node, plain) is None

    def accepted(self) -> None:
        """Take Enter alone: the selected line is as expected, and the next one is selected."""
        assert self.listing is not None
        if not self.sheet.lines:
            return
        line = self.sheet.lines[self.selected()]
        if line.expected_milli is not None and not line.is_touched:
            line.quantity_milli = line.expected_milli
        self.say("")
        self.show_sheet(min(self.selected() + 1, len(self.sheet.lines) - 1))

    def set_quantity(self, quantity_milli: int) -> None:
        """Set the selected line's quantity and go on to the next."""
        place = self.selected()
        self.sheet.set_quantity(place, quantity_milli)
        line = self.sheet.lines[place]
        self.say(self.t("goods.set", name=line.name, quantity=amount_of(quantity_milli, line.unit_name)))
        self.show_sheet(min(place + 1, len(self.sheet.lines) - 1) if self.has_expected else place)

    def selected(self) -> int:
        """Return the selected line's place; raises RefusalError where there is none."""
        assert self.listing is not None
        if not self.sheet.lines:
            raise RefusalError("sheet_empty", "there are no goods on the list yet: scan or type some")
        return min(max(0, self.listing.selected), len(self.sheet.lines) - 1)

    def take_outcome(self, outcome: Interpretation) -> None:
        """Do what a code means here: goods go onto the list, all else has no place."""
        match outcome:
            case Found(line, _) | PriceNeeded(line, _):
                self.take(line)
            case WeightNeeded(line, _):
                self.take(line, 0)
                self.say(self.t("goods.weigh", name=line.name), "warn")
            case Unknown(code, line, is_misread):
                if is_misread:
                    self.app.bell()
                    self.say(self.t("goods.misread", code=code), "warn")
                else:
                    self.take(line)
                    self.say(self.t("goods.unknown", code=code), "warn")
            case Candidates(hits, quantity_milli):
                self.converse(self._choose(hits, quantity_milli))
            case QuantityKeyed(quantity_milli):
                self.set_quantity(quantity_milli)
            case NothingFound(text):
                self.app.bell()
                self.say(self.t("sale.not_found", text=text), "warn")
            case _:
                self.app.bell()
                self.say(self.t("scan.not_here"), "warn")

    async def _choose(self, hits: Sequence[object], quantity_milli: int | None) -> None:
        from edge.search import SearchHit

        found = [hit for hit in hits if isinstance(hit, SearchHit)]
        choices = [Choice(hit.code, f"{hit.name} {hit.spec}".strip(), hit.unit_name) for hit in found[:30]]
        code = await self.ask(ChooseScreen(self.t("candidates.title"), choices))
        if code is not None:
            self.take_outcome(pick(self.till.node, code, quantity_milli=quantity_milli))

    def take(self, line: BasketLine, quantity_milli: int | None = None) -> None:
        """Put goods onto the list and select them."""
        quantity = line.quantity_milli if quantity_milli is None else quantity_milli
        base = base_quantity(named_product(self.till.node, line.product, line.unit), quantity) if quantity else 0
        found = product_of(self.till.node, line.product)
        unit_name = "" if found is None else found.product.unit_name
        place = self.sheet.take(line, base, unit_name)
        told = self.sheet.lines[place]
        self.say(self.t("goods.taken", name=told.name, quantity=amount_of(told.quantity_milli, told.unit_name)))
        self.show_sheet(place)

    # Acts

    def act_line(self) -> None:
        """Take what was typed."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_take_back(self) -> None:
        """Take back what was said of the selected line; on an empty list, leave."""
        if not self.sheet.lines:
            self.act_back()
            return
        place = self.selected()
        name = self.sheet.lines[place].name
        self.sheet.drop(place)
        self.say(self.t("goods.dropped", name=name))
        self.show_sheet()

    def act_lot(self) -> None:
        """Ask the lot and the date of the selected line."""
        self.converse(self._lot())

    async def _lot(self) -> None:
        line = self.sheet.lines[self.selected()]
        text = await self.ask(
            AskScreen(self.t("lot.title"), self.t("lot.date_text", name=line.name), prompt=self.t("lot.date"),
                      hint=self.t("lot.date_hint"), initial=line.expiry, check=_optional(keyed_date))
        )  # fmt: skip
        if text is None:
            return
        line.expiry = keyed_date(text) if text else ""
        lot = await self.ask(AskScreen(self.t("lot.title"), line.name, prompt=self.t("lot.lot"),
                                       hint=self.t("lot.lot_hint"), initial=line.lot, takes_scan=True))  # fmt: skip
        if lot is not None:
            line.lot = lot[:40]
        self.say("")
        self.show_sheet()

    def act_note(self) -> None:
        """Write a remark that stays with what is recorded."""
        self.converse(self._note())

    async def _note(self) -> None:
        text = await self.ask(AskScreen(self.t("goods.note_title"), prompt=self.t("goods.note"), initial=self.remark))
        if text is not None:
            self.remark = text[:200]
            self.show_sheet()

    def act_cost(self) -> None:
        """Ask what the selected goods cost."""
        self.converse(self._cost())

    async def _cost(self) -> None:
        line = self.sheet.lines[self.selected()]
        initial = "" if line.cost_minor is None else money(line.cost_minor).replace(",", "")
        text = await self.ask(
            AskScreen(self.t("cost.title"), self.t("cost.text", name=line.name, unit=line.unit_name), prompt="￥",
                      initial=initial, check=_optional(keyed_money))
        )  # fmt: skip
        if text is not None:
            line.cost_minor = keyed_money(text) if text else None
            self.show_sheet()

    def act_finish(self) -> None:
        """Record what is on the list, after a question."""
        self.converse(self._finishing())

    async def _finishing(self) -> None:
        done = await self.finish()
        if done is not None:
            self.till_app.paper_queued()
            self.dismiss(done)

    def act_back(self) -> None:
        """Empty the line, or leave the list after a question: nothing of it was recorded."""
        self.escaped()

    def back(self) -> None:
        """Leave; a list that something was entered on asks first."""
        self.converse(self._leave())

    async def _leave(self) -> None:
        if self.sheet.is_empty or await self.ask(ConfirmScreen(self.t("goods.leave"), self.t("goods.leave_text"))):
            if self._written:
                give_up(self.till.node, self.in_hand)
            self.dismiss(None)


async def offer_kept(screen: TillScreen[Any], offered: Sequence[KeptSheet]) -> tuple[KeptSheet | None, bool]:
    """Ask whether to go on with lists that were in hand; returns the chosen one, and whether nobody answered.

    Those that nobody goes on with wait on, unless they are dropped: nothing of them was recorded.
    """
    now_ms = screen.till.node.clock_source().wall_ms
    choices = [
        Choice(
            one.name,
            screen.t("in_hand.go_on", lines=one.touched, about=one.notes.about.get("title", "")).strip(),
            ago(screen.till_app.texts, now_ms - one.changed_ms),
        )
        for one in offered
    ]
    choices += [Choice("+", screen.t("in_hand.another")), Choice("-", screen.t("in_hand.drop"))]
    chosen = await screen.ask(ChooseScreen(screen.t("in_hand.title"), choices, screen.t("in_hand.text")))
    if chosen == "-":
        give_up(screen.till.node, *(one.name for one in offered))
    return next((one for one in offered if one.name == chosen), None), chosen is None


def _optional(check: Callable[[str], object]) -> Callable[[str], None]:
    """Accept nothing at all, or what a check accepts."""

    def checked(text: str) -> None:
        if text:
            check(text)

    return checked
