"""Why a stock figure is what it is, for the desk: the explanation that tills show too, and the way it came to be.

A product that moves much is explained from its stored state and its history's sums: a sum lies on one side of the
count as a whole wherever order and clocks leave no doubt, and is opened up, down to its single entries, where they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from hub.history import SINGLY, HourSum, extend_history, is_worth_summing, read_history
from hub.store import HubStore
from schema.identity import LocationId, Scope, location_scope
from sync.explanation import (
    MovementGroup,
    NodeNames,
    StockExplanation,
    explain_stock,
    node_voices,
    product_name,
    told_basis,
    told_conflicts,
    told_doubt,
    told_paper,
)
from sync.fold import Placed
from sync.key_state import KeyState, Weighed, evaluate
from sync.log_tables import LogTables, StreamRow
from sync.relation import Ground, Observation, Relating, Verdict
from sync.replica import Replica
from sync.stock_facts import Key, Movement, Policy, Side
from sync.stock_fold import StockFold
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables

_ORDER: Final = (Side.AFTER.value, Side.AMBIGUOUS.value, Side.BEFORE.value)
TRAIL_POINTS_MAX: Final = 400


class Step(NamedTuple):
    """What a product's stock did within an hour or less: its end in ms, and the sums by what they mean."""

    at_ms: int
    quantity: int
    sold: int


class Trail(NamedTuple):
    """A product's book stock over time as it is known now: points (ms, book), counts (ms, counted), sales by day."""

    points: tuple[tuple[int, int], ...]
    counts: tuple[tuple[int, int], ...]
    sold: tuple[tuple[int, int], ...]


class Why(NamedTuple):
    """An explanation, and the trail behind it; `trail` is None where nothing ever moved."""

    explanation: StockExplanation
    trail: Trail | None


def explain_product(store: HubStore, location: str, product: str, now_ms: int) -> Why:
    """Explain a product's figure at a location; sums its movements up first where they are many and new."""
    scope = location_scope(LocationId(location))
    with store.snapshot() as replica:
        scope_no = replica.log.scope_no(scope)
        key_no = _key_no(replica, scope_no, product)
        is_hot = scope_no is not None and key_no is not None and is_worth_summing(
            replica.connection, scope_no, key_no
        )  # fmt: skip
    if is_hot:
        assert scope_no is not None
        assert key_no is not None
        extend_history(store, scope_no, key_no)
    with store.snapshot() as replica:
        rules = replica.fold(StockProjection).rules(replica.connection)
        if is_hot:
            assert scope_no is not None
            assert key_no is not None
            return _Explaining(replica, scope, scope_no, key_no, product, now_ms).explain()
        connection = replica.connection
        explanation = explain_stock(connection, replica.organisation, rules, scope, product, now_ms)
        if scope_no is None or key_no is None:
            return Why(explanation, None)
        tables = StockTables(connection, scope_no, scope, location)
        fold = StockFold(tables, rules)
        fixes = fold.relating().fixes
        steps = []
        for movement in fold.standing(tables.movements(Key(location, product))):
            fix = fixes.get((movement.writer, movement.epoch))
            at_ms = (movement.stated[1] if movement.stated else movement.wall_ms) - (fix.offset_ms if fix else 0)
            steps.append(Step(at_ms, movement.quantity, -movement.quantity if movement.reason == "sale" else 0))
        return Why(explanation, _trail(explanation, steps, now_ms))


def _key_no(replica: Replica, scope_no: int | None, product: str) -> int | None:
    row = replica.connection.execute(
        "SELECT key_no FROM stock WHERE scope_no = ? AND product = ?", (scope_no, product)
    ).fetchone()
    return None if row is None else int(row[0])


def _trail(explanation: StockExplanation, steps: Iterable[Step], now_ms: int) -> Trail | None:
    """Follow the figure back from now: movements taken off, and at each count what it found beside the book."""
    ordered = sorted(steps)
    counts = [
        (max(line.hi_ms for line in count.lines), count.quantity)
        for count in explanation.counts
        if count.lines and count.gives_value
    ]
    if not ordered and not counts:
        return None
    variances = dict(explanation.variances)
    jumps = [
        (max(line.hi_ms for line in count.lines), variances.get(count.observation, 0))
        for count in explanation.counts
        if count.lines and count.gives_value
    ]
    book = explanation.value
    points = [(max(now_ms, ordered[-1].at_ms if ordered else 0), book)]
    events = sorted(
        [(step.at_ms, step.quantity) for step in ordered] + [(at_ms, jump) for at_ms, jump in jumps], reverse=True
    )
    for at_ms, quantity in events:
        points.append((at_ms, book))
        book -= quantity
    points.append((points[-1][0], book))
    points.reverse()
    every = -(-len(points) // TRAIL_POINTS_MAX)
    thinned = [point for place, point in enumerate(points) if place % every == 0 or place == len(points) - 1]
    sold: dict[int, int] = {}
    for step in ordered:
        if step.sold:
            day = step.at_ms // 86_400_000
            sold[day] = sold.get(day, 0) + step.sold
    return Trail(tuple(thinned), tuple(counts), tuple(sorted(sold.items())))


class _Lump(NamedTuple):
    """Movements of one stream for one reason over some hours, in order."""

    stream_no: int
    reason: str
    sums: tuple[HourSum, ...]

    @property
    def quantity(self) -> int:
        return sum(one.quantity for one in self.sums)

    @property
    def movements(self) -> int:
        return sum(one.movements for one in self.sums)

    @property
    def reach(self) -> tuple[int, int, int, int]:
        """First and last sequence number, first and last reading of the clock."""
        return (
            min(one.first_seq for one in self.sums),
            max(one.last_seq for one in self.sums),
            min(one.first_ms for one in self.sums),
            max(one.last_ms for one in self.sums),
        )


class _Explaining:
    """Explains one product that moves much."""

    def __init__(self, replica: Replica, scope: Scope, scope_no: int, key_no: int, product: str, now_ms: int) -> None:
        self._replica = replica
        self._connection = replica.connection
        self._scope = scope
        self._location = scope[4:]
        self._scope_no = scope_no
        self._key_no = key_no
        self._key = Key(self._location, product)
        self._now_ms = now_ms
        self._tables = StockTables(replica.connection, scope_no, scope, self._location)
        self._rules = replica.fold(StockProjection).rules(replica.connection)
        self._fold = StockFold(self._tables, self._rules)
        self._relating: Relating = self._fold.relating()
        self._policy: Policy = self._rules.policy(product)
        self._names = NodeNames(replica.connection, replica.organisation)
        self._rows: dict[int, StreamRow] = {row.stream_no: row for row in replica.log.streams(scope)}
        self._named: dict[str, list[int]] = {}
        for writer, seq in self._tables.named_entries():
            self._named.setdefault(writer, []).append(seq)

    def explain(self) -> Why:
        """Return the explanation and the trail."""
        key, names = self._key, self._names
        stored = self._tables.load_figures([key]).get(key)
        state = KeyState()
        if stored is not None:
            state = KeyState.from_bytes(stored.state) if stored.state is not None else KeyState(total=stored.value)
        figure = evaluate(key, state, self._policy, self._relating.fixes)
        giver = figure.giver
        history = read_history(self._connection, self._scope_no, self._key_no)
        singles = [*self._after(history.upto), *self._singly(history.sums)]
        lumps = self._lumps(history.sums)
        groups = self._groups(giver, lumps, singles)
        bases = [base for base in state.bases if base is giver] + [base for base in state.bases if base is not giver]
        log = LogTables(self._connection)
        papers = sorted(self._fold.standing(self._tables.papers_touching(key)), key=lambda p: (p.wall_ms, p.id))
        transfers = self._tables.load_transfers({(p.transfer, key.product) for p in papers if p.transfer})
        explanation = StockExplanation(
            self._location,
            key.product,
            product_name(self._connection, key.product),
            figure.value,
            figure.lo,
            figure.hi,
            tuple(told_basis(log, self._scope, base.observation, base is giver, names) for base in bases),
            groups,
            tuple(
                told_doubt(Placed(doubt.movement, _doubted(doubt.counts_after, doubt.is_transit)), names)
                for doubt in (giver.doubts if giver is not None else ())
            ),
            ((giver.observation.id, giver.variance),) if giver is not None else (),
            tuple(told_paper(paper, self._location, names) for paper in papers),
            tuple((transfer, one.transit) for (transfer, _), one in sorted(transfers.items())),
            tuple(told_conflicts(self._connection, self._replica.organisation, self._scope, key.product)),
            node_voices(self._connection, self._replica.organisation, self._scope, self._now_ms),
        )
        steps = [
            Step(one.last_ms, one.quantity, -one.quantity if one.reason == "sale" else 0)
            for one in history.sums
            if not one.reason.endswith(SINGLY)
        ]
        steps += [Step(m.wall_ms, m.quantity, -m.quantity if m.reason == "sale" else 0) for m in singles]
        return Why(explanation, _trail(explanation, steps, self._now_ms))

    # Movements, summed up or one by one.

    def _lumps(self, sums: Sequence[HourSum]) -> list[_Lump]:
        found: dict[tuple[int, str], list[HourSum]] = {}
        for one in sums:
            if not one.reason.endswith(SINGLY):
                found.setdefault((one.stream_no, one.reason), []).append(one)
        return [_Lump(stream_no, reason, tuple(some)) for (stream_no, reason), some in sorted(found.items())]

    def _after(self, upto: Mapping[int, int]) -> list[Movement]:
        found: list[Movement] = []
        for stream_no in self._rows:
            found += self._movements(stream_no, upto.get(stream_no, 0) + 1, 1 << 62)
        return found

    def _singly(self, sums: Iterable[HourSum]) -> list[Movement]:
        found: list[Movement] = []
        for one in sums:
            if one.reason.endswith(SINGLY):
                found += self._of_reason(one, one.reason.removesuffix(SINGLY), is_plain=False)
        return found

    def _of_reason(self, one: HourSum, reason: str, *, is_plain: bool) -> list[Movement]:
        return [
            m
            for m in self._movements(one.stream_no, one.first_seq, one.last_seq)
            if m.reason == reason
            and one.first_ms <= m.wall_ms <= one.last_ms
            and (m.stated is None and m.transfer is None and m.zone is None) is is_plain
        ]

    def _movements(self, stream_no: int, first: int, last: int) -> list[Movement]:
        rows = self._connection.execute(
            "SELECT DISTINCT seq FROM movement WHERE scope_no = ? AND key_no = ? AND stream_no = ? AND seq >= ?"
            " AND seq <= ? ORDER BY seq",
            (self._scope_no, self._key_no, stream_no, first, last),
        ).fetchall()
        found = [
            fact
            for (seq,) in rows
            for fact in self._tables.facts_at(stream_no, seq)
            if type(fact) is Movement and fact.product == self._key.product
        ]
        return self._fold.standing(found)

    # Which side of the count each lies on.

    def _groups(
        self, giver: Weighed | None, lumps: Sequence[_Lump], singles: Sequence[Movement]
    ) -> tuple[MovementGroup, ...]:
        sums: dict[tuple[str, str, str, str], list[int]] = {}

        def add(key: tuple[str, str, str, str], quantity: int, entries: int, first_ms: int, last_ms: int) -> None:
            found = sums.setdefault(key, [0, 0, first_ms, last_ms])
            found[0] += quantity
            found[1] += entries
            found[2], found[3] = min(found[2], first_ms), max(found[3], last_ms)

        transit = {d.movement.id: d for d in giver.doubts if d.is_transit} if giver is not None else {}
        pending: list[_Lump | Movement] = [*lumps, *singles]
        while pending:
            one = pending.pop()
            if isinstance(one, Movement):
                doubt = transit.get(one.id)
                if giver is None:
                    side, ground = Side.AFTER.value, "sum"
                else:
                    verdict = (
                        _doubted(doubt.counts_after, is_transit=True)
                        if doubt is not None
                        else self._relating.relate(one, giver.observation, self._policy)
                    )
                    side, ground = verdict.side.value, verdict.ground.value
                add((self._names.of(one.writer), one.reason, side, ground), one.quantity, 1, one.wall_ms, one.wall_ms)
                continue
            writer = self._rows[one.stream_no].stream.writer
            is_named = self._is_named(writer, one)
            uniform = None if is_named else self._uniform(giver.observation, one) if giver is not None else _SUMMED
            if uniform is not None:
                _, _, first_ms, last_ms = one.reach
                key = (self._names.of(writer), one.reason, *uniform)
                add(key, one.quantity, one.movements, first_ms, last_ms)
            else:
                pending += self._opened(one)
        return tuple(
            MovementGroup(*key, *found)
            for key, found in sorted(sums.items(), key=lambda item: (_ORDER.index(item[0][2]), item[0]))
        )

    def _opened(self, lump: _Lump) -> Iterator[_Lump | Movement]:
        if len(lump.sums) == 1:
            yield from self._of_reason(lump.sums[0], lump.reason, is_plain=True)
            return
        middle = len(lump.sums) // 2
        yield lump._replace(sums=lump.sums[:middle])
        yield lump._replace(sums=lump.sums[middle:])

    def _is_named(self, writer: str, lump: _Lump) -> bool:
        first, last, _, _ = lump.reach
        return any(first <= seq <= last for seq in self._named.get(writer, ()))

    def _uniform(self, observation: Observation, lump: _Lump) -> tuple[str, str] | None:
        """Return side and ground that all movements of a lump share; None where its ends differ or are in doubt.

        Order and time only grow along a stream: what holds at the four corners of a lump, with the widest bound of
        its clocks, holds within it. Where clocks decide, one epoch must have stamped all of it.
        """
        if observation.absorbs or observation.not_absorbs:
            return None
        first_seq, last_seq, first_ms, last_ms = lump.reach
        row = self._rows[lump.stream_no]
        unc_ms = None if any(one.unc_ms < 0 for one in lump.sums) else max(one.unc_ms for one in lump.sums)
        epochs = {lump.sums[0].first_epoch, *(one.last_epoch for one in lump.sums)}
        found: set[tuple[Side, Ground]] = set()
        for seq in (first_seq, last_seq):
            vector = self._vector_about(observation, row, seq)
            for at_ms in (first_ms, last_ms):
                movement = Movement(
                    row.stream.writer, seq, 0, self._location, self._key.product, -1000, lump.reason, at_ms, unc_ms,
                    min(epochs), vector,
                )  # fmt: skip
                verdict = self._relating.relate(movement, observation, self._policy)
                found.add((verdict.side, verdict.ground))
        if len(found) > 1:
            return None
        ((side, ground),) = found
        is_sure = ground in _WITHOUT_CLOCKS or (ground is Ground.CLOCK and len(epochs) == 1)
        return (side.value, ground.value) if side is not Side.AMBIGUOUS and is_sure else None

    def _vector_about(self, observation: Observation, row: StreamRow, seq: int) -> dict[str, int]:
        """Return what an entry had seen of the counters: all that a relation asks of its vector."""
        counters = {line.writer for line in observation.lines}
        found = {}
        for counter in counters:
            held = self._connection.execute(
                "SELECT max(seen_seq) FROM seen WHERE scope_no = ? AND stream_no = ? AND writer = ? AND seq <= ?",
                (self._scope_no, row.stream_no, counter, seq),
            ).fetchone()
            if held[0] is not None:
                found[counter] = int(held[0])
        return found


_WITHOUT_CLOCKS: Final = frozenset({Ground.KNOWN, Ground.RECORDED_AFTER})
_SUMMED: Final = (Side.AFTER.value, "sum")


def _doubted(counts_after: bool, is_transit: bool) -> Verdict:
    return Verdict(Side.AMBIGUOUS, counts_after, Ground.TRANSIT if is_transit else Ground.CLOCK)
