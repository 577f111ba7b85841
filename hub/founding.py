"""The very first page, on an empty folder: it founds the organisation, makes the owner's account, and is gone.

It is served on the loopback alone, to whoever holds the code that the command printed: there is no key yet to serve
anything safely with.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from litestar import Litestar, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from hub.accounts import check_login, make_password
from hub.own_log import parse_location
from hub.pages.desk import HEADERS, LANGUAGE_COOKIE, asset_version, assets_handler, read_form, request_language
from hub.pages.first_run import make_owner
from hub.pages.forms import Form
from hub.pages.rendering import Rendering
from schema.errors import EdgetillError, RefusalError
from schema.kinds.organisation import LocationDefined
from schema.rules.promotion_terms import Language

CURRENCIES: Final = ("CNY", "HKD", "TWD", "USD", "EUR", "GBP", "JPY")
DEFAULT_ZONE: Final = "Asia/Shanghai"
_FIELD: Final[Mapping[str, str]] = {
    "name_invalid": "organisation", "location_invalid": "locations", "settings_invalid": "address",
    "login_invalid": "login", "password_weak": "password",
}  # fmt: skip
AnyRequest = Request[Any, Any, Any]


class Wish(NamedTuple):
    """What the page asked for: an organisation, its owner, and whether the sample's goods come with it."""

    organisation: str
    locations: tuple[LocationDefined, ...]
    address: str
    currency: str
    time_zone: str
    with_sample: bool
    owner: str
    login: str
    password: str
    language: Language


class _Stranger(NamedTuple):
    """Stands for the visitor in templates: nobody is signed in where there is no organisation."""

    csrf: str
    path: str = "/first-run"
    other_query: str = ""
    is_signed_in: bool = False


class Founding:
    """The page and what it was asked for; `found` does it and may refuse."""

    def __init__(self, address: str, release: str, found: Callable[[Wish], str], on_done: Callable[[], None]) -> None:
        self.code = secrets.token_urlsafe(18)
        self._address = address
        self._release = release
        self._found = found
        self._on_done = on_done
        self._renderings: dict[Language, Rendering] = {}
        self._csrf = secrets.token_urlsafe(24)

    def app(self) -> Litestar:
        """Return the application of this one page."""
        return Litestar(
            [assets_handler(), self._page(), self._action(), self._root()], openapi_config=None, logging_config=None
        )

    def _rendering(self, language: Language) -> Rendering:
        if language not in self._renderings:
            rendering = Rendering(language, ZoneInfo(DEFAULT_ZONE), "CNY", self._release)
            rendering.add_globals(organisation="edgetill", assets=asset_version())
            self._renderings[language] = rendering
        return self._renderings[language]

    def _form(self, language: Language, values: Mapping[str, Sequence[str]]) -> Form:
        rendering = self._rendering(language)
        return Form(values, {}, rendering.texts, rendering.zone)

    def _answer(self, template: str, language: Language, status: int = 200, **context: Any) -> Response[bytes]:
        content = self._rendering(language).render(template, {"visit": _Stranger(self._csrf), **context})
        return Response(content, status_code=status, media_type="text/html", headers=dict(HEADERS))

    def _asked(self, language: Language, form: Form, code: str, status: int = 200) -> Response[bytes]:
        form.fill(
            {"address": self._address, "currency": "CNY", "time_zone": DEFAULT_ZONE, "locations": "A:河边店:shop"}
        )
        zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
        return self._answer(
            "found.html",
            language,
            status,
            form=form,
            code=code,
            currencies=CURRENCIES,
            zones=zones,
            pairs=lambda values: [(value, value) for value in values],
        )

    def _root(self) -> HTTPRouteHandler:
        @get("/", include_in_schema=False)
        async def root() -> Response[bytes]:
            return Response(b"", status_code=HTTPStatus.SEE_OTHER, headers={"Location": "/first-run"})

        return root

    def _page(self) -> HTTPRouteHandler:
        @get("/first-run", include_in_schema=False)
        async def page(request: AnyRequest) -> Response[bytes]:
            wanted = request.query_params.get("lang")
            language = Language(wanted) if wanted in set(Language) else request_language(request)
            answer = self._asked(language, self._form(language, {}), request.query_params.get("code") or "")
            if wanted in set(Language):
                answer.set_cookie(key=LANGUAGE_COOKIE, value=language.value, httponly=True)
            return answer

        return page

    def _action(self) -> HTTPRouteHandler:
        @post("/first-run", include_in_schema=False, status_code=HTTPStatus.OK)
        async def action(request: AnyRequest) -> Response[bytes]:
            values, _ = await read_form(request)
            language = request_language(request)
            form = self._form(language, values)
            code = form.text("code")
            wish = self._read(form, language)
            if not hmac.compare_digest(code.encode(), self.code.encode()) or form.text("csrf") != self._csrf:
                form.refuse(RefusalError("first_run_code_wrong", "the code is not the one that was printed"))
            if form.is_valid:
                try:
                    url = await asyncio.to_thread(self._found, wish)
                except EdgetillError as error:
                    form.refuse(error, _FIELD.get(error.code, ""))
                else:
                    self._on_done()
                    return self._answer("founded.html", language, url=url, login=wish.login)
            return self._asked(language, form, code, HTTPStatus.UNPROCESSABLE_ENTITY)

        return action

    def _read(self, form: Form, language: Language) -> Wish:
        locations: list[LocationDefined] = []
        with_sample = form.flag("sample")
        for line in form.text("locations").splitlines():
            if line.strip() and not with_sample:
                try:
                    locations.append(parse_location(line.strip()))
                except RefusalError as error:
                    form.refuse(error, "locations")
        if not locations and not with_sample:
            form.wrong("locations", "form.missing")
        password, again = form.secret("password"), form.secret("again")
        if password and again and password != again:
            form.wrong("again", "account.not_alike")
        return Wish(
            form.required("organisation"),
            tuple(locations),
            form.required("address"),
            form.one_of("currency", CURRENCIES),
            form.one_of("time_zone", available_timezones()),
            with_sample,
            form.required("name"),
            form.required("login", characters_max=64),
            password,
            language,
        )


def found_hub(directory: Path, wish: Wish, database: str = "hub.db") -> None:
    """Found what the page was asked for; raises RefusalError by name, and leaves nothing behind then."""
    from hub.importing import found_sample
    from hub.service import init_hub, open_hub
    from schema import sample

    make_password(wish.password)
    check_login(wish.login)
    places = list(wish.locations)
    if wish.with_sample:
        places += [LocationDefined(place.code, place.name, place.kind) for place in sample.locations()]
    init_hub(
        directory,
        name=wish.organisation,
        locations=places,
        address=wish.address,
        database=database,
        currency=wish.currency,
        time_zone=wish.time_zone,
    )
    hub = open_hub(directory)
    try:
        make_owner(hub, code=None, name=wish.owner, login=wish.login, password=wish.password, language=wish.language)
        if wish.with_sample:
            found_sample(hub)
    finally:
        hub.close()
