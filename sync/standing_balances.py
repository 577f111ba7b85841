"""The opening balances on which a scope's keys stand, and which older entries they make history.

A balance is part of the log and so of the fold: on every replica that holds it, an entry at or below the cut of a
key's balance is read through that balance alone, unless the balance keeps it. Replicas that pruned and replicas
that did not therefore derive every figure from the same facts, whatever arrives later and in whatever order. Each
key stands on the newest balance that lists it, so that parts take effect one by one and none has to wait for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from schema.codec import encode
from schema.database import Connection
from schema.kinds.organisation import FrontierDeclared, OpeningBalance
from sync.effective import Effective
from sync.key_state import KeyBalance
from sync.stock_facts import Vector, knows
from sync.version_vector import Head

_balance_decoder = msgspec.msgpack.Decoder(KeyBalance)
_heads_decoder = msgspec.msgpack.Decoder(tuple[tuple[str, int, bytes], ...])
_vector_decoder = msgspec.msgpack.Decoder(dict[str, int])

Run = tuple[str, int, int]
"""Consecutive entries of one writer: writer, first and last sequence number."""
_Dated = tuple[int, int, str, int]


class Stand(NamedTuple):
    """The balance under one key: at which cut, and what every stream was known to hold there."""

    cut_id: bytes
    balance: KeyBalance
    cut: Vector
    settled: Vector


class CompleteCut(NamedTuple):
    """The newest cut of which every part is here; `is_declared` when the hub says that its backup holds it."""

    cut_id: bytes
    heads: dict[str, Head]
    settled: dict[str, int]
    is_declared: bool

    @property
    def vector(self) -> dict[str, int]:
        """The cut as the count rules read it."""
        return {writer: head.seq for writer, head in self.heads.items()}


class StandingBalances:
    """Reads and keeps the balances of one scope; made afresh for each batch, it remembers what it read."""

    def __init__(self, connection: Connection, scope_no: int, location: str) -> None:
        self._connection = connection
        self._scope_no = scope_no
        self._location = location
        self._forget()

    def _forget(self) -> None:
        self._stands: dict[str, Stand | None] = {}
        self._cuts: dict[bytes, tuple[dict[str, int], dict[str, int]]] | None = None
        self._bound: dict[str, int] | None = None

    def _read_cuts(self) -> dict[bytes, tuple[dict[str, int], dict[str, int]]]:
        if self._cuts is None:
            rows = self._connection.execute(
                "SELECT cut_id, heads, settled FROM scope_cut WHERE scope_no = ?", (self._scope_no,)
            ).fetchall()
            self._cuts = {
                bytes(name): (
                    {writer: seq for writer, seq, _ in _heads_decoder.decode(bytes(heads))},
                    _vector_decoder.decode(bytes(settled)),
                )
                for name, heads, settled in rows
            }
        return self._cuts

    @property
    def bound(self) -> Vector:
        """A vector above which no balance reaches; empty where none stands."""
        if self._bound is None:
            self._bound = {}
            for cut, _ in self._read_cuts().values():
                for writer, seq in cut.items():
                    self._bound[writer] = max(seq, self._bound.get(writer, 0))
        return self._bound

    def of(self, product: str) -> Stand | None:
        """Return the balance on which a product stands."""
        if not self._read_cuts():
            return None
        if product not in self._stands:
            row = self._connection.execute(
                "SELECT cut_id, content FROM key_balance WHERE scope_no = ? AND product = ?", (self._scope_no, product)
            ).fetchone()
            self._stands[product] = None if row is None else self._stand(bytes(row[0]), bytes(row[1]))
        return self._stands[product]

    def _stand(self, cut_id: bytes, content: bytes) -> Stand:
        balance = _balance_decoder.decode(content)
        cut, settled = balance.kept_at or self._read_cuts()[cut_id]
        return Stand(cut_id, msgspec.structs.replace(balance, kept_at=(dict(cut), dict(settled))), cut, settled)

    def stored(self, product: str) -> KeyBalance | None:
        """Return a product's balance as its entry states it."""
        row = self._connection.execute(
            "SELECT content FROM key_balance WHERE scope_no = ? AND product = ?", (self._scope_no, product)
        ).fetchone()
        return None if row is None else _balance_decoder.decode(bytes(row[0]))

    def heads_of(self, cut_id: bytes) -> tuple[tuple[tuple[str, int, bytes], ...], tuple[tuple[str, int], ...]]:
        """Return a cut and what was settled there as entries state them."""
        row = self._connection.execute(
            "SELECT heads, settled FROM scope_cut WHERE scope_no = ? AND cut_id = ?", (self._scope_no, cut_id)
        ).fetchone()
        settled = _vector_decoder.decode(bytes(row[1]))
        return _heads_decoder.decode(bytes(row[0])), tuple(sorted(settled.items()))

    def products(self) -> list[str]:
        """Return every product that stands on a balance."""
        rows = self._connection.execute(
            "SELECT product FROM key_balance WHERE scope_no = ? ORDER BY product", (self._scope_no,)
        ).fetchall()
        return [str(product) for (product,) in rows]

    def keeps(self, cut_id: bytes, writer: str, seq: int) -> bool:
        """Tell whether a balance keeps an entry at or below its cut."""
        row = self._connection.execute(
            "SELECT max(last_seq) FROM cut_keep WHERE scope_no = ? AND cut_id = ? AND writer = ? AND first_seq <= ?",
            (self._scope_no, cut_id, writer, seq),
        ).fetchone()
        return row is not None and row[0] is not None and int(row[0]) >= seq

    def covers(self, product: str, writer: str, seq: int) -> bool:
        """Tell whether an entry lies at or below the cut of a product's balance."""
        if self.bound.get(writer, 0) < seq:
            return False
        stand = self.of(product)
        return stand is not None and knows(stand.cut, writer, seq)

    def hides(self, product: str, writer: str, seq: int) -> bool:
        """Tell whether an entry says nothing of a product any more, because its balance says it all."""
        if not self.covers(product, writer, seq):
            return False
        stand = self.of(product)
        return stand is not None and not self.keeps(stand.cut_id, writer, seq)

    def kept(self, cut_id: bytes) -> list[Run]:
        """Return the runs of entries that a cut keeps."""
        rows = self._connection.execute(
            "SELECT writer, first_seq, last_seq FROM cut_keep WHERE scope_no = ? AND cut_id = ?"
            " ORDER BY writer, first_seq",
            (self._scope_no, cut_id),
        ).fetchall()
        return [(writer, first, last) for writer, first, last in rows]

    def complete(self) -> CompleteCut | None:
        """Return the newest cut of which every part is here; None before there is one."""
        newest = self._newest_complete()
        if newest is None:
            return None
        cut_id, _ = newest
        row = self._connection.execute(
            "SELECT heads, settled, is_declared FROM scope_cut WHERE scope_no = ? AND cut_id = ?",
            (self._scope_no, cut_id),
        ).fetchone()
        heads = {writer: Head(seq, digest) for writer, seq, digest in _heads_decoder.decode(bytes(row[0]))}
        return CompleteCut(cut_id, heads, _vector_decoder.decode(bytes(row[1])), bool(row[2]))

    def _newest_complete(self) -> tuple[bytes, _Dated] | None:
        rows = self._connection.execute(
            "SELECT c.cut_id, c.hlc_ms, c.hlc_counter, c.writer, c.seq FROM scope_cut c WHERE c.scope_no = ?"
            " AND c.parts > 0 AND c.parts = (SELECT count(*) FROM cut_part p WHERE p.scope_no = c.scope_no"
            " AND p.cut_id = c.cut_id)",
            (self._scope_no,),
        ).fetchall()
        found = [(bytes(row[0]), (row[1], row[2], row[3], row[4])) for row in rows]
        return max(found, key=lambda one: one[1], default=None)

    # What entries of the hub say.

    def take(self, entry: Effective, payload: OpeningBalance) -> set[str]:
        """Keep one part or amendment; returns the products that are now to be derived afresh."""
        cut_id = cut_id_of(payload.cut)
        dated: _Dated = (*entry.hlc, entry.writer, entry.seq)
        if self._is_outdated(cut_id, dated):
            return set()
        try:
            balances = [(one, _balance_decoder.decode(one)) for one in payload.balances]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return set()  # a part that this release cannot read leaves its cut incomplete: nothing is pruned on it
        self._date(cut_id, dated, payload.cut)
        touched: set[str] = set()
        if payload.kept:
            self._connection.executemany(
                "INSERT INTO cut_keep (scope_no, cut_id, writer, first_seq, last_seq) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                [(self._scope_no, cut_id, *run) for run in payload.kept],
            )
            rows = self._connection.execute(
                "SELECT product FROM key_balance WHERE scope_no = ? AND cut_id = ?", (self._scope_no, cut_id)
            ).fetchall()
            touched.update(str(product) for (product,) in rows)
        self._connection.execute(
            "UPDATE scope_cut SET settled = ? WHERE scope_no = ? AND cut_id = ?",
            (encode(dict(payload.settled)), self._scope_no, cut_id),
        )
        if payload.parts:
            self._connection.execute(
                "UPDATE scope_cut SET parts = ? WHERE scope_no = ? AND cut_id = ?",
                (payload.parts, self._scope_no, cut_id),
            )
            self._connection.execute(
                "INSERT INTO cut_part (scope_no, cut_id, part) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (self._scope_no, cut_id, payload.part),
            )
        mine = [(content, one) for content, one in balances if one.location == self._location]
        touched.update(one.product for _, one in mine)
        self._connection.executemany(
            "INSERT INTO key_balance AS k (scope_no, product, cut_id, hlc_ms, hlc_counter, writer, seq, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope_no, product) DO UPDATE SET"
            " cut_id = excluded.cut_id, hlc_ms = excluded.hlc_ms, hlc_counter = excluded.hlc_counter,"
            " writer = excluded.writer, seq = excluded.seq, content = excluded.content"
            " WHERE (k.hlc_ms, k.hlc_counter, k.writer, k.seq)"
            " < (excluded.hlc_ms, excluded.hlc_counter, excluded.writer, excluded.seq)",
            [(self._scope_no, one.product, cut_id, *dated, content) for content, one in mine],
        )
        self._drop_older()
        self._forget()
        return touched

    def declare(self, entry: Effective, payload: FrontierDeclared) -> None:
        """Note that the hub's checked backup holds a cut."""
        cut_id = cut_id_of(payload.cut)
        dated: _Dated = (*entry.hlc, entry.writer, entry.seq)
        if self._is_outdated(cut_id, dated):
            return
        self._date(cut_id, dated, payload.cut)
        self._connection.execute(
            "UPDATE scope_cut SET is_declared = 1 WHERE scope_no = ? AND cut_id = ?", (self._scope_no, cut_id)
        )
        self._forget()

    def _is_outdated(self, cut_id: bytes, dated: _Dated) -> bool:
        newest = self._newest_complete()
        return newest is not None and newest[0] != cut_id and dated < newest[1]

    def _date(self, cut_id: bytes, dated: _Dated, heads: Iterable[tuple[str, int, bytes]]) -> None:
        self._connection.execute(
            "INSERT INTO scope_cut AS c"
            " (scope_no, cut_id, hlc_ms, hlc_counter, writer, seq, heads, settled, parts, is_declared)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (scope_no, cut_id) DO UPDATE SET"
            " hlc_ms = excluded.hlc_ms, hlc_counter = excluded.hlc_counter, writer = excluded.writer,"
            " seq = excluded.seq WHERE (c.hlc_ms, c.hlc_counter, c.writer, c.seq)"
            " > (excluded.hlc_ms, excluded.hlc_counter, excluded.writer, excluded.seq)",
            (self._scope_no, cut_id, *dated, encode(tuple(heads)), encode({})),
        )

    def _drop_older(self) -> None:
        """Forget cuts that a newer complete one has replaced: a replica that pruned could not know them."""
        newest = self._newest_complete()
        if newest is None:
            return
        rows = self._connection.execute(
            "SELECT cut_id, hlc_ms, hlc_counter, writer, seq FROM scope_cut WHERE scope_no = ?", (self._scope_no,)
        ).fetchall()
        used = {
            bytes(name)
            for (name,) in self._connection.execute(
                "SELECT DISTINCT cut_id FROM key_balance WHERE scope_no = ?", (self._scope_no,)
            ).fetchall()
        }
        for name, *dated in rows:
            if tuple(dated) < newest[1] and bytes(name) not in used:
                parameters: tuple[Any, ...] = (self._scope_no, name)
                for table in ("scope_cut", "cut_part", "cut_keep"):
                    self._connection.execute(f"DELETE FROM {table} WHERE scope_no = ? AND cut_id = ?", parameters)


def cut_id_of(cut: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Name a cut by its content."""
    return hashlib.sha256(encode(tuple(cut))).digest()[:16]


def runs_of(entries: Iterable[tuple[str, int]]) -> list[Run]:
    """Return entries as runs of consecutive ones."""
    runs: list[Run] = []
    for writer, seq in sorted(entries):
        if runs and runs[-1][0] == writer and runs[-1][2] + 1 == seq:
            runs[-1] = (writer, runs[-1][1], seq)
        else:
            runs.append((writer, seq, seq))
    return runs
