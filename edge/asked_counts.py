"""What the hub's desk asked this location to count again, until a count that knew of it answers."""

from __future__ import annotations

import msgspec

from edge.node import Node
from edge.signing_in import operator_name
from schema.kinds.desk import RecountAsked
from sync.explanation import product_name
from sync.stock_facts import Key
from sync.stock_tables import StockTables


class AskedCount(msgspec.Struct, frozen=True):
    """A product that somebody wants counted again; `asked_ms` by the hub's clock, `zone` empty for all of it."""

    product: str
    name: str
    zone: str
    note: str
    operator: str
    asked_ms: int
    entry: str


def asked_counts(node: Node) -> list[AskedCount]:
    """Return what is asked of this location and not counted yet, the longest waiting first; a product once."""
    with node.store.reading() as connection:
        scope, number = node.config.scope, node.replica.log.scope_no(node.config.scope)
        if number is None:
            return []
        tables = StockTables(connection, number, scope, node.config.location)
        found: dict[tuple[str, str], AskedCount] = {}
        for row in node.replica.log.streams(scope):
            if row.stream.node != node.organisation.root:
                continue
            inert = node.replica.log.inert(row)
            for entry in node.replica.log.entries(row):
                asked = entry.payload
                if not isinstance(asked, RecountAsked) or entry.body.seq in inert:
                    continue
                writer, seq = row.stream.writer, entry.body.seq
                counts = tables.counts(Key(node.config.location, asked.product))
                if any(
                    count.seq > seq if count.writer == writer else count.vector.get(writer, 0) >= seq
                    for count in counts
                ):
                    continue
                found.setdefault(
                    (asked.product, asked.zone),
                    AskedCount(
                        asked.product, product_name(connection, asked.product), asked.zone, asked.note,
                        operator_name(node, asked.operator), entry.body.wall_ms, str(entry.id),
                    ),
                )  # fmt: skip
    return sorted(found.values(), key=lambda one: (one.asked_ms, one.product))
