"""The short form of the simulator: fixed seeds, each with clones, restores, kills and broken lines."""

from __future__ import annotations

from collections import Counter

import pytest

from sync.stock_facts import ConflictCode
from tests.simulation.run import Run, simulate

SEEDS = range(1, 13)
STEPS = 450


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [simulate(seed, STEPS) for seed in SEEDS]


def test_replicas_that_hold_the_same_show_the_same_after_any_faults(runs: list[Run]) -> None:
    compared = sum(run.counts["pictures compared"] for run in runs)
    assert compared > 100


def test_everything_drains_in_few_rounds_after_the_faults_stop(runs: list[Run]) -> None:
    assert max(run.counts["rounds to drain"] for run in runs) <= 6


def test_the_runs_meet_every_conflict_code(runs: list[Run]) -> None:
    met: Counter[ConflictCode] = sum((run.codes for run in runs), Counter())
    assert [code for code in ConflictCode if not met[code]] == []


def test_the_runs_meet_every_fault(runs: list[Run]) -> None:
    met: Counter[str] = Counter()
    for run in runs:
        met.update(run.counts)
    faults = [
        "bundle", "bundle damaged", "branch left", "clock fix", "clock jump", "clone", "dead clock", "incarnation",
        "kill", "late request", "late response", "partition", "recovered entry", "request damaged", "request doubled",
        "bundle aboard", "carried answer read", "carried bundle delivered", "hub away", "answer for another",
        "carried answer refused", "sealed bundle damaged", "sealed bundle foreign", "sealed bundle in another's name",
        "sealed bundle of nobody", "sealed bundle refused carried_damaged", "sealed bundle refused carried_foreign",
        "sealed bundle refused node_unknown", "lan session",
        "lan session without a hub", "lan visit", "van loaded", "van unloaded",
        "request lost", "response damaged", "response lost", "restore", "hub restore", "revoked", "upgrade",
    ]  # fmt: skip
    assert [fault for fault in faults if not met[fault]] == []


def test_one_seed_makes_one_history() -> None:
    first, second = simulate(7, 150), simulate(7, 150)
    assert first == second
