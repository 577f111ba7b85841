"""Entries of buying: orders that the hub places and closes, drafts that nodes send it, and what a delivery came to."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Count, Kind, Payload, Permission, Text


class OrderLine(Payload, frozen=True):
    """What is ordered of a product in base units, and what 1,000 thousandths cost where that is agreed."""

    product: Code
    quantity_milli: Count
    cost_minor: Amount | None = None


class OrderPlaced(Payload, frozen=True):
    """A purchase order for this location; placed again under its number it replaces what was ordered before.

    `supplier` is a supplier's record, `due` an ISO date or empty, `draft` the node's draft that it answers.
    """

    order: Code
    supplier: Code
    operator: Code
    lines: tuple[OrderLine, ...]
    due: Code = ""
    draft: Code = ""
    note: Text = ""


class OrderClosed(Payload, frozen=True):
    """Nothing more is expected of an order, or of a transfer that was asked for: `outcome` is done or cancelled."""

    order: Code
    operator: Code
    outcome: Code
    note: Text = ""


class OrderDrafted(Payload, frozen=True):
    """What this location wants: `purpose` is order (from the supplier `source`) or transfer (from the location)."""

    draft: Code
    purpose: Code
    source: Code
    operator: Code
    lines: tuple[OrderLine, ...]
    note: Text = ""


class DraftAnswered(Payload, frozen=True):
    """What became of a draft: `outcome` is ordered, asked (the other location) or declined; `reference` its number."""

    draft: Code
    operator: Code
    outcome: Code
    reference: Code = ""
    note: Text = ""


class TransferAsked(Payload, frozen=True):
    """The hub wants this location to send goods to another, under this number."""

    transfer: Code
    destination: Code
    operator: Code
    lines: tuple[OrderLine, ...]
    draft: Code = ""
    note: Text = ""


class DeliveryLine(Payload, frozen=True):
    """One product of a delivery as it was checked, in base units.

    `received_milli` went onto the shelf. `damaged_milli` did not: a supplier took it back, a transfer's was written
    off. `reason` says why it is short or over, `damage` what was wrong.
    """

    product: Code
    expected_milli: Amount
    received_milli: Amount
    damaged_milli: Amount = 0
    reason: Code = ""
    damage: Code = ""


class DeliveryChecked(Payload, frozen=True):
    """What a delivery came to beside what was expected of it; the goods themselves move by the entry `receipt`.

    `reference` is the order's or the transfer's number; `is_final`: no more of it is expected.
    """

    reference: Code
    receipt: Code
    operator: Code
    lines: tuple[DeliveryLine, ...]
    is_final: bool
    note: Text = ""


KINDS = (
    Kind("order.placed", OrderPlaced, Permission.HUB),
    Kind("order.closed", OrderClosed, Permission.HUB),
    Kind("order.drafted", OrderDrafted, Permission.STOCK),
    Kind("draft.answered", DraftAnswered, Permission.HUB),
    Kind("transfer.asked", TransferAsked, Permission.HUB),
    Kind("delivery.checked", DeliveryChecked, Permission.STOCK),
)
