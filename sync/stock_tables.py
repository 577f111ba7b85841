"""The stock store of one scope on a replica's tables: facts are read back from the entries that said them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from schema.codec import decode_body, decode_effects, decode_payload
from schema.database import Connection
from schema.identity import NodeId, Scope, Stream
from sync.effective import Effective, as_effective
from sync.key_state import KeyBalance
from sync.log_tables import LogTables, StreamRow
from sync.read_ahead import KEYS_MIN, ReadAhead
from sync.rights import RightsFigure
from sync.standing_balances import StandingBalances
from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    Count,
    Fact,
    Grant,
    Key,
    Movement,
    Notice,
    Promise,
    PromiseEnd,
    RightFact,
    RightMove,
    SessionOpen,
    Vector,
    Void,
    parse_target,
)
from sync.stock_facts_of import movements_of, stock_facts_of
from sync.stock_fold import FoldChanges
from sync.stock_store import ClockEpoch, StoredFigure, TransferKey
from sync.transit import TransferState

_FactT = TypeVar("_FactT", bound=Fact)
_transfer_decoder = msgspec.msgpack.Decoder(TransferState)
_rights_decoder = msgspec.msgpack.Decoder(RightsFigure)
_SQL_VARIABLES_MAX = 500


class StockTables:
    """Implements the count rules' store for one scope; made afresh for each batch, it remembers what it read.

    What an opening balance made history is not read; with `sees_history` all of it is, balances aside: so the hub
    finds out what a balance should have said.
    """

    def __init__(
        self, connection: Connection, scope_no: int, scope: Scope, location: str, *, sees_history: bool = False
    ) -> None:
        self._connection = connection
        self._scope_no = self.scope_no = scope_no
        self._scope = self.scope = scope
        self._location = self.location = location
        self._log = LogTables(connection)
        self._sees_history = sees_history
        self.balances = StandingBalances(connection, scope_no, location)
        self._key_nos: dict[str, int] = {}
        self._figures: dict[str, StoredFigure | None] = {}
        self._rows: dict[int, StreamRow] | None = None
        self._writers: dict[int, str] = {}
        self._entries: dict[tuple[int, int], list[Fact]] = {}
        self._vectors: dict[int, list[tuple[int, dict[str, int]]]] = {}
        self._ahead: ReadAhead | None = None

    # What the projection stores before the rules fold it.

    def add(self, stream_no: int, entry: Effective, facts: Sequence[Fact]) -> None:
        """Index the facts of one entry by what they bear on."""
        self.add_all(stream_no, [(entry, facts)])

    def add_all(self, stream_no: int, batch: Iterable[tuple[Effective, Sequence[Fact]]]) -> None:
        """Index the facts of entries of one stream."""
        self._ahead = None
        movements: list[tuple[int, int, int, int, int, int]] = []
        papers: list[tuple[int, str, str, int, int, str]] = []
        others: list[tuple[int, str, str, int, int]] = []
        number = self._scope_no
        gathered = [(e.seq, f) for e, facts in batch for f in facts]
        self._ensure_keys({f.product for _, f in gathered if isinstance(f, Movement | Count | Accept)})
        key_nos = self._key_nos
        for seq, fact in gathered:
            if isinstance(fact, Movement):
                if not isinstance(fact, Notice):
                    movements.append((number, key_nos[fact.product], stream_no, seq, fact.line, fact.quantity))
                if fact.transfer is not None:
                    touches = fact.destination if fact.reason == "ship" and fact.destination else fact.location
                    papers.append((number, fact.transfer, fact.product, stream_no, seq, touches))
            else:
                others += [(number, about, subject, stream_no, seq) for about, subject in _index(fact)]
        if movements:
            self._connection.executemany(
                "INSERT INTO movement (scope_no, key_no, stream_no, seq, line, quantity) VALUES (?, ?, ?, ?, ?, ?)",
                movements,
            )
        if papers:
            self._connection.executemany(
                "INSERT INTO transfer_paper (scope_no, transfer, product, stream_no, seq, touches)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                papers,
            )
        if others:
            self._connection.executemany(
                "INSERT INTO stock_fact (scope_no, about, subject, stream_no, seq) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                others,
            )

    def remove(self, stream_no: int, entry: Effective, facts: Iterable[Fact]) -> None:
        """Take the facts of one entry out of every index."""
        for table in ("movement", "transfer_paper", "stock_fact"):
            where = "scope_no = ? AND stream_no = ? AND seq = ?"
            parameters: tuple[Any, ...] = (self._scope_no, stream_no, entry.seq)
            if table == "movement":
                for product in {f.product for f in facts if isinstance(f, Movement)}:
                    self._ensure_keys({product})
                    self._connection.execute(
                        f"DELETE FROM movement WHERE {where} AND key_no = ?",
                        (*parameters, self._key_nos[product]),
                    )
            else:
                self._connection.execute(f"DELETE FROM {table} WHERE {where}", parameters)
        self._entries.clear()
        self._ahead = None

    def apply(self, changes: FoldChanges) -> None:
        """Keep the conflicts and the fold digest in step with what the rules report."""
        conflicts = changes.conflicts
        if conflicts.cleared:
            self._connection.executemany(
                "DELETE FROM conflict WHERE scope_no = ? AND conflict = ?",
                [(self._scope_no, c.id) for c in conflicts.cleared],
            )
        rows = [
            (self._scope_no, c.id, c.code.value, c.status.value, c.key, msgspec.msgpack.encode(c))
            for c in (*conflicts.raised, *conflicts.changed)
        ]
        if rows:
            self._connection.executemany(
                "INSERT INTO conflict (scope_no, conflict, code, status, subject, content) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (scope_no, conflict) DO UPDATE SET status = excluded.status, content = excluded.content",
                rows,
            )
        if changes.digest_change:
            found = self._connection.execute(
                "SELECT fold_digest FROM scope WHERE scope_no = ?", (self._scope_no,)
            ).fetchone()
            total = (int.from_bytes(bytes(found[0]), "big") + changes.digest_change) % (1 << 256)
            self._connection.execute(
                "UPDATE scope SET fold_digest = ? WHERE scope_no = ?", (total.to_bytes(32, "big"), self._scope_no)
            )

    # Keys and figures.

    def _ensure_keys(self, products: Collection[str]) -> None:
        missing = [product for product in products if product not in self._key_nos]
        if not missing:
            return
        self._read_keys(missing)
        new = [product for product in sorted(missing) if product not in self._key_nos]
        if new:
            highest = self._connection.execute(
                "SELECT coalesce(max(key_no), 0) FROM stock WHERE scope_no = ?", (self._scope_no,)
            ).fetchone()[0]
            self._connection.executemany(
                "INSERT INTO stock (scope_no, key_no, product, value, lo, hi, is_present) VALUES (?, ?, ?, 0, 0, 0, 0)",
                [(self._scope_no, number, product) for number, product in enumerate(new, highest + 1)],
            )
            self._read_keys(new)

    def _read_keys(self, products: Sequence[str]) -> None:
        """Read numbers and figures; both are remembered, for nobody else writes them in this transaction."""
        for start in range(0, len(products), _SQL_VARIABLES_MAX):
            part = products[start : start + _SQL_VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            for row in self._connection.execute(
                "SELECT product, key_no, value, lo, hi, is_present, state FROM stock"
                f" WHERE scope_no = ? AND product IN ({marks})",
                (self._scope_no, *part),
            ).fetchall():
                product, key_no, value, lo, hi, is_present, state = row
                self._key_nos[product] = key_no
                figure = StoredFigure(value, lo, hi, None if state is None else bytes(state)) if is_present else None
                self._figures[product] = figure

    def load_figures(self, keys: Collection[Key]) -> Mapping[Key, StoredFigure]:
        """Return the rows of those keys that have one."""
        mine = [key for key in keys if key.location == self._location]
        self._read_keys([key.product for key in mine if key.product not in self._figures])
        return {key: figure for key in mine if (figure := self._figures.get(key.product)) is not None}

    def save_figures(self, figures: Mapping[Key, StoredFigure | None]) -> None:
        """Write the rows of many keys; None leaves the number and takes the figure."""
        mine = {key: figure for key, figure in figures.items() if key.location == self._location}
        self._ensure_keys({key.product for key in mine})
        self._figures.update((key.product, figure) for key, figure in mine.items())
        self._connection.executemany(
            "UPDATE stock SET value = ?, lo = ?, hi = ?, is_present = ?, state = ? WHERE scope_no = ? AND key_no = ?",
            [
                (*(figure[:3] if figure else (0, 0, 0)), int(figure is not None), figure.state if figure else None,
                 self._scope_no, self._key_nos[key.product])
                for key, figure in mine.items()
            ],
        )  # fmt: skip

    def load_transfers(self, transfers: Collection[TransferKey]) -> Mapping[TransferKey, TransferState]:
        """Return the rows of those transfers that have one."""
        found: dict[TransferKey, TransferState] = {}
        for transfer, product in transfers:
            row = self._connection.execute(
                "SELECT state FROM transfer WHERE scope_no = ? AND transfer = ? AND product = ?",
                (self._scope_no, transfer, product),
            ).fetchone()
            if row is not None:
                found[transfer, product] = _transfer_decoder.decode(bytes(row[0]))
        return found

    def save_transfers(self, transfers: Mapping[TransferKey, TransferState | None]) -> None:
        """Write the rows of many transfers; None removes a row."""
        for (transfer, product), state in transfers.items():
            if state is None:
                self._connection.execute(
                    "DELETE FROM transfer WHERE scope_no = ? AND transfer = ? AND product = ?",
                    (self._scope_no, transfer, product),
                )
            else:
                self._connection.execute(
                    "INSERT INTO transfer (scope_no, transfer, product, transit, state) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (scope_no, transfer, product)"
                    " DO UPDATE SET transit = excluded.transit, state = excluded.state",
                    (self._scope_no, transfer, product, state.transit, msgspec.msgpack.encode(state)),
                )

    def rights(self, key: Key) -> Iterable[RightFact]:
        """Return what was said of rights on a key, and promised of it."""
        if key.location != self._location:
            return []
        kinds: tuple[type[RightFact], ...] = (Grant, RightMove, Promise, PromiseEnd)
        return [fact for kind in kinds for fact in self._about("right", key.product, kind)]

    def load_rights(self, keys: Collection[Key]) -> Mapping[Key, RightsFigure]:
        """Return the rows of those keys on which there are rights."""
        products = [key.product for key in keys if key.location == self._location]
        found: dict[Key, RightsFigure] = {}
        for start in range(0, len(products), _SQL_VARIABLES_MAX):
            part = products[start : start + _SQL_VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            for product, state in self._connection.execute(
                f"SELECT product, state FROM right_figure WHERE scope_no = ? AND product IN ({marks})",
                (self._scope_no, *part),
            ).fetchall():
                found[Key(self._location, product)] = _rights_decoder.decode(bytes(state))
        return found

    def save_rights(self, rights: Mapping[Key, RightsFigure | None]) -> None:
        """Write the rows of many keys; None removes a row."""
        for key, figure in rights.items():
            if figure is None:
                self._connection.execute(
                    "DELETE FROM right_figure WHERE scope_no = ? AND product = ?", (self._scope_no, key.product)
                )
            else:
                self._connection.execute(
                    "INSERT INTO right_figure (scope_no, product, available, promised, state) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (scope_no, product) DO UPDATE SET available = excluded.available,"
                    " promised = excluded.promised, state = excluded.state",
                    (self._scope_no, key.product, figure.available, figure.promised, msgspec.msgpack.encode(figure)),
                )

    def corrected_epochs(self) -> Collection[ClockEpoch]:
        """Return the clock epochs reported as corrected."""
        rows = self._connection.execute(
            "SELECT writer, clock_epoch FROM corrected_epoch WHERE scope_no = ?", (self._scope_no,)
        ).fetchall()
        return [(writer, epoch) for writer, epoch in rows]

    def save_corrected_epochs(self, epochs: Collection[ClockEpoch]) -> None:
        """Replace the clock epochs reported as corrected."""
        self._connection.execute("DELETE FROM corrected_epoch WHERE scope_no = ?", (self._scope_no,))
        self._connection.executemany(
            "INSERT INTO corrected_epoch (scope_no, writer, clock_epoch) VALUES (?, ?, ?)",
            [(self._scope_no, writer, epoch) for writer, epoch in epochs],
        )

    def opening_balance(self, key: Key) -> KeyBalance | None:
        """Return what an opening balance carries of a key, with the cut at which it stands."""
        if self._sees_history or key.location != self._location:
            return None
        stand = self.balances.of(key.product)
        return None if stand is None else stand.balance

    def cut(self) -> tuple[Vector, Vector]:
        """Return nothing: each key's balance names its own cut."""
        return {}, {}

    def is_history(self, fact: Fact) -> bool:
        """Tell whether an opening balance already says all that a fact says."""
        if self._sees_history or not isinstance(fact, Movement | Count):
            return False
        return self.balances.hides(fact.product, fact.writer, fact.seq)

    def lies_below(self, fact: Fact) -> bool:
        """Tell whether a movement or count lies at or below the cut of its product's balance."""
        return isinstance(fact, Movement | Count) and self.balances.covers(fact.product, fact.writer, fact.seq)

    def transfers_of(self, products: Iterable[str]) -> list[TransferKey]:
        """Return the transfers of some products that have a row."""
        found: list[TransferKey] = []
        for product in products:
            rows = self._connection.execute(
                "SELECT transfer FROM transfer WHERE scope_no = ? AND product = ?", (self._scope_no, product)
            ).fetchall()
            found += [(transfer, product) for (transfer,) in rows]
        return found

    def facts_at(self, stream_no: int, seq: int) -> Sequence[Fact]:
        """Return what an entry says of stock, whether it is effective or not."""
        return self._facts(stream_no, seq)

    def drop(self, stream_no: int, seqs: Iterable[int]) -> tuple[set[str], set[TransferKey]]:
        """Take entries of one stream that are about to leave out of every index; returns what they bore on."""
        movements: set[tuple[int, int, int, int]] = set()
        papers: set[tuple[int, str, str, int, int]] = set()
        others: list[tuple[int, str, str, int, int]] = []
        products: set[str] = set()
        gathered = [(seq, fact) for seq in seqs for fact in self._facts(stream_no, seq)]
        self._ensure_keys({f.product for _, f in gathered if isinstance(f, Movement | Count)})
        for seq, fact in gathered:
            if isinstance(fact, Movement):
                movements.add((self._scope_no, self._key_nos[fact.product], stream_no, seq))
                if fact.transfer is not None:
                    papers.add((self._scope_no, fact.transfer, fact.product, stream_no, seq))
            else:
                others += [(self._scope_no, about, subject, stream_no, seq) for about, subject in _index(fact)]
            if isinstance(fact, Movement | Count) and not isinstance(fact, Notice):
                products.add(fact.product)
        self._ahead = None
        self._connection.executemany(
            "DELETE FROM movement WHERE scope_no = ? AND key_no = ? AND stream_no = ? AND seq = ?", sorted(movements)
        )
        self._connection.executemany(
            "DELETE FROM transfer_paper WHERE scope_no = ? AND transfer = ? AND product = ? AND stream_no = ?"
            " AND seq = ?",
            sorted(papers),
        )
        self._connection.executemany(
            "DELETE FROM stock_fact WHERE scope_no = ? AND about = ? AND subject = ? AND stream_no = ? AND seq = ?",
            others,
        )
        return products, {(transfer, product) for _, transfer, product, _, _ in papers}

    def facts_in_sight(self) -> list[Fact]:
        """Return every effective fact of the scope that no complete balance has made history."""
        complete = self.balances.complete()
        cut = complete.vector if complete is not None else {}
        kept: dict[str, list[int]] = {}
        for writer, first, last in self.balances.kept(complete.cut_id) if complete is not None else ():
            kept.setdefault(writer, []).extend(range(first, last + 1))
        found: list[Fact] = []
        for row in self._stream_rows().values():
            below = cut.get(row.stream.writer, 0)
            inert = self._log.inert(row)
            places = {*kept.get(row.stream.writer, ())}
            places.update(
                seq
                for (seq,) in self._connection.execute(
                    "SELECT DISTINCT seq FROM stock_fact WHERE scope_no = ? AND stream_no = ? AND seq <= ?"
                    " AND about IN ('session', 'accept', 'clock', 'void', 'classify', 'right')",
                    (self._scope_no, row.stream_no, below),
                ).fetchall()
            )
            for seq in sorted(places):
                if seq not in inert:
                    found += self._facts(row.stream_no, seq)
            for entry in self._log.entries(row, below):
                if entry.body.seq not in inert:
                    found += self._facts(row.stream_no, entry.body.seq)
        return [fact for fact in found if not self.is_history(fact)]

    # Facts, read back from their entries.

    def _stream_rows(self) -> dict[int, StreamRow]:
        if self._rows is None:
            self._rows = {row.stream_no: row for row in self._log.streams(self._scope)}
        return self._rows

    def _vector(self, stream_no: int, seq: int) -> Mapping[str, int]:
        """Return an entry's vector; entries between two news share one mapping."""
        steps = self._vectors.get(stream_no)
        if steps is None:
            steps = self._vectors[stream_no] = [(0, {})]
            for at, writer, seen in self._connection.execute(
                "SELECT seq, writer, seen_seq FROM seen WHERE scope_no = ? AND stream_no = ? ORDER BY seq",
                (self._scope_no, stream_no),
            ).fetchall():
                if steps[-1][0] != at:
                    steps.append((at, dict(steps[-1][1])))
                steps[-1][1][writer] = max(seen, steps[-1][1].get(writer, 0))
        low, high = 0, len(steps)
        while low < high:
            middle = (low + high) // 2
            if steps[middle][0] <= seq:
                low = middle + 1
            else:
                high = middle
        return steps[low - 1][1]

    def prepare(self, keys: Collection[Key]) -> None:
        """Read ahead what bears on many keys, which are about to be derived."""
        products = {key.product for key in keys if key.location == self._location}
        if len(products) < KEYS_MIN:
            return
        self._read_keys([product for product in products if product not in self._key_nos])
        key_nos = {product: self._key_nos[product] for product in products if product in self._key_nos}
        ahead = ReadAhead(self._connection, self._scope_no, self._location, key_nos)
        lacking = [place for place in ahead.places if place not in self._entries]
        for stream_no, seq, digest, encoded in ahead.bodies(lacking):
            self._entries[stream_no, seq] = self._read(stream_no, encoded, digest)
        ahead.sort_out(self._entries)
        self._ahead = ahead

    def _facts(self, stream_no: int, seq: int) -> list[Fact]:
        known = self._entries.get((stream_no, seq))
        if known is not None:
            return known
        found = self._connection.execute(
            "SELECT digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (self._scope_no, stream_no, seq),
        ).fetchone()
        facts = [] if found is None else self._read(stream_no, bytes(found[1]), bytes(found[0]))
        self._entries[stream_no, seq] = facts
        return facts

    def _read(self, stream_no: int, encoded: bytes, digest: bytes) -> list[Fact]:
        body = decode_body(encoded)
        vector = self._vector(stream_no, body.seq)
        effects = decode_effects(body)
        if effects is not None:
            clock = body.wall_ms, body.unc_ms, body.clock_epoch
            return movements_of(effects, self._location, self._writer(stream_no), body.seq, clock, vector)
        payload = decode_payload(body)
        if payload is None:
            return []
        stream = self._stream_rows()[stream_no].stream
        return stock_facts_of(as_effective(stream, stream_no, body, payload, vector, digest))

    def _writer(self, stream_no: int) -> str:
        writer = self._writers.get(stream_no)
        if writer is None:
            writer = self._writers[stream_no] = self._stream_rows()[stream_no].stream.writer
        return writer

    def _about(self, about: str, subject: str | None, kind: type[_FactT]) -> list[_FactT]:
        rows = self._ahead.about(about, subject) if self._ahead is not None else None
        if rows is None:
            sql = "SELECT stream_no, seq FROM stock_fact WHERE scope_no = ? AND about = ?"
            parameters: tuple[Any, ...] = (self._scope_no, about)
            if subject is not None:
                sql, parameters = f"{sql} AND subject = ?", (*parameters, subject)
            rows = self._connection.execute(f"{sql} ORDER BY stream_no, seq", parameters).fetchall()
        return [
            fact
            for place in rows
            for fact in self._facts(*place)
            if isinstance(fact, kind) and not self.is_history(fact)
        ]

    def named_entries(self) -> Collection[tuple[str, int]]:
        """Return (writer, seq) of all entries that a VOID or CLASSIFY names, arrived or not."""
        rows = self._connection.execute(
            "SELECT subject FROM stock_fact WHERE scope_no = ? AND about IN ('void', 'classify')",
            (self._scope_no,),
        ).fetchall()
        named = set()
        for (subject,) in rows:
            writer, _, seq = subject.rpartition(":")
            named.add((writer, int(seq)))
        return named

    def voids(self) -> Iterable[Void]:
        """Return all VOIDs."""
        return self._about("void", None, Void)

    def classifications(self) -> Iterable[Classify]:
        """Return all CLASSIFYs."""
        return self._about("classify", None, Classify)

    def clock_fixes(self) -> Iterable[ClockFix]:
        """Return all measurements of clocks."""
        return self._about("clock", None, ClockFix)

    def sessions(self, location: str) -> Iterable[SessionOpen]:
        """Return the count sessions opened at a location."""
        return self._about("session", None, SessionOpen) if location == self._location else []

    def counts(self, key: Key) -> Iterable[Count]:
        """Return a key's counts."""
        return self._about("count", key.product, Count) if key.location == self._location else []

    def accepts(self, key: Key) -> Iterable[Accept]:
        """Return the choices made for a key."""
        return self._about("accept", key.product, Accept) if key.location == self._location else []

    def movements(
        self, key: Key, not_covered_by: Vector | None = None, or_later_than_ms: int = 0
    ) -> Iterable[Movement]:
        """Return a key's movements; with a vector, those above it or later than a time, and perhaps more."""
        if key.location != self._location:
            return []
        if key.product not in self._key_nos:
            self._read_keys([key.product])
        key_no = self._key_nos.get(key.product)
        if key_no is None:  # asked about, never moved: whoever only reads may not give it a number
            return []
        found: list[Movement] = []
        stand = None if self._sees_history else self.balances.of(key.product)
        ahead = self._ahead.movements(key.product) if self._ahead is not None else None
        for stream_no, row in self._stream_rows().items():
            after_seq = 0 if stand is None else stand.cut.get(row.stream.writer, 0)
            if after_seq and stand is not None:
                found += self._kept_movements(stand.cut_id, row, key, after_seq)
            if not_covered_by is not None:
                covered = not_covered_by.get(row.stream.writer, 0)
                if covered and self._latest_wall(row, covered) <= or_later_than_ms:
                    after_seq = max(after_seq, covered)
            if ahead is not None:
                told = ahead.get(stream_no, ())
                found += [one for one in told if one.seq > after_seq] if after_seq else told
                continue
            places = self._connection.execute(
                "SELECT DISTINCT seq FROM movement WHERE scope_no = ? AND key_no = ? AND stream_no = ? AND seq > ?",
                (self._scope_no, key_no, stream_no, after_seq),
            ).fetchall()
            for (seq,) in places:
                found += self._movements_in(stream_no, seq, key.product)
        return found

    def _movements_in(self, stream_no: int, seq: int, product: str) -> list[Movement]:
        return [
            fact
            for fact in self._facts(stream_no, seq)
            if isinstance(fact, Movement) and not isinstance(fact, Notice) and fact.product == product
        ]

    def _kept_movements(self, cut_id: bytes, row: StreamRow, key: Key, below: int) -> list[Movement]:
        places = self._connection.execute(
            "SELECT DISTINCT m.seq FROM cut_keep k JOIN movement m ON m.scope_no = k.scope_no AND m.key_no = ?"
            " AND m.stream_no = ? AND m.seq BETWEEN k.first_seq AND k.last_seq"
            " WHERE k.scope_no = ? AND k.cut_id = ? AND k.writer = ? AND m.seq <= ? ORDER BY m.seq",
            (self._key_nos[key.product], row.stream_no, self._scope_no, cut_id, row.stream.writer, below),
        ).fetchall()
        return [one for (seq,) in places for one in self._movements_in(row.stream_no, seq, key.product)]

    def _latest_wall(self, row: StreamRow, seq: int) -> int:
        """Return the latest wall-clock reading of a stream at or below a sequence number, or a later one."""
        found = self._connection.execute(
            "SELECT body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (self._scope_no, row.stream_no, seq),
        ).fetchone()
        if found is None:
            return 1 << 62
        peak = self._connection.execute(
            "SELECT coalesce(max(peak_ms), 0) FROM wall_peak WHERE scope_no = ? AND stream_no = ? AND seq <= ?",
            (self._scope_no, row.stream_no, seq),
        ).fetchone()
        return max(decode_body(bytes(found[0])).wall_ms, int(peak[0]))

    def papers(self, transfers: Collection[TransferKey]) -> Iterable[Movement]:
        """Return the movements and notices of some transfers."""
        found: list[Movement] = []
        for transfer, product in transfers:
            places = self._connection.execute(
                "SELECT stream_no, seq FROM transfer_paper WHERE scope_no = ? AND transfer = ? AND product = ?",
                (self._scope_no, transfer, product),
            ).fetchall()
            for place in places:
                found += [
                    fact
                    for fact in self._facts(*place)
                    if isinstance(fact, Movement)
                    and (fact.transfer, fact.product) == (transfer, product)
                    and not self.is_history(fact)
                ]
        return found

    def papers_touching(self, key: Key) -> Iterable[Movement]:
        """Return all papers of transfers that have a dispatch to, or a receipt at, a key."""
        ahead = self._ahead.transfers(key.product) if self._ahead and key.location == self._location else None
        if ahead is None:
            rows = self._connection.execute(
                "SELECT DISTINCT transfer FROM transfer_paper WHERE scope_no = ? AND touches = ? AND product = ?",
                (self._scope_no, key.location, key.product),
            ).fetchall()
            ahead = [transfer for (transfer,) in rows]
        return self.papers([(transfer, key.product) for transfer in ahead])

    def facts_of(self, writer: str, seq: int) -> Iterable[Fact]:
        """Return what an entry says, unless authority withholds it."""
        node, _, incarnation = writer.rpartition(".")
        if not incarnation.isdecimal():
            return []
        row = self._log.stream(Stream(self._scope, NodeId(node), int(incarnation)))
        if row is None or seq > row.head.seq:
            return []
        is_inert = self._connection.execute(
            "SELECT 1 FROM inert WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (self._scope_no, row.stream_no, seq),
        ).fetchone()
        return [] if is_inert else self._facts(row.stream_no, seq)

    def keys_of_session(self, location: str, session: str) -> Iterable[Key]:
        """Return the keys that have counts in a session."""
        if location != self._location:
            return []
        return {fact.key for fact in self._about("session_count", session, Count)}

    def keys_of_clock_epoch(self, writer: str, epoch: int) -> Iterable[Key]:
        """Return the counted keys that a stream touched at all: a fix changes nothing where nothing was counted."""
        del epoch
        node, _, incarnation = writer.rpartition(".")
        if not incarnation.isdecimal():
            return set()
        row = self._log.stream(Stream(self._scope, NodeId(node), int(incarnation)))
        if row is None:
            return set()
        rows = self._connection.execute(
            "SELECT product FROM stock WHERE scope_no = ? AND state IS NOT NULL", (self._scope_no,)
        ).fetchall()
        return {Key(self._location, product) for (product,) in rows}


def _index(fact: Fact) -> list[tuple[str, str]]:
    match fact:
        case Count():
            found = [("count", fact.product)]
            return [*found, ("session_count", fact.session)] if fact.session else found
        case SessionOpen():
            return [("session", fact.session)]
        case Accept():
            return [("accept", fact.product)]
        case ClockFix():
            return [("clock", fact.target_writer)]
        case Grant() | RightMove() | Promise() | PromiseEnd():
            return [("right", fact.product)]
        case Void():
            return _named("void", fact.target)
        case Classify():
            return _named("classify", fact.movement)
        case _:
            return []


def _named(about: str, target: str) -> list[tuple[str, str]]:
    try:
        writer, seq, _ = parse_target(target)
    except ValueError:  # it names nothing that could ever be here
        return [(about, ":0")]
    return [(about, f"{writer}:{seq}")]
