"""Hybrid time follows the published cases, and a node's bound on its clock error is honest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.clock import Clock, ClockReading, Timestamp, anchored, measure, observe, start, tick

MINUTE_MS = 60_000
DAY_MS = 86_400_000


# Inputs and results of the sending cases of Evolu's timestamps (MIT), without its drift limit: here clocks never gate.
@pytest.mark.parametrize(
    ("last", "wall_ms", "expected"),
    [((0, 0), 1, (1, 0)), ((0, 0), 0, (0, 1)), ((1, 0), 0, (1, 1)), ((300_001, 0), 0, (300_001, 1))],
)
def test_the_time_of_an_event_is_later_than_all_known(
    last: tuple[int, int], wall_ms: int, expected: tuple[int, int]
) -> None:
    assert tick(Timestamp(*last), wall_ms) == Timestamp(*expected)


@given(st.tuples(st.integers(0, 2**50), st.integers(0, 2**50)), st.integers(-(2**40), 2**50))
def test_hybrid_time_never_goes_back_whatever_the_wall_clock_says(last: tuple[int, int], wall_ms: int) -> None:
    assert tick(Timestamp(*last), wall_ms) > Timestamp(*last)


def reading(wall_ms: int, monotonic_ms: int, boot: str = "b1") -> ClockReading:
    return ClockReading(wall_ms, monotonic_ms, boot)


def test_a_clock_that_was_set_begins_an_epoch_and_its_error_is_unknown() -> None:
    clock = anchored(start(reading(1000, 0)), measure(1000, 1000, 1010))
    assert clock.bound_ms() == 5 + 6
    stepped = observe(clock, reading(1000 + 2 * 3_600_000, MINUTE_MS))
    assert (stepped.epoch, stepped.bound_ms()) == (1, None)
    assert observe(stepped, reading(stepped.wall_ms + 10, MINUTE_MS + 10)).epoch == 1


def test_running_on_keeps_the_epoch_and_the_error_grows_by_drift() -> None:
    clock = anchored(start(reading(0, 0)), measure(0, 0, 0))
    week = observe(clock, reading(7 * DAY_MS, 7 * DAY_MS))
    assert (week.epoch, week.bound_ms()) == (0, 1 + 60_480)


def test_a_reboot_later_keeps_the_epoch_and_one_earlier_does_not() -> None:
    clock = anchored(start(reading(DAY_MS, 500)), measure(DAY_MS, DAY_MS, DAY_MS))
    assert observe(clock, reading(DAY_MS + MINUTE_MS, 3, "b2")).epoch == 0
    assert observe(clock, reading(DAY_MS - 1, 3, "b2")).epoch == 1


@given(st.integers(-(10**7), 10**7), st.integers(0, 5_000), st.integers(0, 5_000))
def test_the_bound_holds_the_true_offset(offset_ms: int, there_ms: int, back_ms: int) -> None:
    true_ms = 10**9
    measured = measure(true_ms + offset_ms, true_ms + there_ms, true_ms + there_ms + back_ms + offset_ms)
    assert abs(measured.offset_ms - offset_ms) <= measured.unc_ms
    clock = anchored(Clock(0, true_ms + offset_ms, 0, "b"), measured)
    bound = clock.bound_ms()
    assert bound is not None
    assert abs(offset_ms) <= bound
