"""Entries of stock work: receiving, adjusting, repacking, transfers and their notices."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Kind, Millis, Payload, Permission, StockEffects, StockMove, Text


class GoodsReceived(Payload, frozen=True):
    """Goods from a supplier; `costs` gives (product, minor units per 1,000 thousandths) where it is known."""

    document: Code
    supplier: Code
    operator: Code
    moves: tuple[StockMove, ...]
    costs: tuple[tuple[Code, Amount], ...] = ()
    stated: tuple[Millis, Millis] | None = None
    note: Text = ""


class StockAdjusted(Payload, frozen=True):
    """A change with a reason: wastage, damage, own_use, theft, found, gift."""

    reason: Code
    operator: Code
    moves: tuple[StockMove, ...]
    document: Code = ""
    approver: Code = ""
    stated: tuple[Millis, Millis] | None = None
    note: Text = ""


class StockRepacked(Payload, frozen=True):
    """One product became another: 1 case (negative) → 24 bottles (positive)."""

    operator: Code
    moves: tuple[StockMove, ...]
    note: Text = ""


class StockOpened(Payload, frozen=True):
    """The stock a location starts with, before its first day."""

    operator: Code
    moves: tuple[StockMove, ...]
    document: Code = ""


class TransferDispatched(Payload, frozen=True):
    """Goods left this location for another; quantities in `moves` are negative."""

    transfer: Code
    destination: Code
    operator: Code
    moves: tuple[StockMove, ...]
    document: Code = ""
    stated: tuple[Millis, Millis] | None = None
    note: Text = ""


class TransferReceived(Payload, frozen=True):
    """Goods of a transfer arrived; `is_final` says that no more of it is expected."""

    transfer: Code
    origin: Code
    operator: Code
    moves: tuple[StockMove, ...]
    is_final: bool = True
    document: Code = ""
    stated: tuple[Millis, Millis] | None = None
    note: Text = ""


class TransferNoticed(Payload, frozen=True):
    """The same lines told to the other location's scope: no stock effect there; transit is judged by it.

    `act` is dispatched or received; `moves`, the clock and `vector` (over the acting scope) are those of
    the entry `of`, so that the other location judges it as if it held that entry.
    """

    act: Code
    transfer: Code
    location: Code
    counterpart: Code
    moves: tuple[StockMove, ...]
    is_final: bool
    of: Code
    vector: tuple[tuple[Code, Amount], ...] = ()
    stated: tuple[Millis, Millis] | None = None


def _received(payload: GoodsReceived) -> StockEffects:
    return StockEffects(payload.moves, "receipt", payload.document, stated=payload.stated)


def _adjusted(payload: StockAdjusted) -> StockEffects:
    return StockEffects(payload.moves, payload.reason, payload.document, stated=payload.stated)


def _repacked(payload: StockRepacked) -> StockEffects:
    return StockEffects(payload.moves, "repack")


def _opened(payload: StockOpened) -> StockEffects:
    return StockEffects(payload.moves, "opening", payload.document)


def _dispatched(payload: TransferDispatched) -> StockEffects:
    return StockEffects(
        payload.moves,
        "ship",
        payload.document,
        transfer=payload.transfer,
        destination=payload.destination,
        stated=payload.stated,
    )


def _arrived(payload: TransferReceived) -> StockEffects:
    return StockEffects(
        payload.moves,
        "recv",
        payload.document,
        transfer=payload.transfer,
        is_final=payload.is_final,
        stated=payload.stated,
    )


KINDS = (
    Kind("stock.received", GoodsReceived, Permission.STOCK, effects=_received),
    Kind("stock.adjusted", StockAdjusted, Permission.STOCK, effects=_adjusted),
    Kind("stock.repacked", StockRepacked, Permission.STOCK, effects=_repacked),
    Kind("stock.opened", StockOpened, Permission.STOCK, effects=_opened),
    Kind("transfer.dispatched", TransferDispatched, Permission.STOCK, effects=_dispatched),
    Kind("transfer.received", TransferReceived, Permission.STOCK, effects=_arrived),
    Kind("transfer.noticed", TransferNoticed, Permission.NOTICE),
)
