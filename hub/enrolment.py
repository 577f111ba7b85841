"""Enrolment: one-time invitations, their redemption by exactly one node, and the grant that this node receives.

Only a hash of a code is stored. Of many redemptions at once one wins by a single conditional update, in the same
transaction as the grant; the winner may ask again, for its answer may have been lost on the line.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from hub.identity import HubIdentity
from hub.own_log import OwnLog
from hub.store import HubStore
from schema.errors import RefusalError, TransientError
from schema.identity import ORG, LocationId, NodeId, is_code, location_scope, node_id
from schema.kinds.base import Permission, Rank
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    LocationDefined,
    OrganisationFounded,
    ScopeGrant,
)
from sync.replica import Replica
from sync.signing import is_signed
from sync.transport import EnrolRequest, EnrolResponse, Invitation, enrol_proof, fingerprint

INVITATION_MS: Final = 15 * 60 * 1000
EVERY_LOCATION: Final = "loc/*"
WRONG_CODES_MAX: Final = 10
WRONG_CODES_WINDOW_MS: Final = 60_000


class Profile(StrEnum):
    """What a node is for; its grant follows from it."""

    TILL = "till"
    WAREHOUSE = "warehouse"
    VAN = "van"
    MANAGER = "manager"


def grants_of(profile: Profile, location: LocationId) -> tuple[ScopeGrant, ...]:
    """Return what a node of this profile may write: its own location, and notices to every other."""
    own = [Permission.TRADE, Permission.STOCK, Permission.COUNT, Permission.RESOLVE]
    if profile is Profile.MANAGER:
        own.append(Permission.CATALOGUE)
    return (
        ScopeGrant(location_scope(location), tuple(p.value for p in own), Rank.SUPERVISOR.value),
        ScopeGrant(EVERY_LOCATION, (Permission.NOTICE.value,), Rank.CLERK.value),
    )


class InvitationIssued(msgspec.Struct, frozen=True):
    """What the administrator hands over: `invitation` is read out or scanned, the address says where to go."""

    invitation: str
    address: str
    expires_ms: int


class Enrolment:
    """Issues invitations and redeems them."""

    def __init__(self, identity: HubIdentity, store: HubStore, own_log: OwnLog, now_ms: Callable[[], int]) -> None:
        self._identity = identity
        self._store = store
        self._own_log = own_log
        self._now_ms = now_ms
        self._wrong: dict[str, list[int]] = {}
        self._wrong_lock = threading.Lock()

    def invite(self, *, profile: Profile, location: str, name: str, till: str) -> InvitationIssued:
        """Make an invitation for one node; raises RefusalError as `issue` does."""
        with self._store.transaction(ORG) as replica:
            return self.issue(replica, profile=profile, location=location, name=name, till=till)

    def issue(self, replica: Replica, *, profile: Profile, location: str, name: str, till: str) -> InvitationIssued:
        """Make an invitation for one node within the caller's transaction on `org`.

        Raises RefusalError `location_unknown`, `till_invalid` or `till_taken`.
        """
        code = base64.b32encode(secrets.token_bytes(17))[:26].decode("ascii").lower()
        now_ms = self._now_ms()
        expires_ms = now_ms + INVITATION_MS
        if not is_code(till) or len(till) > 8:
            raise RefusalError("till_invalid", f"{till!r} is no till code: 1 to 8 letters and digits")
        connection, organisation = replica.connection, replica.organisation
        if organisation.newest(connection, LocationDefined, location) is None:
            raise RefusalError("location_unknown", f"there is no location {location!r}")
        # The till's code stands in receipt numbers: two tills that share one would issue the same number.
        if any(grant.till == till for grant in organisation.all(connection, AuthorityGranted)):
            raise RefusalError("till_taken", f"a node with the till code {till!r} has joined already", till=till)
        connection.execute(
            "INSERT INTO invitation (code_hash, profile, location, name, till, created_ms, expires_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_hash(code), profile.value, location, name, till, now_ms, expires_ms),
        )
        finger = fingerprint(self._identity.signer.public)
        return InvitationIssued(str(Invitation(code, finger)), self._identity.settings.address, expires_ms)

    def redeem(self, request: EnrolRequest, peer: str) -> EnrolResponse:
        """Let a node join; raises RefusalError by name.

        `proof_invalid`, `code_unknown`, `code_expired`, `code_used`, `till_taken`; TransientError
        `too_many_codes` to a peer that tried too many wrong ones.
        """
        now_ms = self._now_ms()
        self._check_rate(peer, now_ms)
        if not is_signed(request.public_key, request.proof, enrol_proof(request.code, request.public_key)):
            raise RefusalError("proof_invalid", "the request does not prove that it holds its key")
        node = node_id(request.public_key)
        try:
            with self._store.transaction(ORG) as replica:
                return self._redeem(replica, request, node, now_ms)
        except RefusalError as error:
            if error.code == "code_unknown":
                with self._wrong_lock:
                    self._wrong.setdefault(peer, []).append(now_ms)
            raise

    def _redeem(self, replica: Replica, request: EnrolRequest, node: NodeId, now_ms: int) -> EnrolResponse:
        connection, organisation = replica.connection, replica.organisation
        hashed = _hash(request.code)
        won = connection.execute(
            "UPDATE invitation SET used_ms = ?, used_by = ? WHERE code_hash = ? AND used_ms IS NULL"
            " AND expires_ms > ? RETURNING code_hash",
            (now_ms, node, hashed, now_ms),
        ).fetchone()
        row = connection.execute(
            "SELECT profile, location, name, till, used_by FROM invitation WHERE code_hash = ?", (hashed,)
        ).fetchone()
        if row is None:
            raise RefusalError("code_unknown", "this invitation is not known here: check the code")
        profile, location, name, till, used_by = row
        if won is None and used_by is None:
            raise RefusalError("code_expired", "this invitation has expired: ask for a new one")
        if won is None and used_by != node:
            raise RefusalError("code_used", "this invitation was used already: ask for a new one")
        grants = organisation.all(connection, AuthorityGranted)
        if organisation.all(connection, AuthorityRevoked, node):
            raise RefusalError("node_revoked", f"the node {node} has left: a new one needs a new key")
        if won is not None:
            if any(grant.till == till and grant.node != node for grant in grants):
                raise RefusalError("till_taken", f"a node with the till code {till!r} has joined already")
            scopes = grants_of(Profile(profile), LocationId(location))
            grant = AuthorityGranted(node, request.public_key, name, location, till, scopes)
            self._own_log.append(replica, ORG, grant)
        else:
            grant = next(g for g in reversed(grants) if g.node == node)
        return self._response(replica, grant)

    def _response(self, replica: Replica, grant: AuthorityGranted) -> EnrolResponse:
        founded = replica.organisation.newest(replica.connection, OrganisationFounded, "")
        assert founded is not None, "a hub is founded before it serves"
        uris = [f"edgetill:node/{grant.node}", *certificate_uris(grant.scopes)]
        return EnrolResponse(
            organisation=founded.name,
            hub=self._identity.node,
            root_key=self._identity.signer.public,
            node=grant.node,
            name=grant.name,
            location=grant.location,
            till=grant.till,
            subscriptions=((ORG, False), (location_scope(LocationId(grant.location)), False)),
            certificate_pem=self._identity.issue(grant.public_key, grant.node, uris),
            ca_pem=self._identity.ca_pem,
            currency=founded.currency,
            time_zone=founded.time_zone,
            day_cut_hour=founded.day_cut_hour,
            wall_ms=self._now_ms(),
        )

    def _check_rate(self, peer: str, now_ms: int) -> None:
        # In memory: a code has 128 bits, so this protects the hub's time, not the code.
        with self._wrong_lock:
            for known, tries in list(self._wrong.items()):
                self._wrong[known] = [tried_ms for tried_ms in tries if now_ms - tried_ms < WRONG_CODES_WINDOW_MS]
                if not self._wrong[known]:
                    del self._wrong[known]
            if len(self._wrong.get(peer, ())) >= WRONG_CODES_MAX:
                raise TransientError("too_many_codes", "too many wrong invitations came from here: wait a minute")


def certificate_uris(scopes: Sequence[ScopeGrant]) -> list[str]:
    """Return a grant as the names in a certificate: `edgetill:scope/<scope>#<permission,…>`."""
    return [f"edgetill:scope/{grant.scope}#{','.join(grant.permissions)}" for grant in scopes]


def _hash(code: str) -> bytes:
    return hashlib.sha256(b"edgetill-invitation-1\0" + code.strip().lower().encode()).digest()
