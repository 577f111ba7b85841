"""Entries that bring balances forward from an earlier system."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Kind, Payload, Permission, Text


class BalanceOpened(Payload, frozen=True):
    """What a member, gift card, customer, supplier or till starts with: minor units, for points in points."""

    balance: Code
    subject: Code
    amount: Amount
    operator: Code = ""
    note: Text = ""


KINDS = (Kind("balance.opened", BalanceOpened, Permission.HUB),)
