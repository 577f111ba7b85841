"""How others' products failed at the till, and what this one does instead."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlcipher3.dbapi2 as sqlcipher

from edge.clock_source import ScriptedClock
from edge.doctor import examine
from edge.node import Node
from edge.selling import Completed, LineRequest, complete_sale, price_line, refund, refund_without_receipt, sell, today
from edge.stock import QuantityRequest, receive_goods
from edge.store import Store, foreseen
from schema.errors import EdgetillError, RefusalError
from schema.identity import EntryId
from schema.kinds.trading import Sale
from schema.rules.receipt_numbers import ReceiptNumber, missing_numbers
from sync.document_projection import read_document
from sync.documents import edit
from sync.replica import Moment
from tests.edge.shops import (
    HUB_STREAM,
    PRODUCTS,
    START_MS,
    WATER,
    Shops,
    carry,
    entry_count,
    exchange,
    figures,
    sell_pieces,
)

Make = Callable[..., Node]

SELLER = """
import sys
from pathlib import Path
from edge.node import Node
from edge.selling import LineRequest, sell
node = Node(Path(sys.argv[1]))
while True:
    print(sell(node, [LineRequest("P0001")]).receipt_number, flush=True)
"""


def test_every_sale_that_was_acknowledged_is_there_after_a_kill(make_node: Make, shops: Shops) -> None:
    till = make_node(is_durable=True)
    till.close()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    seller = subprocess.Popen(
        [sys.executable, "-c", SELLER, str(till.directory)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert seller.stdout is not None
    acknowledged = [seller.stdout.readline().strip() for _ in range(15)]
    seller.send_signal(signal.SIGKILL)
    acknowledged += seller.stdout.read().split()
    seller.wait()
    seller.stdout.close()
    again = Node(till.directory)
    shops.nodes["A1"] = again
    held = [row[0] for row in again.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]
    assert set(acknowledged) <= set(held)
    assert len(held) <= len(acknowledged) + 1  # at most the one in hand
    assert missing_numbers(map(ReceiptNumber.parse, held)) == []
    assert ReceiptNumber.parse(sell_pieces(again).receipt_number) == ReceiptNumber.parse(held[-1]).following()


def test_a_sale_is_synced_to_the_disk_before_it_is_acknowledged(make_node: Make) -> None:
    till = make_node(is_durable=True)
    assert till.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    sale = sell_pieces(till)
    other = Store(till.store.path, is_read_only=True)
    try:
        found = other.connection.execute("SELECT 1 FROM receipt WHERE number = ?", (sale.receipt_number,)).fetchone()
    finally:
        other.close()
    assert found


def test_two_tills_of_a_shop_never_share_a_receipt_number(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    numbers = [sell_pieces(node).receipt_number for _ in range(20) for node in (one, other)]
    assert len(set(numbers)) == 40
    exchange(one, other)
    assert one.connection.execute("SELECT count(*) FROM receipt").fetchone()[0] == 40


@pytest.mark.parametrize("is_foreign_machine", [False, True])
def test_a_restored_copy_opens_a_series_of_its_own(
    make_node: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_foreign_machine: bool
) -> None:
    till = make_node("A1")
    first = sell_pieces(till).receipt_number
    till.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    copy = tmp_path / "copy"
    shutil.copytree(till.directory, copy)
    if is_foreign_machine:
        monkeypatch.setattr("edge.node._machine", lambda: "another machine")
    else:
        (copy / "node.token").unlink()
    with Node(copy, clock=ScriptedClock(START_MS)) as twin:
        assert twin.state().incarnation > 1
        assert len({first, sell_pieces(till).receipt_number, sell_pieces(twin).receipt_number}) == 3
    with Node(copy, clock=ScriptedClock(START_MS)) as twin:  # its second start is no copy any more
        assert sell_pieces(twin).receipt_number.endswith("-000002")


def test_a_restart_on_the_same_machine_keeps_the_incarnation(make_node: Make, shops: Shops) -> None:
    till = make_node("A1")
    sell_pieces(till)
    till.close()
    shops.nodes["A1"] = Node(till.directory, clock=shops.clocks["A1"])
    assert shops.nodes["A1"].state().incarnation == 1
    assert sell_pieces(shops.nodes["A1"]).receipt_number == "A1-1-000002"


def test_the_same_sale_delivered_again_changes_nothing(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    sell_pieces(one, WATER, 3)
    batches, _ = one.replica.outgoing("loc/A", {}, 1 << 30, one.signer)
    carry(one, other)
    before = figures(other), entry_count(other)
    for batch in batches * 3:
        with other.write():
            assert other.replica.admit(batch) is None
    assert (figures(other), entry_count(other)) == before


def test_a_sale_is_held_elsewhere_in_the_very_bytes_that_the_till_wrote(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    place = EntryId.parse(sell_pieces(one, WATER, 3).entry)
    carry(one, other)
    mine, theirs = (node.replica.log.entry(place.stream, place.seq) for node in (one, other))
    assert mine is not None
    assert theirs is not None
    assert (mine.encoded, mine.digest) == (theirs.encoded, theirs.digest)


def test_a_completed_sale_is_never_refused_for_stock(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    receive_goods(one, [QuantityRequest(WATER, 1000)])
    exchange(one, other)
    sell_pieces(one)
    sell_pieces(other)
    exchange(one, other)
    assert figures(one)[WATER] == figures(other)[WATER] == (-1000,) * 3
    assert one.connection.execute("SELECT count(*) FROM inert").fetchone()[0] == 0


def test_concurrent_sales_of_one_product_add_up(make_node: Make) -> None:
    """−38 with concurrent −3 and −5 is −46, not −41."""
    one, other = make_node("A1"), make_node("A2")
    sell_pieces(one, WATER, 38)
    exchange(one, other)
    sell_pieces(one, WATER, 3)
    sell_pieces(other, WATER, 5)
    exchange(one, other)
    assert figures(one)[WATER] == figures(other)[WATER] == (-46_000,) * 3


@pytest.mark.parametrize("wall_ms", [0, 4_102_444_800_000])
def test_a_clock_however_wrong_never_stops_a_sale(make_node: Make, wall_ms: int) -> None:
    till = make_node(clock=lambda: ScriptedClock(wall_ms), unc_ms=None)
    assert sell_pieces(till).receipt_number


def test_a_clock_set_back_begins_an_epoch_and_sales_go_on(make_node: Make, shops: Shops) -> None:
    till = make_node()
    first = sell_pieces(till)
    till.clock_source = ScriptedClock(1_000_000_000_000, boot_id="A1")
    second = sell_pieces(till)
    entries = []
    for sale in (first, second):
        place = EntryId.parse(sale.entry)
        entry = till.replica.log.entry(place.stream, place.seq)
        assert entry is not None
        entries.append(entry)
    assert [entry.body.clock_epoch for entry in entries] == [0, 1]
    assert entries[1].body.unc_ms is None
    assert entries[1].hlc > entries[0].hlc


def test_a_late_price_change_never_rewrites_a_completed_sale(node: Node) -> None:
    moment_ms = node.now_ms()
    line = price_line(node, LineRequest(WATER, 2000), moment_ms, today(node, moment_ms))
    sale = complete_sale(node, [line])
    node.store.connection.execute("DELETE FROM record WHERE document LIKE 'prices/%'")
    place = EntryId.parse(sale.entry)
    entry = node.replica.log.entry(place.stream, place.seq)
    assert entry is not None
    assert isinstance(entry.payload, Sale)
    assert entry.payload.total_minor == 400
    assert refund(node, sale.receipt_number).total_minor == 400


def test_no_more_comes_back_than_was_sold(node: Node) -> None:
    sale = sell_pieces(node, WATER, 2)
    refund(node, sale.receipt_number)
    with pytest.raises(RefusalError) as refused:
        refund(node, sale.receipt_number)
    assert refused.value.code == "refund_empty"


def test_goods_without_a_receipt_go_to_a_place_that_exists(node: Node) -> None:
    before = entry_count(node)
    for requests, goods_to in (([LineRequest(WATER)], "bin"), ([], "shelf")):
        with pytest.raises(RefusalError):
            refund_without_receipt(node, requests, goods_to=goods_to)
    assert entry_count(node) == before


def sell_until_full(node: Node) -> tuple[list[Completed], RefusalError]:
    """Sell until the file may not grow any more; returns what was acknowledged, and the refusal."""
    pages = int(node.connection.execute("PRAGMA page_count").fetchone()[0])
    node.connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
    done: list[Completed] = []
    for _ in range(2000):
        try:
            done.append(sell(node, [LineRequest(WATER, quantity) for quantity in (1000, 2000, 3000)]))
        except RefusalError as refused:
            return done, refused
    raise AssertionError("the file grew without bounds")


def test_a_full_disk_is_one_sentence_and_no_sale_that_was_not_recorded(node: Node) -> None:
    done, refused = sell_until_full(node)
    assert refused.code == "disk_full"
    assert refused.message == "the disk is full: nothing was recorded; free some space"
    held = {row[0] for row in node.connection.execute("SELECT number FROM receipt").fetchall()}
    assert held == {sale.receipt_number for sale in done}
    large = [QuantityRequest(WATER, 1000, lot="L" * 90)] * 400
    with pytest.raises(RefusalError) as full:
        receive_goods(node, large)
    assert full.value.code == "disk_full"
    node.connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    after = sell_pieces(node)
    assert ReceiptNumber.parse(after.receipt_number).number == len(done) + 1
    assert examine(node).is_healthy


def test_a_read_only_file_is_one_sentence_and_no_sale(make_node: Make, shops: Shops) -> None:
    till = make_node()
    sold = sell_pieces(till)
    till.store.connection.execute("PRAGMA query_only = ON")
    before = figures(till)
    with pytest.raises(RefusalError) as refused:
        sell_pieces(till)
    assert refused.value.code == "file_read_only"
    assert "nothing was recorded" in refused.value.message
    assert figures(till) == before
    till.store.connection.execute("PRAGMA query_only = OFF")
    assert ReceiptNumber.parse(sell_pieces(till).receipt_number) == ReceiptNumber.parse(sold.receipt_number).following()


def test_a_cold_start_to_the_first_sale_needs_no_network(
    make_node: Make, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = make_node()
    for _ in range(50):
        sell_pieces(till)
    till.close()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a cold start asked the network")

    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    shops.nodes["A1"] = Node(till.directory, clock=shops.clocks["A1"])
    assert sell_pieces(shops.nodes["A1"]).receipt_number


def test_a_product_that_moves_between_categories_keeps_its_barcodes(node: Node) -> None:
    water = PRODUCTS[0]
    moves: list[tuple[str, dict[tuple[str, str], str | int | bool | None]]] = [
        ("products/snacks", {(WATER, name): value for name, value in water.fields().items()}),
        ("products/drinks", {(WATER, name): None for name in water.fields()}),
    ]
    for document, assignments in moves:
        with node.write():
            state = read_document(node.connection, document)
            for change in edit(state, assignments, writer=HUB_STREAM.writer, time_ms=START_MS):
                node.replica.append(HUB_STREAM, change, Moment(START_MS, 0, 0))
    assert sell(node, [LineRequest("6901234567892")], source="").total_minor == 200
    assert examine(node).is_healthy


def test_a_disk_so_full_that_the_file_cannot_even_be_opened_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> EdgetillError:
        with pytest.raises(EdgetillError) as raised, foreseen(Path("node.db")):
            raise sqlcipher.OperationalError("disk I/O error")
        return raised.value

    assert fail().code == "file_damaged"
    monkeypatch.setattr("edge.store.is_disk_full", lambda _: True)
    assert fail().code == "disk_full"
