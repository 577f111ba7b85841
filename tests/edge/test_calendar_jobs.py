"""The calendar of a node: one nightly job, whatever the clock did meanwhile."""

from __future__ import annotations

from edge.calendar_jobs import PRUNE_HOUR, prune_at_night, start_calendar
from edge.node import Node


def test_old_entries_leave_by_one_nightly_job_that_is_never_dropped(node: Node) -> None:
    told: list[str] = []
    calendar = start_calendar(node.directory, node.clock_source, node.config.time_zone, told.append)
    try:
        (job,) = calendar.get_jobs()
        assert (job.next_run_time.hour, str(job.next_run_time.tzinfo)) == (PRUNE_HOUR, node.config.time_zone)
        assert job.coalesce
        assert job.max_instances == 1
        assert job.misfire_grace_time is None
    finally:
        calendar.shutdown(wait=False)


def test_a_night_without_a_frontier_leaves_every_entry_and_stops_nothing(node: Node) -> None:
    entries = {scope: node.replica.log.heads(scope) for scope in node.replica.log.scopes()}
    told: list[str] = []
    prune_at_night(node.directory, node.clock_source, told.append)
    assert {scope: node.replica.log.heads(scope) for scope in node.replica.log.scopes()} == entries
