"""Owns the recount by a second person: goods and zones, and nothing of what was counted before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.catalog import product_of
from edge.count_lines import check_second_person, touch_line
from edge.counting import record_looks
from edge.keyed import keyed_quantity
from pos_tui.keys import act
from pos_tui.screens.count_codes import ReadingScreen
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row
from schema.amounts import format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.basket import BasketLine
    from edge.count_results import Recount
    from edge.wedge import Scan


class RecountScreen(ReadingScreen[bool]):
    """A row for each product and zone; scans add, a number is the whole, `+` records. Answers whether it did."""

    NAME = "recount"
    ACTS = (act("finish", "+", "f8"), act("set", "enter"), act("less", "-"), act("back", "escape"))

    def __init__(self, session: str, due: Sequence[Recount], operator: str) -> None:
        super().__init__()
        self._session, self._operator = session, operator
        self._places = [(one.product, one.name, zone) for one in due for zone in one.zones]
        self._counted: dict[int, int] = {}
        self.listing = Listing(id="lines")
        self.entry = EntryLine(id="entry")

    def show(self) -> None:
        """State what is to be counted again."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        self.frame.border_title = self.t("recount.title")
        columns = (Column("#", 3, "right"), Column(self.t("search.goods")), Column(self.t("stock_count.zone"), 14),
                   Column(self.t("stock_count.counted"), 12, "right"))  # fmt: skip
        rows = [
            Row((str(place + 1), name, zone, self._quantity(place)), "" if place in self._counted else "strong")
            for place, (_, name, zone) in enumerate(self._places)
        ]
        self.listing.show(columns, rows)
        name = self._places[max(0, self.listing.selected)][1]
        self.entry.show(self.t("stock_count.prompt"), self.t("stock_count.hint_line", name=name))

    def _quantity(self, place: int) -> str:
        return format_quantity(self._counted[place]) if place in self._counted else self.t("recount.open")

    def moved(self) -> None:
        """Ask for the one that was pointed at."""
        self.show()

    def scanned(self, scan: Scan) -> None:
        """Add one of what was scanned."""
        self.take_scanned(scan)

    def counted(self, line: BasketLine, quantity_milli: int) -> None:
        """Add what was seen, in the zone in hand where it is asked for there."""
        assert self.listing is not None
        selected = max(0, self.listing.selected)
        places = [place for place, (product, _, _) in enumerate(self._places) if product == line.product]
        if not places:
            self.app.bell()
            self.say(self.t("recount.not_asked", name=line.name), "warn")
            return
        zone = self._places[selected][2]
        place = next((one for one in places if self._places[one][2] == zone), places[0])
        self._state(place, self._counted.get(place, 0) + quantity_milli)

    def _state(self, place: int, total_milli: int) -> None:
        assert self.listing is not None
        product, name, zone = self._places[place]
        is_first = place not in self._counted
        if is_first:
            check_second_person(self.till.node, self._session, product, self._operator)
        touch_line(
            self.till.node, self._session, zone, product, total_milli, operator=self._operator, is_total=True,
            is_anew=is_first,
        )  # fmt: skip
        self._counted[place] = total_milli
        self.listing.select(place)
        self.show()
        self.say(self.t("stock_count.counts", name=name, total=format_quantity(total_milli)))

    def entered(self, text: str) -> None:
        """Take a number as the whole of the row in hand and go on to the next; anything else is a code."""
        assert self.listing is not None
        if not text:
            return
        with self.saying():
            if not (text.replace(".", "", 1).isdigit() and text.isascii() and len(text) <= 6):
                self.take_code(text)
                return
            place = max(0, self.listing.selected)
            quantity = keyed_quantity(text)
            found = product_of(self.till.node, self._places[place][0])
            if quantity % 1000 and found is not None and not found.product.is_weighed:
                self.app.bell()
                self.say(self.t("stock_count.broken", name=self._places[place][1]), "warn")
                return
            self._state(place, quantity)
            if place + 1 < len(self._places):
                self.listing.move(1)
                self.show()

    def act_set(self) -> None:
        """Take what was typed."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_less(self) -> None:
        """Take one back of the row in hand."""
        assert self.listing is not None
        place = max(0, self.listing.selected)
        if self._counted.get(place, 0) >= 1000:
            self._state(place, self._counted[place] - 1000)

    def act_finish(self) -> None:
        """Record what was counted again."""
        if self._counted:
            record_looks(self.till.node, self._session, operator=self._operator)
        self.dismiss(bool(self._counted))

    def act_back(self) -> None:
        """Empty the line, or leave: what was counted again is recorded."""
        assert self.entry is not None
        if self.entry.text:
            self.entry.set_text("")
        else:
            self.act_finish()
