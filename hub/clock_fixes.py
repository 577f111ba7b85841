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

    def judge(self, store: HubStore, request: Request, received_ms: int, size: int) -> ClockMeasurement | None:
        """Measure one request's clock and record what its node does not know; returns the measurement."""
        measurement = measured(request, received_ms, size)
        if measurement is None:
            return None
        epoch = self._over_epoch(store, request, measurement)
        claimed = request.clock.unc_ms
        if claimed is not None and abs(measurement.offset_ms) - measurement.unc_ms - TOLERANCE_MS <= claimed:
            return measurement
        with store.snapshot() as replica:
            due = self._due(replica, request, epoch)
        for scope in due:
            with store.transaction(scope) as replica:
                for stream in self._due(replica, request, epoch).get(scope, []):
                    self._fix(replica, stream, request.clock.epoch, epoch)
        return measurement

    @staticmethod
    def _over_epoch(store: HubStore, request: Request, now: ClockMeasurement) -> ClockMeasurement:
        """Return what holds for the whole clock epoch: the hull of all that was measured in it.

        A clock that was set without its node noticing was right before and wrong after, and nobody knows when.
        """
        lo, hi = now.offset_ms - now.unc_ms, now.offset_ms + now.unc_ms
        place = (request.node, request.clock.epoch)
        with store.snapshot() as replica:
            known = replica.connection.execute(
                "SELECT lo_ms, hi_ms FROM clock_range WHERE node = ? AND clock_epoch = ?", place
            ).fetchone()
        if known is not None and known[0] - _JITTER_MS <= lo and hi <= known[1] + _JITTER_MS:
            lo, hi = known
        else:
            lo, hi = (min(lo, known[0]), max(hi, known[1])) if known else (lo, hi)
            with store.transaction(None) as replica:
                replica.connection.execute(
                    "INSERT INTO clock_range (node, clock_epoch, lo_ms, hi_ms) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (node, clock_epoch) DO UPDATE SET lo_ms = excluded.lo_ms, hi_ms = excluded.hi_ms",
                    (*place, lo, hi),
                )
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
