"""Who may use the desk: accounts, signing in and out, sessions, lockout, and what each role may do.

An account is a login and a password for an operator of the log: name, role, locations and whether the person still
works here are read from the operator's newest entry at every request, so a change there holds at once and everywhere.
Nothing is remembered in a process: sessions and wrong tries are rows, for several processes serve one database.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hub.operators import seal_for
from hub.own_log import OwnLog
from hub.store import HubStore
from schema.database import Connection
from schema.errors import CorruptionError, RefusalError, TransientError
from schema.identity import ORG, is_code
from schema.kinds.base import Rank
from schema.kinds.organisation import LocationDefined, OperatorDefined
from schema.rules.promotion_terms import Language
from sync.people import unseal
from sync.replica import Replica

PASSWORD_CHARACTERS_MIN: Final = 10
PASSWORD_CHARACTERS_MAX: Final = 200
IDLE_MS: Final = 2 * 3_600_000
"""A session nobody used for so long has ended."""
SESSION_MS: Final = 14 * 3_600_000
"""No session lasts longer: everyone signs in at least once a working day."""
TOUCH_MS: Final = 60_000
LOGIN_FAILURES_MAX: Final = 5
PEER_FAILURES_MAX: Final = 30
FAILURES_WINDOW_MS: Final = 15 * 60_000
LOCKOUT_MS: Final = 15 * 60_000
_VERIFYING_MAX: Final = 2
"""So many passwords are checked at a time in a process: each takes 64 MiB for a tenth of a second."""
_ROLE_RANK: Final = {
    "owner": Rank.ADMIN,
    "administrator": Rank.ADMIN,
    "shop_manager": Rank.SUPERVISOR,
    "auditor": Rank.AUDITOR,
}


class Right(StrEnum):
    """What a page or an action needs."""

    READ = "read"
    """See the pages, of one's own locations alone where the role is bound to some."""
    READ_ALL = "read_all"
    """See what belongs to no location: nodes of all, policies, the audit trail of the organisation."""
    SETTLE = "settle"
    """Settle conflicts at one's locations."""
    CATALOGUE = "catalogue"
    """Change products, prices, promotions, policies and settings."""
    STAFF = "staff"
    """Define operators of one's locations, with their PINs."""
    FLEET = "fleet"
    """Invite, rename and revoke nodes; define locations."""
    ACCOUNTS = "accounts"
    """Give and take accounts of the desk and tokens of the API."""


RIGHTS: Final = {
    "owner": frozenset(Right),
    "administrator": frozenset(Right),
    "shop_manager": frozenset({Right.READ, Right.SETTLE, Right.STAFF}),
    "auditor": frozenset({Right.READ, Right.READ_ALL}),
}
"""By role; a role that is not listed has no access to the desk."""
OWNER: Final = "owner"
BOUND_ROLES: Final = frozenset({"shop_manager"})
"""Roles that see and change their own locations alone."""


def rank_of(role: str) -> Rank:
    """Return the weight of a role's word in counts."""
    return _ROLE_RANK.get(role, Rank.CLERK)


class Account(msgspec.Struct, frozen=True):
    """Someone who is signed in; `locations` is None for roles that are bound to no location."""

    login: str
    operator: str
    number: str
    name: str
    role: str
    locations: frozenset[str] | None
    language: Language

    @property
    def rights(self) -> frozenset[Right]:
        """What the role may do."""
        return RIGHTS.get(self.role, frozenset())

    @property
    def rank(self) -> Rank:
        """The weight of this person's word in counts."""
        return rank_of(self.role)

    def may(self, right: Right, location: str | None = None) -> bool:
        """Tell whether the role has a right, and at this location where one is named."""
        return right in self.rights and (location is None or self.locations is None or location in self.locations)


class Session(msgspec.Struct, frozen=True):
    """A session as a request carries it; forms must bring `csrf` back."""

    account: Account
    csrf: str
    created_ms: int


class AccountListed(msgspec.Struct, frozen=True):
    """An account as the page of accounts shows it."""

    login: str
    operator: str
    name: str
    role: str
    locations: tuple[str, ...]
    is_active: bool
    last_ms: int | None


class Accounts:
    """Signs people in and knows who they are; one object serves many threads."""

    def __init__(self, store: HubStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._verifying = threading.BoundedSemaphore(_VERIFYING_MAX)
        # What a password is checked against where there is no such login, so that both take the same time.
        self._nobody = _nobody_password()

    def has_any(self) -> bool:
        """Tell whether there is an account at all; without one the first-run page makes the owner's."""
        with self._store.snapshot() as replica:
            return replica.connection.execute("SELECT 1 FROM account LIMIT 1").fetchone() is not None

    def sign_in(self, login: str, password: str, peer: str) -> tuple[str, Session]:
        """Return a new session's token, which only its cookie holds, and the session.

        Raises RefusalError `sign_in_wrong` or `sign_in_locked` (fact `minutes`), TransientError `busy`.
        """
        login, now_ms = login.strip().casefold(), self._now_ms()
        subjects = ((f"login:{login[:200]}", LOGIN_FAILURES_MAX), (f"peer:{peer}", PEER_FAILURES_MAX))
        with self._store.snapshot() as replica:
            _check_locks(replica.connection, [subject for subject, _ in subjects], now_ms)
            row = replica.connection.execute("SELECT password FROM account WHERE login = ?", (login,)).fetchone()
            account = _account(replica, login) if row is not None else None
        is_right = self._is_password(password, str(row[0]) if row is not None else self._nobody)
        if not is_right or account is None or row is None:
            self._note_failure(subjects, now_ms)
            raise RefusalError("sign_in_wrong", "login or password is wrong")
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        with self._store.transaction(None) as replica:
            connection = replica.connection
            connection.execute("DELETE FROM sign_in_failure WHERE subject = ?", (subjects[0][0],))
            connection.execute(
                "DELETE FROM desk_session WHERE created_ms < ? OR last_ms < ?", (now_ms - SESSION_MS, now_ms - IDLE_MS)
            )
            connection.execute(
                "INSERT INTO desk_session (token_hash, login, csrf, created_ms, last_ms) VALUES (?, ?, ?, ?, ?)",
                (_token_hash(token), login, csrf, now_ms, now_ms),
            )
        return token, Session(account, csrf, now_ms)

    def _is_password(self, password: str, verifier: str) -> bool:
        if not self._verifying.acquire(timeout=5):
            raise TransientError("busy", "many people are signing in: try again in a moment")
        try:
            return is_password(password, verifier)
        finally:
            self._verifying.release()

    def _note_failure(self, subjects: Sequence[tuple[str, int]], now_ms: int) -> None:
        with self._store.transaction(None) as replica:
            for subject, failures_max in subjects:
                (failures,) = replica.connection.execute(
                    "INSERT INTO sign_in_failure AS f (subject, failures, last_ms, locked_until_ms)"
                    " VALUES (?, 1, ?, 0) ON CONFLICT (subject) DO UPDATE SET"
                    " failures = CASE WHEN f.last_ms < ? THEN 1 ELSE f.failures + 1 END, last_ms = excluded.last_ms"
                    " RETURNING failures",
                    (subject, now_ms, now_ms - FAILURES_WINDOW_MS),
                ).fetchone()
                if failures >= failures_max:
                    replica.connection.execute(
                        "UPDATE sign_in_failure SET locked_until_ms = ?, failures = 0 WHERE subject = ?",
                        (now_ms + LOCKOUT_MS, subject),
                    )
            replica.connection.execute(
                "DELETE FROM sign_in_failure WHERE last_ms < ? AND locked_until_ms < ?",
                (now_ms - FAILURES_WINDOW_MS, now_ms),
            )

    def session(self, token: str, *, is_poll: bool = False) -> Session | None:
        """Return the session of a cookie; None where it has ended. A page that refreshes itself keeps none alive."""
        now_ms = self._now_ms()
        with self._store.snapshot() as replica:
            row = replica.connection.execute(
                "SELECT login, csrf, created_ms, last_ms FROM desk_session WHERE token_hash = ?",
                (_token_hash(token),),
            ).fetchone()
            if row is None or now_ms - row[2] > SESSION_MS or now_ms - row[3] > IDLE_MS:
                return None
            account = _account(replica, str(row[0]))
        if account is None:
            return None
        if not is_poll and now_ms - row[3] > TOUCH_MS:
            with self._store.transaction(None) as replica:
                replica.connection.execute(
                    "UPDATE desk_session SET last_ms = ? WHERE token_hash = ?", (now_ms, _token_hash(token))
                )
        return Session(account, str(row[1]), int(row[2]))

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._store.transaction(None) as replica:
            replica.connection.execute("DELETE FROM desk_session WHERE token_hash = ?", (_token_hash(token),))

    def set_language(self, login: str, language: Language) -> None:
        """Remember the language that a person chose."""
        with self._store.transaction(None) as replica:
            replica.connection.execute("UPDATE account SET language = ? WHERE login = ?", (language.value, login))

    def change_password(self, login: str, old: str, new: str) -> None:
        """Replace one's own password; every session of the account ends.

        Raises RefusalError `password_wrong` or `password_weak`.
        """
        with self._store.snapshot() as replica:
            row = replica.connection.execute("SELECT password FROM account WHERE login = ?", (login,)).fetchone()
        if row is None or not self._is_password(old, str(row[0])):
            raise RefusalError("password_wrong", "the old password is wrong")
        password = make_password(new)
        with self._store.transaction(None) as replica:
            replica.connection.execute(
                "UPDATE account SET password = ?, changed_ms = ? WHERE login = ?", (password, self._now_ms(), login)
            )
            replica.connection.execute("DELETE FROM desk_session WHERE login = ?", (login,))

    def listed(self) -> list[AccountListed]:
        """Return every account by login."""
        with self._store.snapshot() as replica:
            rows = replica.connection.execute(
                "SELECT a.login, a.operator, max(s.last_ms) FROM account a LEFT JOIN desk_session s"
                " ON s.login = a.login GROUP BY a.login, a.operator ORDER BY a.login"
            ).fetchall()
            found = []
            for login, operator, last_ms in rows:
                defined = replica.organisation.newest(replica.connection, OperatorDefined, operator)
                if defined is not None:
                    name = operator_name(replica, defined)
                    found.append(
                        AccountListed(
                            login, operator, name, defined.role, defined.locations, defined.is_active, last_ms
                        )
                    )
        return found


def redefine(
    replica: Replica,
    own_log: OwnLog,
    author: Account,
    operator: str,
    *,
    role: str,
    locations: Sequence[str],
    is_active: bool,
) -> None:
    """Change what an account's person may do, within the caller's transaction on `org`.

    Raises RefusalError `operator_unknown`, `role_unknown`, `location_missing`, `location_unknown`, `owner_only` (an
    owner is changed by owners alone) or `owner_last` (someone must own the organisation).
    """
    connection, organisation = replica.connection, replica.organisation
    known = organisation.newest(connection, OperatorDefined, operator)
    if known is None:
        raise RefusalError("operator_unknown", "this operator is not known or has an account already")
    _check_role(replica, role, locations)
    check_author(author, known.role, role)
    if known.role == OWNER and (role != OWNER or not is_active):
        others = [
            one
            for (other,) in connection.execute("SELECT operator FROM account").fetchall()
            if other != operator
            and (one := organisation.newest(connection, OperatorDefined, str(other))) is not None
            and one.role == OWNER
            and one.is_active
        ]
        if not others:
            raise RefusalError("owner_last", "the organisation needs an owner: make another one first")
    # Roles that see every location still work at the tills of some: that is not the desk's to change.
    at = tuple(locations) if role in BOUND_ROLES else known.locations
    own_log.append(replica, ORG, OperatorDefined(operator, known.number, role, at, known.sealed_name, is_active))


def check_author(author: Account, *roles: str) -> None:
    """Raise RefusalError `owner_only` where someone else than an owner makes or changes one."""
    if OWNER in roles and author.role != OWNER:
        raise RefusalError("owner_only", "an owner's account is changed by owners alone")


def _check_role(replica: Replica, role: str, locations: Sequence[str]) -> None:
    if role not in RIGHTS:
        raise RefusalError("role_unknown", f"{role!r} is no role of the desk: {', '.join(RIGHTS)}")
    known = replica.organisation.newest_each(replica.connection, LocationDefined)
    if unknown := [location for location in locations if location not in known]:
        raise RefusalError("location_unknown", f"there is no location {unknown[0]!r}")
    if role in BOUND_ROLES and not locations:
        raise RefusalError("location_missing", "a shop manager needs a location")


def set_password(connection: Connection, login: str, password: str, now_ms: int) -> None:
    """Give an account another password (from `make_password`) and end its sessions; a lock is lifted.

    Raises RefusalError `login_unknown`.
    """
    found = connection.execute(
        "UPDATE account SET password = ?, changed_ms = ? WHERE login = ? RETURNING login", (password, now_ms, login)
    ).fetchone()
    if found is None:
        raise RefusalError("login_unknown", "there is no account with this login")
    connection.execute("DELETE FROM desk_session WHERE login = ?", (login,))
    connection.execute("DELETE FROM sign_in_failure WHERE subject = ?", (f"login:{login}",))


def make_password(password: str) -> str:
    """Return what a password is checked against (Argon2id, PHC string); raises RefusalError `password_weak`."""
    distinct = len(set(password))
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX or distinct < 4:
        raise RefusalError(
            "password_weak",
            f"a password has at least {PASSWORD_CHARACTERS_MIN} characters, not all alike: three words do well",
            characters=PASSWORD_CHARACTERS_MIN,
        )
    return _argon2(password)


def _argon2(password: str) -> str:
    return Argon2id(
        salt=secrets.token_bytes(16), length=32, iterations=3, lanes=4, memory_cost=64 * 1024
    ).derive_phc_encoded(password.encode())


def _nobody_password() -> str:
    return _argon2(secrets.token_urlsafe(16))


def is_password(password: str, verifier: str) -> bool:
    """Tell whether a password fits its verifier."""
    if len(password) > PASSWORD_CHARACTERS_MAX:
        return False
    try:
        Argon2id.verify_phc_encoded(password.encode("utf-8", "replace"), verifier)
    except InvalidKey:
        return False
    return True


def record_account(
    replica: Replica,
    own_log: OwnLog,
    *,
    login: str,
    password: str,
    name: str,
    role: str,
    locations: Sequence[str] = (),
    language: Language = Language.ZH,
    operator: str = "",
) -> str:
    """Give a person an account within the caller's transaction on `org`; `password` is what `make_password` returned.

    Without `operator` a new one is defined who has no PIN, and so signs in at no till. Returns the operator's id.
    Raises RefusalError `login_invalid`, `login_taken`, `role_unknown`, `name_invalid`, `location_unknown`,
    `location_missing` or `operator_unknown`.
    """
    connection, organisation = replica.connection, replica.organisation
    login = check_login(login)
    if connection.execute("SELECT 1 FROM account WHERE login = ?", (login,)).fetchone():
        raise RefusalError("login_taken", "this login is taken: choose another")
    if operator:
        defined = organisation.newest(connection, OperatorDefined, operator)
        if defined is None or connection.execute("SELECT 1 FROM account WHERE operator = ?", (operator,)).fetchone():
            raise RefusalError("operator_unknown", "this operator is not known or has an account already")
        if defined.role not in RIGHTS:
            raise RefusalError("role_unknown", f"the role {defined.role} has no access to the desk")
    else:
        _check_role(replica, role, locations)
        if not name.strip() or len(name) > 200:
            raise RefusalError("name_invalid", "a name has 1 to 200 characters")
        operator = f"o{secrets.token_hex(8)}"
        sealed = seal_for(connection, operator, name.strip())
        number = login if is_code(login) else operator
        taken = {one.number for one in organisation.newest_each(connection, OperatorDefined).values()}
        number = operator if number in taken else number
        own_log.append(replica, ORG, OperatorDefined(operator, number, role, tuple(locations), sealed))
    now_ms = own_log.now_ms()
    connection.execute(
        "INSERT INTO account (login, operator, password, language, created_ms, changed_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (login, operator, password, language.value, now_ms, now_ms),
    )
    return operator


def check_login(login: str) -> str:
    """Return a login as it is stored; raises RefusalError `login_invalid`."""
    login = login.strip().casefold()
    if not 2 <= len(login) <= 64 or any(character.isspace() or not character.isprintable() for character in login):
        raise RefusalError("login_invalid", "a login has 2 to 64 characters without spaces")
    return login


def operator_name(replica: Replica, defined: OperatorDefined) -> str:
    """Return an operator's name; the number where the person was forgotten."""
    row = replica.connection.execute("SELECT key FROM person_key WHERE person = ?", (defined.operator,)).fetchone()
    if row is None:
        return defined.number
    try:
        return unseal(bytes(row[0]), defined.operator, defined.sealed_name)
    except CorruptionError:
        return defined.number


def _account(replica: Replica, login: str) -> Account | None:
    row = replica.connection.execute("SELECT operator, language FROM account WHERE login = ?", (login,)).fetchone()
    if row is None:
        return None
    defined = replica.organisation.newest(replica.connection, OperatorDefined, str(row[0]))
    if defined is None or not defined.is_active or defined.role not in RIGHTS:
        return None
    locations = frozenset(defined.locations) if defined.role in BOUND_ROLES else None
    return Account(
        login, defined.operator, defined.number, operator_name(replica, defined), defined.role, locations,
        Language(row[1]) if row[1] in set(Language) else Language.ZH,
    )  # fmt: skip


def _check_locks(connection: Connection, subjects: Sequence[str], now_ms: int) -> None:
    for subject in subjects:
        row = connection.execute("SELECT locked_until_ms FROM sign_in_failure WHERE subject = ?", (subject,)).fetchone()
        if row is not None and row[0] > now_ms:
            minutes = (row[0] - now_ms + 59_999) // 60_000
            raise RefusalError(
                "sign_in_locked", f"too many wrong passwords: try again in {minutes} minutes", minutes=minutes
            )


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(b"edgetill-session-1\0" + token.encode("utf-8", "replace")).digest()
