"""People at the desk for tests: accounts made straight in the store, and an HTTP client that signs in as they do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from typing import Final

import httpx

from hub.accounts import make_password, record_account
from hub.service import Hub
from schema.identity import ORG
from schema.rules.promotion_terms import Language

PASSWORD: Final = "correct horse battery"
BROWSER: Final = {"accept": "text/html", "accept-language": "en-GB,en;q=0.9"}
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_VERIFIERS: dict[str, str] = {}


def make_account(
    hub: Hub,
    login: str = "lin",
    role: str = "owner",
    locations: Sequence[str] = (),
    *,
    name: str = "",
    language: Language = Language.EN,
) -> str:
    """Make an account whose password is PASSWORD; returns the operator's id."""
    if PASSWORD not in _VERIFIERS:
        _VERIFIERS[PASSWORD] = make_password(PASSWORD)
    with hub.store.transaction(ORG) as replica:
        return record_account(
            replica,
            hub.own_log,
            login=login,
            password=_VERIFIERS[PASSWORD],
            name=name or login.title(),
            role=role,
            locations=locations,
            language=language,
        )


class DeskClient:
    """A browser without a screen: it keeps cookies, and takes CSRF tokens from the pages that it saw."""

    def __init__(self, client: httpx.Client) -> None:
        self.http = client
        self.csrf = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        response = self.http.get(path, headers={**BROWSER, **headers})
        self._note(response)
        return response

    def post(self, path: str, fields: Mapping[str, object] | None = None, **others: object) -> httpx.Response:
        """Send a form with the token of the last page seen; a redirect is not followed."""
        data = {"csrf": self.csrf, **(fields or {}), **others}
        response = self.http.post(path, data=data, headers=BROWSER)
        self._note(response)
        return response

    def follow(self, response: httpx.Response) -> httpx.Response:
        """Open what an action led to."""
        assert response.status_code == 303, (response.status_code, text_of(response))
        return self.get(response.headers["location"])

    def sign_in(self, login: str = "lin", password: str = PASSWORD) -> httpx.Response:
        self.get("/sign-in")
        response = self.post("/sign-in", login=login, password=password)
        if response.status_code == 303:
            self.get("/account")
        return response

    def _note(self, response: httpx.Response) -> None:
        found = (
            _CSRF.search(response.text) if response.headers.get("content-type", "").startswith("text/html") else None
        )
        if found:
            self.csrf = unescape(found[1])


def text_of(response: httpx.Response) -> str:
    """Return a page's words without its markup."""
    body = re.sub(r"(?s)<(script|style|title).*?</\1>", " ", response.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@contextmanager
def at_the_desk(url: str, login: str = "lin", password: str = PASSWORD) -> Iterator[DeskClient]:
    """Yield a client that is signed in."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        client = DeskClient(http)
        response = client.sign_in(login, password)
        assert response.status_code == 303, text_of(response)
        yield client
