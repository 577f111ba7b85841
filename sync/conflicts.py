"""A conflict as every replica words it, with an id that stays the same wherever and whenever it is derived."""

from __future__ import annotations

import hashlib

import msgspec

from sync.stock_facts import ConflictCode, Status


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """Something the rules report beside a figure.

    `key` is `location/product`, or `*transit/product`, or `*clock/writer`; `subject` tells apart what
    several conflicts of one code at one key are about; `refs` are the entries and observations involved.
    """

    code: ConflictCode
    status: Status
    key: str
    refs: tuple[str, ...] = ()
    subject: str = ""

    @property
    def id(self) -> str:
        """Return the id by which an inbox remembers this conflict: a hash over code, key and subject."""
        content = msgspec.msgpack.encode((self.code, self.key, self.subject))
        return hashlib.sha256(content).hexdigest()[:32]


class ConflictChanges(msgspec.Struct):
    """How the conflicts of a scope changed: each in exactly one of the lists."""

    raised: list[Conflict]
    changed: list[Conflict]
    cleared: list[Conflict]

    @classmethod
    def none(cls) -> ConflictChanges:
        """Return the empty difference."""
        return cls([], [], [])

    def compare(self, before: list[Conflict], after: list[Conflict]) -> None:
        """Add the difference between what was reported and what is reported now."""
        if before == after:
            return
        old = {one.id: one for one in before}
        new = {one.id: one for one in after}
        self.raised.extend(one for name, one in new.items() if name not in old)
        self.changed.extend(one for name, one in new.items() if name in old and old[name] != one)
        self.cleared.extend(one for name, one in old.items() if name not in new)
