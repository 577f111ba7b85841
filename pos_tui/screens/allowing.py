"""Owns asking for a second person where the cashier's limits end; the limits themselves are the node's."""

from __future__ import annotations

from edge.limits import Act, check
from pos_tui.screens.approval import ApproveScreen
from pos_tui.screens.base import ResultT, TillScreen
from pos_tui.screens.money import money
from schema.errors import RefusalError


class AllowingScreen(TillScreen[ResultT]):
    """A screen with acts that may need a second person."""

    async def allowed(self, what: Act, amount_minor: int, base_minor: int = 0) -> str | None:
        """Return who allowed an act: nobody (empty) where the role may, else a second person; None: not allowed."""
        assert self.till.operator is not None
        try:
            check(self.till.node, self.till.operator.role, what, amount_minor, base_minor)
        except RefusalError as refusal:
            if refusal.code != "approval_needed":
                raise
            text = self.t("approve.text", what=self.t(f"limit.{what.value}"), amount=money(amount_minor))
            approval = await self.ask(ApproveScreen(self.t("approve.title"), text, what, amount_minor, base_minor))
            return None if approval is None else approval.operator
        return ""
