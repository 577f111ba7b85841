"""The codec refuses by name whatever is not the one canonical form, and never raises anything else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.amounts import AMOUNT_MAX
from schema.codec import ENTRY_BYTES_MAX, encode, encode_body, verify_body
from schema.errors import RefusalError
from schema.kinds.base import StockMove
from schema.kinds.stock import StockAdjusted


def entry(kind: str, payload: object, *, seq: object = 1, version: int = 1) -> bytes:
    """Return the bytes of an entry that our own encoder would refuse to make."""
    return encode((seq, 1, 0, 0, None, 0, (), "", kind, version, msgspec.Raw(encode(payload))))


def adjusted(quantity: object) -> tuple[object, ...]:
    return ("found", "o1", [("P", quantity, "", "", "", "")], "", "", None, "")


@pytest.mark.parametrize(
    ("code", "encoded"),
    [
        ("entry_float", entry("stock.adjusted", adjusted(1.5))),
        ("entry_float", entry("kind.of.tomorrow", [1, {"a": [2.5]}])),
        ("entry_malformed", entry("stock.adjusted", adjusted(2**63))),
        ("entry_malformed", entry("stock.adjusted", adjusted(AMOUNT_MAX + 1))),
        ("entry_malformed", entry("stock.adjusted", adjusted("7"))),
        ("entry_malformed", entry("stock.adjusted", adjusted(True))),
        ("entry_malformed", entry("stock.adjusted", ("found",))),
        ("entry_malformed", entry("stock.adjusted", adjusted(1000), seq=-1)),
        ("entry_malformed", entry("stock.adjusted", adjusted(1000)).replace(b"\xa2o1", b"\xa2\xff\xfe")),
        ("entry_malformed", entry("kind.of.tomorrow", msgspec.msgpack.Ext(5, b"x"))),
        (
            "entry_not_canonical",
            entry("stock.adjusted", adjusted(1000)).replace(b"\xcd\x03\xe8", b"\xce\x00\x00\x03\xe8"),
        ),
        ("entry_malformed", entry("stock.adjusted", adjusted(1000))[:-1]),
        ("entry_malformed", entry("stock.adjusted", adjusted(1000)) + b"\x00"),
        ("entry_float", entry("stock.adjusted", adjusted(1000), seq=1.0)),
        ("entry_float", entry("stock.adjusted", 1.5)),
        ("entry_malformed", b""),
        ("entry_malformed", b"\xca" + bytes(200)),
        ("entry_malformed", b"\xcb" + bytes(8)),
        ("entry_too_large", b"\x00" * (ENTRY_BYTES_MAX + 1)),
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_refused_by_name(code: str, encoded: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        verify_body(encoded)
    assert refused.value.code == code


def test_a_kind_of_a_later_release_is_read_without_its_payload() -> None:
    body, payload = verify_body(entry("kind.of.tomorrow", [1, "x", None, {"a": b"y"}]))
    assert (body.kind, payload) == ("kind.of.tomorrow", None)
    body, payload = verify_body(entry("stock.adjusted", [1, 2, 3], version=2))
    assert (body.version, payload) == (2, None)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(RefusalError):
        verify_body(data)


@given(st.data())
def test_a_changed_byte_is_refused_or_says_something_else(data: st.DataObject) -> None:
    payload = StockAdjusted("found", "o1", (StockMove("P", 1000),))
    encoded, body = encode_body(payload, seq=1, wall_ms=5, hlc=(5, 0), unc_ms=7, clock_epoch=0)
    place = data.draw(st.integers(0, len(encoded) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != encoded[place]))
    changed = encoded[:place] + bytes([value]) + encoded[place + 1 :]
    try:
        other, content = verify_body(changed)
    except RefusalError:
        return
    assert (other, content) != (body, payload)


def test_our_own_writer_refuses_what_breaks_a_bound() -> None:
    with pytest.raises(RefusalError, match="cannot be recorded"):
        encode_body(
            StockAdjusted("found", "o1", (StockMove("P", 2**60),)), seq=1, wall_ms=1, hlc=(1, 0), unc_ms=None,
            clock_epoch=0,
        )  # fmt: skip
    many = tuple(StockMove(f"P{n:08d}", 1000, "L" * 60) for n in range(900))
    with pytest.raises(RefusalError, match="64 KiB"):
        encode_body(StockAdjusted("found", "o1", many), seq=1, wall_ms=1, hlc=(1, 0), unc_ms=None, clock_epoch=0)
