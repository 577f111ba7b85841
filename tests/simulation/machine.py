"""One machine of the simulated fleet: a disk that may be cut off at any statement, and one process on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlcipher3.dbapi2 as sqlcipher

from schema.codec import encode
from schema.database import migrate, read_migrations
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, OperationId, Scope, Stream, location_scope
from schema.kinds.base import Payload
from schema.kinds.counting import ClockFixed
from schema.rules.receipt_numbers import ReceiptNumber
from sync import branches
from sync.clock import Clock, ClockMeasurement, ClockReading, anchored, observe, start
from sync.entry import Entry
from sync.messages import (
    Batch,
    ClockReport,
    Refusal,
    Request,
    decode_request,
    encode_response,
)
from sync.organisation import Organisation
from sync.reissue import ReissueProjection, reissue
from sync.replica import Moment, Replica
from sync.session import (
    Parting,
    SessionResult,
    Subscription,
    reply,
)
from sync.signing import SigningKey
from sync.stock_projection import core_folds
from sync.verification import verify_batch
from sync.version_vector import VersionVector
from tests.simulation.carrying import SealedAboard
from tests.simulation.releases import NEW, release_view

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class KilledError(Exception):
    """The power went in the middle of a transaction."""


class Disk:
    """A database whose owner may be killed before any statement."""

    def __init__(self, image: Any = None) -> None:
        self.connection = sqlcipher.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA recursive_triggers = ON")
        self.fuse: int | None = None
        if image is not None:
            image.backup(self.connection)

    def _burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                raise KilledError

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._burn()
        return self.connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        self._burn()
        return self.connection.executemany(sql, rows)

    def image(self) -> Any:
        """Return a copy of what was committed."""
        copy = sqlcipher.connect(":memory:", isolation_level=None)
        self.connection.backup(copy)
        return copy


class Committed(msgspec.Struct, frozen=True):
    """What one transaction made durable on one machine."""

    machine: str
    entries: tuple[Entry, ...]
    receipt: str


class Machine:
    """One disk, one key, one process: a till, a warehouse's or a van's node, or the hub."""

    def __init__(self, world: World, name: str, signer: SigningKey, location: str, *, image: Any = None) -> None:
        self.world = world
        self.name = name
        self.signer = signer
        self.location = location
        self.till = name.split("~", maxsplit=1)[0]
        self.is_hub = name == "hub"
        self.release = NEW
        self.is_dead = False
        self.uses_bundles = False
        self.can_hear = self.can_speak = True
        self.wall_error_ms = 0
        self.boots = 0
        self.booted_ms = 0
        self.clock_battery = True
        self.knows_copy = True
        self.round_trip_ms: int | None = None
        self.hub_vectors: dict[str, VersionVector] = {}
        self.aboard: list[SealedAboard] = []
        """Bundles of others on their way to the hub; only a van has any."""
        self.mail: list[tuple[Machine, bytes]] = []
        """The hub's answers on their way back, each sealed to its reader."""
        self.looks: list[Any] = []
        self.disk = Disk(image)
        if image is None:
            with release_view(self.release):
                self.disk.execute("BEGIN IMMEDIATE")
                migrate(self.disk, read_migrations("replica"))
                self.disk.execute(
                    "CREATE TABLE machine (incarnation INTEGER, receipt INTEGER, clock BLOB, measured TEXT)"
                )
                self.disk.execute("CREATE TABLE measured (node TEXT, epoch INTEGER, PRIMARY KEY (node, epoch))")
                clock = msgspec.msgpack.encode(start(ClockReading(world.now, 0, "factory")))
                self.disk.execute("INSERT INTO machine VALUES (1, 1, ?, '')", (clock,))
                self.disk.execute("COMMIT")
        self._entries: list[Entry] = []
        self._receipt = ""
        self.boot()

    # The process.

    def boot(self) -> None:
        """Start the program afresh: nothing is left but what was committed."""
        self.boots += 1
        self.booted_ms = self.world.now
        self.looks.clear()
        self._open()

    def _open(self) -> None:
        organisation = Organisation(self.world.hub_key.node, self.world.hub_key.public)
        folds = core_folds(organisation)
        extra = (ReissueProjection(),) if self.is_hub else ()
        self.replica = Replica(self.disk, organisation, (*folds, *extra))

    def transact(self, work: Callable[[], T], *, fuse: int | None = None) -> T | None:
        """Run a use case in one transaction; None when the machine was killed. A refusal rolls back and goes on."""
        self.disk.fuse = None
        self._entries, self._receipt = [], ""
        knew_copy = self.knows_copy
        self.disk.execute("BEGIN IMMEDIATE")
        self.disk.fuse = fuse
        try:
            with release_view(self.release):
                result = work()
            self.disk._burn()
        except KilledError:
            self.disk.fuse = None
            self.disk.execute("ROLLBACK")
            self.knows_copy = knew_copy  # a renewal that was rolled back is forgotten with the rest
            self.world.count("kill")
            self.boot()
            return None
        except BaseException:
            self.disk.fuse = None
            self.disk.execute("ROLLBACK")
            self.knows_copy = knew_copy
            self.replica.forget()
            raise
        self.disk.fuse = None
        self.disk.execute("COMMIT")
        if self._entries:
            self.world.committed(Committed(self.name, tuple(self._entries), self._receipt))
        return result

    # What it knows of itself.

    @property
    def incarnation(self) -> int:
        return int(self.disk.execute("SELECT incarnation FROM machine").fetchone()[0])

    def stream(self, scope: Scope) -> Stream:
        return Stream(scope, self.signer.node, self.incarnation)

    @property
    def home(self) -> Scope:
        return location_scope(LocationId(self.location))

    @property
    def subscriptions(self) -> list[Subscription]:
        if self.is_hub:
            return [Subscription(ORG), *(Subscription(location_scope(LocationId(x))) for x in self.world.locations)]
        others = [Subscription(location_scope(LocationId(x)), True) for x in self.world.locations if x != self.location]
        return [Subscription(ORG), Subscription(self.home), *others]

    # Time.

    def reading(self) -> ClockReading:
        return ClockReading(
            self.world.now + self.wall_error_ms, self.world.now - self.booted_ms, f"{self.name}/{self.boots}"
        )

    def clock(self) -> Clock:
        """Observe the clock and keep what came of it; inside a transaction."""
        stored = self.disk.execute("SELECT clock FROM machine").fetchone()[0]
        clock = observe(msgspec.msgpack.decode(bytes(stored), type=Clock), self.reading())
        self._keep(clock)
        return clock

    def _keep(self, clock: Clock) -> None:
        self.disk.execute("UPDATE machine SET clock = ?", (msgspec.msgpack.encode(clock),))

    def anchor(self, measurement: ClockMeasurement) -> Clock:
        clock = anchored(self.clock(), measurement)
        self._keep(clock)
        return clock

    def moment(self) -> Moment:
        clock = self.clock()
        return Moment(clock.wall_ms, clock.bound_ms(), clock.epoch)

    def report(self) -> ClockReport:
        clock = self.clock()
        return ClockReport(clock.wall_ms, clock.epoch, clock.bound_ms(), self.round_trip_ms)

    # Writing.

    def append(self, scope: Scope, payload: Payload, operation: str = "") -> Entry:
        stream = self.stream(scope)
        held = {w: h.seq for w, h in self.replica.log.heads(scope).items() if w != stream.writer}
        entry = self.replica.append(stream, payload, self.moment(), OperationId(operation))
        row = self.replica.log.stream(stream)
        assert row is not None
        told = self.replica.log.vector_at(row, entry.body.seq)
        if any(told.get(writer, 0) < seq for writer, seq in held.items()):
            self.world.fail(f"{entry.id} tells {told}, though its writer held {held}")
        self._entries.append(entry)
        return entry

    def next_receipt(self) -> str:
        incarnation, number = self.disk.execute("SELECT incarnation, receipt FROM machine").fetchone()
        self.disk.execute("UPDATE machine SET receipt = receipt + 1")
        self._receipt = str(ReceiptNumber(self.till, incarnation, number))
        return self._receipt

    def renew(self) -> int:
        """Begin a new incarnation; inside a transaction."""
        entropy = self.world.rng.randrange(1 << 30)
        fresh = branches.renew(self.replica, self.signer.node, self.incarnation, entropy)
        self.disk.execute("UPDATE machine SET incarnation = ?, receipt = 1", (fresh,))
        self.knows_copy = True
        self.world.count("incarnation")
        return fresh

    def vector(self, scope: Scope | None = None) -> tuple[tuple[str, int], ...]:
        return tuple(sorted((w, h.seq) for w, h in self.replica.log.heads(scope or self.home).items()))

    # Sync.

    def ingest(self, batches: Iterable[Batch], *, can_die: bool = True) -> list[Refusal] | None:
        """Take in batches, one transaction each; None when the machine was killed on the way."""
        refusals: list[Refusal] = []
        for batch in batches:

            def take(batch: Batch = batch) -> bool:
                admitted = self.replica.admit(batch)
                if admitted is None:
                    return True
                verified = verify_batch(*admitted)
                if branches.must_renew(self.signer.node, self.incarnation, [batch.stream]):
                    self.renew()
                self.replica.store(verified)
                if self.is_hub:
                    self._entries += reissue(self.replica, self.signer.node, self.incarnation, self.moment())
                return True

            try:
                if self.transact(take, fuse=self.world.fuse() if can_die else None) is None:
                    return None
            except RefusalError as error:
                refusals.append(Refusal(str(batch.stream), batch.first_seq, error.code, error.message))
                self.world.count(f"refused {error.code}")
                if error.code == "fork":
                    self.transact(lambda batch=batch, error=error: (self._quarantine(batch, error),))  # type: ignore[misc]
        return refusals

    def _quarantine(self, batch: Batch, error: RefusalError) -> bool:
        noted_ms = self.moment().wall_ms
        name = str(batch.stream)
        self.replica.log.quarantine(name, batch.first_seq, error.code, error.message, encode(batch), noted_ms)
        return True

    def answer(self, raw: bytes, *, can_die: bool = True) -> bytes | None:
        """Answer a request's frame; None when it was refused as a whole or the machine was killed."""
        request = decode_request(raw)
        refusals = self.ingest(request.batches, can_die=can_die)
        if refusals is None:
            return None
        if self.is_hub:
            self._fix_clock(request)
        asker = self.world.machine_of(request.node)
        may_read = {s.scope: not s.own_only for s in asker.subscriptions}
        response = self.transact(
            lambda: reply(
                self.replica,
                request,
                release=self.release,
                me=self.signer.node,
                wall_ms=self.moment().wall_ms,
                signer=self.signer,
                refusals=refusals,
                may_read=may_read,
            )
        )
        return None if response is None else encode_response(response)

    def _fix_clock(self, request: Request) -> None:
        """Measure the asking node's clock, and say so in every scope it writes when the error exceeds its bound."""
        report = request.clock

        def fix() -> None:
            wall_ms = self.moment().wall_ms
            offset_ms = report.wall_ms - wall_ms
            slack_ms = report.round_trip_ms if report.round_trip_ms is not None else MINUTE
            known = self.disk.execute(
                "SELECT 1 FROM measured WHERE node = ? AND epoch = ?", (request.node, report.epoch)
            ).fetchone()
            if known or (report.unc_ms is not None and abs(offset_ms) <= report.unc_ms + slack_ms):
                return
            self.disk.execute("INSERT INTO measured VALUES (?, ?)", (request.node, report.epoch))
            for scope in sorted(self.replica.log.scopes()):
                for row in self.replica.log.streams(scope):
                    if row.stream.node == request.node and scope != ORG:
                        fixed = ClockFixed(row.stream.writer, report.epoch, offset_ms, slack_ms + 100)
                        self.append(scope, fixed)
                        self.world.count("clock fix")

        self.transact(fix)

    def finish(self, server: Machine, result: SessionResult, theirs: dict[str, VersionVector]) -> None:
        """Act on what a session found: a new incarnation, room for the canonical branch, recovery."""
        met = [*result.ahead, *(parting.stream for parting in result.parted)]

        def renewed() -> bool:
            if branches.must_renew(self.signer.node, self.incarnation, met):
                self.renew()
            return True

        def gave_way(parting: Parting) -> bool:
            if branches.must_renew(self.signer.node, self.incarnation, [parting.stream]):
                self.renew()
            self.world.count("branch left")
            branches.give_way(self.replica, parting, self.signer.node, self.moment().wall_ms)
            return True

        if met and self.transact(renewed, fuse=self.world.fuse()) is None:
            return
        if not server.is_hub:
            return
        for parting in result.parted:
            if self.transact(lambda parting=parting: gave_way(parting), fuse=self.world.fuse()) is None:  # type: ignore[misc]
                return
        for subscription in self.subscriptions:
            scope = Scope(subscription.scope)
            heads = self.replica.log.heads(scope) if result.is_complete else theirs.get(scope)
            if heads is not None and branches.can_recover(self.replica, scope, heads):

                def recovered(scope: Scope = scope) -> bool:
                    self._entries += branches.recover(self.replica, self.stream(scope), self.moment())
                    self.world.count("recovered entry", len(self._entries))
                    return True

                self.transact(recovered, fuse=self.world.fuse())
