"""The inbox: what the rules could not settle waits there with its evidence, and one click settles it by an entry."""

from __future__ import annotations

import re

import httpx
import pytest

from hub.case import Case
from hub.evidence import read_case
from hub.inbox import InboxFilter, count_inbox, list_inbox
from hub.service import Hub
from schema.identity import ORG, Scope
from schema.kinds.counting import CountAccepted, EntryVoided
from schema.kinds.desk import ActRecorded, RecountAsked
from schema.kinds.organisation import OperatorDefined
from sync.entry import Entry
from sync.stock_facts import ConflictCode
from tests.hub.conflicting import Chain
from tests.hub.desk import DeskClient, make_account, text_of

A = Scope("loc/A")


@pytest.fixture
def chain(hub: Hub, client: httpx.Client) -> Chain:
    return Chain(hub, client)


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> DeskClient:
    make_account(hub, "lin", "owner", name="林老板")
    desk = DeskClient(client)
    desk.sign_in()
    return desk


def case_of(hub: Hub, code: ConflictCode, location: str = "A") -> Case:
    with hub.store.snapshot() as replica:
        rows = list_inbox(replica, InboxFilter(code=code.value), 0, 10)
        (row,) = [row for row in rows if row.location == location]
        return read_case(replica, location, row.id)


def stock(hub: Hub, product: str, location: str = "A") -> tuple[int, int, int]:
    with hub.store.snapshot() as replica:
        found = replica.connection.execute(
            "SELECT k.value, k.lo, k.hi FROM stock k JOIN scope s ON s.scope_no = k.scope_no"
            " WHERE s.scope = ? AND k.product = ?",
            (f"loc/{location}", product),
        ).fetchone()
    return tuple(found)


def own_entries(hub: Hub, scope: Scope) -> list[Entry]:
    with hub.store.snapshot() as replica:
        return [
            entry
            for row in replica.log.streams(scope)
            if row.stream.node == hub.identity.node
            for entry in replica.log.entries(row)
        ]


def settle(desk: DeskClient, case: Case, **fields: str) -> httpx.Response:
    path = f"/inbox/{case.row.location}/{case.row.id}"
    page = desk.get(path)
    version = re.search(r'name="version" value="([^"]+)"', page.text)
    assert version, text_of(page)
    return desk.post(path, {"version": version[1], **fields})


def test_each_kind_of_conflict_waits_in_the_inbox_with_what_is_at_stake(hub: Hub, chain: Chain) -> None:
    chain.everything()
    with hub.store.snapshot() as replica:
        rows = list_inbox(replica, InboxFilter(), 0, 50)
        counts = count_inbox(replica, InboxFilter())
    found = {(row.conflict.code.value, row.location): row for row in rows}
    assert set(found) == {
        ("COUNT_DISAGREE", "A"), ("AMBIGUOUS_ORDER", "A"), ("NEGATIVE_STOCK", "B"), ("ZONE_RECOUNT", "A"),
        ("TRANSFER_SHORT", "A"),
    }  # fmt: skip
    assert counts["OPEN"] == 5
    # Three pieces of range at ¥3, two below zero at ¥15, two missing at ¥45.
    assert found["COUNT_DISAGREE", "A"].stake_minor == 900
    assert found["NEGATIVE_STOCK", "B"].stake_minor == 3_000
    assert found["TRANSFER_SHORT", "A"].stake_minor == 9_000
    assert [row.stake_minor for row in rows] == sorted((row.stake_minor for row in rows), reverse=True)


def test_accepting_a_count_gives_the_figure_that_the_choice_had_shown(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    first, _ = chain.counts_that_disagree()
    case = case_of(hub, ConflictCode.COUNT_DISAGREE)
    choice = next(
        one for one in case.choices if one.act == "accept" and one.target == f"{first.stream.writer}:{first.body.seq}"
    )
    assert choice.figure is not None
    done = settle(desk, case, act="accept", target=choice.target, observation=choice.observation, note="数过两遍")
    assert done.status_code == 303
    assert stock(hub, "11001") == tuple(choice.figure) == (12_000, 12_000, 12_000)
    with hub.store.snapshot() as replica:
        assert count_inbox(replica, InboxFilter())["OPEN"] == 0
    act, accepted = own_entries(hub, A)
    assert isinstance(act.payload, ActRecorded)
    assert isinstance(accepted.payload, CountAccepted)
    assert (accepted.payload.role, accepted.payload.note) == ("admin", "数过两遍")
    assert accepted.body.operation == str(act.id)
    with hub.store.snapshot() as replica:
        author = replica.organisation.newest(replica.connection, OperatorDefined, accepted.payload.operator)
    assert author is not None
    assert author.role == "owner"
    assert "林老板" in text_of(desk.get(f"/inbox/A/{case.row.id}"))


def test_placing_a_doubtful_sale_gives_either_figure_as_foretold(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.order_in_doubt()
    assert tuple(case_of(hub, ConflictCode.AMBIGUOUS_ORDER).figure)[1:] == (24_000, 27_000)
    # Three lines of one sale are placed together.
    case = case_of(hub, ConflictCode.AMBIGUOUS_ORDER)
    figures = {choice.act: choice.figure for choice in case.choices if choice.act in {"before", "after"}}
    assert figures == {"before": (27_000,) * 3, "after": (24_000,) * 3}
    choice = next(one for one in case.choices if one.act == "before")
    done = settle(desk, case, act="before", target=choice.target, observation=choice.observation)
    assert done.status_code == 303, text_of(done)
    assert stock(hub, "11002") == (27_000, 27_000, 27_000)


def _open_case(hub: Hub, code: ConflictCode) -> Case | None:
    with hub.store.snapshot() as replica:
        rows = list_inbox(replica, InboxFilter(code=code.value), 0, 1)
        return read_case(replica, rows[0].location, rows[0].id) if rows else None


def test_voiding_the_wrong_sale_lifts_a_negative_stock(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.negative()
    while (case := _open_case(hub, ConflictCode.NEGATIVE_STOCK)) is not None:
        choice = next(one for one in case.choices if one.act == "void")
        assert choice.figure is not None
        assert settle(desk, case, act="void", target=choice.target, observation="").status_code == 303
        assert stock(hub, "11003", "B") == tuple(choice.figure)
    assert stock(hub, "11003", "B")[0] == 0


def test_the_rules_own_choice_can_be_made_a_persons(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.counts_that_disagree()
    chain.order_in_doubt()
    before = stock(hub, "11001")[0], stock(hub, "11002")[0]
    for code in (ConflictCode.COUNT_DISAGREE, ConflictCode.AMBIGUOUS_ORDER):
        assert settle(desk, case_of(hub, code), act="rule").status_code == 303
    assert (stock(hub, "11001")[0], stock(hub, "11002")[0]) == before
    with hub.store.snapshot() as replica:
        assert count_inbox(replica, InboxFilter())["OPEN"] == 0


def test_one_line_of_a_zone_is_voided_and_the_other_stands(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.zone_to_recount()
    case = case_of(hub, ConflictCode.ZONE_RECOUNT)
    assert tuple(case.figure) == (9_000, 7_000, 9_000)
    wrong = next(one for one in case.choices if one.act == "void" and one.target.startswith(chain.a2.stream().writer))
    assert settle(desk, case, act="void", target=wrong.target, observation=wrong.observation).status_code == 303
    assert stock(hub, "11004") == (7_000, 7_000, 7_000)


def test_a_short_receipt_is_corrected_on_both_sides(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.transfer_short()
    case = case_of(hub, ConflictCode.TRANSFER_SHORT)
    receipt = next(one for one in case.papers if one.act == "received")
    assert settle(desk, case, act="paper", target=receipt.id, quantity="10").status_code == 303
    assert (stock(hub, "11005")[0], stock(hub, "11005", "W")[0]) == (10_000, 40_000)
    _no_transfer_conflicts(hub)
    assert sum(isinstance(entry.payload, EntryVoided) for entry in own_entries(hub, A)) == 1
    assert sum(isinstance(entry.payload, EntryVoided) for entry in own_entries(hub, Scope("loc/W"))) == 1
    operations = {e.body.operation for scope in (A, Scope("loc/W")) for e in own_entries(hub, scope)}
    assert len(operations) == 1


def test_goods_lost_on_the_way_are_written_off_where_they_left(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.transfer_short()
    case = case_of(hub, ConflictCode.TRANSFER_SHORT)
    dispatch = next(one for one in case.papers if one.act == "dispatched")
    assert dispatch.is_notice
    done = settle(desk, case, act="paper", target=dispatch.id, quantity="8", lost_reason="damage")
    assert done.status_code == 303, text_of(done)
    # Eight were sent, and two left the warehouse's stock as damaged.
    assert (stock(hub, "11005")[0], stock(hub, "11005", "W")[0]) == (8_000, 40_000)
    _no_transfer_conflicts(hub)


def test_a_receipt_of_too_much_is_corrected(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.transfer_over()
    case = case_of(hub, ConflictCode.TRANSFER_OVER)
    receipt = next(one for one in case.papers if one.act == "received")
    assert settle(desk, case, act="paper", target=receipt.id, quantity="10").status_code == 303
    assert (stock(hub, "11005")[0], stock(hub, "11005", "W")[0]) == (10_000, 40_000)
    _no_transfer_conflicts(hub)


def test_goods_declared_at_a_count_are_keyed_in_and_counted_once(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.declared_at_a_count()
    case = case_of(hub, ConflictCode.TRANSIT_IMPLICIT_RECEIPT)
    assert stock(hub, "11005")[0] == 10_000
    assert settle(desk, case, act="rest", quantity="10").status_code == 303
    assert (stock(hub, "11005")[0], stock(hub, "11005", "W")[0]) == (10_000, 40_000)
    _no_transfer_conflicts(hub)


@pytest.mark.parametrize(("act", "figure"), [("before", 10_000), ("after", 20_000)])
def test_goods_suspected_of_being_counted_twice_are_placed_by_a_person(
    hub: Hub, chain: Chain, desk: DeskClient, act: str, figure: int
) -> None:
    chain.counted_before_keyed()
    case = case_of(hub, ConflictCode.TRANSIT_SUSPECT_DOUBLE)
    assert tuple(case.figure) == (10_000, 10_000, 20_000)
    choice = next(one for one in case.choices if one.act == act)
    assert choice.figure == (figure,) * 3
    assert settle(desk, case, act=act, target=choice.target, observation=choice.observation).status_code == 303
    assert stock(hub, "11005") == (figure,) * 3
    _no_transfer_conflicts(hub)


def test_two_choices_that_disagree_are_settled_by_a_third(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    first, _ = chain.choices_that_disagree()
    case = case_of(hub, ConflictCode.RESOLUTION_DISAGREE)
    assert {one.target for one in case.choices if one.act == "accept"} >= {first}
    done = settle(desk, case, act="accept", target=first, observation=first)
    assert done.status_code == 303, text_of(done)
    assert stock(hub, "11001") == (12_000, 12_000, 12_000)
    with hub.store.snapshot() as replica:
        assert count_inbox(replica, InboxFilter())["OPEN"] == 0


def _no_transfer_conflicts(hub: Hub) -> None:
    with hub.store.snapshot() as replica:
        rows = replica.connection.execute("SELECT scope_no, code FROM conflict WHERE code LIKE 'TRANS%'").fetchall()
        assert [tuple(row) for row in rows] == []
        assert count_inbox(replica, InboxFilter())["OPEN"] == 0


def test_a_recount_is_asked_for_once_and_answered_by_the_next_count(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.negative()
    case = case_of(hub, ConflictCode.NEGATIVE_STOCK, "B")
    assert settle(desk, case, act="recount", note="请数仓库后面").status_code == 303
    (asked,) = [e.payload for e in own_entries(hub, Scope("loc/B")) if isinstance(e.payload, RecountAsked)]
    assert (asked.product, asked.note) == ("11003", "请数仓库后面")
    assert "A recount was asked for" in text_of(desk.get(f"/inbox/B/{case.row.id}"))
    chain.b1.sync(chain.client)
    chain.count(chain.b1, "11003", 4, 2)
    chain.b1.sync(chain.client)
    page = text_of(desk.get(f"/inbox/B/{case.row.id}"))
    assert "A recount was asked for" not in page
    assert "Gone since" in page


def test_a_count_told_by_telephone_is_a_count_in_the_persons_role(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.negative()
    case = case_of(hub, ConflictCode.NEGATIVE_STOCK, "B")
    refused = settle(desk, case, act="told_count", quantity="many")
    assert (refused.status_code, 'value="many"' in refused.text) == (422, True)
    assert settle(desk, case, act="told_count", quantity="6").status_code == 303
    assert stock(hub, "11003", "B") == (6_000, 6_000, 6_000)


def test_a_decision_that_a_late_count_overtakes_comes_back_with_the_reason(
    hub: Hub, chain: Chain, desk: DeskClient
) -> None:
    first, _ = chain.counts_that_disagree()
    case = case_of(hub, ConflictCode.COUNT_DISAGREE)
    name = f"{first.stream.writer}:{first.body.seq}"
    assert settle(desk, case, act="accept", target=name, observation=name).status_code == 303
    late = chain.enrol("A", "A3")
    counted = chain.count(late, "11001", 40, 59, minutes=5)
    chain.push(late)
    again = case_of(hub, ConflictCode.COUNT_DISAGREE)
    assert again.row.is_reopened
    assert again.overtaken == (f"{counted.stream.writer}:{counted.body.seq}",)
    page = text_of(desk.get(f"/inbox/A/{again.row.id}"))
    assert "Since the last decision 1 entries arrived that it had not seen" in page
    assert "Re-opened" in text_of(desk.get("/inbox"))


def test_a_form_that_shows_what_no_longer_holds_is_refused_and_says_so(
    hub: Hub, chain: Chain, desk: DeskClient
) -> None:
    first, second = chain.counts_that_disagree()
    case = case_of(hub, ConflictCode.COUNT_DISAGREE)
    path = f"/inbox/A/{case.row.id}"
    version = re.search(r'name="version" value="([^"]+)"', desk.get(path).text)
    assert version
    names = [f"{entry.stream.writer}:{entry.body.seq}" for entry in (first, second)]
    for name, status in zip(names, (303, 409), strict=True):
        fields = {"version": version[1], "act": "accept", "target": name, "observation": name}
        answer = desk.post(path, fields)
        assert answer.status_code == status
    assert "Someone changed this while you were typing" in text_of(answer)
    assert len([e for e in own_entries(hub, A) if isinstance(e.payload, CountAccepted)]) == 1


def test_many_are_settled_at_once_and_what_has_no_rule_is_left(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.everything()
    with hub.store.snapshot() as replica:
        chosen = [f"{row.location}/{row.id}" for row in list_inbox(replica, InboxFilter(), 0, 50)]
    desk.get("/inbox")
    done = desk.http.post(
        "/inbox", data={"csrf": desk.csrf, "act": "rule", "conflict": chosen}, headers={"accept": "text/html"}
    )
    assert done.status_code == 303
    with hub.store.snapshot() as replica:
        left = {row.conflict.code.value for row in list_inbox(replica, InboxFilter(), 0, 50)}
    assert left == {"NEGATIVE_STOCK", "ZONE_RECOUNT", "TRANSFER_SHORT"}


def test_filters_and_search_narrow_the_list(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.everything()
    assert "大米" in text_of(desk.get("/inbox?stake=5000"))
    assert "可乐" not in text_of(desk.get("/inbox?stake=5000"))
    assert "可乐" in text_of(desk.get("/inbox?category=drinks"))
    assert "大米" not in text_of(desk.get("/inbox?category=drinks"))
    assert "可乐" in text_of(desk.get("/inbox?search=可"))
    assert "Nothing waits" in text_of(desk.get("/inbox?location=W"))


def test_a_products_name_is_text_and_never_markup(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.negative()
    case = case_of(hub, ConflictCode.NEGATIVE_STOCK, "B")
    for path in ("/inbox", f"/inbox/B/{case.row.id}"):
        page = desk.get(path).text
        assert "<script>alert(" not in page
        assert "&lt;script&gt;alert(" in page


def test_an_entry_of_the_org_scope_names_the_author_of_every_change(hub: Hub, chain: Chain, desk: DeskClient) -> None:
    chain.transfer_short()
    case = case_of(hub, ConflictCode.TRANSFER_SHORT)
    receipt = next(one for one in case.papers if one.act == "received")
    settle(desk, case, act="paper", target=receipt.id, quantity="10")
    acts = [e for e in own_entries(hub, ORG) if isinstance(e.payload, ActRecorded)]
    assert [act.payload.act for act in acts] == ["conflict.paper"]  # type: ignore[union-attr]
    written = [e for scope in (A, Scope("loc/W")) for e in own_entries(hub, scope)]
    assert {e.body.operation for e in written} == {str(acts[0].id)}
