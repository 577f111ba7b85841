"""Authority as a function of the set: which entries of a stream are effective.

An entry is effective exactly when the organisation's scope holds a grant for its stream that covers its scope,
kind, claimed role and sequence number, and no revocation below it. Time and order of arrival play no part, so
all replicas judge alike; what is not effective is stored, inert and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schema.identity import NodeId, Stream
from schema.kinds.base import Kind, Payload, Permission, Rank
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked

_RANKS: Mapping[str, int] = {rank.value: rank.order for rank in Rank}


class Authority(msgspec.Struct, frozen=True):
    """What one stream may write: (permission, highest role) pairs, and the range of sequence numbers."""

    stream: Stream
    permissions: Mapping[str, int]
    first_seq: int
    last_seq: int | None

    def objection(self, kind: Kind, payload: Payload, seq: int) -> str:
        """Return why this entry is not effective; empty when it is."""
        if not self.permissions:
            return "no_grant"
        if seq < self.first_seq:
            return "before_grant"
        if self.last_seq is not None and seq > self.last_seq:
            return "revoked"
        rank = self.permissions.get(kind.permission.value)
        if rank is None:
            return "not_permitted"
        if kind.rank is not None and _RANKS.get(kind.rank(payload), len(_RANKS)) > rank:
            return "role_not_held"
        return ""


def derive_authority(
    stream: Stream, root: NodeId, grants: Iterable[AuthorityGranted], revocations: Iterable[AuthorityRevoked]
) -> Authority:
    """Return a stream's authority from all grants and revocations that name its node.

    The organisation's root node may write everything everywhere. Several grants add up; of several
    revocations the one that leaves least holds.
    """
    if stream.node == root:
        return Authority(stream, {p.value: len(_RANKS) for p in Permission}, 1, None)
    permissions: dict[str, int] = {}
    first_seq = 0
    for grant in grants:
        for scope in grant.scopes:
            if scope.scope != stream.scope and not (scope.scope == "loc/*" and stream.scope.startswith("loc/")):
                continue
            first_seq = min(first_seq or grant.first_seq, grant.first_seq)
            for permission in scope.permissions:
                permissions[permission] = max(permissions.get(permission, -1), _RANKS.get(scope.rank, -1))
    permissions.pop(Permission.HUB.value, None)
    last_seq: int | None = None
    for revocation in revocations:
        kept = max((s for sc, w, s in revocation.lasts if (sc, w) == (stream.scope, stream.writer)), default=0)
        last_seq = kept if last_seq is None else min(last_seq, kept)
    return Authority(stream, permissions, first_seq, last_seq)


def public_key_of(node: NodeId, grants: Iterable[AuthorityGranted]) -> bytes | None:
    """Return the key under which a node's seals verify; None for a node that was never granted anything."""
    return next((grant.public_key for grant in grants if grant.node == node), None)
