"""A conflict's evidence as data: looks and movements with their clocks, who knew what, and what each choice would give.

Everything follows from the key's stored state and a few entries around the looks, by the rules that decide it
everywhere; how much a product ever moved does not matter here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from hub.case import Case, Choice, Decision, LookTold, MovementTold, ObservationTold, PaperTold, Shown
from hub.inbox import InboxRow, find_conflict
from schema.errors import RefusalError
from schema.identity import LocationId, Scope, Stream, location_scope
from schema.kinds.counting import CountAccepted, CountRecorded
from sync.explanation import NodeNames
from sync.key_state import Doubt, Figure, KeyState, Weighed, evaluate
from sync.log_tables import StreamRow
from sync.on_hand import derive
from sync.relation import Ground, Relating, Verdict
from sync.replica import Replica
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    ConflictCode,
    Corrections,
    Count,
    Key,
    Movement,
    Rank,
    Side,
    entry_id,
    parse_target,
)
from sync.stock_fold import StockFold
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables

AROUND_MAX: Final = 12
"""So many movements of a stream are shown on each side of what a counter had heard of it."""
RECENT_MAX: Final = 12
_NOBODY: Final = "~.0"
"""Writes what is only supposed."""


def read_case(replica: Replica, location: str, conflict: str) -> Case:
    """Read a conflict's evidence; raises RefusalError `conflict_unknown`."""
    row = find_conflict(replica, location, conflict)
    return CaseReader(replica, location, row).read()


class CaseReader:
    """Reads one case; made afresh for each."""

    def __init__(self, replica: Replica, location: str, row: InboxRow) -> None:
        self._replica = replica
        self._connection = replica.connection
        self._row = row
        self._scope: Scope = location_scope(LocationId(location))
        self._tables = StockTables(replica.connection, row.scope_no, self._scope, location)
        self._names = NodeNames(replica.connection, replica.organisation)
        self._key = Key(location, row.product)
        rules = replica.fold(StockProjection).rules(replica.connection)
        self._policy = rules.policy(row.product)
        self._fold = StockFold(self._tables, rules)
        self._relating: Relating = self._fold.relating()
        self._fixes: Corrections = self._relating.fixes
        self._streams = {one.stream.writer: one for one in replica.log.streams(self._scope)}

    def read(self) -> Case:
        """Return the case."""
        row, key = self._row, self._key
        stored = self._tables.load_figures([key]).get(key) if row.product else None
        state = KeyState()
        if stored is not None:
            state = KeyState.from_bytes(stored.state) if stored.state is not None else KeyState(total=stored.value)
        figure = evaluate(key, state, self._policy, self._fixes)
        giver = figure.giver or (state.bases[0] if state.bases else None)
        movements, earlier, later = self._movements(state, giver) if row.product else ((), (0, 0), (0, 0))
        shown = Shown(figure.value, figure.lo, figure.hi)
        decisions = self._decisions()
        papers = self._papers()
        rivals = self._rivals(state)
        return Case(
            row,
            shown,
            self._policy,
            (
                *(self._observation(base, base is figure.giver) for base in state.bases),
                *(self._observation(base, gives_value=False) for base, _ in rivals),
            ),
            movements,
            earlier,
            later,
            papers,
            (
                *(Choice("accept", base.observation.id, base.observation.id, given) for base, given in rivals),
                *self._choices(state, figure, movements),
            ),
            decisions,
            self._overtaken(decisions),
            hashlib.sha256(
                msgspec.msgpack.encode((row.conflict, row.state, row.changed_ms, shown, [p.id for p in papers]))
            ).hexdigest()[:24],
        )

    # Counts.

    def _observation(self, base: Weighed, gives_value: bool) -> ObservationTold:
        one = base.observation
        operators: dict[str, None] = {}
        for writer, seq in one.entries:
            entry = self._entry(writer, seq)
            if entry is not None and isinstance(entry, CountRecorded) and entry.operator:
                operators[entry.operator] = None
        known: dict[str, int] = {}
        for place, line in enumerate(one.lines):
            for writer in {*known, *line.basis_lo}:
                seq = line.basis_lo.get(writer, 0)
                known[writer] = seq if place == 0 else min(known.get(writer, 0), seq)
        return ObservationTold(
            one.id,
            tuple(entry_id(*place) for place in one.entries),
            one.quantity,
            one.rank.name.lower(),
            tuple(operators),
            tuple(
                LookTold(
                    line.writer, self._names.of(line.writer), line.quantity, line.zone or "", *line.span(self._fixes),
                    line.bound(self._fixes),
                )
                for line in one.lines
            ),
            tuple(
                (writer, seq, at_ms)
                for writer, seq in sorted(known.items())
                if seq and (at_ms := self._wall(writer, seq)) is not None
            ),
            base.variance,
            Shown(*base.figure()),
            gives_value,
        )  # fmt: skip

    def _entry(self, writer: str, seq: int) -> object:
        row = self._streams.get(writer)
        entry = self._replica.log.entry_at(row, seq) if row is not None else None
        return entry.payload if entry is not None else None

    def _wall(self, writer: str, seq: int) -> int | None:
        row = self._streams.get(writer)
        entry = self._replica.log.entry_at(row, seq) if row is not None else None
        if entry is None:
            return None
        fix = self._fixes.get((writer, entry.body.clock_epoch))
        return entry.body.wall_ms - (fix.offset_ms if fix is not None else 0)

    # Movements.

    def _movements(
        self, state: KeyState, giver: Weighed | None
    ) -> tuple[tuple[MovementTold, ...], tuple[int, int], tuple[int, int]]:
        about = set(self._row.conflict.refs)
        wanted: dict[tuple[str, int, int], Movement] = {}
        for base in state.bases:
            for doubt in base.doubts:
                movement = doubt.movement
                wanted[movement.writer, movement.seq, movement.line] = movement
        named = [ref for base in state.bases for ref in (*base.late, *base.backdated, *base.contradicted)][-60:]
        places: dict[str, set[int]] = {}
        for writer, seq, _ in named:
            places.setdefault(writer, set()).add(seq)
        key_no = self._key_no()
        totals = {}
        for writer, row in self._streams.items():
            boundary = _boundary(state, writer)
            near = self._near(row, key_no, boundary)
            places.setdefault(writer, set()).update(near)
            totals[writer] = (row, places[writer])
        for writer, (row, seqs) in totals.items():
            for seq in seqs:
                for fact in self._tables.facts_at(row.stream_no, seq):
                    if type(fact) is Movement and fact.product == self._key.product:
                        wanted.setdefault((writer, fact.seq, fact.line), fact)
        told = [self._movement(one, giver, about) for one in self._fold.standing(wanted.values())]
        told.sort(key=lambda one: (one.at_ms, one.id))
        earlier, later = self._outside(key_no, totals)
        return tuple(told), earlier, later

    def _key_no(self) -> int:
        row = self._connection.execute(
            "SELECT key_no FROM stock WHERE scope_no = ? AND product = ?", (self._row.scope_no, self._key.product)
        ).fetchone()
        return int(row[0]) if row is not None else -1

    def _near(self, row: StreamRow, key_no: int, boundary: int | None) -> list[int]:
        place = (self._row.scope_no, key_no, row.stream_no)
        where = "SELECT DISTINCT seq FROM movement WHERE scope_no = ? AND key_no = ? AND stream_no = ?"
        if boundary is None:
            found = self._connection.execute(f"{where} ORDER BY seq DESC LIMIT ?", (*place, RECENT_MAX)).fetchall()
        else:
            found = [
                *self._connection.execute(
                    f"{where} AND seq <= ? ORDER BY seq DESC LIMIT ?", (*place, boundary, AROUND_MAX)
                ).fetchall(),
                *self._connection.execute(
                    f"{where} AND seq > ? ORDER BY seq LIMIT ?", (*place, boundary, AROUND_MAX)
                ).fetchall(),
            ]
        return [int(seq) for (seq,) in found]

    def _outside(
        self, key_no: int, shown: Mapping[str, tuple[StreamRow, set[int]]]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        sums = [[0, 0], [0, 0]]
        for row, seqs in shown.values():
            low, high = (min(seqs), max(seqs)) if seqs else (0, 0)
            for place, sign, bound in ((0, "<", low), (1, ">", high)):
                found = self._connection.execute(
                    "SELECT count(*), coalesce(sum(quantity), 0) FROM movement WHERE scope_no = ? AND key_no = ?"
                    f" AND stream_no = ? AND seq {sign} ?",
                    (self._row.scope_no, key_no, row.stream_no, bound),
                ).fetchone()
                sums[place][0] += int(found[0])
                sums[place][1] += int(found[1])
        return (sums[0][0], sums[0][1]), (sums[1][0], sums[1][1])

    def _movement(self, movement: Movement, giver: Weighed | None, about: set[str]) -> MovementTold:
        fix = self._fixes.get((movement.writer, movement.epoch))
        at_ms = movement.stated[1] if movement.stated is not None else movement.wall_ms
        verdict = self._verdict(movement, giver)
        return MovementTold(
            movement.id,
            entry_id(movement.writer, movement.seq),
            movement.writer,
            self._names.of(movement.writer),
            movement.reason,
            movement.document or "",
            movement.quantity,
            at_ms - (fix.offset_ms if fix is not None else 0),
            fix.unc_ms if fix is not None else movement.unc_ms,
            verdict.side.value if verdict is not None else Side.AFTER.value,
            verdict.ground.value if verdict is not None else "sum",
            verdict.counts_after if verdict is not None else True,
            verdict.is_contradicted if verdict is not None else False,
            movement.id in about or entry_id(movement.writer, movement.seq) in about,
        )

    def _verdict(self, movement: Movement, giver: Weighed | None) -> Verdict | None:
        if giver is None:
            return None
        for doubt in giver.doubts:
            if doubt.is_transit and doubt.movement.id == movement.id:
                return Verdict(Side.AMBIGUOUS, doubt.counts_after, Ground.TRANSIT)
        return self._relating.relate(movement, giver.observation, self._policy)

    # Papers of a transfer.

    def _papers(self) -> tuple[PaperTold, ...]:
        conflict = self._row.conflict
        if not conflict.code.value.startswith("TRANS"):
            return ()
        told = []
        for paper in self._tables.papers([(conflict.subject, self._row.product)]):
            is_notice = type(paper) is not Movement
            told.append(
                PaperTold(
                    paper.id,
                    "dispatched" if paper.reason == DISPATCH_REASON else "received",
                    paper.location,
                    self._names.of(paper.writer),
                    abs(paper.quantity),
                    paper.wall_ms,
                    paper.is_final,
                    is_notice,
                    True,
                )
            )
        return tuple(sorted(told, key=lambda paper: (paper.at_ms, paper.id)))

    # What a person may decide.

    def _rivals(self, state: KeyState) -> list[tuple[Weighed, Shown]]:
        """Return the counts that people chose beside the one that holds, each with the figure that it would give."""
        if self._row.conflict.code is not ConflictCode.RESOLUTION_DISAGREE or self._row.state == "DONE":
            return []
        standing = {name for base in state.bases for name in base.observation.names}
        wanted: dict[str, None] = {}
        for ref in self._row.conflict.refs:
            writer, seq, _ = parse_target(ref)
            chosen = self._entry(writer, seq)
            if isinstance(chosen, CountAccepted) and chosen.observation not in standing:
                wanted[chosen.observation] = None
        if not wanted:
            return []
        material, relating = self._fold.material(self._key)
        vector = {writer: row.head.seq for writer, row in self._streams.items()}
        found = []
        for name in wanted:
            # A choice that knows of everything, as one made now would.
            now = Accept(_NOBODY, 1, 0, vector, Rank.ADMIN, self._key.location, self._key.product, name)
            supposed = derive(msgspec.structs.replace(material, accepts=[*material.accepts, now]), relating)
            figure = evaluate(self._key, supposed.state, self._policy, self._fixes)
            base = next((one for one in supposed.state.bases if name in one.observation.names), None)
            if base is not None:
                found.append((base, Shown(figure.value, figure.lo, figure.hi)))
        return found

    def _choices(self, state: KeyState, figure: Figure, movements: Sequence[MovementTold]) -> Iterable[Choice]:
        code = self._row.conflict.code
        if self._row.state not in {"OPEN", "AUTO"}:
            return
        if len(state.bases) > 1 or code is ConflictCode.RESOLUTION_DISAGREE:
            for base in state.bases:
                yield Choice(
                    "accept", base.observation.id, base.observation.id, Shown(*base.figure()), base is figure.giver
                )
        yield from self._placings(state)
        for base in state.bases:
            for writer, seq in base.observation.entries:
                yield Choice("void", entry_id(writer, seq), base.observation.id, None)
        if code is ConflictCode.NEGATIVE_STOCK:
            for movement in reversed(movements[-RECENT_MAX:]):
                line = movement.id.partition("#")[2] or "0"
                yield Choice("void", f"{movement.entry}#{line}", "", self._without(state, movement))

    def _placings(self, state: KeyState) -> Iterable[Choice]:
        for base in state.bases:
            entries: dict[tuple[str, int], list[Doubt]] = {}
            for doubt in base.doubts:
                entries.setdefault((doubt.movement.writer, doubt.movement.seq), []).append(doubt)
            for (writer, seq), doubts in entries.items():
                # One sale's lines left the shelf together: the entry's name stands for all of them.
                taken = {doubt.counts_after for doubt in doubts}
                for side in (Side.BEFORE, Side.AFTER):
                    yield Choice(
                        side.value.lower(),
                        entry_id(writer, seq) if len(doubts) > 1 else _exact(doubts[0].movement),
                        base.observation.id,
                        self._placed(state, base, doubts, side),
                        taken == {side is Side.AFTER},
                    )

    def _placed(self, state: KeyState, base: Weighed, doubts: Sequence[Doubt], side: Side) -> Shown:
        """Return the figure once a person has placed an entry's doubtful movements."""
        moved = sum(doubt.movement.quantity for doubt in doubts)
        left = [one for one in base.doubts if one not in doubts]
        certain = base.certain + (moved if side is Side.AFTER else 0)
        placed = msgspec.structs.replace(base, doubts=left, certain=certain)
        bases = [placed if one is base else one for one in state.bases]
        return self._evaluated(msgspec.structs.replace(state, bases=bases))

    def _without(self, state: KeyState, told: MovementTold) -> Shown:
        """Return the figure once a movement is taken out."""
        bases = []
        for base in state.bases:
            doubts = [one for one in base.doubts if one.movement.id != told.id]
            is_after = told.side == Side.AFTER.value
            certain = base.certain - (told.quantity if is_after and len(doubts) == len(base.doubts) else 0)
            bases.append(msgspec.structs.replace(base, doubts=doubts, certain=certain))
        return self._evaluated(msgspec.structs.replace(state, bases=bases, total=state.total - told.quantity))

    def _evaluated(self, state: KeyState) -> Shown:
        figure = evaluate(self._key, state, self._policy, self._fixes)
        return Shown(figure.value, figure.lo, figure.hi)

    # What was decided before.

    def _decisions(self) -> tuple[Decision, ...]:
        rows = self._connection.execute(
            "SELECT m.kind, m.target, m.operator, m.role, m.at_ms, t.node, t.incarnation, m.seq FROM settlement m"
            " JOIN stream t ON t.scope_no = m.scope_no AND t.stream_no = m.stream_no"
            " WHERE m.scope_no = ? AND m.product = ? ORDER BY m.at_ms DESC, m.stream_no, m.seq DESC LIMIT 20",
            (self._row.scope_no, self._row.product),
        ).fetchall()
        return tuple(
            Decision(kind, target, operator, role, at_ms, f"{node}.{incarnation}:{seq}")
            for kind, target, operator, role, at_ms, node, incarnation, seq in rows
        )

    def _overtaken(self, decisions: Sequence[Decision]) -> tuple[str, ...]:
        """Return what the conflict is about that its last decision had not seen."""
        if not self._row.is_reopened:
            return ()
        last = next((one for one in decisions if one.kind in {"accept", "classify", "void"}), None)
        if last is None:
            return ()
        writer, seq, _ = parse_target(last.entry)
        payload = self._entry(writer, seq)
        vector = dict(getattr(payload, "vector", ()))
        late = []
        for name in self._named_entries():
            try:
                of_writer, of_seq, _ = parse_target(name)
            except ValueError:
                continue
            if vector.get(of_writer, 0) < of_seq and (of_writer, of_seq) != (writer, seq):
                late.append(name)
        return tuple(dict.fromkeys(late))

    def _named_entries(self) -> list[str]:
        conflict = self._row.conflict
        names = [*conflict.refs, *conflict.subject.split()]
        for count in self._tables.counts(self._key):
            if isinstance(count, Count) and count.session in names:
                names.append(count.id)
        if conflict.code is ConflictCode.NEGATIVE_STOCK:
            names += [one.id for one in self._latest()]
        return names

    def _latest(self) -> list[Movement]:
        key_no, found = self._key_no(), []
        for row in self._streams.values():
            for seq in self._near(row, key_no, None)[:3]:
                found += [
                    fact
                    for fact in self._tables.facts_at(row.stream_no, seq)
                    if type(fact) is Movement and fact.product == self._key.product
                ]
        return found


def _boundary(state: KeyState, writer: str) -> int | None:
    """Return up to where the counters had surely heard of a stream; None without any count."""
    held = [line.basis_lo.get(writer, 0) for base in state.bases for line in base.observation.lines]
    return min(held) if held else None


def _exact(movement: Movement) -> str:
    """Name exactly this line: the entry's own name would stand for all of its lines."""
    return f"{movement.writer}:{movement.seq}#{movement.line}"


def observation_entry(replica: Replica, scope: Scope, name: str) -> CountRecorded:
    """Return the count that an observation's name stands for; raises RefusalError `count_unknown`."""
    try:
        writer, seq, _ = parse_target(name)
        node, _, incarnation = writer.rpartition(".")
        entry = replica.log.entry(Stream(scope, node, int(incarnation)), seq)  # type: ignore[arg-type]
    except ValueError:
        entry = None
    if entry is None or not isinstance(entry.payload, CountRecorded):
        raise RefusalError("count_unknown", "this is no count of the product at this location")
    return entry.payload
