"""Papers of transfers at a node: written for the driver to take along, read where the network is down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.catalog import find_product
from edge.node import Node
from edge.stock import QuantityRequest, Recorded, receive_transfer, transfers_on_road
from schema.codec import encode
from schema.errors import CorruptionError, RefusalError
from schema.identity import EntryId, LocationId, NodeId, Stream, location_scope
from schema.kinds import KIND_OF
from schema.kinds.stock import TransferDispatched, TransferNoticed
from sync.entry import Entry
from sync.messages import Batch
from sync.papers import PaperPage, SealedNotice, join_pages, missing_pages, read_page, verify_notice, write_pages
from sync.signing import seal_message


class PaperLine(msgspec.Struct, frozen=True):
    """What a paper says of one product, in thousandths of its base unit; `name` is the code where it is unknown."""

    product: str
    name: str
    unit: str
    quantity_milli: int
    lot: str
    expiry: str


class TransferPaper(msgspec.Struct, frozen=True):
    """A transfer as its paper tells it: verified, and of the location that it names."""

    transfer: str
    origin: str
    destination: str
    notice: str
    dispatched_ms: int
    lines: tuple[PaperLine, ...]

    def requests(self) -> list[QuantityRequest]:
        """Return what a receipt of everything asks for."""
        return [QuantityRequest(line.product, line.quantity_milli, "", line.lot, line.expiry) for line in self.lines]


def paper_pages(node: Node, dispatch: str) -> list[list[str]]:
    """Return the pages of each paper of a dispatch of this node, by its entry id or its transfer's number.

    A transfer that was dispatched in several goes has a paper for each. Raises RefusalError `transfer_unknown` where
    this node dispatched nothing of it.
    """
    with node.store.reading():
        notices = _own_notices(node, dispatch)
        if not notices:
            raise RefusalError("transfer_unknown", f"{dispatch} was not dispatched by this till", transfer=dispatch)
        return [write_pages(_sealed(node, entry)) for entry in notices]


def pages_of(node: Node, dispatched: Entry) -> list[str]:
    """Return the pages of the paper of one dispatch of this node; for who is within a view of the file already."""
    return [page for entry in _own_notices(node, str(dispatched.id)) for page in write_pages(_sealed(node, entry))]


def _own_notices(node: Node, dispatch: str) -> list[Entry]:
    dispatched: dict[str, set[str]] = {}
    for entry in _dispatches(node, dispatch):
        if isinstance(entry.payload, TransferDispatched) and entry.stream.node == node.config.node_id:
            dispatched.setdefault(entry.payload.destination, set()).add(str(entry.id))
    found: list[Entry] = []
    for destination, entries in dispatched.items():
        for stream in node.replica.log.streams(location_scope(LocationId(destination))):
            if stream.stream.node != node.config.node_id:
                continue
            for entry in node.replica.log.entries(stream, stream.base.seq):  # Notices alone: a short stream.
                if isinstance(entry.payload, TransferNoticed) and entry.payload.of in entries:
                    found.append(entry)
    return sorted(found, key=lambda entry: entry.hlc)


def _dispatches(node: Node, dispatch: str) -> list[Entry]:
    log = node.replica.log
    try:
        place = EntryId.parse(dispatch)
    except ValueError:
        places = node.connection.execute(
            "SELECT DISTINCT t.node, t.incarnation, p.seq FROM transfer_paper p"
            " JOIN stream t ON t.scope_no = p.scope_no AND t.stream_no = p.stream_no"
            " JOIN scope s ON s.scope_no = p.scope_no WHERE s.scope = ? AND p.transfer = ?",
            (node.config.scope, dispatch),
        ).fetchall()
        ids = [EntryId(Stream(node.config.scope, NodeId(each[0]), int(each[1])), int(each[2])) for each in places]
    else:
        ids = [place]
    return [entry for one in ids if (entry := log.entry(one.stream, one.seq)) is not None]


def _sealed(node: Node, entry: Entry) -> SealedNotice:
    stream, seq = entry.stream, entry.body.seq
    row = node.replica.log.stream(stream)
    previous = node.replica.log.digest_at(row, seq - 1) if row is not None else None
    if previous is None:
        raise CorruptionError("digest_missing", f"the digest before {entry.id} is not here")
    seal = node.signer.sign(seal_message(stream, seq, entry.digest))
    return SealedNotice(
        previous, Batch(stream.scope, stream.node, stream.incarnation, seq, (entry.encoded,), seal)
    )  # fmt: skip


def save_pages(papers: Sequence[Sequence[str]], folder: Path) -> list[Path]:
    """Draw each page's QR code into a folder; returns the files, `paper-1-page-1-of-2.png` and on."""
    from drivers.escpos.picture import qr_image

    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for number, pages in enumerate(papers, 1):
        for place, page in enumerate(pages, 1):
            path = folder / f"paper-{number}-page-{place}-of-{len(pages)}.png"
            qr_image(page.encode("ascii"), module=6, level="M").save(path)
            saved.append(path)
    return saved


class PaperScanner:
    """Collects the pages of one paper as they are scanned, in any order; a page of another paper begins anew."""

    def __init__(self) -> None:
        self._pages: dict[int, PaperPage] = {}

    @property
    def missing(self) -> list[int]:
        """The pages that are still to be scanned; empty before the first one and when all are here."""
        return missing_pages(self._pages.values())

    @property
    def count(self) -> int:
        """How many pages are here."""
        return len(self._pages)

    @property
    def total(self) -> int:
        """How many pages the paper has; 0 before the first one."""
        return max((page.pages for page in self._pages.values()), default=0)

    @property
    def is_complete(self) -> bool:
        """Tell whether every page is here."""
        return bool(self._pages) and not self.missing

    def scan(self, text: str) -> bool:
        """Take one scan; tells whether it was a page of a paper."""
        page = read_page(text)
        if page is None:
            return False
        if any((known.paper, known.pages) != (page.paper, page.pages) for known in self._pages.values()):
            self._pages.clear()
        self._pages[page.number] = page
        return True

    def notice(self) -> SealedNotice:
        """Return the whole paper; raises RefusalError as `join_pages` does."""
        return join_pages(list(self._pages.values()))


def read_paper(node: Node, pages: Sequence[str]) -> TransferPaper:
    """Verify a scanned paper and keep it beside the log; scanning it again changes nothing.

    Raises RefusalError: those of `join_pages`, `paper_forged` (no node of the organisation sealed it, or one that may
    not), `paper_elsewhere` (it is for another location) and `paper_malformed` where a scan is no page.
    """
    scanner = PaperScanner()
    for page in pages:
        if not scanner.scan(page):
            raise RefusalError("paper_malformed", "this is no page of a transfer's paper")
    notice = scanner.notice()
    stream = notice.batch.stream
    key = node.organisation.public_key(node.connection, stream.node)
    if key is None:
        raise RefusalError("paper_forged", "this paper was not sealed by a node of the organisation: take nothing in")
    entry = verify_notice(notice, key)
    payload = entry.payload
    assert isinstance(payload, TransferNoticed)
    objection = node.organisation.authority(node.connection, stream).objection(
        KIND_OF[TransferNoticed], payload, entry.body.seq
    )
    if objection or payload.act != "dispatched" or stream.scope != location_scope(LocationId(payload.counterpart)):
        raise RefusalError("paper_forged", "this paper was not sealed by a node of the organisation: take nothing in")
    if payload.counterpart != node.config.location:
        raise RefusalError(
            "paper_elsewhere", f"these goods are for {payload.counterpart}, not for this location",
            destination=payload.counterpart,
        )  # fmt: skip
    paper = _told(node, entry, payload)
    with node.store.transaction() as connection:
        connection.execute(
            "INSERT INTO scanned_paper (notice, transfer, origin, content, scanned_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (str(entry.id), payload.transfer, payload.location, encode(notice), node.clock_source().wall_ms),
        )
    return paper


def _told(node: Node, entry: Entry, payload: TransferNoticed) -> TransferPaper:
    lines = []
    for move in payload.moves:
        found = find_product(node, move.product)
        name, unit = (found.product.name, found.product.unit_name) if found else (move.product, "")
        lines.append(PaperLine(move.product, name, unit, -move.quantity_milli, move.lot, move.expiry))
    return TransferPaper(
        payload.transfer, payload.location, payload.counterpart, str(entry.id), entry.body.wall_ms, tuple(lines)
    )


def receive_by_paper(node: Node, paper: TransferPaper, *, operator: str = "", is_final: bool = True) -> Recorded:
    """Take in what a verified paper says; where its notice has arrived meanwhile, only what is still on the road.

    Raises RefusalError `transfer_complete` where this transfer was taken in already: a paper is used once.
    """
    received = [row for row in transfers_on_road(node, with_settled=True) if row.transfer == paper.transfer]
    if received and all(row.awaited_milli <= 0 for row in received):
        raise RefusalError(
            "transfer_complete", f"nothing of {paper.transfer} is on the road: it was taken in", transfer=paper.transfer
        )
    is_here = any(row.dispatched_milli for row in received)
    return receive_transfer(
        node, paper.transfer, None if is_here else paper.requests(), origin=paper.origin, is_final=is_final,
        operator=operator,
    )  # fmt: skip
