"""A list of goods in hand: what was scanned or keyed so far, beside what is expected; nothing of it is recorded yet.

Receiving, sending, adjusting and drafting fill the same sheet. Quantities are thousandths of the base unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.basket import BasketLine
from edge.catalog import find_product
from edge.deliveries import DeliveredLine, Expected
from edge.goods_in_hand import in_hand, put_in_hand
from edge.node import Node
from edge.stock import QuantityRequest
from schema.amounts import AMOUNT_MAX
from schema.codec import encode
from schema.errors import RefusalError

FORM: Final = 1
"""How a list in hand is written; a till that does not know a form leaves the list to a release that does."""


class SheetLine(msgspec.Struct):
    """One product, of one lot where lots are told apart; `expected_milli` is None where nothing is awaited of it."""

    product: str
    name: str
    unit_name: str
    is_weighed: bool = False
    quantity_milli: int = 0
    expected_milli: int | None = None
    damaged_milli: int = 0
    damage: str = ""
    reason: str = ""
    lot: str = ""
    expiry: str = ""
    cost_minor: int | None = None

    @property
    def is_touched(self) -> bool:
        """Tell whether anything was said of it."""
        return bool(self.quantity_milli or self.damaged_milli)

    @property
    def short_milli(self) -> int:
        """What is missing to what is expected; negative where there is more."""
        return (self.expected_milli or 0) - self.quantity_milli - self.damaged_milli


class GoodsSheet:
    """The lines in their order; the newest is the one that was touched last."""

    def __init__(self, lines: Sequence[SheetLine] = ()) -> None:
        self.lines: list[SheetLine] = list(lines)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was entered."""
        return not any(line.is_touched for line in self.lines)

    @property
    def touched(self) -> list[SheetLine]:
        """The lines of which anything was said."""
        return [line for line in self.lines if line.is_touched]

    def take(self, scanned: BasketLine, quantity_milli: int, unit_name: str = "") -> int:
        """Add goods (base units) to the line of the same product and lot, or as a new one; returns its place.

        A line that is still untouched and tells no other lot takes the lot and date that were scanned.
        """
        place = self._place_of(scanned)
        if place is None:
            self.lines.append(SheetLine(scanned.product, scanned.name, unit_name, scanned.is_weighed))
            place = len(self.lines) - 1
        line = self.lines[place]
        line.lot, line.expiry = scanned.lot or line.lot, scanned.expiry or line.expiry
        self.set_quantity(place, line.quantity_milli + quantity_milli)
        return place

    def _place_of(self, scanned: BasketLine) -> int | None:
        own = [n for n, line in enumerate(self.lines) if line.product == scanned.product]
        for n in own:
            line = self.lines[n]
            if (not scanned.lot or line.lot == scanned.lot) and (not scanned.expiry or line.expiry == scanned.expiry):
                return n
        return next((n for n in own if not self.lines[n].is_touched and not self.lines[n].lot), None)

    def set_quantity(self, place: int, quantity_milli: int) -> None:
        """Say how much of a line came; raises RefusalError `quantity_invalid` for broken pieces."""
        self.lines[place].quantity_milli = _checked(self.lines[place], quantity_milli)

    def set_damaged(self, place: int, damaged_milli: int, damage: str) -> None:
        """Say how much of a line is damaged, and how; none of it counts as good."""
        line = self.lines[place]
        line.damaged_milli, line.damage = _checked(line, damaged_milli), damage if damaged_milli else ""

    def drop(self, place: int) -> None:
        """Take back what was said of a line; one that nothing is expected of leaves the sheet."""
        line = self.lines[place]
        if line.expected_milli is None:
            del self.lines[place]
        else:
            line.quantity_milli = line.damaged_milli = 0
            line.damage = line.reason = ""

    def fill(self) -> None:
        """Say that everything came as expected, where nothing else was said."""
        for line in self.lines:
            if line.expected_milli is not None and not line.is_touched:
                line.quantity_milli = line.expected_milli

    def delivered(self) -> list[DeliveredLine]:
        """Return what was entered, as a delivery is recorded."""
        return [
            DeliveredLine(
                line.product, line.quantity_milli, "", line.lot, line.expiry, line.damaged_milli, line.damage,
                line.reason, line.cost_minor,
            )
            for line in self.lines
            if line.is_touched or line.reason
        ]  # fmt: skip

    def requests(self) -> list[QuantityRequest]:
        """Return what was entered, as other movements are recorded."""
        return [
            QuantityRequest(line.product, line.quantity_milli, "", line.lot, line.expiry)
            for line in self.lines
            if line.quantity_milli
        ]


def _checked(line: SheetLine, quantity_milli: int) -> int:
    if not 0 <= quantity_milli <= AMOUNT_MAX:
        raise RefusalError("quantity_invalid", "a quantity is zero or more")
    if not line.is_weighed and quantity_milli % 1000:
        raise RefusalError("quantity_invalid", f"{line.name} is kept in whole pieces")
    return quantity_milli


def sheet_of(node: Node, expected: Expected) -> GoodsSheet:
    """Return a sheet with a line for everything that is still to come, nothing of it here yet."""
    lines = []
    for awaited in expected.lines:
        if awaited.left_milli:
            line = _named(node, awaited.product, awaited.left_milli)
            line.lot, line.expiry = awaited.lot, awaited.expiry
            lines.append(line)
    return GoodsSheet(lines)


def wanted_sheet(node: Node, wanted: Sequence[tuple[str, int]]) -> GoodsSheet:
    """Return a sheet on which (product, base quantity) pairs stand as expected."""
    return GoodsSheet([_named(node, product, quantity) for product, quantity in wanted])


class SheetNotes(msgspec.Struct):
    """What stands beside the lines of a list: the remark, what it is about by name, and the delivery it checks."""

    remark: str = ""
    about: dict[str, str] = {}
    expected: Expected | None = None


class KeptSheet(msgspec.Struct, frozen=True):
    """A list that was in hand when the till ended, and is to be gone on with."""

    name: str
    operator: str
    changed_ms: int
    lines: list[SheetLine]
    notes: SheetNotes

    @property
    def touched(self) -> int:
        """How many lines something was said of."""
        return sum(1 for line in self.lines if line.is_touched)


_decode_kept = msgspec.msgpack.Decoder(tuple[int, list[SheetLine], SheetNotes]).decode


def written_sheet(sheet: GoodsSheet, notes: SheetNotes) -> bytes:
    """Return a list as it is kept."""
    return encode((FORM, sheet.lines, notes))


def keep_sheet(node: Node, name: str, work: str, content: bytes, operator: str = "") -> None:
    """Write a list down as it stands, so that it survives the till; `content` as `written_sheet` gives it."""
    put_in_hand(node, name, work, operator, content)


def kept_sheets(node: Node, work: str) -> list[KeptSheet]:
    """Return the lists of a work that are in hand, the newest first; one of an unknown form is left alone."""
    found = []
    for one in in_hand(node, work):
        try:
            form, lines, notes = _decode_kept(one.content)
        except msgspec.MsgspecError:
            continue
        if form == FORM:
            found.append(KeptSheet(one.name, one.operator, one.changed_ms, lines, notes))
    return found


def go_on_with(node: Node, kept: KeptSheet, expected: Expected | None) -> GoodsSheet:
    """Return the lines of a list in hand, beside what is expected by now: others may have taken a part in meanwhile."""
    if expected is None:
        return GoodsSheet(kept.lines)
    sheet = sheet_of(node, expected)
    for line in kept.lines:
        if not line.is_touched:
            continue
        places = [n for n, one in enumerate(sheet.lines) if one.product == line.product and not one.is_touched]
        if places:
            place = next((n for n in places if sheet.lines[n].lot == line.lot), places[0])
            sheet.lines[place] = msgspec.structs.replace(line, expected_milli=sheet.lines[place].expected_milli)
        else:
            sheet.lines.append(msgspec.structs.replace(line, expected_milli=None))
    return sheet


def _named(node: Node, product: str, expected_milli: int) -> SheetLine:
    found = find_product(node, product)
    if found is None:
        return SheetLine(product, product, "", expected_milli=expected_milli)
    name = f"{found.product.name} {found.product.spec}".strip()
    return SheetLine(product, name, found.product.unit_name, found.product.is_weighed, expected_milli=expected_milli)
