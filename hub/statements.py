"""Statements of elsewhere: what each till ought to know of people, balances and other locations, kept up to date.

A family of statements has a basis, by which it is seen at once whether anything that it speaks of has changed. What
has changed is told anew when a till asks, but no more often than the setting `elsewhere` allows, and only the bucket
that differs. Several hub processes share the tables; renewing is serial over all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from hub.customers import MEMBERS_VERSION, phone_key, read_phone_key
from hub.operators import operator_secrets
from hub.own_log import read_state, write_state
from hub.store import HubStore
from schema.codec import encode
from schema.database import Connection
from schema.errors import TransientError
from schema.identity import LocationId, Scope, location_scope, scope_location
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, LocationDefined, SettingDefined
from schema.rows import BalanceKind
from schema.settings import NAME_OF, ElsewhereRules, read_setting
from sync.elsewhere import (
    ALL_FAMILIES,
    BALANCES,
    MEMBERS,
    OPERATORS_TOPIC,
    PLACES_TOPIC,
    SLOTS,
    STOCK,
    BalancesTold,
    MemberKeys,
    PlacesTold,
    StockTold,
    Topic,
    asking,
    bucket_of,
    buckets_for,
    content_digest,
    digest_of,
    slot_of,
    stock_family,
)
from sync.messages import Statement
from sync.replica import Replica
from sync.signing import SigningKey, statement_message

ROWS_PER_BUCKET: Final = {MEMBERS: 256, BALANCES: 128, STOCK: 256}
LOCATIONS_PER_STEP: Final = 8
"""With each so many locations the intervals grow by one step, so that a till's line carries as much as before."""
SILENT_DAYS_MAX: Final = 30
"""A till that was silent for longer has left the counter: its location is as known as by the others."""
_RENEWING: Final = "statements_renewing"
_DAY_MS: Final = 86_400_000
_EVERYWHERE: Final = ""
_TOLD_BALANCES: Final = (
    BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS, BalanceKind.GIFT_CARD,
    BalanceKind.CUSTOMER_CREDIT, BalanceKind.COUPON,
)  # fmt: skip


class Told(NamedTuple):
    """The hub's part of an answer: what families there are where they differ, statements, and ages in milliseconds."""

    families: tuple[tuple[str, bytes], ...] = ()
    statements: tuple[Statement, ...] = ()
    ages_ms: tuple[tuple[str, int], ...] = ()


class _Family(NamedTuple):
    location: str
    family: str


class _Known(NamedTuple):
    basis: bytes
    digest: bytes
    as_of_ms: int


class _Bases(NamedTuple):
    """What the store says now: by it a family is due or not."""

    locations: tuple[str, ...]
    bases: Mapping[str, bytes]
    rules: ElsewhereRules

    def interval_ms(self, family: str) -> int:
        step = -(-len(self.locations) // LOCATIONS_PER_STEP)
        match family.partition("/")[0]:
            case "stock" | "places":
                return self.rules.stock_minutes * 60_000 * step
            case "balances":
                return self.rules.balance_seconds * 1000 * step
            case "members":
                return self.rules.balance_seconds * 1000
            case _:
                return 0


class Look(NamedTuple):
    """What a location's tills ought to know, and what is told of it: of one state of the store."""

    location: LocationId
    bases: _Bases
    known: Mapping[_Family, _Known]


class Statements:
    """Keeps and hands out statements; one object serves many threads."""

    def __init__(self, store: HubStore, signer: SigningKey) -> None:
        self._store = store
        self._signer = signer

    def look(self, replica: Replica, location: LocationId) -> Look:
        """Return what `is_due` and `answer` are judged by, within the snapshot that `replica` reads."""
        return Look(location, _read_bases(replica), _read_known(replica.connection, location))

    def is_due(self, look: Look, now_ms: int) -> bool:
        """Tell whether `renew` has something to do."""
        return bool(_due(look, now_ms))

    def renew(self, location: LocationId, now_ms: int) -> None:
        """Tell anew what a location's tills ought to know and what is due; a busy store leaves it as it was."""
        with self._store.snapshot() as replica:
            is_due = self.is_due(self.look(replica, location), now_ms)
        if not is_due:
            return
        # What is told and the cut at which it stands must be of one state.
        with contextlib.suppress(TransientError), self._store.transaction(None, is_steady=True) as replica:
            write_state(replica.connection, _RENEWING, str(now_ms))  # several processes: one after the other
            look = self.look(replica, location)
            for family in _due(look, now_ms):
                _renew(replica, family, look.bases, now_ms)

    def answer(self, replica: Replica, look: Look, topics: Sequence[tuple[str, bytes]], room: int, now_ms: int) -> Told:
        """Return what a till of a location lacks, given what it says that it holds; at most about `room` bytes."""
        _, bases, known = look
        families = [family for family in _families(bases, look.location) if family in known]
        digests = {family.family: known[family].digest for family in families}
        ages_ms = _ages(bases, known, families, now_ms)
        asked = dict(topics)
        if ALL_FAMILIES in asked:
            is_equal = asked[ALL_FAMILIES] == digest_of(digests)
            return Told(() if is_equal else tuple(sorted(digests.items())), (), ages_ms)
        statements: list[Statement] = []
        for family in families:
            if asking(family.family) not in asked:
                continue
            for statement in self._lacking(replica, family, asked):
                statements.append(statement)
                room -= len(statement.content) + 200
                if room <= 0:
                    return Told(tuple(sorted(digests.items())), tuple(statements), ages_ms)
        return Told(tuple(sorted(digests.items())), tuple(statements), ages_ms)

    def for_a_stick(self, replica: Replica, location: LocationId, room: int) -> tuple[Statement, ...]:
        """Return what a location's tills may be told by a file: balances, places and stock, but no key of anybody."""
        known = _read_known(replica.connection, location)
        statements: list[Statement] = []
        for family in _families(_read_bases(replica), location):
            if family not in known or family.family in {OPERATORS_TOPIC, MEMBERS}:
                continue
            for statement in self._lacking(replica, family, {}):
                room -= len(statement.content) + 200
                if room <= 0:
                    return tuple(statements)
                statements.append(statement)
        return tuple(statements)

    def _lacking(self, replica: Replica, family: _Family, asked: Mapping[str, bytes]) -> Iterator[Statement]:
        rows = replica.connection.execute(
            "SELECT topic, digest, as_of_ms, content FROM statement_topic WHERE location = ? AND family = ?"
            " ORDER BY topic",
            family,
        ).fetchall()
        for topic, digest, as_of_ms, content in rows:
            if asked.get(topic) == bytes(digest):
                continue
            told = bytes(content) if content is not None else _secret_content(replica, family, topic, as_of_ms)
            yield Statement(topic, told, self._signer.sign(statement_message(topic, told)), as_of_ms)


def _due(look: Look, now_ms: int) -> list[_Family]:
    """Return the families that are to be told anew."""
    _, bases, known = look
    return [
        family
        for family in _families(bases, look.location)
        if family not in known
        or (
            _is_changed(bases, family, known[family])
            and abs(now_ms - known[family].as_of_ms) >= bases.interval_ms(family.family)
        )
    ]


def _families(bases: _Bases, location: str) -> list[_Family]:
    """Return the families that a location's tills hold."""
    return [
        _Family(location, OPERATORS_TOPIC),
        *(_Family(_EVERYWHERE, family) for family in (MEMBERS, BALANCES, PLACES_TOPIC)),
        *(_Family(_EVERYWHERE, stock_family(other)) for other in bases.locations if other != location),
    ]


def _read_known(connection: Connection, location: str) -> dict[_Family, _Known]:
    rows = connection.execute(
        "SELECT location, family, basis, digest, as_of_ms FROM statement_family WHERE location IN (?, ?)",
        (location, _EVERYWHERE),
    ).fetchall()
    return {_Family(row[0], row[1]): _Known(bytes(row[2]), bytes(row[3]), row[4]) for row in rows}


def _read_bases(replica: Replica) -> _Bases:
    connection, organisation = replica.connection, replica.organisation
    locations = tuple(sorted(organisation.newest_each(connection, LocationDefined)))
    defined = organisation.newest(connection, SettingDefined, f"{NAME_OF[ElsewhereRules]}/")
    moved = connection.execute("SELECT count(*), coalesce(sum(version), 0) FROM balance_slot").fetchone()
    bases = {
        OPERATORS_TOPIC: encode(organisation.version),
        MEMBERS: encode(read_state(connection, MEMBERS_VERSION)),
        BALANCES: encode((int(moved[0]), int(moved[1]))),
    }
    for scope, digest in connection.execute("SELECT scope, fold_digest FROM scope").fetchall():
        at = scope_location(Scope(scope))
        if at is not None:
            bases[stock_family(at)] = bytes(digest)
    return _Bases(locations, bases, read_setting(ElsewhereRules, defined.value if defined else None))


def _is_changed(bases: _Bases, family: _Family, known: _Known) -> bool:
    # When each location was heard of changes all the time: only the interval says when that is told anew.
    return family.family == PLACES_TOPIC or bases.bases.get(family.family, b"") != known.basis


def _ages(
    bases: _Bases, known: Mapping[_Family, _Known], families: Sequence[_Family], now_ms: int
) -> tuple[tuple[str, int], ...]:
    """Return how old what the statements say is, where something has changed that is not told yet."""
    ages: dict[str, int] = {}
    for family in families:
        name = family.family.partition("/")[0]
        if name in {BALANCES, STOCK} and _is_changed(bases, family, known[family]):
            ages[name] = max(ages.get(name, 0), now_ms - known[family].as_of_ms, 0)
    return tuple(sorted(ages.items()))


class _Content(NamedTuple):
    """A topic's content as of time 0, by which its change is told, and the way to date it; None: it did not change."""

    topic: str
    basis: bytes
    undated: msgspec.Struct | None
    is_secret: bool = False


def _renew(replica: Replica, family: _Family, bases: _Bases, now_ms: int) -> None:
    connection = replica.connection
    rows = connection.execute(
        "SELECT topic, basis, told, digest, as_of_ms FROM statement_topic WHERE location = ? AND family = ?", family
    ).fetchall()
    before = {row[0]: (bytes(row[1]), bytes(row[2]), bytes(row[3]), int(row[4])) for row in rows}
    # Never earlier than what was told before, even with the hub's clock set back: tills keep the newest.
    as_of_ms = max([now_ms, *(row[3] + 1 for row in before.values())])
    digests: dict[str, bytes] = {}
    for one in _contents(replica, family, {topic: row[0] for topic, row in before.items()}):
        known = before.get(one.topic)
        if one.undated is None:
            assert known is not None
            digests[one.topic] = known[2]
            continue
        told = content_digest(encode(one.undated))
        if known is not None and known[1] == told:
            digests[one.topic] = known[2]
            connection.execute(
                "UPDATE statement_topic SET basis = ? WHERE location = ? AND family = ? AND topic = ?",
                (one.basis, *family, one.topic),
            )
            continue
        content = encode(msgspec.structs.replace(one.undated, as_of_ms=as_of_ms))
        digests[one.topic] = content_digest(content)
        connection.execute(
            "INSERT INTO statement_topic (location, family, topic, basis, told, digest, as_of_ms, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (location, family, topic) DO UPDATE SET"
            " basis = excluded.basis, told = excluded.told, digest = excluded.digest, as_of_ms = excluded.as_of_ms,"
            " content = excluded.content",
            (*family, one.topic, one.basis, told, digests[one.topic], as_of_ms, None if one.is_secret else content),
        )
    connection.executemany(
        "DELETE FROM statement_topic WHERE location = ? AND family = ? AND topic = ?",
        [(*family, topic) for topic in before if topic not in digests],
    )
    connection.execute(
        "INSERT INTO statement_family (location, family, basis, digest, as_of_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (location, family) DO UPDATE SET basis = excluded.basis, digest = excluded.digest,"
        " as_of_ms = excluded.as_of_ms",
        (*family, bases.bases.get(family.family, b""), digest_of(digests), now_ms),
    )


def _contents(replica: Replica, family: _Family, before: Mapping[str, bytes]) -> Iterator[_Content]:
    match family.family.partition("/")[0]:
        case "operators":
            key = phone_key(replica.connection)
            secrets = operator_secrets(replica, LocationId(family.location), key)
            yield _Content(OPERATORS_TOPIC, b"", secrets, is_secret=True)
        case "members":
            count = replica.connection.execute("SELECT count(*) FROM member_key").fetchone()[0]
            buckets = _split(MEMBERS, int(count), before)
            for bucket in range(buckets):
                topic = str(Topic(MEMBERS, bucket, buckets))
                yield _Content(topic, b"", _member_keys(replica.connection, bucket, buckets), is_secret=True)
        case "balances":
            yield from _balances(replica, before)
        case "stock":
            yield from _stock(replica.connection, family.family, before)
        case "places":
            yield _Content(PLACES_TOPIC, b"", PlacesTold(0, _heard(replica)))


def _split(family: str, count: int, before: Mapping[str, bytes]) -> int:
    """Return into how many buckets a family is split: as before unless that is far too few or too many."""
    each = ROWS_PER_BUCKET[family]
    buckets = max((Topic.parse(topic).buckets for topic in before), default=0)
    is_fitting = buckets and buckets * each * 2 >= count and (buckets == 1 or buckets * each < count * 8)
    return buckets if is_fitting else buckets_for(count, each)


def _slots(bucket: int, buckets: int) -> tuple[int, int]:
    """Return the first slot of a bucket, and that of the next one."""
    return bucket * SLOTS // buckets, (bucket + 1) * SLOTS // buckets


def _member_keys(connection: Connection, bucket: int, buckets: int) -> MemberKeys:
    rows = connection.execute(
        "SELECT person, wrapped FROM member_key WHERE slot >= ? AND slot < ? ORDER BY person", _slots(bucket, buckets)
    ).fetchall()
    return MemberKeys(0, tuple((person, bytes(wrapped)) for person, wrapped in rows))


def _balances(replica: Replica, before: Mapping[str, bytes]) -> Iterator[_Content]:
    connection = replica.connection
    count = connection.execute("SELECT count(*) FROM balance WHERE amount <> 0").fetchone()[0]
    buckets = _split(BALANCES, int(count), before)
    versions: dict[int, list[tuple[int, int]]] = {}
    for slot, rows, version in connection.execute(
        "SELECT slot, count(*), sum(version) FROM balance_slot GROUP BY slot ORDER BY slot"
    ).fetchall():
        versions.setdefault(bucket_of(slot, buckets), []).append((int(rows), int(version)))
    names = {
        (row.scope_no, row.stream_no): (row.stream.scope, row.stream.writer)
        for scope in sorted(replica.log.scopes())
        for row in replica.log.streams(scope)
    }
    marks = ", ".join("?" * len(_TOLD_BALANCES))
    for bucket in range(buckets):
        topic, basis = str(Topic(BALANCES, bucket, buckets)), encode(versions.get(bucket, []))
        if before.get(topic) == basis:
            yield _Content(topic, basis, None)
            continue
        slots = _slots(bucket, buckets)
        amounts = connection.execute(
            "SELECT balance, subject, sum(amount) FROM balance WHERE slot >= ? AND slot < ?"
            f" AND balance IN ({marks}) GROUP BY balance, subject HAVING sum(amount) <> 0 ORDER BY balance, subject",
            (*slots, *(kind.value for kind in _TOLD_BALANCES)),
        ).fetchall()
        cut = connection.execute(
            "SELECT scope_no, stream_no, max(seq) FROM balance_slot WHERE slot >= ? AND slot < ?"
            " GROUP BY scope_no, stream_no ORDER BY scope_no, stream_no",
            slots,
        ).fetchall()
        told = BalancesTold(
            0,
            tuple((kind, about, int(amount)) for kind, about, amount in amounts),
            tuple(sorted((*names[scope_no, stream_no], int(seq)) for scope_no, stream_no, seq in cut)),
        )
        yield _Content(topic, basis, told)


def _stock(connection: Connection, family: str, before: Mapping[str, bytes]) -> Iterator[_Content]:
    rows = connection.execute(
        "SELECT t.product, t.value, t.lo, t.hi FROM stock t JOIN scope s ON s.scope_no = t.scope_no"
        " WHERE s.scope = ? AND t.is_present = 1 AND (t.value <> 0 OR t.lo <> 0 OR t.hi <> 0) ORDER BY t.product",
        (location_scope(LocationId(family.partition("/")[2])),),
    ).fetchall()
    buckets = _split(STOCK, len(rows), before)
    figures: list[list[tuple[str, int, int, int]]] = [[] for _ in range(buckets)]
    for product, value, lo, hi in rows:
        figures[bucket_of(slot_of(product), buckets)].append((product, value, lo, hi))
    for bucket, told in enumerate(figures):
        yield _Content(str(Topic(family, bucket, buckets)), b"", StockTold(0, tuple(told)))


def _heard(replica: Replica) -> tuple[tuple[str, int], ...]:
    """Return when the hub last heard of each location: of its most silent till that is in use."""
    connection, organisation = replica.connection, replica.organisation
    spoke = dict(connection.execute("SELECT node, last_ms FROM node_contact").fetchall())
    newest_ms = max(spoke.values(), default=0)
    revoked = organisation.newest_each(connection, AuthorityRevoked)
    heard: dict[str, int] = {}
    for node, grant in organisation.newest_each(connection, AuthorityGranted).items():
        last_ms = spoke.get(node, 0)
        if node in revoked or newest_ms - last_ms > SILENT_DAYS_MAX * _DAY_MS:
            continue
        heard[grant.location] = min(heard.get(grant.location, last_ms), last_ms)
    return tuple(sorted(heard.items()))


def _secret_content(replica: Replica, family: _Family, topic: str, as_of_ms: int) -> bytes:
    undated: msgspec.Struct
    if family.family == OPERATORS_TOPIC:
        key = read_phone_key(replica.connection)
        undated = operator_secrets(replica, LocationId(family.location), key)
    else:
        parsed = Topic.parse(topic)
        undated = _member_keys(replica.connection, parsed.bucket, parsed.buckets)
    return encode(msgspec.structs.replace(undated, as_of_ms=as_of_ms))
