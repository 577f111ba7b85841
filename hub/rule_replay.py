"""What the last 30 days would have looked like under another count policy: judged anew by the rules, stored nowhere.

Most products answer from their stored state, because a policy only weighs what order and clocks left open. Those that
had anything to weigh in these days, or have it now, are derived afresh: as they stand, and as they stood after each
count of the period.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from hub.stock_list import product_names
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, Scope, location_scope
from schema.kinds.organisation import PolicySet
from sync.conflicts import Conflict
from sync.key_state import KeyState, evaluate
from sync.on_hand import KeyMaterial, derive
from sync.relation import Relating
from sync.replica import Replica
from sync.stock_facts import (
    AmbiguousPick,
    ConflictCode,
    Corrections,
    Count,
    Disagreement,
    Key,
    Policy,
    Rules,
    Status,
)
from sync.stock_fold import StockFold
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables

DAYS: Final = 30
DAY_MS: Final = 86_400_000
EXAMPLES_MAX: Final = 60
TOLERANCE_MILLI_MAX: Final = 10**9
Progress = Callable[[int, int], None]
"""Called with products done and products in all."""

_WEIGHED: Final = (
    ConflictCode.COUNT_AGREE, ConflictCode.COUNT_DISAGREE, ConflictCode.AMBIGUOUS_ORDER, ConflictCode.ZONE_AGREE,
    ConflictCode.ZONE_RECOUNT, ConflictCode.TRANSIT_SUSPECT_DOUBLE, ConflictCode.RESOLUTION_DISAGREE,
)  # fmt: skip
"""What a policy decides about; all else is the same under every policy, or follows from the figure alone."""


class Difference(msgspec.Struct, frozen=True):
    """A product at a location that the other policy judges otherwise; figures are (value, lo, hi)."""

    location: str
    product: str
    name: str
    before: tuple[int, int, int]
    after: tuple[int, int, int]
    open_before: tuple[str, ...]
    open_after: tuple[str, ...]


class ReplayOutcome(msgspec.Struct, frozen=True):
    """What came of a replay. Conflicts are counted over the whole period, each once; figures are today's."""

    products: int
    derived: int
    """How many products had to be derived afresh."""
    open_before: int
    open_after: int
    settled_before: int
    settled_after: int
    figures_changed: int
    differences: tuple[Difference, ...]
    differing: int


class _Tally:
    def __init__(self) -> None:
        self.open = 0
        self.settled = 0

    def add(self, found: Mapping[str, Status]) -> None:
        self.open += sum(status is Status.OPEN for status in found.values())
        self.settled += sum(status is Status.AUTO for status in found.values())


def check_policy(policy: PolicySet) -> Policy:
    """Return a policy as the rules use it; raises RefusalError `policy_invalid`."""
    if (
        (not policy.category.strip() and policy.category)
        or policy.disagreement not in set(Disagreement)
        or policy.ambiguous not in set(AmbiguousPick)
        or not 0 <= policy.tolerance_milli <= TOLERANCE_MILLI_MAX
        or not 0 <= policy.tolerance_ppm <= 1_000_000
        or policy.step_milli < 1
    ):
        raise RefusalError("policy_invalid", "this is no policy: look at its fields")
    return Policy(
        policy.tolerance_milli,
        policy.tolerance_ppm,
        Disagreement(policy.disagreement),
        AmbiguousPick(policy.ambiguous),
        policy.step_milli,
    )


def replay_policy(
    replica: Replica, policy: PolicySet, locations: Sequence[str], now_ms: int, progress: Progress
) -> ReplayOutcome:
    """Judge a category's products at some locations by another policy, within one read transaction."""
    new = check_policy(policy)
    connection = replica.connection
    products = category_products(replica, policy.category)
    since_ms = now_ms - DAYS * DAY_MS
    rules = replica.fold(StockProjection).rules(connection)
    marks: list[tuple[str, list[str]]] = []
    for location in locations:
        number = replica.log.scope_no(location_scope(LocationId(location)))
        if number is not None:
            marks.append((location, _counted(connection, number, products)))
    total = sum(len(counted) for _, counted in marks)
    before, after = _Tally(), _Tally()
    found: list[Difference] = []
    done = derived = figures_changed = 0
    for location, counted in marks:
        work = _AtLocation(replica, location, rules, new, since_ms)
        for product in counted:
            judged = work.judge(product)
            derived += judged.is_derived
            before.add(judged.before)
            after.add(judged.after)
            figures_changed += judged.figure_before != judged.figure_after
            if judged.differs:
                found.append(judged.difference(location))
            done += 1
            if done % 50 == 0:
                progress(done, total)
    progress(total, total)
    found.sort(key=lambda one: (-abs(one.after[0] - one.before[0]), one.location, one.product))
    names = product_names(connection, {one.product for one in found[:EXAMPLES_MAX]})
    shown = tuple(
        msgspec.structs.replace(one, name=names.get(one.product, (one.product, ""))[0]) for one in found[:EXAMPLES_MAX]
    )
    return ReplayOutcome(
        total, derived, before.open, after.open, before.settled, after.settled, figures_changed, shown, len(found)
    )


def category_products(replica: Replica, category: str) -> frozenset[str] | None:
    """Return the products that a policy applies to; None for the default policy: all without one of their own."""
    connection = replica.connection
    if category:
        rows = connection.execute("SELECT product FROM product_index WHERE category = ?", (category,)).fetchall()
        return frozenset(str(row[0]) for row in rows)
    own = {one for one in replica.organisation.newest_each(connection, PolicySet) if one}
    rows = connection.execute("SELECT product, category FROM product_index").fetchall()
    with_own = {str(product) for product, of in rows if of in own}
    rows = connection.execute("SELECT DISTINCT product FROM stock WHERE state IS NOT NULL").fetchall()
    return frozenset(str(row[0]) for row in rows) - with_own


def _counted(connection: Connection, scope_no: int, products: Collection[str] | None) -> list[str]:
    rows = connection.execute(
        "SELECT product FROM stock WHERE scope_no = ? AND state IS NOT NULL ORDER BY product", (scope_no,)
    ).fetchall()
    return [str(product) for (product,) in rows if products is None or product in products]


class _Judged(msgspec.Struct):
    product: str
    figure_before: tuple[int, int, int]
    figure_after: tuple[int, int, int]
    before: Mapping[str, Status]
    after: Mapping[str, Status]
    codes: Mapping[str, str]
    is_derived: bool

    @property
    def differs(self) -> bool:
        waiting = {one for one, status in self.before.items() if status is Status.OPEN}
        would_wait = {one for one, status in self.after.items() if status is Status.OPEN}
        return self.figure_before != self.figure_after or waiting != would_wait

    def difference(self, location: str) -> Difference:
        def waiting(found: Mapping[str, Status]) -> tuple[str, ...]:
            return tuple(sorted(self.codes[one] for one, status in found.items() if status is Status.OPEN))

        return Difference(
            location, self.product, "", self.figure_before, self.figure_after, waiting(self.before), waiting(self.after)
        )


class _AtLocation:
    """Judges the products of one location under the policy in force and under the other one."""

    def __init__(self, replica: Replica, location: str, rules: Rules, new: Policy, since_ms: int) -> None:
        self._connection = replica.connection
        self._scope: Scope = location_scope(LocationId(location))
        number = replica.log.scope_no(self._scope)
        assert number is not None
        self._number = number
        self._location = location
        self._tables = StockTables(self._connection, number, self._scope, location)
        self._fold = StockFold(self._tables, rules)
        self._relating: Relating = self._fold.relating()
        self._fixes: Corrections = self._relating.fixes
        self._rules = rules
        self._new = new
        self._since_ms = since_ms
        rows = self._connection.execute(
            f"SELECT DISTINCT product FROM inbox WHERE scope_no = ? AND changed_ms >= ?"
            f" AND code IN ({', '.join('?' * len(_WEIGHED))})",
            (number, since_ms, *(code.value for code in _WEIGHED)),
        ).fetchall()
        self._weighed = frozenset(str(row[0]) for row in rows)

    def judge(self, product: str) -> _Judged:
        key = Key(self._location, product)
        stored = self._tables.load_figures([key]).get(key)
        assert stored is not None
        assert stored.state is not None
        state = KeyState.from_bytes(stored.state)
        old = self._rules.policy(product)
        must_derive = (
            product in self._weighed
            or len(state.bases) > 1
            or bool(state.zone_findings or state.contested)
            or state.watches_transit
        )
        if must_derive:
            return self._derived(key, old)
        now = evaluate(key, state, old, self._fixes)
        would = evaluate(key, self._repicked(state), self._new, self._fixes)
        before, after = now.conflicts, would.conflicts
        return _Judged(
            product, (now.value, now.lo, now.hi), (would.value, would.lo, would.hi), _statuses(before),
            _statuses(after), {one.id: one.code.value for one in (*before, *after)}, False,
        )  # fmt: skip

    def _repicked(self, state: KeyState) -> KeyState:
        """Return a state whose doubtful movements are taken as the other policy takes them."""
        if not any(base.doubts for base in state.bases):
            return state
        bases = []
        for base in state.bases:
            doubts = [
                msgspec.structs.replace(
                    doubt,
                    counts_after=self._relating.relate(doubt.movement, base.observation, self._new).counts_after,
                )
                if not doubt.is_transit
                else doubt
                for doubt in base.doubts
            ]
            bases.append(msgspec.structs.replace(base, doubts=doubts))
        return msgspec.structs.replace(state, bases=bases)

    def _derived(self, key: Key, old: Policy) -> _Judged:
        """Derive a product as it stands, and as it stood after each count of the period, under both policies."""
        material, relating = self._fold.material(key)
        figures: list[tuple[int, int, int]] = []
        found: list[dict[str, Status]] = []
        codes: dict[str, str] = {}
        for policy in (old, self._new):
            rules = msgspec.structs.replace(relating.rules, policies={key.product: policy})
            judging = Relating(rules, relating.fixes, relating.classifications)
            statuses: dict[str, Status] = {}
            figure = (0, 0, 0)
            for part in self._stages(material):
                reached = evaluate(key, derive(part, judging).state, policy, relating.fixes)
                figure = (reached.value, reached.lo, reached.hi)
                for one in reached.conflicts:
                    codes[one.id] = one.code.value
                    # What ever waited for a person in these days did wait, whatever came of it.
                    if statuses.get(one.id) is not Status.OPEN:
                        statuses[one.id] = one.status
            figures.append(figure)
            found.append(statuses)
        return _Judged(key.product, figures[0], figures[1], found[0], found[1], codes, True)

    def _stages(self, material: KeyMaterial) -> Iterator[KeyMaterial]:
        """Yield what was there just before each later count of the period began, and at last all of it."""
        begins = sorted({min(look.lo for look in count.looks) for count in material.counts})
        for place, begin in enumerate(begins):
            if place and begin >= self._since_ms:
                yield KeyMaterial(
                    material.key,
                    [one for one in material.movements if one.wall_ms < begin],
                    [one for one in material.counts if _began(one) < begin],
                    [one for one in material.accepts if one.wall_ms < begin],
                    [one for one in material.papers if one.wall_ms < begin],
                    material.zones_of,
                    material.balance,
                    material.cut,
                    material.settled,
                )
        yield material


def _began(count: Count) -> int:
    return min(look.lo for look in count.looks)


def _statuses(conflicts: Sequence[Conflict]) -> dict[str, Status]:
    return {one.id: one.status for one in conflicts}
