"""The desk on PostgreSQL: every page opens, a conflict is settled, and a hot product explained, as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.history import WORTH_SUMMING
from hub.inbox import InboxFilter, count_inbox
from hub.own_log import parse_location
from hub.pages.every import every_route
from hub.rule_replay import replay_policy
from hub.service import Hub, init_hub, open_hub, serving
from hub.summaries import refresh_summaries
from hub.why import explain_product
from schema.kinds.organisation import PolicySet
from sync.stock_facts import ConflictCode
from tests.hub.conflicting import Chain
from tests.hub.databases import fresh_postgresql
from tests.hub.desk import DeskClient, make_account, text_of
from tests.hub.test_inbox import case_of, settle, stock


@pytest.fixture
def hub(postgresql: str, tmp_path: Path) -> Iterator[Hub]:
    places = [parse_location(text) for text in ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse")]
    with fresh_postgresql(postgresql) as database:
        init_hub(tmp_path / "hub", name="Lantern Stores", locations=places, database=database)
        opened = open_hub(tmp_path / "hub")
        yield opened
        opened.close()


def test_pages_open_and_a_conflict_is_settled_on_postgresql(hub: Hub) -> None:
    make_account(hub)
    with serving(hub) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        chain = Chain(hub, client)
        chain.day_of_trade()
        chain.everything()
        chain.refunded_twice()
        assert refresh_summaries(hub.store, hub.now_ms()) == 3
        desk = DeskClient(client)
        desk.sign_in()
        for route in every_route():
            if route.method == "GET" and "{" not in route.path:
                answer = desk.get(route.path)
                assert answer.status_code in {200, 303, 404}, (route.path, text_of(answer))
        for narrowed in ("?search=可&stake=100&category=drinks&order=newest", "?state=DONE", "?location=A"):
            assert desk.get(f"/inbox{narrowed}").status_code == 200
        case = case_of(hub, ConflictCode.COUNT_DISAGREE)
        choice = next(one for one in case.choices if one.act == "accept" and not one.is_rules)
        done = settle(desk, case, act="accept", target=choice.target, observation=choice.observation)
        assert done.status_code == 303
        assert stock(hub, "11001") == choice.figure
        for _ in range(WORTH_SUMMING + 20):
            chain.sell(chain.a1, "11006", 1)
        chain.push(chain.a1)
        why = explain_product(hub.store, "A", "11006", hub.now_ms())
        assert why.explanation.value == stock(hub, "11006")[0]
        assert desk.get("/stock/A/11006").status_code == 200
        with hub.store.snapshot() as replica:
            assert count_inbox(replica, InboxFilter())["OPEN"] >= 3
            policy = PolicySet("", 9_000, 0, "latest", "midpoint")
            outcome = replay_policy(replica, policy, ["A", "B", "W"], hub.now_ms(), lambda done, total: None)
        assert outcome.open_after < outcome.open_before
