"""Why a stock figure is what it is, as data that till and hub show alike: the rules' own fold, with names put to it.

The figure is derived anew with the functions that decide it everywhere; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from schema.amounts import format_quantity
from schema.catalogue import category_of
from schema.database import Connection
from schema.identity import NodeId, Scope, Stream, scope_location
from schema.kinds.base import Permission
from schema.kinds.counting import CountRecorded
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked
from schema.rules.conflict_words import ConflictWords, conflict_sentence
from sync.authority import derive_authority
from sync.conflicts import Conflict
from sync.document_projection import decode_fields
from sync.fold import Explanation, Placed, explain
from sync.log_tables import LogTables
from sync.on_hand import KeyMaterial
from sync.organisation import Organisation
from sync.relation import Observation
from sync.stock_facts import DISPATCH_REASON, Key, Movement, Rules, Side, entry_id
from sync.stock_fold import StockFold
from sync.stock_tables import StockTables


class CountedLine(msgspec.Struct, frozen=True):
    """One look of a count: what was seen in a zone, and when, by the counter's clock."""

    node: str
    zone: str
    quantity: int
    lo_ms: int
    hi_ms: int


class CountBasis(msgspec.Struct, frozen=True):
    """A count that the figure rests on: who counted what, and how far its counter's node had heard each other."""

    observation: str
    quantity: int
    nodes: tuple[str, ...]
    operators: tuple[str, ...]
    role: str
    lines: tuple[CountedLine, ...]
    basis: tuple[tuple[str, int], ...]
    """(node, last entry held when the first look began)."""
    gives_value: bool


class MovementGroup(msgspec.Struct, frozen=True):
    """Movements of one node for one reason that lie on one side of the count by one rule."""

    node: str
    reason: str
    side: str
    """BEFORE: the count holds them. AFTER: they were added to it. AMBIGUOUS: nobody can tell."""
    rule: str
    quantity: int
    entries: int
    first_ms: int
    last_ms: int


class DoubtfulMovement(msgspec.Struct, frozen=True):
    """A movement that no rule could order; the book takes it as `taken_as`, the range holds both."""

    entry: str
    node: str
    reason: str
    quantity: int
    wall_ms: int
    taken_as: str
    rule: str


class TransferNote(msgspec.Struct, frozen=True):
    """A paper of a transfer that touches the figure; `is_elsewhere` where the other location told of it."""

    transfer: str
    act: str
    node: str
    location: str
    quantity: int
    wall_ms: int
    is_elsewhere: bool


class NodeVoice(msgspec.Struct, frozen=True):
    """A node that writes at this location, and when it was last heard; None where nothing of it is here yet."""

    node: str
    writer: str
    last_seq: int
    last_ms: int | None
    silent_ms: int | None


class ToldConflict(msgspec.Struct, frozen=True):
    """A conflict as people read it: the code, whether it waits for them, a sentence, and the entries involved."""

    id: str
    code: str
    status: str
    product: str
    sentence: str
    references: tuple[str, ...]
    subject: str


class StockExplanation(msgspec.Struct, frozen=True):
    """A stock figure with everything that it follows from."""

    location: str
    product: str
    name: str
    value: int
    lo: int
    hi: int
    counts: tuple[CountBasis, ...]
    movements: tuple[MovementGroup, ...]
    doubtful: tuple[DoubtfulMovement, ...]
    variances: tuple[tuple[str, int], ...]
    """(count, counted minus book), the count that gives the value first."""
    transfers: tuple[TransferNote, ...]
    in_transit: tuple[tuple[str, int], ...]
    conflicts: tuple[ToldConflict, ...]
    nodes: tuple[NodeVoice, ...]


class NodeNames:
    """Names nodes as their grants do; the hub is called so."""

    def __init__(self, connection: Connection, organisation: Organisation) -> None:
        self._root = organisation.root
        self._names = {
            node: grant.name or node for node, grant in organisation.newest_each(connection, AuthorityGranted).items()
        }

    def of(self, writer: str) -> str:
        """Return the name of a stream's node; its id where no grant names it."""
        node = writer.rpartition(".")[0] or writer
        return "hub" if node == self._root else self._names.get(node, node)


def explain_stock(
    connection: Connection, organisation: Organisation, rules: Rules, scope: Scope, product: str, now_ms: int
) -> StockExplanation:
    """Explain the figure of a product at a scope's location; `now_ms` is the reader's clock."""
    location = scope_location(scope)
    assert location is not None, "stock is kept by locations"
    names = NodeNames(connection, organisation)
    nodes = node_voices(connection, organisation, scope, now_ms)
    title = product_name(connection, product)
    log = LogTables(connection)
    scope_no = log.scope_no(scope)
    if scope_no is None:
        return StockExplanation(location, product, title, 0, 0, 0, (), (), (), (), (), (), (), nodes)
    tables = StockTables(connection, scope_no, scope, location)
    key = Key(location, product)
    material, relating = StockFold(tables, rules).material(key)
    why = explain(material, relating)
    figure = why.figure
    return StockExplanation(
        location,
        product,
        title,
        figure.value,
        figure.lo,
        figure.hi,
        tuple(told_basis(log, scope, base, base is why.giver, names) for base in told_bases(why)),
        _groups(material, why, names),
        tuple(told_doubt(placed, names) for placed in why.placed if placed.verdict.side is Side.AMBIGUOUS),
        tuple((at.observation, at.variance) for at in why.variances),
        tuple(told_paper(paper, location, names) for paper in sorted(material.papers, key=lambda p: (p.wall_ms, p.id))),
        tuple(
            (transfer, state.transit)
            for (transfer, _), state in sorted(
                tables.load_transfers({(p.transfer, product) for p in material.papers if p.transfer}).items()
            )
        ),
        tuple(told_conflicts(connection, organisation, scope, product)),
        nodes,
    )


def told_bases(why: Explanation) -> list[Observation]:
    """Return the observations that a figure rests on, the one that gives it first."""
    rest = [base for base in why.bases if why.giver is None or base.id != why.giver.id]
    return [why.giver, *rest] if why.giver is not None else rest


def told_basis(log: LogTables, scope: Scope, base: Observation, gives_value: bool, names: NodeNames) -> CountBasis:
    """Tell of an observation who counted what, and how far each counter's node had heard the others."""
    operators: set[str] = set()
    for writer, seq in base.entries:
        node, _, incarnation = writer.rpartition(".")
        entry = log.entry(Stream(scope, NodeId(node), int(incarnation)), seq)
        if entry is not None and isinstance(entry.payload, CountRecorded):
            operators.add(entry.payload.operator)
    held: dict[str, int] = {}
    for place, line in enumerate(base.lines):
        for writer in {*held, *line.basis_lo}:
            seq = line.basis_lo.get(writer, 0)
            held[writer] = seq if place == 0 else min(held.get(writer, 0), seq)
    return CountBasis(
        base.id,
        base.quantity,
        tuple(sorted({names.of(line.writer) for line in base.lines})),
        tuple(sorted(operators - {""})),
        base.rank.name.lower(),
        tuple(CountedLine(names.of(k.writer), k.zone or "", k.quantity, k.lo, k.hi) for k in base.lines),
        tuple((names.of(writer), seq) for writer, seq in sorted(held.items()) if seq),
        gives_value,
    )


def _groups(material: KeyMaterial, why: Explanation, names: NodeNames) -> tuple[MovementGroup, ...]:
    found: dict[tuple[str, str, str, str], list[Movement]] = {}
    if why.giver is None:
        for movement in material.movements:
            found.setdefault((names.of(movement.writer), movement.reason, Side.AFTER.value, "sum"), []).append(movement)
    for placed in why.placed:
        verdict = placed.verdict
        key = (names.of(placed.movement.writer), placed.movement.reason, verdict.side.value, verdict.ground.value)
        found.setdefault(key, []).append(placed.movement)
    order = [Side.AFTER.value, Side.AMBIGUOUS.value, Side.BEFORE.value]
    return tuple(
        MovementGroup(
            *key,
            sum(one.quantity for one in group),
            len({(one.writer, one.seq) for one in group}),
            min(one.wall_ms for one in group),
            max(one.wall_ms for one in group),
        )
        for key, group in sorted(found.items(), key=lambda item: (order.index(item[0][2]), item[0]))
    )


def told_doubt(placed: Placed, names: NodeNames) -> DoubtfulMovement:
    """Tell of a movement that no rule could order."""
    movement, verdict = placed.movement, placed.verdict
    return DoubtfulMovement(
        entry_id(movement.writer, movement.seq),
        names.of(movement.writer),
        movement.reason,
        movement.quantity,
        movement.wall_ms,
        (Side.AFTER if verdict.counts_after else Side.BEFORE).value,
        verdict.ground.value,
    )


def told_paper(paper: Movement, location: str, names: NodeNames) -> TransferNote:
    """Tell of a transfer's paper."""
    return TransferNote(
        paper.transfer or "",
        "dispatched" if paper.reason == DISPATCH_REASON else "received",
        names.of(paper.writer),
        paper.location,
        abs(paper.quantity),
        paper.wall_ms,
        paper.location != location,
    )


def node_voices(connection: Connection, organisation: Organisation, scope: Scope, now_ms: int) -> tuple[NodeVoice, ...]:
    """Return the nodes that write in a scope, the longest silent first; a node that left the fleet is left out."""
    names = NodeNames(connection, organisation)
    log = LogTables(connection)
    left = set(organisation.newest_each(connection, AuthorityRevoked))
    latest: dict[NodeId, NodeVoice] = {}
    for row in log.streams(scope):
        node = row.stream.node
        if node in left or row.head.seq == 0:
            continue
        entry = log.entry_at(row, row.head.seq)
        last_ms = entry.body.wall_ms if entry is not None else row.hlc[0]
        known = latest.get(node)
        if known is None or (known.last_ms or 0) <= last_ms:
            writer = row.stream.writer
            latest[node] = NodeVoice(names.of(writer), writer, row.head.seq, last_ms, max(0, now_ms - last_ms))
    trading = {Permission.TRADE.value, Permission.STOCK.value, Permission.COUNT.value}
    for name in organisation.newest_each(connection, AuthorityGranted):
        node = NodeId(name)
        if node in latest or node in left or node == organisation.root:
            continue
        grants = organisation.all(connection, AuthorityGranted, node)
        authority = derive_authority(Stream(scope, node, 1), organisation.root, grants, ())
        if trading & authority.permissions.keys():
            latest[node] = NodeVoice(names.of(f"{node}.1"), "", 0, None, None)
    return tuple(sorted(latest.values(), key=lambda v: (v.last_ms is not None, v.last_ms or 0, v.node)))


def product_name(connection: Connection, product: str) -> str:
    """Return a product's name with its size as it reads now; its code where the catalogue has none."""
    rows = connection.execute(
        "SELECT document, fields FROM record WHERE record = ? ORDER BY document", (product,)
    ).fetchall()
    for document, fields in rows:
        if category_of(document) is not None:
            known = decode_fields(bytes(fields))
            words = [word for word in (known.get("name"), known.get("spec")) if isinstance(word, str) and word]
            return " ".join(words) or product
    return product


def told_conflicts(
    connection: Connection, organisation: Organisation, scope: Scope, product: str | None = None
) -> list[ToldConflict]:
    """Return the conflicts of a scope in words, those that wait for a person first; of one product where named."""
    scope_no = LogTables(connection).scope_no(scope)
    if scope_no is None:
        return []
    names = NodeNames(connection, organisation)
    rows = connection.execute(
        "SELECT content FROM conflict WHERE scope_no = ? ORDER BY subject, code, conflict", (scope_no,)
    ).fetchall()
    told = []
    for (content,) in rows:
        conflict = msgspec.msgpack.decode(bytes(content), type=Conflict)
        place, _, about = conflict.key.partition("/")
        if product is not None and (about != product or place == "*clock"):
            continue
        told.append(_told(connection, scope_no, conflict, "" if place == "*clock" else about, names))
    order = {"OPEN": 0, "AUTO": 1}
    return sorted(told, key=lambda one: (order.get(one.status, 2), one.code, one.product, one.id))


def _told(connection: Connection, scope_no: int, conflict: Conflict, product: str, names: NodeNames) -> ToldConflict:
    row = connection.execute(
        "SELECT value, lo, hi FROM stock WHERE scope_no = ? AND product = ?", (scope_no, product)
    ).fetchone()
    is_clock = not product
    value, lo, hi = row or (0, 0, 0)
    words = ConflictWords(
        product_name(connection, product) if product else "",
        value=value,
        lo=lo,
        hi=hi,
        subject=names.of(conflict.key.partition("/")[2]) if is_clock else conflict.subject,
        is_settled=conflict.status.value != "OPEN",
        references=len(conflict.refs),
    )
    code = conflict.code.value
    return ToldConflict(
        conflict.id, code, conflict.status.value, product, conflict_sentence(code, words), conflict.refs,
        conflict.subject,
    )  # fmt: skip


def explanation_lines(why: StockExplanation, when: Callable[[int], str]) -> list[str]:
    """Tell an explanation in lines for people; `when` writes a moment in the reader's zone."""
    figure = format_quantity(why.value)
    if (why.lo, why.hi) != (why.value, why.value):
        figure += f" (between {format_quantity(why.lo)} and {format_quantity(why.hi)})"
    lines = [f"{why.name} at {why.location}: {figure}"]
    for count in why.counts:
        by = f" by {', '.join(count.operators)}" if count.operators else ""
        last = max((line.hi_ms for line in count.lines), default=0)
        start = "from" if count.gives_value else "beside"
        nodes, counted = ", ".join(count.nodes), format_quantity(count.quantity)
        lines.append(f"  {start} the count of {counted}{by} on {nodes}, {when(last)} [{count.observation}]")
        if count.basis:
            lines.append("    it had heard " + ", ".join(f"{node} up to {seq}" for node, seq in count.basis))
    if not why.counts:
        lines.append("  never counted: the sum of all movements")
    for group in why.movements:
        said = {"AFTER": "added", "BEFORE": "already in the count", "AMBIGUOUS": "in doubt"}[group.side]
        sign = "+" if group.quantity > 0 else ""
        lines.append(
            f"  {sign}{format_quantity(group.quantity)} {group.reason} on {group.node}"
            f" ({group.entries} {'entry' if group.entries == 1 else 'entries'}, {said} by rule {group.rule})"
        )
    for doubt in why.doubtful:
        taken = "after" if doubt.taken_as == Side.AFTER.value else "before"
        lines.append(
            f"  doubt: {format_quantity(doubt.quantity)} {doubt.reason} on {doubt.node}, {when(doubt.wall_ms)},"
            f" taken as {taken} the count [{doubt.entry}]"
        )
    lines += [f"  counted minus book at {at}: {format_quantity(variance)}" for at, variance in why.variances]
    lines += [f"  on the road in {transfer}: {format_quantity(left)}" for transfer, left in why.in_transit if left]
    lines += [f"  {conflict.code}: {conflict.sentence}" for conflict in why.conflicts]
    for voice in why.nodes:
        heard = "never heard here" if voice.silent_ms is None else f"last entry {spell_age(voice.silent_ms)} ago"
        lines.append(f"  {voice.node}: {heard}")
    return lines


def spell_age(age_ms: int) -> str:
    """Write a span in its two largest units: `3 d 4 h`, `12 min`."""
    minutes = age_ms // 60_000
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{age_ms // 1000} s"
