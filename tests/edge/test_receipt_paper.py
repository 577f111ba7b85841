"""A Chinese receipt from the entry to the paper: golden bytes, and codes that an independent reader reads back."""

from __future__ import annotations

from pathlib import Path

import pytest
import zxingcpp
from msgspec.structs import replace

from drivers.escpos.code_page import PROFILES, PrinterProfile
from drivers.escpos.interpreter import paper_of
from drivers.escpos.job import PrintJob, job_of
from drivers.escpos.picture import Typeface, default_typeface
from edge.node import Node
from edge.receipt_codes import read_receipt_code, verify_receipt_code
from edge.receipts import Copy, layout, receipt_document, stored_entry
from schema.errors import RefusalError
from schema.kinds.trading import Refund, Sale
from schema.rules.receipt import Section
from tests.edge.paper_shops import chinese_shop, form, refund_first_line, sell_promoted, set_setting
from tests.edge.shops import START_MS, Shops

NO_FONT = Typeface(None, None)
GOLDEN = Path(__file__).parent / "paper"


@pytest.fixture
def shop(shops: Shops) -> Node:
    return chinese_shop(shops)


def job(node: Node, entry: str, profile: PrinterProfile, typeface: Typeface = NO_FONT) -> PrintJob:
    return job_of(receipt_document(node, entry, columns=profile.columns).document(), profile, typeface)


def codes(paper: bytes, profile: PrinterProfile) -> dict[str, str]:
    """Return what an independent reader finds on the picture of the paper: the text by the kind of code."""
    picture = paper_of(paper, profile, NO_FONT).picture(NO_FONT)
    return {found.text: str(found.format) for found in zxingcpp.read_barcodes(picture.convert("L"))}


@pytest.mark.parametrize("name", ["58mm", "80mm"])
@pytest.mark.parametrize("what", ["sale", "refund"])
def test_a_chinese_receipt_keeps_its_golden_bytes(shop: Node, name: str, what: str) -> None:
    sold = sell_promoted(shop)
    entry = stored_entry(shop, sold.entry if what == "sale" else refund_first_line(shop, sold).entry)
    assert isinstance(entry.payload, Sale | Refund)
    laid = layout(shop, entry.payload, START_MS, Copy(PROFILES[name].columns), entry=entry)
    # The signature differs from run to run, as the clock runs on: a code of its kind stands for it.
    rows = tuple(replace(row, data="S2SWY33D" * 27) if row.data == sold.code_text else row for row in laid.rows)
    data = job_of(laid._replace(rows=rows).document(), PROFILES[name], NO_FONT).data
    text = "\n".join(data.hex()[place : place + 120] for place in range(0, len(data.hex()), 120)) + "\n"
    assert text == (GOLDEN / f"{what}_{name}.hex").read_text("ascii")


def test_every_hanzi_and_the_yen_are_two_bytes_that_each_printer_has(shop: Node) -> None:
    data = job(shop, sell_promoted(shop).entry, PROFILES["58mm"]).data
    assert "好邻居便利店".encode("gb18030") in data
    assert b"\xa3\xa473.10" in data, "the full-width yen"
    assert b"\x81\x30" not in data, "never the half-width one, which is four bytes"
    assert b"\xc2\xa5" not in data


@pytest.mark.parametrize("name", PROFILES)
def test_the_codes_are_read_back_from_the_paper_of_every_printer(shops: Shops, shop: Node, name: str) -> None:
    set_setting(shops, form(sections=tuple(Section)))
    sold = sell_promoted(shop)
    found = codes(job(shop, sold.entry, PROFILES[name]).data, PROFILES[name])
    assert found.keys() == {sold.code_text, "https://example.com/fp?receipt=A1-1-000001", "A1-1-000001"}
    assert "Code128" in found["A1-1-000001"].replace(" ", "")


def test_the_code_on_the_paper_verifies_at_another_till_and_a_changed_one_does_not(shops: Shops, shop: Node) -> None:
    other = shops.make_node("A2")
    sold = sell_promoted(shop)
    printed = next(text for text in codes(job(shop, sold.entry, PROFILES["58mm"]).data, PROFILES["58mm"])
                   if text.isalnum())  # fmt: skip
    code = read_receipt_code(printed)
    assert code is not None
    verify_receipt_code(other, code)
    assert (str(code.entry), code.digest, code.total_minor) == (sold.entry, sold.digest, sold.total_minor)
    with pytest.raises(RefusalError) as refused:
        verify_receipt_code(other, code._replace(total_minor=code.total_minor + 100))
    assert refused.value.code == "code_forged"


def test_a_printer_without_hanzi_gets_them_as_pictures_and_figures_as_text(shop: Node) -> None:
    profile = PROFILES["58mm-simple"]
    done = job(shop, sell_promoted(shop).entry, profile)
    assert done.lacks_font
    assert b"\x1dv0\x00" in done.data
    assert b"A1-1-000001" not in done.data, "a line that holds hanzi is one picture"
    shown = paper_of(done.data, profile, NO_FONT).lines()
    assert any(line.split() == ["3.50", "10.50"] or "1.234kg" in line for line in shown)
    if default_typeface().has_hanzi:
        assert not job(shop, sell_promoted(shop).entry, profile, default_typeface()).lacks_font


def test_paper_reads_as_the_preview_on_the_screen(shop: Node) -> None:
    entry = sell_promoted(shop).entry
    for name in ("58mm", "80mm"):
        profile = PROFILES[name]
        laid = receipt_document(shop, entry, columns=profile.columns)
        preview = [line.strip() for line in laid.preview() if line.strip() and "[QR" not in line]
        paper = paper_of(job(shop, entry, profile).data, profile, NO_FONT)
        printed = [line.strip() for line in paper.lines() if line.strip() and not line.strip().startswith("[")]
        assert [line.split() for line in preview if set(line) != {"="}] == [line.split() for line in printed]


def test_a_reprint_differs_by_its_mark_alone(shop: Node) -> None:
    entry = sell_promoted(shop).entry
    first = receipt_document(shop, entry).preview()
    again = receipt_document(shop, entry, is_reprint=True).preview()
    assert again[1:] == first
    assert again[0].strip() == "*** 补打 ***"
    assert stored_entry(shop, entry).digest == stored_entry(shop, "A1-1-000001").digest
