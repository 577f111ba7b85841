"""Measures the clocks of nodes from their requests and records, as entries, those that are off by more than they say.

A wrong clock never stops a sale; it is this entry that lets the count rules read its times rightly afterwards.
"""

from __future__ import annotations

from typing import Final

from hub.pruning import Pruning
from hub.store import HubStore
from schema.identity import Scope, Stream
from schema.kinds.counting import ClockFixed
from sync.clock import ClockMeasurement
from sync.messages import Request
from sync.replica import Replica

MEASURED_BYTES_MAX: Final = 64 * 1024
"""A larger request spends longer on the line than the round trip that its node measured."""
TOLERANCE_MS: Final = 500
"""A smaller excess is the line's jitter or a busy hub, and no reason for an entry; the recorded bound holds it."""
_JITTER_MS: Final = 50
_OFFSET_MS_MAX: Final = 2**52


def measured(request: Request, received_ms: int, size: int) -> ClockMeasurement | None:
    """Return node clock minus true time; None where the request does not allow it.

    The round trip is that of the node's last exchange, not of this one: the bound is the whole of it, not half.
    """
    clock = request.clock
    if clock.round_trip_ms is None or size > MEASURED_BYTES_MAX:
        return None
    offset_ms = clock.wall_ms + clock.round_trip_ms // 2 - received_ms
    if abs(offset_ms) > _OFFSET_MS_MAX or clock.round_trip_ms > _OFFSET_MS_MAX:
        return None
    return ClockMeasurement(offset_ms, clock.round_trip_ms + 1)


class ClockFixes:
    """Appends `clock.fixed` once per writer, clock epoch and scope, and again only when the last no longer holds."""

    def __init__(self, pruning: Pruning) -> None:
        self._pruning = pruning

    @staticmethod
    def is_news(replica: Replica, request: Request, measurement: ClockMeasurement) -> bool:
        """Tell whether a measurement says anything that is not on record: `judge` has something to do then."""
        lo, hi = measurement.offset_ms - measurement.unc_ms, measurement.offset_ms + measurement.unc_ms
        known = _known_range(replica, (request.node, request.clock.epoch))
        return not _lies_within(lo, hi, known) or _exceeds(request, measurement)

    def judge(self, store: HubStore, request: Request, measurement: ClockMeasurement) -> None:
        """Record what a node does not know of its clock; the request's nonce is new."""
        epoch = self._over_epoch(store, request, measurement)
        if not _exceeds(request, measurement):
            return
        with store.snapshot() as replica:
            due = self._due(replica, request, epoch)
        for scope in due:

            def fix(replica: Replica, scope: Scope = scope) -> None:
                for stream in self._due(replica, request, epoch).get(scope, []):
                    self._fix(replica, stream, request.clock.epoch, epoch)

            store.attempt(scope, fix)

    @staticmethod
    def _over_epoch(store: HubStore, request: Request, now: ClockMeasurement) -> ClockMeasurement:
        """Return what holds for the whole clock epoch: the hull of all that was measured in it.

        A clock that was set without its node noticing was right before and wrong after, and nobody knows when.
        """
        place = (request.node, request.clock.epoch)

        def widen(replica: Replica) -> tuple[int, int]:
            lo, hi = now.offset_ms - now.unc_ms, now.offset_ms + now.unc_ms
            known = _known_range(replica, place)
            if known is not None and _lies_within(lo, hi, known):
                return known
            lo, hi = (min(lo, known[0]), max(hi, known[1])) if known else (lo, hi)
            # Two processes may measure one node at once: whoever comes second widens what the first wrote.
            return replica.connection.execute(  # type: ignore[no-any-return]
                "INSERT INTO clock_range AS r (node, clock_epoch, lo_ms, hi_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (node, clock_epoch) DO UPDATE SET"
                " lo_ms = CASE WHEN r.lo_ms < excluded.lo_ms THEN r.lo_ms ELSE excluded.lo_ms END,"
                " hi_ms = CASE WHEN r.hi_ms > excluded.hi_ms THEN r.hi_ms ELSE excluded.hi_ms END"
                " RETURNING lo_ms, hi_ms",
                (*place, lo, hi),
            ).fetchone()

        lo, hi = store.attempt(None, widen)
        if hi - lo <= 2 * (now.unc_ms + TOLERANCE_MS):
            return now
        return ClockMeasurement((lo + hi) // 2, (hi - lo + 1) // 2)

    @staticmethod
    def _due(replica: Replica, request: Request, measurement: ClockMeasurement) -> dict[Scope, list[Stream]]:
        rows = replica.connection.execute(
            "SELECT scope.scope, max(stream.incarnation) FROM stream JOIN scope ON scope.scope_no = stream.scope_no"
            " WHERE stream.node = ? AND stream.head_seq > 0 AND scope.scope LIKE 'loc/%' GROUP BY scope.scope",
            (request.node,),
        ).fetchall()
        due: dict[Scope, list[Stream]] = {}
        for scope, incarnation in rows:
            stream = Stream(Scope(scope), request.node, incarnation)  # type: ignore[arg-type]
            known = replica.connection.execute(
                "SELECT offset_ms, unc_ms FROM clock_fix WHERE scope = ? AND writer = ? AND clock_epoch = ?",
                (scope, stream.writer, request.clock.epoch),
            ).fetchone()
            if known is None or abs(measurement.offset_ms - known[0]) > known[1] + measurement.unc_ms:
                due.setdefault(Scope(scope), []).append(stream)
        return due

    def _fix(self, replica: Replica, stream: Stream, epoch: int, measurement: ClockMeasurement) -> None:
        unc_ms = measurement.unc_ms + TOLERANCE_MS
        self._pruning.append(replica, stream.scope, ClockFixed(stream.writer, epoch, measurement.offset_ms, unc_ms))
        replica.connection.execute(
            "INSERT INTO clock_fix (scope, writer, clock_epoch, offset_ms, unc_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (scope, writer, clock_epoch) DO UPDATE SET offset_ms = excluded.offset_ms,"
            " unc_ms = excluded.unc_ms",
            (stream.scope, stream.writer, epoch, measurement.offset_ms, unc_ms),
        )


def _known_range(replica: Replica, place: tuple[str, int]) -> tuple[int, int] | None:
    row = replica.connection.execute(
        "SELECT lo_ms, hi_ms FROM clock_range WHERE node = ? AND clock_epoch = ?", place
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _lies_within(lo: int, hi: int, known: tuple[int, int] | None) -> bool:
    return known is not None and known[0] - _JITTER_MS <= lo and hi <= known[1] + _JITTER_MS


def _exceeds(request: Request, measurement: ClockMeasurement) -> bool:
    """Tell whether a clock is off by more than its node says."""
    claimed = request.clock.unc_ms
    return claimed is None or abs(measurement.offset_ms) - measurement.unc_ms - TOLERANCE_MS > claimed
