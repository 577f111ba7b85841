"""Owns loading and unloading a van: what waits at the warehouse is signed for by PIN, what is left goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.catalog import find_product
from edge.papers import PaperScanner, TransferPaper, read_paper
from edge.stock import QuantityRequest
from edge.van_load import Load, aboard, loads, take_aboard, take_aboard_by_paper, unload
from edge.van_route import home_of
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import ConfirmScreen, Dialog
from pos_tui.screens.money import ago, amount_of
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row
from schema.amounts import parse_quantity
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.wedge import Scan


class Signature(NamedTuple):
    """Who signs, as typed: the number and the PIN, which the node proves."""

    number: str
    pin: str


class SignScreen(Dialog[Signature]):
    """Asks whoever signs for number and PIN; Enter alone takes the number of who is signed in."""

    NAME = "sign"
    ACTS = (act("confirm", "enter"), act("back", "escape"))

    def __init__(self, title: str, text: str) -> None:
        super().__init__(title, text)
        self._number = ""
        self.entry = EntryLine(id="entry")

    def parts(self) -> ComposeResult:
        """Show the line to type into."""
        assert self.entry is not None
        yield self.entry

    def show(self) -> None:
        """Ask for the number, then for the PIN."""
        assert self.entry is not None
        self.entry.hide(is_hidden=bool(self._number))
        if self._number:
            self.entry.show(self.t("sign_in.pin"), self.t("sign_in.pin_hint", number=self._number))
        else:
            own = self.till.operator.number if self.till.operator is not None else ""
            self.entry.show(self.t("approve.number"), self.t("sign.number_hint", number=own))

    def act_confirm(self) -> None:
        """Take the number, then the PIN."""
        assert self.entry is not None
        text = self.entry.take()
        if not self._number:
            self._number = text or (self.till.operator.number if self.till.operator is not None else "")
            self.show()
        elif text:
            self.dismiss(Signature(self._number, text))

    def act_back(self) -> None:
        """Go back to the number, or leave."""
        assert self.entry is not None
        if self._number or self.entry.text:
            self.entry.set_text("")
            self._number = ""
            self.show()
        else:
            self.dismiss(None)


def goods_name(screen: TillScreen[None], product: str) -> tuple[str, str]:
    """Return a product's name and its unit as people call it."""
    found = find_product(screen.till.node, product)
    return (product, "") if found is None else (screen.till.product_name(product), found.product.unit_name)


class VanLoadScreen(TillScreen[None]):
    """Lists the loads that wait, with their goods; a paper's pages may be scanned where no line brought its notice."""

    NAME = "van_load"
    ACTS = (act("sign", "enter", "+"), act("back", "escape", "-"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="loads")
        self.entry = EntryLine(id="entry")
        self._loads: list[Load] = []
        self._paper: TransferPaper | None = None
        self._scanner = PaperScanner()
        self._pages: list[str] = []

    def show(self) -> None:
        """State what waits."""
        assert self.listing is not None
        assert self.entry is not None
        self.entry.show(self.t("van_load.prompt"), self.t("van_load.none_hint"))
        self.show_status()
        self.frame.border_title = self.t("van_load.title")
        self._loads = loads(self.till.node)
        rows: list[Row] = []
        if self._paper is not None:
            rows.append(Row((self._paper.transfer, self._paper.origin, self.t("van_load.by_paper"))))
            rows += [self._goods(line.product, line.quantity_milli) for line in self._paper.lines]
        else:
            now_ms = self.till.node.clock_source().wall_ms
            for load in self._loads:
                sent = "" if load.dispatched_ms is None else ago(self.till_app.texts, now_ms - load.dispatched_ms)
                rows.append(Row((load.transfer, load.origin, sent)))
                rows += [self._goods(line.product, line.awaited_milli) for line in load.lines]
        columns = (Column(self.t("van_load.transfer"), 16), Column(self.t("van_load.from"), 8),
                   Column(self.t("van_load.sent")))  # fmt: skip
        self.listing.show(columns, rows, empty=(self.t("van_load.none"), self.t("van_load.none_hint")))

    def _goods(self, product: str, quantity_milli: int) -> Row:
        name, unit = goods_name(self, product)
        return Row(note=f"{amount_of(quantity_milli, unit)}  {name}")

    def scanned(self, scan: Scan) -> None:
        """Take a page of a load's paper; when all are here its goods are shown."""
        if not self._scanner.scan(scan.text):
            super().scanned(scan)
            return
        self._pages.append(scan.text)
        if not self._scanner.is_complete:
            self.say(self.t("van_load.pages_missing", pages=" ".join(map(str, self._scanner.missing))))
            return
        pages, self._pages, self._scanner = self._pages, [], PaperScanner()
        self._paper = read_paper(self.till.node, pages)
        self.say(self.t("van_load.paper_read", transfer=self._paper.transfer), "good")
        self.show()

    def entered(self, _text: str) -> None:
        """Sign for the selected load."""
        with self.saying():
            self.act_sign()

    def act_sign(self) -> None:
        """Sign for the selected load: it is aboard then."""
        self.converse(self._sign())

    async def _sign(self) -> None:
        assert self.listing is not None
        paper, node = self._paper, self.till.node
        if paper is None and not self._loads:
            self.say(self.t("van_load.none"), "warn")
            return
        transfer = paper.transfer if paper is not None else self._loads[max(0, self.listing.selected)].transfer
        signed = await self.ask(SignScreen(self.t("van_load.sign"), self.t("van_load.sign_text", transfer=transfer)))
        if signed is None:
            return
        if paper is not None:
            done = take_aboard_by_paper(node, paper, driver=signed.number, pin=signed.pin)
            self._paper = None
        else:
            done = take_aboard(node, transfer, driver=signed.number, pin=signed.pin)
        self.show()
        self.say(self.t("van_load.done", transfer=transfer, count=len(done.moves)), "good")


class VanUnloadScreen(TillScreen[None]):
    """Lists what is aboard; all of it goes back unless other quantities are keyed, and what is left stays overnight."""

    NAME = "van_unload"
    ACTS = (act("set", "enter"), act("none", "*"), act("send", "+", "f8"), act("back", "escape", "-"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="aboard")
        self.entry = EntryLine(id="entry")
        self._aboard: list[QuantityRequest] = []
        self._back: dict[str, int] = {}

    def show(self) -> None:
        """State what is aboard and what of it goes back."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        home = home_of(self.till.node)
        self.frame.border_title = self.t("van_unload.title", home=home or "?")
        self._aboard = aboard(self.till.node)
        columns = (
            Column(self.t("sale.goods")), Column(self.t("van_unload.aboard"), 12, "right"),
            Column(self.t("van_unload.back"), 12, "right"), Column(self.t("van_unload.stays"), 12, "right"),
        )  # fmt: skip
        rows = []
        for one in self._aboard:
            name, unit = goods_name(self, one.product)
            back = self._back.get(one.product, one.quantity_milli)
            cells = (name, amount_of(one.quantity_milli, unit), amount_of(back), amount_of(one.quantity_milli - back))
            rows.append(Row(cells, "" if back else "muted"))
        self.listing.show(columns, rows, empty=(self.t("van_unload.nothing"),))
        self.entry.show(self.t("van_unload.prompt"), self.t("van_unload.hint"))

    def entered(self, text: str) -> None:
        """Take how much of the selected goods goes back."""
        assert self.listing is not None
        if not self._aboard:
            return
        one = self._aboard[max(0, self.listing.selected)]
        if text:
            try:
                quantity = int(parse_quantity(text))
            except ValueError:
                quantity = -1
            if not 0 <= quantity <= one.quantity_milli:
                self.app.bell()
                self.say(self.t("van_unload.too_much", most=amount_of(one.quantity_milli)), "bad")
                return
            self._back[one.product] = quantity
        self.say("")
        self.listing.move(1)
        self.show()

    def act_set(self) -> None:
        """Take how much of the selected goods goes back."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_none(self) -> None:
        """Let everything stay aboard, or send everything back."""
        all_stay = all(not self._back.get(one.product, one.quantity_milli) for one in self._aboard)
        self._back = {} if all_stay else {one.product: 0 for one in self._aboard}
        self.show()

    def act_send(self) -> None:
        """Send it back."""
        self.converse(self._send())

    async def _send(self) -> None:
        wanted = [
            QuantityRequest(one.product, back)
            for one in self._aboard
            if (back := self._back.get(one.product, one.quantity_milli)) > 0
        ]
        if not wanted:
            raise RefusalError("goods_missing", "nothing is aboard that could be unloaded")
        question = self.t("van_unload.confirm", count=len(wanted), home=home_of(self.till.node) or "?")
        if not await self.ask(ConfirmScreen(self.t("van.unload"), question)):
            return
        done = unload(self.till.node, wanted, operator=self.till.operator_id)
        self._back = {}
        self.show()
        self.say(self.t("van_unload.done", transfer=done.transfer), "good")
