"""Conflicts with their evidence as other software reads them, and settles them where its token may."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from hub.api.calls import Call, Routes
from hub.api.cursors import decode_cursor, encode_cursor, keyset
from hub.api.parameters import Cursor, Filter, Limit, LocationFilter, Millis, Name, Next, Note, ProductFilter
from hub.case import Case, Shown
from hub.deciding import QUANTITY_ACTS, Wish, decide, lock_of
from hub.evidence import read_case
from hub.settling import LOSS_REASONS, QUANTITY_MILLI_MAX, Settling
from hub.tokens import TokenScope
from schema.errors import RefusalError
from schema.identity import Scope
from sync.conflicts import Conflict

routes = Routes()
State = Literal["", "open", "auto", "info", "done"]
Act = Literal["accept", "void", "before", "after", "rule", "recount", "told_count", "paper", "rest"]
Target = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]
_ROW: Final = (
    "SELECT t.scope_no, t.conflict, t.state, t.product, t.category, t.stake_minor, t.raised_ms, t.changed_ms,"
    " t.content FROM inbox t"
)


class ConflictsQuery(msgspec.Struct, frozen=True):
    """Which conflicts."""

    location: LocationFilter = ""
    status: Annotated[
        State,
        msgspec.Meta(description="open waits for a person, auto a rule settled, done is gone; none: all but done"),
    ] = ""
    code: Annotated[Filter, msgspec.Meta(description="of this kind alone, such as COUNT_DISAGREE")] = ""
    product: ProductFilter = ""
    cursor: Cursor = ""
    limit: Limit = 100


class ConflictListed(msgspec.Struct, frozen=True):
    """What the rules found: its code, its status (info, auto, open, done), what it is about, and the money at stake."""

    id: str
    location: str
    code: str
    status: str
    subject: str
    detail: str
    product: str
    category: str
    stake_minor: int
    raised_ms: Millis
    changed_ms: Millis


class ConflictsPage(msgspec.Struct, frozen=True):
    """Some conflicts."""

    conflicts: list[ConflictListed]
    next: Next = None


class ConflictPath(msgspec.Struct, frozen=True):
    """One conflict."""

    location: Name
    conflict: Annotated[str, msgspec.Meta(description="its id", pattern=r"^[0-9a-f]{32}$")]


class FigureTold(msgspec.Struct, frozen=True):
    """A figure and its range, in thousandths."""

    value_milli: int
    lo_milli: int
    hi_milli: int


class ChoiceTold(msgspec.Struct, frozen=True):
    """What may be decided by sending these fields, and the figure that it would give."""

    act: str
    target: str
    observation: str
    figure: FigureTold | None
    is_rules: bool


class ObservationTold(msgspec.Struct, frozen=True):
    """A count that the figure may rest on."""

    id: str
    quantity_milli: int
    rank: str
    nodes: str
    operators: list[str]
    last_ms: Millis
    gives_value: bool


class MovementTold(msgspec.Struct, frozen=True):
    """A movement around the count, and on which side of it the rules place it."""

    id: str
    node: str
    reason: str
    document: str
    quantity_milli: int
    at_ms: Millis
    side: str


class PaperTold(msgspec.Struct, frozen=True):
    """A paper of a transfer."""

    id: str
    act: str
    location: str
    quantity_milli: int
    at_ms: Millis
    is_correctable: bool


class ConflictTold(msgspec.Struct, frozen=True):
    """A conflict with its evidence; its ETag is what a decision names in If-Match."""

    id: str
    location: str
    code: str
    status: str
    subject: str
    product: str
    category: str
    stake_minor: int
    raised_ms: Millis
    figure: FigureTold
    choices: list[ChoiceTold]
    observations: list[ObservationTold]
    movements: list[MovementTold]
    papers: list[PaperTold]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision: one of the conflict's choices, or what is always possible.

    `rule` takes the rule's own choice, `recount` asks the shop to count again, `told_count` records a count told
    just now, `paper` corrects a transfer's paper to a quantity (0 takes it out), `rest` keys in what was never keyed.
    """

    act: Act
    target: Target = ""
    observation: Target = ""
    quantity_milli: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MILLI_MAX)] | None = None
    zone: Filter = ""
    lost_reason: Literal["", "damage", "theft", "wastage"] = ""
    note: Note = ""


assert {"", *LOSS_REASONS} == {"", "damage", "theft", "wastage"}, "what is lost has the reasons that the desk offers"


@routes.get("/v1/conflicts", TokenScope.READ, query=ConflictsQuery, answer=ConflictsPage)
def list_conflicts(call: Call) -> ConflictsPage:
    """List what the rules found and what waits for a person."""
    query = call.query(ConflictsQuery)
    # Written out, not a parameter: the index of what stands is chosen by it.
    where, parameters = ("t.state = ?", [query.status.upper()]) if query.status else ("t.state <> 'DONE'", [])
    for column, value in (("code", query.code), ("product", query.product)):
        if value:
            where, parameters = f"{where} AND t.{column} = ?", [*parameters, value]
    after = decode_cursor(query.cursor, (int, str))
    key = ("t.scope_no", "t.conflict")
    rows = keyset(
        call.replica.connection, _ROW, where, parameters, key, after, query.limit + 1, call.scope_nos(query.location)
    )
    page, places = rows[: query.limit], call.location_names()
    return ConflictsPage(
        [_listed(row, places[row[0]]) for row in page],
        encode_cursor(page[-1][:2]) if len(rows) > query.limit else None,
    )


def _listed(row: Any, location: str) -> ConflictListed:
    _, identity, state, product, category, stake, raised, changed, content = row
    one = msgspec.msgpack.decode(bytes(content), type=Conflict)
    return ConflictListed(
        str(identity), location, one.code.value, str(state).lower(), one.key, " ".join(one.refs), str(product),
        str(category), int(stake), int(raised), int(changed),
    )  # fmt: skip


@routes.get("/v1/conflicts/{location:str}/{conflict:str}", TokenScope.READ, params=ConflictPath, answer=ConflictTold)
def read_conflict(call: Call) -> ConflictTold:
    """Return a conflict with its evidence and the choices that there are."""
    return _told(_case(call))


def _case(call: Call) -> Case:
    path = call.path(ConflictPath)
    return read_case(call.replica, path.location, path.conflict)


def _figure(shown: Shown) -> FigureTold:
    return FigureTold(shown.value, shown.lo, shown.hi)


def _told(case: Case) -> ConflictTold:
    row = case.row
    return ConflictTold(
        row.id, row.location, row.conflict.code.value, row.state.lower(), row.conflict.subject, row.product,
        row.category, row.stake_minor, row.raised_ms, _figure(case.figure),
        [
            ChoiceTold(one.act, one.target, one.observation, None if one.figure is None else _figure(one.figure),
                       one.is_rules)
            for one in case.choices
        ],
        [
            ObservationTold(one.id, one.quantity, one.rank, one.nodes, list(one.operators), one.last_ms,
                            one.gives_value)
            for one in case.observations
        ],
        [
            MovementTold(one.id, one.node, one.reason, one.document, one.quantity, one.at_ms, one.side)
            for one in case.movements
        ],
        [
            PaperTold(one.id, one.act, one.location, one.quantity, one.at_ms, one.is_correctable)
            for one in case.papers
        ],
    )  # fmt: skip


def _act(_: msgspec.Struct, body: msgspec.Struct | None) -> str:
    assert isinstance(body, Decision), "the route declares its body"
    return f"conflict.{body.act}"


def _lock(path: msgspec.Struct, body: msgspec.Struct | None) -> Scope:
    assert isinstance(path, ConflictPath), "the route declares its path"
    assert isinstance(body, Decision), "the route declares its body"
    return lock_of(body.act, path.location)


@routes.write(
    "POST", "/v1/conflicts/{location:str}/{conflict:str}/decisions", TokenScope.SETTLE, params=ConflictPath,
    body=Decision, answer=ConflictTold, act=_act, lock=_lock, needs_match=True,
)  # fmt: skip
def settle_conflict(call: Call) -> ConflictTold:
    """Settle a conflict, or ask for a recount."""
    wanted = call.body(Decision)
    case = _case(call)
    call.check_match(_told(case))
    if case.row.state not in {"OPEN", "AUTO"}:
        raise RefusalError("conflict_settled", "this conflict is settled already")
    if wanted.act in QUANTITY_ACTS and wanted.quantity_milli is None:
        raise RefusalError("quantity_missing", f"{wanted.act} needs quantity_milli")
    settling = Settling(
        call.replica, call.own_log, call.hub.pruning, call.caller.operator, call.caller.rank, wanted.note
    )
    wish = Wish(
        wanted.act, wanted.target, wanted.observation, wanted.quantity_milli or 0, wanted.zone, wanted.lost_reason
    )
    decide(settling, case, wish, call.caller.check_sees)
    return _told(_case(call))
