"""What all locations together show to be wrong, as other software reads it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from hub.api.calls import Call, Routes
from hub.api.cursors import decode_cursor, encode_cursor
from hub.api.parameters import Cursor, Filter, Limit, LocationFilter, Millis, Next
from hub.findings import Finding, findings_after
from hub.tokens import TokenScope

routes = Routes()
_AT_ONCE: Final = 200


class FindingsQuery(msgspec.Struct, frozen=True):
    """Which findings."""

    kind: Annotated[Filter, msgspec.Meta(description="of this kind alone, such as coupon_reused")] = ""
    location: LocationFilter = ""
    cursor: Cursor = ""
    limit: Limit = 100


class EvidenceListed(msgspec.Struct, frozen=True):
    """One entry behind a finding, and what it moved."""

    entry: str
    location: str
    amount: int
    at_ms: Millis
    approver: str


class FindingListed(msgspec.Struct, frozen=True):
    """What is wrong: its kind, what it is about, and how much is at stake.

    Amounts are minor units, points where `balance` is member-points. A token of some locations is told of findings
    that touch these, and of the evidence there.
    """

    id: str
    kind: str
    balance: str
    subject: str
    amount: int
    state: str
    locations: list[str]
    evidence: list[EvidenceListed]


class FindingsPage(msgspec.Struct, frozen=True):
    """Some findings, most at stake first."""

    findings: list[FindingListed]
    next: Next = None


@routes.get("/v1/findings", TokenScope.READ, query=FindingsQuery, answer=FindingsPage)
def list_findings(call: Call) -> FindingsPage:
    """List double spending, coupons used twice and refunds beyond what was sold, with their evidence."""
    query = call.query(FindingsQuery)
    place = decode_cursor(query.cursor, (int, str))
    after = None if place is None else (int(place[0]), str(place[1]))
    found: list[Finding] = []
    while len(found) <= query.limit:
        part = findings_after(call.replica.connection, after, _AT_ONCE, kind=query.kind)
        found += [one for one in part if _is_wanted(call, query, one)]
        if len(part) < _AT_ONCE:
            break
        after = (part[-1].amount, part[-1].finding)
    page = found[: query.limit]
    has_more = len(found) > query.limit
    return FindingsPage(
        [_listed(call, one) for one in page],
        encode_cursor((page[-1].amount, page[-1].finding)) if has_more else None,
    )


def _is_wanted(call: Call, query: FindingsQuery, one: Finding) -> bool:
    if query.location and query.location not in one.locations:
        return False
    return call.caller.locations is None or any(call.caller.sees(location) for location in one.locations)


def _listed(call: Call, one: Finding) -> FindingListed:
    sees = call.caller.sees
    return FindingListed(
        one.finding, one.kind.value, one.balance, one.subject, one.amount, one.state,
        [location for location in one.locations if sees(location)],
        [
            EvidenceListed(each.entry, each.location, each.amount, each.hlc_ms, each.approver)
            for each in one.evidence
            if sees(each.location)
        ],
    )  # fmt: skip
