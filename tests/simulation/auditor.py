"""Auditor: knows what every replica must show, from the entries alone, and what must never be lost or count twice.

Its oracle is the batch fold over the effective entries, judged by an authority that it derives itself; the replicas'
tables were kept entry by entry, through kills, forks and refolds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from schema.codec import decode_body, decode_payload
from schema.identity import ORG, EntryId, LocationId, Stream, location_scope, scope_location
from schema.kinds import KIND_OF
from schema.kinds.base import Rank
from schema.kinds.catalogue import ChangeStamp, DocumentChange
from schema.kinds.counting import CountRecorded, EntryVoided
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    EntryRecovered,
    LocationDefined,
    PolicySet,
)
from schema.kinds.stock import TransferNoticed
from sync.authority import derive_authority
from sync.conflicts import Conflict
from sync.documents import Delivery, DocumentState
from sync.effective import Effective, as_effective
from sync.entry import Entry
from sync.fold import fold_set
from sync.fold_digest import fold_digest
from sync.key_state import canonical_state
from sync.rights import RightsFigure
from sync.stock_facts import AmbiguousPick, ConflictCode, Disagreement, Policy, Rules
from sync.stock_facts_of import stock_facts_of
from tests.simulation.machine import Committed, Machine
from tests.simulation.releases import release_view
from tests.simulation.world import World

ROUNDS_MAX = 11
"""Quiet rounds after which everything must have drained: each lets every node reconcile with the hub once."""


class Picture(msgspec.Struct):
    """All that a replica shows of one scope."""

    figures: dict[str, tuple[int, int, int]]
    conflicts: list[Conflict]
    transfers: dict[tuple[str, str], int]
    rights: dict[str, RightsFigure]
    digest: int
    states: dict[str, bytes]
    """What is remembered of products between facts: what is shown tomorrow rests on it."""


class Auditor:
    """Watches every commit, and judges replicas whenever it is asked."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.on_commit = self.committed
        self.bodies: dict[bytes, bytes] = {}
        self.places: dict[bytes, EntryId] = {}
        self.excused: set[bytes] = set()
        self.orphaned: set[bytes] = set()
        self.printed: dict[str, list[str]] = defaultdict(list)
        self.codes: Counter[ConflictCode] = Counter()

    # What happened.

    def committed(self, what: Committed) -> None:
        """Remember what a machine made durable, and the number on the paper it printed."""
        for entry in what.entries:
            self.bodies[entry.digest] = entry.encoded
            self.places[entry.digest] = entry.id
        if not what.receipt:
            return
        machine = next(m for m in self.world.machines if m.name == what.machine)
        others = self.printed[what.receipt]
        if others and machine.knows_copy:
            self.world.fail(f"{what.machine} printed {what.receipt} again after {others}, though it knew of its copy")
        others.append(what.machine)

    def disk_lost(self, machine: Machine) -> None:
        """Note what is left without its writer when a disk is replaced by an older copy.

        Entries on no other disk at all are excused. Those of its own node that only others hold may yet turn out
        to be a branch whose writer never answers: they may end in quarantine, but not vanish.
        """
        mine = self._digests(machine)
        others = [m for m in self.world.alive if m is not machine]
        self.excused |= mine.difference(*(self._digests(m) for m in others))
        twins = [self._digests(m) for m in others if m.signer.node == machine.signer.node]
        self.orphaned |= mine.difference(*twins)

    def _quarantined(self) -> set[bytes]:
        rows = [r for m in self.world.alive for r in m.disk.execute("SELECT evidence FROM quarantine").fetchall()]
        return {bytes(evidence) for (evidence,) in rows}

    @staticmethod
    def _digests(machine: Machine) -> set[bytes]:
        """Return the digests that a disk holds: in the log, waiting for recovery, or within a recovered entry."""
        rows = machine.disk.execute(
            "SELECT digest FROM entry UNION SELECT digest FROM diverged UNION SELECT digest FROM recovered"
        ).fetchall()
        return {bytes(d) for (d,) in rows}

    # One replica.

    def audit(self, machine: Machine) -> None:
        """Compare everything that a replica shows with the batch fold of what it holds."""
        with release_view(machine.release):
            self._check_bytes(machine)
            effective = self._effective(machine)
            documents = self._check_documents(machine, effective)
            rules = self._rules(effective, documents)
            for scope in machine.replica.log.scopes():
                if scope_location(scope) is not None:
                    self._check_scope(machine, scope, effective.get(scope, []), rules)

    def _fail(self, machine: Machine, message: str) -> None:
        self.world.fail(f"{machine.name}: {message}")

    def _check_bytes(self, machine: Machine) -> None:
        for row in machine.replica.rows():
            machine.replica.log.verify_chain(row)
            for entry in machine.replica.log.entries(row):
                if self.bodies.get(entry.digest) != entry.encoded:
                    self._fail(machine, f"{entry.id} is not what any machine committed")

    def _effective(self, machine: Machine) -> dict[str, list[Effective]]:
        """Judge every stored entry by the grants and revocations here."""
        held: dict[Stream, list[Entry]] = {}
        numbers = {}
        for row in machine.replica.rows():
            held[row.stream] = list(machine.replica.log.entries(row))
            numbers[row.stream] = row.stream_no
        root = self.world.hub_key.node
        in_org = [e.payload for s, entries in held.items() if s.scope == ORG and s.node == root for e in entries]
        grants = [p for p in in_org if isinstance(p, AuthorityGranted)]
        revocations = [p for p in in_org if isinstance(p, AuthorityRevoked)]
        judged: dict[str, list[Effective]] = defaultdict(list)
        standing = {e.digest for entries in held.values() for e in entries}
        for stream, entries in held.items():
            authority = derive_authority(
                stream,
                root,
                [g for g in grants if g.node == stream.node],
                [r for r in revocations if r.node == stream.node],
            )
            vector: dict[str, int] = {}
            for entry in entries:
                for writer, seq in entry.body.seen:
                    vector[writer] = max(seq, vector.get(writer, 0))
                if entry.payload is None:
                    continue
                kind, payload = KIND_OF[type(entry.payload)], entry.payload
                if isinstance(payload, EntryRecovered):
                    inner = decode_payload(decode_body(payload.body))
                    if inner is None or payload.digest in standing:
                        continue
                    kind, payload = KIND_OF[type(inner)], inner
                if authority.objection(kind, payload, entry.body.seq):
                    continue
                found = as_effective(stream, numbers[stream], entry.body, entry.payload, dict(vector), entry.digest)
                judged[stream.scope].append(found)
        for scope, entries_ in judged.items():
            judged[scope] = self._once(entries_, held)
        return judged

    @staticmethod
    def _once(entries: list[Effective], held: Mapping[Stream, list[Entry]]) -> list[Effective]:
        """Leave of several recoveries of one entry the first by name."""
        origin: dict[EntryId, bytes] = {}
        for stored in held.values():
            for entry in stored:
                if isinstance(entry.payload, EntryRecovered):
                    origin[entry.id] = entry.payload.digest
        first: dict[bytes, tuple[str, int]] = {}
        for e in entries:
            if e.id in origin:
                place = (e.writer, e.seq)
                first[origin[e.id]] = min(place, first.get(origin[e.id], place))
        return [e for e in entries if e.id not in origin or first[origin[e.id]] == (e.writer, e.seq)]

    def _check_documents(
        self, machine: Machine, effective: Mapping[str, list[Effective]]
    ) -> dict[str, dict[str, dict[str, Any]]]:
        changes: dict[str, list[Delivery]] = defaultdict(list)
        root = self.world.hub_key.node
        for entries in effective.values():
            for e in entries:
                if isinstance(e.payload, DocumentChange):
                    rank = Rank(e.payload.role).order
                    stamp = ChangeStamp(rank, *e.hlc, e.writer, e.seq)
                    is_hub = e.stream.node == root and e.stream.scope == ORG
                    changes[e.payload.document].append(Delivery(e.payload, stamp, may_reissue=is_hub))
        documents: dict[str, dict[str, dict[str, Any]]] = {}
        for document, deliveries in sorted(changes.items()):
            state = DocumentState(document)
            state.apply(deliveries)
            records = {
                name: {f: v for f, v in fields.items() if v is not None} for name, fields in state.records().items()
            }
            documents[document] = {name: fields for name, fields in records.items() if fields}
            shown_conflicts = machine.disk.execute(
                "SELECT content FROM document_conflict WHERE document = ? ORDER BY record, field", (document,)
            ).fetchall()
            if [bytes(c) for (c,) in shown_conflicts] != [msgspec.msgpack.encode(c) for c in state.conflicts()]:
                self._fail(machine, f"the conflicts of {document} are not those of its changes")
            if state.conflicts():
                self.world.count("document conflict seen")
        shown: dict[str, dict[str, dict[str, Any]]] = {d: {} for d in documents}
        for document, record, fields in machine.disk.execute("SELECT document, record, fields FROM record").fetchall():
            shown.setdefault(document, {})[record] = msgspec.msgpack.decode(bytes(fields))
        if shown != documents:
            wrong = [d for d in {*shown, *documents} if shown.get(d) != documents.get(d)]
            self._fail(machine, f"the records of {wrong} are not those of its changes")
        return documents

    @staticmethod
    def _rules(effective: Mapping[str, list[Effective]], documents: Mapping[str, Mapping[str, Any]]) -> Rules:
        policies: dict[str, Policy] = {}
        lags: dict[str, dict[str, int]] = {}
        for e in sorted(effective.get(ORG, []), key=lambda one: (one.hlc, one.writer, one.seq)):
            p = e.payload
            if isinstance(p, PolicySet):
                policies[p.category] = Policy(
                    p.tolerance_milli, p.tolerance_ppm, Disagreement(p.disagreement), AmbiguousPick(p.ambiguous),
                    p.step_milli,
                )  # fmt: skip
            elif isinstance(p, LocationDefined):
                lags[p.location] = dict(p.lags)
        by_product: dict[str, Policy] = {}
        for document in sorted(documents, reverse=True):
            if document.startswith("products/"):
                for product in documents[document]:
                    by_product[product] = policies.get(document.removeprefix("products/"), Policy(step=1000))
        homes: dict[str, set[str]] = defaultdict(set)
        for e in effective.get(ORG, []):
            if isinstance(e.payload, AuthorityGranted):
                homes[e.payload.location].add(e.payload.node)
        return Rules(Policy(step=1000), by_product, lags, homes)

    def _check_scope(self, machine: Machine, scope: str, entries: list[Effective], rules: Rules) -> None:
        facts = [fact for e in entries for fact in stock_facts_of(e)]
        fold = fold_set(facts, rules)
        figures = {k.product: (f.value, f.lo, f.hi) for k, f in fold.figures.items()}
        transfers = {name: state.transit for name, state in fold.transfers.items()}
        digest = fold_digest([(k, f.value, f.lo, f.hi) for k, f in fold.figures.items()], fold.conflicts)
        shown = self.picture(machine, scope)
        if shown.figures != figures:
            wrong = {p: (shown.figures.get(p), figures.get(p)) for p in {*shown.figures, *figures}}
            wrong = {p: pair for p, pair in wrong.items() if pair[0] != pair[1]}
            self._fail(machine, f"{scope} shows (shown, folded) {wrong}")
        expected = sorted(fold.conflicts, key=lambda one: (one.code, one.key, one.subject))
        if shown.conflicts != expected:
            missing = [c for c in expected if c not in shown.conflicts]
            excess = [c for c in shown.conflicts if c not in expected]
            self._fail(machine, f"{scope} lacks the conflicts {missing} and shows {excess}")
        if shown.transfers != transfers:
            self._fail(machine, f"{scope} shows transfers {shown.transfers}, not {transfers}")
        if shown.digest != digest:
            self._fail(machine, f"{scope} has another fold digest than its figures")
        rights = {key.product: figure for key, figure in fold.rights.items()}
        if shown.rights != rights:
            self._fail(machine, f"{scope} shows rights {shown.rights}, not {rights}")
        self._check_sums(machine, scope, entries, shown)
        self.codes.update(c.code for c in shown.conflicts)

    def _check_sums(self, machine: Machine, scope: str, entries: list[Effective], shown: Picture) -> None:
        """Where nothing was counted and nothing voided, stock is what came minus what went: naively."""
        if any(isinstance(e.payload, EntryVoided) for e in entries):
            return
        counted = {e.payload.product for e in entries if isinstance(e.payload, CountRecorded)}
        sums: Counter[str] = Counter()
        for e in entries:
            effects = KIND_OF[type(e.payload)].effects
            for move in effects(e.payload).moves if effects is not None else ():
                sums[move.product] += move.quantity_milli
        for product, total in sums.items():
            if product not in counted and shown.figures[product][0] != total:
                self._fail(machine, f"{scope} {product}: {shown.figures[product]} is not the sum {total}")

    @staticmethod
    def picture(machine: Machine, scope: str) -> Picture:
        """Read what a replica shows of one scope."""
        disk = machine.disk
        number, digest = disk.execute("SELECT scope_no, fold_digest FROM scope WHERE scope = ?", (scope,)).fetchone()
        figures = {
            product: (value, lo, hi)
            for product, value, lo, hi in disk.execute(
                "SELECT product, value, lo, hi FROM stock WHERE scope_no = ? AND is_present = 1", (number,)
            ).fetchall()
        }
        conflicts = [
            msgspec.msgpack.decode(bytes(content), type=Conflict)
            for (content,) in disk.execute("SELECT content FROM conflict WHERE scope_no = ?", (number,)).fetchall()
        ]
        transfers = {
            (transfer, product): transit
            for transfer, product, transit in disk.execute(
                "SELECT transfer, product, transit FROM transfer WHERE scope_no = ?", (number,)
            ).fetchall()
        }
        rights = {
            product: msgspec.msgpack.decode(bytes(state), type=RightsFigure)
            for product, state in disk.execute(
                "SELECT product, state FROM right_figure WHERE scope_no = ?", (number,)
            ).fetchall()
        }
        conflicts.sort(key=lambda one: (one.code, one.key, one.subject))
        states = {
            product: canonical_state(bytes(state))
            for product, state in disk.execute(
                "SELECT product, state FROM stock WHERE scope_no = ? AND is_present = 1 AND state IS NOT NULL",
                (number,),
            ).fetchall()
        }
        return Picture(figures, conflicts, transfers, rights, int.from_bytes(bytes(digest), "big"), states)

    # All replicas.

    def compare(self) -> None:
        """Find replicas that hold the same set and show other."""
        groups: dict[tuple[Any, ...], list[tuple[Machine, Any]]] = defaultdict(list)
        for machine in self.world.alive:
            org = tuple(sorted(machine.replica.log.heads(ORG).items()))
            for scope in machine.replica.log.scopes():
                heads = tuple(sorted(machine.replica.log.heads(scope).items()))
                shown: Any = self.picture(machine, scope)
                groups[machine.release, org, scope, heads].append((machine, shown))
        for (_, _, scope, _), members in groups.items():
            for machine, shown in members[1:]:
                if shown != members[0][1]:
                    self._fail(machine, f"holds the same of {scope} as {members[0][0].name} and shows other")
                self.world.count("pictures compared")

    # The end.

    def settle(self) -> None:
        """After the faults stopped: everything drains in few rounds, and nothing is lost or counts twice."""
        world = self.world
        rounds = 0
        while rounds == 0 or not all(self._agrees(node) for node in world.nodes):
            if rounds == ROUNDS_MAX:
                lagging = [m.name for m in world.nodes if not self._agrees(m)]
                world.fail(f"{lagging} still differ from the hub after {rounds} quiet rounds")
            rounds += 1
            order = world.nodes
            world.rng.shuffle(order)
            for node in order:
                world.sync(node)
        world.count("rounds to drain", rounds)
        for machine in world.alive:
            self.audit(machine)
        self.compare()
        self._check_places()
        self._check_nothing_lost()
        self._check_transfers()

    def _agrees(self, node: Machine) -> bool:
        if node.disk.execute("SELECT count(*) FROM diverged").fetchone()[0]:
            return False
        for s in node.subscriptions:
            only = node.signer.node if s.own_only else None
            if node.replica.log.heads(s.scope, only) != self.world.hub.replica.log.heads(s.scope, only):
                return False
        return True

    def _check_places(self) -> None:
        """All nodes of a location show what the hub shows, documents included."""
        hub = self.world.hub
        for node in self.world.nodes:
            scope = location_scope(LocationId(node.location))
            if scope in hub.replica.log.scopes() and self.picture(node, scope) != self.picture(hub, scope):
                self._fail(node, f"shows {scope} otherwise than the hub")
            records = "SELECT document, record, fields FROM record ORDER BY document, record"
            if node.disk.execute(records).fetchall() != hub.disk.execute(records).fetchall():
                self._fail(node, "reads the catalogue otherwise than the hub")
            conflicts = "SELECT content FROM document_conflict ORDER BY document, record, field"
            if node.disk.execute(conflicts).fetchall() != hub.disk.execute(conflicts).fetchall():
                self._fail(node, "disputes other prices than the hub")

    def _check_nothing_lost(self) -> None:
        """Every committed entry stands at the hub in its place, or recovered; what only a lost disk held is excused."""
        hub = self.world.hub
        held = Counter(bytes(d) for (d,) in hub.disk.execute("SELECT digest FROM entry").fetchall())
        effective: Counter[bytes] = Counter()
        for row in hub.replica.rows():
            inert = hub.replica.log.inert(row)
            for entry in hub.replica.log.entries(row):
                if isinstance(entry.payload, EntryRecovered):
                    held[entry.payload.digest] += 1
                    effective[entry.payload.digest] += entry.body.seq not in inert
                else:
                    effective[entry.digest] += entry.body.seq not in inert
        for digest, times in effective.items():
            if times > 1:
                self._fail(hub, f"{self.places.get(digest)} has effect {times} times")
        quarantined = self._quarantined()
        for digest, place in self.places.items():
            if digest in self.orphaned and self.bodies[digest] in quarantined:
                self.world.count("orphan in quarantine")
            elif not held[digest] and digest not in self.excused:
                self._fail(hub, f"{place}, once committed, is nowhere")
        self.world.count("entries", len(self.places))

    def _check_transfers(self) -> None:
        """What one side says of a transfer in its own scope, the other side holds as a notice."""
        effective = self._effective(self.world.hub)
        acts: Counter[tuple[str, str, str, int]] = Counter()
        notices: Counter[tuple[str, str, str, int]] = Counter()
        for entries in effective.values():
            for e in entries:
                if isinstance(e.payload, TransferNoticed):
                    for m in e.payload.moves:
                        notices[e.payload.location, e.payload.transfer, m.product, m.quantity_milli] += 1
                    continue
                effects = KIND_OF[type(e.payload)].effects
                found = effects(e.payload) if effects is not None else None
                if found is not None and found.transfer:
                    for m in found.moves:
                        acts[str(scope_location(e.stream.scope)), found.transfer, m.product, m.quantity_milli] += 1
        # A revocation may cut the act and keep its notice, and a disk may be lost between the two scopes.
        if not self.excused and not self.orphaned and not self.world.counts.get("revoked") and acts != notices:
            self._fail(self.world.hub, f"transfers and notices differ: {acts - notices} and {notices - acts}")
