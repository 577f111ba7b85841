"""Members and customers at a till: found by phone number, offline, with their balances and the age of what is known.

The till holds a keyed hash of each member's number and each member's key locked under that number. So it finds whoever
tells it a number, and reads no profile of anybody who does not; a list of names or numbers it cannot show.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from edge.balances import balance
from edge.credit import credit_of
from edge.node import Node
from edge.settings import setting
from schema.errors import CorruptionError, RefusalError
from schema.kinds.organisation import CustomerDefined, PersonForgotten
from schema.rows import BalanceKind
from schema.settings import LoyaltyRules
from sync.elsewhere import MEMBERS, OPERATORS_TOPIC, HeldStatements, MemberKeys, OperatorSecrets
from sync.people import masked, phone_hash, plain_phone, read_profile, unseal, unwrap_key

MINUTE_MS: Final = 60_000


class MemberCard(NamedTuple):
    """A member as the screen shows them: the number masked, amounts in minor units, points in points.

    `stored_minor` is paid in, `bonus_minor` given by the shop, `credit_minor` what is owed. `as_of_ms` is the time up
    to which other locations are included (None: nothing of them is known), `age_ms` how long ago that was; with
    `is_fresh` limits for spending with an old balance do not apply. `credit_left_minor` may still be sold on account
    here; with `has_own_limit` that is a right which nobody here can exceed.
    """

    person: str
    masked: str
    name: str
    tier: str
    points: int
    stored_minor: int
    bonus_minor: int
    credit_minor: int
    credit_limit_minor: int
    as_of_ms: int | None
    age_ms: int | None
    is_fresh: bool
    credit_left_minor: int = 0
    has_own_limit: bool = False


def find_member(node: Node, phone: str) -> MemberCard:
    """Find a member by phone number.

    Raises RefusalError `member_unknown` (facts: phone, masked), or `members_missing` on a node that the hub has not
    given the key by which members are found.
    """
    number = plain_phone(phone)
    key = _phone_key(node)
    hashed = phone_hash(key, number)
    rows = node.connection.execute(
        "SELECT person FROM member WHERE phone_hash = ? ORDER BY person", (hashed,)
    ).fetchall()
    for (person,) in rows:
        defined = _defined(node, person)
        if defined is not None and defined.phone_hash == hashed:
            return _card(node, defined, _name(node, defined, key, number))
    raise RefusalError("member_unknown", f"no member has the number {masked(number)}", phone=masked(number))


def member_card(node: Node, person: str, name: str = "") -> MemberCard:
    """Return what is known of a member who was found before; only whoever knows the number learns the name.

    Raises RefusalError `member_unknown`.
    """
    defined = _defined(node, person)
    if defined is None:
        raise RefusalError("member_unknown", "this member is not known here any more", phone="")
    return _card(node, defined, name)


def _defined(node: Node, person: str) -> CustomerDefined | None:
    node.organisation.refresh(node.connection)
    if node.organisation.newest(node.connection, PersonForgotten, person) is not None:
        return None
    return node.organisation.newest(node.connection, CustomerDefined, person)


def _phone_key(node: Node) -> bytes:
    held = HeldStatements(node.connection).read(OPERATORS_TOPIC)
    key = b"" if held is None else msgspec.msgpack.decode(held[0], type=OperatorSecrets).phone_key
    if not key:
        raise RefusalError("members_missing", "members cannot be found yet: this till needs one sync with the hub")
    return key


def _name(node: Node, defined: CustomerDefined, key: bytes, number: str) -> str:
    held = HeldStatements(node.connection).read(MEMBERS, defined.person)
    told = () if held is None else msgspec.msgpack.decode(held[0], type=MemberKeys).keys
    wrapped = next((wrapped for person, wrapped in told if person == defined.person), None)
    if wrapped is None:
        return ""
    try:
        opened = unwrap_key(key, number, defined.person, wrapped)
        return read_profile(unseal(opened, defined.person, defined.sealed_profile)).name
    except (CorruptionError, msgspec.MsgspecError, ValueError):  # sealed anew; the next exchange brings its key
        return ""


def _card(node: Node, defined: CustomerDefined, name: str) -> MemberCard:
    points, stored, bonus, credit = (
        balance(node, kind, defined.person)
        for kind in (
            BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS,
            BalanceKind.CUSTOMER_CREDIT,
        )
    )  # fmt: skip
    rules = setting(node, LoyaltyRules)
    lending = credit_of(node, defined.person, credit.amount)
    age_ms = points.age_ms(node.now_ms())
    return MemberCard(
        defined.person,
        defined.phone_masked,
        name,
        defined.price_list,
        points.amount,
        stored.amount,
        bonus.amount,
        credit.amount,
        lending.limit_minor,
        points.elsewhere_as_of_ms,
        age_ms,
        age_ms is not None and age_ms <= rules.balance_fresh_minutes * MINUTE_MS,
        lending.left_minor,
        lending.is_own,
    )
