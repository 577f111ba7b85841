"""Reads in few queries what bears on many keys that are about to be derived: a shop's count touches thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from schema.database import Connection
from sync.stock_facts import Fact, Movement

KEYS_MIN: Final = 16
"""For fewer keys it costs more than it spares."""
_SQL_VARIABLES_MAX: Final = 500
Place = tuple[int, int]
"""An entry of one scope: its stream's number and its sequence number."""


class ReadAhead:
    """Where the facts of some keys of a scope stand; true until something is added to the scope or leaves it."""

    def __init__(self, connection: Connection, scope_no: int, location: str, key_nos: Mapping[str, int]) -> None:
        """Look up the movements, counts, accepted figures and transfers' papers of products, given with their keys."""
        self._connection = connection
        self._scope_no = scope_no
        self._about: dict[tuple[str, str], list[Place]] = {
            (about, product): [] for product in key_nos for about in ("count", "accept")
        }
        self._by_stream: dict[str, dict[int, list[Movement]]] = {product: {} for product in key_nos}
        self._transfers: dict[str, list[str]] = {product: [] for product in key_nos}
        found: set[Place] = set(
            # Duplicates are dropped here: for DISTINCT, SQLite would sort them all.
            self._in_parts(
                "SELECT stream_no, seq FROM movement WHERE scope_no = ? AND key_no IN ({})", key_nos.values()
            )
        )
        for about, product, stream_no, seq in self._in_parts(
            "SELECT about, subject, stream_no, seq FROM stock_fact WHERE scope_no = ?"
            " AND about IN ('count', 'accept') AND subject IN ({}) ORDER BY stream_no, seq",
            self._transfers,
        ):
            self._about[about, product].append((stream_no, seq))
            found.add((stream_no, seq))
        self.places = sorted(found)
        """Where all movements and counts found stand, in order."""
        for transfer, product, touches in self._in_parts(
            "SELECT DISTINCT transfer, product, touches FROM transfer_paper WHERE scope_no = ? AND product IN ({})",
            self._transfers,
        ):
            if touches == location:
                self._transfers[product].append(transfer)

    def about(self, about: str, product: str | None) -> Sequence[Place] | None:
        """Return where counts or accepted figures of a product stand; None for what was not looked up."""
        return None if product is None else self._about.get((about, product))

    def transfers(self, product: str) -> Sequence[str] | None:
        """Return the transfers with papers that touch this location; None for a product that was not looked up."""
        return self._transfers.get(product)

    def sort_out(self, known: Mapping[Place, Iterable[Fact]]) -> None:
        """Put the movements of the entries found by product and stream, from what their entries say."""
        by_stream = self._by_stream
        for place in self.places:
            stream_no = place[0]
            for fact in known.get(place, ()):
                if type(fact) is not Movement or (streams := by_stream.get(fact.product)) is None:
                    continue
                if (told := streams.get(stream_no)) is None:
                    streams[stream_no] = [fact]
                else:
                    told.append(fact)

    def movements(self, product: str) -> Mapping[int, Sequence[Movement]] | None:
        """Return a product's movements by stream number, ascending; None for one that was not looked up."""
        return self._by_stream.get(product)

    def bodies(self, places: Iterable[Place]) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield (stream number, seq, digest, body) of entries."""
        wanted: dict[int, list[int]] = {}
        for stream_no, seq in places:
            wanted.setdefault(stream_no, []).append(seq)
        for stream_no, seqs in wanted.items():
            for seq, digest, body in self._in_parts(
                "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq IN ({})",
                seqs,
                stream_no,
            ):
                yield stream_no, seq, bytes(digest), bytes(body)

    def _in_parts(self, sql: str, wanted: Iterable[Any], *first: Any) -> Iterator[Any]:
        every = list(wanted)
        for start in range(0, len(every), _SQL_VARIABLES_MAX):
            part = every[start : start + _SQL_VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            yield from self._connection.execute(sql.format(marks), (self._scope_no, *first, *part)).fetchall()
