"""What an entry kind is: a named, versioned payload with the permission that its writer needs.

A payload is a positional, frozen struct. Fields are only ever added at the end and with a new version;
a release that does not know (kind, version) parks the entry and folds it after the upgrade.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from schema.amounts import AMOUNT_MAX

Amount = Annotated[int, msgspec.Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
"""Money in minor units or a quantity in thousandths."""
Count = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]
Millis = Annotated[int, msgspec.Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
"""Milliseconds since 1970-01-01 UTC by some node's clock, or a span of them."""
Code = Annotated[str, msgspec.Meta(max_length=96)]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Vector = tuple[tuple[Code, Count], ...]
"""A version vector over one scope: (writer, seq) pairs in ascending order of writer."""


class Permission(StrEnum):
    """What a grant lets a stream write."""

    HUB = "hub"
    TRADE = "trade"
    STOCK = "stock"
    COUNT = "count"
    RESOLVE = "resolve"
    NOTICE = "notice"
    CATALOGUE = "catalogue.write"


class Rank(StrEnum):
    """The role that a person acts in, as the count rules rank it."""

    CLERK = "clerk"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMIN = "admin"

    @property
    def order(self) -> int:
        """Position in the ranking, clerk lowest."""
        return tuple(Rank).index(self)


class Payload(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of every payload: positional on the wire, immutable in memory."""


class StockMove(Payload, frozen=True):
    """A signed quantity in base units that left or reached the shelf; no fold looks anything up to apply it."""

    product: Code
    quantity_milli: Amount
    lot: Code = ""
    expiry: Code = ""
    serial: Code = ""
    zone: Code = ""


class StockEffects(msgspec.Struct, frozen=True):
    """The stock movements of one entry as the count rules read them."""

    moves: tuple[StockMove, ...]
    reason: str
    document: str = ""
    transfer: str = ""
    destination: str = ""
    is_final: bool = False
    stated: tuple[int, int] | None = None
    """When it really happened, in milliseconds by the writer's clock, where a person said so."""


class Kind(msgspec.Struct, frozen=True):
    """One entry kind; `effects` gives the stock movements of a payload, where it has any."""

    name: str
    payload: type[Payload]
    permission: Permission
    version: int = 1
    effects: Callable[[Any], StockEffects] | None = None
    view: type[msgspec.Struct] | None = None
    """A shape of the same bytes with only what `effects` reads, for who needs no more: decoding it skips the rest."""
    rank: Callable[[Any], str] | None = None
    """The role a payload claims; authority must cover it."""
