"""Two releases of the program at once: what the newer one knows, and who may know it when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec

from schema import codec
from schema.kinds import KIND_OF, KINDS
from schema.kinds.base import Code, Kind, Payload, Permission, StockEffects, StockMove

OLD, NEW = "1.0", "1.1"


class TastingGiven(Payload, frozen=True):
    """A kind that only the newer release knows: a bottle opened for customers to taste."""

    operator: Code
    moves: tuple[StockMove, ...]


def _tasted(payload: TastingGiven) -> StockEffects:
    return StockEffects(payload.moves, "tasting")


TASTING = Kind("tasting.given", TastingGiven, Permission.TRADE, effects=_tasted)


def _know(is_known: bool) -> bool:
    name = (TASTING.name, TASTING.version)
    kinds, kind_of = cast(dict[Any, Any], KINDS), cast(dict[Any, Any], KIND_OF)
    was_known = name in kinds
    if is_known:
        kinds[name] = kind_of[TastingGiven] = TASTING
        codec._payload_decoders[name] = msgspec.msgpack.Decoder(TastingGiven)
    elif was_known:
        del kinds[name], kind_of[TastingGiven], codec._payload_decoders[name]
    return was_known


@contextmanager
def release_view(release: str) -> Iterator[None]:
    """Let the program know just the kinds of a release while a machine of that release acts."""
    was_known = _know(release == NEW)
    try:
        yield
    finally:
        _know(was_known)
