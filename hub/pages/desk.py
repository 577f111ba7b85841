"""Serves the desk: cookies, CSRF, rights and languages around every page, and the pages' assets.

A request is answered in a worker thread of the desk's own, so that a wave of syncing nodes leaves the pages alone.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar import HttpMethod, Request, Response, get, route
from litestar.datastructures import Cookie, UploadFile
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from hub.accounts import Account, Right, Session
from hub.pages.every import every_route
from hub.pages.forms import Form, Upload, Values
from hub.pages.rendering import Rendering
from hub.pages.visits import Answer, Route, Visit
from hub.workers import Workers
from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError
from schema.kinds.organisation import OrganisationFounded
from schema.rules.promotion_terms import Language

if TYPE_CHECKING:
    from hub.service import Hub

SESSION_COOKIE: Final = "edgetill_desk"
"""Over TLS the name begins with `__Host-`: no other host and no unencrypted page can plant it."""
FORM_COOKIE: Final = "edgetill_form"
LANGUAGE_COOKIE: Final = "edgetill_language"
CSRF_FIELD: Final = "csrf"
PARTIAL_HEADER: Final = "x-partial"
SIGN_IN_HEADER: Final = "X-Sign-In"
_YEAR_S: Final = 365 * 86_400
_LANGUAGES: Final = frozenset(Language)
_ASSETS: Final[Mapping[str, str]] = {
    "desk.css": "text/css",
    "desk.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
        "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "right_missing": HTTPStatus.FORBIDDEN,
    "location_forbidden": HTTPStatus.FORBIDDEN,
    "form_forged": HTTPStatus.FORBIDDEN,
    "form_stale": HTTPStatus.CONFLICT,
    "page_unknown": HTTPStatus.NOT_FOUND,
    "sign_in_locked": HTTPStatus.TOO_MANY_REQUESTS,
}
AnyRequest = Request[Any, Any, Any]
_log = logging.getLogger("edgetill.desk")


def asset_version() -> str:
    """Return a short digest over all assets: it stands in their addresses, so browsers may keep them."""
    digest = hashlib.sha256()
    for name in sorted(_ASSETS):
        digest.update((files("hub") / "assets" / name).read_bytes())
    return digest.hexdigest()[:12]


class Desk:
    """The pages of one hub; `threads` answer at a time, `waiting_max` more requests may wait."""

    def __init__(self, hub: Hub, *, threads: int = 4, waiting_max: int = 64) -> None:
        self.hub = hub
        self.workers = Workers(threads=threads, waiting_max=waiting_max)
        self.routes = every_route()
        self._renderings: dict[Language, Rendering] = {}
        self._lock = threading.Lock()
        self._version = asset_version()

    def rendering(self, language: Language) -> Rendering:
        """Return what renders in a language."""
        with self._lock:
            found = self._renderings.get(language)
            if found is None:
                try:
                    with self.hub.store.snapshot() as replica:
                        founded = replica.organisation.newest(replica.connection, OrganisationFounded, "")
                except TransientError:
                    # The database is away: the page that says so knows nothing of the organisation, and is not kept.
                    return self._make_rendering(language, None)
                found = self._renderings[language] = self._make_rendering(language, founded)
            return found

    def _make_rendering(self, language: Language, founded: OrganisationFounded | None) -> Rendering:
        try:
            zone = ZoneInfo(founded.time_zone if founded else "Asia/Shanghai")
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        made = Rendering(language, zone, founded.currency if founded else "CNY", self.hub.release)
        made.add_globals(
            organisation=founded.name if founded else self.hub.identity.settings.name, assets=self._version
        )
        return made

    def handlers(self) -> list[HTTPRouteHandler]:
        """Return a handler for every route, and one for the assets."""
        return [assets_handler(), *(self._handler(one) for one in self.routes)]

    def _handler(self, one: Route) -> HTTPRouteHandler:
        @route(
            one.path,
            http_method=HttpMethod(one.method),
            include_in_schema=False,
            request_max_body_size=one.body_bytes_max,
            name=f"desk {one.method} {one.path}",
            opt={"right": one.right},
        )
        async def handle(request: AnyRequest) -> Response[bytes]:
            try:
                form, uploads = await read_form(request) if one.method == "POST" else ({}, {})
            except HTTPException as error:
                return self.error_page(request, error.status_code)
            try:
                answer = await self.workers.run(lambda: self._answer(request, one, form, uploads))
            except TransientError as error:
                answer = self._failed(request_language(request), error)
            return _response(request, answer)

        return handle

    def _answer(
        self, request: AnyRequest, one: Route, form: Mapping[str, Sequence[str]], uploads: Mapping[str, Upload]
    ) -> Answer:
        language = request_language(request)
        try:
            switched = _language_switch(request)
            if switched is not None:
                return switched
            token = session_token(request)
            is_poll = one.is_poll or request.headers.get("x-poll") == "1"
            session = self.hub.accounts.session(token, is_poll=is_poll) if token else None
            language = request_language(request, session.account if session else None)
            visit = self._visit(request, session, language, form, uploads)
            if one.right is not None and session is None:
                return self._to_sign_in(request, visit)
            if one.method == "POST":
                _check_csrf(request, visit)
            if one.right is not None:
                _check_rights(visit, one.right)
            answer = one.work(visit)
            if session is None and request.cookies.get(FORM_COOKIE) != visit.csrf:
                answer = _with_cookie(answer, FORM_COOKIE, visit.csrf, None)
        except EdgetillError as error:
            answer = self._failed(language, error)
        except Exception as error:
            _log.error("a page failed in a way that was not foreseen", exc_info=error)
            answer = self._error(language, HTTPStatus.INTERNAL_SERVER_ERROR, "")
        return answer

    def _visit(
        self,
        request: AnyRequest,
        session: Session | None,
        language: Language,
        form: Mapping[str, Sequence[str]],
        uploads: Mapping[str, Upload],
    ) -> Visit:
        rendering = self.rendering(language)
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), max_num_fields=200):
            query.setdefault(name, []).append(value)
        anonymous = request.cookies.get(FORM_COOKIE, "")
        if not 20 <= len(anonymous) <= 64:
            anonymous = secrets.token_urlsafe(24)
        return Visit(
            self.hub,
            rendering,
            method=request.method,
            path=request.url.path,
            params={name: str(value) for name, value in request.path_params.items()},
            query=Values(query),
            form=Form(form, uploads, rendering.texts, rendering.zone),
            session=session,
            csrf=session.csrf if session is not None else anonymous,
            peer=request.client.host if request.client else "",
            is_partial=PARTIAL_HEADER in request.headers,
            is_secure=request.url.scheme == "https",
            token=session_token(request),
        )

    def _to_sign_in(self, request: AnyRequest, visit: Visit) -> Answer:
        if visit.is_partial or request.method == "POST":
            # The script asks the browser for the whole page, which then leads to the sign-in.
            return Answer(b"", HTTPStatus.UNAUTHORIZED, headers=((SIGN_IN_HEADER, "1"),))
        if not self.hub.accounts.has_any():
            return visit.redirect("/first-run")
        query = request.scope["query_string"].decode("latin-1")
        here = request.url.path + (f"?{query}" if query else "")
        return visit.redirect(f"/sign-in?{urlencode({'next': here})}" if here != "/" else "/sign-in")

    def _failed(self, language: Language, error: EdgetillError) -> Answer:
        texts = self.rendering(language).texts
        if isinstance(error, TransientError):
            return self._error(language, HTTPStatus.SERVICE_UNAVAILABLE, texts.refusal(error))
        if isinstance(error, CorruptionError):
            _log.critical("the hub must stop: %s [%s]", error.message, error.code)
            return self._error(language, HTTPStatus.INTERNAL_SERVER_ERROR, texts("refusal.store_corrupt"))
        usual = HTTPStatus.NOT_FOUND if error.code.endswith("_unknown") else HTTPStatus.UNPROCESSABLE_ENTITY
        return self._error(language, _STATUS.get(error.code, usual), texts.refusal(error))

    def _error(self, language: Language, status: int, sentence: str) -> Answer:
        rendering = self.rendering(language)
        if not sentence:
            known = f"error.{status}"
            sentence = rendering.texts(known if rendering.texts.has(known) else "error.500")
        content = rendering.render("error.html", {"sentence": sentence, "status": int(status), "visit": None})
        return Answer(content, status)

    def error_page(self, request: AnyRequest, status: int) -> Response[bytes]:
        """Return the page for what no route answers."""
        return _response(request, self._error(request_language(request), status, ""))


def wants_page(request: AnyRequest) -> bool:
    """Tell whether a browser asks, which can show a page."""
    return "text/html" in request.headers.get("accept", "")


def assets_handler() -> HTTPRouteHandler:
    """Return what serves the pages' own styles, script and picture."""
    content = {name: (files("hub") / "assets" / name).read_bytes() for name in _ASSETS}

    @get("/assets/{name:str}", include_in_schema=False, name="desk assets")
    async def assets(name: Annotated[str, PathParameter()]) -> Response[bytes]:
        if name not in content:
            return Response(b"", status_code=HTTPStatus.NOT_FOUND, media_type="text/plain")
        headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(content[name], media_type=_ASSETS[name], headers=headers)

    return assets


async def read_form(request: AnyRequest) -> tuple[dict[str, list[str]], dict[str, Upload]]:
    """Return the fields of a form and the files that came with it."""
    values: dict[str, list[str]] = {}
    uploads: dict[str, Upload] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            uploads[name] = Upload(value.filename or "", await value.read())
        else:
            values.setdefault(name, []).append(str(value))
    return values, uploads


def request_language(request: AnyRequest, account: Account | None = None) -> Language:
    """Return the language that a browser chose here, else the account's, else the one that the browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in _LANGUAGES:
        return Language(chosen)
    if account is not None:
        return account.language
    for part in request.headers.get("accept-language", "").split(","):
        name = part.strip()[:2].lower()
        if name in _LANGUAGES:
            return Language(name)
    return Language.ZH


def _language_switch(request: AnyRequest) -> Answer | None:
    wanted = request.query_params.get("lang")
    if request.method != "GET" or wanted is None or wanted not in _LANGUAGES:
        return None
    rest = [
        (name, value) for name, value in parse_qsl(request.scope["query_string"].decode("latin-1")) if name != "lang"
    ]
    path = "/" + request.url.path.lstrip("/")
    answer = Answer(b"", 303, headers=(("Location", f"{path}?{urlencode(rest)}" if rest else path),))
    return _with_cookie(answer, LANGUAGE_COOKIE, wanted, _YEAR_S)


def _check_csrf(request: AnyRequest, visit: Visit) -> None:
    sent = visit.form.text(CSRF_FIELD)
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_ours = hmac.compare_digest(sent.encode("utf-8", "replace"), visit.csrf.encode())
    if visit.session is None:
        # Nobody is signed in: the form must come from a page that gave this very browser its cookie.
        is_ours = is_ours and request.cookies.get(FORM_COOKIE) == visit.csrf
    if site is not None:
        is_ours = is_ours and site in {"same-origin", "none"}
    elif origin is not None:
        is_ours = is_ours and origin.partition("://")[2] == request.headers.get("host")
    if not is_ours:
        raise RefusalError("form_forged", "this form did not come from a page of yours: open it again")


def _check_rights(visit: Visit, right: Right) -> None:
    account = visit.account
    if right not in account.rights:
        raise RefusalError("right_missing", "your role does not allow this")
    named = [visit.params.get("location", ""), *visit.query.all("location"), *visit.form.all("location")]
    for location in named:
        if location:
            visit.check_sees(location)


def _with_cookie(answer: Answer, name: str, value: str | None, seconds: int | None) -> Answer:
    return Answer(
        answer.content, answer.status, answer.media_type, answer.headers, (*answer.cookies, (name, value, seconds))
    )


def session_token(request: AnyRequest) -> str:
    """Return the session's token that a request brought; empty without one."""
    return request.cookies.get(_cookie_name(request, SESSION_COOKIE), "")


def _cookie_name(request: AnyRequest, name: str) -> str:
    is_secure = request.url.scheme == "https"
    return f"__Host-{name}" if name == SESSION_COOKIE and is_secure else name


def _response(request: AnyRequest, answer: Answer) -> Response[bytes]:
    cookies = [
        Cookie(
            key=_cookie_name(request, name),
            value=value or "",
            max_age=0 if value is None else seconds,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        for name, value, seconds in answer.cookies
    ]
    return Response(
        answer.content,
        status_code=answer.status,
        media_type=answer.media_type,
        headers={**HEADERS, **dict(answer.headers)},
        cookies=cookies,
    )
