"""The messages of a visit: whatever comes is read or refused, and what is left out of a bundle is never lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import RefusalError
from sync.messages import Request, encode_request, frame
from sync.sealing import (
    AnswerHead,
    CarriedHead,
    is_answer_whole,
    is_whole,
    open_answer,
    open_bundle,
    read_answer,
    read_sealed,
    seal_answer,
    seal_bundle,
)
from sync.signing import SigningKey
from sync.visiting import (
    Aboard,
    AnswerBrought,
    AnswerTaken,
    Offered,
    Piece,
    PieceAsked,
    Span,
    VisitAnswered,
    VisitAsked,
    VisitRefused,
    VisitReply,
    VisitRequest,
    decode_reply,
    decode_visit,
    encode_visit,
    is_visit,
    reached,
)

HUB, SHOP, OTHER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
codes = st.text("abcdefghij-./0123456789", min_size=1, max_size=24)
counts = st.integers(0, 1 << 40)
names = st.text("0123456789abcdef", min_size=32, max_size=32)
spans = st.lists(st.builds(Span, codes, codes, counts, counts), max_size=4).map(tuple)
requests: st.SearchStrategy[VisitRequest] = st.one_of(
    st.builds(
        VisitAsked, st.just(1), codes, codes, st.lists(st.builds(Aboard, codes, counts, spans), max_size=3).map(tuple),
        st.none() | counts, st.booleans(),
    ),
    st.builds(PieceAsked, names, counts),
    st.builds(AnswerBrought, st.binary(max_size=2_000)),
)  # fmt: skip
replies: st.SearchStrategy[VisitReply] = st.one_of(
    st.builds(
        VisitAnswered, codes, st.none() | st.builds(Offered, names, st.integers(1, 1 << 20), counts, spans),
        st.booleans(),
    ),
    st.builds(Piece, names, counts, st.binary(min_size=1, max_size=2_000)),
    st.builds(AnswerTaken, counts),
    st.builds(VisitRefused, codes, st.text(max_size=80)),
)  # fmt: skip


def refusal_of(decode: Callable[[bytes], object], data: bytes) -> str:
    """Return the code under which something is refused; empty where it was read."""
    try:
        decode(data)
    except RefusalError as error:
        return error.code
    return ""


@given(requests, replies)
def test_what_is_said_on_a_visit_is_heard_as_it_was_said(request_: VisitRequest, reply: VisitReply) -> None:
    assert decode_visit(encode_visit(request_)) == request_
    assert decode_reply(encode_visit(reply)) == reply
    assert is_visit(encode_visit(request_))


@given(st.binary(max_size=400) | st.binary(max_size=400).map(frame))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    is_visit(data)
    for decode in (decode_visit, decode_reply):
        assert refusal_of(decode, data).partition("_")[0] in {"", "frame", "message", "protocol"}


@given(requests, st.data())
def test_a_damaged_request_is_refused_or_another_request(request_: VisitRequest, data: st.DataObject) -> None:
    whole = bytearray(encode_visit(request_))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    assert refusal_of(decode_visit, bytes(whole)).partition("_")[0] in {"", "frame", "message", "protocol"}


def test_a_sessions_request_is_no_visit() -> None:
    from sync.messages import ClockReport

    request = Request(1, "0.1.0", "a", (), ClockReport(0, 0, None))
    assert not is_visit(encode_request(request))
    assert not is_visit(b"")


def covered(held: int, aboard: list[Span]) -> set[int]:
    """Return the entries of one stream that are at the hub or in a bundle."""
    return set(range(1, held + 1)).union(*(range(one.above + 1, one.upto + 1) for one in aboard))


@given(st.integers(0, 12), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 6)), max_size=6))
def test_what_counts_as_reached_is_held_or_aboard_without_a_gap(held: int, ranges: list[tuple[int, int]]) -> None:
    aboard = [Span("loc/A", "w", above, above + length) for above, length in ranges]
    upto = reached({("loc/A", "w"): held}, aboard).get(("loc/A", "w"), 0)
    assert upto >= held
    assert covered(held, aboard) >= set(range(1, upto + 1))
    assert upto + 1 not in covered(held, aboard) or not any(one.above <= upto < one.upto for one in aboard)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), min_size=1, max_size=25))
def test_tills_that_replace_their_bundles_leave_nothing_out_between_them(acts: list[tuple[int, int, bool]]) -> None:
    """Three tills hold prefixes of two streams and hand out bundles in turn; the van has each till's last one alone."""
    writers = ("w1", "w2")
    heads = dict.fromkeys(writers, 0)
    holds = [dict.fromkeys(writers, 0) for _ in range(3)]
    aboard: dict[int, list[Span]] = {}
    seen = dict.fromkeys(writers, 0)
    for till, more, takes_all in acts:
        own = writers[till % 2]
        heads[own] += more
        for writer in writers:
            if takes_all or writer == own:
                holds[till][writer] = heads[writer]
        others = [span for other, spans_of in aboard.items() if other != till for span in spans_of]
        starts = reached({("A", writer): 0 for writer in writers}, others)
        aboard[till] = [
            Span("A", writer, min(starts["A", writer], holds[till][writer]), holds[till][writer])
            for writer in writers
            if holds[till][writer] > starts["A", writer]
        ]
        seen = {writer: max(seen[writer], holds[till][writer]) for writer in writers}
        for writer in writers:
            mine = [s for spans_of in aboard.values() for s in spans_of if s.writer == writer]
            assert covered(0, mine) >= set(range(1, seen[writer] + 1)), "what was aboard once stays aboard"


@given(st.binary(max_size=500), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_is_opened_by_its_reader_alone(content: bytes, entropy: bytes) -> None:
    head = CarriedHead(HUB.node, SHOP.node, "A", 1, 1)
    bundle = read_sealed(seal_bundle(content, head, HUB.public, SHOP, entropy))
    assert is_whole(bundle, SHOP.public)
    assert open_bundle(bundle, HUB) == content
    with pytest.raises(RefusalError):
        open_bundle(bundle, OTHER)
    answer = read_answer(seal_answer(content, AnswerHead(HUB.node, SHOP.node, "A", 1, 1), SHOP.public, HUB, entropy))
    assert is_answer_whole(answer, HUB.public)
    assert not is_answer_whole(answer, SHOP.public)
    assert open_answer(answer, SHOP) == content
    for other in (HUB, OTHER):
        with pytest.raises(RefusalError):
            open_answer(answer, other)


def test_a_bundle_is_no_answer_and_an_answer_no_bundle() -> None:
    bundle = seal_bundle(b"x", CarriedHead(HUB.node, SHOP.node, "A", 1, 1), HUB.public, SHOP, bytes(range(32)))
    answer = seal_answer(b"x", AnswerHead(HUB.node, SHOP.node, "A", 1, 1), SHOP.public, HUB, bytes(range(32)))
    with pytest.raises(RefusalError):
        read_answer(bundle)
    with pytest.raises(RefusalError):
        read_sealed(answer)
