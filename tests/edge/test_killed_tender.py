"""A till that is killed at any write of a sale has sold everything that belongs to it, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import edge.store
from edge import basket as edits
from edge.account_payments import top_up
from edge.balances import balance
from edge.basket import Basket, BasketLine, Member, add
from edge.clock_source import ScriptedClock
from edge.doctor import examine
from edge.node import Node
from edge.parking import keep_draft, restore_draft
from edge.print_jobs import jobs
from edge.refunding import exchange
from edge.returns import find_sale
from edge.tendering import Payment, complete, completed_attempt
from schema.rows import BalanceKind, PromotionKind
from schema.rules.promotion_terms import Promotion
from tests.edge.goods import BASKET_SET, COLA, TEA, basket_of, customer, minor, promote, teach_goods
from tests.edge.shops import START_MS, Shops

Press = Callable[[Node], object]


class Dying:
    """A connection whose process is killed before the n-th statement that changes something, or its commit."""

    def __init__(self, connection: Any, writes: int) -> None:
        self._connection = connection
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _count(self, sql: str) -> None:
        if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "BEGIN")):
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._count(sql)
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Any, /) -> Any:
        self._count(sql)
        return self._connection.executemany(sql, rows)


def killed(directory: Path, press: Press, writes: int) -> bool:
    """Press a key in a process that dies at a write; tells whether it died."""
    child = os.fork()
    if child == 0:
        try:
            connect = edge.store._connect
            edge.store._connect = lambda path, **named: Dying(connect(path, **named), 10**9)
            node = Node(directory, clock=ScriptedClock(START_MS, boot_id="A1"))
            node.store.connection._left = writes
            press(node)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def member_basket(node: Node) -> Basket:
    """Return a basket with all that a sale can bring with it: a kit, a draft, a coupon, points, stored value."""
    basket = edits.set_member(basket_of(node, f"2*{COLA}", BASKET_SET, TEA), Member("p1"))
    unknown = BasketLine("6944449999990", "散装糖", is_known=False, barcode="6944449999990", override_minor=880)
    return edits.add_coupon(add(basket, unknown), "SAVE-1")


def pay(node: Node) -> object:
    return complete(node, member_basket(node), [Payment("stored", 500), Payment("cash", given_minor=5000)],
                    attempt="t-1", prints=True)  # fmt: skip


def state(node: Node) -> dict[str, object]:
    """Return everything that the sale changes."""
    kinds = (BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS)
    counted = {
        table: node.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("entry", "receipt", "purchase", "product_draft", "replayed", "movement")
    }
    return {
        **counted,
        "balances": [balance(node, kind, "p1").amount for kind in kinds],
        "coupon": balance(node, BalanceKind.COUPON, "SAVE-1").amount,
        "jobs": len(jobs(node.connection)),
        "next": node.state().receipt_next,
    }


@pytest.fixture
def prepared(shops: Shops, tmp_path: Path) -> Path:
    """The directory of a till that can sell such a basket."""
    node = teach_goods(shops.make_node("A1"))
    customer(node, "p1")
    promote(node, Promotion(code="V1", name="券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100),
                            coupon="SAVE-*", is_single_use=True))  # fmt: skip
    top_up(node, "p1", 1000, attempt="t-0")
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    copy = tmp_path / "prepared"
    shutil.copytree(node.directory, copy)
    return copy


def deaths(prepared: Path, tmp_path: Path, press: Press) -> list[tuple[int, Path]]:
    """Kill a fresh copy of the till at every write of a key press; the last one lived."""
    found = []
    for writes in range(200):
        directory = tmp_path / f"killed-{writes}"
        shutil.copytree(prepared, directory)
        is_dead = killed(directory, press, writes)
        found.append((writes, directory))
        if not is_dead:
            return found
    raise AssertionError("no key press writes so much")


@pytest.mark.long
def test_a_sale_killed_at_any_write_is_whole_or_was_never_made(prepared: Path, tmp_path: Path) -> None:
    found = deaths(prepared, tmp_path, pay)
    assert len(found) > 15
    with Node(prepared, clock=ScriptedClock(START_MS, boot_id="A1")) as before:
        nothing = state(before)
    with Node(found[-1][1], clock=ScriptedClock(START_MS, boot_id="A1")) as after:
        everything = state(after)
    assert nothing != everything
    for writes, directory in found:
        with Node(directory, clock=ScriptedClock(START_MS, boot_id="A1")) as again:
            keep_draft(directory, member_basket(again), "t-1")
            draft = restore_draft(again)
            assert draft is not None
            if completed_attempt(again, "t-1") is None:
                assert state(again) == nothing, writes
                assert draft.sold == ""
                pay(again)
            assert state(again) == everything, writes
            assert restore_draft(again) == draft._replace(sold="A1-1-000002")
            pay(again)
            assert state(again) == everything, writes
            if writes % 7 == 0:
                assert examine(again).is_healthy


@pytest.mark.long
def test_an_exchange_killed_at_any_write_has_both_sides_or_neither(prepared: Path, tmp_path: Path) -> None:
    with Node(prepared, clock=ScriptedClock(START_MS, boot_id="A1")) as node:
        sold = complete(node, basket_of(node, COLA), attempt="t-0s").entry

    def swap(node: Node) -> object:
        sale = find_sale(node, sold)
        return exchange(node, sale, sale.whole(), basket_of(node, TEA), attempt="x-1")

    for writes, directory in deaths(prepared, tmp_path, swap):
        with Node(directory, clock=ScriptedClock(START_MS, boot_id="A1")) as again:
            refunds = again.connection.execute("SELECT count(*) FROM receipt WHERE is_refund = 1").fetchone()[0]
            sales = again.connection.execute("SELECT count(*) FROM receipt WHERE is_refund = 0").fetchone()[0]
            assert (refunds, sales) in {(0, 1), (1, 2)}, writes
            assert (completed_attempt(again, "x-1") is None) == (refunds == 0)
