"""Owns the last receipts: a list with the paper beside it, to be read or printed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical

from edge.clock_source import local_time
from edge.lookup import ReceiptLook, last_receipts, purchases
from edge.print_jobs import reprint
from edge.receipts import receipt_document, stored_entry
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.paper import Paper
from pos_tui.widgets.status_line import MessageLine, StatusLine
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.basket import Member
    from edge.wedge import Scan


class ReceiptsScreen(TillScreen[None]):
    """Lists receipts; the selected one's paper is shown as it was printed."""

    NAME = "receipts"
    ACTS = (
        act("reprint", "+", "ctrl+r"), act("find", "enter"), act("refund", "f7", "*"),
        act("paper_down", "pagedown", on_bar=False), act("paper_up", "pageup", on_bar=False),
        act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self, member: Member | None = None) -> None:
        super().__init__()
        self._member = member
        self.listing = Listing(id="list")
        self.paper = Paper(id="paper")
        self.entry = EntryLine(id="entry")
        self._receipts: list[ReceiptLook] = []
        self._found = ""

    def compose(self) -> ComposeResult:
        """Put the page together."""
        assert self.listing is not None
        assert self.entry is not None
        yield StatusLine(id="status")
        with Horizontal(id="body"):
            with Vertical(id="page"):
                yield self.listing
            yield self.paper
        yield MessageLine(id="message")
        yield self.entry
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State the list and the paper."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        member = self._member
        title = self.t("receipts.title")
        if member is not None:
            title = self.t("receipts.of_member", name=member.name or member.phone_masked)
        self.frame.border_title = title
        node = self.till.node
        self._receipts = last_receipts(node, 50) if member is None else purchases(node, member.person)
        columns = (
            Column(self.t("receipts.number"), 12), Column(self.t("receipts.kind"), 6, from_width=48),
            Column(self.t("receipts.time")), Column(self.t("sale.amount"), 9, "right"),
        )  # fmt: skip
        rows = [
            Row(
                (one.number, self.t(f"receipts.kind_{one.kind}"), self._time(one.wall_ms), money(one.total_minor)),
                "warn" if one.kind == "refund" else "",
            )
            for one in self._receipts
        ]
        self.listing.show(columns, rows, empty=(self.t("receipts.nothing"),))
        self.entry.show(self.t("receipts.number"), self.t("receipts.hint"))
        self._show_paper()

    def _time(self, wall_ms: int) -> str:
        return local_time(wall_ms, self.till.node.config.time_zone).strftime("%m-%d %H:%M")

    def _selected(self) -> str:
        assert self.listing is not None
        if self._found:
            return self._found
        if not self._receipts:
            raise RefusalError("receipt_unknown", "there is no receipt yet", receipt="")
        return self._receipts[max(0, self.listing.selected)].entry

    def _show_paper(self) -> None:
        try:
            layout = receipt_document(self.till.node, self._selected(), columns=self.paper.columns)
        except RefusalError as refusal:
            self.paper.show([self.till_app.texts.refusal(refusal)])
            return
        self.paper.show(layout.preview())

    def moved(self) -> None:
        """Show the paper of the selected receipt."""
        self._found = ""
        self._show_paper()

    def scanned(self, scan: Scan) -> None:
        """Find a receipt by the code on it."""
        self.entered(scan.text)

    def entered(self, text: str) -> None:
        """Find a receipt by its number."""
        with self.saying():
            if text:
                self._found = str(stored_entry(self.till.node, self.till.receipt_reference(text)).id)
                self.say("")
            self._show_paper()

    def act_find(self) -> None:
        """Find a receipt by its number."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_reprint(self) -> None:
        """Print the selected receipt again, marked as a copy."""
        reprint(self.till.node, self._selected())
        self.till_app.paper_queued()
        self.say(self.t("receipts.reprinting" if self.till.has_printer else "receipts.no_printer"), "good")

    def act_refund(self) -> None:
        """Take goods of the selected receipt back."""
        self.converse(self._refund())

    async def _refund(self) -> None:
        from pos_tui.screens.refund import RefundScreen

        await self.ask(RefundScreen(self._selected()))
        self.show()

    def act_paper_down(self) -> None:
        """Read on."""
        self.paper.scroll_by(self.paper.size.height - 2)

    def act_paper_up(self) -> None:
        """Read back."""
        self.paper.scroll_by(2 - self.paper.size.height)
