"""Turns bits over in a file, and tells two nodes' tables apart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

from edge.node import Node
from edge.selling import LineRequest, sell
from tests.edge.shops import WATER

OF_A_START: Final = {"node_state": ("token", "clock", "incarnation", "receipt_next")}
"""Columns that a start may change for good reason; the numbers among them are judged by what is sold next."""
DERIVED: Final = ("product_text", "sqlite_", "migration")

Rows = dict[str, list[tuple[Any, ...]]]


def flip(file: Path, rng: random.Random) -> str:
    """Turn a bit over, or a few of one place; returns where."""
    size = file.stat().st_size
    at = rng.randrange(size)
    with file.open("r+b") as content:
        for step in range(rng.choice((1, 1, 1, 4))):
            place = min(size - 1, at + step)
            content.seek(place)
            value = content.read(1)[0]
            content.seek(place)
            content.write(bytes([value ^ 1 << rng.randrange(8)]))
    return f"{file.name} at byte {at} of {size}"


def rows_of(node: Node) -> Rows:
    """Read every row of every table of a node's file."""
    found: Rows = {}
    names = [
        row[0]
        for row in node.connection.execute(
            "SELECT CAST(name AS TEXT) FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
    ]
    for name in names:
        if name.startswith(DERIVED):
            continue
        columns = [row[1] for row in node.connection.execute(f"PRAGMA table_info({name})").fetchall()]
        kept = ", ".join(f'"{one}"' for one in columns if one not in OF_A_START.get(name, ())) or "1"
        found[name] = sorted(node.connection.execute(f"SELECT {kept} FROM {name}").fetchall(), key=repr)
    return found


def differences(shown: Rows, wanted: Rows) -> str:
    """Say in which tables rows differ, with an example of each; nothing where all are alike."""
    wrong = sorted(name for name in {*shown, *wanted} if shown.get(name) != wanted.get(name))
    examples = []
    for name in wrong[:2]:
        fewer = [row for row in wanted.get(name, []) if row not in shown.get(name, [])][:1]
        more = [row for row in shown.get(name, []) if row not in wanted.get(name, [])][:1]
        examples.append(f"{name}: {more} instead of {fewer}")
    return f"{wrong} differ ({'; '.join(examples)})"[:1500] if wrong else ""


def sell_one(node: Node) -> str:
    """Sell a bottle; returns the receipt's number."""
    return sell(node, [LineRequest(WATER, 1000)]).receipt_number
