"""Owns asking for a second person where the cashier's limits end; the limits themselves are the node's."""

from __future__ import annotations

from collections.abc import Callable

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
        if self.till.is_training:
            return ""
        try:
            check(self.till.node, self.till.operator.role, what, amount_minor, base_minor)
        except RefusalError as refusal:
            if refusal.code != "approval_needed":
                raise
            return await self.approval(what, amount_minor, base_minor)
        return ""

    async def approval(self, what: Act, amount_minor: int, base_minor: int = 0) -> str | None:
        """Ask a second person; returns who allowed it, None where nobody did."""
        text = self.t("approve.text", what=self.t(f"limit.{what.value}"), amount=money(amount_minor))
        approval = await self.ask(ApproveScreen(self.t("approve.title"), text, what, amount_minor, base_minor))
        return None if approval is None else approval.operator

    async def insisting(self, do: Callable[[str], None]) -> None:
        """Do what the node may want a second person for; where it does, ask one and do it with their approval."""
        try:
            do("")
        except RefusalError as refusal:
            if refusal.code != "approval_needed":
                raise
            what = Act(str(refusal.facts.get("act", Act.DISCOUNT.value)))
            approver = await self.approval(what, _fact(refusal, "amount_minor"), _fact(refusal, "base_minor"))
            if approver is not None:
                do(approver)


def _fact(refusal: RefusalError, name: str) -> int:
    value = refusal.facts.get(name, 0)
    return value if isinstance(value, int) else 0
