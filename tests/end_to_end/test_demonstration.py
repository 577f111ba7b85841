"""What `make run` shows: a day without the hub that ends in one stock figure that everyone can explain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import run


@pytest.mark.long
def test_the_demonstration_ends_with_its_proof_and_names_every_conflict(tmp_path: Path) -> None:
    done = run("demo", "--directory", str(tmp_path / "run"))
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    for sentence in (
        "of transfer T1 arrived than was sent",
        r"2 counts of \S.{0,60} differ; the book says",
        "more was sold than was ever received or counted",
        r"The clock of \S+ was measured and found wrong",
        "arrived late and had left the shelf already when it was counted",
        "The price of 12001 was changed in two places at once",
        "one till was killed after 12",
        "0 are missing at the hub, 0 numbers were used twice",
        "replicas that show other figures: none",
        "nodes in which the doctor found something: none",
        "The proof holds, in",
    ):
        assert re.search(sentence, told), done.stdout
    assert told.count("why is it so?") == 2
    assert not done.stderr.strip()
