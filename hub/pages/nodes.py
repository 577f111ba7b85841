"""Nodes: who they are and what they may write; inviting, renaming, revoking, and replacing one whose disk was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hub.accounts import Right
from hub.customers import list_customers
from hub.enrolment import InvitationIssued, Profile
from hub.node_rights import read_rights, record_handing, record_write_off
from hub.overview import NodeGlance, glance
from hub.pages.inbox import names_of
from hub.pages.qr import draw_qr
from hub.pages.visits import Answer, Routes, Visit
from hub.registry import NodeListed, entries_from, list_nodes, record_revocation, rename_node
from hub.standing import Standing, read_standing
from hub.stock_list import product_names
from schema.errors import RefusalError
from schema.identity import ORG, NodeId, is_code
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, ScopeGrant
from sync.log_tables import StreamRow
from sync.replica import Replica

routes = Routes()
STATES: Final = ("trouble", "online", "silent", "revoked")
PROFILES: Final = tuple(Profile)
TILL_CHARACTERS_MAX: Final = 8


class StreamTold(NamedTuple):
    """One stream of a node as the hub holds it."""

    row: StreamRow
    last_ms: int
    inert: int


@routes.get("/nodes", Right.READ)
def nodes(visit: Visit) -> Answer:
    """List the nodes of the locations that may be seen."""
    query, page = visit.query, visit.paging()
    state, location = query.choice("state", STATES), query.text("location")
    words = query.text("search").casefold()
    with visit.read() as replica:
        every = [glance(one, visit.now_ms) for one in list_nodes(replica)]
    shown = [
        one
        for one in every
        if visit.sees(one.listed.location)
        and (not location or one.listed.location == location)
        and _is_in(one, state)
        and words in f"{one.listed.node} {one.listed.name} {one.listed.till}".casefold()
    ]
    page.count = len(shown)
    return visit.render(
        "nodes.html", rows=page.cut(shown[page.offset : page.offset + page.size + 1]), page=page, states=STATES
    )


def _is_in(one: NodeGlance, state: str) -> bool:
    match state:
        case "revoked":
            return one.listed.is_revoked
        case "trouble":
            return bool(one.troubles) and not one.listed.is_revoked
        case "online":
            return one.is_online and not one.listed.is_revoked
        case "silent":
            return not one.is_online and not one.listed.is_revoked
        case _:
            return not one.listed.is_revoked


@routes.get("/nodes/invite", Right.FLEET)
def invite_page(visit: Visit) -> Answer:
    """Ask which node shall join."""
    location = visit.query.text("location") or next(iter(visit.locations), "")
    with visit.read() as replica:
        till = free_till(replica, location)
    form = visit.form.fill({"location": location, "till": till, "profile": Profile.TILL.value, "name": ""})
    return visit.render("invite.html", form=form, profiles=PROFILES)


@routes.post("/nodes/invite", Right.FLEET)
def invite(visit: Visit) -> Answer:
    """Make a one-time invitation and show it, with its picture for a camera."""
    form = visit.form
    location = form.one_of("location", visit.locations)
    profile = form.one_of("profile", PROFILES)
    name, till = form.required("name"), form.required("till", characters_max=TILL_CHARACTERS_MAX)
    if form.is_valid:
        try:
            with visit.change(ORG, "node.invite", till, name) as change:
                issued = visit.hub.enrolment.issue(
                    change.replica, profile=Profile(profile), location=location, name=name, till=till
                )
            return _invitation(visit, issued, name, till)
        except RefusalError as error:
            form.refuse(error, "till" if error.code.startswith("till") else "")
    return visit.render("invite.html", status=422, profiles=PROFILES)


def _invitation(visit: Visit, issued: InvitationIssued, name: str, till: str) -> Answer:
    address = f"https://{issued.address}"
    return visit.render(
        "invitation.html",
        issued=issued,
        address=address,
        name=name,
        till=till,
        qr=draw_qr(f"{address} {issued.invitation}", visit.t("invite.qr")),
    )


def free_till(replica: Replica, location: str, like: str = "") -> str:
    """Return a till code that nobody has: the location's code with the next number."""
    taken = {grant.till for grant in replica.organisation.all(replica.connection, AuthorityGranted)}
    stem = (like.rstrip("0123456789") or location)[: TILL_CHARACTERS_MAX - 3]
    stem = stem if is_code(stem) else "T"
    return next(code for number in range(1, 10_000) if (code := f"{stem}{number}") not in taken)


@routes.get("/nodes/{node:str}", Right.READ)
def node_page(visit: Visit) -> Answer:
    """Show one node."""
    return _show(visit)


def _show(visit: Visit, status: int = 200) -> Answer:
    with visit.read() as replica:
        listed, standing = _found(visit, replica)
        names = {one.node: f"{one.till} {one.name}" for one in list_nodes(replica)}
        streams = _streams(replica, standing)
        revoked = replica.organisation.newest(replica.connection, AuthorityRevoked, listed.node)
        quarantined = replica.connection.execute(
            "SELECT code, count(*) FROM quarantine WHERE stream LIKE ? GROUP BY code ORDER BY code",
            (f"%:{listed.node}.%",),
        ).fetchall()
        before_ms = visit.form.moment("before", is_required=False) if visit.form.text("act") == "revoke" else None
        lost = entries_from(replica, listed.node, before_ms) if before_ms is not None else None
        rights = read_rights(replica, listed.node)
        goods = product_names(
            replica.connection, {one.product for one in rights.held} | {one.product for one in rights.taken}
        )
        named = (
            {known.person: known.name or known.code for known in list_customers(replica)} if rights.has_credit else {}
        )
        people = names_of(replica, {one.operator for one in rights.taken})
        heirs = _heirs(replica, listed) if revoked else []
    visit.form.fill({"name": listed.name})
    return visit.render(
        "node.html",
        status=status,
        one=glance(listed, visit.now_ms),
        streams=streams,
        grants=merged_grants(standing.grants),
        revoked=revoked,
        quarantined=quarantined,
        lost=lost,
        profile=_profile_of(standing).value,
        rights=rights,
        right_name=lambda one: (
            named.get(one.product, one.product) if one.is_credit else _goods_name(goods, one.product)
        ),
        people=people,
        heirs=heirs,
        node_name=lambda writer: names.get(writer.rpartition(".")[0], writer),
    )


def _goods_name(names: Mapping[str, tuple[str, str]], product: str) -> str:
    name, _ = names.get(product, ("", ""))
    return f"{product} {name}".strip()


def _heirs(replica: Replica, listed: NodeListed) -> list[tuple[str, str]]:
    """Return the nodes that may go on with the rights of one that has left: those of its own place."""
    here = [one for one in list_nodes(replica) if one.location == listed.location and not one.is_revoked]
    return [(one.node, f"{one.till} {one.name}") for one in reversed(here)]


def _found(visit: Visit, replica: Replica) -> tuple[NodeListed, Standing]:
    """Return a node that may be seen; raises RefusalError `node_unknown` or `location_forbidden`."""
    standing = read_standing(replica, NodeId(visit.params["node"]))
    listed = next(one for one in list_nodes(replica) if one.node == standing.node)
    visit.check_sees(listed.location)
    return listed, standing


def _streams(replica: Replica, standing: Standing) -> list[StreamTold]:
    told = []
    for row in replica.rows():
        if row.stream.node == standing.node and row.head.seq:
            told.append(StreamTold(row, row.hlc[0], len(replica.log.inert(row))))
    return told


def merged_grants(grants: tuple[AuthorityGranted, ...]) -> list[ScopeGrant]:
    """Return what a node may write in each scope, over all of its grants."""
    found: dict[str, ScopeGrant] = {}
    for grant in grants:
        for one in grant.scopes:
            known = found.get(one.scope)
            permissions = tuple(dict.fromkeys((*(known.permissions if known else ()), *one.permissions)))
            found[one.scope] = ScopeGrant(one.scope, permissions, one.rank)
    return list(found.values())


def _profile_of(standing: Standing) -> Profile:
    permissions = {name for grant in standing.grants for one in grant.scopes for name in one.permissions}
    return Profile.MANAGER if "catalogue.write" in permissions else Profile.TILL


@routes.post("/nodes/{node:str}", Right.FLEET)
def change_node(visit: Visit) -> Answer:
    """Rename a node, revoke it, or replace it."""
    form, node = visit.form, visit.params["node"]
    with visit.read() as replica:
        listed, standing = _found(visit, replica)
    act = form.text("act")
    try:
        if act == "rename":
            name = form.required("name")
            if form.is_valid:
                with visit.change(ORG, "node.rename", node, name) as change:
                    rename_node(change.replica, change.own_log, node, name)
                return visit.redirect(f"/nodes/{node}", done="done.node_renamed")
        elif act == "revoke":
            reason = form.required("reason", characters_max=500)
            before_ms = form.moment("before", is_required=False)
            if form.is_valid:
                with visit.change(ORG, "node.revoke", node, reason) as change:
                    record_revocation(
                        change.replica, change.own_log, node, reason, before_ms=before_ms,
                        operator=visit.account.operator,
                    )  # fmt: skip
                return visit.redirect(f"/nodes/{node}", done="done.node_revoked")
        elif act == "replace":
            with visit.change(ORG, "node.replace", node) as change:
                if not standing.is_revoked:
                    record_revocation(
                        change.replica, change.own_log, node, visit.t("nodes.replaced"), operator=visit.account.operator
                    )
                # A till's code is never used twice: the lost disk may hold receipts that nobody saw.
                till = free_till(change.replica, listed.location, listed.till)
                issued = visit.hub.enrolment.issue(
                    change.replica, profile=_profile_of(standing), location=listed.location, name=listed.name, till=till
                )
            return _invitation(visit, issued, listed.name, till)
        elif act == "write_off":
            with visit.change(ORG, "node.write_off", node) as change:
                record_write_off(change.replica, change.own_log, node, visit.account.operator)
            return visit.redirect(f"/nodes/{node}", done="done.rights_written_off")
        elif act == "hand_on":
            successor = form.required("successor")
            if form.is_valid:
                with visit.change(ORG, "node.hand_on", node, successor) as change:
                    record_handing(change.replica, change.own_log, node, successor, visit.account.operator)
                return visit.redirect(f"/nodes/{node}", done="done.rights_handed_on")
        else:
            raise RefusalError("choice_unknown", "this cannot be decided here")
    except RefusalError as error:
        form.refuse(error)
    return _show(visit, 422)
