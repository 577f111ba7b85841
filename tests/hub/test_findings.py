"""What no shop alone can see is found at the hub, from the set of entries: whatever came first, and again and again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlcipher3.dbapi2 as sqlcipher
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.balances import BalanceFold, balances_of
from hub.findings import Finding, FindingKind, FindingsFold, list_findings, settle_findings
from hub.service import Founded, Hub
from hub.till_reads import DraftFold, TenderFold, list_drafts, list_tenders
from schema.database import migrate, read_migrations
from schema.identity import ORG, Scope, Stream, location_scope
from schema.kinds.balances import BalanceMove, BalanceMoved, BalanceOpened, BalancePaid
from schema.kinds.base import Payload
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    OrganisationFounded,
    ScopeGrant,
    SettingDefined,
)
from schema.kinds.tills import ProductDrafted, TenderSettled
from schema.kinds.trading import LineDiscount, Refund, RefundLine, Sale, SaleLine, Tender
from schema.settings import LoyaltyRules, write_setting
from sync.effective import Fold
from sync.entry import Entry
from sync.organisation import Organisation
from sync.replica import Moment, Replica
from sync.signing import SigningKey
from sync.verification import VerifiedBatch
from tests.hub.conftest import Enrol
from tests.processes import run

HUB = SigningKey(bytes(32))
TILLS = {name: SigningKey(bytes(31) + name.encode()[:1]) for name in ("a", "b", "c")}
PLACES = {"a": "A", "b": "B", "c": "A"}
POINTS, STORED, CREDIT, COUPON = "member-points", "member-balance", "customer-credit", "coupon"


class HubInMemory:
    """A hub's tables in memory, with the store's two ways to open them."""

    def __init__(self) -> None:
        self.connection: Any = sqlcipher.connect(":memory:", isolation_level=None)
        migrate(self.connection, read_migrations("replica", "hub"))
        folds: list[Fold] = [BalanceFold(), FindingsFold(), DraftFold(), TenderFold()]
        self.replica = Replica(self.connection, Organisation(HUB.node, HUB.public), folds)
        self.replica.log.ensure_scope(ORG)

    @contextmanager
    def transaction(self, scope: Scope | None) -> Iterator[Replica]:
        yield self.replica

    @contextmanager
    def snapshot(self) -> Iterator[Replica]:
        yield self.replica

    def store(self, stream: Stream, entries: Sequence[Entry]) -> None:
        self.replica.store(VerifiedBatch(stream, list(entries), b"s" * 64))

    def settle(self) -> None:
        settle_findings(self, 7)  # type: ignore[arg-type]

    def findings(self) -> list[Finding]:
        return list_findings(self.connection)


class World:
    """A hub and tills that write; each stream as it was written, to be delivered in any order."""

    def __init__(self) -> None:
        self.writer = HubInMemory()
        self.now_ms = 1_000_000
        self.streams: dict[Stream, list[Entry]] = {}
        self.hub(OrganisationFounded("X", HUB.public))
        name, value = write_setting(LoyaltyRules(credit_limit_minor=50_000))
        self.hub(SettingDefined(name, "", value))
        for till, key in TILLS.items():
            scope = ScopeGrant(location_scope(PLACES[till]), ("trade",), "clerk")  # type: ignore[arg-type]
            self.hub(AuthorityGranted(key.node, key.public, till, PLACES[till], till, (scope,)))

    def hub(self, payload: Payload) -> Entry:
        return self._append(Stream(ORG, HUB.node, 1), payload)

    def at(self, till: str, payload: Payload, operation: str = "") -> Entry:
        stream = Stream(location_scope(PLACES[till]), TILLS[till].node, 1)  # type: ignore[arg-type]
        return self._append(stream, payload, operation)

    def _append(self, stream: Stream, payload: Payload, operation: str = "") -> Entry:
        self.now_ms += 1_000
        entry = self.writer.replica.append(stream, payload, Moment(self.now_ms, 5, 0), operation)
        self.streams.setdefault(stream, []).append(entry)
        return entry

    def moved(self, till: str, kind: str, subject: str, amount: int, operation: str = "", approver: str = "") -> Entry:
        payload = BalanceMoved((BalanceMove(kind, subject, amount),), "spent", "R", approver=approver)
        return self.at(till, payload, operation)

    def sold(self, till: str, pieces: int = 2, total_minor: int = 1_000, promotion_minor: int = 0) -> str:
        discounts = (LineDiscount("promotion", "NEW5", promotion_minor),) if promotion_minor else ()
        line = SaleLine("P", "", 1000, pieces * 1000, 500, 500, 1000, "list", total_minor, "13", 1300, discounts)
        tenders = (Tender("wechat", total_minor, total_minor, "420", "unknown"),)
        return str(self.at(till, Sale("R", "2026-03-02", "s", "o", (line,), (), tenders, total_minor)).id)

    def refunded(self, till: str, original: str, pieces: int = 2, minor: int = 1_000, line: int | None = 0) -> str:
        back = RefundLine(line, "P", "", 1000, pieces * 1000, minor, "13", 1300, "shelf")
        payload = Refund("F", "2026-03-02", "s", "o", original, (back,), (), (Tender("cash", minor),), minor)
        return str(self.at(till, payload).id)

    def deliver(self, seed: int) -> HubInMemory:
        """Bring every stream to a new hub, in pieces and in an order of the seed's choosing; each keeps its own."""
        rng = random.Random(seed)
        hub = HubInMemory()
        rest = {stream: list(entries) for stream, entries in self.streams.items()}
        while any(rest.values()):
            stream = rng.choice([one for one, entries in rest.items() if entries])
            count = rng.randint(1, len(rest[stream]))
            hub.store(stream, rest[stream][:count])
            del rest[stream][:count]
            if rng.random() < 0.5:
                hub.settle()
        hub.settle()
        return hub


def found(world: World, seed: int = 1) -> list[tuple[FindingKind, str, int, tuple[str, ...]]]:
    return [(one.kind, one.subject, one.amount, one.locations) for one in world.deliver(seed).findings()]


def test_money_that_two_shops_spent_offline_is_found_with_both_entries() -> None:
    world = World()
    world.hub(BalanceOpened(STORED, "p1", 10_000))
    first = world.moved("a", STORED, "p1", -8_000)
    second = world.moved("b", STORED, "p1", -8_000)
    (one,) = world.deliver(1).findings()
    assert (one.kind, one.balance, one.subject, one.amount) == (FindingKind.OVERSPENT, STORED, "p1", 6_000)
    assert one.locations == ("A", "B")
    assert [evidence.entry for evidence in one.evidence] == [str(first.id), str(second.id)]
    assert one.state == "open"


def test_what_was_there_may_be_spent_to_the_last_fen_and_a_top_up_heals() -> None:
    world = World()
    world.hub(BalanceOpened(STORED, "p1", 10_000))
    world.moved("a", STORED, "p1", -8_000)
    world.moved("b", STORED, "p1", -2_000)
    assert found(world) == []
    world.moved("b", POINTS, "p1", -5)
    assert found(world) == [(FindingKind.OVERSPENT, "p1", 5, ("B",))]
    moves = (BalanceMove(POINTS, "p1", 5),)
    world.at("a", BalancePaid("R", "2026-03-02", "s", "o", "top_up", moves, (Tender("cash", 0),), 0))
    assert found(world) == []


def test_credit_beyond_the_limit_is_found_unless_one_shop_allowed_it_knowingly() -> None:
    world = World()
    world.moved("a", CREDIT, "p1", 40_000)
    world.moved("b", CREDIT, "p1", 40_000)
    assert found(world) == [(FindingKind.CREDIT_EXCEEDED, "p1", 30_000, ("A", "B"))]
    world.moved("a", CREDIT, "p1", -30_000)
    assert found(world) == []
    allowed = World()
    allowed.moved("a", CREDIT, "p2", 70_000, approver="o9")
    assert found(allowed) == []
    allowed.moved("b", CREDIT, "p2", 10_000)
    assert [kind for kind, *_ in found(allowed)] == [FindingKind.CREDIT_EXCEEDED]


def test_a_single_use_coupon_used_in_two_shops_is_found_with_what_it_gave() -> None:
    world = World()
    for till, minor in (("a", 500), ("b", 300)):
        sale = world.sold(till, promotion_minor=minor)
        world.moved(till, COUPON, "XK1", 1, operation=sale)
    assert found(world) == [(FindingKind.COUPON_REUSED, "XK1", 300, ("A", "B"))]
    world.moved("b", COUPON, "XK1", -1)
    assert found(world) == []


def test_a_coupon_that_came_back_with_its_whole_sale_may_be_used_again_once() -> None:
    world = World()
    first = world.sold("a", promotion_minor=500)
    world.moved("a", COUPON, "XK1", 1, operation=first)
    for till in ("a", "b"):  # two shops that did not hear of each other both gave it back
        back = world.refunded(till, first)
        world.moved(till, COUPON, "XK1", -1, operation=back)
    assert [kind for kind, *_ in found(world)] == [FindingKind.REFUND_EXCEEDS]
    again = world.sold("b", promotion_minor=300)
    world.moved("b", COUPON, "XK1", 1, operation=again)
    assert [kind for kind, *_ in found(world)] == [FindingKind.REFUND_EXCEEDS]
    twice = world.sold("a", promotion_minor=200)
    world.moved("a", COUPON, "XK1", 1, operation=twice)
    for seed in range(6):
        kinds = {one.kind: one for one in world.deliver(seed).findings()}
        assert set(kinds) == {FindingKind.REFUND_EXCEEDS, FindingKind.COUPON_REUSED}
        assert kinds[FindingKind.COUPON_REUSED].amount == 200


@pytest.mark.parametrize("line", [0, None])
def test_one_signed_code_refunded_in_two_shops_is_found_whichever_entry_comes_last(line: int | None) -> None:
    world = World()
    sale = world.sold("a")
    one, two = world.refunded("a", sale, line=line), world.refunded("b", sale, line=line)
    for seed in range(12):
        (finding,) = world.deliver(seed).findings()
        assert (finding.kind, finding.subject, finding.amount) == (FindingKind.REFUND_EXCEEDS, sale, 1_000)
        assert finding.locations == ("A", "B")
        assert [evidence.entry for evidence in finding.evidence] == [one, two]


def test_refunds_up_to_what_was_sold_are_no_finding_and_one_piece_too_many_is() -> None:
    world = World()
    sale = world.sold("a", pieces=2)
    world.refunded("b", sale, pieces=1, minor=500)
    world.refunded("c", sale, pieces=1, minor=500)
    assert found(world) == []
    world.refunded("b", sale, pieces=1, minor=0)
    assert [(kind, amount) for kind, _, amount, _ in found(world)] == [(FindingKind.REFUND_EXCEEDS, 1)]


def test_a_finding_goes_when_its_till_loses_its_authority_and_comes_back_with_it() -> None:
    world = World()
    world.hub(BalanceOpened(STORED, "p1", 10_000))
    world.moved("a", STORED, "p1", -8_000)
    world.moved("b", STORED, "p1", -8_000)
    sale = world.sold("a")
    world.refunded("a", sale)
    world.refunded("b", sale)
    assert len(found(world)) == 2
    world.hub(AuthorityRevoked(TILLS["b"].node, ()))
    for seed in range(6):
        hub = world.deliver(seed)
        assert hub.findings() == []
        assert balances_of(hub.connection, "p1") == {STORED: 2_000}


def test_the_limit_that_is_in_force_decides_when_it_changes_later() -> None:
    from hub.findings import note_credit_due

    world = World()
    world.moved("a", CREDIT, "p1", 40_000)
    hub = world.deliver(1)
    assert hub.findings() == []
    name, value = write_setting(LoyaltyRules(credit_limit_minor=10_000))
    entry = world.hub(SettingDefined(name, "", value))
    hub.store(Stream(ORG, HUB.node, 1), [entry])
    note_credit_due(hub.connection)
    hub.settle()
    assert [one.amount for one in hub.findings()] == [30_000]


def test_drafts_are_one_line_for_each_barcode_with_all_prices_and_shops() -> None:
    world = World()
    world.at("a", ProductDrafted("6901", "", 350, "o"))
    world.at("b", ProductDrafted("6901", "小面包", 300, "o"))
    world.at("a", ProductDrafted("6902", "伞", 1990, "o"))
    for seed in range(4):
        first, second = list_drafts(world.deliver(seed).connection)
        assert (first.barcode, first.name, first.price_minor, first.low_minor, first.high_minor, first.times) == (
            "6901", "小面包", 300, 300, 350, 2,
        )  # fmt: skip
        assert first.locations == ("A", "B")
        assert second.barcode == "6902"


def test_a_tender_is_open_until_its_last_word_whichever_comes_first() -> None:
    world = World()
    sale, other = world.sold("a"), world.sold("b")
    world.at("c", TenderSettled(sale, 0, "failed", "o1"))
    world.at("a", TenderSettled(sale, 0, "confirmed", "o2", "4200001"))
    for seed in range(6):
        connection = world.deliver(seed).connection
        assert [one.entry for one in list_tenders(connection, is_open=True)] == [other]
        (settled,) = [one for one in list_tenders(connection) if one.outcome]
        assert (settled.entry, settled.outcome, settled.settled_by, settled.reference) == (
            sale, "confirmed", "o2", "4200001",
        )  # fmt: skip


ACTS = st.tuples(
    st.sampled_from(sorted(TILLS)),
    st.sampled_from(["points", "stored", "credit", "coupon", "sale", "refund", "settle", "draft"]),
    st.sampled_from(["x", "y"]),
    st.integers(-3, 3),
)


def perform(world: World, acts: Sequence[tuple[str, str, str, int]], revoked: str | None) -> None:
    kinds = {"points": POINTS, "stored": STORED, "credit": CREDIT, "coupon": COUPON}
    sales: list[str] = []
    for till, act, subject, amount in acts:
        if act in kinds:
            scale = {"credit": 30_000, "coupon": 1}.get(act, 1_000)
            world.moved(till, kinds[act], subject, amount * scale, operation=sales[-1] if sales else "")
        elif act == "sale":
            sales.append(world.sold(till, promotion_minor=100))
        elif act == "refund" and sales:
            pieces = 1 + abs(amount)
            world.refunded(till, sales[amount % len(sales)], pieces=pieces, minor=500 * pieces)
        elif act == "settle" and sales:
            world.at(till, TenderSettled(sales[amount % len(sales)], 0, subject, "o"))
        elif act == "draft":
            world.at(till, ProductDrafted(subject, "", 100 + amount, "o"))
    if revoked is not None:
        world.hub(AuthorityRevoked(TILLS[revoked].node, ()))


def shown(hub: HubInMemory) -> Mapping[str, object]:
    balances = {subject: {k: v for k, v in balances_of(hub.connection, subject).items() if v} for subject in "xy"}
    return {
        "findings": hub.findings(),
        "balances": balances,
        "tenders": list_tenders(hub.connection),
        "drafts": [one._replace(name="", price_minor=0, last_ms=0) for one in list_drafts(hub.connection)],
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, min_size=2, max_size=25), st.sampled_from([None, *TILLS]), st.integers(0, 1000))
def test_any_order_of_arrival_shows_the_same_findings_and_balances(
    acts: list[tuple[str, str, str, int]], revoked: str | None, seed: int
) -> None:
    world = World()
    perform(world, acts, revoked)
    expected = shown(world.deliver(seed))
    for other in range(3):
        assert shown(world.deliver(seed + 1 + other)) == expected
    again = world.deliver(seed)
    again.settle()
    assert shown(again) == expected


def test_what_tills_push_is_judged_at_once_and_read_with_a_token(
    founded: tuple[Path, Founded], hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    headers = {"Authorization": f"Bearer {founded[1].token}"}
    for location in ("A", "B"):
        node = enrol(location)
        node.sync(client)
        node.append(BalanceMoved((BalanceMove(STORED, "p1", -500), BalanceMove(POINTS, "p2", -7)), "spent", "R"))
        node.sync(client)
    page = client.get("/v1/findings", headers=headers).json()
    assert [(one["kind"], one["subject"], one["amount"], one["locations"]) for one in page["findings"]] == [
        ("overspent", "p1", 1000, ["A", "B"]), ("overspent", "p2", 14, ["A", "B"]),
    ]  # fmt: skip
    assert {evidence["location"] for evidence in page["findings"][0]["evidence"]} == {"A", "B"}
    one = client.get("/v1/findings", params={"limit": 1}, headers=headers).json()
    assert one["next"]
    rest = client.get("/v1/findings", params={"limit": 1, "cursor": one["next"]}, headers=headers).json()
    assert [found["subject"] for found in rest["findings"]] == ["p2"]
    assert client.get("/v1/findings", params={"kind": "coupon_reused"}, headers=headers).json()["findings"] == []
    assert client.get("/v1/findings", params={"cursor": "x"}, headers=headers).status_code == 400
    assert client.get("/v1/findings").status_code == 401
    listed = processes_json(founded[0], "findings")
    assert [found["amount"] for found in listed] == [1000, 14]


def processes_json(directory: Path, *words: str) -> Any:
    done = run("hub", *words, "--hub", str(directory), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
