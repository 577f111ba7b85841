"""Carries stock below a cut, so that old entries can go while every figure stays what the whole log says.

A balance is neither a movement nor a count. Encoded as either it would give wrong stock as soon as a
till that was silent returns with a sale from before the last count; so it carries the observations
themselves, and an entry above the cut relates to them as it would have to the entries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from sync.fold import FactSet, OpeningBalance
from sync.key_state import KeyBalance, Weighed
from sync.on_hand import KeyMaterial, Weighing, derive, held_observation
from sync.relation import Observation
from sync.stock_facts import (
    DISPATCH_REASON,
    Classify,
    Count,
    Disagreement,
    Fact,
    Key,
    Movement,
    Rules,
    Side,
    Vector,
    knows,
    parse_target,
)

EntryRef = tuple[str, int]
"""Writer and sequence of an entry."""


class Carried(msgspec.Struct, frozen=True):
    """An opening balance, and the entries at or below its cut that must not be pruned."""

    balance: OpeningBalance
    must_keep: frozenset[EntryRef]


def carry(
    facts: Iterable[Fact],
    rules: Rules,
    cut: Vector,
    known_by_all: Vector | None = None,
    earlier: OpeningBalance | None = None,
    *,
    location: str | None = None,
    whole: frozenset[Key] = frozenset(),
) -> Carried:
    """Carry everything at or below a causally closed cut; `earlier` is the balance on which the facts stand.

    `known_by_all` is the greatest vector that every stream which may still append a count is known to hold;
    by default all are taken to hold the cut. A count from a stream that held less than `known_by_all` is
    reported as reaching below, and asks for an amended balance. With `location` the facts are those of that
    place's scope, so that goods which went elsewhere are not suspected here; `whole` are keys to be kept whole.
    """
    settled = {
        writer: min(seq, seq if known_by_all is None else known_by_all.get(writer, 0)) for writer, seq in cut.items()
    }
    below = [fact for fact in facts if knows(cut, fact.writer, fact.seq)]
    held = FactSet(below, rules, earlier)
    balances: list[KeyBalance] = []
    kept_whole: set[Key] = set()
    observations: dict[Key, list[Observation]] = {}
    for key in sorted(held.keys):
        material = held.material(key)
        balance = carry_key(material, held, settled) if key not in whole else None
        if balance is None:
            kept_whole.add(key)
            if material.balance is not None:
                kept_at = dict(material.cut), dict(material.settled)
                balances.append(msgspec.structs.replace(material.balance, kept_at=kept_at))
        else:
            balances.append(balance)
            observations[key] = [one.observation for one in balance.carried]
    kept = _must_keep(below, held, kept_whole, observations, settled, location)
    return Carried(OpeningBalance(dict(cut), settled, tuple(balances)), kept)


def carry_key(
    material: KeyMaterial, held: FactSet, settled: Vector, *, is_amendment: bool = False
) -> KeyBalance | None:
    """Return what is carried of one key; None where its entries must all stay.

    They stay while a session is open, or a zone was counted twice by people who did not know of each other:
    what is believed there still depends on every movement. An amendment cannot bring entries back, and carries
    what is believed now.
    """
    relating = held.relating
    derived = derive(material, relating)
    gathered, standing = derived.gathered, derived.standing
    is_unsettled = gathered.incomplete or gathered.unopened or gathered.contested or derived.reaching_below
    if is_unsettled and not is_amendment:
        return None
    policy = held.rules.policy(material.key.product)
    is_manual = policy.disagreement is Disagreement.MANUAL
    eligible = gathered.observations if is_manual else standing.left
    chosen = {one.id: one for one in standing.final}
    chosen.update((one.id, one) for one in eligible if not one.is_known_to(settled))
    unsettled = [one for one in eligible if not one.is_known_to(settled)]
    known = sorted(
        (one for one in eligible if one.is_known_to(settled)), key=lambda one: one.moment(relating.fixes), reverse=True
    )
    # Any count still to come supersedes all that every stream knows, so the latest of those stands for them; where
    # people decide, also for every set of counts that may come to disagree: each falls back on what all of it knew.
    for one in known:
        chosen[one.id] = one
        if not is_manual or all(other.supersedes(one) for other in unsettled):
            break
    if is_manual:
        fallback = held_observation(gathered.observations, standing.final, relating.fixes)
        if fallback is not None:
            chosen[fallback.id] = fallback
        targets = {one.observation for one in material.accepts}
        chosen.update((one.id, one) for one in eligible if targets.intersection(one.names))
    weighing = Weighing(material, relating, gathered, standing)
    carried: list[Weighed] = [weighing.weigh(chosen[name]) for name in sorted(chosen)]
    sessions = {one.session for one in material.counts if one.session is not None}
    closed = sessions.union(material.balance.closed if material.balance is not None else ())
    return KeyBalance(
        material.key.location, material.key.product, weighing.total, tuple(carried), tuple(sorted(closed))
    )


def amend_key(below: KeyMaterial, held_below: FactSet, now: KeyMaterial, held: FactSet) -> KeyBalance:
    """Return what a balance says when all is known that is known now.

    `below` holds what lies at or below the cut with the resolutions in force, choices of persons that came later
    left out; `now` the same movements with every count and every choice. Beside what would be carried at the cut
    anyway it carries the observations that persons chose, and those above the cut that reach below it.
    """
    at_cut = carry_key(below, held_below, now.settled, is_amendment=True)
    assert at_cut is not None
    derived = derive(now, held.relating)
    weighing = Weighing(now, held.relating, derived.gathered, derived.standing)
    chosen = {one.observation.id: one for one in at_cut.carried}
    targets = {one.observation for one in now.accepts}
    for observation in derived.gathered.observations:
        is_above = not observation.is_known_to(now.cut)
        is_wanted = is_above and weighing.reaches_below(observation)
        if observation.id in chosen or is_wanted or targets.intersection(observation.names):
            chosen[observation.id] = weighing.weigh(observation)
    return msgspec.structs.replace(at_cut, carried=tuple(chosen[name] for name in sorted(chosen)))


def _must_keep(
    below: Sequence[Fact],
    held: FactSet,
    kept_whole: set[Key],
    observations: dict[Key, list[Observation]],
    settled: Vector,
    location: str | None,
) -> frozenset[EntryRef]:
    kept: set[EntryRef] = set()
    live = {one.id for found in observations.values() for one in found}
    classified = _classified(below)
    for fact in below:
        match fact:
            case Movement():
                place = fact.writer, fact.seq
                if fact.key in kept_whole or place in classified or not knows(settled, *place):
                    kept.add(place)
            case Count():
                if fact.key in kept_whole or (fact.session is not None and fact.session in live):
                    kept.add((fact.writer, fact.seq))
            case _:
                # Plans of sessions, resolutions and clock fixes are few, and decide about entries still to come.
                kept.add((fact.writer, fact.seq))
    for (_, product), papers in held.papers.items():
        is_whole = any(Key(one.location, product) in kept_whole for one in papers)
        if is_whole or _is_open(product, papers, held, observations, settled, location):
            kept.update((one.writer, one.seq) for one in papers)
    # A dispatch whose receipt has gone would look like goods on the road: an entry that stays keeps all its papers'.
    groups = [{(one.writer, one.seq) for one in papers} for papers in held.papers.values()]
    while partly := [places for places in groups if not kept.isdisjoint(places) and not places <= kept]:
        kept.update(*partly)
    return frozenset(kept)


def _classified(below: Iterable[Fact]) -> set[EntryRef]:
    """Return the entries whose movements a person placed; the count may be one that is still to come."""
    found: set[EntryRef] = set()
    for fact in below:
        if isinstance(fact, Classify):
            with contextlib.suppress(ValueError):
                found.add(parse_target(fact.movement)[:2])
    return found


def _is_open(
    product: str,
    papers: Sequence[Movement],
    held: FactSet,
    observations: dict[Key, list[Observation]],
    settled: Vector,
    location: str | None,
) -> bool:
    """Tell whether a transfer's papers may still matter: on the road, contested, or suspect at some count."""
    if sum(one.quantity for one in papers) != 0 or any(not knows(settled, one.writer, one.seq) for one in papers):
        return True
    destinations = {one.destination for one in papers if one.reason == DISPATCH_REASON}
    if not any(destinations):
        return True
    policy = held.rules.policy(product)
    for destination in destinations:
        if location is not None and destination != location:
            continue  # a count there judges it in its own scope
        key = Key(destination or "", product)
        receipts = [one for one in papers if one.reason != DISPATCH_REASON and one.location == destination]
        if key not in observations or not receipts:
            return True  # goods that never came there as planned may be suspected at any count still to come
        for observation in observations[key]:
            sides = [held.relating.relate(one, observation, policy).side for one in receipts]
            if all(side is Side.AFTER for side in sides):
                return True
    return False
