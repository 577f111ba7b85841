from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import RefusalError
from sync.document_change import (
    CONTENT_BYTES_MAX,
    INTEGER_MAX,
    Assignment,
    DecodedChange,
    Scalar,
    decode_change,
    encode_change,
)
from tests.sync.document_world import uleb, wrap

# Interoperability fixtures of the Automerge project (MIT): whole documents, lists, texts, counters, broken marks.
FIXTURES = sorted(path for path in (Path(__file__).parent / "automerge_fixtures").iterdir() if path.name != "LICENSE")
ACTORS = [bytes([number]) * 16 for number in (3, 1, 2)]

names = st.text(
    st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1, max_size=8
)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-INTEGER_MAX, INTEGER_MAX),
    st.integers(-70, 70),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
maps = st.dictionaries(st.tuples(names, names), scalars, min_size=1, max_size=12)


def put(document: Document, values: dict[tuple[str, str], Scalar]) -> None:
    with document.transaction() as transaction:
        for (record, field), value in values.items():
            if value is None:
                kind = ScalarType.Null
            elif isinstance(value, bool):
                kind = ScalarType.Boolean
            else:
                kind = ScalarType.Int if isinstance(value, int) else ScalarType.Str
            transaction.put(ROOT, f"{record}\x1f{field}", kind, value)


def raw_changes(document: Document) -> list[bytes]:
    return [bytes(change.bytes) for change in document.get_changes([])]


def again(change: DecodedChange) -> tuple[bytes, bytes]:
    return encode_change(change.actor, change.seq, change.start_op, change.time_ms, change.deps, change.assignments)


def plain(key: str = "p\x1fname", value: Scalar = 5) -> bytes:
    """The content of a small change by one actor."""
    record, _, field = key.partition("\x1f")
    return content_of([Assignment(record, field, value)])


def content_of(assignments: list[Assignment]) -> bytes:
    raw, _ = encode_change(ACTORS[0], 1, 1, 0, [], assignments)
    assert raw[8] == 1
    return raw[10:] if raw[9] < 0x80 else raw[11:]


def code_of(data: bytes) -> str:
    with pytest.raises(RefusalError) as caught:
        decode_change(data)
    return caught.value.code


@settings(max_examples=60, deadline=None)
@given(first=maps, edits=st.lists(st.tuples(st.integers(0, 2), maps, st.booleans()), max_size=6))
def test_what_the_library_writes_is_read_and_written_again_to_the_bit(
    first: dict[tuple[str, str], Scalar], edits: list[tuple[int, dict[tuple[str, str], Scalar], bool]]
) -> None:
    documents = [Document(actor_id=actor) for actor in ACTORS]
    put(documents[0], first)
    for document in documents[1:]:
        document.merge(documents[0])
    for index, values, does_merge in edits:
        put(documents[index], values)
        if does_merge:
            documents[(index + 1) % 3].merge(documents[index])
    documents[0].merge(documents[1])
    documents[0].merge(documents[2])
    put(documents[0], {("last", "one"): True})
    for theirs in documents[0].get_changes([]):
        ours = decode_change(bytes(theirs.bytes))
        assert ours.hash == bytes(theirs.hash)
        assert (ours.actor, ours.seq, ours.start_op, ours.max_op) == (
            bytes(theirs.actor_id),
            theirs.seq,
            theirs.start_op,
            theirs.max_op,
        )
        assert list(ours.deps) == [bytes(one) for one in theirs.deps]
        assert again(ours)[1] == ours.hash
        for one in ours.assignments:
            found = documents[0].get(ROOT, one.key, heads=[ours.hash])
            assert found is not None
            value = found[0][1]
            assert value == one.value
            assert isinstance(value, bool) == isinstance(one.value, bool)


@settings(max_examples=60, deadline=None)
@given(values=maps, time_ms=st.integers(0, INTEGER_MAX))
def test_the_library_reads_what_we_write_and_the_time_is_the_one_given(
    values: dict[tuple[str, str], Scalar], time_ms: int
) -> None:
    ours = [Assignment(*key, value) for key, value in values.items()]
    raw, change_hash = encode_change(ACTORS[0], 1, 1, time_ms, [], ours)
    assert (raw, change_hash) == encode_change(ACTORS[0], 1, 1, time_ms, [], ours)
    assert decode_change(raw) == (change_hash, ACTORS[0], 1, 1, time_ms, (), tuple(ours))
    document = Document.load(raw)
    assert [bytes(head) for head in document.get_heads()] == [change_hash]
    reloaded = Document.load(bytes(document.save()))
    assert [decode_change(one).hash for one in raw_changes(reloaded)] == [change_hash]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_no_published_fixture_passes_as_one_change(path: Path) -> None:
    assert code_of(path.read_bytes()).startswith("document.change_")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_each_chunk_of_a_published_fixture_is_read_or_refused_by_name(path: Path) -> None:
    data = path.read_bytes()
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"\x85\x6f\x4a\x83"]
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        assert code_of(data[start:stop]).startswith("document.change_")


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_name(data: bytes) -> None:
    for hostile in (data, b"\x85\x6f\x4a\x83" + data, wrap(data), wrap(data, 2, zlib.compress(data, wbits=-15))):
        assert code_of(hostile).startswith("document.change_")


def _samples() -> list[bytes]:
    a, b = Document(actor_id=ACTORS[0]), Document(actor_id=ACTORS[1])
    put(a, {("p", "name"): "水", ("p", "active"): True, ("q", "tax"): 1300, ("q", "gone"): None})
    b.merge(a)
    put(b, {("p", "name"): "茶", ("q", "tax"): -9})
    put(a, {("p", "name"): "汤", ("p", "active"): False})
    a.merge(b)
    put(a, {("p", "name"): "酒", ("r", "name"): "新"})
    return raw_changes(a)


SAMPLES = _samples()


@settings(max_examples=1500, deadline=None)
@given(
    sample=st.integers(0, len(SAMPLES) - 1),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.integers(0, 6),
    insertion=st.binary(max_size=2),
)
def test_a_damaged_change_is_refused_or_still_the_one_canonical_form_and_never_harms_the_library(
    sample: int, flips: list[tuple[int, int]], cut: int, insertion: bytes
) -> None:
    raw = SAMPLES[sample]
    header = 11 if raw[9] > 0x7F else 10
    content = bytearray(zlib.decompress(raw[header:], wbits=-15) if raw[8] == 2 else raw[header:])
    for at, value in flips:
        content[at % len(content)] = value
    if cut == 1:
        content = content[: flips[0][0] % len(content)]
    if cut == 2:
        at = flips[0][0] % len(content)
        content[at:at] = insertion
    hostile = wrap(bytes(content))
    try:
        change = decode_change(hostile)
    except RefusalError:
        assert code_of(hostile).startswith("document.change_")
        return
    assert again(change)[1] == change.hash
    if not change.deps and change.seq == 1:
        document = Document.load(hostile)
        assert [bytes(head) for head in document.get_heads()] == [change.hash]
        reloaded = Document.load(bytes(document.save()))
        assert [bytes(head) for head in reloaded.get_heads()] == [change.hash]


@pytest.mark.parametrize("position", range(len(SAMPLES[1])))
def test_every_single_bit_flip_of_a_sent_change_is_refused(position: int) -> None:
    for bit in range(8):
        data = bytearray(SAMPLES[1])
        data[position] ^= 1 << bit
        assert code_of(bytes(data)).startswith("document.change_")


@pytest.mark.parametrize(
    "kind, raw",
    [
        (3, b"\x05"),  # unsigned
        (5, b"\x00" * 8),  # floating point
        (7, b"\x05"),  # bytes
        (8, b"\x05"),  # counter
        (9, b"\x05"),  # timestamp
        (10, b"\x05"),
        (15, b"\x05"),
    ],
)
def test_values_that_are_no_plain_scalar_are_refused(kind: int, raw: bytes) -> None:
    content = plain(value="x" * len(raw))
    meta = bytes([len(raw) << 4 | 6])
    hostile = content.replace(b"\x7f" + meta + b"x" * len(raw), b"\x7f" + bytes([len(raw) << 4 | kind]) + raw)
    if len(raw) == 8:  # The meta takes two bytes.
        hostile = content.replace(b"\x7f\x86\x01" + b"x" * 8, b"\x7f\x85\x01" + raw)
    assert hostile != content
    assert code_of(wrap(hostile)) == "document.change_forbidden"


@pytest.mark.parametrize(
    "value",
    [INTEGER_MAX + 1, -INTEGER_MAX - 1, 2**62, -(2**62)],
)
def test_an_integer_that_loses_digits_elsewhere_is_refused(value: int) -> None:
    assert code_of(wrap(plain(value=value))) == "document.change_forbidden"


def test_an_integer_beyond_64_bits_is_refused() -> None:
    assert code_of(wrap(plain(value=2**70))) == "document.change_malformed"


def test_lists_texts_nested_maps_deletions_and_marks_are_refused() -> None:
    document = Document(actor_id=ACTORS[0])
    with document.transaction() as transaction:
        transaction.put_object(ROOT, "p\x1flist", ObjType.List)
    with document.transaction() as transaction:
        text = transaction.put_object(ROOT, "p\x1ftext", ObjType.Text)
        transaction.insert(text, 0, ScalarType.Str, "a")
    with document.transaction() as transaction:
        nested = transaction.put_object(ROOT, "p\x1fmap", ObjType.Map)
        transaction.put(nested, "p\x1fname", ScalarType.Str, "x")
    put(document, {("p", "name"): 5})
    with document.transaction() as transaction:
        transaction.delete(ROOT, "p\x1fname")
    raws = raw_changes(document)
    assert [code_of(one) for one in [*raws[:3], raws[4]]] == ["document.change_forbidden"] * 4


def test_a_key_set_twice_is_refused() -> None:
    document = Document(actor_id=ACTORS[0])
    with document.transaction() as transaction:
        transaction.put(ROOT, "p\x1fname", ScalarType.Int, 1)
        transaction.put(ROOT, "p\x1fname", ScalarType.Int, 2)
    assert code_of(raw_changes(document)[0]) == "document.change_forbidden"


@pytest.mark.parametrize(
    "key", ["name", "\x1fname", "p\x1f", "p\x1fname\x1fmore", "p\n\x1fname", "p" * 65 + "\x1fname"]
)
def test_a_key_that_names_no_field_of_a_record_is_refused(key: str) -> None:
    document = Document(actor_id=ACTORS[0])
    with document.transaction() as transaction:
        transaction.put(ROOT, key, ScalarType.Int, 1)
    assert code_of(raw_changes(document)[0]) == "document.change_forbidden"


def test_a_key_or_text_that_is_no_utf8_is_refused() -> None:
    assert code_of(wrap(plain("pq\x1fn").replace(b"pq\x1fn", b"\xff\xfe\x1fn"))) == "document.change_malformed"
    assert code_of(wrap(plain(value="ab").replace(b"ab", b"\xc3\x28"))) == "document.change_malformed"


def test_a_deflate_bomb_stops_at_its_limit() -> None:
    bomb = zlib.compress(b"\x00" * (50 * 1024 * 1024), 9, wbits=-15)
    assert code_of(wrap(b"", 2, bomb)) == "document.change_too_large"
    exact = zlib.compress(b"\x00" * (CONTENT_BYTES_MAX + 1), 9, wbits=-15)
    assert code_of(wrap(b"", 2, exact)) == "document.change_too_large"


def test_a_deflated_stream_with_bytes_behind_it_or_cut_short_is_refused() -> None:
    content = plain()
    deflated = zlib.compress(content, wbits=-15)
    assert decode_change(wrap(content, 2, deflated)).hash == decode_change(wrap(content)).hash
    assert code_of(wrap(content, 2, deflated + b"\x00")) == "document.change_malformed"
    assert code_of(wrap(content, 2, deflated[:-1])) == "document.change_malformed"


def test_a_count_that_promises_billions_costs_nothing() -> None:
    huge = uleb(2**60)
    assert code_of(wrap(huge)) == "document.change_too_large"
    head = b"\x00\x10" + ACTORS[0] + b"\x01\x01\x00\x00"
    assert code_of(wrap(head + huge)) == "document.change_too_large"
    runs = head + b"\x00" + b"\x01\x15" + uleb(10) + b"\x81\x80\x80\x80\x80\x80\x80\x80\x80\x40"
    assert code_of(wrap(runs)) == "document.change_forbidden"
    count = plain()
    assert code_of(wrap(count.replace(b"\x7f\x01", b"\xff\xff\xff\x07\x01"))).startswith("document.change_")


def test_messages_trailing_bytes_unknown_columns_and_other_lengths_of_actor_are_refused() -> None:
    content = plain()
    at = 1 + 1 + 16 + 3  # no dependencies, the actor, then seq, start and time
    assert content[at] == 0
    assert code_of(wrap(content[:at] + b"\x02hi" + content[at + 1 :])) == "document.change_forbidden"
    assert code_of(wrap(content + b"\x00")) == "document.change_forbidden"
    assert code_of(wrap(b"\x00\x08" + b"\x01" * 8 + content[18:])) == "document.change_forbidden"
    assert code_of(wrap(content.replace(b"\x34\x01", b"\x94\x01"))) == "document.change_forbidden"


def test_the_library_survives_whatever_passes_while_counters_would_have_panicked_it() -> None:
    content = plain(value="x").replace(b"\x7f\x16x", b"\x7f\x18\x05")
    document = Document.load(wrap(content))
    with pytest.raises(BaseException):  # noqa: B017 - the panic is no Exception
        document.get(ROOT, "p\x1fname")
    assert code_of(wrap(content)) == "document.change_forbidden"
