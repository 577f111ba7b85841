"""What the hub's signed, replaceable statements say, topic by topic, and how two sides compare what they hold.

A statement is no entry: the newest of a topic replaces the others. Topics form families. One that may grow is split
into buckets by the hash of what it is about, so that each statement stays small and a change sends one of them again;
`balances/8/3` is the fourth of eight. Sides compare one digest over all families first, then families, then topics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from schema.codec import encode
from schema.database import Connection
from schema.kinds.base import Amount, Code, Count, Millis, Text
from sync.messages import Message, Statement

OPERATORS_TOPIC: Final = "operators"
PLACES_TOPIC: Final = "places"
MEMBERS: Final = "members"
BALANCES: Final = "balances"
STOCK: Final = "stock"
CONFIRMED: Final = (BALANCES, STOCK)
"""What has an age of its own: a side that says that a statement still holds says since when it has not looked."""
ALL_FAMILIES: Final = ""
"""The name under which a session opens with one digest over all families."""
SLOTS: Final = 256
"""The finest that a family is split; buckets are a power of two up to this."""
_DIGEST_BYTES: Final = 8


class OperatorSecret(Message, frozen=True):
    """What a node keeps of one operator beside the log: the PIN's verifier (PHC string) and the person's key."""

    operator: Code
    verifier: Text
    key: bytes


class OperatorSecrets(Message, frozen=True):
    """Every active operator of one location, and the key under which members' phone numbers are hashed.

    `customers` are (person, key) of those on the location's route: a driver knows them by name.
    """

    location: Code
    as_of_ms: Millis
    operators: tuple[OperatorSecret, ...]
    phone_key: bytes = b""
    customers: tuple[tuple[Code, bytes], ...] = ()


class MemberKeys(Message, frozen=True):
    """Members' keys, each locked under the member's phone number: (person, wrapped key)."""

    as_of_ms: Millis
    keys: tuple[tuple[Code, bytes], ...]


class BalancesTold(Message, frozen=True):
    """Balances over all locations: (balance, subject, amount), and the cut (scope, writer, seq) that they include.

    The cut names only the writers whose entries moved one of these balances. What a node holds of a scope above it is
    not in the amounts.
    """

    as_of_ms: Millis
    amounts: tuple[tuple[Code, Code, Amount], ...]
    cut: tuple[tuple[Code, Code, Count], ...]


class StockTold(Message, frozen=True):
    """Stock on hand at one location, in thousandths, of products of which there is any: (product, value, lo, hi)."""

    as_of_ms: Millis
    figures: tuple[tuple[Code, Amount, Amount, Amount], ...]


class PlacesTold(Message, frozen=True):
    """When the hub last heard of each location: (location, milliseconds of its most silent till)."""

    as_of_ms: Millis
    heard: tuple[tuple[Code, Millis], ...]


class Topic(NamedTuple):
    """A topic's family and its place in it."""

    family: str
    bucket: int = 0
    buckets: int = 0

    def __str__(self) -> str:
        return f"{self.family}/{self.buckets}/{self.bucket}" if self.buckets else self.family

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read a topic; one that is not split stands for itself."""
        family, *numbers = text.rsplit("/", 2)
        if len(numbers) == 2 and all(n.isascii() and n.isdecimal() and len(n) <= 4 for n in numbers):
            buckets, bucket = int(numbers[0]), int(numbers[1])
            if 0 <= bucket < buckets <= SLOTS:
                return cls(family, bucket, buckets)
        return cls(text)


def stock_family(location: str) -> str:
    """Name the family of a location's stock."""
    return f"{STOCK}/{location}"


def asking(family: str) -> str:
    """Return the name by which a side asks for a family; the topics that it holds of it follow with their digests."""
    return f"{family}/"


def slot_of(key: str) -> int:
    """Return the slot, 0 to 255, of what a statement is about."""
    return hashlib.sha256(key.encode()).digest()[0]


def buckets_for(count: int, each: int) -> int:
    """Return into how many buckets so many rows are split, for about so many in each."""
    buckets = 1
    while buckets < SLOTS and buckets * each < count:
        buckets *= 2
    return buckets


def bucket_of(slot: int, buckets: int) -> int:
    """Return the bucket of a slot."""
    return slot * buckets // SLOTS


def content_digest(content: bytes) -> bytes:
    """Return the digest by which two sides tell whether they hold the same statement."""
    return hashlib.sha256(content).digest()[:_DIGEST_BYTES]


def digest_of(digests: Mapping[str, bytes]) -> bytes:
    """Return one digest over the digests of a family's topics, or over those of all families."""
    return hashlib.sha256(encode(sorted(digests.items()))).digest()[:_DIGEST_BYTES]


class HeldStatements:
    """The statements that a node holds, on its tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def families(self) -> dict[str, bytes]:
        """Return the digest of each family here."""
        topics: dict[str, dict[str, bytes]] = {}
        rows = self._connection.execute("SELECT family, topic, digest FROM elsewhere_topic").fetchall()
        for family, topic, digest in rows:
            topics.setdefault(family, {})[topic] = bytes(digest)
        return {family: digest_of(digests) for family, digests in topics.items()}

    def topics(self, family: str) -> dict[str, bytes]:
        """Return the digest of each topic of a family."""
        rows = self._connection.execute(
            "SELECT topic, digest FROM elsewhere_topic WHERE family = ?", (family,)
        ).fetchall()
        return {topic: bytes(digest) for topic, digest in rows}

    def read(self, family: str, key: str = "") -> tuple[bytes, int] | None:
        """Return the content of the newest statement about a key of a family, and its time; None without one."""
        row = self._connection.execute(
            "SELECT e.statement, e.as_of_ms FROM elsewhere_topic t JOIN elsewhere e ON e.topic = t.topic"
            " WHERE t.family = ? AND t.bucket = ? * t.buckets / ? ORDER BY e.as_of_ms DESC LIMIT 1",
            (family, slot_of(key), SLOTS),
        ).fetchone()
        return None if row is None else (bytes(row[0]), int(row[1]))

    def keep(self, statements: Iterable[Statement]) -> int:
        """Keep statements that were verified and are not older than those here; returns how many.

        Where a family is split anew, the statements of the old split go once all of the new one are here.
        """
        kept = 0
        for one in statements:
            topic = Topic.parse(one.topic)
            row = self._connection.execute("SELECT as_of_ms FROM elsewhere WHERE topic = ?", (one.topic,)).fetchone()
            if row is not None and int(row[0]) > one.as_of_ms:
                continue
            self._connection.execute(
                "INSERT INTO elsewhere (topic, statement, signature, as_of_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (topic) DO UPDATE SET statement = excluded.statement, signature = excluded.signature,"
                " as_of_ms = excluded.as_of_ms",
                (one.topic, one.content, one.signature, one.as_of_ms),
            )
            self._connection.execute(
                "INSERT INTO elsewhere_topic (topic, family, bucket, buckets, digest) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (topic) DO UPDATE SET digest = excluded.digest",
                (one.topic, *topic, content_digest(one.content)),
            )
            kept += 1
            self._drop_old_split(topic)
        return kept

    def forget(self, people: Collection[str]) -> None:
        """Delete the keys of people from the statement that is here, before the hub's next one says the same.

        What is left of that statement is no longer what was signed, and is passed on to nobody.
        """
        for person in people:
            row = self._connection.execute(
                "SELECT e.topic, e.statement FROM elsewhere_topic t JOIN elsewhere e ON e.topic = t.topic"
                " WHERE t.family = ? AND t.bucket = ? * t.buckets / ?",
                (MEMBERS, slot_of(person), SLOTS),
            ).fetchall()
            for topic, content in row:
                told = msgspec.msgpack.decode(bytes(content), type=MemberKeys)
                left = MemberKeys(told.as_of_ms, tuple(one for one in told.keys if one[0] != person))
                self._connection.execute("UPDATE elsewhere SET statement = ? WHERE topic = ?", (encode(left), topic))
        self._forget_on_route(people)

    def _forget_on_route(self, people: Collection[str]) -> None:
        row = self._connection.execute("SELECT statement FROM elsewhere WHERE topic = ?", (OPERATORS_TOPIC,)).fetchone()
        if row is None:
            return
        told = msgspec.msgpack.decode(bytes(row[0]), type=OperatorSecrets)
        kept = tuple(one for one in told.customers if one[0] not in people)
        if kept != told.customers:
            left = msgspec.structs.replace(told, customers=kept)
            self._connection.execute("UPDATE elsewhere SET statement = ? WHERE topic = ?",
                                     (encode(left), OPERATORS_TOPIC))  # fmt: skip

    def _drop_old_split(self, topic: Topic) -> None:
        here = self._connection.execute(
            "SELECT count(*), min(e.as_of_ms) FROM elsewhere_topic t JOIN elsewhere e ON e.topic = t.topic"
            " WHERE t.family = ? AND t.buckets = ?",
            (topic.family, topic.buckets),
        ).fetchone()
        if int(here[0]) < topic.buckets:
            return
        others = self._connection.execute(
            "SELECT t.topic FROM elsewhere_topic t JOIN elsewhere e ON e.topic = t.topic"
            " WHERE t.family = ? AND t.buckets <> ? AND e.as_of_ms < ?",
            (topic.family, topic.buckets, here[1]),
        ).fetchall()
        if others:
            self._connection.executemany("DELETE FROM elsewhere WHERE topic = ?", others)
            self._connection.executemany("DELETE FROM elsewhere_topic WHERE topic = ?", others)


def read_as_of(content: bytes) -> int | None:
    """Return the time that a statement's own content names, which its signature covers; None for no statement."""
    try:
        values = msgspec.msgpack.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not isinstance(values, list) or len(values) < 2:
        return None
    at = 1 if isinstance(values[0], str) else 0
    return values[at] if isinstance(values[at], int) else None
