"""Kills the till itself, the program in the terminal, at any step of a sale, and audits what its file and screen hold.

A plan is one sale: goods, sometimes several of one, and the money. At a step that was drawn the keys are sent and a
moment later the program is killed. Then either no sale is there or the whole one, receipt numbers have no gap, what
had been painted for a while stands in the basket again, and a basket that was paid for does not.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.basket import Basket
from edge.doctor import examine
from edge.node import Node
from edge.parking import read_draft
from edge.selling import moves_of
from schema.identity import Stream
from schema.kinds.trading import Sale
from tests.bench.cashier import Cashier
from tests.bench.large_shop import Priced, make_shop, products
from tests.edge.people import CASHIER

PRODUCTS: Final = 400
KEPT_AFTER_S: Final = 0.3
"""What stood on the screen for so long survives the program."""
PAY_SHARE: Final = 0.5
"""Of so many sales the program is killed while they are paid."""

Goods = tuple[tuple[str, int], ...]
"""What is in a basket: products with pieces."""


@dataclass
class TillTally:
    """What the kills came to."""

    kills: int = 0
    paid: int = 0  # killed after the money was taken: the sale was there, whole
    unpaid: int = 0  # killed before: the basket came back
    sales: int = 0


@dataclass
class _Hand:
    """The basket as it stood on the screen, with the times since when."""

    states: list[tuple[float, Goods]] = field(default_factory=lambda: [(0.0, ())])

    @property
    def goods(self) -> Goods:
        return self.states[-1][1]

    def take(self, goods: Goods) -> None:
        self.states.append((time.monotonic(), goods))

    def may_be(self, killed_s: float) -> set[Goods]:
        """Return the baskets that may come back: what stood there for a while, or anything later."""
        old = [n for n, (since_s, _) in enumerate(self.states[1:], 1) if killed_s - since_s > KEPT_AFTER_S]
        return {goods for _, goods in self.states[max(old, default=0) :]}


class KilledTill:
    """One node whose till is killed and started again."""

    def __init__(self, folder: Path, rng: random.Random, tally: TillTally) -> None:
        self.directory = make_shop(folder / "shop", PRODUCTS)
        self._folder = folder
        self._rng = rng
        self._tally = tally
        self._goods = list(products(PRODUCTS))
        self._sold: list[Goods] = []
        self._hand = _Hand()

    def run(self, kills: int) -> None:
        """Sell and be killed so many times, then sell once more undisturbed."""
        for _ in range(kills):
            self._sell(is_killed=True)
        self._sell(is_killed=False)

    def _sell(self, *, is_killed: bool) -> None:
        rng = self._rng
        with Cashier(self.directory, "--no-sync") as cashier:
            cashier.sign_in(CASHIER, is_quick=True)
            self._goes_on(cashier)
            steps = rng.randint(1, 4)
            dies_at = -1
            if is_killed:
                dies_at = steps + rng.randint(0, 1) if rng.random() < PAY_SHARE else rng.randrange(steps)
            for step in range(steps):
                if self._adds(cashier, is_last=step == dies_at):
                    return
            if self._pays(cashier, dies_at - steps):
                return
            cashier.terminal.silence(KEPT_AFTER_S)
            cashier.terminal.kill()
        self._audit(self._sold)

    def _goes_on(self, cashier: Cashier) -> None:
        """Find the basket that came back, and sell it."""
        goods = self._hand.goods
        if not goods:
            cashier.sees("sale.empty")
            return
        cashier.sees("sale.draft_back")
        for code, _ in goods:
            cashier.terminal.wait_for(self._named(code).product.name)
        self._pays(cashier, -1)

    def _named(self, code: str) -> Priced:
        return next(one for one in self._goods if one.product.code == code)

    def _adds(self, cashier: Cashier, *, is_last: bool) -> bool:
        """Scan something, sometimes several pieces of it; True when the program was killed meanwhile."""
        one, pieces = self._rng.choice(self._goods), self._rng.choice((1, 1, 1, 3))
        if pieces > 1:
            cashier.types(f"{pieces}*")
            cashier.terminal.silence(0.1)
        before = dict(self._hand.goods)
        after = tuple((before | {one.product.code: before.get(one.product.code, 0) + pieces}).items())
        cashier.terminal.scan(one.barcode)
        if is_last:
            self._kill(cashier, {*self._hand.may_be(time.monotonic()), after}, None)
            return True
        cashier.terminal.wait_for(cashier.t("sale.added", name=one.called, quantity=pieces))
        self._hand.take(after)
        return False

    def _pays(self, cashier: Cashier, dies_at: int) -> bool:
        """Take exact cash; killed with the first key, the second or neither."""
        terminal, goods = cashier.terminal, self._hand.goods
        terminal.press("+")
        if dies_at == 0:
            self._kill(cashier, self._hand.may_be(time.monotonic()), None)
            return True
        cashier.sees("tender.left")
        terminal.press("enter")
        if dies_at == 1:
            self._kill(cashier, self._hand.may_be(time.monotonic()), goods)
            return True
        cashier.terminal.wait_for(f"A1-1-{len(self._sold) + 1:06d}")
        self._sold.append(goods)
        self._hand = _Hand()
        return False

    def _kill(self, cashier: Cashier, hands: set[Goods], paying: Goods | None) -> None:
        """Kill the program within a moment; then no sale is there or the whole, and the basket or none."""
        rng = self._rng
        time.sleep(rng.choice((0.0, rng.random() * 0.03, rng.random() * 0.15)))
        cashier.terminal.kill()
        self._tally.kills += 1
        is_sold = self._audit(self._sold if paying is None else [*self._sold, paying], may_miss=paying is not None)
        draft = read_draft(self.directory)
        if is_sold and paying is not None:
            self._sold.append(paying)
            self._tally.paid += 1
            self._hand = _Hand()
            return
        self._tally.unpaid += 1
        found = () if draft is None else _goods_of(draft)
        assert found in hands, f"{found} came back instead of one of {hands}"
        self._hand = _Hand()
        if found:
            self._hand.take(found)

    def _audit(self, sold: list[Goods], *, may_miss: bool = False) -> bool:
        """Examine a copy of the file; tells whether the last of the sales is there."""
        copy = self._folder / "copy"
        shutil.copytree(self.directory, copy)
        try:
            with Node(copy) as node:
                return self._audited(node, sold, may_miss=may_miss)
        finally:
            shutil.rmtree(copy)

    def _audited(self, node: Node, sold: list[Goods], *, may_miss: bool) -> bool:
        assert node.state().incarnation == 1, "a killed till is no copied one"
        numbers = [row[0] for row in node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]
        assert numbers == [f"A1-1-{n:06d}" for n in range(1, len(numbers) + 1)], "receipt numbers have gaps or doubles"
        assert node.state().receipt_next == len(numbers) + 1, "the next number is not the one after the last"
        sales = _sales(node)
        assert [sale.receipt_number for sale in sales] == numbers, "an entry without its receipt, or the other way"
        for sale in sales:
            assert sale.total_minor == sum(line.amount_minor for line in sale.lines)
            assert sale.total_minor == sum(tender.amount_minor for tender in sale.tenders)
            assert sale.moves == moves_of(sale.lines)
        found = [_pieces((line.product, line.quantity_milli // 1000) for line in sale.lines) for sale in sales]
        expected = [_pieces(goods) for goods in sold]
        assert found == expected or (may_miss and found == expected[:-1]), "what was sold is not what was in the basket"
        examination = examine(node)
        assert examination.is_healthy, examination.findings
        self._tally.sales = len(sales)
        return len(found) == len(expected)


def _goods_of(basket: Basket) -> Goods:
    return tuple((line.product, line.quantity_milli // 1000) for line in basket.lines)


def _pieces(goods: Iterable[tuple[str, int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for code, pieces in goods:
        counted[code] += pieces
    return counted


def _sales(node: Node) -> list[Sale]:
    stream = Stream(node.config.scope, node.config.node_id, 1)
    row = node.replica.log.stream(stream)
    found = []
    for seq in range(1, (row.head.seq if row else 0) + 1):
        entry = node.replica.log.entry(stream, seq)
        assert entry is not None, f"entry {seq} is missing"
        if isinstance(entry.payload, Sale):
            found.append(entry.payload)
    return found


def kill_tills(folder: Path, *, kills: int, seed: int) -> TillTally:
    """Kill a till so many times; AssertionError where one of the kills lost or doubled anything."""
    tally = TillTally()
    KilledTill(folder, random.Random(seed), tally).run(kills)
    return tally
