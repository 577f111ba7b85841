"""The hub's own entries: which incarnation it writes as, and the founding entries of an organisation."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from hub.outer_record import OuterRecord
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, Scope, Stream, is_code, location_scope
from schema.kinds.base import Payload
from schema.kinds.organisation import LocationDefined, OrganisationFounded, PolicySet
from sync.branches import take_back
from sync.entry import Entry
from sync.messages import Batch
from sync.replica import Moment, Replica

LOCATION_TYPES: Final = ("shop", "warehouse", "van")
INCARNATION_STRETCH: Final = 997
_INCARNATION: Final = "incarnation"
AWAITS_NODES: Final = "awaits_nodes"
"""Set where a hub began with an empty database on purpose: its nodes bring back what they hold."""

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
    """Appends entries as the hub; the incarnation is read in the transaction, for several processes share it.

    `record` remembers outside the database what was appended; without one nothing tells a database from its copy.
    """

    def __init__(
        self,
        node: NodeId,
        now_ms: Callable[[], int],
        record: OuterRecord | None = None,
        entropy: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.node = node
        self.now_ms = now_ms
        self._record = record
        self._entropy = entropy

    def append(self, replica: Replica, scope: Scope, payload: Payload, operation: str = "") -> Entry:
        """Append one entry to the hub's current stream of a scope; the caller holds that scope's lock."""
        stream = Stream(scope, self.node, self.incarnation(replica.connection))
        if self._record is not None and self._record.contradicts(replica, replica.log.stream(stream), stream):
            # The database was put back to an earlier state while the hub was running.
            self.begin_incarnation(replica.connection, stream.incarnation)
            stream = Stream(scope, self.node, self.incarnation(replica.connection))
        # The hub's clock is the one that all others are measured against: its error is zero by definition.
        return replica.append(stream, payload, Moment(self.now_ms(), 0, 0), operation)

    def stream(self, connection: Connection, scope: Scope = ORG) -> Stream:
        """Name the hub's current stream of a scope."""
        return Stream(scope, self.node, self.incarnation(connection))

    def incarnation(self, connection: Connection) -> int:
        """Return the incarnation that the hub writes as."""
        return int(read_state(connection, _INCARNATION) or 1)

    def met_more(self, connection: Connection, incarnation: int) -> None:
        """Begin an incarnation if the current one was met with more, or other, than this database holds."""
        if incarnation >= self.incarnation(connection):
            self.begin_incarnation(connection, incarnation)

    def take_back(self, replica: Replica, batch: Batch) -> int:
        """Append again, in a new incarnation, what a copy of this hub wrote on a stream that has another branch here.

        Goods and money that it moved count; its grants, catalogue changes and verdicts wait for a person. The
        caller holds the lock of the batch's scope; returns how many entries that was.
        """
        self.met_more(replica.connection, batch.incarnation)
        stream = Stream(Scope(batch.scope), self.node, self.incarnation(replica.connection))
        return len(take_back(replica, batch, stream, Moment(self.now_ms(), 0, 0)))

    def begin_incarnation(self, connection: Connection, above: int) -> int:
        """Open an incarnation above one that was met: the hub's database is older than what it once wrote.

        It skips a random stretch: two copies of one hub must not choose the same.
        """
        number = max(self.incarnation(connection), above) + 1 + self._entropy(INCARNATION_STRETCH)
        write_state(connection, _INCARNATION, str(number))
        return number

    def is_copy(self, replica: Replica) -> bool:
        """Tell whether the database holds less, or other, of the hub's own entries than this directory remembers."""
        return self._record is not None and self._record.found_out(replica) is not None

    def leave_copy(self, replica: Replica) -> None:
        """Begin an incarnation where the database is a copy of an older one; the caller holds the lock of `org`.

        One too many costs but a stream.
        """
        assert self._record is not None
        known = self._record.found_out(replica)
        if known is not None:
            self.begin_incarnation(replica.connection, known)
            self._record.start_again(replica.connection)

    def follow(self, replica: Replica) -> None:
        """Remember what other processes of this hub have appended."""
        if self._record is not None:
            self._record.follow(replica.connection)


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
