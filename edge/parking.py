"""Owns baskets that wait: parked for any till of the shop (挂单), and the draft that survives a crash of this one.

A parked basket is an entry, and so is its taking: two tills that take one while they cannot talk both sell on, and both
see it afterwards. Names of people stay out of it: who the member is stands there by the person's id alone.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from edge.acting import check_permission
from edge.allowing import allow
from edge.basket import Basket, Member, PricedBasket, PricedLine, price_basket
from edge.limits import Act
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.tendering import completed_attempt
from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.base import Permission
from schema.kinds.tills import BasketParked, BasketTaken, LineVoided
from schema.rules.card_numbers import refuse_card_number

FORM: Final = 1
"""How a basket is written; a till that does not know a form leaves the basket to those that do."""
DRAFT_FILE: Final = "basket.draft"
RECALLED, DROPPED = "recalled", "dropped"
VOIDED, CLEARED = "voided", "cleared"
_decode: Final = msgspec.msgpack.Decoder(tuple[int, Basket]).decode
_decode_draft: Final = msgspec.msgpack.Decoder(tuple[int, str, Basket]).decode


class ParkedBasket(NamedTuple):
    """A basket that waits: who put it aside at which till and when, under what label."""

    basket: str
    label: str
    total_minor: int
    operator: str
    writer: str
    wall_ms: int


class Taking(NamedTuple):
    """A parked basket left the list: recalled or dropped, by whom at which till."""

    basket: str
    operator: str
    outcome: str
    writer: str
    wall_ms: int


# Parked baskets.


def _written(basket: Basket) -> Basket:
    """Return a basket as it may be kept: of a member the random id and tier alone."""
    if basket.member is None:
        return basket
    return msgspec.structs.replace(basket, member=Member(basket.member.person, "", "", basket.member.tier))


def park(
    node: Node, basket: Basket, *, operator: str = "", label: str = "", priced: PricedBasket | None = None,
    prints: bool = False,
) -> str:  # fmt: skip
    """Put a basket aside for any till of the shop; returns the name under which it is recalled.

    Raises RefusalError `basket_empty`.
    """
    if basket.is_empty:
        raise RefusalError("basket_empty", "there is nothing to put aside")
    refuse_card_number(label, lambda _: False)
    priced = priced or price_basket(node, basket)
    name = f"{node.config.till}-{secrets.token_hex(4)}"
    content = encode((FORM, _written(basket)))
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        entry = writing.append(BasketParked(name, operator, label[:60], priced.total_minor, content))
        if prints:
            queue_receipt(writing, str(entry.id))
    return name


_PARKED: Final = (
    "SELECT p.basket, p.label, p.total_minor, p.operator, t.node || '.' || t.incarnation, p.wall_ms"
    " FROM parked_basket p JOIN stream t ON t.scope_no = p.scope_no AND t.stream_no = p.stream_no"
)


def parked(node: Node) -> list[ParkedBasket]:
    """List the baskets that wait at this location, the newest first."""
    rows = node.connection.execute(
        f"{_PARKED} WHERE NOT EXISTS (SELECT 1 FROM taken_basket k WHERE k.basket = p.basket)"
        " ORDER BY p.wall_ms DESC, p.basket"
    ).fetchall()
    return [ParkedBasket(*row) for row in rows]


def parked_count(node: Node) -> int:
    """Count the baskets that wait at this location."""
    row = node.connection.execute(
        "SELECT count(*) FROM parked_basket p WHERE NOT EXISTS (SELECT 1 FROM taken_basket k WHERE k.basket = p.basket)"
    ).fetchone()
    return int(row[0])


def takings(node: Node, basket: str) -> list[Taking]:
    """List who took a parked basket, in the order in which they did as far as it is known."""
    rows = node.connection.execute(
        "SELECT k.basket, k.operator, k.outcome, t.node || '.' || t.incarnation, k.wall_ms FROM taken_basket k"
        " JOIN stream t ON t.scope_no = k.scope_no AND t.stream_no = k.stream_no WHERE k.basket = ?"
        " ORDER BY k.hlc_ms, k.hlc_counter, t.node, k.seq",
        (basket,),
    ).fetchall()
    return [Taking(*row) for row in rows]


def taken_twice(node: Node, since_ms: int = 0) -> list[list[Taking]]:
    """List the parked baskets that several tills recalled, with all their takings: one of them sold it again."""
    rows = node.connection.execute(
        "SELECT basket FROM taken_basket WHERE outcome = ? GROUP BY basket"
        " HAVING count(*) > 1 AND max(wall_ms) >= ? ORDER BY max(wall_ms) DESC",
        (RECALLED, since_ms),
    ).fetchall()
    return [takings(node, basket) for (basket,) in rows]


def recall(node: Node, basket: str, *, operator: str = "") -> Basket:
    """Take a parked basket up at this till.

    Raises RefusalError `basket_unknown`, `basket_taken` (another till, or this one, took it: facts operator, outcome)
    or `basket_newer` (a newer release parked it).
    """
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        content = _content(node, basket)
        taken = takings(node, basket)
        if taken:
            raise RefusalError(
                "basket_taken", f"this basket was taken already, by {taken[0].operator or taken[0].writer}",
                operator=taken[0].operator, outcome=taken[0].outcome, writer=taken[0].writer,
            )  # fmt: skip
        found = read_basket(content)
        writing.append(BasketTaken(basket, operator, RECALLED))
    return found


def drop(node: Node, basket: str, *, operator: str = "", approver: str = "") -> None:
    """Give a parked basket up; its lines count as voided.

    Raises what `recall` raises, and RefusalError `approval_needed` where voiding them needs a second person.
    """
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        content = _content(node, basket)
        taken = takings(node, basket)
        if taken:
            raise RefusalError("basket_taken", "this basket was taken already", operator=taken[0].operator,
                               outcome=taken[0].outcome, writer=taken[0].writer)  # fmt: skip
        for line in price_basket(node, read_basket(content)).lines:
            allowed = allow(node, operator, (approver,), Act.VOID, line.amount_minor)
            writing.append(_voided(line, DROPPED, operator, allowed))
        writing.append(BasketTaken(basket, operator, DROPPED))


def _content(node: Node, basket: str) -> bytes:
    row = node.connection.execute(
        "SELECT content FROM parked_basket WHERE basket = ? ORDER BY scope_no, stream_no, seq", (basket,)
    ).fetchone()
    if row is None:
        raise RefusalError("basket_unknown", f"no basket {basket} is parked here", basket=basket)
    return bytes(row[0])


def read_basket(content: bytes) -> Basket:
    """Read a parked basket's content; raises RefusalError `basket_newer`."""
    try:
        form, basket = _decode(content)
    except msgspec.MsgspecError:
        form, basket = 0, Basket()
    if form != FORM:
        raise RefusalError("basket_newer", "a till with a newer release parked this basket: take it up there")
    return basket


# Voids.


def record_voids(
    node: Node, lines: Sequence[PricedLine], *, operator: str = "", approver: str = "", act: str = VOIDED
) -> None:
    """Record lines that left a basket before it was paid for: voided one by one, or cleared together.

    Raises RefusalError `approval_needed` where a line is above the operator's limit.
    """
    if not lines:
        return
    allowed = [allow(node, operator, (approver,), Act.VOID, line.amount_minor) for line in lines]
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        for line, who in zip(lines, allowed, strict=True):
            writing.append(_voided(line, act, operator, who))


def _voided(line: PricedLine, act: str, operator: str, approver: str) -> LineVoided:
    goods = line.line
    return LineVoided(act, operator, goods.product, goods.quantity_milli, line.amount_minor, approver)


# The draft.


class Draft(NamedTuple):
    """What a till had in hand when it ended. `sold` is the receipt number where its payment had gone through."""

    basket: Basket
    sold: str


def keep_draft(directory: Path, basket: Basket, attempt: str = "") -> None:
    """Write down what this till has in hand, so that it survives the program; an empty basket takes it away.

    It is written whole or not at all, and not forced to the disk: a scan must not wait for that. `attempt` is the
    tender's, from when the tender screen opens: by it a restart tells a basket that was paid from one that was not.
    """
    path = directory / DRAFT_FILE
    if basket.is_empty:
        path.unlink(missing_ok=True)
        return
    content = encode((FORM, attempt, _written(basket)))
    temporary = path.with_suffix(".new")
    try:
        temporary.touch(mode=0o600)
        temporary.write_bytes(zlib.crc32(content).to_bytes(4, "big") + content)
        temporary.replace(path)
    except OSError:  # a full disk loses no sale: the draft is a comfort
        temporary.unlink(missing_ok=True)


def _read_draft(directory: Path) -> tuple[str, Basket] | None:
    try:
        written = (directory / DRAFT_FILE).read_bytes()
    except OSError:
        return None
    content = written[4:]
    if len(written) < 5 or zlib.crc32(content).to_bytes(4, "big") != written[:4]:
        return None
    try:
        form, attempt, basket = _decode_draft(content)
    except msgspec.MsgspecError:
        return None
    return (attempt, basket) if form == FORM else None


def read_draft(directory: Path) -> Basket | None:
    """Return the basket that was in hand; None where there is none that can be read."""
    read = _read_draft(directory)
    return None if read is None else read[1]


def restore_draft(node: Node) -> Draft | None:
    """Return what this till had in hand when it ended, and whether it had been paid: then it must not be sold again."""
    read = _read_draft(node.directory)
    if read is None:
        return None
    attempt, basket = read
    sold = completed_attempt(node, attempt)
    return Draft(basket, "" if sold is None else sold.receipt_number)
