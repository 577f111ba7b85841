"""The doctor finds every kind of damage by name, mends figures from the log, and finds nothing where nothing is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from edge.bundles import export_bundle
from edge.counting import close_session, count_product, open_session, record_looks
from edge.doctor import OWN_VIEWS, examine, put_back_entries
from edge.node import Node
from edge.reserving import reserve
from edge.resolving import accept_count, void_entry
from edge.returns import find_sale
from edge.search import search
from edge.selling import refund
from edge.shifts import close_shift, open_shift, pay_in
from edge.stock import QuantityRequest, adjust_stock, dispatch_transfer, receive_goods, receive_transfer
from schema.errors import RefusalError
from schema.kinds.balances import BalanceMove, BalanceMoved, BalancePaid
from schema.kinds.base import Payload, StockMove
from schema.kinds.buying import OrderDrafted, OrderLine
from schema.kinds.counting import ClockFixed
from schema.kinds.organisation import AuthorityRevoked, CustomerDefined
from schema.kinds.stock import GoodsReceived
from schema.kinds.tills import (
    BasketParked,
    BasketTaken,
    DrawerOpened,
    LineVoided,
    ProductDrafted,
    SignInRecorded,
    TenderSettled,
)
from schema.kinds.trading import DayClosed, Tender
from schema.kinds.vans import VanSettled
from sync.branches import recover, set_aside
from sync.refold import CORE_VIEWS
from sync.replica import Moment
from tests.edge.shops import (
    CIGARETTES,
    HUB_STREAM,
    START_MS,
    WATER,
    Shops,
    carry,
    exchange,
    figures,
    sell_pieces,
)
from tests.edge.till_days import trade_all_day

Make = Callable[..., Node]
PRODUCTS = (WATER, CIGARETTES, "P1001", "P1002")


class BusyShops:
    """Workload: two tills of a shop and a warehouse that do everything a shop does, at random."""

    def __init__(self, shops: Shops, seed: int) -> None:
        self.random = random.Random(seed)
        self.shops = shops
        shops.policy("tobacco", "manual", "conservative")
        shops.policy("drinks", self.random.choice(["latest", "lowest", "average", "authority"]), tolerance=1000)
        self.tills = [shops.make_node("A1"), shops.make_node("A2", unc_ms=self.random.choice([None, 50, 60_000]))]
        self.warehouse = shops.make_node("W1", "W")
        self.receipts: list[str] = []
        self.entries: list[str] = []
        self.counts: list[tuple[str, str]] = []
        self.transfers: list[str] = []

    def step(self) -> None:
        rng, node = self.random, self.random.choice(self.tills)
        product = rng.choice(PRODUCTS)
        goods = [QuantityRequest(product, rng.randint(1, 9) * 1000)]
        act = rng.randrange(14)
        self.shops.pass_minutes(rng.choice([0, 0.01, 1, 30]))
        with suppress(RefusalError):
            if act < 5:
                self.receipts.append(sell_pieces(node, product, rng.randint(1, 4)).receipt_number)
            elif act == 5 and self.receipts:
                refund(node, rng.choice(self.receipts))
            elif act == 6:
                self.entries.append(receive_goods(node, goods, document="D1").entry)
            elif act == 7:
                adjust_stock(node, rng.choice(["wastage", "found"]), goods)
            elif act == 8:
                done = count_product(node, product, rng.randint(0, 9) * 1000, absorbs=self.transfers[-1:])
                self.counts.append((product, getattr(done, "entry", "")))
            elif act == 9:
                self.transfers.append(dispatch_transfer(self.warehouse, "A", goods).transfer)
                carry(self.warehouse, node, "loc/A")
            elif act == 10 and self.transfers:
                receive_transfer(node, rng.choice(self.transfers), goods, origin="W", is_final=rng.random() < 0.5)
            elif act == 11:
                session = open_session(node, ["front", "back"], [product]).session
                count_product(node, product, 3000, session=session, zone="front")
                record_looks(node, session)
                if rng.random() < 0.7:
                    close_session(node, session, confirm_zeros=True)
            elif act == 12 and self.counts:
                product, entry = rng.choice(self.counts)
                if rng.random() < 0.5:
                    accept_count(node, product, entry)
                else:
                    void_entry(node, rng.choice([entry, *self.entries]))
            elif act == 13:
                exchange(self.tills[0], self.tills[1])


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_shop_does_every_table_equals_what_the_log_gives(shops: Shops, seed: int) -> None:
    busy = BusyShops(shops, seed)
    open_shift(busy.tills[0], float_minor=1000)
    for _ in range(70):
        busy.step()
    pay_in(busy.tills[0], 100, "change")
    close_shift(busy.tills[0], 5)
    exchange(busy.tills[0], busy.tills[1])
    carry(busy.warehouse, busy.tills[0], "loc/A")
    for node in (*busy.tills, busy.warehouse):
        found = examine(node)
        assert found.is_healthy, (seed, found.findings)
        assert found.entries == found.refolded
        assert not found.unjudged
    assert figures(busy.tills[0]).keys() >= figures(busy.tills[1]).keys()


def test_a_revoked_node_and_a_corrected_clock_leave_nothing_that_a_rebuild_would_not_give(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    sell_pieces(other, WATER, 2)
    kept = sell_pieces(one, WATER, 1)
    count_product(other, WATER, 5000)
    lost = sell_pieces(other, WATER, 3)
    exchange(one, other)
    writer = f"{other.config.node}.1"
    with one.write():
        fix = ClockFixed(writer, 0, 120_000, 50)
        one.replica.append(HUB_STREAM._replace(scope=one.config.scope), fix, Moment(START_MS, 0, 0))
    shops.tell(AuthorityRevoked(other.config.node, (("loc/A", writer, 2),)))
    numbers = {row[0] for row in one.connection.execute("SELECT number FROM receipt").fetchall()}
    assert kept.receipt_number in numbers
    assert lost.receipt_number not in numbers
    found = examine(one)
    assert found.is_healthy, found.findings


def test_sales_brought_back_after_a_fork_are_the_same_in_a_rebuild(shops: Shops, tmp_path: Path) -> None:
    original, peer = shops.make_node("A1"), shops.make_node("A2")
    sell_pieces(original, WATER, 1)
    original.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    shutil.copytree(original.directory, tmp_path / "twin")
    with Node(tmp_path / "twin", clock=shops.clocks["A1"]) as twin:
        assert twin.state().incarnation == 1  # a copy on the same machine: only a peer can tell
        sell_pieces(original, WATER, 2)
        number = sell_pieces(twin, WATER, 4).receipt_number
        count_product(twin, "P1001", 3000)
        carry(original, peer)
        with twin.write() as writing:
            stream = writing.stream()
            set_aside(twin.replica, stream, 1)
            twin.new_incarnation(writing)
        carry(peer, twin)
        with twin.write() as writing:
            assert len(recover(twin.replica, writing.stream(), writing.moment)) == 2
        carry(twin, peer)
        for node in (twin, peer):
            found = examine(node)
            assert found.is_healthy, found.findings
            assert figures(node)[WATER] == (-7000,) * 3
            rows = node.connection.execute("SELECT count(*) FROM receipt WHERE number = ?", (number,)).fetchone()
            assert rows[0] == 2  # the number was used twice before anyone knew; both sales stand


@pytest.fixture
def traded(shops: Shops, make_node: Make) -> Node:
    """A till with some of everything in its tables."""
    one, other = make_node("A1"), make_node("A2")
    warehouse = make_node("W1", "W")
    sale = sell_pieces(one, WATER, 3)
    refund(one, sale.receipt_number)
    sell_pieces(one, CIGARETTES, 1)
    count_product(one, WATER, 7000)
    sell_pieces(other, WATER, 1)
    done = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 24_000)])
    carry(warehouse, one, "loc/A")
    receive_transfer(one, done.transfer, [QuantityRequest(WATER, 23_000)])
    close_session(one, open_session(one, ["front"], ["P1001"]).session, confirm_zeros=True)
    open_shift(one)
    sell_pieces(one, source="csv:1")
    reserve(one, WATER, 1000)
    trade_all_day(one)
    shops.tell(CustomerDefined("p1", bytes(32), "138****1234", b""))
    of_a_till = _of_a_till(one)
    with one.write() as writing:
        writing.append(SignInRecorded("o1", "wrong"))
        writing.append(BalanceMoved((BalanceMove("member-points", "p1", 5),), "earned", sale.receipt_number))
        for payload in of_a_till:
            writing.append(payload)
    carry(other, one)
    return one


def _of_a_till(node: Node) -> list[Payload]:
    """Return one of each entry that only a till's own read models follow."""
    date, shift = "2026-03-02", "A1-2026-03-02-01"
    tender = Tender("wechat", 400, 400, "42", "unknown")
    entry = find_sale(node, sell_pieces(node).receipt_number)
    sale = msgspec.structs.replace(entry.sale, receipt_number="A1-1-000900", tenders=(tender,), member="p1")
    paid = BalancePaid("A1-1-000901", date, shift, "o1", "top_up", (BalanceMove("member-balance", "p1", 400),),
                       (tender,), 400, member="p1")  # fmt: skip
    return [
        sale, paid, TenderSettled(entry.entry, 0, "confirmed", "o1"), BasketParked("b1", "o1", "x1", 400, b"x"),
        BasketTaken("b1", "o1", "recalled"), LineVoided("void", "o1", WATER, 1000, 200),
        DrawerOpened(shift, "o1", "change"), ProductDrafted("6901234567892", "", 200, "o1"),
        DayClosed(date, "o1", "A1-1-000001", "A1-1-000901", 800, 0),
        GoodsReceived("", "", "o1", (StockMove(WATER, 1000, "L1", "2026-04-01"),)),
        OrderDrafted("R-1", "order", "", "o1", (OrderLine(WATER, 1000),)),
        VanSettled("S-1", "", date, "o1", (), (), (), 0, 0, 0, 0),
    ]  # fmt: skip


DAMAGES = {
    "stock": "UPDATE stock SET value = value + 1000 WHERE product = 'P0001'",
    "movement": "DELETE FROM movement WHERE quantity < 0",
    "conflict": "DELETE FROM conflict",
    "transfer": "UPDATE transfer SET transit = 5",
    "transfer_paper": "DELETE FROM transfer_paper",
    "stock_fact": "DELETE FROM stock_fact WHERE about = 'count'",
    "right_figure": "UPDATE right_figure SET available = 1",
    "receipt": "UPDATE receipt SET total_minor = 1",
    "returned": "UPDATE returned SET quantity_milli = 1",
    "replayed": "DELETE FROM replayed",
    "shift": "UPDATE shift SET sales_minor = sales_minor + 1",
    "shift_event": "DELETE FROM shift_event",
    "count_session": "DELETE FROM count_session WHERE is_opening = 0",
    "barcode": "INSERT INTO barcode (barcode, product, unit) VALUES ('123', 'P0001', 'pc')",
    "sign_in": "DELETE FROM sign_in",
    "balance_move": "UPDATE balance_move SET amount = 500",
    "member": "DELETE FROM member",
    "product_index": "UPDATE product_index SET article = '9'",
    "payment": "DELETE FROM payment",
    "refunded": "DELETE FROM refunded",
    "purchase": "UPDATE purchase SET total_minor = 1",
    "unknown_tender": "DELETE FROM unknown_tender",
    "settled_tender": "UPDATE settled_tender SET outcome = 'failed'",
    "parked_basket": "UPDATE parked_basket SET label = 'x'",
    "taken_basket": "DELETE FROM taken_basket",
    "voided_line": "DELETE FROM voided_line",
    "drawer_opening": "DELETE FROM drawer_opening",
    "closed_day": "UPDATE closed_day SET sales_minor = 0",
    "product_draft": "DELETE FROM product_draft",
    "dated_goods": "UPDATE dated_goods SET expiry = '2027-01-01'",
    "counted_goods": "DELETE FROM counted_goods",
    "buying_fact": "DELETE FROM buying_fact",
    "buying": "UPDATE buying SET state = 'closed'",
    "van_settlement": "DELETE FROM van_settlement",
    "record": "DELETE FROM record WHERE record = 'P0001'",
    "document": "DELETE FROM document WHERE document = 'products/fruit'",
    "organisation_fact": "DELETE FROM organisation_fact WHERE kind = 'location.defined'",
    "scope": "UPDATE scope SET fold_digest = zeroblob(32) WHERE scope = 'loc/A'",
    "seen": "DELETE FROM seen",
    "recovered": "INSERT INTO recovered (scope_no, digest, stream_no, seq) VALUES (1, zeroblob(32), 1, 1)",
    "inert": "INSERT INTO inert (scope_no, stream_no, seq, reason) SELECT scope_no, stream_no, 1, 'x' FROM stream"
    " WHERE node = (SELECT node FROM stream ORDER BY stream_no DESC LIMIT 1)",
}


@pytest.mark.parametrize("table", DAMAGES)
def test_a_table_that_differs_is_named_and_mended_from_the_log(traded: Node, table: str) -> None:
    before = figures(traded)
    assert examine(traded).is_healthy
    traded.store.connection.execute(DAMAGES[table])
    found = examine(traded)
    assert table in {difference.table for difference in found.differences}
    assert not found.is_healthy
    assert not found.is_mended
    assert examine(traded, mend=True).is_mended
    after = examine(traded)
    assert after.is_healthy, after.findings
    assert figures(traded) == before
    assert sell_pieces(traded).receipt_number


def test_a_search_index_that_does_not_fit_the_products_is_named_and_mended(traded: Node) -> None:
    assert search(traded, "water")
    traded.store.connection.execute("INSERT INTO product_text (product_text) VALUES ('delete-all')")
    assert not search(traded, "water")
    assert [finding.code for finding in examine(traded).findings] == ["search_damaged"]
    assert examine(traded, mend=True).is_mended
    assert examine(traded).is_healthy
    assert search(traded, "water")


def test_every_projection_is_examined() -> None:
    elsewhere = {"document_conflict", "corrected_epoch", "key_balance", "scope_cut", "cut_part", "cut_keep"}
    assert DAMAGES.keys() == {v.table for v in (*CORE_VIEWS, *OWN_VIEWS)} - elsewhere


def test_an_altered_entry_is_named_with_its_range_and_the_figures_are_left_alone(traded: Node) -> None:
    before = figures(traded)
    row = traded.replica.log.stream(next(r.stream for r in traded.replica.rows() if r.stream.scope == "loc/A"))
    assert row is not None
    body = bytes(traded.replica.log.bodies(row, 1, 1)[0][1])
    altered = body[:-1] + bytes([body[-1] ^ 1])
    traded.store.connection.execute(
        "UPDATE entry SET body = ? WHERE scope_no = ? AND stream_no = ? AND seq = 2",
        (altered, row.scope_no, row.stream_no),
    )
    traded.store.connection.execute("UPDATE stock SET value = value + 0")
    found = examine(traded, mend=True)
    [damage] = found.damages
    assert (damage.stream, damage.first_seq, damage.last_seq) == (str(row.stream), 2, row.head.seq)
    assert (found.is_healthy, found.is_mended) == (False, False)
    assert "come again from the hub" in found.findings[0].sentence
    assert figures(traded) == before


def test_a_missing_entry_is_a_gap(traded: Node) -> None:
    row = next(r for r in traded.replica.rows() if r.stream.scope == "loc/A" and r.head.seq > 3)
    traded.store.connection.execute(
        "DELETE FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = 3", (row.scope_no, row.stream_no)
    )
    assert [(damage.code, damage.first_seq) for damage in examine(traded).damages] == [("log_gap", 3)]


def test_a_seal_that_is_not_its_nodes_signature_is_named(traded: Node) -> None:
    traded.store.connection.execute("UPDATE seal SET signature = zeroblob(64)")
    found = examine(traded)
    assert {finding.code for finding in found.findings} == {"seal_invalid"}
    assert found.seals >= 1


def test_damaged_entries_come_back_from_a_bundle_and_the_chain_proves_them(shops: Shops, tmp_path: Path) -> None:
    node, neighbour = shops.make_node("A1"), shops.make_node("A2")
    for _ in range(8):
        sell_pieces(node, WATER, 1)
    exchange(node, neighbour)
    sell_pieces(node, WATER, 2)  # the neighbour never hears of this one
    before = figures(node)
    theirs = tmp_path / "theirs.bundle"
    export_bundle(neighbour, theirs, everything=True)
    row = node.replica.log.stream(node.replica.log.streams("loc/A")[0].stream)
    assert row is not None
    assert row.head.seq == 9
    own = f"scope_no = {row.scope_no} AND stream_no = {row.stream_no}"
    node.connection.execute(f"UPDATE entry SET body = zeroblob(9) WHERE seq IN (2, 5) AND {own}")
    node.connection.execute(f"DELETE FROM entry WHERE seq = 6 AND {own}")
    assert [damage.first_seq for damage in examine(node, mend=True).damages] == [2]
    assert put_back_entries(node, theirs) == 3
    assert examine(node, mend=True).is_healthy
    assert figures(node) == before

    node.connection.execute(f"UPDATE entry SET body = zeroblob(9) WHERE seq = 9 AND {own}")
    assert put_back_entries(node, theirs) == 0, "what nobody else has cannot come back"
    assert not examine(node, mend=True).is_healthy


def test_what_is_remembered_of_a_count_is_compared_too_for_tomorrows_figures_rest_on_it(traded: Node) -> None:
    number, product, state = traded.connection.execute(
        "SELECT scope_no, product, state FROM stock WHERE state IS NOT NULL"
    ).fetchone()
    rotten = bytearray(state)
    rotten[-3] ^= 1
    traded.connection.execute(
        "UPDATE stock SET state = ? WHERE scope_no = ? AND product = ?", (bytes(rotten), number, product)
    )
    found = examine(traded)
    assert [finding.code for finding in found.findings] == ["projection_differs"]
    assert examine(traded, mend=True).is_mended
    assert examine(traded).is_healthy


def test_a_schema_that_rotted_is_a_finding_and_no_traceback(traded: Node) -> None:
    traded.connection.execute("ALTER TABLE transfer RENAME COLUMN transit TO trbnsit")
    found = examine(traded)
    assert [finding.code for finding in found.findings] == ["table_damaged", "file_damaged"]


def test_a_table_whose_name_rotted_into_one_that_still_works_is_named(traded: Node) -> None:
    rows = traded.connection.execute("SELECT count(*) FROM hub_line").fetchone()
    traded.connection.execute("PRAGMA writable_schema = ON")
    traded.connection.execute(
        "UPDATE sqlite_master SET name = 'hub_lIne', tbl_name = 'hub_lIne', sql = replace(sql, 'hub_line', 'hub_lIne')"
        " WHERE name = 'hub_line'"
    )
    traded.connection.execute("PRAGMA writable_schema = RESET")
    assert traded.connection.execute("SELECT count(*) FROM hub_line").fetchone() == rows
    assert "table_damaged" in {finding.code for finding in examine(traded).findings}
