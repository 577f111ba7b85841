"""Signing in: who works at this location, by number and PIN, offline; and the lockout after wrong PINs.

PIN verifiers and the keys of operators' names come from the hub as one signed statement; roles, places and removals
come as entries. So a till knows its people after one exchange, and a change holds from the next.

The lockout is read from the entries `sign_in.recorded` of the location alone, never from a counter, so that neither a
restart nor another till forgets it, and never from the wall clock alone:

- Wrong PINs are counted in the order of the entries since the operator last signed in, was unlocked or was locked.
  With the last one that is allowed, `locked` is recorded.
- The time that a lock lasts is measured within one clock epoch of this node: an epoch ends whenever its wall clock was
  set, whichever way. A lock of an earlier epoch, or of another till, counts from its hybrid time once the hub has
  measured this epoch's clock. Until then the next try records `locked` here and the wait begins with it. So setting the
  clock can only lengthen a lock.
- Each further lock without a sign-in between lasts twice as long, up to a day.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.limits import Act, limits_of, may
from edge.node import Node, Writing
from edge.settings import setting
from edge.status import is_lease_lapsed
from schema.errors import CorruptionError, RefusalError
from schema.kinds.organisation import OperatorDefined
from schema.kinds.tills import SignInRecorded
from schema.settings import Limits, TillRules
from sync.clock import Clock
from sync.elsewhere import OPERATORS_TOPIC, HeldStatements, OperatorSecret, OperatorSecrets
from sync.people import unseal

MINUTE_MS: Final = 60_000
LOCKOUT_MINUTES_MAX: Final = 24 * 60
IN, OUT, WRONG, LOCKED, UNLOCKED, APPROVED = "in", "out", "wrong", "locked", "unlocked", "approved"
_ENDS_A_LOCK: Final = frozenset({IN, UNLOCKED, APPROVED})


class KnownOperator(NamedTuple):
    """A person who may sign in here."""

    operator: str
    number: str
    name: str
    role: str


class SignedIn(NamedTuple):
    """Who signed in, and what the role may do. With a lapsed lease the screen asks for `approve(…, Act.LEASE)`."""

    operator: str
    number: str
    name: str
    role: str
    limits: Limits
    is_lease_lapsed: bool


class Approval(NamedTuple):
    """A second person who allowed something with a PIN of their own."""

    operator: str
    number: str
    name: str
    role: str


class _Person(NamedTuple):
    known: KnownOperator
    verifier: str


class _Lock(NamedTuple):
    """What the entries say of one operator: wrong PINs in a row, and what is left of a lock in milliseconds."""

    wrongs: int
    left_ms: int
    begins_now: bool


class _Event(NamedTuple):
    outcome: str
    writer: str
    wall_ms: int
    clock_epoch: int
    hlc_ms: int


def operators(node: Node) -> tuple[KnownOperator, ...]:
    """Return who may sign in at this location, by number; empty on a node that never exchanged with its hub."""
    return tuple(sorted((person.known for person in _people(node)), key=lambda known: known.number))


def operator_name(node: Node, operator: str) -> str:
    """Return an operator's name where this node may know it, else the number, else the id."""
    defined = node.organisation.newest(node.connection, OperatorDefined, operator) if operator else None
    if defined is None:
        return operator
    secret = next((s for s in _secrets(node) if s.operator == operator), None)
    return defined.number if secret is None else _name(secret, defined)


def sign_in(node: Node, number: str, pin: str) -> SignedIn:
    """Sign an operator in; the entry is durable when this returns.

    Raises RefusalError `sign_in_unknown` (facts: number), `pin_wrong` (left) or `locked_out` (minutes).
    """
    known = _prove(node, number, pin, IN)
    state = node.state()
    lapsed = is_lease_lapsed(node, state.last_exchange_ms, node.now_ms())
    return SignedIn(*known, limits_of(node, known.role), lapsed)


def sign_out(node: Node, operator: str) -> None:
    """Note that an operator left the till; quick lock needs no more than `sign_in` afterwards."""
    with node.write() as writing:
        writing.append(SignInRecorded(operator, OUT))


def approve(node: Node, number: str, pin: str, act: Act, amount_minor: int = 0, base_minor: int = 0) -> Approval:
    """Let a second person allow an act with a PIN of their own.

    Raises what `sign_in` raises, and RefusalError `approver_not_allowed` (facts: act) for one whose role neither
    approves nor covers the amount.
    """
    known = _prove(node, number, pin, APPROVED)
    limits = limits_of(node, known.role)
    if not limits.approves or not may(limits, act, amount_minor, base_minor):
        raise RefusalError("approver_not_allowed", f"{known.name} may not allow this", act=act.value, name=known.name)
    return Approval(*known)


def sign_for(node: Node, number: str, pin: str) -> KnownOperator:
    """Prove by PIN that a person signs for something, such as a driver for a load; raises what `sign_in` raises."""
    return _prove(node, number, pin, APPROVED)


def unlock(node: Node, number: str, approver_number: str, approver_pin: str) -> None:
    """End a lockout at once, by someone who approves; raises what `approve` raises, and `sign_in_unknown`."""
    person = _find(node, number)
    known = _prove(node, approver_number, approver_pin, APPROVED)
    if not limits_of(node, known.role).approves:
        raise RefusalError("approver_not_allowed", f"{known.name} may not allow this", act="unlock", name=known.name)
    with node.write() as writing:
        writing.append(SignInRecorded(person.known.operator, UNLOCKED, known.operator))


def _prove(node: Node, number: str, pin: str, outcome: str) -> KnownOperator:
    """Check a PIN and record what came of it; an approval is recorded only where it ends a row of wrong PINs."""
    person = _find(node, number)
    operator = person.known.operator
    rules = setting(node, TillRules)
    with node.write() as writing:
        lock = _lock(node, writing, operator, rules)
        if lock.begins_now:
            writing.append(SignInRecorded(operator, LOCKED))
    _refuse_locked(lock)
    is_right = _is_pin(person.verifier, pin)
    with node.write() as writing:
        lock = _lock(node, writing, operator, rules)  # another till, or another window, may have locked meanwhile
        if not lock.left_ms and is_right:
            if outcome == IN or lock.wrongs:
                writing.append(SignInRecorded(operator, outcome))
        elif not lock.left_ms:
            writing.append(SignInRecorded(operator, WRONG))
            if lock.wrongs + 1 >= rules.wrong_pins_max:
                writing.append(SignInRecorded(operator, LOCKED))
                lock = _lock(node, writing, operator, rules)
    _refuse_locked(lock)
    if not is_right:
        left = rules.wrong_pins_max - lock.wrongs - 1
        raise RefusalError("pin_wrong", f"this PIN is wrong: {left} more tries", left=left)
    return person.known


def _refuse_locked(lock: _Lock) -> None:
    if lock.left_ms:
        minutes = -(-lock.left_ms // MINUTE_MS)
        raise RefusalError("locked_out", f"too many wrong PINs: locked for {minutes} minutes", minutes=minutes)


def _lock(node: Node, writing: Writing, operator: str, rules: TillRules) -> _Lock:
    rows = node.connection.execute(
        "SELECT outcome, writer, wall_ms, clock_epoch, hlc_ms FROM sign_in WHERE operator = ?"
        " ORDER BY hlc_ms, hlc_counter, writer, seq",
        (operator,),
    ).fetchall()
    return _judge((_Event(*row) for row in rows), rules, writing.stream().writer, writing.clock)


def _judge(events: Iterable[_Event], rules: TillRules, writer: str, clock: Clock) -> _Lock:
    bound_ms = clock.bound_ms()  # of the raw clock: its known offset is part of it
    known_ms = None if bound_ms is None else clock.offset_ms + max(0, bound_ms - abs(clock.offset_ms))
    wrongs = locks = 0
    is_locked = False
    since_ms: int | None = None
    for event in events:
        if event.outcome in _ENDS_A_LOCK:
            wrongs, locks, is_locked, since_ms = 0, 0, False, None
        elif event.outcome == WRONG:
            wrongs += 1
        elif event.outcome == LOCKED:
            if wrongs or not is_locked:
                locks, since_ms = locks + 1, None
            if (event.writer, event.clock_epoch) == (writer, clock.epoch):
                since_ms = event.wall_ms if since_ms is None else since_ms
            elif since_ms is None and known_ms is not None:
                since_ms = event.hlc_ms + known_ms
            wrongs, is_locked = 0, True
    if wrongs >= rules.wrong_pins_max:  # several tills that did not know of each other let too many tries pass
        is_locked, since_ms, locks = True, None, locks + 1
    if not is_locked:
        return _Lock(wrongs, 0, begins_now=False)
    minutes = min(rules.lockout_minutes << min(max(0, locks - 1), 10), max(LOCKOUT_MINUTES_MAX, rules.lockout_minutes))
    if since_ms is None:
        return _Lock(wrongs, minutes * MINUTE_MS, begins_now=True)
    return _Lock(wrongs, max(0, since_ms + minutes * MINUTE_MS - clock.wall_ms), begins_now=False)


def _find(node: Node, number: str) -> _Person:
    wanted = unicodedata.normalize("NFKC", number).strip()
    for person in _people(node):
        if person.known.number == wanted:
            return person
    raise RefusalError("sign_in_unknown", f"nobody with the number {wanted} works here", number=wanted[:32])


def _people(node: Node) -> list[_Person]:
    found: list[_Person] = []
    for secret in _secrets(node):
        defined = node.organisation.newest(node.connection, OperatorDefined, secret.operator)
        if defined is not None and defined.is_active and node.config.location in defined.locations:
            known = KnownOperator(defined.operator, defined.number, _name(secret, defined), defined.role)
            found.append(_Person(known, secret.verifier))
    return found


def _secrets(node: Node) -> tuple[OperatorSecret, ...]:
    node.organisation.refresh(node.connection)
    told = HeldStatements(node.connection).read(OPERATORS_TOPIC)
    return () if told is None else msgspec.msgpack.decode(told[0], type=OperatorSecrets).operators


def _name(secret: OperatorSecret, defined: OperatorDefined) -> str:
    try:
        return unseal(secret.key, secret.operator, defined.sealed_name)
    except CorruptionError:  # a name sealed anew under a key that the next exchange brings
        return defined.number


def _is_pin(verifier: str, pin: str) -> bool:
    typed = unicodedata.normalize("NFKC", pin).strip()
    try:
        Argon2id.verify_phc_encoded(typed.encode(), verifier)
    except (InvalidKey, ValueError):
        return False
    return True
