"""A till's day in short: once of everything that leaves a row beside plain sales."""

from __future__ import annotations

from edge.account_payments import top_up
from edge.basket import Basket, BasketLine, Member, price_basket
from edge.node import Node
from edge.parking import park, recall, record_voids
from edge.shift_reports import close_day
from edge.shifts import close_shift, open_drawer
from edge.tendering import Payment, complete
from edge.unknown_tenders import settle_tender, unknown_tenders


def trade_all_day(node: Node) -> None:
    """Do once what a till does besides plain sales."""
    line = BasketLine("P0001", "Water", override_minor=200)
    draft = BasketLine("999", "999", is_known=False, barcode="999", override_minor=150)
    basket = Basket((line, draft), member=Member("p1"))
    name = park(node, basket)
    recall(node, name)
    record_voids(node, price_basket(node, Basket((line,))).lines)
    complete(node, basket, [Payment("card", 350, state="unknown")], attempt="t1")
    top_up(node, "p1", 500, [Payment("card", 500, state="unknown")], attempt="t2")
    settle_tender(node, unknown_tenders(node)[0].entry, 0, "confirmed")
    open_drawer(node, "change")
    close_shift(node, 0)
    close_day(node)
