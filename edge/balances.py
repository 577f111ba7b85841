"""Balances that span locations, as this node knows them: what the hub told of elsewhere, and what happened here since.

The hub's statement names the cut up to which it includes each writer's entries; of the entries that are here, those
above that cut are added. So a spend at this till counts at once, offline too, and none counts twice after a sync.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edge.node import Node
from schema.rows import BalanceKind
from sync.elsewhere import BALANCES, BalancesTold, HeldStatements


class BalanceFigure(NamedTuple):
    """A balance in minor units, points or uses. `amount` is all of it, `own_amount` the part since the hub's statement.

    `elsewhere_as_of_ms` is the time, by the hub's clock, up to which other locations are included; None for a node
    that the hub has told nothing yet: then only what is here is known.
    """

    amount: int
    elsewhere_as_of_ms: int | None
    own_amount: int

    def age_ms(self, now_ms: int) -> int | None:
        """Return how old what is known of elsewhere is; None where nothing is."""
        return None if self.elsewhere_as_of_ms is None else max(0, now_ms - self.elsewhere_as_of_ms)


def balance(node: Node, kind: BalanceKind, subject: str) -> BalanceFigure:
    """Return a balance; of a member or customer `subject` is the person's id, else a card's or coupon's code."""
    held = HeldStatements(node.connection).read(BALANCES, subject)
    told = None if held is None else msgspec.msgpack.decode(held[0], type=BalancesTold)
    cut = {(scope, writer): seq for scope, writer, seq in told.cut} if told else {}
    own = sum(
        int(amount)
        for scope, writer, seq, amount in node.connection.execute(
            "SELECT s.scope, t.node || '.' || t.incarnation, m.seq, m.amount FROM balance_move m"
            " JOIN scope s ON s.scope_no = m.scope_no"
            " JOIN stream t ON t.scope_no = m.scope_no AND t.stream_no = m.stream_no"
            " WHERE m.balance = ? AND m.subject = ?",
            (kind.value, subject),
        ).fetchall()
        if int(seq) > cut.get((scope, writer), 0)
    )
    if told is None:
        return BalanceFigure(own, None, own)
    elsewhere = sum(
        amount for balance_of, about, amount in told.amounts if (balance_of, about) == (kind.value, subject)
    )
    return BalanceFigure(elsewhere + own, confirmed_ms(node, BALANCES, told.as_of_ms), own)


def confirmed_ms(node: Node, family: str, as_of_ms: int) -> int:
    """Return the time up to which statements hold: their own, or later where the hub has since said so."""
    row = node.connection.execute("SELECT as_of_ms FROM elsewhere_confirmed WHERE family = ?", (family,)).fetchone()
    return as_of_ms if row is None else max(as_of_ms, int(row[0]))
