"""Entries of rights on shared stock: what another may promise of it, and the promises themselves."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Count, Kind, Payload, Permission, Text


class RightGranted(Payload, frozen=True):
    """The writer gives a part of its right to promise a product to another stream, `holder` (node.incarnation)."""

    product: Code
    quantity_milli: Amount
    holder: Code
    operator: Code = ""
    note: Text = ""


class PromiseMade(Payload, frozen=True):
    """Goods are put aside for somebody until a time (Unix milliseconds, 0: without end), by the writer's own right.

    `promise` is random; `document` is what it stands for, such as a web order.
    """

    promise: Code
    product: Code
    quantity_milli: Amount
    until_ms: Count
    operator: Code = ""
    customer: Code = ""
    document: Code = ""
    note: Text = ""


class PromiseEnded(Payload, frozen=True):
    """A promise is over: `outcome` is fulfilled, cancelled or expired; `document` is the sale that fulfilled it.

    The right comes back to its holder when the holder itself says that it was cancelled or expired.
    """

    promise: Code
    product: Code
    outcome: Code
    operator: Code = ""
    document: Code = ""
    note: Text = ""


KINDS = (
    Kind("right.granted", RightGranted, Permission.STOCK),
    Kind("promise.made", PromiseMade, Permission.TRADE),
    Kind("promise.ended", PromiseEnded, Permission.TRADE),
)
