"""The page of the label scales' file, and goods that tills sold before the catalogue knew them."""

from __future__ import annotations

from hub.accounts import Right
from hub.catalogue import price_lists
from hub.pages.visits import Answer, Routes, Visit
from hub.plu import COLUMNS, ENCODINGS, plu_file, plu_rows
from hub.till_reads import list_drafts

routes = Routes()


@routes.get("/plu", Right.READ)
def plu(visit: Visit) -> Answer:
    """Show what the file would hold, and say what its columns mean."""
    chosen = visit.query.text("list")
    with visit.read() as replica:
        lists = price_lists(replica.connection)
        price_list = chosen if chosen in lists else lists[0]
        rows = plu_rows(replica.connection, visit.now_ms, price_list)
    return visit.render(
        "plu.html", rows=rows[:500], count=len(rows), unpriced=sum(1 for row in rows if row.price_minor is None),
        lists=[(name, name) for name in lists], price_list=price_list, columns=COLUMNS, encodings=ENCODINGS,
    )  # fmt: skip


@routes.get("/plu.csv", Right.READ)
def plu_download(visit: Visit) -> Answer:
    """Download the file."""
    chosen = visit.query.text("list")
    encoding = visit.query.choice("encoding", ENCODINGS) or ENCODINGS[0]
    with visit.read() as replica:
        lists = price_lists(replica.connection)
        rows = plu_rows(replica.connection, visit.now_ms, chosen if chosen in lists else lists[0])
    return visit.download("plu.csv", plu_file(rows, encoding), "text/csv")


@routes.get("/product-drafts", Right.CATALOGUE)
def product_drafts(visit: Visit) -> Answer:
    """List goods that tills sold at a keyed price because nothing here has their barcode."""
    with visit.read() as replica:
        rows = list_drafts(replica.connection)
    return visit.render("product_drafts.html", rows=rows)
