"""A transfer's paper lets two shops without a network hand goods over, and nobody else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zxingcpp
from PIL import Image

from edge.node import Node
from edge.papers import PaperScanner, paper_pages, read_paper, receive_by_paper, save_pages
from edge.stock import QuantityRequest, dispatch_transfer, on_hand, transfers_on_road
from schema.errors import RefusalError
from sync.messages import Batch
from sync.papers import PAGE_CHARS_MAX, SealedNotice, join_pages, read_page, write_pages
from sync.signing import seal_message
from tests.edge.shops import APPLES, HUB, WATER, carry, entry_count, figures, key_of

Make = Callable[..., Node]
GOODS = [QuantityRequest(WATER, 24_000, "", "L7", "2026-12-31"), QuantityRequest(APPLES, 12_500)]


def _shops(make_node: Make) -> tuple[Node, Node]:
    return make_node("W1", "W"), make_node("A1", "A")


def test_goods_are_taken_in_by_paper_alone_before_their_dispatch_is_here(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    done = dispatch_transfer(warehouse, "A", GOODS)
    [pages] = paper_pages(warehouse, done.transfer)
    held = entry_count(till)
    paper = read_paper(till, pages)
    assert entry_count(till) == held, "a paper never enters the log"
    assert (paper.transfer, paper.origin) == (done.transfer, "W")
    assert [(line.product, line.quantity_milli, line.lot) for line in paper.lines] == [
        (WATER, 24_000, "L7"), (APPLES, 12_500, ""),
    ]  # fmt: skip
    receive_by_paper(till, paper)
    assert {row.product: row.value for row in on_hand(till)} == {WATER: 24_000, APPLES: 12_500}
    carry(warehouse, till, "loc/A")
    assert transfers_on_road(till) == []


def test_a_paper_is_used_once(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    receive_by_paper(till, read_paper(till, pages))
    with pytest.raises(RefusalError) as refused:
        receive_by_paper(till, read_paper(till, pages))
    assert refused.value.code == "transfer_complete"
    assert figures(till)[WATER][0] == 24_000


def test_when_the_notice_is_here_too_nothing_comes_in_twice(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    carry(warehouse, till, "loc/A")
    receive_by_paper(till, read_paper(till, pages))
    assert figures(till)[WATER][0] == 24_000
    assert transfers_on_road(till) == []


def test_a_long_paper_has_pages_that_a_scanner_can_type_in_any_order(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    many = [QuantityRequest(f"P1{n:03d}", 1000 * (n + 1), "", f"LOT{n * 7919:06d}", "2027-01-31") for n in range(20)]
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", many).transfer)
    assert len(pages) > 1
    assert all(len(page) <= PAGE_CHARS_MAX and page.isascii() and page.isalnum() and page.isupper() for page in pages)
    scanner = PaperScanner()
    shuffled = random.Random(3).sample(pages, len(pages))
    for page in shuffled[:-1]:
        assert scanner.scan(page.lower())
    assert scanner.missing == [pages.index(shuffled[-1]) + 1]
    with pytest.raises(RefusalError) as refused:
        scanner.notice()
    assert refused.value.code == "paper_incomplete"
    assert refused.value.facts["pages"] == str(pages.index(shuffled[-1]) + 1)
    assert scanner.scan(shuffled[-1])
    assert scanner.is_complete
    assert len(read_paper(till, shuffled).lines) == 20


def test_the_pages_are_read_back_from_their_pictures(make_node: Make, tmp_path: Path) -> None:
    warehouse, _ = _shops(make_node)
    papers = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    read = [zxingcpp.read_barcodes(Image.open(path))[0].text for path in save_pages(papers, tmp_path / "papers")]
    assert read == papers[0]


def test_a_damaged_page_is_refused_by_name(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    for place in range(16, len(pages[0]), 7):
        letter = "B" if pages[0][place] != "B" else "C"
        with pytest.raises(RefusalError) as refused:
            read_paper(till, [pages[0][:place] + letter + pages[0][place + 1 :], *pages[1:]])
        assert refused.value.code == "paper_damaged"
    assert figures(till) == {}


def test_a_forged_paper_lets_nothing_in(make_node: Make) -> None:
    warehouse, till = _shops(make_node)
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    notice = join_pages([page for text in pages if (page := read_page(text)) is not None])
    batch = notice.batch
    stranger = key_of("stranger")
    forged_seal = stranger.sign(seal_message(batch.stream, batch.first_seq, bytes(32)))
    changed = batch.entries[0].replace(WATER.encode(), b"P9999")
    forgeries = [
        msgspec.structs.replace(batch, seal=forged_seal),
        msgspec.structs.replace(batch, entries=(changed,)),
        msgspec.structs.replace(batch, node=stranger.node),
        msgspec.structs.replace(batch, scope="loc/B"),
        Batch(batch.scope, HUB.node, 1, batch.first_seq, batch.entries, batch.seal),
    ]
    for forged in forgeries:
        with pytest.raises(RefusalError) as refused:
            read_paper(till, write_pages(SealedNotice(notice.previous, forged)))
        assert refused.value.code == "paper_forged"


def test_a_paper_for_another_location_is_refused(make_node: Make) -> None:
    warehouse, _ = _shops(make_node)
    other = make_node("B1", "B")
    [pages] = paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)
    with pytest.raises(RefusalError) as refused:
        read_paper(other, pages)
    assert refused.value.code == "paper_elsewhere"


def test_each_dispatch_of_a_transfer_has_its_own_paper(make_node: Make) -> None:
    warehouse, _ = _shops(make_node)
    first = dispatch_transfer(warehouse, "A", GOODS)
    dispatch_transfer(warehouse, "A", GOODS, transfer=first.transfer)
    assert len(paper_pages(warehouse, first.transfer)) == 2
    assert len(paper_pages(warehouse, first.entry)) == 1
    with pytest.raises(RefusalError) as refused:
        paper_pages(warehouse, "T-unknown")
    assert refused.value.code == "transfer_unknown"


def test_pages_of_two_papers_are_not_joined(make_node: Make) -> None:
    warehouse, _ = _shops(make_node)
    texts = [paper_pages(warehouse, dispatch_transfer(warehouse, "A", GOODS).transfer)[0][0] for _ in range(2)]
    pages = [page for text in texts if (page := read_page(text)) is not None]
    with pytest.raises(RefusalError) as refused:
        join_pages(pages)
    assert refused.value.code == "paper_mixed"
    assert not PaperScanner().scan("6901234567892")
