"""Finds what was sold, and says what its return comes to: priced as sold, a kit with its parts, to the same tenders.

Nothing is recorded here: a draft becomes a refund in the transaction that checked it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.balance_effects import Effect, effects_here, taken_back
from edge.cache import receipt_is_older
from edge.giving_back import EXCHANGE, back_to, by_means, refunded_minor, refunds_of
from edge.node import Node
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from schema.kinds.base import StockMove
from schema.kinds.trading import RefundLine, Sale, SaleLine, Tender
from schema.rules.allocation import refund_share
from schema.rules.deposits import EMPTIES, is_deposit, is_empties
from schema.rules.pricing import SoldLine, refund_as_sold


class ReturnRequest(msgspec.Struct, frozen=True):
    """Which line of the original sale comes back (by its position), how much, and where the goods go."""

    line: int
    quantity_milli: int
    goods_to: str = "shelf"
    reason: str = ""


class OriginalSale(msgspec.Struct, frozen=True):
    """A sale that something is returned of, and what has come back of each line already (thousandths)."""

    entry: str
    sale: Sale
    returned_milli: dict[int, int]

    def left_milli(self, line: int) -> int:
        """Return how much of a line has not come back yet."""
        return self.sale.lines[line].quantity_milli - self.returned_milli.get(line, 0)

    def after(self, lines: Sequence[RefundLine]) -> OriginalSale:
        """Return the sale as it stands when these lines have come back as well."""
        returned = dict(self.returned_milli)
        for line in lines:
            if line.original_line is not None:
                returned[line.original_line] = returned.get(line.original_line, 0) + line.quantity_milli
        return msgspec.structs.replace(self, returned_milli=returned)

    @property
    def is_all_back(self) -> bool:
        """Tell whether every line has come back whole."""
        return all(self.left_milli(place) <= 0 for place in range(len(self.sale.lines)))

    def whole(self) -> list[ReturnRequest]:
        """Return what would bring everything back that is left; a kit's parts come with the kit."""
        return [
            ReturnRequest(place, self.left_milli(place))
            for place, line in enumerate(self.sale.lines)
            if line.kit_parent is None and self.left_milli(place) > 0
        ]


def find_sale(node: Node, reference: str) -> OriginalSale:
    """Find a sale by receipt number or entry id; raises RefusalError when it is not here."""
    row = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, r.seq FROM receipt r JOIN scope s ON s.scope_no = r.scope_no"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no"
        " WHERE r.number = ? AND r.is_refund = 0 ORDER BY r.scope_no, r.stream_no, r.seq",
        (reference,),
    ).fetchone()
    try:
        place = EntryId(Stream(row[0], row[1], row[2]), row[3]) if row else EntryId.parse(reference)
    except ValueError:
        raise RefusalError("receipt_unknown", f"there is no sale {reference} here", receipt=reference) from None
    entry = node.replica.log.entry(place.stream, place.seq)
    stream = node.replica.log.stream(place.stream)
    if entry is None and stream is not None and 0 < place.seq <= stream.base.seq:
        raise receipt_is_older(node, reference)
    if entry is None or not isinstance(entry.payload, Sale):
        raise RefusalError("receipt_unknown", f"there is no sale {reference} here", receipt=reference)
    rows = node.connection.execute(
        "SELECT line, sum(quantity_milli) FROM returned WHERE original = ? GROUP BY line", (str(place),)
    ).fetchall()
    return OriginalSale(str(place), entry.payload, {int(line): int(quantity) for line, quantity in rows})


class RefundDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A refund before it has a number. `original` is the sale's entry id, empty without a receipt."""

    original: str = ""
    lines: tuple[RefundLine, ...]
    moves: tuple[StockMove, ...]
    tenders: tuple[Tender, ...]
    effects: tuple[Effect, ...] = ()
    operator: str = ""
    approver: str = ""
    member: str = ""
    flags: tuple[str, ...] = ()
    source: str = ""

    @property
    def total_minor(self) -> int:
        """What is given back, as the lines sum it."""
        return sum(line.amount_minor for line in self.lines)


def draft_refund(
    node: Node, original: OriginalSale, returns: Sequence[ReturnRequest], *, state: str = "confirmed",
    exchanged_minor: int = 0,
) -> RefundDraft:  # fmt: skip
    """Return the refund of parts of a sale that is here, priced as it was sold, to the original tenders first.

    At most `exchanged_minor` of it pays for other goods instead; `state` is that of what an outside service gives back.
    Balances that came with the sale are taken back with it. Raises RefusalError when more would come back than was
    sold, or nothing is left.
    """
    lines: list[RefundLine] = []
    left = original
    for request in returns:
        back = _refund_lines(left, request)
        lines += back
        left = left.after(back)
    if not lines:
        raise RefusalError("refund_empty", "everything of this sale has come back already")
    sale, place = original.sale, EntryId.parse(original.entry)
    total = sum(line.amount_minor for line in lines)
    earlier = refunds_of(node, original.entry)
    before = by_means([tender for refund in earlier for tender in refund.tenders])
    exchanged = min(exchanged_minor, total)
    tenders: tuple[Tender, ...] = (Tender(EXCHANGE, exchanged),) if exchanged else ()
    if total > exchanged or not exchanged:
        tenders += back_to(sale, before, total - exchanged, state=state)
    effects = taken_back(
        effects_here(node, place, sale.receipt_number), sold_minor=sale.total_minor,
        before_minor=refunded_minor(node, original.entry), now_minor=total, tenders=tenders,
        paid=by_means(sale.tenders), back_before=before, is_whole=left.is_all_back,
    )  # fmt: skip
    return RefundDraft(
        original=original.entry, lines=tuple(lines), moves=_moves_back(sale, lines), tenders=tenders,
        effects=tuple(effects), member=sale.member,
    )  # fmt: skip


def _refund_lines(original: OriginalSale, request: ReturnRequest) -> list[RefundLine]:
    """Return a line that comes back, and with a kit its parts in proportion."""
    sale = original.sale
    if not 0 <= request.line < len(sale.lines):
        raise RefusalError("refund_line", f"the sale has no line {request.line + 1}", line=request.line + 1)
    check_goods_to(request.goods_to)
    line = sale.lines[request.line]
    if line.kit_parent is not None:
        raise RefusalError("refund_part", f"{line.product} came in a kit: take the kit back", product=line.product)
    lines = [_refund_line(original, request)]
    before = original.returned_milli.get(request.line, 0)
    for place, part in enumerate(sale.lines):
        if part.kit_parent == request.line:
            share = refund_share(part.quantity_milli, line.quantity_milli, before, request.quantity_milli)
            if share:
                lines.append(_refund_line(original, ReturnRequest(place, share, request.goods_to, request.reason)))
    return lines


def _refund_line(original: OriginalSale, request: ReturnRequest) -> RefundLine:
    line = original.sale.lines[request.line]
    sold = SoldLine(
        quantity_milli=line.quantity_milli,  # type: ignore[arg-type]
        amount_minor=line.amount_minor,  # type: ignore[arg-type]
        returned_milli=original.returned_milli.get(request.line, 0),  # type: ignore[arg-type]
    )
    if request.quantity_milli <= 0:
        raise RefusalError("quantity_zero", "a quantity is more than nothing", name=line.product)
    try:
        amounts = refund_as_sold(sold, request.quantity_milli)
    except ValueError:
        raise RefusalError(
            "refund_exceeds", f"more of {line.product} would come back than was sold", product=line.product
        ) from None
    return RefundLine(
        request.line, line.product, line.unit, line.factor_milli, request.quantity_milli, amounts.paid_minor,
        line.tax_class, line.tax_bp, request.goods_to, EMPTIES if is_deposit(line) else request.reason,
    )  # fmt: skip


def _moves_back(sale: Sale, lines: Sequence[RefundLine]) -> tuple[StockMove, ...]:
    """Return goods to the shelf under the lots that they were sold from; a kit's parts go, never the kit."""
    kits = {line.kit_parent for line in sale.lines}
    sold = iter(sale.moves)
    sold_by_line = {
        place: next(sold, None) for place, line in enumerate(sale.lines) if place not in kits and not is_deposit(line)
    }  # Movements stand in the order of their lines.
    moves = []
    for line in lines:
        if line.goods_to != "shelf" or line.original_line in kits or is_empties(line):
            continue
        quantity = line.factor_milli * line.quantity_milli // 1000
        from_shelf = sold_by_line.get(line.original_line) if line.original_line is not None else None
        if from_shelf is not None and from_shelf.product == line.product:
            moves.append(msgspec.structs.replace(from_shelf, quantity_milli=quantity))
        else:
            moves.append(StockMove(line.product, quantity))
    return tuple(moves)


def check_goods_to(goods_to: str) -> None:
    """Refuse a place that no goods go to."""
    if goods_to not in {"shelf", "damaged", "supplier"}:
        raise RefusalError("refund_goods", "goods go to shelf, damaged or supplier")


def draft_unreceipted(lines: Sequence[SaleLine], goods_to: str, reason: str = "") -> RefundDraft:
    """Return the refund in cash of goods whose sale is not known, priced as given."""
    kits = {line.kit_parent for line in lines}
    returned = tuple(
        RefundLine(None, k.product, k.unit, k.factor_milli, k.quantity_milli, k.amount_minor, k.tax_class, k.tax_bp,
                   goods_to, EMPTIES if is_deposit(k) else reason)
        for k in lines
    )  # fmt: skip
    moves = tuple(
        StockMove(line.product, line.factor_milli * line.quantity_milli // 1000)
        for place, line in enumerate(returned)
        if goods_to == "shelf" and place not in kits and not is_empties(line)
    )
    total = sum(line.amount_minor for line in returned)
    return RefundDraft(lines=returned, moves=moves, tenders=(Tender("cash", total),))
