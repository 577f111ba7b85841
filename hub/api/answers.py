"""Answers to writes, kept by the key that their sender chose: a request that is sent again gets the same answer."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from schema.codec import encode
from schema.database import Connection
from schema.errors import RefusalError

KEPT_MS: Final = 7 * 86_400_000
"""So long a key is remembered; a request that is older than that is a new one."""
KEY_CHARACTERS_MAX: Final = 128


class StoredAnswer(NamedTuple):
    """What a write was answered; `location` is the address of what it made, else empty."""

    status: int
    location: str
    content: bytes


def fingerprint(method: str, address: str, precondition: str, body: bytes) -> bytes:
    """Return what tells one request from another."""
    return hashlib.sha256(encode((method, address, precondition, hashlib.sha256(body).digest()))).digest()


def claim(connection: Connection, caller: str, key: str, request: bytes, now_ms: int) -> StoredAnswer | None:
    """Take a key for a request, within the transaction that does its work; returns the answer where it was done.

    Two processes that receive one request at once meet on the row: the later waits for the earlier to commit, or
    does the work where that one gave up. Raises RefusalError `idempotency_key_reused` for a key of another request.
    """
    taken = connection.execute(
        "INSERT INTO api_answer (caller, idempotency_key, request, status, location, content, noted_ms)"
        " VALUES (?, ?, ?, 0, '', ?, ?) ON CONFLICT DO NOTHING RETURNING caller",
        (caller, key, request, b"", now_ms),
    ).fetchone()
    if taken is not None:
        return None
    row = connection.execute(
        "SELECT request, status, location, content FROM api_answer WHERE caller = ? AND idempotency_key = ?",
        (caller, key),
    ).fetchone()
    assert row is not None, "a key that cannot be taken is there"
    if bytes(row[0]) != request:
        raise RefusalError("idempotency_key_reused", "this Idempotency-Key was used for another request: choose anew")
    return StoredAnswer(int(row[1]), str(row[2]), bytes(row[3]))


def keep(connection: Connection, caller: str, key: str, answer: StoredAnswer) -> None:
    """Store the answer of a request whose key was taken in this transaction."""
    connection.execute(
        "UPDATE api_answer SET status = ?, location = ?, content = ? WHERE caller = ? AND idempotency_key = ?",
        (answer.status, answer.location, answer.content, caller, key),
    )


def forget_answers(connection: Connection, now_ms: int) -> None:
    """Forget answers that nobody asks for any more."""
    connection.execute("DELETE FROM api_answer WHERE noted_ms < ?", (now_ms - KEPT_MS,))
