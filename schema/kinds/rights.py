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


class RightMoved(Payload, frozen=True):
    """The hub takes a right from a stream that can no longer spend it: its node has left, or goes on in another one.

    The right goes to `successor`, or home to the stock's own place where that is empty. An empty `holder` takes from
    home: what was written off of `origin` is given anew. `value_minor` is what the goods cost last, for who reads it.
    """

    product: Code
    quantity_milli: Amount
    holder: Code
    successor: Code = ""
    origin: Code = ""
    operator: Code = ""
    value_minor: Amount | None = None


KINDS = (
    Kind("right.granted", RightGranted, Permission.STOCK),
    Kind("right.moved", RightMoved, Permission.HUB),
    Kind("promise.made", PromiseMade, Permission.TRADE),
    Kind("promise.ended", PromiseEnded, Permission.TRADE),
)
