"""Settling at the hub what the count rules could not: every decision is an entry in the location's scope.

Use cases take the write transaction of the caller, who holds the lock of the location's scope (of `org` where two
locations are touched). A decision states the vector that it was made with, so a late entry shows that it was not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hub.case import Case, Choice
from hub.evidence import observation_entry
from hub.own_log import OwnLog
from hub.pruning import Pruning
from schema.errors import RefusalError
from schema.identity import EntryId, LocationId, NodeId, Scope, Stream, location_scope
from schema.kinds.base import Payload, Rank, StockMove, Vector
from schema.kinds.counting import (
    CountAccepted,
    CountRecorded,
    EntryVoided,
    Look,
    MovementClassified,
)
from schema.kinds.desk import RecountAsked
from schema.kinds.stock import StockAdjusted, TransferDispatched, TransferNoticed, TransferReceived
from sync.entry import Entry
from sync.replica import Replica
from sync.stock_facts import Key, Side, parse_target
from sync.stock_tables import StockTables

LOSS_REASONS: Final = ("damage", "theft", "wastage")
QUANTITY_MILLI_MAX: Final = 10**12


class Settling:
    """A person's decisions within one transaction."""

    def __init__(
        self, replica: Replica, own_log: OwnLog, pruning: Pruning, operator: str, rank: Rank, note: str = ""
    ) -> None:
        self._replica = replica
        self._own_log = own_log
        self._pruning = pruning
        self._operator = operator
        self._role = rank.value
        self._note = note

    def _append(self, scope: Scope, payload: Payload) -> Entry:
        # A decision that changes what lies below a cut brings the amended balance with it.
        return self._pruning.append(self._replica, scope, payload)

    def _vector(self, scope: Scope) -> Vector:
        heads = self._replica.log.heads(scope)
        return tuple(sorted((writer, head.seq) for writer, head in heads.items()))

    def accept_count(self, location: str, product: str, observation: str) -> Entry:
        """Believe one of several counts: an entry of the location, or a session.

        Raises RefusalError `count_unknown`.
        """
        scope = _scope(location)
        if not self._is_session(scope, observation):
            counted = observation_entry(self._replica, scope, observation)
            if counted.product != product:
                raise RefusalError("count_unknown", "this is no count of the product at this location")
            observation = counted.session or observation
        return self._append(
            scope, CountAccepted(product, observation, self._role, self._operator, self._vector(scope), self._note)
        )

    def _is_session(self, scope: Scope, name: str) -> bool:
        row = self._replica.connection.execute(
            "SELECT f.stream_no, f.seq FROM stock_fact f JOIN scope s ON s.scope_no = f.scope_no"
            " WHERE s.scope = ? AND f.about = 'session' AND f.subject = ? LIMIT 1",
            (scope, name),
        ).fetchone()
        return row is not None

    def void_entry(self, location: str, target: str) -> Entry:
        """Take a wrong entry, or one line of it (`…#1`), out of stock; raises RefusalError `entry_unknown`."""
        scope = _scope(location)
        self._entry(scope, target)
        return self._append(scope, EntryVoided(target, self._role, self._operator, self._vector(scope), self._note))

    def _entry(self, scope: Scope, target: str) -> Entry:
        try:
            writer, seq, _ = parse_target(target)
            node, _, incarnation = writer.rpartition(".")
            found = self._replica.log.entry(Stream(scope, NodeId(node), int(incarnation)), seq)
        except ValueError:
            found = None
        if found is None:
            raise RefusalError("entry_unknown", "there is no such entry at this location")
        return found

    def classify_movement(self, location: str, movement: str, observation: str, side: Side) -> Entry:
        """Say whether a movement came before a count, which then holds it already, or after it.

        Raises RefusalError `entry_unknown` or `count_unknown`.
        """
        scope = _scope(location)
        self._entry(scope, movement)
        if not self._is_session(scope, observation):
            observation_entry(self._replica, scope, observation)
        return self._append(
            scope,
            MovementClassified(
                movement, observation, side.value, self._role, self._operator, self._vector(scope), self._note
            ),
        )

    def ask_recount(self, location: str, product: str, zone: str = "") -> Entry:
        """Ask the shop to count a product again: it appears on the location's nodes."""
        return self._append(_scope(location), RecountAsked(product, self._operator, self._role, zone[:96], self._note))

    def record_count(self, location: str, product: str, quantity_milli: int) -> Entry:
        """Record what someone at the shelf told by telephone just now: an ordinary count in this person's role.

        Raises RefusalError `quantity_invalid`.
        """
        if not 0 <= quantity_milli <= QUANTITY_MILLI_MAX:
            raise RefusalError("quantity_invalid", "a count is a quantity, zero or more")
        scope, now_ms = _scope(location), self._own_log.now_ms()
        basis = self._vector(scope)
        look = Look(quantity_milli, now_ms, now_ms, basis, basis)
        return self._append(scope, CountRecorded(product, self._role, self._operator, (look,)))

    def choose(self, location: str, product: str, choice: Choice) -> Entry:
        """Do one of the choices that a case offers."""
        match choice.act:
            case "accept":
                return self.accept_count(location, product, choice.target)
            case "void":
                return self.void_entry(location, choice.target)
            case "before" | "after":
                side = Side.BEFORE if choice.act == "before" else Side.AFTER
                return self.classify_movement(location, choice.target, choice.observation, side)
            case _:
                raise RefusalError("choice_unknown", "this cannot be decided here")

    def accept_rule(self, location: str, case: Case) -> list[Entry]:
        """Make the rule's own choice a person's: the count that gives the figure, each movement where it was taken.

        Raises RefusalError `choice_unknown` where the rule chose none.
        """
        chosen = [choice for choice in case.choices if choice.is_rules]
        counts = [choice for choice in chosen if choice.act == "accept"]
        placings = [choice for choice in chosen if choice.act in {"before", "after"}]
        if not chosen:
            raise RefusalError("choice_unknown", "the rule gives a figure here that no single count has: choose one")
        return [self.choose(location, case.row.product, choice) for choice in (*placings, *counts)]

    # A transfer's papers: what is wrong goes out on both sides, what is right comes in.

    def correct_paper(self, location: str, paper: str, quantity_milli: int) -> list[Entry]:
        """Replace one line of a dispatch or receipt by what was really sent or came; zero takes it out.

        `location` is where the paper's own entry stands. Raises RefusalError `entry_unknown`, `paper_unknown` or
        `quantity_invalid`.
        """
        if not 0 <= quantity_milli <= QUANTITY_MILLI_MAX:
            raise RefusalError("quantity_invalid", "a quantity is zero or more")
        scope = _scope(location)
        entry = self._entry(scope, paper)
        writer, seq, line = parse_target(paper)
        payload = entry.payload
        if not isinstance(payload, TransferDispatched | TransferReceived) or (line or 0) >= len(payload.moves):
            raise RefusalError("paper_unknown", "this is no paper of a transfer at this location")
        move = payload.moves[line or 0]
        done = [self.void_entry(location, f"{writer}:{seq}#{line or 0}")]
        other = payload.destination if isinstance(payload, TransferDispatched) else payload.origin
        notice = self._notice(_scope(other), entry, move.product)
        if notice is not None:
            done.append(self.void_entry(other, notice))
        if quantity_milli:
            at_ms = self._true_ms(scope, entry)
            done += self._paper(location, other, payload, move, quantity_milli, payload.stated or (at_ms, at_ms))
        return done

    def original_of(self, location: str, notice: str) -> str:
        """Return the paper at the other location that a notice here tells of; raises RefusalError `paper_unknown`."""
        told = self._entry(_scope(location), notice).payload
        if not isinstance(told, TransferNoticed):
            raise RefusalError("paper_unknown", "this is no paper of the transfer")
        _, _, line = parse_target(notice)
        try:
            place = EntryId.parse(told.of)
        except ValueError:
            raise RefusalError("paper_unknown", "the other location's paper is not here") from None
        return f"{place.stream.writer}:{place.seq}#{line or 0}"

    def _paper(
        self,
        location: str,
        other: str,
        payload: TransferDispatched | TransferReceived,
        move: StockMove,
        quantity_milli: int,
        stated: tuple[int, int],
    ) -> list[Entry]:
        scope = _scope(location)
        document = payload.document
        new: Payload
        if isinstance(payload, TransferDispatched):
            moves = (StockMove(move.product, -quantity_milli, move.lot, move.expiry, move.serial, move.zone),)
            new = TransferDispatched(
                payload.transfer, payload.destination, self._operator, moves, document, stated, self._note
            )
            act, is_final = "dispatched", False
        else:
            moves = (StockMove(move.product, quantity_milli, move.lot, move.expiry, move.serial, move.zone),)
            new = TransferReceived(
                payload.transfer, payload.origin, self._operator, moves, payload.is_final, document, stated, self._note
            )
            act, is_final = "received", payload.is_final
        vector = self._vector(scope)
        entry = self._append(scope, new)
        notice = TransferNoticed(act, payload.transfer, location, other, moves, is_final, str(entry.id), vector, stated)
        return [entry, self._append(_scope(other), notice)]

    def receive_rest(self, location: str, transfer: str, product: str, quantity_milli: int) -> list[Entry]:
        """Key in the receipt that was never keyed: the goods were declared at a count, or arrived unnoticed.

        Raises RefusalError `paper_unknown` where no dispatch is known.
        """
        if not 0 < quantity_milli <= QUANTITY_MILLI_MAX:
            raise RefusalError("quantity_invalid", "a receipt is more than zero")
        scope = _scope(location)
        origin = next((p.location for p in self._papers(scope, transfer, product) if p.reason == "ship"), None)
        if origin is None:
            raise RefusalError("paper_unknown", "the sender's paper of this transfer is not here")
        now_ms = self._own_log.now_ms()
        blank = TransferReceived(transfer, origin, self._operator, ())
        return self._paper(location, origin, blank, StockMove(product, 0), quantity_milli, (now_ms, now_ms))

    def write_off(self, location: str, product: str, quantity_milli: int, reason: str, transfer: str) -> Entry:
        """Take goods off a location's stock that were lost on their way; raises RefusalError `reason_unknown`."""
        if reason not in LOSS_REASONS:
            raise RefusalError("reason_unknown", f"a loss has a reason: {', '.join(LOSS_REASONS)}")
        moves = (StockMove(product, -quantity_milli),)
        return self._append(_scope(location), StockAdjusted(reason, self._operator, moves, transfer, note=self._note))

    def _papers(self, scope: Scope, transfer: str, product: str) -> Sequence[PaperAt]:
        number = self._replica.log.scope_no(scope)
        if number is None:
            return []
        tables = StockTables(self._replica.connection, number, scope, scope[4:])
        return [PaperAt(one.location, one.reason, one.id) for one in tables.papers([(transfer, product)])]

    def _notice(self, scope: Scope, entry: Entry, product: str) -> str | None:
        """Return the line of the other side's notice that tells of a paper; None where none is here."""
        number = self._replica.log.scope_no(scope)
        payload = entry.payload
        assert isinstance(payload, TransferDispatched | TransferReceived)
        if number is None:
            return None
        tables = StockTables(self._replica.connection, number, scope, scope[4:])
        for paper in tables.papers([(payload.transfer, product)]):
            told = self._entry(scope, paper.id).payload
            if isinstance(told, TransferNoticed) and told.of == str(entry.id):
                return f"{paper.writer}:{paper.seq}#{paper.line}"
        return None

    def _true_ms(self, scope: Scope, entry: Entry) -> int:
        """Return when an entry was written by the corrected clock."""
        row = self._replica.connection.execute(
            "SELECT offset_ms FROM clock_fix WHERE scope = ? AND writer = ? AND clock_epoch = ?",
            (scope, entry.stream.writer, entry.body.clock_epoch),
        ).fetchone()
        return entry.body.wall_ms - (int(row[0]) if row is not None else 0)


class PaperAt(NamedTuple):
    """Where a paper of a transfer stands."""

    location: str
    reason: str
    id: str


def _scope(location: str) -> Scope:
    return location_scope(LocationId(location))


def asked_recounts(replica: Replica, location: str, product: str) -> list[tuple[int, str]]:
    """Return (when, by whom) of the recounts asked of a product that no count has answered yet."""
    rows = replica.connection.execute(
        "SELECT m.at_ms, m.operator, t.node, t.incarnation, m.seq, m.scope_no FROM settlement m"
        " JOIN scope s ON s.scope_no = m.scope_no"
        " JOIN stream t ON t.scope_no = m.scope_no AND t.stream_no = m.stream_no"
        " WHERE s.scope = ? AND m.product = ? AND m.kind = 'recount' ORDER BY m.at_ms",
        (_scope(location), product),
    ).fetchall()
    if not rows:
        return []
    tables = StockTables(replica.connection, int(rows[0][5]), _scope(location), location)

    counts = list(tables.counts(Key(location, product)))
    return [
        (int(at_ms), str(operator))
        for at_ms, operator, node, incarnation, seq, _ in rows
        if not any(
            count.seq > seq if count.writer == f"{node}.{incarnation}" else
            count.vector.get(f"{node}.{incarnation}", 0) >= seq
            for count in counts
        )
    ]  # fmt: skip
