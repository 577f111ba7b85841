"""Accounts of the desk and tokens of the API: who may use the hub, in which role, at which locations."""

from __future__ import annotations

from hub.accounts import (
    BOUND_ROLES,
    RIGHTS,
    AccountListed,
    Right,
    check_author,
    make_password,
    operator_name,
    record_account,
    redefine,
    set_password,
)
from hub.pages.visits import Answer, Routes, Visit
from hub.tokens import TokenScope, check_reach, create_token, delete_token
from schema.errors import RefusalError
from schema.kinds.organisation import OperatorDefined
from schema.rules.promotion_terms import Language

routes = Routes()
ROLES = tuple(RIGHTS)
SCOPES = tuple(TokenScope)
LANGUAGES = tuple(Language)
_FIELD = {
    "login_invalid": "login", "login_taken": "login", "password_weak": "password", "name_invalid": "name",
    "location_missing": "at", "location_unknown": "at", "role_unknown": "role", "owner_only": "role",
    "operator_unknown": "operator",
}  # fmt: skip


@routes.get("/accounts", Right.ACCOUNTS)
def accounts(visit: Visit) -> Answer:
    """List accounts and tokens."""
    with visit.read() as replica:
        names = {}
        for token in visit.hub.tokens.listed():
            defined = replica.organisation.newest(replica.connection, OperatorDefined, token.operator)
            names[token.operator] = operator_name(replica, defined) if defined is not None else ""
    return visit.render(
        "accounts.html", rows=visit.hub.accounts.listed(), tokens=visit.hub.tokens.listed(), names=names
    )


@routes.get("/accounts/new", Right.ACCOUNTS)
def new_account(visit: Visit) -> Answer:
    """Ask whose account it shall be."""
    return _new(visit)


def _new(visit: Visit, status: int = 200) -> Answer:
    with visit.read() as replica:
        have = {str(row[0]) for row in replica.connection.execute("SELECT operator FROM account").fetchall()}
        people = [
            (one.operator, f"{operator_name(replica, one)} ({one.number}, {visit.t(f'role.{one.role}')})")
            for one in replica.organisation.newest_each(replica.connection, OperatorDefined).values()
            if one.is_active and one.role in RIGHTS and one.operator not in have
        ]
    visit.form.fill({"role": "shop_manager", "language": visit.t.language.value})
    return visit.render("account_new.html", status=status, roles=ROLES, people=people, languages=LANGUAGES)


@routes.post("/accounts/new", Right.ACCOUNTS)
def add_account(visit: Visit) -> Answer:
    """Give a person an account."""
    form = visit.form
    operator = form.required("operator", is_required=False)
    login, password = form.required("login", characters_max=64), form.secret("password")
    name = form.required("name", is_required=not operator)
    role = form.one_of("role", ROLES, is_required=not operator)
    locations = form.some_of("at", visit.locations, is_required=role in BOUND_ROLES and not operator)
    language = form.one_of("language", LANGUAGES)
    if form.is_valid:
        try:
            verifier = make_password(password)
            with visit.change_beside("account.add", login) as change:
                defined = change.replica.organisation.newest(change.replica.connection, OperatorDefined, operator)
                check_author(visit.account, role, defined.role if defined is not None else "")
                record_account(
                    change.replica, change.own_log, login=login, password=verifier, name=name, role=role,
                    locations=locations if role in BOUND_ROLES else (), language=Language(language), operator=operator,
                )  # fmt: skip
            return visit.redirect("/accounts", done="done.account_added")
        except RefusalError as error:
            form.refuse(error, _FIELD.get(error.code, ""))
    return _new(visit, 422)


@routes.get("/accounts/of/{login:str}", Right.ACCOUNTS)
def account_page(visit: Visit) -> Answer:
    """Show one account as forms."""
    return _account(visit)


def _listed(visit: Visit) -> AccountListed:
    found = next((one for one in visit.hub.accounts.listed() if one.login == visit.params["login"]), None)
    if found is None:
        raise RefusalError("login_unknown", "there is no account with this login")
    return found


def _account(visit: Visit, status: int = 200) -> Answer:
    one = _listed(visit)
    visit.form.fill({"role": one.role, "at": " ".join(one.locations), "is_active": "1" if one.is_active else ""})
    version = f"{one.role} {' '.join(one.locations)} {one.is_active}"
    return visit.render("account_edit.html", status=status, one=one, roles=ROLES, version=version)


@routes.post("/accounts/of/{login:str}", Right.ACCOUNTS)
def change_account(visit: Visit) -> Answer:
    """Change role, locations, password, or whether a person still has access."""
    form, one = visit.form, _listed(visit)
    act = form.text("act")
    try:
        if act == "role":
            role = form.one_of("role", ROLES)
            locations = form.some_of("at", visit.locations, is_required=role in BOUND_ROLES)
            if form.is_valid:
                with visit.change_beside("account.change", one.login, role) as change:
                    form.check_version(_version(_listed(visit)))
                    redefine(
                        change.replica, change.own_log, visit.account, one.operator, role=role,
                        locations=locations if role in BOUND_ROLES else (), is_active=form.flag("is_active"),
                    )  # fmt: skip
                return visit.redirect("/accounts", done="done.account_changed")
        elif act == "password":
            password = form.secret("password")
            if form.is_valid:
                check_author(visit.account, one.role)
                verifier = make_password(password)
                with visit.change_beside("account.password", one.login) as change:
                    set_password(change.replica.connection, one.login, verifier, visit.now_ms)
                return visit.redirect("/accounts", done="done.account_changed")
    except RefusalError as error:
        form.refuse(error, _FIELD.get(error.code, ""))
        return _account(visit, 409 if error.code == "form_stale" else 422)
    return _account(visit, 422)


def _version(one: AccountListed) -> str:
    return f"{one.role} {' '.join(one.locations)} {one.is_active}"


@routes.get("/accounts/tokens/new", Right.ACCOUNTS)
def new_token(visit: Visit) -> Answer:
    """Ask what the token shall be for."""
    return visit.render("token_new.html", scopes=SCOPES)


@routes.post("/accounts/tokens/new", Right.ACCOUNTS)
def add_token(visit: Visit) -> Answer:
    """Make a token; it is shown once."""
    form = visit.form
    name = form.required("name", characters_max=60)
    scopes = form.some_of("scope", SCOPES)
    locations = form.some_of("at", visit.locations, is_required=False)
    days = form.whole("days", lowest=1, highest=3_650, is_required=False)
    if form.is_valid and any(one.name == name for one in visit.hub.tokens.listed()):
        form.wrong("name", "tokens.taken")
    try:
        check_reach(scopes, locations)
    except RefusalError as error:
        form.refuse(error, "at")
    if form.is_valid:
        try:
            with visit.change_beside("token.add", name) as change:
                token = create_token(
                    change.replica.connection, name, visit.now_ms, scopes=scopes, locations=locations,
                    operator=visit.account.operator,
                    expires_ms=visit.now_ms + days * 86_400_000 if days else None,
                )  # fmt: skip
            return visit.render("token.html", token=token, name=name)
        except RefusalError as error:
            form.refuse(error, "name")
    return visit.render("token_new.html", status=422, scopes=SCOPES)


@routes.post("/accounts/tokens/delete", Right.ACCOUNTS)
def remove_token(visit: Visit) -> Answer:
    """Have a token stop working at once."""
    name = visit.form.text("name")
    with visit.change_beside("token.delete", name) as change:
        delete_token(change.replica.connection, name)
    return visit.redirect("/accounts", done="done.token_deleted")
