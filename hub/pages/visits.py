"""One request to the desk as a page sees it, the routes that pages declare, and the answers that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec

from hub.accounts import Account, Right, Session, operator_name
from hub.own_log import OwnLog
from hub.pages.forms import Form, Values
from hub.pages.rendering import Rendering
from hub.setting_desk import view_setting
from schema.errors import RefusalError
from schema.identity import ORG, Scope
from schema.kinds.base import Payload
from schema.kinds.desk import ActRecorded
from schema.kinds.organisation import LocationDefined, OperatorDefined
from schema.settings import CategoryNames
from schema.texts import Texts
from sync.entry import Entry
from sync.replica import Replica

if TYPE_CHECKING:
    from hub.service import Hub

HTML: Final = "text/html"
PAGE_SIZE: Final = 50
FORM_BYTES_MAX: Final = 1024 * 1024
RowT = TypeVar("RowT")


class Answer(msgspec.Struct, frozen=True):
    """What a page returns."""

    content: bytes
    status: int = 200
    media_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str | None, int | None], ...] = ()
    """(name, value or None to delete it, seconds that it lives; None: until the browser closes)."""


class Paging(msgspec.Struct):
    """Which page of a list is wanted; `count` of all rows where it is known."""

    number: int
    size: int
    path: str
    kept: Sequence[tuple[str, str]]
    count: int | None = None
    has_next: bool = False

    @property
    def offset(self) -> int:
        """How many rows stand before this page."""
        return (self.number - 1) * self.size

    def cut(self, rows: Sequence[RowT]) -> Sequence[RowT]:
        """Return the rows of this page of up to one more than it holds: the one more tells that there is a next."""
        self.has_next = len(rows) > self.size
        return rows[: self.size]

    @property
    def last(self) -> int | None:
        """The number of the last page, where it is known."""
        return None if self.count is None else max(1, -(-self.count // self.size))

    def href(self, number: int) -> str:
        """Return the address of another page with the same filters."""
        return f"{self.path}?{urlencode([*self.kept, ('page', str(number))])}"


class Change:
    """A write transaction with its author's entry at its head; what is appended in it shares that operation."""

    def __init__(self, replica: Replica, own_log: OwnLog, scope: Scope, act: Entry) -> None:
        self.replica = replica
        self.own_log = own_log
        self.operation = str(act.id)
        self._scope = scope

    def append(self, payload: Payload, scope: Scope | None = None) -> Entry:
        """Append an entry of the hub to the scope that the transaction locked, or to another it covers."""
        return self.own_log.append(self.replica, scope or self._scope, payload)


class Visit:
    """One request: who asks, in which language, for what."""

    def __init__(
        self,
        hub: Hub,
        rendering: Rendering,
        *,
        method: str,
        path: str,
        params: Mapping[str, str],
        query: Values,
        form: Form,
        session: Session | None,
        csrf: str,
        peer: str,
        is_partial: bool,
        is_secure: bool,
        token: str = "",
    ) -> None:
        self.hub = hub
        self.t: Texts = rendering.texts
        self.zone: ZoneInfo = rendering.zone
        self.method = method
        self.path = path
        self.params = params
        self.query = query
        self.form = form
        self.session = session
        self.csrf = csrf
        self.peer = peer
        self.is_partial = is_partial
        self.is_secure = is_secure
        self.token = token
        """What the session's cookie holds: to end it."""
        self.now_ms = hub.now_ms()
        self.rendering = rendering
        self._locations: dict[str, LocationDefined] | None = None
        self._people: dict[str, str] | None = None
        self._category_names: CategoryNames | None = None

    # Who asks.

    @property
    def account(self) -> Account:
        """Who is signed in; only routes without a right are served to others."""
        assert self.session is not None, "a route with a right is served to accounts alone"
        return self.session.account

    @property
    def is_signed_in(self) -> bool:
        """Tell whether someone is signed in."""
        return self.session is not None

    def may(self, right: str, location: str | None = None) -> bool:
        """Tell whether the account has a right (by its name, for templates), at a location where one is named."""
        return self.session is not None and self.account.may(Right(right), location)

    @property
    def is_bound(self) -> bool:
        """Tell whether the account sees some locations alone."""
        return self.session is not None and self.account.locations is not None

    def sees(self, location: str) -> bool:
        """Tell whether the account may see a location."""
        return self.session is not None and (self.account.locations is None or location in self.account.locations)

    def check_sees(self, location: str) -> None:
        """Refuse what belongs to a location that is not the account's; raises RefusalError `location_forbidden`."""
        if not self.sees(location):
            raise RefusalError("location_forbidden", "this belongs to a location that is not yours")

    @property
    def locations(self) -> Mapping[str, LocationDefined]:
        """The locations that the account may see, by code."""
        if self._locations is None:
            with self.read() as replica:
                every = replica.organisation.newest_each(replica.connection, LocationDefined)
            self._locations = {code: every[code] for code in sorted(every) if self.sees(code)}
        return self._locations

    def operator_name(self, operator: str) -> str:
        """Return an operator's name by their random id; the id where nobody is known by it."""
        if self._people is None:
            with self.read() as replica:
                known = replica.organisation.newest_each(replica.connection, OperatorDefined)
                self._people = {one.operator: operator_name(replica, one) for one in known.values()}
        return self._people.get(operator, operator)

    def category_name(self, category: str) -> str:
        """Return what a category is called."""
        if self._category_names is None:
            with self.read() as replica:
                found = view_setting(replica.organisation, replica.connection, "categories").setting
            assert isinstance(found, CategoryNames)
            self._category_names = found
        return self._category_names.of(category)

    def location_name(self, code: str) -> str:
        """Return a location's name; its code where it is not known or not to be seen."""
        found = self.locations.get(code)
        return found.name if found is not None else code

    @property
    def other_query(self) -> str:
        """Return the query as what follows another parameter: for links to this very page."""
        rest = urlencode([(name, value) for name, value in self.query.pairs() if name not in {"lang", "done"}])
        return f"&{rest}" if rest and self.method == "GET" else ""

    def query_with(self, **values: str) -> str:
        """Return this page's query with other values, from its first page on; an empty value leaves it out."""
        kept = [(name, value) for name, value in self.query.pairs() if name not in {*values, "page", "done", "lang"}]
        return urlencode([*kept, *((name, value) for name, value in values.items() if value)])

    # Reading and changing.

    def read(self) -> AbstractContextManager[Replica]:
        """Open a read transaction over one state of the database."""
        return self.hub.store.snapshot()

    @contextmanager
    def change(self, scope: Scope, act: str, subject: str = "", note: str = "") -> Iterator[Change]:
        """Open a write transaction that holds the scope's lock, with this account as the author of what it appends.

        `org` locks every scope. All of it becomes durable, or nothing.
        """
        own_log = self.hub.own_log
        with self.hub.store.transaction(scope) as replica:
            entry = own_log.append(replica, scope, ActRecorded(self.account.operator, act, subject[:96], note[:1000]))
            with replica.belonging_to(str(entry.id)):
                yield Change(replica, own_log, scope, entry)

    @contextmanager
    def change_beside(self, act: str, subject: str = "", note: str = "") -> Iterator[Change]:
        """Open a change of the hub's own tables (accounts, tokens): its author is recorded in `org`."""
        with self.change(ORG, act, subject, note) as change:
            yield change

    # Words that several pages write.

    def money_plain(self, minor: int) -> str:
        """Write an amount for a chart's axis: whole major units where nothing is lost."""
        text = self.rendering.money(minor)
        return text.removesuffix(".00")

    def seconds(self, ms: int) -> str:
        """Write a clock's error in seconds with one decimal, with its sign."""
        tenths = (abs(ms) + 50) // 100
        sign = "−" if ms < 0 and tenths else "+" if tenths else ""
        return f"{sign}{tenths // 10}.{tenths % 10}"

    def printer_fault(self, code: str) -> str:
        """Name a printer's fault; the code itself where this release has no word for it."""
        name = f"fault.{code}"
        return self.t(name) if self.t.has(name) else code

    def location_options(self) -> list[tuple[str, str]]:
        """Return the locations that may be seen, for a choice."""
        return [(code, f"{location.name} ({code})") for code, location in self.locations.items()]

    def named(self, prefix: str, values: Iterable[str]) -> list[tuple[str, str]]:
        """Return values with their words (`prefix` + value), for a choice."""
        return [(value, self.t(f"{prefix}{value}")) for value in values]

    def explained(self, prefix: str, values: Iterable[str]) -> list[tuple[str, str, str]]:
        """Return values with their words and a sentence (`prefix` + value + `.hint`), for a choice of one."""
        return [(value, self.t(f"{prefix}{value}"), self.t(f"{prefix}{value}.hint")) for value in values]

    @staticmethod
    def worded(values: Iterable[str], words: Callable[[str], str]) -> list[tuple[str, str]]:
        """Return values with the words that a function has for them, for a choice."""
        return [(value, words(value)) for value in values]

    @staticmethod
    def pairs(values: Iterable[str]) -> list[tuple[str, str]]:
        """Return values that are their own words, for a choice."""
        return [(value, value) for value in values]

    def stake_options(self, amounts: Iterable[int]) -> list[tuple[str, str]]:
        """Return lowest amounts, for a choice."""
        return [(str(amount), self.t("inbox.at_least", amount=self.money_plain(amount))) for amount in amounts]

    # Answering.

    def input_moment(self, ms: int | None) -> str:
        """Write a moment as a browser's date and time field wants it."""
        return self.rendering.input_moment(ms)

    def paging(self, size: int = PAGE_SIZE) -> Paging:
        """Return which page of a list the query asks for."""
        kept = [(name, value) for name, value in self.query.pairs() if name not in {"page", "done"}]
        return Paging(self.query.number("page", 1, lowest=1, highest=100_000), size, self.path, kept)

    def render(self, template: str, *, status: int = 200, **context: Any) -> Answer:
        """Return a page made from a template."""
        done = self.query.text("done")
        notice = self.t(done) if done.startswith("done.") and self.t.has(done) else ""
        return Answer(
            self.rendering.render(template, {"visit": self, "form": self.form, "notice": notice, **context}), status
        )

    def redirect(self, path: str, *, done: str = "") -> Answer:
        """Send the browser to another page of the desk; `done` is the id of a text that the page shows (`done.…`)."""
        assert path.startswith("/"), "the desk sends nobody elsewhere"
        assert not path.startswith("//"), "the desk sends nobody elsewhere"
        if done:
            path = f"{path}{'&' if '?' in path else '?'}{urlencode({'done': done})}"
        return Answer(b"", 303, headers=(("Location", path),))

    def download(self, name: str, content: bytes, media_type: str) -> Answer:
        """Return a file for the browser to keep."""
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
        return Answer(content, media_type=media_type, headers=(("Content-Disposition", disposition),))


Work = Callable[[Visit], Answer]


class Route(NamedTuple):
    """A page or an action: `right` is None for what needs no account."""

    method: Literal["GET", "POST"]
    path: str
    right: Right | None
    work: Work
    body_bytes_max: int
    is_poll: bool


class Routes:
    """The routes of one module of pages."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(self, path: str, right: Right | None, *, is_poll: bool = False) -> Callable[[Work], Work]:
        """Declare a page; `is_poll` for what a page asks for by itself: it keeps no session alive."""
        return self._declare("GET", path, right, FORM_BYTES_MAX, is_poll=is_poll)

    def post(self, path: str, right: Right | None, *, body_bytes_max: int = FORM_BYTES_MAX) -> Callable[[Work], Work]:
        """Declare an action; its form must bring the session's CSRF token."""
        return self._declare("POST", path, right, body_bytes_max, is_poll=False)

    def _declare(
        self, method: Literal["GET", "POST"], path: str, right: Right | None, body_bytes_max: int, *, is_poll: bool
    ) -> Callable[[Work], Work]:
        def declare(work: Work) -> Work:
            self.all.append(Route(method, path, right, work, body_bytes_max, is_poll))
            return work

        return declare
