"""What a role may do without a second person: the limits that the hub sets, as one question asked before an act."""

from __future__ import annotations

from enum import StrEnum

from edge.node import Node
from edge.settings import setting
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.settings import UNLIMITED, Limits, RoleLimits

PPM = 1_000_000


class Act(StrEnum):
    """What may ask for a second person."""

    DISCOUNT = "discount"
    """A discount by hand on a line or basket; the base is what it cost before."""
    ROUNDING = "rounding"
    """抹零."""
    OVERRIDE = "override"
    """A keyed price below the list price; the amount is the difference, the base the list amount."""
    GIFT = "gift"
    REFUND = "refund"
    UNRECEIPTED_REFUND = "unreceipted_refund"
    VOID = "void"
    DRAWER = "drawer"
    PAY_OUT = "pay_out"
    SEE_COST = "see_cost"
    ADJUST = "adjust"
    CREDIT = "credit"
    """A customer who owes more than may be owed."""
    OFFLINE_SPENDING = "offline_spending"
    """More stored value or points than may be spent with an old balance."""
    LEASE = "lease"
    """Signing in, or opening a shift, at a node that has traded alone for longer than it was lent."""


def limits_of(node: Node, role: str) -> Limits:
    """Return what a role may do; a role that the setting does not list may do nothing special."""
    return setting(node, RoleLimits).of(role)


def allowance_minor(limits: Limits, act: Act, base_minor: int = 0) -> int:
    """Return the greatest amount of an act, of a base where the limit is a share; zero means never."""
    match act:
        case Act.DISCOUNT:
            return base_minor * limits.discount_ppm // PPM
        case Act.OVERRIDE:
            return base_minor * limits.override_ppm // PPM
        case Act.ROUNDING:
            return limits.rounding_minor
        case Act.GIFT:
            return limits.gift_minor
        case Act.REFUND:
            return limits.refund_minor
        case Act.UNRECEIPTED_REFUND:
            return limits.unreceipted_refund_minor
        case Act.VOID:
            return limits.void_minor
        case Act.PAY_OUT:
            return limits.pays_out_minor
        case Act.ADJUST:
            return limits.adjusts_minor
        case Act.DRAWER:
            return UNLIMITED if limits.opens_drawer else 0
        case Act.SEE_COST:
            return UNLIMITED if limits.sees_cost else 0
        case Act.CREDIT | Act.OFFLINE_SPENDING | Act.LEASE:
            return UNLIMITED if limits.approves else 0


_OF_AN_AMOUNT = frozenset({Act.DISCOUNT, Act.OVERRIDE, Act.ROUNDING, Act.VOID})


def may(limits: Limits, act: Act, amount_minor: int = 0, base_minor: int = 0) -> bool:
    """Tell whether limits cover an act; what takes nothing off needs none."""
    if act in _OF_AN_AMOUNT and amount_minor <= 0:
        return True
    most = allowance_minor(limits, act, base_minor)
    return most > 0 and amount_minor <= most


def check(node: Node, role: str, act: Act, amount_minor: int = 0, base_minor: int = 0) -> None:
    """Let a role do an act up to its limit; raises RefusalError `approval_needed` beyond (facts: act, limit)."""
    limits = limits_of(node, role)
    if not may(limits, act, amount_minor, base_minor):
        most = allowance_minor(limits, act, base_minor)
        raise RefusalError(
            "approval_needed",
            f"this needs a second person's PIN: {act.value} of {format_money(amount_minor)} is beyond"
            f" the {format_money(most)} of this role",
            act=act.value,
            limit=format_money(most),
            limit_minor=most,
            amount=format_money(amount_minor),
            amount_minor=amount_minor,
            base_minor=base_minor,
        )
