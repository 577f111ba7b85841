"""The batch fold: the figures of a whole set of facts, whatever their order and however often each was delivered.

This is the reference against which the incremental engine is checked, and what answers "why is it 7?".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from sync.conflicts import Conflict
from sync.key_state import Figure, KeyBalance, evaluate
from sync.on_hand import Derived, KeyMaterial, derive
from sync.relation import Ground, Observation, Relating, Verdict
from sync.resolutions import Classifications, corrections, effective_targets, is_voided
from sync.rights import RightsFigure, judge_rights
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    Classify,
    ClockFix,
    ConflictCode,
    Corrections,
    Count,
    Fact,
    Grant,
    Key,
    Movement,
    Notice,
    Promise,
    PromiseEnd,
    RightFact,
    RightMove,
    Rules,
    SessionOpen,
    Side,
    Status,
    Vector,
    Void,
)
from sync.transit import TransferState, judge_transfer


class VarianceAt(msgspec.Struct, frozen=True):
    """Counted minus book at one observation of the chain that gives the figure."""

    observation: str
    variance: int


class Placed(msgspec.Struct, frozen=True):
    """A movement and its relation to the observation that gives the figure."""

    movement: Movement
    verdict: Verdict


class Explanation(msgspec.Struct):
    """Why a figure is what it is: the counts it rests on, each movement's side, and the chain of variances.

    Without any observation `giver` is None and every movement simply adds up.
    """

    key: Key
    figure: Figure
    giver: Observation | None
    bases: list[Observation]
    placed: list[Placed]
    variances: list[VarianceAt]


class SetFold(msgspec.Struct):
    """Everything that follows from a set of facts; `reaching_below` as in `Derived`."""

    figures: dict[Key, Figure]
    variances: dict[Key, list[VarianceAt]]
    transfers: dict[tuple[str, str], TransferState]
    conflicts: list[Conflict]
    reaching_below: dict[Key, list[str]]
    rights: dict[Key, RightsFigure] = {}


class OpeningBalance(msgspec.Struct, frozen=True, array_like=True):
    """What an entry carries of all that lies at or below a cut, for replicas that no longer hold it.

    `settled` is what every stream was known to hold: movements at or below the cut but above `settled` are
    kept, because a count still on its way may not have known them. A key that is not listed although it
    has entries below the cut was kept whole.
    """

    cut: dict[str, int]
    settled: dict[str, int]
    keys: tuple[KeyBalance, ...]


class FactSet:
    """A set of facts without repetition, sorted into what bears on each key."""

    def __init__(self, facts: Iterable[Fact], rules: Rules, balance: OpeningBalance | None = None) -> None:
        """Drop repeated deliveries and what VOIDs in force take out."""
        distinct = {(type(fact), fact.writer, fact.seq, getattr(fact, "line", 0)): fact for fact in facts}
        ordered = [distinct[place] for place in sorted(distinct, key=lambda p: (p[1], p[2], p[3], p[0].__name__))]
        taken_out = effective_targets(fact for fact in ordered if isinstance(fact, Void))
        self.rules = rules
        self.keys: set[Key] = {fact.key for fact in ordered if isinstance(fact, Count) or type(fact) is Movement}
        self._cut: tuple[Vector, Vector] = (balance.cut, balance.settled) if balance is not None else ({}, {})
        self._balances = {one.key: one for one in balance.keys} if balance is not None else {}
        self.keys |= self._balances.keys()
        self.movements: dict[Key, list[Movement]] = defaultdict(list)
        self.papers: dict[tuple[str, str], list[Movement]] = defaultdict(list)
        self.counts: dict[Key, list[Count]] = defaultdict(list)
        self.accepts: dict[Key, list[Accept]] = defaultdict(list)
        self.rights: dict[Key, list[RightFact]] = defaultdict(list)
        self._plans: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        classifies: list[Classify] = []
        fixes: list[ClockFix] = []
        for fact in ordered:
            if is_voided(taken_out, fact.writer, fact.seq, getattr(fact, "line", 0)):
                continue
            match fact:
                case Movement():
                    if not isinstance(fact, Notice):
                        self.movements[fact.key].append(fact)
                    if fact.transfer is not None:
                        self.papers[fact.transfer, fact.product].append(fact)
                case Count():
                    self.counts[fact.key].append(fact)
                case SessionOpen():
                    plan = self._plans[fact.location].get(fact.session, ())
                    self._plans[fact.location][fact.session] = tuple(sorted({*plan, *fact.zones}))
                case Accept():
                    self.accepts[Key(fact.location, fact.product)].append(fact)
                case Classify():
                    classifies.append(fact)
                case ClockFix():
                    fixes.append(fact)
                case Grant() | RightMove() | Promise() | PromiseEnd():
                    self.rights[Key(fact.location, fact.product)].append(fact)
                case Void():
                    pass
        self.fixes: Corrections = corrections(fixes)
        self.relating = Relating(rules, self.fixes, Classifications(classifies))
        self._papers_to: dict[Key, list[Movement]] = defaultdict(list)
        for (_, product), papers in self.papers.items():
            places = {one.location for one in papers if one.reason != DISPATCH_REASON}
            places |= {one.destination for one in papers if one.destination is not None}
            for location in places:
                self._papers_to[Key(location, product)].extend(papers)

    def material(self, key: Key) -> KeyMaterial:
        """Return what bears on one key."""
        balance = self._balances.get(key)
        cut, settled = cut_of(balance, self._cut)
        return KeyMaterial(
            key,
            self.movements.get(key, []),
            self.counts.get(key, []),
            self.accepts.get(key, []),
            self._papers_to.get(key, []),
            self._plans.get(key.location, {}),
            balance,
            cut,
            settled,
        )


def cut_of(balance: KeyBalance | None, current: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
    """Return the cut at which a key's balance stands, and what was settled there."""
    if balance is None:
        return {}, {}
    return balance.kept_at if balance.kept_at is not None else current


def clock_conflict(writer: str, epoch: int) -> Conflict:
    """Report that a clock epoch was measured and everything it stamped re-derived."""
    return Conflict(
        ConflictCode.CLOCK_CORRECTED, Status.INFO, f"*clock/{writer}", (f"{writer}#{epoch}",), f"{writer}#{epoch}"
    )


def fold_set(facts: Iterable[Fact], rules: Rules, balance: OpeningBalance | None = None) -> SetFold:
    """Fold a whole set, on top of an opening balance if one stands: all keys, then transfers, then clocks."""
    held = FactSet(facts, rules, balance)
    result = SetFold({}, {}, {}, [], {})
    declared: dict[Key, Sequence[str]] = {}
    for key in sorted(held.keys):
        material = held.material(key)
        derived = derive(material, held.relating)
        figure = evaluate(key, derived.state, rules.policy(key.product), held.fixes)
        result.figures[key] = figure
        if derived.reaching_below:
            result.reaching_below[key] = derived.reaching_below
        result.variances[key] = chain_variances(material, derived, figure, held.relating)
        result.conflicts.extend(figure.conflicts)
        declared[key] = figure.giver.declared if figure.giver is not None else ()
    for (transfer, product), papers in sorted(held.papers.items()):
        state = judge_transfer(transfer, product, papers, lambda key: declared.get(key, ()))
        result.transfers[transfer, product] = state
        if state.conflict is not None:
            result.conflicts.append(state.conflict)
    for key, facts_of_rights in sorted(held.rights.items()):
        on_hand = result.figures.get(key)
        rights = judge_rights(
            key, on_hand.lo if on_hand is not None else 0, facts_of_rights, rules.homes.get(key.location, ())
        )
        if rights is not None:
            result.rights[key] = rights
            result.conflicts.extend(rights.conflicts)
    result.conflicts.extend(clock_conflict(*epoch) for epoch in held.fixes)
    result.conflicts.sort(key=lambda one: (one.code, one.key, one.refs, one.subject))
    return result


def chain_variances(material: KeyMaterial, derived: Derived, figure: Figure, relating: Relating) -> list[VarianceAt]:
    """Return the variances of the observation that gives the value, of the latest it supersedes, and so on."""
    if figure.giver is None:
        return []
    if material.balance is not None:  # what lies deeper was summed up
        return [VarianceAt(figure.giver.observation.id, figure.giver.variance)]
    policy = relating.rules.policy(material.key.product)
    chain = derived.standing.chain(figure.giver.observation, relating.fixes)
    found: list[VarianceAt] = []
    for place, observation in enumerate(chain):
        prior = chain[place + 1] if place + 1 < len(chain) else None
        book = prior.quantity if prior is not None else 0
        for movement in material.movements:
            if relating.relate(movement, observation, policy).counts_after:
                continue
            if prior is None or relating.relate(movement, prior, policy).counts_after:
                book += movement.quantity
        found.append(VarianceAt(observation.id, observation.quantity - book))
    return found


def explain(material: KeyMaterial, relating: Relating) -> Explanation:
    """Say why a key's figure is what it is."""
    policy = relating.rules.policy(material.key.product)
    derived = derive(material, relating)
    figure = evaluate(material.key, derived.state, policy, relating.fixes)
    giver = figure.giver
    placed: list[Placed] = []
    if giver is not None:
        doubted = {(d.movement.writer, d.movement.seq, d.movement.line): d for d in giver.doubts if d.is_transit}
        for movement in material.movements:
            verdict = relating.relate(movement, giver.observation, policy)
            doubt = doubted.get((movement.writer, movement.seq, movement.line))
            placed.append(
                Placed(
                    movement,
                    verdict if doubt is None else Verdict(Side.AMBIGUOUS, doubt.counts_after, Ground.TRANSIT),
                )
            )
    return Explanation(
        material.key,
        figure,
        None if giver is None else giver.observation,
        [base.observation for base in derived.state.bases],
        placed,
        chain_variances(material, derived, figure, relating),
    )
