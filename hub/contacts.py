"""When each node last spoke with this hub, gathered in memory and written in one go.

Nothing of it is a fact of business: a hub that dies loses two seconds of it, and no request waits for its disk.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from hub.store import HubStore
from schema.codec import encode
from sync.clock import ClockMeasurement
from sync.replica import Replica


class Contact(NamedTuple):
    """One request of a node as it was answered."""

    node: str
    last_ms: int
    release: str
    entries: int
    bytes_in: int
    bytes_out: int
    measurement: ClockMeasurement | None
    status: tuple[tuple[str, str], ...]
    vectors: Mapping[str, Mapping[str, int]] = {}
    """By scope: what the node says that it holds."""


class Contacts:
    """Sums up contacts until they are written."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        self._pending: dict[str, Contact] = {}
        self._lock = threading.Lock()

    def note(self, contact: Contact) -> None:
        """Remember one contact."""
        with self._lock:
            known = self._pending.get(contact.node)
            self._pending[contact.node] = contact if known is None else _summed(known, contact)

    def flush(self) -> None:
        """Write what was gathered; where that fails it waits for the next time."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            self._store.attempt(None, lambda replica: _write(replica, pending))
        except BaseException:
            with self._lock:
                for node, contact in pending.items():
                    later = self._pending.get(node)
                    self._pending[node] = contact if later is None else _summed(contact, later)
            raise


def _summed(earlier: Contact, later: Contact) -> Contact:
    return later._replace(
        entries=earlier.entries + later.entries,
        bytes_in=earlier.bytes_in + later.bytes_in,
        bytes_out=earlier.bytes_out + later.bytes_out,
        measurement=later.measurement or earlier.measurement,
        status=later.status or earlier.status,
        vectors={**earlier.vectors, **later.vectors},
    )


def _write(replica: Replica, pending: Mapping[str, Contact]) -> None:
    # In the order of their names: two processes that write at once do not wait for each other in a ring.
    replica.connection.executemany(
        "INSERT INTO node_contact AS c (node, last_ms, offset_ms, offset_unc_ms, release, entries, bytes_in,"
        " bytes_out, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (node) DO UPDATE SET last_ms = excluded.last_ms,"
        " offset_ms = coalesce(excluded.offset_ms, c.offset_ms),"
        " offset_unc_ms = coalesce(excluded.offset_unc_ms, c.offset_unc_ms),"
        " release = excluded.release, entries = c.entries + excluded.entries,"
        " bytes_in = c.bytes_in + excluded.bytes_in, bytes_out = c.bytes_out + excluded.bytes_out,"
        # Only the first request of a session tells of the node itself.
        " status = CASE WHEN excluded.status = '{}' THEN c.status ELSE excluded.status END",
        [_row(pending[node]) for node in sorted(pending)],
    )
    replica.connection.executemany(
        "INSERT INTO node_vector (node, scope, vector) VALUES (?, ?, ?)"
        " ON CONFLICT (node, scope) DO UPDATE SET vector = excluded.vector",
        [
            (node, scope, encode(dict(vector)))
            for node in sorted(pending)
            for scope, vector in sorted(pending[node].vectors.items())
        ],
    )


def _row(contact: Contact) -> Sequence[object]:
    measured = contact.measurement or (None, None)
    status = msgspec.json.encode(dict(contact.status)).decode()
    return (
        contact.node,
        contact.last_ms,
        *measured,
        contact.release,
        contact.entries,
        contact.bytes_in,
        contact.bytes_out,
        status,
    )
