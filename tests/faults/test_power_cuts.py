"""After any cut of the power everything acknowledged is there, and the model is one in which a weaker node loses."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge.config import DATABASE_FILE
from tests.faults import power_cuts
from tests.faults.fault import NEVER
from tests.faults.power_cuts import WAL_FILE, Disk, Made, Synced, Write


@pytest.mark.long
def test_no_cut_of_the_power_loses_what_was_acknowledged_and_the_control_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cuts, "CUTS", 15)
    tally = power_cuts.run(11, NEVER)
    assert tally.count == 120
    assert tally.facts["control cuts that lost something"] > 0


def test_what_was_synced_is_in_every_image_and_what_was_not_is_in_some() -> None:
    disk = Disk(b"old" * 400)
    for step in (Write(DATABASE_FILE, 0, b"new" * 400), Made(WAL_FILE), Write(WAL_FILE, 0, b"log"), Synced(WAL_FILE)):
        disk.take(step)
    images = [disk.image(random.Random(seed)) for seed in range(200)]
    assert all(image[WAL_FILE] == b"log" for image in images)
    bodies = {image[DATABASE_FILE] for image in images}
    assert {b"old" * 400, b"new" * 400} < bodies, "and torn ones beside them"


def test_a_file_that_was_made_and_never_synced_may_be_missing() -> None:
    disk = Disk(b"")
    for step in (Made(WAL_FILE), Write(WAL_FILE, 0, b"log")):
        disk.take(step)
    found = {WAL_FILE in disk.image(random.Random(seed)) for seed in range(50)}
    assert found == {True, False}


def test_every_write_of_a_real_node_is_seen(tmp_path: Path) -> None:
    recorded = power_cuts.record(tmp_path, random.Random(3))
    disk = Disk(recorded.database)
    for step in recorded.steps:
        disk.take(step)
    assert disk.synced[DATABASE_FILE] == (recorded.directory / DATABASE_FILE).read_bytes()
    assert disk.told == len(recorded.told) > power_cuts.DEEDS
