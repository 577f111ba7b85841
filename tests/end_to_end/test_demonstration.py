"""What `make run` shows: a day without the hub that ends in one stock figure that everyone can explain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from edge.receipt_codes import read_receipt_code
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
    assert_receipts_were_printed(tmp_path / "run" / "receipts")


def assert_receipts_were_printed(folder: Path) -> None:
    """Each file of printer bytes has its picture, and the code of each sale can be read from it."""
    files = sorted(folder.glob("*.escpos"))
    assert {file.stem.split("-")[3] for file in files} == {"sell", "refund"}
    for file in files:
        number = file.stem.rsplit("-", 2)[0]
        assert number.encode() in file.read_bytes()
        found = [code.text for code in zxingcpp.read_barcodes(Image.open(file.with_suffix(".png")).convert("L"))]
        codes = [code for text in found if (code := read_receipt_code(text)) is not None]
        assert len(codes) == (1 if "-sell-" in file.name else 0)
