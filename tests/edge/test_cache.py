"""A node keeps thirty days: what is older leaves it below the hub's frontier, and every figure stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from edge.balances import balance
from edge.basket import Basket, BasketLine
from edge.cache import LEASE_LAPSED, CacheAge, cache_state, prune_old
from edge.clock_source import ScriptedClock
from edge.commands import commands as node_verbs
from edge.config import read_config, write_config
from edge.doctor import examine
from edge.joining import join
from edge.node import Node
from edge.parking import park, recall
from edge.returns import find_sale
from edge.selling import LineRequest, refund, sell
from edge.shifts import open_shift
from edge.status import node_status
from edge.sync_agent import HttpLine, sync_once
from edge.trade_projections import TRADE_TABLES
from edge.unknown_tenders import unknown_tenders
from hub.backups import BackupReport, back_up
from hub.commands import commands as hub_verbs
from hub.enrolment import Profile
from hub.own_log import parse_location
from hub.pruning import PruningReport
from hub.service import Hub, init_hub, open_hub, serving
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.balances import BalanceMove, BalanceMoved
from schema.kinds.base import StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.organisation import FrontierDeclared, LocationDefined, OpeningBalance
from schema.kinds.stock import GoodsReceived
from schema.kinds.tills import SignInRecorded
from schema.kinds.trading import Sale
from schema.rows import BalanceKind
from tests.edge.till_days import trade_all_day

DAY = 86_400_000
START = 1_790_000_000_000


class Shop:
    """A hub, a till that is always on line and one that falls silent, on one scripted calendar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        init_hub(folder / "hub", name="L", locations=[parse_location("A:Riverside:shop")], now_ms=lambda: self.now)
        self.hub: Hub = open_hub(folder / "hub", now_ms=lambda: self.now)
        self.url = ""
        self.nodes: list[Node] = []

    def till(self, name: str) -> Node:
        issued = self.hub.enrolment.invite(profile=Profile.TILL, location="A", name=name, till=name)
        join(self.folder / name, self.url, issued.invitation, ScriptedClock(self.now))
        return self.opened(name)

    def opened(self, name: str) -> Node:
        node = Node(self.folder / name, clock=ScriptedClock(self.now))
        self.nodes.append(node)
        return node

    def pass_days(self, days: int) -> None:
        self.now += days * DAY
        for node in self.nodes:
            assert isinstance(node.clock_source, ScriptedClock)
            node.clock_source.move_to(self.now)

    def back_up(self) -> BackupReport:
        return back_up(self.hub, self.folder / "backups", None)

    def cut(self) -> PruningReport:
        """Cut the shop's scope as far as a checked backup of this moment allows."""
        self.back_up()
        return self.hub.pruning.cut_location("A")

    def sync(self, *nodes: Node) -> None:
        for node in nodes:
            line = HttpLine(node)
            try:
                report = sync_once(node, line)
            finally:
                line.close()
            assert report.is_complete
            assert not report.mismatched_folds
        self.hub.contacts.flush()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    with serving(made.hub) as url:
        made.url = url
        yield made
    for node in made.nodes:
        node.close()
    made.hub.close()


def append(node: Node, payload: Any) -> str:
    with node.write() as writing:
        return str(writing.append(payload).id)


def vector(node: Node) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((w, h.seq) for w, h in node.replica.log.heads(node.config.scope).items()))


def on_hand(node: Node, product: str = "P1") -> int:
    row = node.connection.execute("SELECT value FROM stock WHERE product = ? AND is_present = 1", (product,)).fetchone()
    return int(row[0])


def figures(node: Node) -> dict[str, list[Any]]:
    tables = {
        "stock": "SELECT product, value, lo, hi FROM stock WHERE is_present = 1",
        "conflict": "SELECT conflict, status FROM conflict",
        "transfer": "SELECT transfer, product, transit FROM transfer",
        "digest": "SELECT scope, fold_digest FROM scope",
        "shift": "SELECT * FROM shift",
        "returned": "SELECT * FROM returned",
        "receipt": "SELECT number, seq, is_refund, total_minor FROM receipt",
    }
    return {name: sorted(node.connection.execute(sql).fetchall()) for name, sql in tables.items()}


def entries(node: Node) -> int:
    return int(node.connection.execute("SELECT count(*) FROM entry").fetchone()[0])


def trade(shop: Shop, node: Node, sales: int = 30) -> str:
    """Receive, sell and count one product; returns the first receipt."""
    append(node, GoodsReceived("D1", "S", "o", (StockMove("P1", 100_000),)))
    first = sell(node, [LineRequest("P1", price_minor=500)]).receipt_number
    for _ in range(sales - 1):
        sell(node, [LineRequest("P1", price_minor=500)])
    at = node.clock_source().wall_ms
    look = Look(70_000, at, at + 1, vector(node), vector(node))
    append(node, CountRecorded("P1", "clerk", "o", (look,)))
    shop.sync(node)
    return first


def test_worked_example_finds_eight_through_sessions_and_pruning(shop: Shop) -> None:
    first, silent = shop.till("T1"), shop.till("T2")
    append(first, GoodsReceived("D1", "S", "o", (StockMove("P1", 10_000),)))
    shop.pass_days(0)
    shop.now += 3_600_000
    shop.pass_days(0)
    sell(silent, [LineRequest("P1", price_minor=500)])
    shop.now += 3_600_000
    shop.pass_days(0)
    at = first.clock_source().wall_ms
    look = Look(9_000, at, at + 20_000, vector(first), vector(first))
    append(first, CountRecorded("P1", "clerk", "o", (look,)))
    shop.now += 3_600_000
    shop.pass_days(0)
    sell(silent, [LineRequest("P1", price_minor=500)])
    shop.sync(first)
    shop.pass_days(40)
    shop.back_up()
    with shop.hub.store.transaction(first.config.scope) as replica:
        heads = {w: h.seq for w, h in replica.log.heads(first.config.scope).items()}
        shop.hub.pruning.cut(replica, first.config.scope, shop.now - 30 * DAY, heads)
    shop.sync(first)
    assert on_hand(first) == 9_000
    assert prune_old(first).left == 2
    assert on_hand(first) == 9_000
    shop.sync(silent, first)
    assert on_hand(first) == on_hand(silent) == 8_000


def test_old_entries_leave_in_slices_and_every_figure_and_total_stays(shop: Shop) -> None:
    node = shop.till("T1")
    receipt = trade(shop, node)
    shop.pass_days(40)
    sell(node, [LineRequest("P1", price_minor=500)])
    shop.sync(node)
    report = shop.cut()
    assert report.keys == 1
    shop.sync(node)
    before, held = figures(node), entries(node)
    stopped = prune_old(node, seconds_max=0)
    assert stopped.looked_at == 0
    pruned = prune_old(node)
    assert pruned.left == 32
    assert figures(node) == before
    assert entries(node) == held - 32
    with pytest.raises(RefusalError, match="older than the 30 days") as refused:
        find_sale(node, receipt)
    assert refused.value.code == "receipt_older"
    with shop.hub.store.snapshot() as replica:
        row = node.connection.execute("SELECT seq FROM receipt WHERE number = ?", (receipt,)).fetchone()
        stream = next(r.stream for r in replica.log.streams(node.config.scope) if r.stream.node == node.config.node)
        entry = replica.log.entry(EntryId(stream, row[0]).stream, row[0])
    assert entry is not None
    assert isinstance(entry.payload, Sale)
    assert prune_old(node) == (0, 0)
    newest = sell(node, [LineRequest("P1", price_minor=500)])
    refund(node, newest.receipt_number)
    shop.sync(node)


def test_balances_stand_when_the_entries_that_moved_them_have_left(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node)
    append(node, BalanceMoved((BalanceMove("member-points", "p1", 30),), "earned", "T1-1-000001"))
    append(node, SignInRecorded("o1", "wrong"))
    shop.pass_days(40)
    append(node, BalanceMoved((BalanceMove("member-points", "p1", -10),), "spent", "T1-1-000002"))
    shop.sync(node)
    shop.hub.pruning.cut_location("A")
    shop.sync(node)
    before, held = balance(node, BalanceKind.MEMBER_POINTS, "p1"), entries(node)
    assert before.amount == 20
    prune_old(node)
    assert held - entries(node) == 34
    assert balance(node, BalanceKind.MEMBER_POINTS, "p1") == before
    found = examine(node)
    assert found.is_healthy, found.findings


def test_what_a_tills_day_left_stands_when_its_entries_have_left(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node)
    open_shift(node)
    trade_all_day(node)
    waiting = park(node, Basket((BasketLine("P1", "P1", is_known=False, override_minor=500),)), label="later")
    open_tender = unknown_tenders(node)
    shop.pass_days(40)
    sell(node, [LineRequest("P1", price_minor=500)])
    shop.sync(node)
    shop.hub.pruning.cut_location("A")
    shop.sync(node)
    before = till_tables(node)
    assert prune_old(node).left > 40  # more than the plain trade: the rest of the day leaves as well
    assert till_tables(node) == before
    assert examine(node).is_healthy
    assert unknown_tenders(node) == open_tender
    assert len(recall(node, waiting).lines) == 1


def till_tables(node: Node) -> dict[str, list[Any]]:
    return {table: sorted(node.connection.execute(f"SELECT * FROM {table}").fetchall()) for table in TRADE_TABLES}


def test_new_node_of_a_cut_scope_starts_from_the_balance(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node, sales=60)
    shop.pass_days(40)
    shop.cut()
    sell(node, [LineRequest("P1", price_minor=500)])
    shop.sync(node)
    late = shop.till("T2")
    assert entries(late) < entries(node) - 50
    shop.sync(late, node)
    assert on_hand(late) == on_hand(node)
    mine, theirs = figures(late), figures(node)
    for table in ("stock", "conflict", "transfer", "digest"):
        assert mine[table] == theirs[table]
    sell(late, [LineRequest("P1", price_minor=500)])
    shop.sync(late, node)
    assert on_hand(late) == on_hand(node)
    prune_old(node)
    shop.sync(node, late)
    assert figures(node)["digest"] == figures(late)["digest"]


def test_node_without_balance_or_frontier_lets_nothing_go(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node)
    with pytest.raises(RefusalError) as refused:
        prune_old(node)
    assert refused.value.code == "balance_missing"
    shop.pass_days(40)
    shop.cut()
    with pytest.raises(RefusalError) as still:
        prune_old(node)
    assert still.value.code == "balance_missing"


def test_frontier_that_a_till_forged_is_inert(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node)
    heads = tuple((w, h.seq, h.digest) for w, h in sorted(node.replica.log.heads(node.config.scope).items()))
    before = figures(node)["stock"]
    append(node, OpeningBalance(heads, 0, 1, ()))
    append(node, FrontierDeclared(heads))
    shop.sync(node)
    with pytest.raises(RefusalError) as refused:
        prune_old(node)
    assert refused.value.code == "balance_missing"
    assert figures(node)["stock"] == before
    assert node.connection.execute("SELECT count(*) FROM scope_cut").fetchone()[0] == 0


def test_doctor_finds_every_table_of_a_pruned_node_identical(shop: Shop) -> None:
    node = shop.till("T1")
    receipt = trade(shop, node)
    refund(node, receipt)
    shop.pass_days(40)
    sell(node, [LineRequest("P1", price_minor=500)])
    shop.sync(node)
    shop.cut()
    shop.sync(node)
    before = figures(node)
    prune_old(node)
    assert figures(node) == before
    found = examine(node)
    assert found.is_healthy, found.findings
    assert not found.unjudged
    node.connection.execute("UPDATE stock SET value = value + 1000")
    node.connection.execute("UPDATE scope_cut SET is_declared = 0")
    node.connection.execute("DELETE FROM key_balance")
    node.connection.execute("DELETE FROM cut_part")
    assert {one.table for one in examine(node).differences} == {"stock", "scope_cut", "key_balance", "cut_part"}
    assert examine(node, mend=True).is_mended
    assert examine(node).is_healthy


def test_cache_ages_and_a_lapsed_lease_marks_sales_but_refuses_none(shop: Shop) -> None:
    node = shop.till("T1")
    assert cache_state(node).age is CacheAge.FRESH
    shop.pass_days(5)
    assert cache_state(node).age is CacheAge.AGEING
    shop.pass_days(30)
    state = cache_state(node)
    assert state.age is CacheAge.OLD
    assert not state.is_lease_lapsed
    shop.nodes.remove(node)
    node.close()
    write_config(shop.folder / "T1", msgspec.structs.replace(read_config(shop.folder / "T1"), lease_days=30))
    leased = shop.opened("T1")
    assert cache_state(leased).is_lease_lapsed
    assert node_status(leased).is_lease_lapsed
    sale = find_sale(leased, sell(leased, [LineRequest("P1", price_minor=500)]).receipt_number)
    assert sale.sale.flags == (LEASE_LAPSED,)
    shop.sync(leased)
    assert not cache_state(leased).is_lease_lapsed


def test_location_may_set_the_lease_of_its_nodes(shop: Shop) -> None:
    node = shop.till("T1")
    with shop.hub.store.transaction("org") as replica:  # type: ignore[arg-type]
        shop.hub.own_log.append(replica, "org", LocationDefined("A", "Van", "van", lease_days=3))  # type: ignore[arg-type]
    shop.sync(node)
    shop.pass_days(4)
    assert cache_state(node).is_lease_lapsed


def test_verbs_cut_at_the_hub_and_prune_at_the_node(shop: Shop) -> None:
    node = shop.till("T1")
    trade(shop, node)
    shop.pass_days(40)
    app = typer.Typer()
    hub_verbs(app)
    node_verbs(app)
    runner = CliRunner(env={"EDGETILL_NOW": ""})
    early = runner.invoke(app, ["prune", "--node", str(shop.folder / "T1")])
    assert isinstance(early.exception, RefusalError)
    report = shop.cut()
    shop.sync(node)
    again = runner.invoke(app, ["hub", "prune", "--hub", str(shop.folder / "hub"), "--older-than-days", "36500"])
    assert again.exit_code == 0, again.output
    assert "nothing is older" in again.output
    done = runner.invoke(app, ["prune", "--node", str(shop.folder / "T1"), "--json"])
    assert done.exit_code == 0, done.output
    assert msgspec.json.decode(done.output)["left"] == report.entries_below - report.entries_kept
