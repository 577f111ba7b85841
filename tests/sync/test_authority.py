"""Authority is a function of the set: who may write what does not depend on when it was heard."""

from __future__ import annotations

import itertools

import pytest

from schema.identity import NodeId, Scope, Stream
from schema.kinds import KIND_OF
from schema.kinds.base import Payload, StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, PolicySet, ScopeGrant
from schema.kinds.stock import StockAdjusted
from sync.authority import derive_authority

ROOT = NodeId("rootrootroot")
STREAM = Stream(Scope("loc/A"), NodeId("tilltilltill"), 1)
FOUND = StockAdjusted("found", "o", (StockMove("P", 1000),))


def granted(
    permissions: tuple[str, ...], rank: str = "supervisor", scope: str = "loc/A", first: int = 1
) -> AuthorityGranted:
    return AuthorityGranted(STREAM.node, bytes(32), "t", "A", "A1", (ScopeGrant(scope, permissions, rank),), first)


def objection(
    payload: Payload, seq: int, grants: tuple[AuthorityGranted, ...], gone: tuple[AuthorityRevoked, ...] = ()
) -> str:
    return derive_authority(STREAM, ROOT, grants, gone).objection(KIND_OF[type(payload)], payload, seq)


def count(role: str) -> CountRecorded:
    return CountRecorded("P", role, "o", (Look(1000, 1, 1, (), ()),))


@pytest.mark.parametrize(
    ("payload", "grants", "expected"),
    [
        (FOUND, (), "no_grant"),
        (FOUND, (granted(("stock",), scope="loc/B"),), "no_grant"),
        (FOUND, (granted(("trade",)),), "not_permitted"),
        (FOUND, (granted(("stock",)),), ""),
        (FOUND, (granted(("stock",), scope="loc/*"),), ""),
        (FOUND, (granted(("trade",)), granted(("stock",))), ""),
        (FOUND, (granted(("stock",), first=8),), "before_grant"),
        (count("supervisor"), (granted(("count",)),), ""),
        (count("auditor"), (granted(("count",)),), "role_not_held"),
        (count("emperor"), (granted(("count",)),), "role_not_held"),
        (PolicySet("c", 0, 0, "latest", "midpoint"), (granted(("hub", "stock")),), "not_permitted"),
    ],
)
def test_an_entry_is_effective_only_under_a_grant_that_covers_it(
    payload: Payload, grants: tuple[AuthorityGranted, ...], expected: str
) -> None:
    assert objection(payload, 7, grants) == expected


def test_what_was_written_before_a_revocation_stays_and_what_came_later_does_not() -> None:
    grants = (granted(("stock",)),)
    gone = AuthorityRevoked(STREAM.node, (("loc/A", STREAM.writer, 7),))
    assert objection(FOUND, 7, grants, (gone,)) == ""
    assert objection(FOUND, 8, grants, (gone,)) == "revoked"
    unnamed = AuthorityRevoked(STREAM.node, ())
    assert objection(FOUND, 1, grants, (unnamed,)) == "revoked"


def test_the_verdict_is_the_same_in_every_order_of_arrival() -> None:
    grants = (granted(("stock",)), granted(("count",), "clerk"), granted(("count",), "auditor"))
    gone = tuple(AuthorityRevoked(STREAM.node, (("loc/A", STREAM.writer, last),)) for last in (9, 5, 7))
    verdicts = {
        tuple(objection(p, seq, order, leave) for p in (FOUND, count("auditor")) for seq in (5, 6, 9))
        for order in itertools.permutations(grants)
        for leave in itertools.permutations(gone)
    }
    assert verdicts == {("", "revoked", "revoked", "", "revoked", "revoked")}


def test_the_organisations_root_may_write_everything() -> None:
    authority = derive_authority(Stream(Scope("org"), ROOT, 4), ROOT, (), ())
    assert authority.objection(KIND_OF[PolicySet], PolicySet("c", 0, 0, "latest", "midpoint"), 1) == ""
