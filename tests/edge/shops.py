"""Makes small shops for tests: nodes on their directories with an organisation, a catalogue and scripted clocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from edge.clock_source import ScriptedClock
from edge.config import KEY_FILE, NodeConfig, write_config
from edge.node import Node
from edge.selling import Completed, LineRequest, sell
from schema.catalogue import PriceStep, Product, UnitFactor, encode_timeline
from schema.files import write_private
from schema.identity import ORG, ProductId, Stream
from schema.kinds.base import Payload
from schema.kinds.organisation import (
    AuthorityGranted,
    LocationDefined,
    OperatorDefined,
    OrganisationFounded,
    PolicySet,
    ScopeGrant,
)
from sync.clock import ClockMeasurement, anchored
from sync.documents import DocumentState, edit
from sync.replica import Moment
from sync.signing import SigningKey
from sync.verification import verify_batch

HUB = SigningKey(bytes(32))
HUB_STREAM = Stream(ORG, HUB.node, 1)
START_MS = int(datetime.fromisoformat("2026-03-02T08:00:00+08:00").timestamp() * 1000)
MINUTE_MS = 60_000
WATER, CASE_BARCODE, APPLES, CIGARETTES = "P0001", "2800000000011", "P0042", "P0077"
ALL_PERMISSIONS = ("trade", "stock", "count", "resolve")
PRODUCTS = (
    Product(code=ProductId(WATER), category="drinks", name="Water", units=(UnitFactor("case", 24_000),),
            barcodes=(("6901234567892", "pc"), (CASE_BARCODE, "case"))),
    Product(code=ProductId(APPLES), category="fruit", name="Apples", unit="kg", tax_class="9", is_weighed=True),
    Product(code=ProductId(CIGARETTES), category="tobacco", name="Cigarettes"),
    *(Product(code=ProductId(f"P1{n:03d}"), category="drinks", name=f"Drink {n}") for n in range(20)),
)  # fmt: skip
PRICES = {WATER: {"pc": 200, "case": 4500}, APPLES: {"kg": 1280}, CIGARETTES: {"pc": 2500}}


def key_of(name: str) -> SigningKey:
    """Return the same key for the same node in every run."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


class Shops:
    """An organisation with locations A, B and W whose nodes exchange entries when a test says so."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: dict[str, Node] = {}
        self.clocks: dict[str, ScriptedClock] = {}
        self._facts: list[Payload] = [OrganisationFounded("Shops", HUB.public)]
        self._facts += [LocationDefined(code, f"Shop {code}", "shop") for code in ("A", "B", "W")]

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def tell(self, *facts: Payload) -> None:
        """Have the hub say something to every node, those to come included."""
        self._facts += facts
        for node in self.nodes.values():
            self._hear(node, facts)

    def make_node(
        self,
        name: str = "A1",
        location: str = "A",
        permissions: tuple[str, ...] = ALL_PERMISSIONS,
        rank: str = "supervisor",
        clock: Callable[[], ScriptedClock] | None = None,
        unc_ms: int | None = 1000,
        is_durable: bool = False,
    ) -> Node:
        """Enrol a till; its clock is known within a second unless a test says otherwise."""
        directory = self.directory / name
        directory.mkdir(parents=True)
        seed = hashlib.sha256(name.encode()).digest()
        key = SigningKey(seed)
        write_private(directory / KEY_FILE, seed.hex().encode())
        write_config(
            directory,
            NodeConfig(
                key.node, name, location, name, "Shops", "http://127.0.0.1:1", HUB.node, HUB.public.hex(), "", "CNY",
                "Asia/Shanghai", 4,
            ),
        )  # fmt: skip
        scripted = clock() if clock else ScriptedClock(START_MS, boot_id=name)
        node = Node(directory, clock=scripted)
        if not is_durable:  # most tests do not pull the plug
            node.store.connection.execute("PRAGMA synchronous = OFF")
        if unc_ms is not None:
            anchor_clock(node, unc_ms)
        self.clocks[name] = scripted
        history = list(self._facts)
        self.nodes[name] = node
        self._hear(node, history)
        self.tell(
            AuthorityGranted(
                key.node, key.public, f"Till {name}", location, name,
                (ScopeGrant(f"loc/{location}", permissions, rank), ScopeGrant("loc/*", ("notice",), "clerk")),
            )
        )  # fmt: skip
        self._teach(node)
        return node

    def _hear(self, node: Node, facts: Iterable[Payload]) -> None:
        moment = Moment(START_MS, 0, 0)
        with node.write():
            for fact in facts:
                node.replica.append(HUB_STREAM, fact, moment)

    def _teach(self, node: Node) -> None:
        by_document: dict[str, dict[tuple[str, str], str | int | bool | None]] = {}
        for product in PRODUCTS:
            fields = by_document.setdefault(f"products/{product.category}", {})
            fields |= {(product.code, name): value for name, value in product.fields().items()}
            prices = by_document.setdefault(f"prices/standard/{product.category}", {})
            for unit, price in PRICES.get(product.code, {product.unit: 300}).items():
                prices[product.code, unit] = encode_timeline([PriceStep(0, None, price)])
        with node.write():
            for document, assignments in by_document.items():
                for change in edit(DocumentState(document), assignments, writer=HUB_STREAM.writer, time_ms=START_MS):
                    node.replica.append(HUB_STREAM, change, Moment(START_MS, 0, 0))

    def operator(self, operator: str, role: str) -> None:
        """Define a person who works everywhere."""
        self.tell(OperatorDefined(operator, operator, role, ("A", "B", "W"), b""))

    def policy(self, category: str, disagreement: str, ambiguous: str = "midpoint", tolerance: int = 0) -> None:
        """Set how counts of a category are judged."""
        self.tell(PolicySet(category, tolerance, 0, disagreement, ambiguous))

    def pass_minutes(self, minutes: float) -> None:
        """Let every clock move on."""
        for clock in self.clocks.values():
            clock.move_to(clock().wall_ms + int(minutes * MINUTE_MS))


def anchor_clock(node: Node, unc_ms: int) -> None:
    """Say that the node measured its clock just now."""
    from schema.codec import encode

    clock = anchored(node.state().clock, ClockMeasurement(0, unc_ms))
    with node.store.transaction() as connection:
        connection.execute("UPDATE node_state SET clock = ?", (encode(clock),))


def carry(source: Node, target: Node, *scopes: str) -> int:
    """Carry what one node holds of some scopes (its own location's) to another; returns the entries."""
    carried = 0
    for scope in scopes or (source.config.scope,):
        heads = target.replica.log.heads(scope)
        batches, _ = source.replica.outgoing(scope, heads, 1 << 30, source.signer)
        with target.write():
            for batch in batches:
                admitted = target.replica.admit(batch)
                if admitted is None:
                    continue
                target.replica.store(verify_batch(*admitted))
                carried += len(admitted[0].entries)
    return carried


def exchange(one: Node, other: Node, *scopes: str) -> None:
    """Carry both ways."""
    carry(one, other, *scopes)
    carry(other, one, *scopes)


def sell_pieces(node: Node, product: str = WATER, pieces: int = 1, operator: str = "", source: str = "") -> Completed:
    """Sell some pieces of a product."""
    return sell(node, [LineRequest(product, pieces * 1000)], operator=operator, source=source)


def figures(node: Node) -> Mapping[str, tuple[int, int, int]]:
    """Return (value, lo, hi) by product at the node's location."""
    scope_no = node.replica.log.scope_no(node.config.scope)
    return {
        product: (value, lo, hi)
        for product, value, lo, hi in node.connection.execute(
            "SELECT product, value, lo, hi FROM stock WHERE scope_no = ? AND is_present = 1", (scope_no,)
        ).fetchall()
    }


def entry_count(node: Node) -> int:
    """Return how many entries the node holds."""
    return int(node.connection.execute("SELECT count(*) FROM entry").fetchone()[0])
