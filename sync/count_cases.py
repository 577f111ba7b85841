"""Reads count cases in the words of their own file format and prints what the rules make of them.

The file speaks of `item`, `loc` and `frm`; those words live here and nowhere else. A case is a set of
entries with the settings of its products and locations; bad input is refused in a sentence that names
the case, the entry and the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TypeVar

import msgspec

from schema.amounts import AMOUNT_MAX
from schema.errors import RefusalError
from sync.fold import fold_set
from sync.stock_facts import (
    Accept,
    AmbiguousPick,
    Classify,
    ClockFix,
    Count,
    Disagreement,
    Fact,
    Grant,
    Look,
    Movement,
    Policy,
    Promise,
    PromiseEnd,
    Rank,
    Rules,
    SessionOpen,
    Side,
    Void,
    parse_target,
)

_E = TypeVar("_E", bound=Enum)
_INERT_KINDS = frozenset({"VALCLOSE"})
_RANKS = {"clerk": Rank.CLERK, "supervisor": Rank.SUPERVISOR, "auditor": Rank.AUDITOR, "admin": Rank.ADMIN}


class Overrides(msgspec.Struct, frozen=True):
    """Settings that replace those of the file, to ask what another rule would have decided."""

    disagreement: Disagreement | None = None
    tolerance_abs: int | None = None
    ambiguous: AmbiguousPick | None = None

    def apply(self, policy: Policy) -> Policy:
        """Return a policy with these settings in place of its own; a given tolerance is the whole tolerance."""
        if self.disagreement is not None:
            policy = msgspec.structs.replace(policy, disagreement=self.disagreement)
        if self.ambiguous is not None:
            policy = msgspec.structs.replace(policy, ambiguous=self.ambiguous)
        if self.tolerance_abs is not None:
            policy = msgspec.structs.replace(policy, tolerance_abs=self.tolerance_abs, tolerance_ppm=0)
        return policy


class CountCase(msgspec.Struct, frozen=True):
    """One case: its entries as facts, and the rules to fold them by."""

    id: str
    facts: tuple[Fact, ...]
    rules: Rules


class _Record:
    """One JSON object, read field by field, that knows how to say where it stands."""

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, dict):
            raise _refusal(f"{place} is not an object")
        self._content: Mapping[str, object] = content
        self.place = place

    def has(self, field: str) -> bool:
        return self._content.get(field) is not None

    def raw(self, field: str) -> object:
        if field not in self._content:
            raise _refusal(f"{self.place} lacks the field '{field}'")
        return self._content[field]

    def refuse(self, field: str, reason: str) -> RefusalError:
        return _refusal(f"{self.place}, field '{field}': {reason}")

    def text(self, field: str) -> str:
        value = self.raw(field)
        if not isinstance(value, str) or not value:
            raise self.refuse(field, "expected a text")
        return value

    def optional_text(self, field: str) -> str | None:
        return self.text(field) if self.has(field) else None

    def integer(self, field: str, default: int | None = None, minimum: int = -AMOUNT_MAX) -> int:
        value = default if default is not None and not self.has(field) else self.raw(field)
        return self._whole(field, value, minimum)

    def optional_integer(self, field: str, minimum: int = -AMOUNT_MAX) -> int | None:
        value = self.raw(field)
        return None if value is None else self._whole(field, value, minimum)

    def _whole(self, field: str, value: object, minimum: int = -AMOUNT_MAX) -> int:
        if type(value) is not int:
            raise self.refuse(field, f"expected a whole number, found {_shown(value)}")
        if abs(value) > AMOUNT_MAX:
            raise self.refuse(field, f"{_shown(value)} is beyond 2^53")
        if value < minimum:
            raise self.refuse(field, f"{value} is less than {minimum}")
        return value

    def flag(self, field: str) -> bool:
        value = self._content.get(field, False)
        if not isinstance(value, bool):
            raise self.refuse(field, f"expected true or false, found {_shown(value)}")
        return value

    def items(self, field: str) -> list[object]:
        value = self.raw(field)
        if not isinstance(value, list):
            raise self.refuse(field, "expected a list")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        found: list[str] = []
        for value in self.items(field) if self.has(field) else []:
            if not isinstance(value, str) or not value:
                raise self.refuse(field, "expected a list of texts")
            found.append(value)
        return tuple(found)

    def record(self, field: str) -> _Record:
        return _Record(self.raw(field), f"{self.place}, field '{field}'")

    def records(self, field: str) -> Iterable[tuple[str, _Record]]:
        inner = self.record(field)
        return [(name, _Record(value, f"{inner.place}, '{name}'")) for name, value in inner._content.items()]

    def whole_numbers(self, field: str, minimum: int = 0) -> dict[str, int]:
        inner = self.record(field)
        return {name: inner._whole(name, value, minimum) for name, value in inner._content.items()}

    def interval(self, field: str) -> tuple[int, int] | None:
        if not self.has(field):
            return None
        ends = self.items(field)
        if len(ends) != 2:
            raise self.refuse(field, "expected two times")
        lo, hi = (self._whole(field, one) for one in ends)
        if lo > hi:
            raise self.refuse(field, "ends before it begins")
        return lo, hi

    def choice(self, field: str, choices: type[_E], default: _E | None = None) -> _E:
        if default is not None and not self.has(field):
            return default
        value = self.text(field)
        try:
            return choices(value)
        except ValueError:
            known = ", ".join(str(one.value) for one in choices)
            raise self.refuse(field, f"{value!r} is none of {known}") from None

    def entry_name(self, field: str) -> str:
        value = self.text(field)
        try:
            parse_target(value)
        except ValueError as error:
            raise self.refuse(field, str(error)) from None
        return value

    def rank(self) -> Rank:
        value = self.text("role")
        if value not in _RANKS:
            raise self.refuse("role", f"{value!r} is none of {', '.join(_RANKS)}")
        return _RANKS[value]


def read_cases(content: bytes, overrides: Overrides | None = None) -> list[CountCase]:
    """Read a whole file with `cases`, a list of cases, or one case; raises RefusalError naming what is wrong."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(f"the file is not JSON: {error}") from None
    if isinstance(document, dict) and "cases" in document:
        document = document["cases"]
        if not isinstance(document, list):
            raise _refusal("the file's field 'cases' is not a list")
    found = document if isinstance(document, list) else [document]
    cases = [_read_case(one, place, overrides or Overrides()) for place, one in enumerate(found, 1)]
    names = [case.id for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise _refusal(f"case {name} appears twice")
    return cases


def fold_case(case: CountCase) -> dict[str, object]:
    """Fold a case; return its id and findings in the shape of a case's `expect`."""
    result = fold_set(case.facts, case.rules)
    found: dict[str, object] = {
        "id": case.id,
        "on_hand": {
            str(key): {"value": figure.value, "lo": figure.lo, "hi": figure.hi}
            for key, figure in result.figures.items()
        },
        "conflicts": sorted([str(one.code), str(one.status)] for one in result.conflicts),
        "conflict_refs": [{"code": str(one.code), "key": one.key, "refs": list(one.refs)} for one in result.conflicts],
        "variance": {
            f"{one.observation}@{key}": one.variance for key, chain in result.variances.items() for one in chain
        },
    }
    if result.rights:
        found["atp"] = {
            str(key): {**({one.home: one.available} if one.home else {}), **dict(one.held)}
            for key, one in result.rights.items()
        }
    if result.transfers:
        found["transit"] = {
            f"{transfer}/{product}": state.transit for (transfer, product), state in result.transfers.items()
        }
    return found


def _read_case(content: object, place: int, overrides: Overrides) -> CountCase:
    outer = _Record(content, f"case number {place}")
    name = outer.text("id")
    case = _Record(content, f"case {name}")
    policies: dict[str, Policy] = {}
    lags: dict[str, dict[str, int]] = {}
    homes: dict[str, tuple[str, ...]] = {}
    if case.has("config"):
        config = case.record("config")
        for item, settings in config.records("items") if config.has("items") else ():
            policies[item] = overrides.apply(_read_policy(settings))
        for location, settings in config.records("locations") if config.has("locations") else ():
            if settings.has("lag_ms"):
                lags[location] = settings.whole_numbers("lag_ms")
            if settings.has("home"):
                homes[location] = (settings.text("home"),)
    facts: dict[str, Fact | None] = {}
    contents: dict[str, object] = {}
    for number, one in enumerate(case.items("entries"), 1):
        entry = _Record(one, f"case {name}, entry number {number}")
        entry = _Record(one, f"case {name}, entry {entry.text('id')}")
        identity = entry.text("id")
        if identity in contents:
            if contents[identity] != one:
                raise _refusal(f"{entry.place} appears twice with different content")
            continue
        contents[identity] = one
        facts[identity] = _read_entry(entry)
    rules = Rules(overrides.apply(Policy()), policies, lags, homes)
    read = [fact for fact in facts.values() if fact is not None]
    return CountCase(name, (*read, *_fulfilments(read)), rules)


def _fulfilments(facts: Sequence[Fact]) -> Iterable[Fact]:
    """Say what the file leaves to its reader: a movement with the document of a promise fulfils it."""
    promised = {(fact.location, fact.product, fact.promise) for fact in facts if isinstance(fact, Promise)}
    for fact in facts:
        if isinstance(fact, Movement) and (fact.location, fact.product, fact.document or "") in promised:
            assert fact.document is not None
            yield PromiseEnd(fact.writer, fact.seq, fact.location, fact.product, fact.document, "fulfilled")


def _read_policy(settings: _Record) -> Policy:
    return Policy(
        settings.integer("tol_abs", 0, 0),
        settings.integer("tol_ppm", 0, 0),
        settings.choice("policy", Disagreement, Disagreement.LATEST),
        settings.choice("ambiguous", AmbiguousPick, AmbiguousPick.MIDPOINT),
        settings.integer("step", 1, 1),
    )


class _Stamp(msgspec.Struct, frozen=True):
    """What every entry says beside its kind."""

    node: str
    seq: int
    pt: int
    unc: int | None
    ce: int
    vv: dict[str, int]


def _read_entry(entry: _Record) -> Fact | None:
    node, seq = entry.text("node"), entry.integer("seq", minimum=1)
    if entry.text("id") != f"{node}:{seq}":
        raise entry.refuse("id", f"does not name entry {seq} of node {node}")
    stamp = _Stamp(
        node,
        seq,
        entry.integer("pt"),
        entry.optional_integer("unc", 0),
        entry.integer("ce", minimum=0),
        entry.whole_numbers("vv"),
    )
    kind = entry.text("kind")
    if kind in _INERT_KINDS:
        return None
    reader = _READERS.get(kind)
    if reader is None:
        raise entry.refuse("kind", f"{kind!r} is unknown")
    return reader(entry, stamp)


def _read_movement(entry: _Record, stamp: _Stamp) -> Fact:
    return Movement(
        stamp.node,
        stamp.seq,
        0,
        entry.text("loc"),
        entry.text("item"),
        entry.integer("qty"),
        entry.text("reason"),
        stamp.pt,
        stamp.unc,
        stamp.ce,
        stamp.vv,
        entry.optional_text("zone"),
        entry.optional_text("doc"),
        entry.optional_text("xfer"),
        entry.optional_text("dest"),
        entry.flag("final"),
        entry.interval("occ"),
    )


def _read_count(entry: _Record, stamp: _Stamp) -> Fact:
    looks: list[Look] = []
    for number, content in enumerate(entry.items("lines"), 1):
        line = _Record(content, f"{entry.place}, line {number}")
        lo, hi = line.integer("lo"), line.integer("hi")
        if lo > hi:
            raise line.refuse("hi", "the look ends before it begins")
        looks.append(
            Look(
                line.integer("qty"),
                lo,
                hi,
                line.whole_numbers("basis_lo"),
                line.whole_numbers("basis_hi"),
                line.optional_text("zone"),
            )
        )
    if not looks:
        raise entry.refuse("lines", "a count needs a line")
    return Count(
        stamp.node,
        stamp.seq,
        0,
        entry.text("loc"),
        entry.text("item"),
        entry.rank(),
        stamp.pt,
        stamp.unc,
        stamp.ce,
        stamp.vv,
        tuple(looks),
        entry.optional_text("session"),
        entry.texts("absorbs"),
        entry.texts("not_absorbs"),
    )


def _read_opening(entry: _Record, stamp: _Stamp) -> Fact:
    entry.items("zones")
    return SessionOpen(
        stamp.node,
        stamp.seq,
        stamp.pt,
        stamp.vv,
        entry.text("loc"),
        entry.text("session"),
        entry.texts("zones"),
    )


def _read_resolution(entry: _Record, stamp: _Stamp) -> Fact:
    action, rank = entry.text("action"), entry.rank()
    header = stamp.node, stamp.seq, stamp.pt, stamp.vv, rank
    match action:
        case "ACCEPT":
            return Accept(*header, entry.text("loc"), entry.text("item"), entry.text("target"))
        case "VOID":
            return Void(*header, entry.entry_name("target"))
        case "CLASSIFY":
            side = entry.choice("rel", Side)
            if side is Side.AMBIGUOUS:
                raise entry.refuse("rel", "a verdict is BEFORE or AFTER")
            return Classify(*header, entry.entry_name("move"), entry.text("obs"), side)
        case _:
            raise entry.refuse("action", f"{action!r} is none of ACCEPT, VOID, CLASSIFY")


def _read_clock_fix(entry: _Record, stamp: _Stamp) -> Fact:
    return ClockFix(
        stamp.node,
        stamp.seq,
        stamp.pt,
        stamp.vv,
        entry.text("target_node"),
        entry.integer("target_ce", minimum=0),
        entry.integer("offset_ms"),
        entry.integer("unc_ms", minimum=0),
    )


def _read_grant(entry: _Record, stamp: _Stamp) -> Fact:
    if entry.text("frm") != stamp.node:
        raise entry.refuse("frm", "a right is given in its holder's own log")
    place = entry.text("loc"), entry.text("item")
    return Grant(stamp.node, stamp.seq, *place, entry.integer("qty", minimum=1), entry.text("to"))


def _read_promise(entry: _Record, stamp: _Stamp) -> Fact:
    place = entry.text("loc"), entry.text("item")
    return Promise(stamp.node, stamp.seq, *place, entry.integer("qty", minimum=1), entry.text("doc"))


_READERS: Mapping[str, Callable[[_Record, _Stamp], Fact]] = {
    "MOVE": _read_movement,
    "COUNT": _read_count,
    "COUNT_OPEN": _read_opening,
    "RESOLVE": _read_resolution,
    "CLOCKFIX": _read_clock_fix,
    "GRANT": _read_grant,
    "PROMISE": _read_promise,
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refusal(sentence: str) -> RefusalError:
    return RefusalError("case_malformed", f"{sentence[0].upper()}{sentence[1:]}.")
