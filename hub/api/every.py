"""Every route of the API: the list from which it is served, described and tested."""

from __future__ import annotations

from hub.api import catalogue, conflicts, findings, trade
from hub.api.calls import Route


def every_route() -> list[Route]:
    """Return the routes of every module."""
    return [route for module in (trade, catalogue, conflicts, findings) for route in module.routes.all]
