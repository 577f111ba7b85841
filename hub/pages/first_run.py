"""The first page of all: whoever holds the code that the hub printed at its start makes the owner's account."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from hub.accounts import OWNER, make_password, record_account
from hub.own_log import read_state, write_state
from hub.pages.visits import Answer, Routes, Visit
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.desk import ActRecorded
from schema.rules.promotion_terms import Language

if TYPE_CHECKING:
    from hub.service import Hub

_STATE: Final = "first_run"
SESSION_NAME: Final = "edgetill_desk"
routes = Routes()


def issue_code(hub: Hub) -> str:
    """Make the code without which nobody makes the first account; the one printed before stops working."""
    code = secrets.token_urlsafe(18)
    with hub.store.transaction(None) as replica:
        write_state(replica.connection, _STATE, _hash(code))
    return code


def _hash(code: str) -> str:
    return hashlib.sha256(b"edgetill-first-run-1\0" + code.encode("utf-8", "replace")).hexdigest()


def _is_code(known: str | None, code: str) -> bool:
    return bool(known) and hmac.compare_digest(str(known), _hash(code))


@routes.get("/first-run", None)
def first_run_page(visit: Visit) -> Answer:
    """Offer to make the owner's account."""
    if visit.hub.accounts.has_any():
        return visit.redirect("/sign-in")
    return visit.render("first_run.html", code=visit.query.text("code"))


@routes.post("/first-run", None)
def first_run(visit: Visit) -> Answer:
    """Make the owner's account, once, and sign in."""
    form, hub = visit.form, visit.hub
    code = form.text("code")
    name, login = form.required("name"), form.required("login", characters_max=64)
    password, again = form.secret("password"), form.secret("again")
    if form.is_valid and password != again:
        form.wrong("again", "account.not_alike")
    if form.is_valid:
        try:
            make_owner(hub, code=code, name=name, login=login, password=password, language=visit.t.language)
            token, _ = hub.accounts.sign_in(login, password, visit.peer)
        except RefusalError as error:
            form.refuse(error, {"login_invalid": "login", "password_weak": "password"}.get(error.code, ""))
        else:
            answer = visit.redirect("/", done="done.welcome")
            return Answer(answer.content, answer.status, headers=answer.headers, cookies=((SESSION_NAME, token, None),))
    return visit.render("first_run.html", status=422, code=code)


def make_owner(
    hub: Hub, *, code: str | None, name: str, login: str, password: str, language: Language = Language.ZH
) -> str:
    """Make the owner's account where there is none yet; `code` is None for whoever holds the hub's directory.

    Returns the operator's id. Raises RefusalError `first_run_over`, `first_run_code_wrong`, or as `record_account`.
    """
    verifier = make_password(password)
    with hub.store.transaction(ORG) as replica:
        connection = replica.connection
        if connection.execute("SELECT 1 FROM account LIMIT 1").fetchone():
            raise RefusalError("first_run_over", "there is an account already: sign in with it")
        if code is not None and not _is_code(read_state(connection, _STATE), code):
            raise RefusalError("first_run_code_wrong", "the code is not the one that the hub printed when it started")
        operator = record_account(
            replica, hub.own_log, login=login, password=verifier, name=name, role=OWNER, language=language
        )
        hub.own_log.append(replica, ORG, ActRecorded(operator, "account.first", login))
        write_state(connection, _STATE, "")
    return operator
