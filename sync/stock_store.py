"""The port through which the incremental fold reads facts and keeps figures, whatever database is behind it.

It asks for many keys at once wherever ordinary sales are concerned; what it asks for one key at a time
is only needed where something rare happened to that key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from sync.key_state import KeyBalance
from sync.rights import RightsFigure
from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    Count,
    Fact,
    Key,
    Movement,
    RightFact,
    SessionOpen,
    Vector,
    Void,
)
from sync.transit import TransferState

TransferKey = tuple[str, str]
"""A transfer and one product of it."""
ClockEpoch = tuple[str, int]
"""A writer and one of its clock epochs."""


class StoredFigure(NamedTuple):
    """A key's row: the figure, and the state behind it; None where the figure is the plain sum of movements."""

    value: int
    lo: int
    hi: int
    state: bytes | None


class StockStore(Protocol):
    """Where facts and figures of one vector space (a location's scope) are kept.

    Queries for facts return every effective fact that was stored, including those of the batch being
    ingested, and voided ones too: what a VOID takes out is decided here, not in the store. A fact that
    authority withholds or withdraws is simply not returned.
    """

    def load_figures(self, keys: Collection[Key]) -> Mapping[Key, StoredFigure]:
        """Return the rows of those keys that have one."""
        ...

    def save_figures(self, figures: Mapping[Key, StoredFigure | None]) -> None:
        """Write the rows of many keys; None removes a row."""
        ...

    def load_transfers(self, transfers: Collection[TransferKey]) -> Mapping[TransferKey, TransferState]:
        """Return the rows of those transfers that have one."""
        ...

    def save_transfers(self, transfers: Mapping[TransferKey, TransferState | None]) -> None:
        """Write the rows of many transfers; None removes a row."""
        ...

    def corrected_epochs(self) -> Collection[ClockEpoch]:
        """Return the clock epochs reported as corrected."""
        ...

    def save_corrected_epochs(self, epochs: Collection[ClockEpoch]) -> None:
        """Replace the clock epochs reported as corrected."""
        ...

    def prepare(self, keys: Collection[Key]) -> None:
        """Hear which keys are about to be derived, to read ahead what bears on them."""
        ...

    def named_entries(self) -> Collection[tuple[str, int]]:
        """Return (writer, seq) of all entries that a VOID or CLASSIFY names, arrived or not; best kept in memory."""
        ...

    def voids(self) -> Iterable[Void]:
        """Return all VOIDs."""
        ...

    def classifications(self) -> Iterable[Classify]:
        """Return all CLASSIFYs."""
        ...

    def clock_fixes(self) -> Iterable[ClockFix]:
        """Return all measurements of clocks."""
        ...

    def sessions(self, location: str) -> Iterable[SessionOpen]:
        """Return the count sessions opened at a location."""
        ...

    def counts(self, key: Key) -> Iterable[Count]:
        """Return a key's counts."""
        ...

    def accepts(self, key: Key) -> Iterable[Accept]:
        """Return the choices made for a key."""
        ...

    def movements(
        self, key: Key, not_covered_by: Vector | None = None, or_later_than_ms: int = 0
    ) -> Iterable[Movement]:
        """Return a key's movements; with a vector, those above it.

        With a vector, also those whose wall clock or stated end is later than `or_later_than_ms`; more
        may be returned.
        """
        ...

    def papers(self, transfers: Collection[TransferKey]) -> Iterable[Movement]:
        """Return the movements and notices of some transfers."""
        ...

    def papers_touching(self, key: Key) -> Iterable[Movement]:
        """Return all papers of transfers that have a dispatch to, or a receipt at, a key."""
        ...

    def opening_balance(self, key: Key) -> KeyBalance | None:
        """Return what the opening balance in force carries of a key."""
        ...

    def cut(self) -> tuple[Vector, Vector]:
        """Return the cut of the opening balance in force and what was settled there; empty without one."""
        ...

    def rights(self, key: Key) -> Iterable[RightFact]:
        """Return what was said of rights on a key, and promised of it."""
        ...

    def load_rights(self, keys: Collection[Key]) -> Mapping[Key, RightsFigure]:
        """Return the rows of those keys on which there are rights."""
        ...

    def save_rights(self, rights: Mapping[Key, RightsFigure | None]) -> None:
        """Write the rows of many keys; None removes a row."""
        ...

    def facts_of(self, writer: str, seq: int) -> Iterable[Fact]:
        """Return what an entry says."""
        ...

    def keys_of_session(self, location: str, session: str) -> Iterable[Key]:
        """Return the keys that have counts in a session."""
        ...

    def keys_of_clock_epoch(self, writer: str, epoch: int) -> Iterable[Key]:
        """Return the keys of all movements and counts stamped in a clock epoch, and where its dispatches go."""
        ...
