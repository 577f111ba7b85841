"""What all locations together show: money spent twice, coupons used twice, sales refunded twice, and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hub.accounts import Right
from hub.findings import Finding, FindingKind, list_findings
from hub.pages.inbox import names_of
from hub.pages.visits import Answer, Routes, Visit
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.desk import FindingSettled
from schema.kinds.organisation import CustomerDefined
from schema.rows import BalanceKind
from sync.replica import Replica

routes = Routes()
STATES: Final = ("open", "settled")
KINDS: Final = tuple(FindingKind)


class Settled(NamedTuple):
    """How a finding was dealt with last."""

    amount: int
    operator: str
    note: str
    at_ms: int


class FindingShown(NamedTuple):
    """A finding as one account may see it: evidence of other locations than the account's is left out."""

    finding: Finding
    subject: str
    settled: Settled | None
    hidden: int

    @property
    def is_open(self) -> bool:
        """Tell whether it waits: nobody dealt with it, or more came to be at stake since."""
        return self.settled is None or self.finding.amount > self.settled.amount

    @property
    def is_reopened(self) -> bool:
        """Tell whether it had been dealt with while less was at stake."""
        return self.settled is not None and self.is_open

    @property
    def is_points(self) -> bool:
        """Tell whether the amount is points and not money."""
        return self.finding.balance == BalanceKind.MEMBER_POINTS.value


def read_settled(connection: Connection) -> Mapping[str, Settled]:
    """Return how findings were dealt with, by the most that was at stake then."""
    found: dict[str, Settled] = {}
    for finding, amount, operator, note, at_ms in connection.execute(
        "SELECT finding, amount, operator, note, at_ms FROM finding_settlement ORDER BY amount, at_ms"
    ).fetchall():
        found[str(finding)] = Settled(int(amount), str(operator), str(note), int(at_ms))
    return found


def shown_findings(visit: Visit, replica: Replica) -> list[FindingShown]:
    """Return the findings that touch a location of the account's."""
    settled = read_settled(replica.connection)
    shown = []
    for one in list_findings(replica.connection):
        if visit.is_bound and not any(visit.sees(location) for location in one.locations):
            continue
        evidence = tuple(part for part in one.evidence if visit.sees(part.location) or not part.location)
        seen = Finding(
            one.finding, one.kind, one.balance, one.subject, one.amount,
            tuple(location for location in one.locations if visit.sees(location)), evidence, one.state, one.raised_ms,
        )  # fmt: skip
        hidden = len(one.evidence) - len(evidence)
        shown.append(FindingShown(seen, _subject(replica, one), settled.get(one.finding), hidden))
    return shown


def _subject(replica: Replica, one: Finding) -> str:
    """Name whom or what a finding is about: a member by the masked telephone, all else by its own code."""
    if one.kind is FindingKind.REFUND_EXCEEDS:
        return one.subject
    customer = replica.organisation.newest(replica.connection, CustomerDefined, one.subject)
    return customer.phone_masked or one.subject if customer is not None else one.subject


@routes.get("/findings", Right.READ)
def findings(visit: Visit) -> Answer:
    """List findings."""
    return _list(visit)


def _list(visit: Visit, status: int = 200) -> Answer:
    query, page = visit.query, visit.paging()
    state, kind, location = query.choice("state", STATES, "open"), query.choice("kind", KINDS), query.text("location")
    with visit.read() as replica:
        every = shown_findings(visit, replica)
        names = names_of(replica, {one.settled.operator for one in every if one.settled is not None})
    counts = {"open": sum(one.is_open for one in every), "settled": sum(not one.is_open for one in every)}
    rows = [
        one
        for one in every
        if one.is_open is (state == "open")
        and (not kind or one.finding.kind == kind)
        and (not location or location in one.finding.locations)
    ]
    page.count = len(rows)
    return visit.render(
        "findings.html",
        status=status,
        rows=page.cut(rows[page.offset : page.offset + page.size + 1]),
        page=page,
        state=state,
        states=STATES,
        kinds=KINDS,
        counts=counts,
        names=names,
    )


@routes.post("/findings", Right.SETTLE)
def settle(visit: Visit) -> Answer:
    """Note that a finding was dealt with, and how."""
    form = visit.form
    name, note = form.text("finding"), form.required("note", characters_max=500)
    if form.is_valid:
        try:
            with visit.change(ORG, "finding.settle", name, note) as change:
                one = next((f for f in shown_findings(visit, change.replica) if f.finding.finding == name), None)
                if one is None:
                    raise RefusalError("finding_unknown", "there is no such finding any more")
                if one.hidden or visit.is_bound:
                    raise RefusalError("right_missing", "your role does not allow this")
                form.check_version(str(one.finding.amount))
                change.append(FindingSettled(name, one.finding.amount, visit.account.operator, note))
            return visit.redirect("/findings", done="done.finding_settled")
        except RefusalError as error:
            form.refuse(error)
            return _list(visit, 409 if error.code == "form_stale" else 422)
    return _list(visit, 422)
