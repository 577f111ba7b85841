"""The till's top line says how the till would survive its machine: room on the disk, copies, what is missing."""

from __future__ import annotations

import pytest

from edge import disk_space, survival
from edge.disk_space import RESERVE_FILE
from edge.lan_copies import note_peer
from edge.missing import note_lost
from edge.node import Node
from schema.identity import NodeId, Stream
from schema.rules.promotion_terms import Language
from tests.edge.shops import sell_pieces
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
