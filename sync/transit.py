"""Goods on the road: what was dispatched and not yet received, and what is wrong with a transfer's papers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from sync.conflicts import Conflict
from sync.stock_facts import DISPATCH_REASON, ConflictCode, Key, Movement, Status, names_movement


class TransferState(msgspec.Struct, frozen=True, array_like=True):
    """The quantity of one product still on the road, and what is reported about its papers."""

    transit: int
    conflict: Conflict | None = None


def judge_transfer(
    transfer: str,
    product: str,
    papers: Iterable[Movement],
    declared_at: Callable[[Key], Sequence[str]],
) -> TransferState:
    """Judge one product of one transfer by its movements and notices of either side.

    `declared_at` returns what the counts along the chain of a key's value declared as already on the shelf.
    """
    dispatches = [one for one in papers if one.reason == DISPATCH_REASON]
    receipts = [one for one in papers if one.reason != DISPATCH_REASON]
    dispatched = -sum(one.quantity for one in dispatches)
    received = sum(one.quantity for one in receipts)
    transit = dispatched - received

    def reported(code: ConflictCode, status: Status) -> Conflict:
        return Conflict(code, status, f"*transit/{product}", (transfer,), transfer)

    if dispatched > received and any(one.is_final for one in receipts):
        return TransferState(0, reported(ConflictCode.TRANSFER_SHORT, Status.OPEN))
    if dispatched > received and _is_declared(transfer, product, dispatches, declared_at):
        return TransferState(0, reported(ConflictCode.TRANSIT_IMPLICIT_RECEIPT, Status.OPEN))
    if not dispatches:
        return TransferState(transit, reported(ConflictCode.TRANSIT_AWAITING_SHIP, Status.INFO))
    if received > dispatched:
        return TransferState(transit, reported(ConflictCode.TRANSFER_OVER, Status.OPEN))
    return TransferState(transit)


def _is_declared(
    transfer: str,
    product: str,
    dispatches: Sequence[Movement],
    declared_at: Callable[[Key], Sequence[str]],
) -> bool:
    destinations = sorted({one.destination for one in dispatches if one.destination is not None})
    for destination in destinations:
        names = tuple(declared_at(Key(destination, product)))
        # Naming part of a transfer declares that part alone, so only all of its dispatches amount to the whole.
        if names and (transfer in names or all(names_movement(names, one) for one in dispatches)):
            return True
    return False
