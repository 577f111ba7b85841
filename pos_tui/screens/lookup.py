"""Owns looking things up: a product's price and stock, here and elsewhere, and why the figure is what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.catalog import find_product
from edge.search import SearchHit, search
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import money
from pos_tui.screens.stock_view import product_rows, why_rows
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from edge.wedge import Scan


class LookupScreen(TillScreen[str]):
    """Finds a product as the cashier types; Enter shows it, `+` puts it into the basket."""

    NAME = "lookup"
    ACTS = (
        act("show", "enter"), act("sell", "+"), act("why", "*"), act("receipts", "f5", "/"),
        act("purchases", "f2"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list")
        self.entry = EntryLine(id="entry")
        self._hits: list[SearchHit] = []
        self._product = ""
        self._is_why = False

    def offers(self, name: str) -> bool:
        """What needs a product is offered where one is shown."""
        return name not in {"why", "sell"} or bool(self._product or self._hits)

    def show(self) -> None:
        """State the hits, or the product."""
        assert self.entry is not None
        self.show_status()
        self.entry.show(self.t("sale.prompt"), self.t("lookup.hint"))
        if self._product:
            self._show_product()
        else:
            self._show_hits()
        self.show_keys()

    def _show_hits(self) -> None:
        assert self.listing is not None
        assert self.entry is not None
        self.frame.border_title = self.t("lookup.title")
        columns = (
            Column(self.t("search.code"), 8), Column(self.t("search.goods")),
            Column(self.t("search.barcode"), 14, from_width=72), Column(self.t("search.unit"), 6),
            Column(self.t("sale.price"), 9, "right"),
        )  # fmt: skip
        rows = [
            Row((hit.code, f"{hit.name} {hit.spec}".strip(), hit.barcode, hit.unit_name,
                 "?" if hit.price_minor is None else money(hit.price_minor)))
            for hit in self._hits
        ]  # fmt: skip
        text = self.entry.text.strip()
        empty: tuple[str, ...] = (self.t("lookup.empty"),)
        if text:
            empty = (self.t("search.nothing", text=text), self.t("search.nothing_hint"))
        self.listing.show(columns, rows, selected=0, empty=empty, has_cursor=True)

    def _show_product(self) -> None:
        assert self.listing is not None
        found = find_product(self.till.node, self._product)
        name = self._product if found is None else f"{found.product.name} {found.product.spec}".strip()
        title = self.t("lookup.why_title", name=name) if self._is_why else name
        self.frame.border_title = title
        rows_of = why_rows if self._is_why else product_rows
        rows = rows_of(self.till.node, self._product, self.till_app.texts)
        self.listing.show((Column("", 20), Column("")), rows, selected=0, has_cursor=False)

    def typed(self) -> None:
        """Search as the cashier types."""
        assert self.entry is not None
        text = self.entry.text.strip()
        self._product, self._is_why = "", False
        self._hits = search(self.till.node, text) if text else []
        self._show_hits()
        self.show_keys()

    def scanned(self, scan: Scan) -> None:
        """Show the product of a scanned code."""
        self._open(scan.text)

    def entered(self, text: str) -> None:
        """Show the selected product."""
        assert self.listing is not None
        with self.saying():
            place = max(0, self.listing.selected)
            # A code typed whole means that product, also where the list is a keystroke behind.
            if text and place == 0 and find_product(self.till.node, text) is not None:
                self._open(text)
            elif self._hits and not self._product:
                self._open(self._hits[min(place, len(self._hits) - 1)].code)
            elif text:
                self._open(text)

    def _open(self, code: str) -> None:
        found = find_product(self.till.node, code)
        if found is None:
            self.app.bell()
            self.say(self.t("sale.not_found", text=code), "warn")
            return
        self._product, self._is_why = found.product.code, False
        self.say("")
        self.show()

    def act_show(self) -> None:
        """Show the selected product."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_why(self) -> None:
        """Explain the stock figure."""
        assert self.listing is not None
        if not self._product and self._hits:
            self._product = self._hits[max(0, self.listing.selected)].code
        self._is_why = not self._is_why
        self.show()

    def act_sell(self) -> None:
        """Put the product into the basket."""
        assert self.listing is not None
        code = self._product or (self._hits[max(0, self.listing.selected)].code if self._hits else "")
        if code:
            self.dismiss(code)

    def act_receipts(self) -> None:
        """Show the last receipts."""
        from pos_tui.screens.receipts import ReceiptsScreen

        self.app.push_screen(ReceiptsScreen())

    def act_purchases(self) -> None:
        """Show what a member bought."""
        from pos_tui.screens.receipts import ReceiptsScreen

        member = self.till.basket.member
        if member is None:
            self.say(self.t("lookup.no_member"), "warn")
        else:
            self.app.push_screen(ReceiptsScreen(member=member))

    def escaped(self) -> None:
        """Go back by one step: from the reason to the product, to the list, out."""
        assert self.entry is not None
        if self._is_why:
            self._is_why = False
        elif self._product:
            self._product = ""
        elif self.entry.text:
            self.entry.set_text("")
            self._hits = []
        else:
            self.dismiss(None)
            return
        self.show()

    def act_back(self) -> None:
        """Go back by one step."""
        self.escaped()
