"""Owns writing goods off, or in where they were found: a reason, the goods, and a second person above the limit."""

from __future__ import annotations

from edge.adjusting import adjust_goods, adjustment_minor
from edge.goods_sheet import KeptSheet, SheetNotes
from edge.stock import REASONS
from pos_tui.keys import act
from pos_tui.screens.dialogs import Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.goods import GoodsScreen
from pos_tui.screens.money import money
from pos_tui.widgets.total_panel import Fact
from schema.errors import RefusalError


class AdjustScreen(GoodsScreen):
    """Lists what is written off or found, for one reason."""

    NAME = "adjust"
    ACTS = (*GoodsScreen.SHEET_ACTS[:1], act("reason", "*"), *GoodsScreen.SHEET_ACTS[1:])

    def __init__(self) -> None:
        super().__init__()
        self._reason = ""

    async def begin(self) -> bool:
        """Ask why."""
        reason = await self._ask_reason()
        self._reason = reason or ""
        return reason is not None

    async def _ask_reason(self) -> str | None:
        choices = [
            Choice(name, self.t(f"adjust.{name}"), self.t("adjust.in" if sign > 0 else "adjust.out"))
            for name, sign in REASONS.items()
        ]
        return await self.ask(ChooseScreen(self.t("adjust.why"), choices))

    def notes(self) -> SheetNotes:
        """Keep why."""
        return SheetNotes(self.remark, {"title": self.t(f"adjust.{self._reason}"), "reason": self._reason})

    def take_up(self, kept: KeptSheet) -> str:
        """Go on with the goods and their reason."""
        self._reason = kept.notes.about["reason"]
        return super().take_up(kept)

    def label(self) -> str:
        """Say what the goods are worth: limits are measured by it."""
        return self.t("adjust.worth")

    def figure(self) -> str:
        """Return what the goods are worth at today's prices."""
        return money(adjustment_minor(self.till.node, self.sheet.requests()))

    def facts(self) -> list[Fact]:
        """Say why."""
        if not self._reason:
            return []
        tone = "good" if REASONS[self._reason] > 0 else "warn"
        return [
            Fact(self.t("adjust.reason"), self.t(f"adjust.{self._reason}"), tone),
            Fact(self.t("goods.lines"), str(len(self.sheet.touched))),
        ]

    def act_reason(self) -> None:
        """Choose another reason."""
        self.converse(self._change_reason())

    async def _change_reason(self) -> None:
        reason = await self._ask_reason()
        if reason is not None:
            self._reason = reason
            self.show_sheet()

    async def finish(self) -> str | None:
        """Ask, and record the adjustment, with a second person where the limit ends."""
        requests = self.sheet.requests()
        if not requests:
            raise RefusalError("sheet_empty", "there are no goods on the list yet: scan or type some")
        text = self.t("adjust.confirm", lines=len(requests), reason=self.t(f"adjust.{self._reason}"),
                      worth=self.figure())  # fmt: skip
        if not await self.ask(ConfirmScreen(self.t("adjust.confirm_title"), text)):
            return None
        done: list[str] = []
        await self.insisting(
            lambda approver: done.append(
                adjust_goods(
                    self.till.node, self._reason, requests, operator=self.till.operator_id, approver=approver,
                    note=self.remark, prints=self.till.has_printer, in_hand=self.in_hand,
                ).entry
            )
        )  # fmt: skip
        return self.t("adjust.done", lines=len(requests)) if done else None
