"""The organisation's plain facts as tables: who may write what, where the places are, how counts are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from schema.codec import decode_as, encode
from schema.database import Connection
from schema.identity import ORG, NodeId, Stream
from schema.kinds import KIND_OF
from schema.kinds.base import Payload
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    CustomerDefined,
    LocationDefined,
    OperatorDefined,
    OrganisationFounded,
    PersonForgotten,
    PolicySet,
    SettingDefined,
)
from schema.kinds.vans import CreditLimited
from sync.authority import Authority, derive_authority, public_key_of
from sync.effective import Effective

_SUBJECT: Final[dict[type[Payload], str]] = {
    OrganisationFounded: "",
    LocationDefined: "location",
    AuthorityGranted: "node",
    AuthorityRevoked: "node",
    PolicySet: "category",
    SettingDefined: "subject",
    OperatorDefined: "operator",
    CustomerDefined: "person",
    PersonForgotten: "person",
    CreditLimited: "person",
}

FactT = TypeVar("FactT", bound=Payload)


def changes_authority(entries: Sequence[Effective]) -> set[NodeId]:
    """Return the nodes whose authority these entries touch."""
    return {
        NodeId(e.payload.node)
        for e in entries
        if e.stream.scope == ORG and isinstance(e.payload, AuthorityGranted | AuthorityRevoked)
    }


class Organisation:
    """Reads the facts of scope `org`; answers are valid for one version of that scope."""

    def __init__(self, root: NodeId, root_key: bytes) -> None:
        self.root = root
        self._root_key = root_key
        self._version = -1
        self._is_settled = False
        self._authority: dict[Stream, Authority] = {}
        self._keys: dict[NodeId, bytes | None] = {}
        self._about: dict[tuple[type[Payload], str], list[Any]] = {}
        self._each: dict[type[Payload], dict[str, Any]] = {}

    def forget(self) -> None:
        """Drop what was derived: after a rollback the same version may come to mean something else."""
        self._version = -1
        self._is_settled = False
        self._drop()

    def _drop(self) -> None:
        self._authority.clear()
        self._keys.clear()
        self._about.clear()
        self._each.clear()

    @property
    def version(self) -> int:
        """The version that the last `refresh` found; whoever folds has refreshed in the same transaction."""
        return self._version

    def settle(self, connection: Connection) -> None:
        """Refresh, and believe the version until the next `settle`: the owner holds the scope's lock, or a snapshot."""
        self._is_settled = False
        self.refresh(connection)
        self._is_settled = True

    def refresh(self, connection: Connection) -> int:
        """Forget what was derived from an older version of the organisation's scope; returns the version."""
        if self._is_settled:
            return self._version
        row = connection.execute("SELECT version FROM scope WHERE scope = ?", (ORG,)).fetchone()
        version = int(row[0]) if row else 0
        if version != self._version:
            self._version = version
            self._drop()
        return version

    def bump(self, connection: Connection) -> None:
        """Begin a new version: grants, revocations or policies changed."""
        connection.execute("UPDATE scope SET version = version + 1 WHERE scope = ?", (ORG,))
        was_settled, self._is_settled = self._is_settled, False
        self.refresh(connection)
        self._is_settled = was_settled

    def fold(self, connection: Connection, entries: Sequence[Effective]) -> bool:
        """Store the facts among these entries; tells whether there were any."""
        rows = []
        for e in entries:
            attribute = _SUBJECT.get(type(e.payload))
            if attribute is not None and e.stream.scope == ORG:
                subject = getattr(e.payload, attribute) if attribute else ""
                kind = KIND_OF[type(e.payload)].name
                rows.append((kind, subject, *e.hlc, e.writer, e.seq, encode(e.payload)))
        if rows:
            connection.executemany(
                "INSERT INTO organisation_fact (kind, subject, hlc_ms, hlc_counter, writer, seq, payload)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )
            self.bump(connection)
        return bool(rows)

    def retract(self, connection: Connection, entries: Sequence[Effective]) -> None:
        """Take the facts of these entries back."""
        connection.executemany(
            "DELETE FROM organisation_fact WHERE writer = ? AND seq = ?",
            [(e.writer, e.seq) for e in entries if e.stream.scope == ORG],
        )
        self.bump(connection)

    def all(self, connection: Connection, fact: type[FactT], subject: str | None = None) -> list[FactT]:
        """Return every fact of a kind, oldest first; with `subject` of that subject alone."""
        kind = KIND_OF[fact]
        sql = "SELECT payload FROM organisation_fact WHERE kind = ?"
        order = "ORDER BY subject, hlc_ms, hlc_counter, writer, seq"
        if subject is None:
            rows = connection.execute(f"{sql} {order}", (kind.name,)).fetchall()
            return [decode_as(fact, bytes(row[0])) for row in rows]
        known = self._about.get((fact, subject))
        if known is None:
            rows = connection.execute(f"{sql} AND subject = ? {order}", (kind.name, subject)).fetchall()
            known = self._about[fact, subject] = [decode_as(fact, bytes(row[0])) for row in rows]
        return list(known)

    def newest(self, connection: Connection, fact: type[FactT], subject: str) -> FactT | None:
        """Return the fact that holds for a subject; None where there is none."""
        facts = self.all(connection, fact, subject)
        return facts[-1] if facts else None

    def newest_each(self, connection: Connection, fact: type[FactT]) -> dict[str, FactT]:
        """Return for every subject of a kind the fact that holds."""
        known = self._each.get(fact)
        if known is None:
            attribute = _SUBJECT[fact]
            known = {getattr(f, attribute) if attribute else "": f for f in self.all(connection, fact)}
            self._each[fact] = known
        return dict(known)

    def authority(self, connection: Connection, stream: Stream) -> Authority:
        """Return what a stream may write."""
        found = self._authority.get(stream)
        if found is None:
            found = self._authority[stream] = derive_authority(
                stream,
                self.root,
                self.all(connection, AuthorityGranted, stream.node),
                self.all(connection, AuthorityRevoked, stream.node),
            )
        return found

    def public_key(self, connection: Connection, node: NodeId) -> bytes | None:
        """Return the key that verifies a node's seals; None for a node without a grant."""
        if node == self.root:
            return self._root_key
        if node not in self._keys:
            self._keys[node] = public_key_of(node, self.all(connection, AuthorityGranted, node))
        return self._keys[node]
