"""Every module of pages: the one list from which the desk's routes come."""

from __future__ import annotations

from hub.pages import (
    accounts,
    acts,
    brought,
    catalogue_conflicts,
    certificate,
    customers,
    findings,
    first_run,
    imports,
    inbox,
    locations,
    minimums,
    nodes,
    overview,
    plu,
    policies,
    products,
    promotions,
    purchases,
    reports,
    settings,
    signing_in,
    staff,
    stock,
    suppliers,
)
from hub.pages.visits import Route

MODULES = (
    first_run, signing_in, overview, inbox, findings, stock, nodes, brought, locations, policies, accounts, acts,
    products, promotions, imports, settings, staff, customers, reports, purchases, suppliers, minimums, plu,
    catalogue_conflicts, certificate,
)  # fmt: skip


def every_route() -> list[Route]:
    """Return the routes of all pages."""
    return [route for module in MODULES for route in module.routes.all]
