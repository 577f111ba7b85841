"""What an entry says about stock, as the facts that the count rules fold."""

from __future__ import annotations

from collections.abc import Mapping

from schema.identity import scope_location
from schema.kinds import KIND_OF
from schema.kinds.base import StockEffects, StockMove, Vector
from schema.kinds.counting import (
    ClockFixed,
    CountAccepted,
    CountOpened,
    CountRecorded,
    EntryVoided,
    MovementClassified,
)
from schema.kinds.rights import PromiseEnded, PromiseMade, RightGranted, RightMoved
from schema.kinds.stock import TransferNoticed
from sync.effective import Effective
from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    Count,
    Fact,
    Grant,
    Look,
    Movement,
    Notice,
    Promise,
    PromiseEnd,
    Rank,
    RightMove,
    SessionOpen,
    Side,
    Void,
)

_RANKS: Mapping[str, Rank] = {rank.name.lower(): rank for rank in Rank}
_SIDES: Mapping[str, Side] = {"BEFORE": Side.BEFORE, "AFTER": Side.AFTER}


def stock_facts_of(entry: Effective) -> list[Fact]:
    """Return the facts of an effective entry; none where it says nothing of stock.

    A sale's line becomes one movement; the location is the scope's own. A notice tells the other location's side
    of a transfer, as if its movement stood there.
    """
    payload = entry.payload
    effects = KIND_OF[type(payload)].effects
    location = scope_location(entry.stream.scope)
    if location is None:
        return []
    if effects is not None:
        return movements_of(
            effects(payload), location, entry.writer, entry.seq, (entry.wall_ms, entry.unc_ms, entry.clock_epoch),
            entry.vector,
        )  # fmt: skip
    return _other_facts(entry, location)


def movements_of(
    found: StockEffects, location: str, writer: str, seq: int, clock: tuple[int, int | None, int],
    vector: Mapping[str, int],
) -> list[Fact]:  # fmt: skip
    """Return the movements of an entry's effects; `clock` is its wall clock, the bound on its error, and its epoch."""
    # What all lines share is read once: this runs for every line of every sale that arrives.
    reason, (wall_ms, unc_ms, epoch) = found.reason, clock
    paper = (found.document or None, found.transfer or None, found.destination or None, found.is_final, found.stated)
    return [
        Movement(
            writer, seq, line, location, move.product, move.quantity_milli, reason, wall_ms, unc_ms, epoch, vector,
            move.zone or None, *paper,
        )
        for line, move in enumerate(found.moves)
    ]  # fmt: skip


def _other_facts(entry: Effective, location: str) -> list[Fact]:
    payload, writer, seq, wall_ms, vector = entry.payload, entry.writer, entry.seq, entry.wall_ms, entry.vector
    match payload:
        case CountRecorded():
            looks = tuple(
                Look(k.quantity_milli, k.lo_ms, k.hi_ms, dict(k.basis_lo), dict(k.basis_hi), k.zone or None)
                for k in payload.looks
            )
            return [
                Count(
                    writer, seq, 0, location, payload.product, _RANKS[payload.role], wall_ms, entry.unc_ms,
                    entry.clock_epoch, vector, looks, payload.session or None, payload.absorbs, payload.not_absorbs,
                )
            ]  # fmt: skip
        case CountOpened():
            return [SessionOpen(writer, seq, wall_ms, vector, location, payload.session, payload.zones)]
        case CountAccepted():
            seen = _full(payload.vector)
            return [
                Accept(writer, seq, wall_ms, seen, _RANKS[payload.role], location, payload.product, payload.observation)
            ]
        case EntryVoided():
            return [Void(writer, seq, wall_ms, _full(payload.vector), _RANKS[payload.role], payload.target)]
        case MovementClassified():
            side = _SIDES.get(payload.relation)
            if side is None:
                return []
            rank = _RANKS[payload.role]
            seen = _full(payload.vector)
            return [Classify(writer, seq, wall_ms, seen, rank, payload.movement, payload.observation, side)]
        case ClockFixed():
            return [
                ClockFix(
                    writer,
                    seq,
                    wall_ms,
                    vector,
                    payload.writer,
                    payload.clock_epoch,
                    payload.offset_ms,
                    payload.unc_ms,
                )
            ]
        case RightGranted():
            return [Grant(writer, seq, location, payload.product, payload.quantity_milli, payload.holder)]
        case RightMoved():
            quantity = payload.quantity_milli
            return [RightMove(writer, seq, location, payload.product, quantity, payload.holder, payload.successor)]
        case PromiseMade():
            return [Promise(writer, seq, location, payload.product, payload.quantity_milli, payload.promise)]
        case PromiseEnded():
            return [PromiseEnd(writer, seq, location, payload.product, payload.promise, payload.outcome)]
        case TransferNoticed():
            return [_notice(entry, payload, line, move) for line, move in enumerate(payload.moves)]
        case _:
            return []


def _notice(entry: Effective, payload: TransferNoticed, line: int, move: StockMove) -> Notice:
    is_dispatch = payload.act == "dispatched"
    return Notice(
        entry.writer, entry.seq, line, payload.location, move.product, move.quantity_milli,
        "ship" if is_dispatch else "recv", entry.wall_ms, entry.unc_ms, entry.clock_epoch, entry.vector,
        transfer=payload.transfer, destination=payload.counterpart if is_dispatch else None,
        is_final=payload.is_final, stated=payload.stated,
    )  # fmt: skip


def _full(vector: Vector) -> dict[str, int]:
    return dict(vector)
