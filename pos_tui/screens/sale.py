"""Owns the screen on which is sold: scans and typed codes go into the basket, `+` takes the money."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from textual.containers import Container

from edge import basket as baskets
from edge.limits import Act
from edge.members import find_member
from edge.scanning import (
    Candidates,
    CouponFound,
    Found,
    NothingFound,
    PhoneTyped,
    PriceNeeded,
    QuantityKeyed,
    ReceiptFound,
    Unknown,
    WeightNeeded,
    interpret,
    interpret_scan,
    pick,
    split_multiplier,
)
from edge.search import SearchHit, search
from pos_tui.keys import act
from pos_tui.screens import sale_view
from pos_tui.screens.dialogs import ConfirmScreen, NoticeScreen
from pos_tui.screens.money import money
from pos_tui.screens.sale_routes import SaleRoutes
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalPanel
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.basket import Basket, BasketLine
    from edge.parking import Draft
    from edge.scanning import Interpretation, ScanWarning
    from edge.wedge import Scan

SEARCH_DIGITS_MIN = 3
"""So many digits begin a search; fewer match half the catalogue."""
DRAFT_AFTER_S = 0.05


class SaleScreen(SaleRoutes):
    """The basket, its total, and one line to scan and type into."""

    NAME = "sale"
    ACTS = (
        act("pay", "+", "f8"), act("void", "-", "delete"), act("quantity", "*"), act("menu", "/", "f9"),
        act("member", "f2"), act("lookup", "f3"), act("park", "f4"), act("recall", "f5"), act("discount", "f6"),
        act("refund", "f7"), act("shift", "f10"), act("price", "ctrl+p", on_bar=False),
        act("gift", "ctrl+g", on_bar=False), act("unit", "ctrl+n", on_bar=False),
        act("coupon", "ctrl+o", on_bar=False), act("clear", "ctrl+x", on_bar=False),
        act("reprint", "ctrl+r", on_bar=False), act("account", "ctrl+t", on_bar=False),
        act("unknown_tenders", "ctrl+k", on_bar=False), act("devices", "ctrl+d", on_bar=False),
        act("settings", "ctrl+e", on_bar=False), act("training", "ctrl+y", on_bar=False),
        act("stock", "ctrl+w", on_bar=False), act("empties", "ctrl+b", on_bar=False),
    )  # fmt: skip

    def __init__(self, draft: Draft | None = None, *, asks_lease: bool = False) -> None:
        super().__init__()
        self._draft = draft
        self._asks_lease = asks_lease
        self.status = StatusLine(id="status")
        self.listing = Listing(id="basket")
        self.total = TotalPanel(id="total")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")
        self._hits: list[SearchHit] = []
        self._is_searching = False
        self._selected_before = -1

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.entry is not None
        assert self.listing is not None
        yield self.status
        with Container(id="body"):
            yield self.listing
            yield self.total
            yield self.message
        yield self.entry
        yield KeyBar(id="keys")

    # Showing

    def show(self) -> None:
        """State everything anew."""
        assert self.entry is not None
        self.entry.show(self.t("sale.prompt"), self.t("sale.hint"))
        self.show_status()
        if self._is_searching:
            self.typed()
        else:
            self.show_basket()
        if self._draft is not None:
            draft, self._draft = self._draft, None
            if draft.sold:
                self.say(self.t("sale.draft_sold", number=draft.sold), "good")
            else:
                self.say(self.t("sale.draft_back"), "warn")
        if self._asks_lease:
            self._asks_lease = False
            self.converse(self._lease())

    async def _lease(self) -> None:
        """Ask a manager whether to trade on alone; without one the till sells on, and its sales say so."""
        await self.ask(NoticeScreen(self.t("lease.title"), self.t("lease.text")))
        if await self.approval(Act.LEASE, 0) is None:
            self.say(self.t("lease.without"), "warn")

    def came_back(self) -> None:
        """Show the sale anew after another screen."""
        self.show_status()
        self.show_basket()

    def show_basket(self, selected: int | None = None) -> None:
        """State the basket and its total."""
        assert self.listing is not None
        if self._is_searching:
            self._is_searching = False
            selected = self._selected_before if selected is None else selected
        t, priced = self.till_app.texts, self.till.priced
        self.listing.show(
            sale_view.columns(t), sale_view.rows(priced, t, self.till.today()), selected=selected,
            empty=self._welcome(),
        )  # fmt: skip
        is_done = self.till.done is not None and self.till.returning is None and self.till.exchanging is None
        if self.till.basket.is_empty and is_done and self.till.done is not None:
            self.total.show(sale_view.done_figures(self.till.done, t))
        else:
            self.total.show(sale_view.basket_figures(priced, t, self._facts(), self._notes()))

    def _welcome(self) -> tuple[str, ...]:
        if self.till.returning is not None:
            return (self.t("return.empty"), self.t("return.empty_hint"))
        if self.till.exchanging is not None:
            return (self.t("exchange.empty"), self.t("exchange.empty_hint"))
        done = self.till.done
        if done is not None and done.is_refund:
            return (self.t("done.refunded", number=done.receipt_number), self.t("done.next"))
        if done is not None:
            return (self.t("done.title", number=done.receipt_number), self.t("done.next"))
        return (self.t("sale.empty"), self.t("sale.empty_hint"))

    def _facts(self) -> list[Fact]:
        member = self.till.basket.member
        facts = []
        if self.till.returning is not None:
            facts.append(Fact(self.t("return.mode"), "", "warn"))
        if self.till.exchanging is not None:
            facts.append(Fact(self.t("means.exchange"), f"-{money(self.till.exchanging.total_minor)}", "warn"))
        if member is not None:
            facts.append(
                Fact(self.t("sale.member"), f"{member.name or member.phone_masked} {member.tier}".strip(), "accent")
            )
        if self.till.basket.coupons:
            facts.append(Fact(self.t("sale.coupons"), " ".join(self.till.basket.coupons)))
        return facts

    def _notes(self) -> list[Fact]:
        notes = [Fact("", "")]
        if self.till.priced.reasons:
            notes += [
                Fact(self.t("sale.why"), "", "accent"),
                *(Fact(f"· {text}", "") for text in self.till.priced.reasons),
            ]
        notes += [Fact(self.t("sale.coupon_idle", coupon=code), "", "warn") for code in self.till.priced.coupons_idle]
        return notes if len(notes) > 1 else []

    # The basket

    def change(self, basket: Basket, *, selected: int | None = None, said: str = "", tone: str = "") -> None:
        """Take a changed basket: price it, paint it, then write it down."""
        self.till.set_basket(basket)
        self.show_basket(selected)
        self.say(said, tone)
        self.set_timer(DRAFT_AFTER_S, self._kept)

    def _kept(self) -> None:
        """Write the basket down and tell the customer, once the screen stands."""
        self.till.keep_draft()
        self.till_app.show_basket_to_customer()

    def edit(self, how: Callable[[Basket], Basket], *, said: str = "", tone: str = "") -> None:
        """Change the basket by one of its edits; the selection stays."""
        self.change(how(self.till.basket), said=said, tone=tone)

    def add(self, line: BasketLine, warnings: tuple[str, ...] = ()) -> None:
        """Put a line into the basket and select it."""
        basket = baskets.add(self.till.basket, line)
        self.change(
            basket,
            selected=len(basket.lines) - 1,
            said=" ".join(warnings) or self.t("sale.added", name=line.name, quantity=sale_view.quantity(line)),
            tone="warn" if warnings else "",
        )
        if warnings:
            self.app.bell()

    # Codes

    def scanned(self, scan: Scan) -> None:
        """Take a scanned code; what stands in the entry line may multiply it."""
        assert self.entry is not None
        typed = self.entry.take()
        if self._is_searching:
            self.show_basket()
        outcome, left = interpret_scan(self.till.node, typed, scan)
        self.entry.set_text(left)
        self.take_outcome(outcome)

    def scanned_again(self, scan: Scan) -> None:
        """Ask whether the same code is meant twice."""
        self.converse(self._ask_again(scan))

    async def _ask_again(self, scan: Scan) -> None:
        self.app.bell()
        if await self.ask(ConfirmScreen(self.t("again.title"), self.t("again.text", code=scan.text))):
            self.scanned(scan)

    def entered(self, text: str) -> None:
        """Take a typed code, a chosen search result, or a quantity for the selected line."""
        assert self.listing is not None
        hit = None
        if self._is_searching:
            was_moved = self.listing.selected > 0
            if not was_moved:  # The list may be a keystroke behind what was typed.
                self._hits = search(self.till.node, _searched(text))
            hit = self._hits[self.listing.selected] if 0 <= self.listing.selected < len(self._hits) else None
            self.show_basket()
            if hit is not None and was_moved:
                self._take_hit(hit, text)
                return
        if not text:
            return
        with self.saying():
            outcome = interpret(self.till.node, text, is_scan=False)
            if hit is not None and isinstance(outcome, Unknown | Candidates | NothingFound):
                self._take_hit(hit, text)
            else:
                self.take_outcome(outcome)

    def _take_hit(self, hit: SearchHit, text: str) -> None:
        with self.saying():
            self.take_outcome(pick(self.till.node, hit.code, quantity_milli=split_multiplier(text).quantity_milli))

    def take_outcome(self, outcome: Interpretation) -> None:
        """Do what a code means."""
        match outcome:
            case Found(line, warnings):
                self.add(line, self.warned(warnings))
            case WeightNeeded(line, warnings):
                self.converse(self.weigh(line, self.warned(warnings)))
            case PriceNeeded(line, warnings):
                self.converse(self.open_price(line, self.warned(warnings)))
            case Unknown(_, line, is_misread):
                self.converse(self.open_unknown(line, is_misread=is_misread))
            case Candidates(hits, quantity_milli):
                self.converse(self.choose_candidate(hits, quantity_milli))
            case NothingFound(text):
                self.app.bell()
                self.say(self.t("sale.not_found", text=text), "warn")
            case QuantityKeyed(quantity_milli):
                place = self.selected_line()
                self.edit(lambda basket: baskets.set_quantity(basket, place, quantity_milli))
            case ReceiptFound(text):
                self.converse(self.begin_refund(text))
            case CouponFound(code, name):
                self.edit(lambda basket: baskets.add_coupon(basket, code), said=self.t("sale.coupon_added", name=name))
            case PhoneTyped(phone):
                card = find_member(self.till.node, phone)
                self.till.set_member(card)
                self.change(self.till.basket, said=self.t("sale.member_taken", name=card.name or card.masked))
            case _:
                assert_never(outcome)

    def warned(self, warnings: tuple[ScanWarning, ...]) -> tuple[str, ...]:
        """Say warnings in the cashier's language."""
        return tuple(self.t(f"warning.{one.code}", **one.facts) for one in warnings)

    # Search

    def typed(self) -> None:
        """Search as the cashier types."""
        assert self.entry is not None
        assert self.listing is not None
        rest = _searched(self.entry.text)
        wants = (
            len(rest) >= SEARCH_DIGITS_MIN
            or (rest != "" and not rest.isdigit() and not rest.isascii())
            or (rest[:1].isalpha())
        )
        if not wants:
            if self._is_searching:
                self.show_basket()
            return
        self._hits = search(self.till.node, rest)
        if not self._is_searching:
            self._selected_before = self.listing.selected
        self._is_searching = True
        t = self.till_app.texts
        columns = (
            Column(t("search.code"), 8), Column(t("search.goods")), Column(t("search.barcode"), 14, from_width=76),
            Column(t("search.unit"), 6), Column(t("sale.price"), 9, "right"),
        )  # fmt: skip
        rows = [
            Row((hit.code, f"{hit.name} {hit.spec}".strip(), hit.barcode, hit.unit_name,
                 "?" if hit.price_minor is None else money(hit.price_minor)))
            for hit in self._hits
        ]  # fmt: skip
        self.listing.show(columns, rows, selected=0, empty=(t("search.nothing", text=rest), t("search.nothing_hint")))

    def escaped(self) -> None:
        """Leave the search; the basket is never lost by Escape."""
        assert self.entry is not None
        had_text = bool(self.entry.text)
        self.entry.set_text("")
        if self._is_searching:
            self.show_basket()
        elif not had_text and self.till.basket.is_empty and (self.till.returning or self.till.exchanging):
            self.till.returning = self.till.exchanging = None
            self.show_basket()
        self.say("")

    def back(self) -> None:
        """Stay: below the sale there is nothing."""

    def selected_line(self) -> int:
        """Return the selected line's place; raises RefusalError where there is none."""
        assert self.listing is not None
        if self.till.basket.is_empty:
            raise RefusalError("basket_empty", "there is nothing in the basket yet")
        return max(0, self.listing.selected)

    def show_line(self, place: int) -> None:
        """Select a line of the basket."""
        self.show_basket(place)

    def take_picked(self, code: str, quantity_milli: int | None) -> None:
        """Take a product that was chosen from a list."""
        self.take_outcome(pick(self.till.node, code, quantity_milli=quantity_milli))


def _searched(text: str) -> str:
    """Return what is searched for: what follows a keyed quantity."""
    head, star, rest = text.partition("*")
    return rest.strip() if star and head[:1].isdigit() else text.strip()
