"""The till says how it would survive its machine (room on the disk, copies, what is missing), and survives its disk."""

from __future__ import annotations

import pytest

from edge import disk_space, survival
from edge.disk_space import RESERVE_FILE
from edge.doctor import examine
from edge.lan_copies import note_peer
from edge.missing import note_lost
from edge.node import Node
from schema.identity import NodeId, Stream
from schema.rules.promotion_terms import Language
from tests.edge.goods import COLA_BARCODE
from tests.edge.shops import Shops, sell_pieces
from tests.faults.io_errors import FailingDisk
from tests.faults.watched_disk import watched
from tests.pos_tui.conftest import AtTill

WIDE = (140, 36)


def leave(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: free)
    monkeypatch.setattr(survival, "free_bytes", lambda _: free)


async def test_a_disk_that_gets_full_is_on_the_screen_before_anything_stops(
    at_till: AtTill, node: Node, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, 430_000_000)
    async with at_till(language, size=WIDE) as cashier:
        await cashier.until(cashier.t("survival.disk_low", megabytes=430))
        (node.directory / RESERVE_FILE).unlink()
        leave(monkeypatch, 2_000_000)
        cashier.app.refresh_status()
        await cashier.until(cashier.t("survival.disk_reserve"))


async def test_a_neighbour_that_has_every_sale_is_on_the_screen_and_one_that_lacks_some_too(
    at_till: AtTill, node: Node, language: Language
) -> None:
    sell_pieces(node)
    note_peer(node, NodeId("aaaaaaaaaaaa"), "127.0.0.1:1", "0.1.0", None)
    async with at_till(language, size=WIDE) as cashier:
        own = survival.survival(node).own_entries
        await cashier.until(cashier.t("survival.waiting_copy", waiting=own))
        node.connection.execute(
            "INSERT INTO lan_copy (peer, incarnation, seq) VALUES ('aaaaaaaaaaaa', 1, ?)", (own + 100,)
        )
        cashier.app.refresh_status()
        await cashier.until(cashier.t("survival.on_second_till"))


async def test_entries_that_are_missing_are_on_the_screen(at_till: AtTill, node: Node, language: Language) -> None:
    with node.store.transaction() as connection:
        note_lost(connection, Stream(node.config.scope, node.config.node_id, 7), 12, 1)
    async with at_till(language, size=WIDE) as cashier:
        await cashier.until(cashier.t("survival.missing", number=12))


async def test_a_sale_whose_sync_failed_is_said_not_to_be_recorded_and_sold_again_on_the_verified_file(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    node.close()
    disk = FailingDisk("sync", 1 << 40, is_lasting=False)
    with watched(node.directory, disk):
        durable = shops.nodes["A1"] = Node(node.directory, clock=node.clock_source)
        async with at_till(language, on=durable) as cashier:
            await cashier.scan(COLA_BARCODE)
            await cashier.press("+")
            await cashier.until(cashier.t("tender.left"))
            disk.arm()
            await cashier.press("enter")
            await cashier.until(cashier.t("survival.reopened"))
            await cashier.press("enter")
            await cashier.until("A1-1-000001")
            again = shops.nodes["A1"] = cashier.app.till.node
            assert again is not durable
        assert [row[0] for row in again.connection.execute("SELECT number FROM receipt").fetchall()] == ["A1-1-000001"]
        assert examine(again).is_healthy
        again.close()


async def test_a_file_that_is_gone_ends_the_till_in_a_sentence(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        node.store.path.unlink()
        await cashier.press("+", "enter")
        await cashier.settled()
    assert cashier.app.return_code == 1
