"""Entries of a sales van and of customers who buy on account: settlements of its days, and own limits of credit."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Count, Kind, Payload, Permission, Text, Vector


class SettledLine(Payload, frozen=True):
    """What became of one product between two settlements, in thousandths of its base unit.

    opening + loaded + returned + found + repacked − sold − sent − wasted − given − closing = the difference;
    `repacked` is signed. `closing_milli` is None where nothing of it was counted: then the book goes on.
    `value_minor` is the difference at the selling price of the moment, positive where goods are missing.
    """

    product: Code
    opening_milli: Amount
    loaded_milli: Amount
    returned_milli: Amount
    found_milli: Amount
    repacked_milli: Amount
    sold_milli: Amount
    sent_milli: Amount
    wasted_milli: Amount
    given_milli: Amount
    closing_milli: Amount | None
    value_minor: Amount = 0

    @property
    def book_milli(self) -> int:
        """What ought to be aboard."""
        return (
            self.opening_milli + self.loaded_milli + self.returned_milli + self.found_milli + self.repacked_milli
            - self.sold_milli - self.sent_milli - self.wasted_milli - self.given_milli
        )  # fmt: skip

    @property
    def difference_milli(self) -> int:
        """What is missing (negative: what is too much); nothing where it was not counted."""
        return 0 if self.closing_milli is None else self.book_milli - self.closing_milli

    @property
    def left_milli(self) -> int:
        """What the next day begins with."""
        return self.book_milli if self.closing_milli is None else self.closing_milli


class SettledMeans(Payload, frozen=True):
    """What one means of payment brought: for sales, for what customers owed, and what went back; minor units."""

    means: Code
    sales_minor: Amount
    collected_minor: Amount
    refunds_minor: Amount


class VanSettled(Payload, frozen=True):
    """A van's settlement: all that its log holds up to `vector` and above that of the settlement `previous`.

    Cash is that of the shifts which were closed meanwhile. `deposits_minor` was taken for empties that customers
    hold, `empties_minor` given back for those that came home.
    """

    settlement: Code
    previous: Code
    business_date: Code
    operator: Code
    vector: Vector
    lines: tuple[SettledLine, ...]
    means: tuple[SettledMeans, ...]
    sales: Count
    refunds: Count
    cash_expected_minor: Amount
    cash_counted_minor: Amount
    deposits_minor: Amount = 0
    empties_minor: Amount = 0
    approver: Code = ""
    note: Text = ""

    @property
    def missing_minor(self) -> int:
        """What the differences of all products come to at selling prices; positive where goods are missing."""
        return sum(line.value_minor for line in self.lines)


class CreditLimited(Payload, frozen=True):
    """A customer's own limit of credit, in minor units: what may be sold on account is a right that the hub grants.

    None: the limit of the chain's setting applies again.
    """

    person: Code
    limit_minor: Amount | None
    operator: Code = ""


KINDS = (
    Kind("van.settled", VanSettled, Permission.TRADE),
    Kind("credit.limited", CreditLimited, Permission.HUB),
)
