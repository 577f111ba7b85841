"""Owns the lists of stock that needs a person, what is on the road, and the drafts that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.drafting import GoodsDraft, draft_goods, goods_drafts
from edge.goods_sheet import GoodsSheet, KeptSheet, SheetNotes, wanted_sheet
from edge.places import other_places
from edge.stock import TransferOnRoad, transfers_on_road
from edge.stock_lists import ListedGoods, StockList, list_sizes, stock_list
from edge.suppliers import suppliers
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import Choice, ChooseScreen
from pos_tui.screens.goods import GoodsScreen
from pos_tui.screens.money import age, amount_of
from pos_tui.screens.stock_view import why_rows
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.total_panel import Fact
from schema.errors import RefusalError

if TYPE_CHECKING:
    pass

ROAD, DRAFTS = "road", "drafts"
LISTS: Final = (*(one.value for one in StockList), ROAD, DRAFTS)
SHOWN_MAX: Final = 500
ROAD_OLD_MS: Final = 3 * 86_400_000
"""Goods on the road for longer than this are marked."""


class StockListsScreen(TillScreen[None]):
    """Shows one list at a time; `*` goes on to the next, `+` drafts an order or a transfer of what it shows."""

    NAME = "lists"
    ACTS = (
        act("next", "*", "right"), act("previous", "/", "left"), act("draft", "+", "f8"), act("why", "enter"),
        act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list")
        self._which = ""
        self._goods: list[ListedGoods] = []
        self._drafts: list[GoodsDraft] = []
        self._road: list[TransferOnRoad] = []
        self._why = ""

    def offers(self, name: str) -> bool:
        """A draft is made of goods; why is asked of one of them."""
        if name == "why":
            return bool(self._goods) or bool(self._drafts)
        return True

    # Showing

    def show(self) -> None:
        """State the list."""
        assert self.listing is not None
        self.show_status()
        if not self._which:  # begin with what needs somebody
            sizes = list_sizes(self.till.node)
            self._which = next((which.value for which, size in sizes.items() if size), LISTS[0])
        place = LISTS.index(self._which) + 1
        title = self.t("lists.page", title=self.t(f"lists.{self._which}"), place=place, count=len(LISTS))
        self.frame.border_title = title
        self._goods, self._drafts, self._road, self._why = [], [], [], ""
        columns: tuple[Column, ...]
        if self._which == ROAD:
            columns, rows = self._show_road()
        elif self._which == DRAFTS:
            columns, rows = self._show_drafts()
        else:
            columns, rows = self._show_goods(StockList(self._which))
        self.listing.show(columns, rows, selected=0, empty=(self.t(f"lists.none_{self._which}"),), has_cursor=True)
        self.show_keys()

    def _show_goods(self, which: StockList) -> tuple[tuple[Column, ...], list[Row]]:
        self._goods = stock_list(self.till.node, which)[:SHOWN_MAX]
        head = (Column(self.t("search.code"), 8, from_width=70), Column(self.t("sale.goods")),
                Column(self.t("lists.on_hand"), 10, "right"))  # fmt: skip
        match which:
            case StockList.NEGATIVE:
                more: tuple[Column, ...] = ()
            case StockList.EXPIRING:
                more = (Column(self.t("goods.lot"), 10, from_width=60), Column(self.t("lists.expires"), 10),
                        Column(self.t("lists.days"), 6, "right"),
                        Column(self.t("lists.concerned"), 10, "right"))  # fmt: skip
            case StockList.BELOW:
                more = (Column(self.t("lists.minimum"), 8, "right"), Column(self.t("lists.coming"), 8, "right"),
                        Column(self.t("lists.to_order"), 8, "right"))  # fmt: skip
            case StockList.UNCOUNTED:
                more = (Column(self.t("lists.counted"), 12), Column(self.t("lists.days"), 6, "right"))
        return (*head, *more), [self._goods_row(which, one) for one in self._goods]

    def _goods_row(self, which: StockList, one: ListedGoods) -> Row:
        cells: tuple[str, ...] = (one.product, one.name, amount_of(one.on_hand_milli, one.unit))
        days = "" if one.days is None else str(one.days)
        match which:
            case StockList.NEGATIVE:
                return Row(cells, "bad")
            case StockList.EXPIRING:
                is_over = one.days is not None and one.days < 0
                about = self.t("lists.about", quantity=amount_of(one.concern_milli, one.unit))
                return Row((*cells, one.lot, one.date, days, about), "bad" if is_over else "warn")
            case StockList.BELOW:
                wanted = one.suggested_milli
                cells += (amount_of(one.minimum_milli), amount_of(one.coming_milli) if one.coming_milli else "",
                          amount_of(wanted) if wanted else "")  # fmt: skip
                return Row(cells, "muted" if not wanted else "bad" if one.on_hand_milli <= 0 else "warn")
            case StockList.UNCOUNTED:
                return Row((*cells, one.date or self.t("lists.never"), days))

    def _show_road(self) -> tuple[tuple[Column, ...], list[Row]]:
        self._road = transfers_on_road(self.till.node)[:SHOWN_MAX]
        columns = (Column(self.t("deliveries.number"), 14), Column(self.t("lists.way"), 14),
                   Column(self.t("sale.goods")), Column(self.t("lists.on_road"), 10, "right"),
                   Column(self.t("deliveries.age"), 9, "right"))  # fmt: skip
        rows = []
        for one in self._road:
            is_old = one.age_ms is not None and one.age_ms > ROAD_OLD_MS
            quantity = amount_of(one.transit_milli) if not one.problem else self.t(f"lists.{one.problem}")
            rows.append(
                Row(
                    (one.transfer, f"{one.origin or '?'} → {one.destination or '?'}",
                     self.till.product_name(one.product), quantity, age(self.till_app.texts, one.age_ms)),
                    "bad" if one.problem else "warn" if is_old else "",
                )
            )  # fmt: skip
        return columns, rows

    def _show_drafts(self) -> tuple[tuple[Column, ...], list[Row]]:
        self._drafts = goods_drafts(self.till.node)
        columns = (Column(self.t("lists.draft"), 12), Column(self.t("lists.purpose"), 6),
                   Column(self.t("lists.source")), Column(self.t("goods.lines"), 5, "right"),
                   Column(self.t("lists.state"), 24))  # fmt: skip
        tones = {"open": "", "answered": "good", "declined": "warn"}
        rows = [
            Row(
                (one.draft, self.t(f"lists.purpose_{one.purpose}"), one.source_name or self.t("lists.anyone"),
                 str(len(one.lines)),
                 " ".join(part for part in (self.t(f"lists.state_{one.state}"), one.reference, one.answer) if part)),
                tones.get(one.state, ""),
            )
            for one in self._drafts
        ]  # fmt: skip
        return columns, rows

    # Acts

    def act_next(self) -> None:
        """Show the next list."""
        self._turn(1)

    def act_previous(self) -> None:
        """Show the list before."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        self._which = LISTS[(LISTS.index(self._which) + by) % len(LISTS)]
        self.say("")
        self.show()

    def entered(self, _text: str) -> None:
        """Explain the selected row."""
        self.perform("why")

    def act_why(self) -> None:
        """Explain the selected figure, or show what a draft asks for; again for the list."""
        assert self.listing is not None
        if self._why:
            self.show()
            return
        place = max(0, self.listing.selected)
        if self._drafts:
            draft = self._drafts[place]
            rows = [Row((product, f"{name}  {amount_of(quantity)}")) for product, name, quantity in draft.lines]
            title, self._why = draft.draft, draft.draft
        else:
            one = self._goods[place]
            rows = why_rows(self.till.node, one.product, self.till_app.texts)
            title, self._why = self.t("lookup.why_title", name=one.name), one.product
        self.frame.border_title = title
        self.listing.show((Column("", 20), Column("")), rows, selected=0, has_cursor=False)

    def act_draft(self) -> None:
        """Draft an order or a transfer, of what the list shows where it is about missing goods."""
        self.converse(self._draft())

    async def _draft(self) -> None:
        sheet = GoodsSheet()
        if self._which in {StockList.BELOW.value, StockList.NEGATIVE.value}:
            wanted = [(one.product, one.suggested_milli) for one in self._goods if one.suggested_milli]
            sheet = wanted_sheet(self.till.node, wanted)
            sheet.fill()
        said = await self.ask(DraftScreen(sheet))
        self.show()
        if said:
            self.say(said, "good")

    def back(self) -> None:
        """Go back to the list, or leave."""
        if self._why:
            self.show()
        else:
            self.dismiss(None)


class DraftScreen(GoodsScreen):
    """Lists what this location wants, from a supplier or from another location; the hub picks it up."""

    NAME = "draft"
    ACTS = (*GoodsScreen.SHEET_ACTS[:1], *GoodsScreen.SHEET_ACTS[2:])

    def __init__(self, sheet: GoodsSheet | None = None) -> None:
        super().__init__(sheet)
        self._purpose = ""
        self._source = ""
        self._source_name = ""

    async def begin(self) -> bool:
        """Ask whether to buy or to have it sent, and from whom."""
        purposes = [Choice(name, self.t(f"draft.{name}")) for name in ("order", "transfer")]
        purpose = await self.ask(ChooseScreen(self.t("draft.purpose"), purposes))
        if purpose is None:
            return False
        self._purpose = purpose
        if purpose == "order":
            found = [(one.code, one.name) for one in suppliers(self.till.node)]
        else:
            found = [(one.location, one.name) for one in other_places(self.till.node)]
        choices = [Choice(f"={code}", name, code) for code, name in found]
        choices.append(Choice("=", self.t("draft.anyone")))
        chosen = await self.ask(ChooseScreen(self.t(f"draft.from_{purpose}"), choices))
        if chosen is None:
            return False
        self._source = chosen[1:]
        self._source_name = dict(found).get(self._source, "")
        return True

    def notes(self) -> SheetNotes:
        """Keep what it is, and from whom."""
        title = f"{self.t(f'lists.purpose_{self._purpose}')} {self._source_name}".strip()
        return SheetNotes(self.remark, {"title": title, "purpose": self._purpose, "source": self._source,
                                        "source_name": self._source_name})  # fmt: skip

    def take_up(self, kept: KeptSheet) -> str:
        """Go on with what was wanted."""
        about = kept.notes.about
        self._purpose, self._source, self._source_name = about["purpose"], about["source"], about["source_name"]
        return super().take_up(kept)

    def facts(self) -> list[Fact]:
        """Say what it is, and from whom."""
        if not self._purpose:
            return []
        return [Fact(self.t("lists.purpose"), self.t(f"lists.purpose_{self._purpose}")),
                Fact(self.t("lists.source"), self._source_name or self.t("lists.anyone"))]  # fmt: skip

    async def finish(self) -> str | None:
        """Leave the draft for the hub."""
        requests = self.sheet.requests()
        if not requests:
            raise RefusalError("sheet_empty", "there are no goods on the list yet: scan or type some")
        draft = draft_goods(
            self.till.node, self._purpose, requests, source=self._source, operator=self.till.operator_id,
            note=self.remark, in_hand=self.in_hand,
        )  # fmt: skip
        return self.t("draft.done", number=draft)
