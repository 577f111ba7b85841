"""A small chain whose tills disagree: each kind of conflict, made by entries as nodes write them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import httpx

from hub.enrolment import Profile
from hub.importing import append_rows
from hub.service import Hub
from schema.identity import Scope, Stream
from schema.kinds.base import Payload, StockMove, Vector
from schema.kinds.counting import CountAccepted, CountOpened, CountRecorded, Look
from schema.kinds.stock import GoodsReceived, TransferDispatched, TransferNoticed, TransferReceived
from schema.kinds.tills import SignInRecorded
from schema.kinds.trading import Refund, RefundLine, Tender
from schema.rows import BaseUnit, ProductRow
from schema.rules.tax import TaxClass
from sync.entry import Entry
from sync.replica import Moment
from sync.signing import SigningKey
from tests.hub.fleet import FleetNode, join, now_ms, sale

MINUTE: Final = 60_000
PRODUCTS: Final = (
    ("11001", "可乐", "330ml", 300),
    ("11002", "矿泉水", "550ml", 200),
    ("11003", "<script>alert('鱼')</script>", "", 1_500),
    ("11004", "酱油", "1L", 990),
    ("11005", "大米", "5kg", 4_500),
    ("11006", "红烧牛肉面", "", 450),
)


def _products() -> list[ProductRow]:
    return [
        ProductRow(
            code=code,  # type: ignore[arg-type]
            name=name,
            spec=spec,
            category="drinks" if code < "11003" else "food",
            tax_class=TaxClass("13"),
            unit=BaseUnit.PIECE,
            unit_name="件",
            price_minor=price,  # type: ignore[arg-type]
        )
        for code, name, spec, price in PRODUCTS
    ]


class Chain:
    """Two tills at A, one at B, one at the warehouse W; times are minutes before `at_ms`."""

    def __init__(
        self, hub: Hub, client: httpx.Client, at_ms: int | None = None, products: Sequence[ProductRow] = ()
    ) -> None:
        self.hub = hub
        self.client = client
        self.at_ms = at_ms or now_ms()
        append_rows(hub, products or _products())
        self.a1, self.a2 = self.enrol("A", "A1"), self.enrol("A", "A2")
        self.b1, self.w1 = self.enrol("B", "B1"), self.enrol("W", "W1", Profile.WAREHOUSE)

    def enrol(self, location: str, till: str, profile: Profile = Profile.TILL) -> FleetNode:
        issued = self.hub.enrolment.invite(profile=profile, location=location, name=f"{till} till", till=till)
        signer = SigningKey(secrets.token_bytes(32))
        return FleetNode(signer, join(self.client, issued.invitation, signer))

    def ms(self, minutes_ago: float) -> int:
        return self.at_ms - int(minutes_ago * MINUTE)

    def write(
        self, node: FleetNode, payload: Payload, minutes_ago: float, *, unc_ms: int | None = 500, scope: str = ""
    ) -> Entry:
        """Append an entry with its clock reading; it reaches the hub at the node's next push."""
        stream: Stream = node.stream(Scope(scope) if scope else None)
        return node.replica.append(stream, payload, Moment(self.ms(minutes_ago), unc_ms, 0))

    def push(self, *nodes: FleetNode) -> None:
        """Send what the nodes wrote, without learning anything: they stay ignorant of each other."""
        for node in nodes:
            for scope in sorted(node.replica.log.scopes()):
                row = node.replica.log.stream(node.stream(scope))
                if row is not None and row.head.seq:
                    refusals = node.push(self.client, node.batch(scope=scope)).refusals
                    assert not refusals, refusals

    @staticmethod
    def held(node: FleetNode) -> Vector:
        heads = node.replica.log.heads(node.scope)
        return tuple(sorted((writer, head.seq) for writer, head in heads.items()))

    def count(
        self,
        node: FleetNode,
        product: str,
        pieces: int,
        minutes_ago: float,
        *,
        minutes: float = 1,
        session: str = "",
        zone: str = "",
        unc_ms: int | None = 500,
    ) -> Entry:
        basis = self.held(node)
        look = Look(pieces * 1000, self.ms(minutes_ago), self.ms(minutes_ago - minutes), basis, basis, zone)
        payload = CountRecorded(product, "clerk", "o1", (look,), session)
        return self.write(node, payload, minutes_ago - minutes, unc_ms=unc_ms)

    def receive(self, node: FleetNode, product: str, pieces: int, minutes_ago: float, cost_minor: int = 100) -> Entry:
        moves = (StockMove(product, pieces * 1000),)
        return self.write(node, GoodsReceived("D1", "S1", "o1", moves, ((product, cost_minor),)), minutes_ago)

    def sell(
        self, node: FleetNode, product: str, minutes_ago: float, *, lines: int = 1, unc_ms: int | None = 500
    ) -> Entry:
        number = f"{node.signer.node[:4]}-{secrets.token_hex(4)}"
        return self.write(node, sale(number, product=product, lines=lines), minutes_ago, unc_ms=unc_ms)

    # One of each kind.

    def counts_that_disagree(self, product: str = "11001") -> tuple[Entry, Entry]:
        """Two tills count at the same time and know nothing of each other."""
        self.receive(self.a1, product, 20, 300)
        first = self.count(self.a1, product, 12, 60, minutes=5)
        second = self.count(self.a2, product, 15, 58, minutes=5)
        self.push(self.a1, self.a2)
        return first, second

    def order_in_doubt(self, product: str = "11002") -> Entry:
        """A sale at one till while the other till counts."""
        self.receive(self.a1, product, 30, 300)
        self.sell(self.a2, product, 97)
        self.push(self.a2)
        self.a1.sync(self.client)
        self.count(self.a1, product, 28, 90, minutes=4, unc_ms=8_000)
        doubtful = self.sell(self.a2, product, 88, lines=3, unc_ms=25_000)
        self.sell(self.a2, product, 10)
        self.push(self.a1, self.a2)
        return doubtful

    def negative(self, product: str = "11003") -> Entry:
        """More was sold than ever came."""
        sold = self.sell(self.b1, product, 30, lines=2)
        self.push(self.b1)
        return sold

    def zone_to_recount(self, product: str = "11004") -> None:
        """Two people count one zone of a session with different results."""
        self.write(self.a1, CountOpened("S-1", ("front",), (product,), "o1"), 200)
        self.count(self.a1, product, 7, 180, session="S-1", zone="front")
        self.count(self.a2, product, 9, 179, session="S-1", zone="front")
        self.push(self.a1, self.a2)

    def transfer_short(self, product: str = "11005") -> tuple[Entry, Entry]:
        """Ten leave the warehouse, eight arrive at A."""
        self.receive(self.w1, product, 50, 600)
        sent = (StockMove(product, -10_000),)
        dispatch = self.write(self.w1, TransferDispatched("T-1", "A", "o1", sent), 400)
        notice = TransferNoticed("dispatched", "T-1", "W", "A", sent, False, str(dispatch.id), self.held(self.w1))
        self.write(self.w1, notice, 400, scope="loc/A")
        came = (StockMove(product, 8_000),)
        receipt = self.write(self.a1, TransferReceived("T-1", "W", "o1", came), 100)
        answer = TransferNoticed("received", "T-1", "A", "W", came, True, str(receipt.id), self.held(self.a1))
        self.write(self.a1, answer, 100, scope="loc/W")
        self.push(self.w1, self.a1)
        return dispatch, receipt

    def dispatch(self, transfer: str, product: str, pieces: int, minutes_ago: float) -> Entry:
        """Send goods from the warehouse to A, with the notice there."""
        sent = (StockMove(product, -pieces * 1000),)
        entry = self.write(self.w1, TransferDispatched(transfer, "A", "o1", sent), minutes_ago)
        notice = TransferNoticed("dispatched", transfer, "W", "A", sent, False, str(entry.id), self.held(self.w1))
        self.write(self.w1, notice, minutes_ago, scope="loc/A")
        return entry

    def arrive(self, transfer: str, product: str, pieces: int, minutes_ago: float) -> Entry:
        """Key in at A what came, with the notice at the warehouse."""
        came = (StockMove(product, pieces * 1000),)
        entry = self.write(self.a1, TransferReceived(transfer, "W", "o1", came), minutes_ago)
        answer = TransferNoticed("received", transfer, "A", "W", came, True, str(entry.id), self.held(self.a1))
        self.write(self.a1, answer, minutes_ago, scope="loc/W")
        return entry

    def transfer_over(self, product: str = "11005") -> None:
        """Ten leave the warehouse, twelve are keyed in at A."""
        self.receive(self.w1, product, 50, 600)
        self.dispatch("T-2", product, 10, 400)
        self.arrive("T-2", product, 12, 100)
        self.push(self.w1, self.a1)

    def declared_at_a_count(self, product: str = "11005") -> None:
        """A count declares the goods of a transfer as on the shelf, and nobody keys them in."""
        self.receive(self.w1, product, 50, 600)
        self.dispatch("T-3", product, 10, 400)
        self.push(self.w1)
        self.a1.sync(self.client)
        basis = self.held(self.a1)
        look = Look(10_000, self.ms(50), self.ms(49), basis, basis)
        self.write(self.a1, CountRecorded(product, "clerk", "o1", (look,), "", ("T-3",)), 49)
        self.push(self.a1)

    def counted_before_keyed(self, product: str = "11005") -> None:
        """A count is higher by just what a transfer brings, whose receipt is keyed in afterwards."""
        self.receive(self.w1, product, 50, 600)
        self.dispatch("T-4", product, 10, 400)
        self.push(self.w1)
        self.a1.sync(self.client)
        self.count(self.a1, product, 10, 50)
        self.arrive("T-4", product, 10, 20)
        self.push(self.a1)

    def choices_that_disagree(self, product: str = "11001") -> tuple[str, str]:
        """Two supervisors choose different counts, neither knowing of the other's choice."""
        entries = self.counts_that_disagree(product)
        for node in (self.a1, self.a2):
            node.sync(self.client)
        names = [f"{entry.stream.writer}:{entry.body.seq}" for entry in entries]
        for node, name in zip((self.a1, self.a2), names, strict=True):
            self.write(node, CountAccepted(product, name, "supervisor", "o1", self.held(node)), 5)
        self.push(self.a1, self.a2)
        return names[0], names[1]

    def refund(self, node: FleetNode, sold: Entry, minutes_ago: float, amount_minor: int = 500) -> Entry:
        """Give money back for the first line of a sale."""
        line = RefundLine(0, "11006", "piece", 1000, 1000, amount_minor, "13", 1300, "shelf")
        payload = Refund(
            f"R{secrets.token_hex(4)}", "2026-11-22", "s1", "o1", str(sold.id), (line,), (StockMove("11006", 1000),),
            (Tender("cash", amount_minor, amount_minor),), amount_minor,
        )  # fmt: skip
        return self.write(node, payload, minutes_ago)

    def refunded_twice(self) -> Entry:
        """One sale of A is refunded at A and again at B."""
        sold = self.sell(self.a1, "11006", 200)
        self.refund(self.a1, sold, 100)
        self.refund(self.b1, sold, 90)
        self.push(self.a1, self.b1)
        return sold

    def day_of_trade(self) -> None:
        """Sell through the day at both shops, so that the overview has something to show."""
        for hour in range(11):
            for node, busy in ((self.a1, 3), (self.a2, 2), (self.b1, 2)):
                for turn in range(busy + (hour * 7 + busy) % 4):
                    self.sell(node, "11006", 20 + hour * 60 + turn * 7, lines=1 + (hour + turn) % 5)
        for node in (self.a1, self.b1):
            self.receive(node, "11006", 400, 900, 320)
            self.write(node, SignInRecorded("o1", "in"), 700)
        self.push(self.a1, self.a2, self.b1)

    def everything(self) -> None:
        """Make one of each."""
        self.counts_that_disagree()
        self.order_in_doubt()
        self.negative()
        self.zone_to_recount()
        self.transfer_short()
