"""World: a hub and its nodes in one process, on real replicas, with every fault a chain of shops has seen.

Goal: one seed decides all time and entropy, so that a failure is replayed by its number. Each machine is one disk
(an in-memory SQLite) and one process on it; a kill is a rollback at any statement, a clone or a backup is a copy of
the disk, and messages are the real frames, lost, doubled, late or damaged on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import msgspec
import sqlcipher3.dbapi2 as sqlcipher

from schema import codec
from schema.codec import encode
from schema.database import migrate, read_migrations
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, OperationId, Scope, Stream, location_scope
from schema.kinds import KIND_OF, KINDS
from schema.kinds.base import Code, Kind, Payload, Permission, StockEffects, StockMove
from schema.kinds.counting import ClockFixed
from schema.rules.receipt_numbers import ReceiptNumber
from sync import branches
from sync.bundle import BundleHeader, is_bundle_signed, read_bundle, write_bundle
from sync.clock import Clock, ClockMeasurement, ClockReading, anchored, measure, observe, start
from sync.entry import Entry
from sync.messages import (
    Batch,
    ClockReport,
    ForkProbe,
    Refusal,
    Request,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    scope_vector,
)
from sync.organisation import Organisation
from sync.reissue import ReissueProjection, reissue
from sync.replica import Moment, Replica
from sync.session import (
    ClientSession,
    Parting,
    SessionResult,
    Subscription,
    differing,
    locate,
    own_ahead,
    partings,
    probe,
    reply,
)
from sync.signing import SigningKey
from sync.stock_projection import core_folds
from sync.transport import NONCE_HEADER, SIGNATURE_HEADER, is_request_signed, sign_request
from sync.verification import verify_batch
from sync.version_vector import Head, VersionVector
from tests.simulation.carrying import SealedAboard

T = TypeVar("T")
OLD, NEW = "1.0", "1.1"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class TastingGiven(Payload, frozen=True):
    """A kind that only the newer release knows: a bottle opened for customers to taste."""

    operator: Code
    moves: tuple[StockMove, ...]


def _tasted(payload: TastingGiven) -> StockEffects:
    return StockEffects(payload.moves, "tasting")


TASTING = Kind("tasting.given", TastingGiven, Permission.TRADE, effects=_tasted)


def _know(is_known: bool) -> bool:
    name = (TASTING.name, TASTING.version)
    kinds, kind_of = cast(dict[Any, Any], KINDS), cast(dict[Any, Any], KIND_OF)
    was_known = name in kinds
    if is_known:
        kinds[name] = kind_of[TastingGiven] = TASTING
        codec._payload_decoders[name] = msgspec.msgpack.Decoder(TastingGiven)
    elif was_known:
        del kinds[name], kind_of[TastingGiven], codec._payload_decoders[name]
    return was_known


@contextmanager
def release_view(release: str) -> Iterator[None]:
    """Let the program know just the kinds of a release while a machine of that release acts."""
    was_known = _know(release == NEW)
    try:
        yield
    finally:
        _know(was_known)


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


class Conversation:
    """A session on its way: each step carries one frame, and time and others go on in between."""

    def __init__(self, client: Machine, server: Machine) -> None:
        self.client, self.server = client, server
        subscriptions = client.subscriptions
        if not server.is_hub:
            subscriptions = [s for s in subscriptions if not s.own_only]
        if not server.is_hub and server.location != client.location:  # a van on a shop's LAN
            subscriptions = [s for s in subscriptions if s.scope == ORG]
        rng = client.world.rng
        bytes_max = rng.choice([None, 2_000, 300, 20_000])
        self.session = ClientSession(client.signer, client.release, subscriptions, bytes_max=bytes_max)
        self.boots = client.boots, server.boots
        self.request: Request | None = client.transact(lambda: self.session.open(client.replica, client.report()))
        self.sent_ms = client.world.now
        self.answered: bytes | None = None
        self.theirs: dict[str, VersionVector] = {}
        self.is_over = self.request is None

    def step(self, *, is_calm: bool = False) -> None:
        """Carry one frame; on any fault the session is simply over."""
        world, client = self.client.world, self.client
        if self.is_over:
            return
        if (client.boots, self.server.boots) != self.boots or client.is_dead or self.server.is_dead:
            self.is_over = True
            return
        assert self.request is not None
        if self.answered is None:
            request = self.request
            raw = encode_request(request)
            self.sent_ms = world.now

            def anticipated() -> None:
                self.session.anticipate(client.replica, request)

            if world.rng.random() < 0.5:
                client.transact(anticipated)
            self.answered = world.carry(client, self.server, raw, is_calm=is_calm)
            self.is_over = self.answered is None
            return
        response = decode_response(self.answered)
        self.answered = None
        client.round_trip_ms = world.now - self.sent_ms

        def measured() -> bool:
            if self.server.is_hub:
                sent = self.sent_ms + client.wall_error_ms
                client.anchor(measure(sent, response.wall_ms, world.now + client.wall_error_ms))
            return True

        client.transact(measured)
        if client.ingest(response.batches, can_die=not is_calm) is None:
            self.is_over = True
            return
        self.theirs |= {v.scope: v.vector for v in response.vectors}
        request = self.request
        with release_view(client.release):
            following = client.transact(
                lambda: (self.session.next(client.replica, client.report(), request, response),)
            )
        assert following is not None
        self.request = following[0]
        world.count("round trip")
        if self.request is None:
            self.is_over = True
            result = self.session.result
            if result.mismatched_folds:
                world.fail(f"{client.name} and {self.server.name} hold the same and show other: {result}")
            client.finish(self.server, result, self.theirs)
            if result.is_complete:
                world.count("session")
                if not self.server.is_hub:
                    is_visit = self.server.location != client.location
                    world.count("lan visit" if is_visit else "lan session")
                    if not self.server.world.hub.can_hear:
                        world.count("lan session without a hub")

    def run(self) -> SessionResult:
        """Carry the session to its end on a quiet line."""
        limit = 2_000
        while not self.is_over and limit:
            self.client.world.now += 20
            self.step(is_calm=True)
            limit -= 1
        if not limit:
            self.client.world.fail(f"a session of {self.client.name} with {self.server.name} never ends")
        return self.session.result


class World:
    """Everything that one seed makes."""

    def __init__(self, seed: int, steps: int = 600) -> None:
        self.seed = seed
        self.steps = steps
        self.rng = random.Random(seed)
        self.now = 1_790_000_000_000
        self.kill_chance = 0.0
        self.loss_chance = 0.0
        self.damage_chance = 0.0
        self.hub_key = SigningKey(self.rng.randbytes(32))
        self.machines: list[Machine] = []
        self.locations: list[str] = []
        self.conversations: list[Conversation] = []
        self.late_requests: list[tuple[Machine, bytes]] = []
        self.late_batches: list[tuple[Machine, tuple[Batch, ...]]] = []
        self.counts: dict[str, int] = {}
        self.on_commit: Callable[[Committed], None] | None = None
        self.hub = Machine(self, "hub", self.hub_key, "")
        self.machines.append(self.hub)

    def fail(self, message: str) -> None:
        """Say what is wrong, with the command that replays it."""
        raise AssertionError(
            f"seed {self.seed}: {message}\nreplay: make simulate SEED={self.seed} RUNS=1 STEPS={self.steps}"
        )

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    def committed(self, what: Committed) -> None:
        if self.on_commit is not None:
            self.on_commit(what)

    def fuse(self) -> int | None:
        """Draw the statement before which the power goes; None for a transaction that is left alone."""
        return self.rng.randint(1, 60) if self.rng.random() < self.kill_chance else None

    def machine_of(self, node: str) -> Machine:
        return next(m for m in self.machines if m.signer.node == node)

    @property
    def alive(self) -> list[Machine]:
        return [m for m in self.machines if not m.is_dead]

    @property
    def nodes(self) -> list[Machine]:
        return [m for m in self.machines if not m.is_dead and not m.is_hub]

    # The line.

    def carry(self, client: Machine, server: Machine, raw: bytes, *, is_calm: bool) -> bytes | None:
        """Bring a request and its answer over the line, or lose either."""
        rng = self.rng
        headers = sign_request(client.signer, server.signer.node, "/sync", raw, str(rng.random()))
        if is_calm:
            return server.answer(raw, can_die=False)
        if rng.random() < self.damage_chance:
            self._deliver_damaged(client, server, raw, headers)
            return None
        if rng.random() < self.loss_chance or not (client.can_speak and server.can_hear):
            self.count("request lost")
            if rng.random() < 0.5:
                self.late_requests.append((server, raw))
            return None
        answered = server.answer(raw)
        if answered is not None and rng.random() < self.loss_chance:
            self.count("request doubled")
            answered = server.answer(raw)
        if answered is None:
            return None
        if rng.random() < self.damage_chance:
            self.count("response damaged")
            self._must_refuse(lambda: decode_response(self.damaged(answered)))
            return None
        if rng.random() < self.loss_chance or not (client.can_hear and server.can_speak):
            self.count("response lost")
            if rng.random() < 0.5:
                self.late_batches.append((client, decode_response(answered).batches))
            return None
        return answered

    def _deliver_damaged(self, client: Machine, server: Machine, raw: bytes, headers: dict[str, str]) -> None:
        broken = self.damaged(raw)
        self.count("request damaged")
        nonce, signature = headers[NONCE_HEADER], headers[SIGNATURE_HEADER]
        if is_request_signed(client.signer.public, server.signer.node, "/sync", broken, nonce, signature):
            self.fail("a damaged request passed for a signed one")
        self._must_refuse(lambda: decode_request(broken))

    def _must_refuse(self, decode: Callable[[], Any]) -> None:
        try:
            decode()
        except RefusalError:
            self.count("frame refused")

    def damaged(self, raw: bytes) -> bytes:
        """Cut a frame in half, or flip one bit."""
        if self.rng.random() < 0.5:
            return raw[: self.rng.randrange(len(raw))]
        at = self.rng.randrange(len(raw))
        return raw[:at] + bytes([raw[at] ^ 1 << self.rng.randrange(8)]) + raw[at + 1 :]

    def deliver_late(self) -> None:
        """Bring a message that was thought lost."""
        if self.late_requests and self.rng.random() < 0.7:
            server, raw = self.late_requests.pop(self.rng.randrange(len(self.late_requests)))
            if not server.is_dead:
                self.count("late request")
                server.answer(raw)
        if self.late_batches and self.rng.random() < 0.7:
            client, batches = self.late_batches.pop(self.rng.randrange(len(self.late_batches)))
            if not client.is_dead:
                self.count("late response")
                client.ingest(batches)

    # Bundles.

    def exchange_bundles(self, node: Machine, *, is_calm: bool = False) -> None:
        """Carry a file to the hub and one back, as a stick does; either may be damaged."""
        suspects = [
            stream
            for s in node.subscriptions
            for stream in differing(
                node.replica, s.scope, node.hub_vectors.get(s.scope, {}), node.signer.node if s.own_only else None
            )
        ]
        probes = tuple(probe(node.replica, stream) for stream in suspects)
        there = self.bundle(node, self.hub, node.hub_vectors, probes=probes)
        header = self.read(self.hub, there, is_calm=is_calm)
        if header is None:
            return
        stated: dict[str, VersionVector] = {v.scope: v.vector for v in header.vectors}
        found = tuple((p.stream, locate(self.hub.replica, p)) for p in header.probes)
        back = self.bundle(self.hub, node, stated, asker=node, found=found)
        answer = self.read(node, back, is_calm=is_calm)
        if answer is None:
            return
        node.hub_vectors = {v.scope: v.vector for v in answer.vectors}
        result = SessionResult()
        result.parted = partings(node.replica, probes, answer.branches)
        for scope, vector in node.hub_vectors.items():
            result.ahead += own_ahead(node.replica, scope, vector, node.signer.node)
        node.finish(self.hub, result, node.hub_vectors)

    def bundle(
        self,
        writer: Machine,
        reader: Machine,
        theirs: dict[str, VersionVector],
        asker: Machine | None = None,
        probes: tuple[ForkProbe, ...] = (),
        found: tuple[tuple[str, int], ...] = (),
    ) -> bytes:
        """Write what a reader lacks who holds `theirs`: of the writer's scopes, or of those of `asker`."""
        subscriptions = (asker or writer).subscriptions
        only = {s.scope: (asker or writer).signer.node if s.own_only else None for s in subscriptions}

        def write() -> bytes:
            replica = writer.replica
            heads = {scope: replica.log.heads(scope, node) for scope, node in only.items()}
            vectors = tuple(scope_vector(s, v, own_only=only[s] is not None) for s, v in heads.items())
            parts = []
            for scope, node in only.items():
                known = dict(theirs.get(scope, {}))
                while True:
                    batches, has_more = replica.outgoing(scope, known, 5_000, writer.signer, node)
                    if not batches:
                        break
                    parts.append(tuple(batches))
                    for batch in batches:
                        row = replica.log.stream(batch.stream)
                        last = batch.first_seq + len(batch.entries) - 1
                        assert row is not None
                        digest = replica.log.digest_at(row, last)
                        assert digest is not None
                        known[batch.stream.writer] = Head(last, digest)
                    if not has_more:
                        break
            header = BundleHeader(
                1, writer.release, writer.signer.node, reader.signer.node, self.now, vectors, (), probes, found
            )
            return b"".join(write_bundle(header, parts, writer.signer))

        made = writer.transact(write)
        assert made is not None
        self.count("bundle")
        return made

    def read(self, reader: Machine, data: bytes, *, is_calm: bool) -> BundleHeader | None:
        """Let a machine take in a bundle; None where it was refused as a whole, or the machine was killed."""
        if not is_calm and self.rng.random() < self.damage_chance * 2:
            data = self.damaged(data)
            self.count("bundle damaged")
        try:
            header, parts = read_bundle(data)
            for batches in parts:
                if reader.ingest(batches, can_die=not is_calm) is None:
                    return None
            writer = (
                self.machine_of(header.writer) if any(m.signer.node == header.writer for m in self.machines) else None
            )
            if writer is None or not is_bundle_signed(data, writer.signer.node, writer.signer.public):
                return None
        except RefusalError as error:
            self.count(f"bundle refused {error.code}")
            return None
        return header

    # Disks.

    def clone(self, machine: Machine, *, is_known: bool) -> Machine:
        """Copy a disk into a second machine; both live on under one key."""
        twin = Machine(
            self, f"{machine.till}~{len(self.machines)}", machine.signer, machine.location, image=machine.disk.image()
        )
        twin.release, twin.wall_error_ms = machine.release, machine.wall_error_ms
        self.machines.append(twin)
        if is_known:
            twin.transact(lambda: (twin.renew(),))
        else:
            twin.knows_copy = machine.knows_copy = False
        self.count("clone")
        return twin

    def restore(self, machine: Machine, image: Any, *, is_known: bool) -> None:
        """Put an older copy of a disk into its machine."""
        machine.disk = Disk(image)
        machine.hub_vectors = {}
        machine.boot()
        if is_known:
            machine.transact(lambda: (machine.renew(),))
        else:
            machine.knows_copy = False
        self.count("hub restore" if machine.is_hub else "restore")

    # The end.

    def heal(self) -> None:
        """End every fault: all lines up, all clocks and releases as they are, nobody is killed."""
        self.kill_chance = self.loss_chance = self.damage_chance = 0.0
        self.conversations.clear()
        self.late_requests.clear()
        self.late_batches.clear()
        for machine in self.alive:
            machine.can_hear = machine.can_speak = True
            if machine.release == OLD:
                self.upgrade(machine)

    def upgrade(self, machine: Machine) -> None:
        """Install the newer release and fold what the older one had parked."""
        machine.release = NEW
        machine.boot()
        machine.transact(lambda: (machine.replica.unpark(),))
        self.count("upgrade")

    def sync(self, node: Machine) -> None:
        """Let one node reconcile with the hub on a quiet line."""
        self.now += SECOND
        if node.uses_bundles:
            self.exchange_bundles(node, is_calm=True)
        else:
            Conversation(node, self.hub).run()
