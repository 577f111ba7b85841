"""Owns reading goods while counting: a scan, a code or a name becomes a product and what of it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.basket import BasketLine
from edge.catalog import product_of
from edge.scanning import (
    Candidates,
    Found,
    NothingFound,
    PriceNeeded,
    Unknown,
    WeightNeeded,
    interpret,
    interpret_scan,
    pick,
)
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.base import ResultT
from pos_tui.screens.dialogs import Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.weigh import WeighScreen

if TYPE_CHECKING:
    from edge.scanning import Interpretation
    from edge.wedge import Scan

CANDIDATES_MAX = 9


class ReadingScreen(AllowingScreen[ResultT]):
    """A screen that takes goods by their codes; `counted` hears what of which was seen, in base units."""

    def counted(self, line: BasketLine, quantity_milli: int) -> None:
        """Take goods that were seen."""
        raise NotImplementedError

    def take_code(self, code: str) -> None:
        """Take a typed code or name."""
        self._take(interpret(self.till.node, code, is_scan=False))

    def take_scanned(self, scan: Scan) -> None:
        """Take a scanned code; what stands in the entry line may say how many."""
        assert self.entry is not None
        outcome, left = interpret_scan(self.till.node, self.entry.take(), scan)
        self.entry.set_text(left)
        self._take(outcome)

    def _take(self, outcome: Interpretation) -> None:
        match outcome:
            case Found(line) | PriceNeeded(line):
                self._seen(line)
            case WeightNeeded(line):
                self.converse(self._weigh(line))
            case Candidates(hits, quantity_milli):
                self.converse(self._choose([hit.code for hit in hits][:CANDIDATES_MAX], quantity_milli))
            case Unknown(code, line, is_misread):
                self.converse(self._unknown(code, line, is_misread=is_misread))
            case NothingFound(text):
                self.app.bell()
                self.say(self.t("sale.not_found", text=text), "warn")
            case _:
                self.app.bell()
                self.say(self.t("stock_count.no_goods"), "warn")

    def _seen(self, line: BasketLine) -> None:
        found = product_of(self.till.node, line.product)
        if found is not None and found.product.parts:
            self.app.bell()
            self.say(self.t("stock_count.kit", name=line.name), "warn")
            return
        total, rest = divmod(line.quantity_milli * line.factor_milli, 1000)
        if rest:
            self.app.bell()
            self.say(self.t("stock_count.broken", name=line.name), "warn")
            return
        self.counted(line, total)

    async def _weigh(self, line: BasketLine) -> None:
        grams = await self.ask(WeighScreen(line))
        if grams is not None:
            self.counted(line, grams)

    async def _choose(self, codes: list[str], quantity_milli: int | None) -> None:
        name = codes[0]
        if len(codes) > 1:
            choices = [Choice(code, self.till.product_name(code), code) for code in codes]
            chosen = await self.ask(ChooseScreen(self.t("stock_count.which"), choices))
            if chosen is None:
                return
            name = chosen
        # The conversation ends first: what is chosen may begin one of its own.
        self.call_later(self._pick, name, quantity_milli)

    def _pick(self, code: str, quantity_milli: int | None) -> None:
        with self.saying():
            self._take(pick(self.till.node, code, quantity_milli=quantity_milli))

    async def _unknown(self, code: str, line: BasketLine, *, is_misread: bool) -> None:
        """Count a code that nothing here has under itself, or put the goods aside: nothing is lost either way."""
        self.app.bell()
        text = self.t("stock_count.misread" if is_misread else "stock_count.unknown_text", code=code)
        if await self.ask(ConfirmScreen(self.t("stock_count.unknown"), text)):
            self.counted(line, line.quantity_milli)
        else:
            self.say(self.t("stock_count.put_aside", code=code), "warn")
