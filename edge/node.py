"""A store's node put together: its settings, key, file, replica and clock. Every use case starts from here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from edge.catalogue_index import ensure_index, index_catalogue
from edge.clock_source import ClockSource, business_date, machine_clock
from edge.config import DATABASE_FILE, TOKEN_FILE, NodeConfig, read_config, read_key
from edge.disk_space import keep_reserve
from edge.encryption import data_key
from edge.garbage import uncollected
from edge.high_water import HighWater, Mark, read_mark
from edge.known_catalogue import KnownCatalogue
from edge.missing import note_lost
from edge.projections import own_folds
from edge.settings import selling_list
from edge.store import Store, foreseen
from edge.watchdog import check_present, verify_if_suspect
from schema.codec import encode
from schema.database import Connection
from schema.errors import RefusalError
from schema.files import write_private
from schema.identity import Scope, Stream
from schema.kinds.base import Payload
from schema.rules.receipt_numbers import ReceiptNumber
from sync.branches import renew
from sync.clock import Clock, observe, start
from sync.entry import Entry
from sync.organisation import Organisation
from sync.replica import Moment, Replica
from sync.stock_projection import core_folds

RELEASE: Final = "0.1.0"
HEARTBEAT_MS: Final = 60_000
_decode_clock: Final = msgspec.msgpack.Decoder(Clock).decode


class NodeState(NamedTuple):
    """The node's one row of state, read inside the transaction that uses it."""

    incarnation: int
    token: str
    clock: Clock
    receipt_next: int
    last_exchange_ms: int


class Writing:
    """One open write transaction: the moment it began, and what it appends."""

    def __init__(self, node: Node, connection: Connection, state: NodeState, clock: Clock) -> None:
        self._node = node
        self._connection = connection
        self.state = state
        self.clock = clock
        self.moment = Moment(clock.wall_ms, clock.bound_ms(), clock.epoch)
        self.mark: Mark | None = None
        """How far the node's own stream of its location comes when this has committed; None where it does not move."""

    @property
    def connection(self) -> Connection:
        """The open transaction, for what belongs to it beside entries."""
        return self._connection

    @property
    def business_date(self) -> str:
        """The trading day of this moment in the location's zone."""
        config = self._node.config
        return business_date(self.clock.wall_ms - self.clock.offset_ms, config.time_zone, config.day_cut_hour)

    def stream(self, scope: Scope | None = None) -> Stream:
        """Name the node's own current stream of a scope (its location's where none is given)."""
        return Stream(scope or self._node.config.scope, self._node.config.node_id, self.state.incarnation)

    def append(self, payload: Payload, scope: Scope | None = None, operation: str = "") -> Entry:
        """Append one entry; it is a fact when the transaction has committed."""
        entry = self._node.replica.append(self.stream(scope), payload, self.moment, operation)
        if scope is None or scope == self._node.config.scope:
            self.mark = Mark(entry.stream.incarnation, entry.body.seq)
        return entry

    def append_all(self, payloads: Sequence[Payload]) -> list[Entry]:
        """Append entries of one act to the location's scope, folded together."""
        entries = self._node.replica.append_all(self.stream(), payloads, self.moment)
        if entries:
            self.mark = Mark(entries[-1].stream.incarnation, entries[-1].body.seq)
        return entries

    def take_receipt_number(self) -> str:
        """Return the next receipt number; it is used exactly when this transaction commits."""
        number = ReceiptNumber(self._node.config.till, self.state.incarnation, self.state.receipt_next)
        self._connection.execute("UPDATE node_state SET receipt_next = ?", (self.state.receipt_next + 1,))
        self.state = self.state._replace(receipt_next=self.state.receipt_next + 1)
        return str(number)


class Node:
    """An enrolled node on its directory. Till and agent each open one; they share nothing but the file."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: ClockSource = machine_clock,
        entropy: Callable[[int], int] = secrets.randbelow,
        is_read_only: bool = False,
    ) -> None:
        self.directory = directory
        self.config: NodeConfig = read_config(directory)
        self.signer = read_key(directory)
        if self.signer.node != self.config.node:
            raise RefusalError("key_foreign", f"the key in {directory} belongs to another node")
        self.clock_source = clock
        self._entropy = entropy
        self._high_water = HighWater(directory)
        check_present(directory)
        self.store = Store(directory / DATABASE_FILE, is_read_only=is_read_only, key=data_key(directory))
        self.organisation = Organisation(self.config.root, self.config.root_public_key)
        self.documents, self.stock = core_folds(self.organisation, index_catalogue)
        self.replica = Replica(
            self.store.connection,
            self.organisation,
            [self.documents, self.stock, *own_folds()],
        )
        self.known = KnownCatalogue(lambda: selling_list(self))
        if not is_read_only:
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the node's file."""
        self._high_water.close()
        self.store.close()

    @property
    def connection(self) -> Connection:
        """The node's connection, for reading."""
        connection: Connection = self.store.connection
        return connection

    def _start(self) -> None:
        """Begin a new incarnation when this directory is a copy: another machine's, or an older file."""
        verify_if_suspect(self.replica, self.config.node_id, self.directory)
        keep_reserve(self.directory)
        with self.write() as writing:
            ensure_index(self.connection)
            token = writing.state.token
            if not token or token != self._outer_token() or not token.endswith(f"-{_machine()}"):
                self._open_incarnation(writing.state)
            elif (mark := self._lost_mark(writing)) is not None:
                # Its last entries are gone, and with them what numbers were used: it goes on as an older copy does.
                note_lost(self.connection, writing.stream(), mark.seq, writing.moment.wall_ms)
                self._open_incarnation(writing.state)
            if self.replica.log.scopes():
                self.replica.unpark()

    def _lost_mark(self, writing: Writing) -> Mark | None:
        """Return the mark that the file does not reach any more; None where it does."""
        mark = read_mark(self.directory)
        if mark is None or mark.incarnation != writing.state.incarnation:
            return None
        row = self.replica.log.stream(writing.stream())
        return mark if (row.head.seq if row is not None else 0) < mark.seq else None

    def _outer_token(self) -> str:
        try:
            return (self.directory / TOKEN_FILE).read_text("ascii").strip()
        except FileNotFoundError:
            return ""

    def _open_incarnation(self, state: NodeState) -> None:
        if not state.token:  # a node's very first start
            token = self._new_token()
            self.connection.execute("UPDATE node_state SET token = ?", (token,))
            return
        incarnation = renew(self.replica, self.config.node_id, state.incarnation, self._entropy(1 << 30))
        self.connection.execute(
            "UPDATE node_state SET incarnation = ?, receipt_next = 1, token = ?", (incarnation, self._new_token())
        )
        # The lost machine, or the other copy, may have recorded what this file still has in hand.
        self.connection.execute("DELETE FROM goods_in_hand")

    def new_incarnation(self, writing: Writing) -> None:
        """Open a new incarnation: others hold more, or other, of this node's own stream than it does."""
        self._open_incarnation(writing.state)
        writing.state = self._state()

    def _new_token(self) -> str:
        token = f"{self._entropy(1 << 62):016x}-{_machine()}"
        write_private(self.directory / TOKEN_FILE, token.encode())
        return token

    def _state(self) -> NodeState:
        row = self.connection.execute(
            "SELECT incarnation, token, clock, receipt_next, last_exchange_ms FROM node_state"
        ).fetchone()
        if row is None:
            clock = start(self.clock_source())
            self.connection.execute(
                "INSERT INTO node_state (only, incarnation, token, clock, receipt_next) VALUES (1, 1, '', ?, 1)",
                (encode(clock),),
            )
            return NodeState(1, "", clock, 1, 0)
        return NodeState(int(row[0]), str(row[1]), _decode_clock(bytes(row[2])), int(row[3]), int(row[4]))

    def state(self) -> NodeState:
        """Read the node's state."""
        with foreseen(self.store.path):
            return self._state()

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """Run a use case as one durable transaction; sequence, head, receipt number and clock are read inside it."""
        try:
            with uncollected(), self.store.transaction() as connection:
                state = self._state()
                clock = observe(state.clock, self.clock_source())
                if clock.epoch != state.clock.epoch or clock.wall_ms - state.clock.wall_ms >= HEARTBEAT_MS:
                    self.connection.execute("UPDATE node_state SET clock = ?", (encode(clock),))
                writing = Writing(self, connection, state, clock)
                yield writing
        except BaseException:  # also of the commit itself: what it would have recorded is not there
            self.replica.forget()
            self.known.forget()
            raise
        if writing.mark is not None:
            self._high_water.rise(writing.mark)

    def now_ms(self) -> int:
        """Return the wall clock minus its last measured offset: by it scheduled prices take effect."""
        return self.clock_source().wall_ms - self.state().clock.offset_ms


def _machine() -> str:
    """Return the id of this machine, by which a copied directory is told from its original; empty where none is."""
    try:
        return Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
