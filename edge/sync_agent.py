"""The sync agent: one session with the hub, forks and clocks included, while the till goes on selling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Final, Protocol

import msgspec

from edge.applying import Pace, apply_batches, keep_statements
from edge.carrying import Bearer, hand_over
from edge.hub_held import note_held
from edge.hub_report import hub_report
from edge.line_state import note_answer, note_line
from edge.node import RELEASE, Node
from edge.status import own_total
from schema.codec import encode
from schema.errors import RefusalError, TransientError
from schema.identity import ORG, Scope
from sync.branches import can_recover, give_way, must_renew, recover
from sync.clock import ClockMeasurement, anchored, measure
from sync.elsewhere import HeldStatements
from sync.messages import (
    Batch,
    ClockReport,
    Refusal,
    Request,
    Response,
    ScopeVector,
    decode_response,
    encode_request,
    scope_vector,
)
from sync.session import ClientSession, SessionResult, Subscription
from sync.transport import BROUGHT_PATH, SYNC_PATH
from sync.version_vector import Head, VersionVector, vector_digest

REMINDED_BYTES: Final = 1024 * 1024
_PASSES_MAX: Final = 4
"""Each branch of this node that is found costs one more pass."""
ANSWER_NOTED_S: Final = 3.0
"""An exchange that takes longer says this often that the hub answers."""


class Line(Protocol):
    """What carries a session's frames to the hub."""

    @property
    def bytes_sent(self) -> int:
        """Bytes of requests so far."""
        ...

    @property
    def bytes_received(self) -> int:
        """Bytes of replies so far."""
        ...

    def exchange(self, body: bytes) -> bytes:
        """Send one frame and return the reply; raises TransientError or RefusalError."""
        ...


class SyncReport(msgspec.Struct):
    """What one sync came to, for people and scripts."""

    is_complete: bool = False
    entries_sent: int = 0
    entries_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    round_trips: int = 0
    seconds: float = 0.0
    refusals: list[Refusal] = []
    mismatched_folds: list[str] = []
    recovered: int = 0
    offset_ms: int = 0
    handed_over: int = 0
    """Bundles of others that were aboard and that the hub has now."""


Progress = Callable[[int, int], None]
"""Called with the entries sent and received so far."""


def subscriptions(node: Node) -> list[Subscription]:
    """Return the scopes that this node holds whole, and those where it only writes notices."""
    held = [Subscription(ORG), Subscription(node.config.scope)]
    for scope in sorted(node.replica.log.scopes()):
        if scope not in {ORG, node.config.scope} and node.replica.log.heads(scope, node.config.node_id):
            held.append(Subscription(scope, own_only=True))
    return held


def sync_once(
    node: Node, line: Line, *, is_bulk: bool = False, progress: Progress | None = None, bytes_max: int | None = None
) -> SyncReport:
    """Exchange with the hub until neither side has more. Raises TransientError or RefusalError for the whole line."""
    try:
        report = _exchanged(node, line, is_bulk=is_bulk, progress=progress, bytes_max=bytes_max)
    except (TransientError, RefusalError) as error:
        note_line(node, error.code)
        raise
    note_line(node, "" if report.is_complete else "exchange_incomplete")
    if report.is_complete and isinstance(line, Bearer):
        with suppress(TransientError):  # what waits goes with the next exchange
            report.handed_over = hand_over(node, line.hand_over)
    return report


def _exchanged(
    node: Node, line: Line, *, is_bulk: bool, progress: Progress | None, bytes_max: int | None
) -> SyncReport:
    began = perf_counter()
    sent, received = line.bytes_sent, line.bytes_received
    report = SyncReport()
    pace = Pace(is_bulk=is_bulk)
    is_reminded = False
    for _ in range(_PASSES_MAX):
        try:
            result, theirs = _session(node, line, pace, report, progress, bytes_max)
        except RefusalError as error:
            if error.code != "node_unknown" or is_reminded:
                raise
            _remind(node, line, error)
            is_reminded = True
            continue
        report.is_complete = result.is_complete
        report.mismatched_folds = result.mismatched_folds
        if not _settle(node, result, theirs, report):
            break
    report.bytes_sent = line.bytes_sent - sent
    report.bytes_received = line.bytes_received - received
    report.seconds = perf_counter() - began
    return report


def _remind(node: Node, line: Line, unknown: RefusalError) -> None:
    """Bring a hub that was restored from an older copy its own entries of the organisation back, this node's grant too.

    What the hub once signed proves itself, whoever brings it. Raises what the hub said when it stays unmoved.
    """
    with node.store.reading():
        asked = ClientSession(node.signer, RELEASE, subscriptions(node)).open(node.replica, clock_report(node, None))
    brought: dict[str, Head] = {}
    while True:
        with node.store.reading():
            batches, _ = node.replica.outgoing(ORG, brought, REMINDED_BYTES, None, node.config.root)
            heads = {b.stream.writer: _head_after(node, b) for b in batches}
        if not batches:
            raise unknown
        brought |= heads
        try:
            line.exchange(encode_request(msgspec.structs.replace(asked, batches=tuple(batches))))
        except RefusalError as error:
            if error.code != unknown.code:
                raise
            continue  # the grant comes further on
        return


def _head_after(node: Node, batch: Batch) -> Head:
    row = node.replica.log.stream(batch.stream)
    last = batch.first_seq + len(batch.entries) - 1
    digest = node.replica.log.digest_at(row, last) if row is not None else None
    assert digest is not None
    return Head(last, digest)


def clock_report(node: Node, round_trip_ms: int | None) -> ClockReport:
    """Return what a request says of this node's clock, with the round trip that was measured last."""
    clock = node.state().clock
    reading = node.clock_source()
    current = msgspec.structs.replace(clock, wall_ms=max(clock.wall_ms, reading.wall_ms))
    return ClockReport(reading.wall_ms, clock.epoch, current.bound_ms(), round_trip_ms)


def _session(
    node: Node,
    line: Line,
    pace: Pace,
    report: SyncReport,
    progress: Progress | None,
    bytes_max: int | None,
) -> tuple[SessionResult, Mapping[str, VersionVector]]:
    with node.write():  # a step of the clock is noticed before the clock is reported
        pass
    held = HeldStatements(node.connection)
    session = ClientSession(node.signer, RELEASE, subscriptions(node), bytes_max=bytes_max, held=held)
    best: ClockMeasurement | None = None
    round_trip_ms: int | None = None
    theirs: dict[str, VersionVector] = {}
    told_s = monotonic()
    with node.store.reading():
        request: Request | None = session.open(node.replica, clock_report(node, None), hub_report(node))
    prepared: tuple[Request, bytes] | None = None
    acknowledged = 0
    hub_holds: list[ScopeVector] = []
    with ThreadPoolExecutor(1) as carrier:
        while request is not None:
            body = prepared[1] if prepared is not None and prepared[0] is request else encode_request(request)
            answer = carrier.submit(_carry, node, line, body)
            # While the hub works on this part of a backlog, the next one is read and packed.
            with node.store.reading():
                following = session.anticipate(node.replica, request)
            prepared = None if following is None else (following, encode_request(following))
            reply, sent_ms, received_ms = answer.result()
            response = decode_response(reply)
            if monotonic() - told_s > ANSWER_NOTED_S:
                told_s = monotonic()
                note_answer(node)
            measured = measure(sent_ms, response.wall_ms, received_ms)
            round_trip_ms = max(0, received_ms - sent_ms)
            best = measured if best is None or measured.unc_ms < best.unc_ms else best
            _, refused = apply_batches(node, response.batches, pace)
            report.refusals += refused
            keep_statements(node, response.statements)
            theirs |= {v.scope: v.vector for v in response.vectors}
            asked = request
            with node.store.reading():
                clock = clock_report(node, round_trip_ms)
                request = session.next(node.replica, clock, request, response)
                acknowledged = own_total(node)
                if request is None:
                    hub_holds = _held(node, asked, response)
            if progress is not None:
                progress(session.result.entries_sent, session.result.entries_received)
            if response.busy_ms and request is not None:
                # What it sent is kept: it would have to read and pack it again.
                raise TransientError("hub_busy", f"the hub is busy and asks to wait {response.busy_ms} ms")
    result = session.result
    report.entries_sent += result.entries_sent
    report.entries_received += result.entries_received
    report.round_trips += result.round_trips
    report.refusals += result.refusals
    if best is not None:
        report.offset_ms = best.offset_ms
        _note_exchange(node, best, acknowledged, result, hub_holds)
    return result, theirs


def _held(node: Node, asked: Request, response: Response) -> list[ScopeVector]:
    """Return what the hub holds of each scope as its last answer said it; what was sold meanwhile says nothing."""
    said = {(vector.scope, vector.own_only): vector for vector in response.vectors}
    for state in asked.scopes:
        mine = node.replica.log.heads(state.scope, node.config.node_id if state.own_only else None)
        if (state.scope, state.own_only) not in said and vector_digest(mine) == state.digest:
            said[state.scope, state.own_only] = scope_vector(state.scope, mine, own_only=state.own_only)
    return list(said.values())


def _carry(node: Node, line: Line, body: bytes) -> tuple[bytes, int, int]:
    """Exchange one frame; returns the reply, and the wall clock just before and just after."""
    sent_ms = node.clock_source().wall_ms
    reply = line.exchange(body)
    return reply, sent_ms, node.clock_source().wall_ms


def _note_exchange(
    node: Node, measured: ClockMeasurement, acknowledged: int, result: SessionResult, held: Sequence[ScopeVector]
) -> None:
    with node.write() as writing:
        clock = anchored(writing.clock, measured)
        node.connection.execute("UPDATE node_state SET clock = ?", (encode(clock),))
        node.connection.executemany(
            "INSERT INTO elsewhere_confirmed (family, as_of_ms) VALUES (?, ?)"
            " ON CONFLICT (family) DO UPDATE SET as_of_ms = excluded.as_of_ms",
            sorted(result.confirmed_ms.items()),
        )
        if result.is_complete:
            now_ms = clock.wall_ms - clock.offset_ms
            node.connection.execute(
                "UPDATE node_state SET last_exchange_ms = ?, acknowledged = ?", (now_ms, acknowledged)
            )
            note_held(node.connection, held, now_ms)


def _settle(node: Node, result: SessionResult, theirs: Mapping[str, VersionVector], report: SyncReport) -> bool:
    """Act on what a session found of this node's own streams; tells whether another pass has something to do.

    Others that hold more, or other, of them mean a restored or copied file: a new incarnation begins, the hub's
    branch is taken over, and what only this file holds is appended again.
    """
    met = [*result.ahead, *(parting.stream for parting in result.parted)]
    if met:
        with node.write() as writing:
            if must_renew(node.config.node_id, writing.state.incarnation, met):
                node.new_incarnation(writing)
    for parting in result.parted:
        with node.write() as writing:
            give_way(node.replica, parting, node.config.node_id, writing.moment.wall_ms)
    recovered = 0
    for subscription in subscriptions(node):
        scope = Scope(subscription.scope)
        with node.write() as writing:
            heads = node.replica.log.heads(scope) if result.is_complete else theirs.get(scope)
            if heads is not None and can_recover(node.replica, scope, heads):
                recovered += len(recover(node.replica, writing.stream(scope), writing.moment))
    report.recovered += recovered
    return bool(result.parted or recovered)


class HttpLine:
    """A hub line as the session's carrier."""

    def __init__(self, node: Node) -> None:
        from edge.hub_line import HubLine

        self._node = node
        self._hub = HubLine(node.config.hub_address, node.config.ca_pem)

    @property
    def bytes_sent(self) -> int:
        """Bytes of requests, heads included."""
        return self._hub.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes of replies, heads included."""
        return self._hub.bytes_received

    def exchange(self, body: bytes) -> bytes:
        """Post one frame to the hub's sync endpoint."""
        return self._hub.post_signed(self._node.signer, self._node.config.hub, SYNC_PATH, body)

    def hand_over(self, body: bytes) -> bytes:
        """Post a sealed bundle of another node."""
        return self._hub.post_signed(self._node.signer, self._node.config.hub, BROUGHT_PATH, body)

    def close(self) -> None:
        """Close the connection."""
        self._hub.close()
