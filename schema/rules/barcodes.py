"""Owns the reading of trade barcodes: check digits, one canonical spelling per GTIN, and GS1 element strings.

The same goods are written as UPC-A, EAN-13 and zero-padded GTIN-14 in different files and by different
scanners; the catalogue keeps one spelling, so that a scan is one exact look-up.
"""

from __future__ import annotations

import datetime
from enum import StrEnum

import msgspec

GTIN_LENGTHS = (8, 12, 13, 14)
OWN_CODE_MAX = 32


class CodeKind(StrEnum):
    """What a code turned out to be."""

    EAN13 = "ean-13"
    EAN8 = "ean-8"
    UPC_A = "upc-a"
    GTIN14 = "gtin-14"
    """A trade unit's code with an indicator digit 1 to 9, as on outer cases."""
    PADDED = "padded"
    """A shorter GTIN written with leading zeros to 13 or 14 digits."""
    OWN = "own"
    """Any other code that a shop may print or type: 1 to 32 characters, no check digit known."""
    BAD_CHECK_DIGIT = "bad-check-digit"
    """Digits of a GTIN's length whose last digit contradicts the others: a typing mistake, or an own code."""
    UNREADABLE = "unreadable"
    """Nothing that a scanner sends: empty, too long, or with characters outside printable ASCII."""


class TradeCode(msgspec.Struct, frozen=True):
    """A code with its kind and the spelling under which the catalogue keeps it."""

    kind: CodeKind
    canonical: str

    @property
    def is_gtin(self) -> bool:
        """Tell whether the code is a GTIN with a right check digit."""
        return self.kind in _GTIN_KINDS


_GTIN_KINDS = frozenset({CodeKind.EAN13, CodeKind.EAN8, CodeKind.UPC_A, CodeKind.GTIN14, CodeKind.PADDED})


def check_digit(body: str) -> str:
    """Return the GS1 mod-10 check digit of the digits that precede it (weights 3 and 1 from the right).

    Source: GS1 General Specifications, "Standard check digit calculations". Raises ValueError for non-digits.
    """
    if not (body.isascii() and body.isdecimal()):
        raise ValueError(f"{body!r} has characters that are no digits")
    digits = body.encode()  # Bytes are the digits' values plus 48.
    heavy, light = digits[-1::-2], digits[-2::-2]
    total = 3 * (sum(heavy) - 48 * len(heavy)) + sum(light) - 48 * len(light)
    return str(-total % 10)


def has_right_check_digit(code: str) -> bool:
    """Tell whether a text consists of digits that end in the right check digit."""
    return len(code) > 1 and code.isascii() and code.isdecimal() and check_digit(code[:-1]) == code[-1]


def read_code(text: str) -> TradeCode:
    """Classify a code as scanned or as found in a file, without ever raising.

    Canonical spellings: EAN-13 as it is, UPC-A with one leading zero, EAN-8 as eight digits, a GTIN-14 with
    indicator 1 to 9 as fourteen digits, padded codes without their padding, own codes as they stand.
    """
    code = text.strip()
    length = len(code)
    if not code.isascii() or not code.isprintable() or not 0 < length <= OWN_CODE_MAX or " " in code:
        return TradeCode(CodeKind.UNREADABLE, code)
    if length not in GTIN_LENGTHS or not code.isdecimal():
        return TradeCode(CodeKind.OWN, code)
    if check_digit(code[:-1]) != code[-1] or not code.strip("0"):
        return TradeCode(CodeKind.BAD_CHECK_DIGIT, code)
    if length == 8:
        return TradeCode(CodeKind.EAN8, code)
    if length == 14 and code[0] != "0":
        return TradeCode(CodeKind.GTIN14, code)
    thirteen = code.zfill(14)[1:]
    if thirteen.startswith("00000"):  # Prefix 00000 in thirteen digits is the range of GTIN-8.
        return TradeCode(CodeKind.PADDED, thirteen[5:])
    if length == 14:
        return TradeCode(CodeKind.PADDED, thirteen)
    return TradeCode(CodeKind.UPC_A if length == 12 else CodeKind.EAN13, thirteen)


def canonical_code(text: str) -> str:
    """Return the spelling under which the catalogue keeps a code; codes that are no GTIN stay as they are."""
    return read_code(text).canonical


def gtin14(code: str) -> str:
    """Write any GTIN with fourteen digits, as in a GS1 element string; raises ValueError for other codes."""
    read = read_code(code)
    if not read.is_gtin:
        raise ValueError(f"{code!r} is no GTIN")
    return read.canonical.zfill(14)


def base_unit_code(code: str) -> str | None:
    """Return the EAN-13 of the unit inside a case whose GTIN-14 has indicator 1 to 8; None for other codes.

    A suggestion only: many makers give a case a number of its own.
    """
    read = read_code(code)
    if read.kind is not CodeKind.GTIN14 or read.canonical[0] == "9":
        return None
    body = read.canonical[1:13]
    return canonical_code(body + check_digit(body))


def is_restricted(code: str) -> bool:
    """Tell whether a 13-digit code lies in the range that GS1 leaves to shops: prefixes 20 to 29, and 02, 04."""
    return len(code) == 13 and code.isdecimal() and (code[0] == "2" or code[:2] in {"02", "04"})


class ElementString(msgspec.Struct, frozen=True):
    """What a GS1-128, DataMatrix or QR code says of the goods; absent elements are None.

    `net_weight_milli` is in grams, `amount_minor` in minor units, dates as printed (day 00 is the month's end).
    """

    code: str
    lot: str | None = None
    serial: str | None = None
    best_before: datetime.date | None = None
    expiry: datetime.date | None = None
    net_weight_milli: int | None = None
    amount_minor: int | None = None


def read_element_string(text: str) -> ElementString | None:
    """Read a GS1 element string, or a GS1 digital link, that names a GTIN.

    None for plain codes and for strings that contradict GS1.
    """
    if len(text) < 16:
        return None
    import biip

    try:
        parsed = biip.parse(text)
    except (biip.ParseError, ValueError):
        return None
    message = parsed.gs1_message or parsed.gs1_digital_link_uri
    if message is None:
        return None
    values = {element.ai.ai: element for element in message.element_strings}
    names = values.get("01") or values.get("02")
    if names is None or names.gtin is None:
        return None

    def value(ai: str) -> str | None:
        return values[ai].value if ai in values else None

    def date(ai: str) -> datetime.date | None:
        return values[ai].date if ai in values else None

    weight = next((e.decimal for ai, e in values.items() if ai.startswith("310") and e.decimal is not None), None)
    amount = next((e.decimal for ai, e in values.items() if ai.startswith("392") and e.decimal is not None), None)
    return ElementString(
        code=canonical_code(names.gtin.value),
        lot=value("10"),
        serial=value("21"),
        best_before=date("15"),
        expiry=date("17"),
        net_weight_milli=None if weight is None else int(weight.scaleb(3)),
        amount_minor=None if amount is None else int(amount.scaleb(2)),
    )
