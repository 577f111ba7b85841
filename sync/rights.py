"""Rights on shared stock: who may promise how much of it without asking, as a bounded counter.

A right is spent by its holder's own stream alone, so two holders never promise the same piece, whatever they know of
each other; the home of the stock keeps what is left. A sale of goods in the customer's hand needs no right: where it
takes what was promised, that is reported, never refused (point 9 of the count rules).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import msgspec

from sync.conflicts import Conflict
from sync.stock_facts import ConflictCode, Grant, Key, Promise, PromiseEnd, RightFact, RightMove, Status

CREDIT_PREFIX = "credit:"
"""Before a customer's id, in place of a product: the right to sell on account, in minor units; its home is the hub."""
GIVEN_BACK = frozenset({"cancelled", "expired"})
"""Outcomes by which a promise's holder has its right again; one that was fulfilled is spent for good."""


class RightsFigure(msgspec.Struct, frozen=True, array_like=True):
    """What may be promised of one key: by its home, and by each holder elsewhere."""

    home: str
    available: int
    """The home's: the lowest that may be on hand, less what others hold the right to, less what is promised."""
    held: tuple[tuple[str, int], ...]
    promised: int
    """What open promises come to, whoever made them."""
    conflicts: tuple[Conflict, ...] = ()


def is_home(writer: str, homes: Collection[str]) -> bool:
    """Tell whether a writer is of the stock's own place; `homes` names writers, or nodes in every incarnation."""
    return writer in homes or writer.rpartition(".")[0] in homes


def _is_granter(writer: str, facts: Iterable[RightFact]) -> bool:
    """Tell whether a stream only gave rights of a customer's credit: the hub, which grants as much as it sees fit."""
    return any(isinstance(one, Grant) and one.writer == writer for one in facts) and not any(
        (isinstance(one, Promise) and one.writer == writer) or (isinstance(one, Grant) and one.holder == writer)
        for one in facts
    )


def judge_rights(key: Key, lo: int, facts: Iterable[RightFact], homes: Collection[str]) -> RightsFigure | None:
    """Judge the rights on a key of which at least `lo` is on hand; None where nobody was ever given or promised any."""
    ordered = list(facts)
    if not ordered:
        return None
    ends = [one for one in ordered if isinstance(one, PromiseEnd)]
    own_ends = {(one.writer, one.promise) for one in ends if one.outcome in GIVEN_BACK}
    ended = {one.promise for one in ends}
    held: dict[str, int] = defaultdict(int)
    promised = 0
    for fact in ordered:
        match fact:
            case Grant():
                quantity = max(0, fact.quantity)  # a negative one would make rights out of nothing
                held[fact.holder] += quantity
                held[fact.writer] -= quantity
            case RightMove():
                quantity = max(0, fact.quantity)
                for writer, moved in ((fact.holder, -quantity), (fact.successor, quantity)):
                    if writer:
                        held[writer] += moved
            case Promise():
                quantity = max(0, fact.quantity)
                if (fact.writer, fact.promise) not in own_ends:
                    held[fact.writer] -= quantity
                if fact.promise not in ended:
                    promised += quantity
            case PromiseEnd():
                pass
    is_credit = key.product.startswith(CREDIT_PREFIX)
    elsewhere = {
        writer: held[writer]
        for writer in sorted(held)
        if (not _is_granter(writer, ordered) if is_credit else not is_home(writer, homes))
    }
    available = lo - sum(max(0, quantity) for quantity in elsewhere.values()) - promised
    conflicts: list[Conflict] = []
    if available < 0 and available < lo and not is_credit:
        conflicts.append(Conflict(ConflictCode.ESCROW_DEFICIT, Status.OPEN, str(key)))
    conflicts += [
        Conflict(ConflictCode.ESCROW_OVERSPENT, Status.OPEN, str(key), (writer,), writer)
        for writer, quantity in elsewhere.items()
        if quantity < 0
    ]
    return RightsFigure(min(homes, default=""), available, tuple(elsewhere.items()), promised, tuple(conflicts))
