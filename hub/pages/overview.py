"""The overview: how the chain is doing right now."""

from __future__ import annotations

from hub.accounts import Right
from hub.pages.visits import Answer, Routes, Visit

routes = Routes()


@routes.get("/", Right.READ)
def overview(visit: Visit) -> Answer:
    """Show every location and node at a glance."""
    return visit.render("overview.html")
