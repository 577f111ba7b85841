"""Hybrid logical time, and what a node knows of its own wall clock's error.

Time is always a parameter. Causality orders streams; the wall clock only bounds when a thing happened on
the shelf, so what matters is an honest bound: a clock, however wrong, never stops a sale.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

DRIFT_PPM: Final = 100
"""Quartz clocks of small computers stay within 100 parts per million: 60 s in seven days."""
HLC_MS_MAX: Final = 2**52
HLC_COUNTER_MAX: Final = 2**52
"""Beyond these no receiver takes a hybrid time: so that one hostile entry cannot leave the next writer no room."""
STEP_MS: Final = 1_000
"""A wall clock that moved this much against the monotonic clock was set."""


class Timestamp(NamedTuple):
    """Hybrid logical time: milliseconds and a counter within the millisecond (Kulkarni et al., 2014)."""

    ms: int
    counter: int


def tick(last: Timestamp, wall_ms: int) -> Timestamp:
    """Return the time of a new local event, later than every event known; at the very end of time it stands still."""
    if wall_ms > last.ms:
        return Timestamp(min(wall_ms, HLC_MS_MAX), 0)
    if last.counter < HLC_COUNTER_MAX:
        return Timestamp(last.ms, last.counter + 1)
    return Timestamp(last.ms + 1, 0) if last.ms < HLC_MS_MAX else last


class ClockReading(NamedTuple):
    """The machine's clocks at one moment: wall, monotonic (counting suspends) and the boot's id."""

    wall_ms: int
    monotonic_ms: int
    boot_id: str


class Clock(msgspec.Struct, frozen=True, array_like=True):
    """A node's knowledge of its clock: the epoch, the last reading, and the error bound at the anchor.

    `offset_ms` is the last measured node clock minus true time; scheduled prices subtract it.
    """

    epoch: int
    wall_ms: int
    monotonic_ms: int
    boot_id: str
    unc_ms: int | None = None
    anchor_wall_ms: int = 0
    offset_ms: int = 0

    def bound_ms(self) -> int | None:
        """Return the bound on |wall clock − true time| at the last reading; None when it is unknown."""
        if self.unc_ms is None:
            return None
        elapsed_ms = max(0, self.wall_ms - self.anchor_wall_ms)
        return self.unc_ms + -(-elapsed_ms * DRIFT_PPM // 1_000_000)


def start(reading: ClockReading) -> Clock:
    """Return the clock of a node that has never measured it: epoch 0, error unknown."""
    return Clock(0, reading.wall_ms, reading.monotonic_ms, reading.boot_id)


def observe(clock: Clock, reading: ClockReading) -> Clock:
    """Return the clock after a reading; a new epoch begins only on evidence that the wall clock was set.

    Within one boot the monotonic clock is the evidence. A boot whose wall clock is later than the last
    reading keeps the epoch, its error growing by drift; an earlier one was set back.
    """
    if reading.boot_id == clock.boot_id and reading.monotonic_ms >= clock.monotonic_ms:
        elapsed_ms = reading.monotonic_ms - clock.monotonic_ms
        moved_ms = abs(reading.wall_ms - clock.wall_ms - elapsed_ms)
        is_stepped = moved_ms > STEP_MS + elapsed_ms * DRIFT_PPM // 1_000_000
    else:
        is_stepped = reading.wall_ms < clock.wall_ms
    if not is_stepped:
        return msgspec.structs.replace(
            clock, wall_ms=reading.wall_ms, monotonic_ms=reading.monotonic_ms, boot_id=reading.boot_id
        )
    return Clock(clock.epoch + 1, reading.wall_ms, reading.monotonic_ms, reading.boot_id, None, 0, clock.offset_ms)


class ClockMeasurement(NamedTuple):
    """One exchange with a trusted clock: node clock minus true time, and the bound on that difference."""

    offset_ms: int
    unc_ms: int


def measure(sent_ms: int, remote_ms: int, received_ms: int) -> ClockMeasurement:
    """Return the offset from a request and its reply: the remote clock was read somewhere between both."""
    round_trip_ms = max(0, received_ms - sent_ms)
    return ClockMeasurement(sent_ms + round_trip_ms // 2 - remote_ms, -(-round_trip_ms // 2) + 1)


def anchored(clock: Clock, measurement: ClockMeasurement) -> Clock:
    """Return the clock with its error bound renewed: an offset that is known is still an error of the raw clock."""
    return msgspec.structs.replace(
        clock,
        unc_ms=abs(measurement.offset_ms) + measurement.unc_ms,
        anchor_wall_ms=clock.wall_ms,
        offset_ms=measurement.offset_ms,
    )
