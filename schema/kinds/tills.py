"""Entries of a till's day beside its sales: signing in, parked baskets, the drawer, drafts, tenders settled later."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Count, Kind, Payload, Permission, Text


class SignInRecorded(Payload, frozen=True):
    """What happened at the sign-in.

    `outcome` is in, out, wrong (PIN), locked (too many wrong ones), unlocked, or approved (a second person's PIN was
    right after wrong ones).
    """

    operator: Code
    outcome: Code
    approver: Code = ""


class BasketParked(Payload, frozen=True):
    """A basket put aside, for any till of the location; `content` is its canonical encoding."""

    basket: Code
    operator: Code
    label: Text
    total_minor: Amount
    content: bytes


class BasketTaken(Payload, frozen=True):
    """A parked basket left the list: `outcome` is recalled or dropped. Two tills that took one both show it."""

    basket: Code
    operator: Code
    outcome: Code


class DrawerOpened(Payload, frozen=True):
    """The drawer was opened with no sale, and why."""

    shift: Code
    operator: Code
    reason: Code
    approver: Code = ""


class ProductDrafted(Payload, frozen=True):
    """Goods with a barcode that the catalogue lacks were sold at a keyed price: the hub may make a product of them."""

    barcode: Code
    name: Text
    price_minor: Amount
    operator: Code
    document: Code = ""


class TenderSettled(Payload, frozen=True):
    """What became of a tender whose outcome was unknown: `outcome` is confirmed or failed.

    `sale` is the entry id of the sale or payment, `tender` the position in its tenders.
    """

    sale: Code
    tender: Count
    outcome: Code
    operator: Code
    reference: Code = ""
    note: Text = ""


class LineVoided(Payload, frozen=True):
    """A line left the basket before it was paid for: what reports of voids and clears count."""

    act: Code
    operator: Code
    product: Code
    quantity_milli: Amount
    amount_minor: Amount
    approver: Code = ""


KINDS = (
    Kind("sign_in.recorded", SignInRecorded, Permission.TRADE),
    Kind("basket.parked", BasketParked, Permission.TRADE),
    Kind("basket.taken", BasketTaken, Permission.TRADE),
    Kind("drawer.opened", DrawerOpened, Permission.TRADE),
    Kind("product.drafted", ProductDrafted, Permission.TRADE),
    Kind("tender.settled", TenderSettled, Permission.TRADE),
    Kind("line.voided", LineVoided, Permission.TRADE),
)
