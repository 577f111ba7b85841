"""Ad-hoc questions to a node's file, for people who know SQL: read only, and as JSON lines or a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlcipher3.dbapi2 as sqlcipher
import sqlite_utils

from edge.node import Node
from edge.store import foreseen
from schema.errors import RefusalError


def query(node: Node, sql: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one SELECT as dictionaries; bytes come as hexadecimal text.

    The node is opened read-only, so no statement can change it. Raises RefusalError `query_invalid`.
    """
    database = sqlite_utils.Database(node.store.connection)
    try:
        with foreseen(node.store.path):
            for row in database.query(sql):
                yield {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
    except (sqlcipher.Error, ValueError) as error:
        raise RefusalError("query_invalid", f"the file does not answer that: {error}") from None
