"""The page of minimum stock: what each location should always have of a product, and what is below it."""

from __future__ import annotations

from hub.accounts import Right
from hub.minimums import list_minimums, set_minimum
from hub.pages.visits import Answer, Routes, Visit
from hub.product_index import categories
from schema.errors import RefusalError
from schema.identity import ORG

routes = Routes()


@routes.get("/minimums", Right.READ)
def minimums(visit: Visit) -> Answer:
    """List products with their minimums at one location."""
    return _page(visit, visit.query.text("location"), 200)


def _page(visit: Visit, location: str, status: int) -> Answer:
    page, query = visit.paging(), visit.query
    place = location or next(iter(visit.locations), "")
    with visit.read() as replica:
        rows = page.cut(
            list_minimums(
                replica, place, text=query.text("search"), category=query.text("category"), offset=page.offset,
                limit=page.size + 1,
            )
        )  # fmt: skip
        found = [one.category for one in categories(replica.connection)]
    return visit.render(
        "minimums.html", status=status, rows=rows, page=page, place=place,
        categories=visit.worded(found, visit.category_name),
        search=query.text("search"), category=query.text("category"),
    )  # fmt: skip


@routes.post("/minimums", Right.CATALOGUE)
def save_minimum(visit: Visit) -> Answer:
    """Set one minimum; an empty one lets the location follow what the product says for the chain."""
    form = visit.form
    location = form.one_of("location", set(visit.locations))
    product = form.code("product")
    quantity = form.quantity("minimum", is_required=False)
    wanted = quantity if form.text("minimum") else None
    if form.is_valid:
        try:
            with visit.change(ORG, "minimum.set", f"{location}/{product}") as change:
                set_minimum(change.replica, change.own_log, location, product, wanted, form.text("version"))
            return visit.redirect(f"/minimums?location={location}&{visit.query_with()}".rstrip("&"),
                                  done="done.minimum_saved")  # fmt: skip
        except RefusalError as error:
            form.refuse(error)
    return _page(visit, location, 422)
