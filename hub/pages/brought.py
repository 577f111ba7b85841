"""What vans brought: sealed bundles of places without a line, whose they were, who bore them, what became of each."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.accounts import Right
from hub.brought import Brought, read_brought
from hub.pages.visits import Answer, Routes, Visit
from hub.registry import list_nodes
from schema.texts import Texts

routes = Routes()
READ_MAX: Final = 5_000
STATES: Final = ("taken", "refused")


class BroughtRow(NamedTuple):
    """A bundle with the names of those who had to do with it; `refusal` in words, empty where all was taken."""

    one: Brought
    writer: str
    bearer: str
    refusal: str


@routes.get("/brought", Right.READ)
def brought(visit: Visit) -> Answer:
    """List what was brought of the locations that may be seen; what names none is for those who see them all."""
    page, query = visit.paging(), visit.query
    state, location = query.choice("state", STATES), query.text("location")
    with visit.read() as replica:
        names = {one.node: f"{one.till} {one.name}" for one in list_nodes(replica)}
        found = read_brought(replica, READ_MAX)
    shown = [
        one
        for one in found
        if (visit.sees(one.location) or not visit.is_bound)
        and (not location or one.location == location)
        and (not state or bool(one.refusal) == (state == "refused"))
    ]
    page.count = len(shown)
    rows = [
        BroughtRow(
            one, names.get(one.writer, one.writer), names.get(one.bearer, one.bearer), refusal_words(visit.t, one)
        )
        for one in page.cut(shown[page.offset : page.offset + page.size + 1])
    ]
    return visit.render("brought.html", rows=rows, page=page, states=STATES)


def refusal_words(t: Texts, one: Brought) -> str:
    """Say why a bundle, or a part of it, was refused; the code itself where this release has no words for it."""
    name = f"brought.{one.refusal}"
    return t(name) if one.refusal and t.has(name) else one.refusal
