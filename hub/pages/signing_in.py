"""Signing in and out, and one's own account."""

from __future__ import annotations

from hub.accounts import Right
from hub.pages.visits import Answer, Routes, Visit
from schema.errors import RefusalError

routes = Routes()
SESSION_NAME = "edgetill_desk"


@routes.get("/sign-in", None)
def sign_in_page(visit: Visit) -> Answer:
    """Ask who it is."""
    if visit.is_signed_in:
        return visit.redirect("/")
    if not visit.hub.accounts.has_any():
        return visit.redirect("/first-run")
    return visit.render("sign_in.html", next=_inner(visit.query.text("next")))


@routes.post("/sign-in", None)
def sign_in(visit: Visit) -> Answer:
    """Begin a session."""
    form = visit.form
    following = _inner(form.text("next"))
    login, password = form.required("login"), form.secret("password")
    if form.is_valid:
        try:
            token, _ = visit.hub.accounts.sign_in(login, password, visit.peer)
        except RefusalError as error:
            form.refuse(error)
        else:
            answer = visit.redirect(following or "/")
            return Answer(answer.content, answer.status, headers=answer.headers, cookies=((SESSION_NAME, token, None),))
    return visit.render("sign_in.html", status=422, next=following)


@routes.post("/sign-out", Right.READ)
def sign_out(visit: Visit) -> Answer:
    """End the session."""
    visit.hub.accounts.sign_out(visit.token)
    answer = visit.redirect("/sign-in")
    return Answer(answer.content, answer.status, headers=answer.headers, cookies=((SESSION_NAME, None, None),))


@routes.get("/account", Right.READ)
def own_account(visit: Visit) -> Answer:
    """Show one's own account."""
    return visit.render("account.html")


@routes.post("/account", Right.READ)
def change_own_password(visit: Visit) -> Answer:
    """Change one's own password; everyone signed in with it signs in again."""
    form = visit.form
    old, new, again = form.secret("old"), form.secret("new"), form.secret("again")
    if form.is_valid and new != again:
        form.wrong("again", "account.not_alike")
    if form.is_valid:
        try:
            visit.hub.accounts.change_password(visit.account.login, old, new)
        except RefusalError as error:
            form.refuse(error, "old" if error.code == "password_wrong" else "new")
        else:
            return visit.redirect("/sign-in", done="done.password_changed")
    return visit.render("account.html", status=422)


def _inner(path: str) -> str:
    """Return a path of the desk; empty for anything that could lead elsewhere."""
    is_inner = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_inner else ""
