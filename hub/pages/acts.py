"""The audit trail: every change at the desk with its author, and the entries that it left in the log."""

from __future__ import annotations

import msgspec

from hub.accounts import Right
from hub.acts import find_act, list_acts
from hub.pages.inbox import names_of
from hub.pages.visits import Answer, Routes, Visit
from schema.texts import Texts

routes = Routes()
GROUPS = ("account", "conflict", "inbox", "node", "policy", "token", "location")


def act_words(t: Texts, act: str) -> str:
    """Name what was done; the act's own name where this release has no words for it."""
    name = f"act.{act}"
    return t(name) if t.has(name) else act


@routes.get("/acts", Right.READ_ALL)
def acts(visit: Visit) -> Answer:
    """List what people did at the desk, the newest first."""
    page, query = visit.paging(), visit.query
    with visit.read() as replica:
        rows = page.cut(
            list_acts(
                replica,
                operator=query.text("operator"),
                act=query.text("act"),
                offset=page.offset,
                limit=page.size + 1,
            )
        )
        who = {str(row[0]) for row in replica.connection.execute("SELECT DISTINCT operator FROM desk_act").fetchall()}
        names = names_of(replica, who)
        groups = sorted(
            {
                str(row[0]).partition(".")[0]
                for row in replica.connection.execute("SELECT DISTINCT act FROM desk_act").fetchall()
            }
        )
    return visit.render(
        "acts.html",
        rows=rows,
        names=names,
        groups=groups,
        page=page,
        words=lambda act: act_words(visit.t, act),
        group_words=lambda group: act_words(visit.t, group),
    )


@routes.get("/acts/entries", Right.READ_ALL)
def act_page(visit: Visit) -> Answer:
    """Show an act with the entries that belong to it."""
    with visit.read() as replica:
        act, entries = find_act(replica, visit.query.text("of"))
        names = names_of(replica, {act.operator})
    told = [(entry, msgspec.json.format(msgspec.json.encode(_plain(entry.payload))).decode()) for entry in entries]
    return visit.render("act.html", act=act, entries=told, names=names, words=lambda name: act_words(visit.t, name))


def _plain(payload: object) -> object:
    """Return a payload's fields by name, bytes as how many there are."""
    if payload is None:
        return None
    assert isinstance(payload, msgspec.Struct)
    fields = {name: getattr(payload, name) for name in payload.__struct_fields__}
    return {
        name: f"({len(value)} bytes)" if isinstance(value, bytes) else value
        for name, value in msgspec.to_builtins(fields, builtin_types=(bytes,)).items()
        if value not in ("", (), [])
    }
