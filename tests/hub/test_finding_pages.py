"""Findings across locations at the desk: seen by whom they concern, dealt with once, and back when more is at stake."""

from __future__ import annotations

import re

import httpx
import pytest

from hub.service import Hub
from schema.identity import ORG
from schema.kinds.desk import ActRecorded, FindingSettled
from tests.hub.conflicting import Chain
from tests.hub.desk import DeskClient, make_account, text_of


@pytest.fixture
def chain(hub: Hub, client: httpx.Client) -> Chain:
    make_account(hub, "lin", "owner")
    make_account(hub, "bo", "shop_manager", ["B"])
    return Chain(hub, client)


def settle(desk: DeskClient, note: str) -> httpx.Response:
    page = desk.get("/findings").text
    hidden = dict(re.findall(r'name="(version|finding)" value="([^"]+)"', page))
    return desk.post("/findings", hidden, note=note)


def test_a_sale_refunded_in_two_shops_waits_until_somebody_dealt_with_it(hub: Hub, chain: Chain) -> None:
    sold = chain.refunded_twice()
    desk = DeskClient(chain.client)
    desk.sign_in()
    page = text_of(desk.get("/findings"))
    assert "Refunded twice" in page
    assert "¥5.00" in page
    assert "Findings across locations 1" in text_of(desk.get("/inbox"))
    assert settle(desk, "").status_code == 422
    assert settle(desk, "the customer brought it back").status_code == 303
    assert "Nothing was found" in text_of(desk.get("/findings"))
    assert "the customer brought it back" in text_of(desk.get("/findings?state=settled"))
    with hub.store.snapshot() as replica:
        entries = [entry for row in replica.log.streams(ORG) for entry in replica.log.entries(row)]
    act, settled = entries[-2:]
    assert isinstance(act.payload, ActRecorded)
    assert isinstance(settled.payload, FindingSettled)
    assert (settled.body.operation, settled.payload.amount_minor) == (str(act.id), 500)
    # A third refund: more is at stake than was dealt with.
    chain.refund(chain.b1, sold, 20)
    chain.push(chain.b1)
    again = text_of(desk.get("/findings"))
    assert "Re-opened" in again
    assert "More came to be at stake since" in again


def test_a_shop_manager_sees_the_own_side_of_it_and_may_not_close_it(hub: Hub, chain: Chain) -> None:
    chain.refunded_twice()
    desk = DeskClient(chain.client)
    desk.sign_in("bo")
    page = text_of(desk.get("/findings"))
    assert "Old Town" in page
    assert "Riverside" not in page
    assert "1 more belong to other locations" in page
    with hub.store.snapshot() as replica:
        (name,) = replica.connection.execute("SELECT finding FROM finding").fetchone()
    answer = desk.post("/findings", finding=name, version="500", note="mine")
    assert (answer.status_code, "Your role does not allow this" in text_of(answer)) == (422, True)
