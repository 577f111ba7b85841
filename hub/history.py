"""A product's movements summed up by stream, hour and reason, so that asking about one that moves much stays quick.

The sums are made when somebody first asks and brought up to date at each further question; they are derived from the
log alone. Movements that a rule must see singly (papers keyed in later, transfers, zones) are never summed up blindly:
each sum knows the range of entries it stands for, and whoever weighs it may ask for those entries one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from hub.activity import HOUR_MS
from hub.store import HubStore
from schema.codec import decode_body, decode_payload
from schema.database import Connection
from schema.kinds import KIND_OF
from sync.effective import Effective

WORTH_SUMMING: Final = 400
"""Fewer movements are read one by one: that is exact and quick enough."""
BATCH: Final = 20_000
"""So many movements are summed up in one transaction, so that ingest is never kept waiting long."""


SINGLY: Final = "+"
"""Follows the reason of sums that stand for movements which a rule must see one by one."""


class HourSum(NamedTuple):
    """What one stream moved of a product within an hour for one reason; `first_seq` to `last_seq` hold all of it."""

    stream_no: int
    hour_no: int
    reason: str
    quantity: int
    movements: int
    first_seq: int
    last_seq: int
    first_ms: int
    last_ms: int
    unc_ms: int
    """The widest bound on the clock's error among them; -1 where one was unknown."""
    first_epoch: int
    last_epoch: int


class HistoryFold:
    """Drops sums that an entry which changed its standing belonged to; new entries lie above every sum."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Forget what was summed up of a stream beyond these entries: they stood before and have effect only now."""
        _forget(connection, scope_no, entries[0].stream_no, entries[0].seq)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Forget what was summed up of the streams of entries that lost their effect."""
        for stream_no in {entry.stream_no for entry in entries}:
            _forget(connection, scope_no, stream_no, 0)


def _forget(connection: Connection, scope_no: int, stream_no: int, from_seq: int) -> None:
    keys = connection.execute(
        "SELECT key_no FROM movement_hour_upto WHERE scope_no = ? AND stream_no = ? AND seq >= ?",
        (scope_no, stream_no, from_seq),
    ).fetchall()
    for (key_no,) in keys:
        connection.execute(
            "DELETE FROM movement_hour WHERE scope_no = ? AND key_no = ? AND stream_no = ?",
            (scope_no, key_no, stream_no),
        )
        connection.execute(
            "DELETE FROM movement_hour_upto WHERE scope_no = ? AND stream_no = ? AND key_no = ?",
            (scope_no, stream_no, key_no),
        )


class KeyHistory(NamedTuple):
    """The sums of a product at a location, and up to where in each stream they reach."""

    sums: tuple[HourSum, ...]
    upto: Mapping[int, int]


def is_worth_summing(connection: Connection, scope_no: int, key_no: int) -> bool:
    """Tell whether a product moved so much here that its movements are summed up."""
    row = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM movement WHERE scope_no = ? AND key_no = ? LIMIT ?) AS found",
        (scope_no, key_no, WORTH_SUMMING + 1),
    ).fetchone()
    return int(row[0]) > WORTH_SUMMING


def read_history(connection: Connection, scope_no: int, key_no: int) -> KeyHistory:
    """Return the sums of a product as they stand, in the order of their hours."""
    rows = connection.execute(
        "SELECT stream_no, hour_no, reason, quantity, movements, first_seq, last_seq, first_ms, last_ms, unc_ms,"
        " first_epoch, last_epoch FROM movement_hour WHERE scope_no = ? AND key_no = ?",
        (scope_no, key_no),
    ).fetchall()
    upto = connection.execute(
        "SELECT stream_no, seq FROM movement_hour_upto WHERE scope_no = ? AND key_no = ?", (scope_no, key_no)
    ).fetchall()
    sums = sorted((HourSum(*row) for row in rows), key=lambda one: (one.hour_no, one.stream_no, one.reason))
    return KeyHistory(tuple(sums), {int(stream_no): int(seq) for stream_no, seq in upto})


def extend_history(store: HubStore, scope_no: int, key_no: int, lag: int = 128) -> int:
    """Sum up what came since the last time, where it is more than `lag` movements; returns how many those were.

    Each batch is a transaction of its own; two processes that do it at once do not count twice.
    """
    done = 0
    while True:
        with store.snapshot() as replica:
            if _behind(replica.connection, scope_no, key_no) <= (0 if done else lag):
                return done
        with store.transaction(None) as replica:
            added = _extend(replica.connection, scope_no, key_no)
        if not added:
            return done
        done += added


def _behind(connection: Connection, scope_no: int, key_no: int) -> int:
    behind = 0
    for stream_no, upto in _reached(connection, scope_no, key_no).items():
        row = connection.execute(
            "SELECT count(*) FROM movement WHERE scope_no = ? AND key_no = ? AND stream_no = ? AND seq > ?",
            (scope_no, key_no, stream_no, upto),
        ).fetchone()
        behind += int(row[0])
    return behind


def _reached(connection: Connection, scope_no: int, key_no: int) -> dict[int, int]:
    rows = connection.execute(
        "SELECT t.stream_no, coalesce(u.seq, 0) FROM stream t LEFT JOIN movement_hour_upto u"
        " ON u.scope_no = t.scope_no AND u.stream_no = t.stream_no AND u.key_no = ? WHERE t.scope_no = ?",
        (key_no, scope_no),
    ).fetchall()
    return {int(stream_no): int(seq) for stream_no, seq in rows}


def _extend(connection: Connection, scope_no: int, key_no: int) -> int:
    left = BATCH
    done = 0
    product = _product(connection, scope_no, key_no)
    for stream_no, upto in _reached(connection, scope_no, key_no).items():
        rows = connection.execute(
            "SELECT DISTINCT m.seq, e.body FROM movement m JOIN entry e ON e.scope_no = m.scope_no"
            " AND e.stream_no = m.stream_no AND e.seq = m.seq WHERE m.scope_no = ? AND m.key_no = ?"
            " AND m.stream_no = ? AND m.seq > ? ORDER BY m.seq LIMIT ?",
            (scope_no, key_no, stream_no, upto, left),
        ).fetchall()
        if not rows or not _claim(connection, scope_no, stream_no, key_no, upto, int(rows[-1][0])):
            continue
        _put(connection, scope_no, key_no, stream_no, _sum_up(product, rows))
        done += len(rows)
        left -= len(rows)
        if left <= 0:
            break
    return done


def _claim(connection: Connection, scope_no: int, stream_no: int, key_no: int, upto: int, seq: int) -> bool:
    """Move the place up to which a stream is summed up; tells whether no other process was quicker."""
    place = (scope_no, stream_no, key_no)
    if upto == 0:
        claimed = connection.execute(
            "INSERT INTO movement_hour_upto (scope_no, stream_no, key_no, seq) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING seq",
            (*place, seq),
        ).fetchone()
    else:
        claimed = connection.execute(
            "UPDATE movement_hour_upto SET seq = ? WHERE scope_no = ? AND stream_no = ? AND key_no = ? AND seq = ?"
            " RETURNING seq",
            (seq, *place, upto),
        ).fetchone()
    return claimed is not None


def _product(connection: Connection, scope_no: int, key_no: int) -> str:
    row = connection.execute(
        "SELECT product FROM stock WHERE scope_no = ? AND key_no = ?", (scope_no, key_no)
    ).fetchone()
    return str(row[0])


Sums = dict[tuple[int, str], list[int]]


def _sum_up(product: str, rows: Iterable[tuple[int, bytes]]) -> Sums:
    sums: Sums = {}
    for seq, encoded in rows:
        body = decode_body(bytes(encoded))
        payload = decode_payload(body)
        effects_of = KIND_OF[type(payload)].effects if payload is not None else None
        if effects_of is None:
            continue
        effects = effects_of(payload)
        moves = [move for move in effects.moves if move.product == product]
        moved = [move.quantity_milli for move in moves]
        is_plain = not (effects.stated or effects.transfer or any(move.zone for move in moves))
        reason = effects.reason if is_plain else f"{effects.reason}{SINGLY}"
        at_ms = body.wall_ms
        unc_ms = -1 if body.unc_ms is None else body.unc_ms
        place = at_ms // HOUR_MS, reason
        found = sums.setdefault(place, [0, 0, seq, seq, at_ms, at_ms, unc_ms, body.clock_epoch, body.clock_epoch])
        found[0] += sum(moved)
        found[1] += len(moved)
        found[3] = seq
        found[4] = min(found[4], at_ms)
        found[5] = max(found[5], at_ms)
        found[6] = -1 if -1 in {found[6], unc_ms} else max(found[6], unc_ms)
        found[8] = body.clock_epoch
    return sums


def _put(connection: Connection, scope_no: int, key_no: int, stream_no: int, sums: Sums) -> None:
    connection.executemany(
        "INSERT INTO movement_hour AS h (scope_no, key_no, stream_no, hour_no, reason, quantity, movements, first_seq,"
        " last_seq, first_ms, last_ms, unc_ms, first_epoch, last_epoch)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (scope_no, key_no, stream_no, hour_no, reason) DO UPDATE SET"
        " quantity = h.quantity + excluded.quantity, movements = h.movements + excluded.movements,"
        " last_seq = excluded.last_seq,"
        " first_ms = CASE WHEN excluded.first_ms < h.first_ms THEN excluded.first_ms ELSE h.first_ms END,"
        " last_ms = CASE WHEN excluded.last_ms > h.last_ms THEN excluded.last_ms ELSE h.last_ms END,"
        " unc_ms = CASE WHEN h.unc_ms < 0 OR excluded.unc_ms < 0 THEN -1 WHEN excluded.unc_ms > h.unc_ms"
        " THEN excluded.unc_ms ELSE h.unc_ms END, last_epoch = excluded.last_epoch",
        [(scope_no, key_no, stream_no, hour, reason, *found) for (hour, reason), found in sorted(sums.items())],
    )
