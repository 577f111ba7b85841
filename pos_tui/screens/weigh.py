"""Owns weighing: what the scale shows, live, or the grams that the cashier keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge.basket import EMPTY, add
from edge.device_events import DeviceRole, Weighed, fault_sentence
from edge.keyed import keyed_quantity
from pos_tui.keys import act
from pos_tui.screens.dialogs import Dialog
from pos_tui.screens.money import amount_of, money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.basket import BasketLine


class WeighScreen(Dialog[int]):
    """Answers grams: the scale's, once it is at rest, or keyed ones."""

    NAME = "weigh"
    ACTS = (act("confirm", "enter", "+"), act("back", "escape", "-"))

    def __init__(self, line: BasketLine) -> None:
        super().__init__("")
        self._line = line
        self._weighed: Weighed | None = None
        self.total = TotalPanel(id="weight")
        self.entry = EntryLine(id="entry")

    def parts(self) -> ComposeResult:
        """Show the weight large, and a line to key it."""
        assert self.entry is not None
        yield self.total
        yield self.entry

    def compose(self) -> ComposeResult:
        """Put the box together under the goods' name."""
        self._title = self.t("weigh.title", name=self._line.name)
        return super().compose()

    def on_mount(self) -> None:
        """Have the scale tell every change."""
        self.till_app.watch_scale(True)

    def on_unmount(self) -> None:
        """Let the scale be."""
        self.till_app.watch_scale(False)

    def show(self) -> None:
        """State the weight, the amount that it comes to, and the prompt."""
        assert self.entry is not None
        self.entry.show(self.t("weigh.prompt"), self.t("weigh.hint"))
        weighed = self._weighed
        grams = weighed.grams if weighed is not None else None
        is_settled = weighed is not None and weighed.is_settled
        self.say(self._sentence(), "good" if is_settled else "muted")
        if grams is None:
            self.total.show(TotalFigures(self.t("weigh.label"), "0.000", "muted"))
            return
        facts = []
        if is_settled:
            priced = self.till.price(add(EMPTY, replace(self._line, quantity_milli=grams)))
            facts.append(Fact(self.t("sale.amount"), money(priced.total_minor), "accent"))
        self.total.show(
            TotalFigures(self.t("weigh.label"), f"{grams / 1000:.3f}", "big" if is_settled else "muted", tuple(facts))
        )

    def _sentence(self) -> str:
        weighed = self._weighed
        if weighed is None:
            return self.t("weigh.no_scale" if not self.till_app.has_scale else "weigh.waiting")
        if weighed.fault:
            return fault_sentence(self.till_app.texts, weighed.fault, self.t(f"device.{DeviceRole.SCALE.value}"))
        return self.t("weigh.settled", weight=amount_of(weighed.grams or 0, "kg"))

    def weighed(self, weighed: Weighed) -> None:
        """Take what the scale says now."""
        self._weighed = weighed
        if self._is_shown:
            self.show()

    def act_confirm(self) -> None:
        """Take keyed grams, else the scale's weight."""
        assert self.entry is not None
        text = self.entry.take()
        if text:
            self.dismiss(_grams(text))
        elif self._weighed is not None and self._weighed.is_settled and self._weighed.grams is not None:
            self.dismiss(self._weighed.grams)
        else:
            self.app.bell()
            self.say(self.t("weigh.not_settled"), "warn")

    def act_back(self) -> None:
        """Leave the goods out."""
        self.escaped()


def _grams(text: str) -> int:
    """Read keyed weight: with a point it is kilograms, without one grams."""
    return keyed_quantity(text) if "." in text else keyed_quantity(text) // 1000
