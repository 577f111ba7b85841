"""The inbox and its conflicts: what waits for a person, the evidence, and one key or click to settle it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from hub.accounts import Right, operator_name
from hub.case import Case, Choice
from hub.deciding import QUANTITY_ACTS, Wish, decide, lock_of
from hub.evidence import CaseReader, read_case
from hub.findings import list_findings
from hub.inbox import ORDERS, STATES, InboxFilter, InboxRow, count_inbox, find_conflict, following, list_inbox
from hub.pages.timeline import draw_timeline, reason_words
from hub.pages.visits import Answer, Change, Routes, Visit
from hub.settling import LOSS_REASONS, Settling, asked_recounts
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope
from schema.kinds.organisation import OperatorDefined, PolicySet
from schema.rules.conflict_words import CODES
from schema.texts import Texts
from sync.replica import Replica
from sync.stock_facts import ConflictCode

routes = Routes()
STAKES_MINOR: Final = (1_000, 10_000, 100_000)
BULK_MAX: Final = 200
_TRANSFER_CODES: Final = frozenset(
    {ConflictCode.TRANSFER_SHORT, ConflictCode.TRANSFER_OVER, ConflictCode.TRANSIT_IMPLICIT_RECEIPT}
)
_KEPT: Final = ("state", "location", "category", "code", "stake", "search", "order")


def wanted_rows(visit: Visit, replica: Replica) -> InboxFilter:
    """Return what the query asks for, of the locations that the account may see."""
    query = visit.query
    location = query.text("location")
    seen = [location] if location else list(visit.locations) if visit.is_bound else None
    numbers = None
    if seen is not None:
        found = (replica.log.scope_no(location_scope(LocationId(code))) for code in seen)
        numbers = frozenset(number for number in found if number is not None)
    return InboxFilter(
        state=query.choice("state", STATES, "OPEN"),
        scope_nos=numbers,
        category=query.text("category"),
        code=query.choice("code", CODES),
        stake_min_minor=query.number("stake", 0),
        search=query.text("search"),
        order=query.choice("order", ORDERS, "stake"),
    )


def count_open_findings(connection: Connection, seen: frozenset[str] | None) -> int:
    """Return how many findings across locations wait; of those that touch some locations alone, where named."""
    if seen is None:
        row = connection.execute(
            "SELECT count(*) FROM finding f WHERE NOT EXISTS"
            " (SELECT 1 FROM finding_settlement s WHERE s.finding = f.finding AND s.amount >= f.amount)"
        ).fetchone()
        return int(row[0])
    settled = dict(
        connection.execute("SELECT finding, max(amount) FROM finding_settlement GROUP BY finding").fetchall()
    )
    return sum(
        1
        for one in list_findings(connection)
        if seen & set(one.locations) and one.amount > int(settled.get(one.finding, -1))
    )


def kept_query(visit: Visit) -> str:
    """Return the list's filters as a query, so that a conflict leads back to where one came from."""
    pairs = [(name, value) for name, value in visit.query.pairs() if name in _KEPT]
    return f"?{urlencode(pairs)}" if pairs else ""


@routes.get("/inbox", Right.READ)
def inbox(visit: Visit) -> Answer:
    """List conflicts."""
    page = visit.paging()
    with visit.read() as replica:
        wanted = wanted_rows(visit, replica)
        counts = count_inbox(replica, wanted)
        page.count = counts[wanted.state]
        rows = page.cut(list_inbox(replica, wanted, page.offset, page.size + 1))
        findings = count_open_findings(replica.connection, visit.account.locations)
        edits = int(replica.connection.execute("SELECT count(*) FROM document_conflict").fetchone()[0])
        categories = sorted(
            category for category in replica.organisation.newest_each(replica.connection, PolicySet) if category
        )
    return visit.render(
        "inbox.html",
        rows=rows,
        wanted=wanted,
        counts=counts,
        findings=findings,
        edits=edits,
        page=page,
        kept=kept_query(visit),
        categories=categories,
        codes=sorted(CODES),
        stakes=STAKES_MINOR,
        states=STATES,
        brief=lambda row: _brief(visit.t, row),
    )


def _brief(t: Texts, row: InboxRow) -> str:
    """Say what happened, without the product's name before it: a list names it above."""
    words = sentence(t, row)
    for mark in (": ", "："):
        words = words.removeprefix(f"{row.product_name or row.product}{mark}")
    return words[:1].upper() + words[1:]


@routes.post("/inbox", Right.SETTLE)
def settle_many(visit: Visit) -> Answer:
    """Settle several conflicts alike: by the rule's own choice, or by asking the shops to count again."""
    form = visit.form
    act = form.one_of("act", ("rule", "recount"))
    chosen = form.all("conflict")[:BULK_MAX]
    by_location: dict[str, list[str]] = {}
    for name in chosen:
        location, _, conflict = name.partition("/")
        visit.check_sees(location)
        by_location.setdefault(location, []).append(conflict)
    if not chosen or not act:
        return visit.redirect(f"/inbox{kept_query(visit)}", done="done.nothing_chosen")
    done = 0
    for location, conflicts in sorted(by_location.items()):
        scope = location_scope(LocationId(location))
        with visit.change(scope, f"inbox.{act}", f"{len(conflicts)}") as change:
            settling = _settling(visit, change)
            for conflict in conflicts:
                done += _settle_alike(settling, change.replica, location, conflict, act)
    return visit.redirect(f"/inbox{kept_query(visit)}", done="done.settled_many" if done else "done.none_settled")


def _settle_alike(settling: Settling, replica: Replica, location: str, conflict: str, act: str) -> bool:
    """Settle one of many; tells whether it could be: one that was settled meanwhile, or has no rule, is left."""
    row = find_conflict(replica, location, conflict)
    if row.state not in {"OPEN", "AUTO"} or not row.product:
        return False
    if act == "recount":
        settling.ask_recount(location, row.product)
        return True
    try:
        settling.accept_rule(location, CaseReader(replica, location, row).read())
    except RefusalError:
        return False
    return True


def _settling(visit: Visit, change: Change, note: str = "") -> Settling:
    return Settling(change.replica, change.own_log, visit.hub.pruning, visit.account.operator, visit.account.rank, note)


@routes.get("/inbox/{location:str}/{conflict:str}", Right.READ)
def conflict_page(visit: Visit) -> Answer:
    """Show a conflict with its evidence and choices."""
    return _show(visit)


def _show(visit: Visit, status: int = 200) -> Answer:
    location = visit.params["location"]
    with visit.read() as replica:
        case = read_case(replica, location, visit.params["conflict"])
        next_row = following(replica, wanted_rows(visit, replica), case.row.id)
        names = _people(replica, case)
        asked = asked_recounts(replica, location, case.row.product) if case.row.product else []
        settled_by = _settler(replica, case)
    keys = iter("123456789")
    choices = [(choice, next(keys, ""), _choice_words(visit.t, case, choice, names)) for choice in case.choices]
    return visit.render(
        "conflict.html",
        status=status,
        case=case,
        row=case.row,
        sentence=sentence(visit.t, case.row),
        timeline=draw_timeline(case, visit.t, visit.zone),
        names=names,
        choices=choices,
        asked=asked,
        settled_by=settled_by,
        next_row=next_row,
        kept=kept_query(visit),
        is_transfer=case.row.conflict.code in _TRANSFER_CODES,
        reasons=LOSS_REASONS,
        may_settle=visit.may(Right.SETTLE, location) and case.row.state in {"OPEN", "AUTO"},
        reason_words=lambda reason: reason_words(visit.t, reason),
        is_rest=case.row.conflict.code is ConflictCode.TRANSIT_IMPLICIT_RECEIPT,
        rest_milli=_rest(case),
    )


@routes.post("/inbox/{location:str}/{conflict:str}", Right.SETTLE)
def settle(visit: Visit) -> Answer:
    """Settle a conflict, or ask for a recount."""
    form, location, conflict = visit.form, visit.params["location"], visit.params["conflict"]
    act = form.text("act")
    note = form.required("note", characters_max=500, is_required=False)
    quantity = form.quantity("quantity") if act in QUANTITY_ACTS else 0
    if form.is_valid:
        try:
            with visit.change(lock_of(act, location), f"conflict.{act}"[:96], f"{location}/{conflict}", note) as change:
                case = read_case(change.replica, location, conflict)
                form.check_version(case.version)
                _act(visit, change, case, act, quantity, note)
        except RefusalError as error:
            form.refuse(error, "quantity" if error.code == "quantity_invalid" else "")
            return _show(visit, 409 if error.code == "form_stale" else 422)
        done = {"recount": "done.recount_asked", "told_count": "done.counted"}.get(act, "done.settled")
        with visit.read() as replica:
            next_row = following(replica, wanted_rows(visit, replica), conflict)
        if next_row is None or form.flag("stay"):
            return visit.redirect(f"/inbox{kept_query(visit)}", done=done)
        return visit.redirect(f"/inbox/{next_row.location}/{next_row.id}{kept_query(visit)}", done=done)
    return _show(visit, 422)


def _act(visit: Visit, change: Change, case: Case, act: str, quantity: int, note: str) -> None:
    form = visit.form
    wish = Wish(
        act, form.text("target"), form.text("observation"), quantity, form.text("zone"), form.text("lost_reason")
    )
    decide(_settling(visit, change, note), case, wish, visit.check_sees)


def sentence(t: Texts, row: InboxRow) -> str:
    """Say what happened in the reader's language."""
    one = row.conflict
    return sentence_of(t, one.code.value, row.state, row.product_name or row.product, one.subject, len(one.refs))


def sentence_of(t: Texts, code: str, state: str, product: str, subject: str, count: int) -> str:
    """Say what a conflict means; its code where this release has no sentence for it."""
    settled = f"conflict.{code}.settled"
    name = settled if state != "OPEN" and t.has(settled) else f"conflict.{code}"
    return t(name, product=product, subject=subject, count=count) if t.has(name) else code


def _choice_words(t: Texts, case: Case, choice: Choice, names: Mapping[str, str]) -> str:
    seen = {one.id: one for one in case.observations}
    moved = {one.id: one for one in case.movements}
    moved |= {f"{one.entry}#{one.id.partition('#')[2] or 0}": one for one in case.movements}
    together = sum(one.quantity for one in case.movements if one.entry == choice.target and one.side == "AMBIGUOUS")
    if choice.act == "accept" and choice.target in seen:
        one = seen[choice.target]
        by = ", ".join(names.get(operator, operator) for operator in one.operators) or one.nodes
        return t("choice.accept", quantity=_quantity(one.quantity), by=by)
    movement = moved.get(choice.target)
    if movement is not None:
        words = {"before": "choice.before", "after": "choice.after"}.get(choice.act, "choice.void_movement")
        quantity = together if choice.act in {"before", "after"} and together else movement.quantity
        return t(words, quantity=_quantity(quantity), reason=reason_words(t, movement.reason), node=movement.node)
    one_seen = seen.get(choice.observation)
    if choice.act == "void" and one_seen is not None:
        return t("choice.void_count", quantity=_quantity(one_seen.quantity), by=one_seen.nodes)
    return t("choice.other", act=choice.act, target=choice.target)


def _quantity(milli: int) -> str:
    from schema.amounts import format_quantity

    return format_quantity(milli).replace("-", "−")


def _rest(case: Case) -> int:
    sent = sum(paper.quantity for paper in case.papers if paper.act == "dispatched")
    return max(0, sent - sum(paper.quantity for paper in case.papers if paper.act == "received"))


def _people(replica: Replica, case: Case) -> dict[str, str]:
    wanted = {operator for one in case.observations for operator in one.operators}
    wanted |= {one.operator for one in case.decisions}
    return names_of(replica, wanted)


def names_of(replica: Replica, operators: set[str]) -> dict[str, str]:
    """Return the names of people by their operator ids."""
    found = {}
    for operator in sorted(operators - {""}):
        defined = replica.organisation.newest(replica.connection, OperatorDefined, operator)
        found[operator] = operator_name(replica, defined) if defined is not None else operator
    return found


def _settler(replica: Replica, case: Case) -> str:
    if case.row.settled is None:
        return ""
    row = replica.connection.execute(
        "SELECT operator FROM settlement WHERE scope_no = ? AND stream_no = ? AND seq = ? LIMIT 1",
        (case.row.scope_no, *case.row.settled),
    ).fetchone()
    return "" if row is None else names_of(replica, {str(row[0])}).get(str(row[0]), "")
