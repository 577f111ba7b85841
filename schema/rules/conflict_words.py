"""What a conflict means to the owner of a shop: one sentence for each code, the same at the till and at the hub.

The codes are the count rules' own; a code that this release does not know gets a plain sentence too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from schema.amounts import format_quantity


class ConflictWords(msgspec.Struct, frozen=True):
    """What the sentence speaks of: quantities are base units in thousandths, `subject` the transfer, zone or node."""

    product: str
    value: int = 0
    lo: int = 0
    hi: int = 0
    subject: str = ""
    is_settled: bool = False
    references: int = 0


def _range(words: ConflictWords) -> str:
    if words.lo == words.hi:
        return format_quantity(words.value)
    return f"{format_quantity(words.value)} (between {format_quantity(words.lo)} and {format_quantity(words.hi)})"


def _disagree(words: ConflictWords) -> str:
    counts = f"{words.references} counts" if words.references > 1 else "Counts"
    if words.is_settled:
        return f"{counts} of {words.product} differ; the later one was believed: {_range(words)}."
    return f"{counts} of {words.product} differ; the book says {_range(words)} until you choose one or count again."


def _movements(words: ConflictWords) -> str:
    return f"{words.references} {'movement' if words.references == 1 else 'movements'} of {words.product}"


def _order(words: ConflictWords) -> str:
    doubt = f"{_movements(words)} happened about when it was counted"
    if words.is_settled:
        return f"{doubt}; within the tolerance, so the book stays at {_range(words)}."
    return f"{doubt}: stock is {_range(words)}. Count it again, or say which came before the count."


_SENTENCES: Final[Mapping[str, Callable[[ConflictWords], str]]] = {
    "LATE_ABSORBED": lambda w: (
        f"{_movements(w)} arrived late and had left the shelf already when it was counted: nothing was subtracted"
        " twice."
    ),
    "BACKDATED_ABSORBED": lambda w: (
        f"{_movements(w)} keyed in later with a time before the count: the count holds that already."
    ),
    "CLOCK_VIOLATION": lambda w: (
        f"A clock contradicts the order in which {w.product} was counted and moved: check the clocks of the tills."
    ),
    "CLOCK_CORRECTED": lambda w: (
        f"The clock of {w.subject or 'a till'} was measured and found wrong; what it recorded was put in order again."
    ),
    "COUNT_AGREE": lambda w: f"{w.references} people counted {w.product} and agree: {_range(w)}.",
    "COUNT_DISAGREE": _disagree,
    "ZONE_AGREE": lambda w: f"{w.product} was counted twice in one zone ({w.subject}) with the same result.",
    "ZONE_RECOUNT": lambda w: (
        f"{w.product} was counted twice in one zone ({w.subject}) with different results: count that zone again."
    ),
    "SESSION_INCOMPLETE": lambda w: (
        f"The count {w.subject} of {w.product} lacks a zone and does not count yet: finish or close it."
    ),
    "AMBIGUOUS_ORDER": _order,
    "NEGATIVE_STOCK": lambda w: (
        f"The book says {format_quantity(w.value)} of {w.product}: more was sold than was ever received or counted."
        " Count the shelf or key in the missing receipt."
    ),
    "RESOLUTION_DISAGREE": lambda w: (
        f"Two people chose different counts of {w.product}: the book says {_range(w)} until one of them decides."
    ),
    "TRANSFER_SHORT": lambda w: f"Less {w.product} of transfer {w.subject} arrived than was sent: ask both sides.",
    "TRANSFER_OVER": lambda w: f"More {w.product} of transfer {w.subject} arrived than was sent: check its papers.",
    "TRANSIT_AWAITING_SHIP": lambda w: (
        f"{w.product} of transfer {w.subject} arrived before the sender's note: nothing to do until it comes."
    ),
    "TRANSIT_IMPLICIT_RECEIPT": lambda w: (
        f"{w.product} of transfer {w.subject} was declared as on the shelf at a count, but never keyed as received:"
        " key the receipt in."
    ),
    "TRANSIT_SUSPECT_DOUBLE": lambda w: (
        f"The count of {w.product} is higher by just what transfer {w.subject} brings: it may have counted goods whose"
        f" receipt was keyed later. Stock is {_range(w)}; say whether the count held them."
    ),
    "ESCROW_DEFICIT": lambda w: f"More {w.product} is promised than is there: cancel a promise or find the goods.",
    "ESCROW_OVERSPENT": lambda w: f"{w.product} was promised beyond what {w.subject} held the right to promise.",
}
CODES: Final = frozenset(_SENTENCES)


def conflict_sentence(code: str, words: ConflictWords) -> str:
    """Say in one or two sentences what happened, what the rules decided, and what is left to do."""
    sentence = _SENTENCES.get(code)
    if sentence is None:
        return f"{words.product or 'Stock'} needs a look: {code}."
    text = sentence(words)
    return text.replace("1 movements of", "1 movement of") if text.startswith("1 movements of") else text
