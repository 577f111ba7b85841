"""The canonical bytes of an entry: positional MessagePack, one encoding for each value, no float anywhere.

The signed bytes that a node wrote are the bytes that every replica holds; so a body is decoded only
where it is folded, and whatever does not encode back to the same bytes is refused.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from schema.errors import RefusalError
from schema.kinds import KIND_OF, KINDS
from schema.kinds.base import Code, Count, Kind, Millis, Payload, StockEffects, Vector

ENTRY_BYTES_MAX: Final = 64 * 1024
_DEPTH_MAX: Final = 32
_FLOAT_MARKERS: Final = (0xCA, 0xCB)  # MessagePack's float 32 and float 64


class Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An entry's bytes, decoded. Scope, node, incarnation and the previous digest come from around it.

    `wall_ms` is the raw wall clock with the node's own bound on its error `unc_ms` (None: unknown) and its
    clock epoch; the hybrid logical time is (wall_ms + hlc_ahead_ms, hlc_counter). `seen` holds the components
    of the scope's vector that changed since the stream's previous entry. `operation` is the id of the first
    entry of a business act over several scopes; empty for an act of this entry alone.
    """

    seq: Count
    wall_ms: Millis
    hlc_ahead_ms: Millis
    hlc_counter: Count
    unc_ms: Count | None
    clock_epoch: Count
    seen: Vector
    operation: Code
    kind: Code
    version: Count
    payload: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(Body)
_any_decoder = msgspec.msgpack.Decoder()
_payload_decoders = {key: msgspec.msgpack.Decoder(kind.payload) for key, kind in KINDS.items()}
_effects_decoders = {
    key: (msgspec.msgpack.Decoder(kind.view or kind.payload), kind.effects)
    for key, kind in KINDS.items()
    if kind.effects is not None
}


def encode(value: Any) -> bytes:
    """Encode a struct or plain value; floats are our own bug here, never input."""
    return _encoder.encode(value)


def encode_body(
    payload: Payload,
    *,
    seq: int,
    wall_ms: int,
    hlc: tuple[int, int],
    unc_ms: int | None,
    clock_epoch: int,
    seen: Vector = (),
    operation: str = "",
) -> tuple[bytes, Body]:
    """Return one entry's canonical bytes and body; raises RefusalError beyond 64 KiB or a bound of the kind."""
    kind = KIND_OF[type(payload)]
    raw = _encoder.encode(payload)
    try:
        _payload_decoders[kind.name, kind.version].decode(raw)
    except msgspec.MsgspecError as error:
        raise RefusalError("entry_invalid", f"this {kind.name} cannot be recorded: {error}") from None
    body = Body(
        seq, wall_ms, hlc[0] - wall_ms, hlc[1], unc_ms, clock_epoch, seen, operation, kind.name, kind.version,
        msgspec.Raw(raw),
    )  # fmt: skip
    encoded = _encoder.encode(body)
    if len(encoded) > ENTRY_BYTES_MAX:
        raise RefusalError("entry_too_large", f"this {kind.name} is larger than 64 KiB")
    return encoded, body


def decode_body(encoded: bytes) -> Body:
    """Decode an entry that this replica has already verified."""
    return _body_decoder.decode(encoded)


def decode_payload(body: Body) -> Payload | None:
    """Decode the payload; None when this release does not know its kind and version."""
    decoder = _payload_decoders.get((body.kind, body.version))
    return None if decoder is None else decoder.decode(body.payload)


def decode_effects(body: Body) -> StockEffects | None:
    """Decode the stock movements of an entry and no more than they need; None where its kind has none of its own."""
    found = _effects_decoders.get((body.kind, body.version))
    if found is None:
        return None
    decoder, effects = found
    return effects(decoder.decode(body.payload))


PayloadT = TypeVar("PayloadT", bound=Payload)


def decode_as(payload: type[PayloadT], encoded: bytes) -> PayloadT:
    """Decode the stored bytes of one payload."""
    return msgspec.msgpack.decode(encoded, type=payload)


def kind_of(body: Body) -> Kind | None:
    """Return the kind of an entry; None when this release does not know it."""
    return KINDS.get((body.kind, body.version))


def verify_body(encoded: bytes) -> tuple[Body, Payload | None]:
    """Decode an entry from outside, refusing by name whatever is not canonical.

    Raises RefusalError with `entry_too_large`, `entry_malformed` (not this positional form, a value out of its
    bounds, bad UTF-8), `entry_float` or `entry_not_canonical`. An unknown kind comes back with no payload.
    """
    if len(encoded) > ENTRY_BYTES_MAX:
        raise RefusalError("entry_too_large", "an entry is larger than 64 KiB")
    try:
        body = _body_decoder.decode(encoded)
        if _encoder.encode(body) != encoded:
            raise RefusalError("entry_not_canonical", "an entry is not in its canonical form")
        decoder = _payload_decoders.get((body.kind, body.version))
        if decoder is None:
            value = _any_decoder.decode(body.payload)
            _check_plain(value, 0)
            payload = None
        else:
            value = payload = decoder.decode(body.payload)
        if _encoder.encode(value) != bytes(body.payload):
            raise RefusalError("entry_not_canonical", "an entry's payload is not in its canonical form")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        # Bytes that are one number are no entry at all, rather than an entry that holds a float.
        code = "entry_float" if "`float`" in str(error) and encoded[0] not in _FLOAT_MARKERS else "entry_malformed"
        raise RefusalError(code, f"an entry cannot be read: {error}") from None
    return body, payload


def _check_plain(value: object, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise RefusalError("entry_malformed", "an entry is nested too deeply")
    if isinstance(value, float):
        raise RefusalError("entry_float", "an entry holds a float")
    if isinstance(value, list):
        for element in value:
            _check_plain(element, depth + 1)
    elif isinstance(value, dict):
        for key, element in value.items():
            _check_plain(key, depth + 1)
            _check_plain(element, depth + 1)
    elif not isinstance(value, str | bytes | int | None):
        raise RefusalError("entry_malformed", f"an entry holds a {type(value).__name__}")
