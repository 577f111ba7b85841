"""Owns the transfer's paper: one sealed notice as QR pages that any scanner can type, and its verification.

Two shops without a network still have the driver. The paper carries the entry that the sender wrote into the
receiver's scope, its place in the stream and a seal over it alone, so that the receiver can check it against the
organisation's keys before the stream itself arrives. It proves what was sent; it is never stored in the log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.stock import TransferNoticed
from sync.entry import Entry
from sync.messages import PATIENT_LEVEL, Batch, Digest, Message, frame, unframe
from sync.verification import verify_batch

PAGE_CHARS_MAX: Final = 600
PAGES_MAX: Final = 99
_MARK: Final = "ETP1"
_NAME_CHARS: Final = 8
_PAGE: Final = re.compile(r"ETP1([A-Z2-7]{8})(\d\d)(\d\d)([A-Z2-7]+)")
_ROOM: Final = (PAGE_CHARS_MAX - len(_MARK) - _NAME_CHARS - 4) // 8 * 8


class SealedNotice(Message, frozen=True):
    """A batch of one entry with the digest of the entry before it: all that its verification needs."""

    previous: Digest
    batch: Batch


_decode: Final = msgspec.msgpack.Decoder(SealedNotice).decode


class PaperPage(NamedTuple):
    """One page as scanned: which paper it belongs to, and its place (from 1) among all."""

    paper: str
    number: int
    pages: int
    text: str


def write_pages(notice: SealedNotice) -> list[str]:
    """Return the texts of a paper's QR codes: capital letters and digits alone, at most `PAGE_CHARS_MAX` each.

    Raises RefusalError `paper_too_long` for a transfer of so many lines that it needs several papers.
    """
    packed = frame(encode(notice), PATIENT_LEVEL)
    text = base64.b32encode(packed).decode("ascii").rstrip("=")
    pages = [text[start : start + _ROOM] for start in range(0, len(text), _ROOM)]
    if len(pages) > PAGES_MAX:
        raise RefusalError("paper_too_long", "this transfer has too many lines for one paper: dispatch it in parts")
    name = _name_of(packed)
    return [f"{_MARK}{name}{number:02d}{len(pages):02d}{page}" for number, page in enumerate(pages, 1)]


def _name_of(packed: bytes) -> str:
    return base64.b32encode(hashlib.sha256(packed).digest()[:5]).decode("ascii")


def read_page(text: str) -> PaperPage | None:
    """Read one scan; None for whatever is no page of a transfer's paper."""
    matched = _PAGE.fullmatch(text.strip().upper())
    if matched is None:
        return None
    number, pages = int(matched[2]), int(matched[3])
    return PaperPage(matched[1], number, pages, matched[4]) if 1 <= number <= pages else None


def missing_pages(pages: Iterable[PaperPage]) -> list[int]:
    """Name the pages of a paper that are still to be scanned."""
    known = {page.number: page for page in pages}
    total = max((page.pages for page in known.values()), default=0)
    return [number for number in range(1, total + 1) if number not in known]


def join_pages(pages: Sequence[PaperPage]) -> SealedNotice:
    """Put scanned pages together, in whatever order and however often they came.

    Raises RefusalError `paper_mixed` (pages of two papers), `paper_incomplete` (naming the missing ones) or
    `paper_damaged` (the pages do not give what the paper's name says).
    """
    if len({(page.paper, page.pages) for page in pages}) > 1:
        raise RefusalError("paper_mixed", "these pages belong to two papers: scan one paper at a time")
    missing = missing_pages(pages)
    if missing or not pages:
        named = ", ".join(map(str, missing))
        raise RefusalError("paper_incomplete", f"pages are missing: scan {named}", pages=named)
    texts = {page.number: page.text for page in pages}
    text = "".join(texts[number] for number in sorted(texts))
    try:
        packed = base64.b32decode(text + "=" * (-len(text) % 8))
        if _name_of(packed) != pages[0].paper:
            raise _damaged()
        return _decode(unframe(packed))
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _damaged() from None


def _damaged() -> RefusalError:
    return RefusalError("paper_damaged", "this paper cannot be read whole: scan its pages again")


def verify_notice(notice: SealedNotice, public_key: bytes) -> Entry:
    """Return the notice's entry; raises RefusalError `paper_forged` where the seal does not fit it.

    The chain below stays unproven until the stream arrives: the seal says that this node wrote this entry there.
    """
    try:
        entries = verify_batch(notice.batch, notice.previous, public_key).entries
    except RefusalError:
        entries = ()
    if len(entries) != 1 or not isinstance(entries[0].payload, TransferNoticed):
        raise RefusalError("paper_forged", "this paper was not sealed by a node of the organisation: take nothing in")
    return entries[0]
