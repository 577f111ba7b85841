"""A crowd of tills that sync at once, each as light as can be: it shares the machine with the hub that is measured.

A till speaks the protocol of `sync.session` and keeps what a session needs: its own entries with their seal, and the
heads of every stream, whose digests it chains from the entries that arrive. Lines are bare sockets.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from schema.identity import ORG, Stream
from sync.entry import chain, genesis
from sync.messages import (
    PROTOCOL,
    Batch,
    ClockReport,
    Request,
    Response,
    ScopeState,
    decode_response,
    encode_request,
    scope_vector,
)
from sync.signing import SigningKey
from sync.transport import CONTENT_TYPE, SYNC_PATH, sign_request
from sync.version_vector import Head, vector_digest
from tests.bench.hub_load import HOUR_MS, own_batches
from tests.hub.fleet import RELEASE, FleetNode, now_ms

BYTES_MAX: Final = 512 * 1024


@dataclass
class Replies:
    """What a crowd heard: how long each reply took, and how often the hub asked to wait."""

    seconds: list[float] = field(default_factory=list)
    busy: int = 0
    failures: list[str] = field(default_factory=list)


class RawLine:
    """One kept-alive connection."""

    def __init__(self, address: str) -> None:
        self._url = urlsplit(address)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, headers: Iterable[tuple[str, str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Post to the sync endpoint; returns status, head and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._url.hostname, self._url.port)
        reader, writer = self._streams
        lines = [f"POST {SYNC_PATH} HTTP/1.1", f"host: {self._url.netloc}", f"content-type: {CONTENT_TYPE}"]
        lines += [f"content-length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        content = await reader.readexactly(int(found["content-length"]))
        if found.get("connection") == "close":
            self.close()
        return int(first.split()[1]), found, content

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class CrowdTill:
    """One till as the hub sees it."""

    def __init__(self, signer: SigningKey, hub: str, scope: str, own: Batch, heads: dict[str, dict[str, Head]]) -> None:
        self.signer = signer
        self._hub = hub
        self._scope = scope
        self._own = own
        self._heads = heads

    @classmethod
    def of(cls, node: FleetNode) -> Self:
        """Make one of a node that has traded."""
        (own,) = own_batches(node, 1_000_000)
        return cls(node.signer, node.hub, node.scope, own, {s: node.replica.log.heads(s) for s in (ORG, node.scope)})

    @property
    def count(self) -> int:
        """How many entries it wrote."""
        return len(self._own.entries)

    def request(self, asked: Sequence[str] = (), after_seq: int | None = None) -> Request:
        """Return a request that states these scopes' vectors and brings what the hub lacks above a place."""
        batches: tuple[Batch, ...] = ()
        if after_seq is not None and after_seq < self.count:
            own = self._own
            batches = (Batch(own.scope, own.node, 1, after_seq + 1, own.entries[after_seq:], own.seal),)
        return Request(
            PROTOCOL,
            RELEASE,
            self.signer.node,
            tuple(ScopeState(scope, vector_digest(heads), False) for scope, heads in self._heads.items()),
            ClockReport(now_ms(), 0, HOUR_MS),
            tuple(scope_vector(scope, self._heads[scope]) for scope in asked),
            batches,
            BYTES_MAX,
        )

    def next(self, response: Response) -> Request | None:
        """Take a response in; returns what to say next, None when both sides hold the same."""
        for batch in response.batches:
            writer, heads = batch.stream.writer, self._heads[batch.scope]
            head = heads.get(writer) or Head(0, genesis(Stream.parse(str(batch.stream))))
            if batch.first_seq == head.seq + 1:
                digest = head.digest
                for entry in batch.entries:
                    digest = chain(digest, entry)
                heads[writer] = Head(head.seq + len(batch.entries), digest)
        theirs = {v.scope: v.vector for v in response.vectors}
        differ = [scope for scope, vector in theirs.items() if vector != self._heads[scope]]
        if not differ:
            return None
        known = theirs.get(self._scope, {}).get(self._own.stream.writer)
        return self.request(differ, (known.seq if known else 0) if self._scope in theirs else None)

    async def sync(self, line: RawLine, replies: Replies) -> None:
        """Run sessions until both sides hold the same, waiting as long as a busy hub asks."""
        request: Request | None = self.request()
        while request is not None:
            body = encode_request(request)
            headers = sign_request(self.signer, self._hub, SYNC_PATH, body, secrets.token_hex(8))
            began = time.perf_counter()
            status, head, content = await line.post(headers.items(), body)
            replies.seconds.append(time.perf_counter() - began)
            if status == 429:
                replies.busy += 1
                await asyncio.sleep(float(head["retry-after"]) * (0.5 + random.random()))
                continue
            if status != 200:
                replies.failures.append(f"{status} {content[:200]!r}")
                return
            response = decode_response(content)
            if response.refusals:
                replies.failures.append(str(response.refusals[0]))
                return
            request = self.next(response)
            if response.busy_ms and request is not None:
                replies.busy += 1
                await asyncio.sleep(response.busy_ms / 1000 * (0.5 + random.random()))
