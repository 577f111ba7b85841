"""Workload: a hub and tills of one shop that sell, count, resolve, fall silent and prune, over real replicas."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import sqlcipher3.dbapi2 as sqlite_driver

from hub.own_log import OwnLog, found_organisation, parse_location
from hub.pruning import Pruning
from hub.service import default_folds
from schema.database import migrate, read_migrations
from schema.errors import RefusalError
from schema.identity import ORG, Scope, Stream
from schema.kinds.base import Payload, StockMove
from schema.kinds.counting import (
    ClockFixed,
    CountAccepted,
    CountOpened,
    CountRecorded,
    EntryVoided,
    Look,
    MovementClassified,
)
from schema.kinds.organisation import AuthorityGranted, PolicySet, ScopeGrant
from schema.kinds.stock import GoodsReceived, TransferDispatched, TransferNoticed, TransferReceived
from sync.entry import Entry
from sync.fold import SetFold, fold_set
from sync.messages import Batch
from sync.organisation import Organisation
from sync.pruning import found, foundation, prune, seed_from
from sync.replica import Moment, Replica, stream_effective
from sync.signing import SigningKey
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables
from sync.verification import verify_batch
from sync.version_vector import Head
from tests.hub.fleet import sale

DAY = 86_400_000
MINUTE = 60_000
SCOPE = Scope("loc/A")
HUB = SigningKey(bytes([9]) * 32)
PRODUCTS = ("P1", "P2", "P3")


class Party:
    """One replica with its key."""

    def __init__(self, signer: SigningKey) -> None:
        self.signer = signer
        self.connection: Any = sqlite_driver.connect(":memory:", isolation_level=None)
        migrate(self.connection, read_migrations("replica", "hub"))
        organisation = Organisation(HUB.node, HUB.public)
        self.replica = Replica(self.connection, organisation, default_folds(organisation))
        self.replica.log.ensure_scope(ORG)
        self.replica.log.ensure_scope(SCOPE)
        self.offset_ms = 0
        self.unc_ms: int | None = 1_000
        self.epoch = 0

    @property
    def stock(self) -> StockProjection:
        return self.replica.fold(StockProjection)

    @property
    def stream(self) -> Stream:
        return Stream(SCOPE, self.signer.node, 1)

    def vector(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted((w, h.seq) for w, h in self.replica.log.heads(SCOPE).items()))

    def take(self, batches: Sequence[Batch], pruning: Pruning | None = None) -> None:
        """Verify, store and fold what another party sent."""
        for batch in batches:
            admitted = self.replica.admit(batch)
            if admitted is None:
                continue
            verified = verify_batch(*admitted)
            self.connection.execute("BEGIN")
            self.replica.store(verified)
            if pruning is not None:
                pruning.after_store(self.replica, verified.stream.scope, verified.entries)
            self.connection.execute("COMMIT")

    def prune(self) -> int:
        self.connection.execute("BEGIN")
        try:
            done = prune(self.replica, self.stock, SCOPE)
        except RefusalError as error:
            self.connection.execute("ROLLBACK")
            if error.code == "figures_differ":
                raise
            return 0
        self.connection.execute("COMMIT")
        return done

    def shows(self) -> dict[str, Any]:
        """Return everything derived of the scope, without local numbers and the order in which doubts arose."""
        tables = {
            "stock": "SELECT product, value, lo, hi, state IS NULL FROM stock WHERE is_present = 1",
            "transfer": "SELECT transfer, product, transit, state FROM transfer",
            "conflict": "SELECT conflict, code, status, subject, content FROM conflict",
            "key_balance": "SELECT product, cut_id, hlc_ms, hlc_counter, writer, seq, content FROM key_balance",
            "scope_cut": "SELECT cut_id, hlc_ms, hlc_counter, heads, settled, parts, is_declared FROM scope_cut",
            "cut_keep": "SELECT cut_id, writer, first_seq, last_seq FROM cut_keep",
            "cut_part": "SELECT cut_id, part FROM cut_part",
            "epochs": "SELECT writer, clock_epoch FROM corrected_epoch",
            "digest": "SELECT scope, fold_digest FROM scope",
        }
        return {
            name: sorted(tuple(_plain(v) for v in row) for row in self.connection.execute(sql).fetchall())
            for name, sql in tables.items()
        }


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytes) else value


class World:
    """The hub, its tills and what they do, drawn from one seed."""

    def __init__(self, seed: int, tills: int = 3) -> None:
        self.rng = random.Random(seed)
        self.now = 100 * DAY
        self.hub = Party(HUB)
        self.own_log = OwnLog(HUB.node, lambda: self.now)
        self.pruning = Pruning(None, self.own_log, lambda: self.now)  # type: ignore[arg-type]
        self.hub.connection.execute("BEGIN")
        found_organisation(
            self.hub.replica, self.own_log, name="L", public_key=HUB.public, locations=[parse_location("A:Shop:shop")],
            currency="CNY", time_zone="Asia/Shanghai",
        )  # fmt: skip
        self.tills = [Party(SigningKey(bytes([number + 1]) * 32)) for number in range(tills)]
        for number, till in enumerate(self.tills):
            grant = ScopeGrant(SCOPE, ("trade", "stock", "count", "resolve", "notice"), "admin")
            self.own_log.append(
                self.hub.replica,
                ORG,
                AuthorityGranted(till.signer.node, till.signer.public, f"T{number}", "A", f"T{number}", (grant,)),
            )
            till.offset_ms = self.rng.choice([0, 0, 500, -20 * MINUTE])
            till.unc_ms = self.rng.choice([0, 1000, 5 * MINUTE, None])
        self.hub.connection.execute("COMMIT")
        for till in self.tills:
            self.meet(till)
        self.silent: set[int] = set()
        self.sessions = 0

    def meet(self, till: Party) -> None:
        """Let a till exchange with the hub until neither lacks anything."""
        for scope in (ORG, SCOPE):
            mine, _ = till.replica.outgoing(scope, self.hub.replica.log.heads(scope), 1 << 30, till.signer)
            self.hub.take(mine, self.pruning)
        for scope in (ORG, SCOPE):
            theirs, _ = self.hub.replica.outgoing(scope, till.replica.log.heads(scope), 1 << 30, HUB)
            till.take(theirs)

    def append(self, party: Party, payload: Payload) -> Entry:
        party.connection.execute("BEGIN")
        if party is self.hub:
            entry = self.pruning.append(self.hub.replica, SCOPE, payload)
        else:
            moment = Moment(self.now + party.offset_ms, party.unc_ms, party.epoch)
            entry = party.replica.append(party.stream, payload, moment)
        party.connection.execute("COMMIT")
        return entry

    def entries(self, party: Party, *kinds: type) -> list[Entry]:
        return [
            entry
            for row in party.replica.log.streams(SCOPE)
            for entry in party.replica.log.entries(row)
            if isinstance(entry.payload, kinds)
        ]

    def step(self, *, late: bool = False, resolving: bool = True, policies: bool = False) -> None:
        """Let something happen."""
        rng = self.rng
        self.now += rng.choice([1_000, MINUTE, 30 * MINUTE])
        number = rng.randrange(len(self.tills))
        till = self.tills[number]
        product = rng.choice(PRODUCTS)
        acts = ["sell"] * 4 + ["receive", "count", "count", "session", "transfer", "meet", "meet", "step_clock"]
        acts += ["void", "accept", "classify", "fix"] if resolving else []
        acts += ["policy"] if policies else []
        match rng.choice(acts):
            case "sell":
                self.append(till, sale(f"R{rng.random()}", product=product))
            case "receive":
                self.append(till, GoodsReceived("D", "S", "o", (StockMove(product, rng.randint(1, 9) * 1000),)))
            case "count":
                self.count(till, product)
            case "session":
                self.session(till, product)
            case "transfer":
                self.transfer(till, product)
            case "meet":
                if not (late and number in self.silent):
                    self.meet(till)
            case "step_clock":
                till.epoch += 1
            case "policy":
                self.hub.connection.execute("BEGIN")
                disagreement = rng.choice(["latest", "authority", "lowest", "average", "manual"])
                ambiguous = rng.choice(["midpoint", "conservative"])
                self.own_log.append(
                    self.hub.replica, ORG, PolicySet("", rng.choice([0, 2000]), 0, disagreement, ambiguous)
                )
                self.hub.connection.execute("COMMIT")
            case "fix":
                writer = till.stream.writer
                self.append(self.hub, ClockFixed(writer, rng.randint(0, till.epoch), till.offset_ms, 500))
            case act:
                self.resolve(act, rng.choice([till, self.hub]))

    def count(self, till: Party, product: str, session: str = "", zone: str = "") -> None:
        basis = till.vector()
        lo = self.now + till.offset_ms
        self.now += self.rng.choice([0, 500, 5 * MINUTE])
        if self.rng.random() < 0.3:
            self.append(till, sale(f"R{self.rng.random()}", product=product))
        role = self.rng.choice(["clerk", "auditor", "admin"])
        look = Look(self.rng.randint(0, 12) * 1000, lo, self.now + till.offset_ms, basis, till.vector(), zone)
        names = [f"{e.stream.writer}:{e.body.seq}" for e in self.entries(till, GoodsReceived)[-2:]] + ["X1"]
        absorbs = (self.rng.choice(names),) if self.rng.random() < 0.15 else ()
        left_out = (self.rng.choice(names),) if self.rng.random() < 0.1 else ()
        self.append(till, CountRecorded(product, role, "o", (look,), session, absorbs, left_out))

    def session(self, till: Party, product: str) -> None:
        if not self.sessions or self.rng.random() < 0.5:
            self.sessions += 1
            self.append(till, CountOpened(f"S{self.sessions}", ("Z1", "Z2"), (product,), "o"))
        session = f"S{self.rng.randint(1, self.sessions)}"
        for zone in self.rng.sample(["Z1", "Z2"], self.rng.randint(1, 2)):
            self.count(till, product, session, zone)

    def transfer(self, till: Party, product: str) -> None:
        name = self.rng.choice(["X1", "X2", "X3"])
        quantity = self.rng.choice([2000, 2000, 3000])
        match self.rng.choice(["notice", "recv", "recv", "out"]):
            case "notice":
                move = (StockMove(product, -quantity),)
                self.append(till, TransferNoticed("dispatched", name, "W", "A", move, False, "loc/W:w.1:1"))
            case "recv":
                is_final = self.rng.random() < 0.3
                self.append(till, TransferReceived(name, "W", "o", (StockMove(product, quantity),), is_final))
            case _:
                self.append(till, TransferDispatched(f"{name}o", "W", "o", (StockMove(product, -quantity),)))
                if self.rng.random() < 0.7:
                    move = (StockMove(product, quantity),)
                    self.append(till, TransferNoticed("received", f"{name}o", "W", "A", move, True, "loc/W:w.1:2"))

    def resolve(self, act: str, party: Party) -> None:
        counts = self.entries(party, CountRecorded)
        moves = [e for e in self.entries(party, GoodsReceived, TransferReceived) if e.payload is not None]
        if not counts or not moves:
            return
        count, move = self.rng.choice(counts), self.rng.choice(moves)
        assert isinstance(count.payload, CountRecorded)
        name = count.payload.session or f"{count.stream.writer}:{count.body.seq}"
        role = self.rng.choice(["auditor", "admin"])
        vector = party.vector()
        match act:
            case "accept":
                self.append(party, CountAccepted(count.payload.product, name, role, "o", vector))
            case "classify":
                target = f"{move.stream.writer}:{move.body.seq}"
                side = self.rng.choice(["BEFORE", "AFTER"])
                self.append(party, MovementClassified(target, name, side, role, "o", vector))
            case _:
                entry = self.rng.choice([*counts, *moves])
                self.append(party, EntryVoided(f"{entry.stream.writer}:{entry.body.seq}", role, "o", vector))

    def cut(self, *, days: int = 30, settled: bool = False) -> bool:
        """Let the hub cut what is older; tells whether there was anything."""
        self.hub.connection.execute("BEGIN")
        known = {w: h.seq for w, h in self.hub.replica.log.heads(SCOPE).items()} if settled else None
        try:
            self.pruning.cut(self.hub.replica, SCOPE, self.now - days * DAY, known)
        except RefusalError as error:
            self.hub.connection.execute("ROLLBACK")
            if error.code != "nothing_older":
                raise
            return False
        self.hub.connection.execute("COMMIT")
        return True

    def whole(self) -> SetFold:
        """Return what all entries say that the hub ever got, opening balances aside."""
        number = self.hub.replica.log.scope_no(SCOPE)
        assert number is not None
        tables = StockTables(self.hub.connection, number, SCOPE, "A", sees_history=True)
        facts = [
            fact
            for row in self.hub.replica.log.streams(SCOPE)
            for entry in stream_effective(self.hub.replica.log, row)
            for fact in tables.facts_at(entry.stream_no, entry.seq)
        ]
        return fold_set(facts, self.hub.stock.rules(self.hub.connection))

    def everybody_meets(self) -> None:
        for till in (*self.tills, *self.tills):
            self.meet(till)

    def newcomer(self, *, on_foundation: bool) -> Party:
        """Return a new replica: on what a snapshot would bring, or with every entry, streams in random order."""
        party = Party(SigningKey(bytes([77]) * 32))
        if on_foundation:
            party.connection.execute("BEGIN")
            found(party.replica, *foundation(self.hub.replica, SCOPE))
            party.connection.execute("COMMIT")
        self.bring_all(party)
        return party

    def bring_all(self, party: Party, source: Party | None = None) -> None:
        replica = (source or self.hub).replica
        signer = (source or self.hub).signer
        for scope in (ORG, SCOPE):
            batches, _ = replica.outgoing(scope, party.replica.log.heads(scope), 1 << 30, signer)
            self.rng.shuffle(batches)
            party.take(batches)

    def refolded(self, party: Party) -> Party:
        """Return a replica folded again from what another still holds."""
        again = Party(party.signer)
        again.connection.execute("BEGIN")
        seed_from(party.replica, again.replica)
        again.connection.execute("COMMIT")
        for scope in (ORG, SCOPE):
            theirs: dict[str, Head] = again.replica.log.heads(scope)
            batches, _ = party.replica.outgoing(scope, theirs, 1 << 30, party.signer)
            again.take(batches)
        return again
