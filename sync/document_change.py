"""The strict codec of one Automerge change that does nothing but assign scalars in a document's root map.

A change comes from another node and the merge library panics on some malformed ones, so nothing reaches it
that this module has not read in full, allow-listed and found to be in its only canonical form. Layout:
the Automerge binary document format, chunk types 1 (change) and 2 (deflated change).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple, TypeAlias

from schema.errors import RefusalError

Scalar: TypeAlias = str | int | bool | None

SEPARATOR = "\x1f"
INTEGER_MAX = 2**53 - 1
ACTOR_BYTES = 16
HASH_BYTES = 32
CHANGE_BYTES_MAX = 60 * 1024
CONTENT_BYTES_MAX = 1024 * 1024
OPERATIONS_MAX = 16_384
DEPENDENCIES_MAX = 256
ACTORS_MAX = 256
PREDECESSORS_MAX = 16_384
TEXT_BYTES_MAX = 16 * 1024

_MAGIC = b"\x85\x6f\x4a\x83"
_CHUNK_CHANGE = 1
_CHUNK_DEFLATED = 2
_DEFLATE_BYTES_MIN = 256
_COUNTER_MAX = 2**31  # The library keeps operation counters in 32 bits.
_KEY = re.compile(r"([^\x00-\x1f\x7f]{1,64})\x1f([^\x00-\x1f\x7f]{1,64})")

# Column numbers are (column id << 4 | column type).
_KEY_TEXT, _INSERT, _ACTION, _VALUE_META, _VALUE_RAW = 0x15, 0x34, 0x42, 0x56, 0x57
_PRED_COUNT, _PRED_ACTOR, _PRED_COUNTER = 0x70, 0x71, 0x73
_COLUMNS = (_KEY_TEXT, _INSERT, _ACTION, _VALUE_META, _VALUE_RAW, _PRED_COUNT, _PRED_ACTOR, _PRED_COUNTER)
_ACTION_SET = 1
_NULL, _FALSE, _TRUE, _INT, _TEXT = 0, 1, 2, 4, 6  # The value types that may pass; 4 bits.

OperationId: TypeAlias = tuple[int, bytes]  # (counter, actor)


class Assignment(NamedTuple):
    """One operation of a change: this field of this record becomes this value, in place of those operations."""

    record: str
    field: str
    value: Scalar
    replaces: tuple[OperationId, ...] = ()

    @property
    def key(self) -> str:
        """The key in the document's root map."""
        return f"{self.record}{SEPARATOR}{self.field}"


class DecodedChange(NamedTuple):
    """What a change says once all of it has been understood; operation i has the counter start_op + i."""

    hash: bytes
    actor: bytes
    seq: int
    start_op: int
    time_ms: int
    deps: tuple[bytes, ...]
    assignments: tuple[Assignment, ...]

    @property
    def max_op(self) -> int:
        """The counter of the last operation."""
        return self.start_op + len(self.assignments) - 1


def decode_change(data: bytes) -> DecodedChange:
    """Read one change; raises RefusalError (`document.change_*`) for whatever is not canonical and allow-listed."""
    if len(data) > CHANGE_BYTES_MAX:
        raise RefusalError("document.change_too_large", f"A change of {len(data)} bytes is too large.")
    if data[:4] != _MAGIC or len(data) < 10:
        raise _malformed("the magic bytes are missing")
    chunk = _Reader(data, 9)
    kind, length = data[8], chunk.uleb()
    body = data[chunk.position :]
    if len(body) != length:
        raise _malformed("its length is not the stated one")
    if kind == _CHUNK_DEFLATED:
        content = _inflate(body)
    elif kind == _CHUNK_CHANGE:
        content = body
        if len(content) > CONTENT_BYTES_MAX:
            raise RefusalError("document.change_too_large", "The change's content is too large.")
    else:
        raise _malformed(f"chunk type {kind} is no change")
    change_hash = _hash(content)
    if data[4:8] != change_hash[:4]:
        raise _malformed("the checksum differs")
    return _decode_content(content, change_hash)


def encode_change(
    actor: bytes,
    seq: int,
    start_op: int,
    time_ms: int,
    deps: Iterable[bytes],
    assignments: Sequence[Assignment],
) -> tuple[bytes, bytes]:
    """Write a change in its canonical form; return (bytes, hash). The deflated form is no part of the hash."""
    others = sorted({owner for one in assignments for _, owner in one.replaces} - {actor})
    index_by_actor = {owner: index for index, owner in enumerate([actor, *others])}
    sorted_deps = sorted(deps)
    out = bytearray(_uleb(len(sorted_deps)))
    out += b"".join(sorted_deps)
    out += _uleb(len(actor)) + actor + _uleb(seq) + _uleb(start_op) + _sleb(time_ms) + b"\x00" + _uleb(len(others))
    for other in others:
        out += _uleb(len(other)) + other
    metas: list[int] = []
    raws: list[bytes] = []
    pred_actors: list[int] = []
    pred_deltas: list[int] = []
    last_counter = 0
    for one in assignments:
        meta, raw = _encode_value(one.value)
        metas.append(meta)
        raws.append(raw)
        for counter, owner in sorted(one.replaces):
            pred_actors.append(index_by_actor[owner])
            pred_deltas.append(counter - last_counter)
            last_counter = counter
    keys = [one.key.encode() for one in assignments]
    count = len(assignments)
    columns = [
        (_KEY_TEXT, _sleb(-count) + b"".join([_uleb(len(key)) + key for key in keys])),
        (_INSERT, _uleb(count)),
        (_ACTION, _runs([_ACTION_SET] * count, _uleb)),
        (_VALUE_META, _runs(metas, _uleb)),
        (_VALUE_RAW, b"".join(raws)),
        (_PRED_COUNT, _runs([len(one.replaces) for one in assignments], _uleb)),
        (_PRED_ACTOR, _runs(pred_actors, _uleb)),
        (_PRED_COUNTER, _runs(pred_deltas, _sleb)),
    ]
    columns = [(number, column) for number, column in columns if column]
    out += _uleb(len(columns))
    for number, column in columns:
        out += _uleb(number) + _uleb(len(column))
    out += b"".join([column for _, column in columns])
    content = bytes(out)
    change_hash = _hash(content)
    if len(content) <= _DEFLATE_BYTES_MIN:
        kind, body = _CHUNK_CHANGE, content
    else:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        kind, body = _CHUNK_DEFLATED, deflate.compress(content) + deflate.flush()
    return _MAGIC + change_hash[:4] + bytes([kind]) + _uleb(len(body)) + body, change_hash


def check_assignment(record: str, field: str, value: object) -> None:
    """Refuse (`document.value_forbidden`) what a change could not carry, before it is written."""
    try:
        match = _KEY.fullmatch(f"{record}{SEPARATOR}{field}")
        f"{record}{field}".encode()
        if isinstance(value, str) and len(value.encode()) > TEXT_BYTES_MAX:
            raise RefusalError("document.value_forbidden", f"{record} {field}: the text is too long.")
    except UnicodeEncodeError as error:
        raise RefusalError("document.value_forbidden", f"{record!r} {field!r}: no valid text.") from error
    if match is None:
        raise RefusalError("document.value_forbidden", f"{record!r} {field!r} names no field.")
    if value is None or isinstance(value, str | bool):
        return
    if not isinstance(value, int) or abs(value) > INTEGER_MAX:
        raise RefusalError("document.value_forbidden", f"{record} {field}: {value!r} is no scalar that fits.")


def _malformed(reason: str) -> RefusalError:
    return RefusalError("document.change_malformed", f"The change is malformed: {reason}.")


def _forbidden(reason: str) -> RefusalError:
    return RefusalError("document.change_forbidden", f"The change does what a document may not hold: {reason}.")


def _inflate(body: bytes) -> bytes:
    inflate = zlib.decompressobj(-15)
    try:
        content = inflate.decompress(body, CONTENT_BYTES_MAX + 1)
    except zlib.error as error:
        raise _malformed("it does not inflate") from error
    if len(content) > CONTENT_BYTES_MAX:
        raise RefusalError("document.change_too_large", "The change inflates beyond its limit.")
    if not inflate.eof or inflate.unused_data:
        raise _malformed("its deflated stream does not end where it should")
    return content


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(bytes([_CHUNK_CHANGE]) + _uleb(len(content)) + content).digest()


def _decode_content(content: bytes, change_hash: bytes) -> DecodedChange:
    reader = _Reader(content)
    deps = tuple(reader.take(HASH_BYTES) for _ in range(reader.count(DEPENDENCIES_MAX, "dependencies")))
    if any(left >= right for left, right in pairwise(deps)):
        raise _malformed("the dependencies are not in order")
    actor = _actor(reader)
    seq = reader.count(_COUNTER_MAX, "earlier changes")
    start_op = reader.count(_COUNTER_MAX, "earlier operations")
    time_ms = reader.sleb()
    if seq < 1 or start_op < 1 or not 0 <= time_ms <= INTEGER_MAX:
        raise _malformed("a number is out of range")
    if reader.uleb() != 0:
        raise _forbidden("it carries a message")
    others = [_actor(reader) for _ in range(reader.count(ACTORS_MAX, "actors"))]
    if actor in others or any(left >= right for left, right in pairwise(others)):
        raise _malformed("the actors are not in order")
    columns = _columns(reader)
    keys = _decode_keys(columns[_KEY_TEXT])
    count = len(keys)
    if columns[_INSERT] != _uleb(count):
        raise _forbidden("it inserts into a list or text")
    if columns[_ACTION] != _runs([_ACTION_SET] * count, _uleb):
        raise _forbidden("it does something else than assign")
    values = _decode_values(_decode_runs(columns[_VALUE_META], signed=False, count_max=count), columns[_VALUE_RAW])
    if len(values) != count:
        raise _malformed("keys and values differ in number")
    replaces = _decode_predecessors(columns, count, [actor, *others], start_op)
    assignments = tuple(
        [
            Assignment(record, field, value, ids)
            for (record, field), value, ids in zip(keys, values, replaces, strict=True)
        ]
    )
    return DecodedChange(change_hash, actor, seq, start_op, time_ms, deps, assignments)


def _actor(reader: _Reader) -> bytes:
    if reader.uleb() != ACTOR_BYTES:
        raise _forbidden("an actor's id is not 16 bytes long")
    return reader.take(ACTOR_BYTES)


def _columns(reader: _Reader) -> dict[int, bytes]:
    layout = [(reader.uleb(), reader.uleb()) for _ in range(reader.count(32, "columns"))]
    numbers = [number for number, _ in layout]
    if not set(numbers) <= set(_COLUMNS):
        raise _forbidden("it uses nested objects, lists, marks or compressed columns")
    if numbers != sorted(set(numbers)) or any(length == 0 for _, length in layout):
        raise _malformed("the columns are not in order")
    columns = dict.fromkeys(_COLUMNS, b"")
    for number, length in layout:
        columns[number] = reader.take(length)
    if not reader.is_at_end:
        raise _forbidden("bytes follow the last column")
    return columns


def _decode_keys(column: bytes) -> list[tuple[str, str]]:
    # Keys are distinct, so the one canonical form is a single literal run.
    reader = _Reader(column)
    count = -reader.sleb()
    if not 1 <= count <= OPERATIONS_MAX:
        raise _forbidden("it assigns nothing, too much, the same key twice, or by no key")
    keys: list[tuple[str, str]] = []
    match = _KEY.fullmatch
    data, position, end = column, reader.position, len(column)
    for _ in range(count):
        if position >= end:
            raise _malformed("a key is cut short")
        length = data[position]
        position += 1
        if length > 0x7F:
            reader.position = position - 1
            length = reader.uleb()
            position = reader.position
        stop = position + length
        if stop > end:
            raise _malformed("a key is cut short")
        try:
            found = match(data[position:stop].decode())
        except UnicodeDecodeError as error:
            raise _malformed("a key is no text") from error
        if found is None:
            raise _forbidden("a key names no field of a record")
        keys.append((found[1], found[2]))
        position = stop
    if position != end:
        raise _malformed("bytes follow the last key")
    if len(set(keys)) != count:
        raise _forbidden("it assigns one field twice")
    return keys


def _encode_value(value: Scalar) -> tuple[int, bytes]:
    if value is None:
        return _NULL, b""
    if value is True:
        return _TRUE, b""
    if value is False:
        return _FALSE, b""
    if isinstance(value, int):
        raw = _sleb(value)
        return len(raw) << 4 | _INT, raw
    raw = value.encode()
    return len(raw) << 4 | _TEXT, raw


def _decode_values(metas: list[int], raw: bytes) -> list[Scalar]:
    values: list[Scalar] = []
    append = values.append
    position, end = 0, len(raw)
    for meta in metas:
        kind, length = meta & 15, meta >> 4
        stop = position + length
        if stop > end:
            raise _malformed("a value is cut short")
        if kind == _TEXT:
            if length > TEXT_BYTES_MAX:
                raise _forbidden("a text is too long")
            try:
                append(raw[position:stop].decode())
            except UnicodeDecodeError as error:
                raise _malformed("a value is no text") from error
        elif kind == _INT:
            part = _Reader(raw[position:stop])
            number = part.sleb()
            if not part.is_at_end:
                raise _malformed("an integer is longer than needed")
            if not -INTEGER_MAX <= number <= INTEGER_MAX:
                raise _forbidden("an integer is too large")
            append(number)
        elif kind <= _TRUE:
            if length:
                raise _malformed("a value without bytes has some")
            append((None, False, True)[kind])
        else:
            raise _forbidden(f"a value is of type {kind}")
        position = stop
    if position != end:
        raise _malformed("bytes follow the last value")
    return values


def _decode_predecessors(
    columns: dict[int, bytes], count: int, actors: list[bytes], start_op: int
) -> list[tuple[OperationId, ...]]:
    counts = _decode_runs(columns[_PRED_COUNT], signed=False, count_max=count)
    total = sum(counts)
    if len(counts) != count or total > PREDECESSORS_MAX:
        raise _malformed("predecessors and keys differ in number")
    owners = _decode_runs(columns[_PRED_ACTOR], signed=False, count_max=total)
    deltas = _decode_runs(columns[_PRED_COUNTER], signed=True, count_max=total)
    if len(owners) != total or len(deltas) != total:
        raise _malformed("the predecessors are incomplete")
    if not total:
        if len(actors) > 1:
            raise _malformed("an actor is named without need")
        return [()] * count
    if max(owners) >= len(actors) or len({*owners, 0}) != len(actors):
        raise _malformed("a predecessor's actor is not named, or an actor is named without need")
    result: list[tuple[OperationId, ...]] = []
    position = counter = 0
    for length in counts:
        ids: list[OperationId] = []
        for owner, delta in zip(
            owners[position : position + length], deltas[position : position + length], strict=True
        ):
            counter += delta
            if not 1 <= counter < start_op:
                raise _malformed("a predecessor does not come before")
            ids.append((counter, actors[owner]))
        if length > 1 and any(left >= right for left, right in pairwise(ids)):
            raise _malformed("the predecessors are not in order")
        result.append(tuple(ids))
        position += length
    return result


class _Reader:
    """A position in bytes; every step is checked."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    @property
    def is_at_end(self) -> bool:
        return self.position == len(self.data)

    def take(self, length: int) -> bytes:
        stop = self.position + length
        if stop > len(self.data):
            raise _malformed("it is cut short")
        part = self.data[self.position : stop]
        self.position = stop
        return part

    def count(self, count_max: int, of_what: str) -> int:
        count = self.uleb()
        if count > count_max:
            raise RefusalError("document.change_too_large", f"The change has too many {of_what}.")
        return count

    def uleb(self) -> int:
        data, position = self.data, self.position
        if position < len(data) and data[position] < 0x80:
            self.position = position + 1
            return data[position]
        return self._leb()[0]

    def sleb(self) -> int:
        value, width, last, before = self._leb(signed=True)
        if last & 0x40:
            value -= 1 << width
        # A last byte that only repeats the sign of the one before it is not needed.
        if width > 7 and ((last == 0 and not before & 0x40) or (last == 0x7F and before & 0x40)):
            raise _malformed("a number is longer than needed")
        return value

    def _leb(self, *, signed: bool = False) -> tuple[int, int, int, int]:
        data, position, value, width, before = self.data, self.position, 0, 0, 0
        while True:
            if position >= len(data) or width > 63:
                raise _malformed("a number is cut short or too long")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << width
            width += 7
            if byte < 0x80:
                break
            before = byte
        if not signed and byte == 0 and width > 7:
            raise _malformed("a number is longer than needed")
        self.position = position
        return value, width, byte, before


def _uleb(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sleb(value: int) -> bytes:
    out = bytearray()
    while not -64 <= value <= 63:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def _runs(values: Sequence[int], write: Callable[[int], bytes]) -> bytes:
    """Encode a column: a value repeated is (count, value); single values in a row are (−count, values)."""
    out = bytearray()
    singles: list[bytes] = []
    for value, group in groupby(values):
        count = len(list(group))
        if count == 1:
            singles.append(write(value))
            continue
        if singles:
            out += _sleb(-len(singles)) + b"".join(singles)
            singles = []
        out += _sleb(count) + write(value)
    if singles:
        out += _sleb(-len(singles)) + b"".join(singles)
    return bytes(out)


def _decode_runs(column: bytes, *, signed: bool, count_max: int) -> list[int]:
    reader = _Reader(column)
    values: list[int] = []
    while not reader.is_at_end:
        count = reader.sleb()
        if count == 0:
            raise _forbidden("a column has gaps")
        if len(values) + abs(count) > count_max:
            raise _malformed("a column is longer than the others")
        read = reader.sleb if signed else reader.uleb
        if count > 0:
            values += [read()] * count
        else:
            values += [read() for _ in range(-count)]
    if _runs(values, _sleb if signed else _uleb) != column:
        raise _malformed("a column is not in its canonical form")
    return values
