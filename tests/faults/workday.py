"""A day's work at a node, drawn from a seed, and the audit of what must be left of it after any fault.

Each deed is one use case; when it has returned, it is acknowledged by the ids of its entries and the number of its
receipt. The audit finds every acknowledged deed whole, at most the one in hand beside them, gapless numbers, and
figures that a rebuild from the log gives too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from edge.counting import close_session, count_product, open_session, record_looks
from edge.doctor import examine
from edge.node import Node
from edge.selling import LineRequest, refund_without_receipt, sell
from edge.stock import QuantityRequest, adjust_stock, dispatch_transfer, receive_goods, receive_transfer
from schema.identity import EntryId, Scope
from schema.kinds.counting import CountClosed, CountOpened
from schema.kinds.stock import TransferDispatched, TransferNoticed, TransferReceived
from schema.kinds.trading import Refund, Sale
from sync.refold import find_damage
from tests.edge.shops import PRODUCTS

GOODS: Final = tuple(str(product.code) for product in PRODUCTS if not product.is_weighed)[:8]
NOTHING: Final = "-"


class Done(NamedTuple):
    """A deed that was acknowledged: its first entry, its receipt number where it has one, and what it was."""

    entry: str
    number: str
    deed: str

    def __str__(self) -> str:
        return f"{self.deed} {self.entry} {self.number or NOTHING}"

    @classmethod
    def parse(cls, line: str) -> Done:
        """Read what `str` wrote."""
        deed, entry, number = line.split(" ")
        return cls(entry, "" if number == NOTHING else number, deed)


class Workday:
    """The deeds of one node. It keeps nothing in memory that a killed process would miss."""

    def __init__(self, node: Node, rng: random.Random, weights: Mapping[str, int] | None = None) -> None:
        self.node = node
        self.rng = rng
        shares = weights or WEIGHTS
        self._deeds = list(shares)
        self._weights = [shares[deed] for deed in self._deeds]

    def do_one(self) -> list[Done]:
        """Do what is drawn next; returns the entries that it acknowledged."""
        deed = self.rng.choices(self._deeds, self._weights)[0]
        acts: dict[str, Callable[[], list[Done]]] = {
            "sale": self.sell, "refund": self.refund, "receipt": self.receive, "adjustment": self.adjust,
            "count": self.count, "zones": self.count_zones, "dispatch": self.dispatch, "arrival": self.arrive,
        }  # fmt: skip
        return acts[deed]()

    def _goods(self, most: int = 5) -> list[QuantityRequest]:
        codes = self.rng.sample(GOODS, self.rng.randint(1, most))
        return [QuantityRequest(code, 1000 * self.rng.randint(1, 4)) for code in codes]

    def sell(self) -> list[Done]:
        """Sell a basket."""
        lines = [LineRequest(one.product, one.quantity_milli) for one in self._goods()]
        sold = sell(self.node, lines)
        return [Done(sold.entry, sold.receipt_number, "sale")]

    def refund(self) -> list[Done]:
        """Take goods back that nobody has a receipt of."""
        goods = self._goods(1)[0]
        back = refund_without_receipt(self.node, [LineRequest(goods.product, goods.quantity_milli)])
        return [Done(back.entry, back.receipt_number, "refund")]

    def receive(self) -> list[Done]:
        """Take goods of a supplier in."""
        return [Done(receive_goods(self.node, self._goods(), supplier="s1").entry, "", "receipt")]

    def adjust(self) -> list[Done]:
        """Write something off."""
        return [Done(adjust_stock(self.node, "wastage", self._goods(1)).entry, "", "adjustment")]

    def count(self) -> list[Done]:
        """Count one product in one go."""
        found = count_product(self.node, self.rng.choice(GOODS), 1000 * self.rng.randint(0, 40))
        return [Done(getattr(found, "entry"), "", "count")]  # noqa: B009 - a look has none, and is not given here

    def count_zones(self) -> list[Done]:
        """Count two products in two zones, from the opening to the close."""
        products = self.rng.sample(GOODS, 2)
        session = open_session(self.node, ["Z1", "Z2"], products).session
        for zone in ("Z1", "Z2"):
            for product in products:
                if self.rng.random() < 0.8:
                    count_product(self.node, product, 1000 * self.rng.randint(0, 9), session=session, zone=zone)
        done: list[Done] = []
        if self.rng.random() < 0.5 and _has_looks(self.node, session):
            done += [Done(one.entry, "", "count") for one in record_looks(self.node, session)]
        closed = close_session(self.node, session, confirm_zeros=True)
        return done + [Done(one.entry, "", "count") for one in closed.recorded]

    def dispatch(self) -> list[Done]:
        """Send goods to another shop, which is told in the same operation."""
        return [Done(dispatch_transfer(self.node, "B", self._goods(3)).entry, "", "transfer")]

    def arrive(self) -> list[Done]:
        """Take in what came with a paper, before its notice is here."""
        number = f"T-B-{self.rng.randrange(1 << 40)}"
        return [Done(receive_transfer(self.node, number, self._goods(3), origin="B").entry, "", "transfer")]


WEIGHTS: Final[Mapping[str, int]] = {
    "sale": 10, "refund": 1, "receipt": 2, "adjustment": 1, "count": 3, "zones": 1, "dispatch": 2, "arrival": 2,
}  # fmt: skip


def _has_looks(node: Node, session: str) -> bool:
    row = node.connection.execute("SELECT 1 FROM look WHERE session = ? AND product <> ''", (session,)).fetchone()
    return row is not None


class Held(msgspec.Struct):
    """What a file holds of its own node."""

    entries: dict[str, str]
    """Receipt number, or nothing, by entry id, of its location's stream; the frames of counts are left out."""
    numbers: list[str]
    """Of the receipts that its own till wrote."""


def held(node: Node) -> Held:
    """Read the node's own entries of its location through the log, and its receipts."""
    entries: dict[str, str] = {}
    notices: dict[str, int] = {}
    operations: dict[str, int] = {}
    for row in node.replica.rows():
        if row.stream.node != node.config.node_id:
            continue
        assert find_damage(node.connection, row) is None, f"the chain of {row.stream} is broken"
        for entry in node.replica.log.entries(row):
            payload = entry.payload
            if isinstance(payload, TransferNoticed):
                notices[payload.of] = notices.get(payload.of, 0) + 1
            if row.stream.scope != node.config.scope or isinstance(payload, CountOpened | CountClosed):
                continue
            if isinstance(payload, TransferDispatched | TransferReceived):
                operations[str(entry.id)] = 1
            number = payload.receipt_number if isinstance(payload, Sale | Refund) else ""
            entries[str(entry.id)] = number
    assert notices == operations, "half a transfer is here: an act without its notice, or a notice without its act"
    rows = node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()
    own = f"{node.config.till}-"
    return Held(entries, [str(row[0]) for row in rows if str(row[0]).startswith(own)])


def audit(node: Node, acknowledged: Iterable[Done], *, in_hand: int = 1, with_doctor: bool = True) -> Held:
    """Raise AssertionError unless what was acknowledged is there, whole and once, and no sale else but `in_hand`."""
    found = held(node)
    told = list(acknowledged)
    lost = [one for one in told if found.entries.get(one.entry, "lost") != one.number]
    assert not lost, f"acknowledged and lost: {lost[:3]} of {len(lost)}; {len(found.entries)} entries are here"
    check_numbers(node, found)
    untold = [number for number in found.numbers if number not in {one.number for one in told}]
    assert len(untold) <= in_hand, f"{untold} are receipts of sales that nobody was told of"
    if with_doctor:
        examined = examine(node)
        assert examined.is_healthy, examined.findings[:3]
    return found


def check_numbers(node: Node, found: Held) -> None:
    """Raise AssertionError unless the receipt numbers of each series run without gap or double to the next one."""
    written = sorted(number for number in found.entries.values() if number)
    assert written == found.numbers, "an entry without its receipt, or a receipt without its entry"
    series: dict[str, list[int]] = {}
    for number in found.numbers:
        name, _, place = number.rpartition("-")
        series.setdefault(name, []).append(int(place))
    for name, places in series.items():
        assert places == list(range(1, len(places) + 1)), f"the receipt numbers of {name} have gaps or doubles"
    state = node.state()
    current = series.get(f"{node.config.till}-{state.incarnation}", [])
    assert state.receipt_next == len(current) + 1, "the next number is not the one after the last"


def stock_of(node: Node, scopes: Sequence[str] = ()) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return (value, lo, hi) by scope and product."""
    found = {}
    for scope in scopes or sorted(node.replica.log.scopes()):
        number = node.replica.log.scope_no(Scope(scope))
        for product, value, lo, hi in node.connection.execute(
            "SELECT product, value, lo, hi FROM stock WHERE scope_no = ? AND is_present = 1", (number,)
        ).fetchall():
            found[scope, product] = (value, lo, hi)
    return found


def places_of(done: Iterable[Done]) -> list[EntryId]:
    """Return where acknowledged entries stand."""
    return [EntryId.parse(one.entry) for one in done]
