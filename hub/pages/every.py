"""Every module of pages: the one list from which the desk's routes come."""

from __future__ import annotations

from hub.pages import first_run, overview, products, signing_in
from hub.pages.visits import Route

MODULES = (first_run, signing_in, overview, products)


def every_route() -> list[Route]:
    """Return the routes of all pages."""
    return [route for module in MODULES for route in module.routes.all]
