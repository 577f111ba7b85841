"""Owns taking goods back: against a receipt line by line, from its signed code, without one, or for other goods."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from textual.containers import Container

from edge.keyed import keyed_quantity
from edge.refunding import SignedSale, find_original, refund_lines, refund_signed
from edge.returns import OriginalSale, ReturnRequest, draft_refund
from pos_tui.keys import act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import Choice, ChooseScreen
from pos_tui.screens.money import amount_of, money
from pos_tui.till import Exchanging, Returning
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.selling import Completed
    from edge.wedge import Scan

PLACES = ("shelf", "damaged", "supplier")
OUTSIDE = frozenset({"wechat", "alipay", "card"})


class RefundScreen(AllowingScreen[str]):
    """Finds the sale, lets the cashier choose what comes back, and gives the money back."""

    NAME = "refund"
    ACTS = (
        act("pay_back", "+", "f8"), act("all", "*"), act("goods_to", "/"), act("exchange", "f6"),
        act("unreceipted", "f5"), act("line", "enter"), act("take_back", "-"), act("back", "escape"),
    )  # fmt: skip

    def __init__(self, reference: str = "") -> None:
        super().__init__()
        self._reference = reference
        self._attempt = secrets.token_hex(16)
        self._original: OriginalSale | SignedSale | None = None
        self._back: dict[int, int] = {}
        self._goods_to = PLACES[0]
        self.listing = Listing(id="lines")
        self.total = TotalPanel(id="total")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")

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

    def offers(self, name: str) -> bool:
        """What needs a sale is offered where one was found."""
        match name:
            case "all" | "exchange":
                return isinstance(self._original, OriginalSale)
            case "goods_to" | "pay_back":
                return self._original is not None
            case "unreceipted":
                return self._original is None or isinstance(self._original, SignedSale)
        return True

    # Showing

    def show(self) -> None:
        """State the sale's lines and what goes back."""
        self.show_status()
        if self._reference:
            reference, self._reference = self._reference, ""
            with self.saying():
                self._find(reference)
        self._show_lines()
        self._show_total()
        self._show_prompt()
        self.show_keys()

    def _show_prompt(self) -> None:
        assert self.entry is not None
        if self._original is None:
            self.entry.show(self.t("receipts.number"), self.t("refund.hint"))
        elif isinstance(self._original, OriginalSale):
            self.entry.show(self.t("refund.quantity"), self.t("refund.quantity_hint"))
        else:
            self.entry.show(self.t("refund.whole"), self.t("refund.whole_hint"))

    def _show_lines(self) -> None:
        assert self.listing is not None
        columns = (
            Column("#", 3, "right"), Column(self.t("sale.goods")), Column(self.t("refund.sold"), 8, "right"),
            Column(self.t("refund.left"), 8, "right"), Column(self.t("sale.amount"), 9, "right"),
            Column(self.t("refund.back"), 8, "right"),
        )  # fmt: skip
        original = self._original
        if not isinstance(original, OriginalSale):
            empty = [self.t("refund.empty"), self.t("refund.empty_hint")]
            if original is not None:
                empty = [self.t("refund.signed"), self.t("refund.signed_hint")]
            self.listing.show(columns, (), empty=empty)
            return
        rows = []
        for place, line in enumerate(original.sale.lines):
            name = line.name or self.till.product_name(line.product)
            if line.kit_parent is not None:
                name = f"  └ {name}"
            back = self._back.get(place, 0)
            rows.append(
                Row(
                    (str(place + 1), name, amount_of(line.quantity_milli), amount_of(original.left_milli(place)),
                     money(line.amount_minor), amount_of(back) if back else ""),
                    "warn" if back else "",
                )
            )  # fmt: skip
        self.listing.show(columns, rows)

    def _show_total(self) -> None:
        original = self._original
        if isinstance(original, SignedSale):
            facts = [
                Fact(self.t("refund.paid"), money(original.total_minor)),
                Fact(self.t("refund.returned"), money(original.refunded_minor)),
            ]
            self.total.show(TotalFigures(self.t("refund.due"), money(original.left_minor), "big", tuple(facts)))
            return
        if original is None or not self._back:
            self.total.show(TotalFigures(self.t("refund.due"), money(0), "muted"))
            return
        draft = draft_refund(self.till.node, original, self._requests())
        facts = [Fact(self.t("refund.receipt"), original.sale.receipt_number)]
        facts += [Fact(self.t(f"means.{one.means}"), money(one.amount_minor)) for one in draft.tenders]
        facts.append(Fact(self.t("refund.goods_to"), self.t(f"refund.to_{self._goods_to}")))
        self.total.show(TotalFigures(self.t("refund.due"), money(draft.total_minor), "big", tuple(facts)))

    def _requests(self) -> list[ReturnRequest]:
        return [ReturnRequest(place, milli, self._goods_to) for place, milli in sorted(self._back.items()) if milli]

    # Finding the sale

    def _find(self, text: str) -> None:
        self._original = None
        self._back = {}
        self._original = find_original(self.till.node, text)
        self.say("")

    def scanned(self, scan: Scan) -> None:
        """Find the sale by the code on its receipt."""
        self._find(scan.text)
        self.show()

    def entered(self, text: str) -> None:
        """Find the sale by its number, or set how much of the selected line comes back."""
        with self.saying():
            if self._original is None:
                if text:
                    self._find(self.till.receipt_reference(text))
                    self.show()
            elif isinstance(self._original, OriginalSale):
                self._return_line(self._original, text)
            else:
                self.perform("pay_back")

    def _return_line(self, original: OriginalSale, text: str) -> None:
        assert self.listing is not None
        place = max(0, self.listing.selected)
        milli = keyed_quantity(text) if text else original.left_milli(place)
        trial = dict(self._back)
        trial[place] = milli
        self._try(original, trial)
        self.listing.move(1)

    def _try(self, original: OriginalSale, back: dict[int, int]) -> None:
        """Take a choice over once the node has drafted it."""
        before, self._back = self._back, {place: milli for place, milli in back.items() if milli}
        try:
            if self._back:
                draft_refund(self.till.node, original, self._requests())
        except RefusalError:
            self._back = before
            raise
        self.say("")
        self.show()

    # Acts

    def act_line(self) -> None:
        """Take what was typed."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_all(self) -> None:
        """Everything that is left comes back."""
        original = self._original
        if isinstance(original, OriginalSale):
            self._try(original, {request.line: request.quantity_milli for request in original.whole()})

    def act_goods_to(self) -> None:
        """Say where the goods go: the shelf, the damaged ones, the supplier."""
        self._goods_to = PLACES[(PLACES.index(self._goods_to) + 1) % len(PLACES)]
        self.say(self.t("refund.goods_go", place=self.t(f"refund.to_{self._goods_to}")))
        self._show_total()

    def act_take_back(self) -> None:
        """Leave the selected line with the customer; with nothing chosen, go back."""
        assert self.listing is not None
        place = max(0, self.listing.selected)
        if self._back.pop(place, None) is None:
            if self._back:
                self._back.popitem()
            else:
                self.act_back()
                return
        self.show()

    def act_back(self) -> None:
        """Go back by one step."""
        assert self.entry is not None
        if self.entry.text:
            self.entry.set_text("")
        elif self._original is not None:
            self._original = None
            self._back = {}
            self.show()
        else:
            self.dismiss(None)

    def act_pay_back(self) -> None:
        """Give the money back."""
        self.converse(self._pay_back())

    async def _pay_back(self) -> None:
        original = self._original
        done: list[Completed] = []
        if isinstance(original, SignedSale):
            signed = original

            def give(approver: str) -> None:
                done.append(
                    refund_signed(
                        self.till.node, signed, goods_to=self._goods_to, operator=self.till.operator_id,
                        approver=approver, attempt=self._attempt, prints=self.till.prints,
                    )
                )  # fmt: skip
        elif original is not None and self._back:
            sale, requests = original, self._requests()
            state = await self._state_outside(sale, requests)
            if state is None:
                return

            def give(approver: str) -> None:
                done.append(
                    refund_lines(
                        self.till.node, sale, requests, operator=self.till.operator_id, approver=approver,
                        attempt=self._attempt, state=state, prints=self.till.prints,
                    )
                )  # fmt: skip
        else:
            raise RefusalError("refund_empty", "choose what comes back first")
        await self.insisting(give)
        if done:
            self.till_app.refund_completed(done[0])
            self.dismiss(done[0].receipt_number)

    async def _state_outside(self, original: OriginalSale, requests: list[ReturnRequest]) -> str | None:
        """Ask whether a service outside has given its part back; confirmed where none is concerned."""
        draft = draft_refund(self.till.node, original, requests)
        outside = [one for one in draft.tenders if one.means in OUTSIDE]
        if not outside:
            return "confirmed"
        title = " ".join(f"{self.t(f'means.{one.means}')} {money(one.amount_minor)}" for one in outside)
        choices = [Choice(state, self.t(f"refund.{state}")) for state in ("confirmed", "unknown")]
        return await self.ask(ChooseScreen(title, choices, self.t("refund.outside")))

    def act_exchange(self) -> None:
        """Sell other goods for those that come back: the sale goes on with their worth."""
        original = self._original
        if not isinstance(original, OriginalSale) or not self._back:
            raise RefusalError("refund_empty", "choose what comes back first")
        requests = tuple(self._requests())
        draft = draft_refund(self.till.node, original, requests)
        self.till.exchanging = Exchanging(original, requests, draft.total_minor)
        self.dismiss("exchange")

    def act_unreceipted(self) -> None:
        """Scan the goods that come back at the sale's screen: without a receipt, or from its code alone."""
        signed = self._original if isinstance(self._original, SignedSale) else None
        self.till.returning = Returning(signed)
        self.dismiss("unreceipted")
