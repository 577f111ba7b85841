"""Entries of the organisation: its founding, places, authority, people, policies and the frontier of pruning."""

from __future__ import annotations

from schema.kinds.base import Code, Count, Kind, Payload, Permission, Text, Vector


class OrganisationFounded(Payload, frozen=True):
    """The first entry of all: who signs for the organisation, its currency and its money's zone."""

    name: Text
    public_key: bytes
    currency: Code = "CNY"
    time_zone: Code = "Asia/Shanghai"
    day_cut_hour: Count = 4


class LocationDefined(Payload, frozen=True):
    """A shop, warehouse or van; `lags` are (reason, longest ms between shelf and till)."""

    location: Code
    name: Text
    type: Code
    lags: tuple[tuple[Code, Count], ...] = ()
    zones: tuple[Code, ...] = ()
    lease_days: Count | None = None


class ScopeGrant(Payload, frozen=True):
    """What a stream may write in one scope (`loc/*` names every location's)."""

    scope: Code
    permissions: tuple[Code, ...]
    rank: Code


class AuthorityGranted(Payload, frozen=True):
    """A node joined: its key and what it may write, in every incarnation, from `first_seq` of each stream on."""

    node: Code
    public_key: bytes
    name: Text
    location: Code
    till: Code
    scopes: tuple[ScopeGrant, ...]
    first_seq: Count = 1


class AuthorityRevoked(Payload, frozen=True):
    """A node left the fleet: of each stream named (`scope`, writer, last seq) the later entries are inert.

    A stream of that node that is not named has no effective entry at all.
    """

    node: Code
    lasts: tuple[tuple[Code, Code, Count], ...]
    reason: Text = ""


class PolicySet(Payload, frozen=True):
    """How counts of a category are judged; quantities in thousandths of the base unit."""

    category: Code
    tolerance_milli: Count
    tolerance_ppm: Count
    disagreement: Code
    ambiguous: Code
    step_milli: Count = 1000


class SettingDefined(Payload, frozen=True):
    """A setting of the whole chain, or of one location where named; `value` is JSON that its reader validates."""

    name: Code
    location: Code
    value: bytes

    @property
    def subject(self) -> str:
        """What a later definition replaces."""
        return f"{self.name}/{self.location}"


class OperatorDefined(Payload, frozen=True):
    """A person who works at tills, by random id; the name is ciphertext under the person's own key."""

    operator: Code
    number: Code
    role: Code
    locations: tuple[Code, ...]
    sealed_name: bytes
    is_active: bool = True


class CustomerDefined(Payload, frozen=True):
    """A customer or member; found by a keyed hash of the phone number, the profile is ciphertext."""

    person: Code
    phone_hash: bytes
    phone_masked: Code
    sealed_profile: bytes
    price_list: Code = ""


class PersonForgotten(Payload, frozen=True):
    """The person's key was deleted: what was sealed under it cannot be read again."""

    person: Code


class FrontierDeclared(Payload, frozen=True):
    """Entries at or below this cut ((writer, seq, digest) per stream) are in the hub's last checked backup."""

    cut: tuple[tuple[Code, Count, bytes], ...]


class OpeningBalance(Payload, frozen=True):
    """The incremental state of a part of the keys at a cut, so that what lies below may be pruned.

    `balances` is the count rules' own encoding, one element a key; `part` of `parts` (from 0) keeps an entry small.
    An amendment of some keys at the same cut has no parts. `settled` is what every stream was known to hold;
    `kept` are the runs (writer, first, last) of entries at or below the cut that still tell something of stock,
    in the parts before the first balance.
    """

    cut: tuple[tuple[Code, Count, bytes], ...]
    part: Count
    parts: Count
    balances: tuple[bytes, ...]
    settled: Vector = ()
    kept: tuple[tuple[Code, Count, Count], ...] = ()


class EntryRecovered(Payload, frozen=True):
    """An entry of a branch that the hub does not hold, re-appended with its original bytes.

    `vector` is what the original had seen of the scope: the new place in the log came later, its sale did not.
    """

    origin: Code
    body: bytes
    digest: bytes
    vector: Vector = ()


KINDS = (
    Kind("organisation.founded", OrganisationFounded, Permission.HUB),
    Kind("location.defined", LocationDefined, Permission.HUB),
    Kind("authority.granted", AuthorityGranted, Permission.HUB),
    Kind("authority.revoked", AuthorityRevoked, Permission.HUB),
    Kind("policy.set", PolicySet, Permission.HUB),
    Kind("setting.defined", SettingDefined, Permission.HUB),
    Kind("operator.defined", OperatorDefined, Permission.HUB),
    Kind("customer.defined", CustomerDefined, Permission.HUB),
    Kind("person.forgotten", PersonForgotten, Permission.HUB),
    Kind("frontier.declared", FrontierDeclared, Permission.HUB),
    Kind("opening.balance", OpeningBalance, Permission.HUB),
    Kind("entry.recovered", EntryRecovered, Permission.TRADE),
)
