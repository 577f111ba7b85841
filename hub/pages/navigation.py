"""The desk's navigation: which pages stand in the menu, in which order, for whom."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.accounts import Right


class NavigationLink(NamedTuple):
    """A page in the menu: its path, its text's id, and the right without which it is not shown."""

    path: str
    text: str
    right: Right


class NavigationGroup(NamedTuple):
    """Some links under a heading."""

    text: str
    links: tuple[NavigationLink, ...]


NAVIGATION: Final = (
    NavigationGroup(
        "menu.today",
        (
            NavigationLink("/", "menu.overview", Right.READ),
            NavigationLink("/inbox", "menu.inbox", Right.READ),
            NavigationLink("/stock", "menu.stock", Right.READ),
            NavigationLink("/reports", "menu.reports", Right.READ),
        ),
    ),
    NavigationGroup(
        "menu.catalogue",
        (
            NavigationLink("/products", "menu.products", Right.READ),
            NavigationLink("/promotions", "menu.promotions", Right.READ),
            NavigationLink("/imports", "menu.imports", Right.CATALOGUE),
            NavigationLink("/product-drafts", "menu.product_drafts", Right.CATALOGUE),
            NavigationLink("/plu", "menu.plu", Right.READ),
        ),
    ),
    NavigationGroup(
        "menu.buying",
        (
            NavigationLink("/orders", "menu.orders", Right.READ),
            NavigationLink("/suppliers", "menu.suppliers", Right.READ),
            NavigationLink("/minimums", "menu.minimums", Right.READ),
        ),
    ),
    NavigationGroup(
        "menu.organisation",
        (
            NavigationLink("/customers", "menu.customers", Right.READ_ALL),
            NavigationLink("/operators", "menu.operators", Right.READ),
            NavigationLink("/settings", "menu.settings", Right.READ_ALL),
            NavigationLink("/nodes", "menu.nodes", Right.READ),
            NavigationLink("/policies", "menu.policies", Right.READ_ALL),
            NavigationLink("/accounts", "menu.accounts", Right.ACCOUNTS),
            NavigationLink("/acts", "menu.acts", Right.READ_ALL),
        ),
    ),
)
