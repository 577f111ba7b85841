"""Owns the in-store barcodes of label scales: layouts that a shop configures, read and written.

A layout is a pattern with one letter per digit: `F` flag, `P` article, `W` weight in grams, `A` amount in minor
units, `C` check digit, `N` a digit that is not read. The flag (the first digits) and the length pick the layout,
so a shop may run two scale makers side by side. Shops use 13 digits (FF P5 A5 C or FF P5 W5 C) and 18 digits
(FF P5 A5 W5 C or FF P5 W5 A5 C); the check digit may be absent, or present and not to be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from schema.errors import RefusalError
from schema.rules.barcodes import check_digit

_PATTERN = re.compile(r"(F+)(?:(?:P+|W+|A+|N+)+)(C?)")
_PART = re.compile(r"P+|W+|A+|N+")


class BarcodeLayout(msgspec.Struct, frozen=True):
    """One scale's label: which flags it prints and what its digits mean.

    `is_check_verified` is switched off for scales that fill the check digit with anything.
    """

    name: str
    flags: tuple[str, ...]
    pattern: str
    is_check_verified: bool = True

    def __post_init__(self) -> None:
        matched = _PATTERN.fullmatch(self.pattern)
        parts = _PART.findall(self.pattern)
        letters = [part[0] for part in parts]
        if matched is None or len(letters) != len(set(letters)) or "P" not in letters:
            raise ValueError(f"{self.pattern!r} is no barcode layout: letters F, P, W, A, N, C, each in one run")
        if "W" not in letters and "A" not in letters:
            raise ValueError(f"{self.pattern!r} carries neither weight nor amount")
        if not self.flags or any(len(f) != len(matched[1]) or not f.isdecimal() for f in self.flags):
            raise ValueError(f"the flags of layout {self.name!r} are {len(matched[1])} digits each")

    @property
    def has_check_digit(self) -> bool:
        """Tell whether the last digit is a check digit."""
        return self.pattern.endswith("C")

    def _span(self, letter: str) -> slice | None:
        start, end = self.pattern.find(letter), self.pattern.rfind(letter)
        return None if start < 0 else slice(start, end + 1)

    def digits_of(self, letter: str) -> int:
        """Return how many digits a part has; zero where the layout lacks it."""
        return self.pattern.count(letter)


class InStoreCode(msgspec.Struct, frozen=True):
    """What a scale's label says; `grams` and `amount_minor` are None where the layout lacks them."""

    layout: str
    article: str
    grams: int | None
    amount_minor: int | None


class BarcodeLayouts:
    """A shop's set of layouts; raises ValueError when a flag and length would pick two of them."""

    def __init__(self, layouts: Iterable[BarcodeLayout]) -> None:
        self._by_key: dict[tuple[int, str], BarcodeLayout] = {}
        for layout in layouts:
            for flag in layout.flags:
                key = (len(layout.pattern), flag)
                if key in self._by_key:
                    raise ValueError(f"flag {flag} with {key[0]} digits picks two barcode layouts")
                self._by_key[key] = layout
        self._flag_lengths = sorted({len(flag) for _, flag in self._by_key})

    def layout_of(self, code: str) -> BarcodeLayout | None:
        """Return the layout that a code's flag and length pick, None for all other codes."""
        if not (code.isascii() and code.isdecimal()):
            return None
        found = (self._by_key.get((len(code), code[:length])) for length in self._flag_lengths)
        return next((layout for layout in found if layout is not None), None)

    def read(self, code: str) -> InStoreCode | None:
        """Read a scanned code; None where no layout is meant.

        Raises RefusalError `barcode.check_digit` for a misread label: scan again or key the weight in.
        """
        code = code.strip()
        layout = self.layout_of(code)
        if layout is None:
            return None
        if layout.has_check_digit and layout.is_check_verified and check_digit(code[:-1]) != code[-1]:
            raise RefusalError("barcode.check_digit", f"the label {code} was misread: its check digit does not fit")

        def number(letter: str) -> int | None:
            span = layout._span(letter)
            return None if span is None else int(code[span])

        span = layout._span("P")
        assert span is not None
        return InStoreCode(layout.name, code[span], number("W"), number("A"))


def build_in_store_code(
    layout: BarcodeLayout, article: str, *, grams: int = 0, amount_minor: int = 0, flag: str | None = None
) -> str:
    """Write the code of a scale's label, with `N` digits as zeros; the first flag unless another is named.

    Raises ValueError for a flag or article that the layout cannot hold, and for a weight or amount with too many
    digits: such a package needs a layout with more digits.
    """
    flag = layout.flags[0] if flag is None else flag
    if flag not in layout.flags:
        raise ValueError(f"layout {layout.name!r} has no flag {flag!r}")
    values = {"P": article, "W": str(grams), "A": str(amount_minor), "N": "0"}
    written = flag
    for part in _PART.findall(layout.pattern):
        digits = values[part[0]].zfill(len(part))
        if len(digits) != len(part) or not (digits.isascii() and digits.isdecimal()):
            raise ValueError(f"{values[part[0]]!r} does not fit {len(part)} digits of layout {layout.name!r}")
        written += digits
    return written + check_digit(written) if layout.has_check_digit else written


AMOUNT_13 = BarcodeLayout("amount-13", ("21",), "FFPPPPPAAAAAC")
WEIGHT_13 = BarcodeLayout("weight-13", ("22",), "FFPPPPPWWWWWC")
AMOUNT_WEIGHT_18 = BarcodeLayout("amount-weight-18", ("23",), "FFPPPPPAAAAAWWWWWC")
WEIGHT_AMOUNT_18 = BarcodeLayout("weight-amount-18", ("24",), "FFPPPPPWWWWWAAAAAC")
DEFAULT_LAYOUTS = (AMOUNT_13, WEIGHT_13, AMOUNT_WEIGHT_18, WEIGHT_AMOUNT_18)
"""A starting point; the flags are each shop's own choice, set on its scales."""
