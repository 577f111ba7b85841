"""The hub's own entries: which incarnation it writes as, and the founding entries of an organisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, Scope, Stream, is_code, location_scope
from schema.kinds.base import Payload
from schema.kinds.organisation import LocationDefined, OrganisationFounded, PolicySet
from sync.entry import Entry
from sync.replica import Moment, Replica

LOCATION_TYPES: Final = ("shop", "warehouse", "van")
_INCARNATION: Final = "incarnation"

DEFAULT_POLICIES: Final = (
    # The empty category is the default: fast groceries, as the count rules recommend.
    PolicySet("", tolerance_milli=0, tolerance_ppm=0, disagreement="latest", ambiguous="midpoint"),
    PolicySet("high_value", tolerance_milli=0, tolerance_ppm=0, disagreement="manual", ambiguous="conservative"),
    PolicySet(
        "weighed", tolerance_milli=0, tolerance_ppm=5_000, disagreement="average", ambiguous="midpoint", step_milli=1
    ),
    PolicySet("audit", tolerance_milli=0, tolerance_ppm=0, disagreement="authority", ambiguous="conservative"),
)


def parse_location(text: str) -> LocationDefined:
    """Read a location as commands name it, `A:Riverside shop:shop`; raises RefusalError `location_invalid`."""
    code, _, rest = text.partition(":")
    name, _, kind = rest.rpartition(":")
    if not is_code(code) or not name or kind not in LOCATION_TYPES:
        kinds = "|".join(LOCATION_TYPES)
        raise RefusalError("location_invalid", f"{text!r} is no location: write CODE:NAME:{kinds}")
    return LocationDefined(code, name, kind)


class OwnLog:
    """Appends entries as the hub; the incarnation is read in the transaction, for several processes share it."""

    def __init__(self, node: NodeId, now_ms: Callable[[], int], noted_file: Path | None = None) -> None:
        self.node = self._node = node
        self._noted_file = noted_file
        self.now_ms = now_ms

    def append(self, replica: Replica, scope: Scope, payload: Payload, operation: str = "") -> Entry:
        """Append one entry to the hub's current stream of a scope; the caller holds that scope's lock."""
        stream = Stream(scope, self._node, self.incarnation(replica.connection))
        # Noted before the commit: if that fails, the file is ahead by one, which is the harmless side.
        self._note(self._read_noted() + 1)
        # The hub's clock is the one that all others are measured against: its error is zero by definition.
        return replica.append(stream, payload, Moment(self.now_ms(), 0, 0), operation)

    def stream(self, connection: Connection, scope: Scope = ORG) -> Stream:
        """Name the hub's current stream of a scope."""
        return Stream(scope, self._node, self.incarnation(connection))

    def incarnation(self, connection: Connection) -> int:
        """Return the incarnation that the hub writes as."""
        return int(read_state(connection, _INCARNATION) or 1)

    def met_more(self, connection: Connection, incarnation: int) -> None:
        """Begin an incarnation if the current one was met with more, or other, than this database holds."""
        if incarnation >= self.incarnation(connection):
            self.begin_incarnation(connection, incarnation)

    def begin_incarnation(self, connection: Connection, above: int) -> int:
        """Open an incarnation above one that was met: the hub's database is older than what it once wrote."""
        number = max(self.incarnation(connection), above) + 1
        write_state(connection, _INCARNATION, str(number))
        return number

    def is_behind(self, connection: Connection) -> bool:
        """Tell whether the database has fewer of the hub's own entries than this directory remembers."""
        return self._read_noted() > self._held(connection)

    def leave_copy(self, connection: Connection) -> None:
        """Begin an incarnation where the database is a copy of an older one; one too many costs but a stream."""
        if self.is_behind(connection):
            self.begin_incarnation(connection, 0)
            self._note(self._held(connection))

    def _held(self, connection: Connection) -> int:
        row = connection.execute("SELECT coalesce(sum(head_seq), 0) FROM stream WHERE node = ?", (self._node,))
        return int(row.fetchone()[0])

    def _note(self, count: int) -> None:
        if self._noted_file is not None:
            self._noted_file.write_text(f"{count}\n", "ascii")

    def _read_noted(self) -> int:
        try:
            return int(self._noted_file.read_text("ascii")) if self._noted_file is not None else 0
        except (OSError, ValueError):
            return 0


def read_state(connection: Connection, key: str) -> str | None:
    """Return one of the hub's single values."""
    row = connection.execute("SELECT value FROM hub_state WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def write_state(connection: Connection, key: str, value: str) -> None:
    """Set one of the hub's single values."""
    connection.execute(
        "INSERT INTO hub_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


def found_organisation(
    replica: Replica,
    own_log: OwnLog,
    *,
    name: str,
    public_key: bytes,
    locations: Sequence[LocationDefined],
    currency: str,
    time_zone: str,
) -> None:
    """Append the first entries of all: the founding, the locations and the default policies."""
    own_log.append(replica, ORG, OrganisationFounded(name, public_key, currency, time_zone))
    for location in locations:
        own_log.append(replica, ORG, location)
        replica.log.ensure_scope(location_scope(LocationId(location.location)))
    for policy in DEFAULT_POLICIES:
        own_log.append(replica, ORG, policy)
