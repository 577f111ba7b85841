"""Owns what goes aboard a van and comes off it: transfers with the warehouse, for which the driver signs by PIN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edge.node import Node
from edge.papers import TransferPaper, receive_by_paper
from edge.signing_in import sign_for
from edge.stock import QuantityRequest, Recorded, TransferOnRoad, dispatch_transfer, on_hand, receive_transfer
from edge.stock import transfers_on_road as _on_road
from edge.van_route import home_of
from schema.errors import RefusalError


class Load(NamedTuple):
    """A transfer that is on its way to this van: what was sent and has not been taken aboard yet."""

    transfer: str
    origin: str
    dispatched_ms: int | None
    lines: tuple[TransferOnRoad, ...]


def loads(node: Node) -> list[Load]:
    """Return what was sent to this location and is not aboard yet, the oldest first."""
    by_transfer: dict[str, list[TransferOnRoad]] = {}
    for row in _on_road(node):
        if row.destination == node.config.location and row.awaited_milli > 0:
            by_transfer.setdefault(row.transfer, []).append(row)
    return [
        Load(transfer, rows[0].origin, rows[0].dispatched_ms, tuple(rows)) for transfer, rows in by_transfer.items()
    ]


def load_out(
    node: Node, van: str, requests: Sequence[QuantityRequest], *, driver: str, pin: str, operator: str = "",
    transfer: str = "", document: str = "",
) -> Recorded:  # fmt: skip
    """Hand goods to a van at the warehouse; the driver signs for them here, by number and PIN.

    Raises what `sign_in` and `dispatch_transfer` raise.
    """
    signed = sign_for(node, driver, pin)
    return dispatch_transfer(
        node, van, requests, transfer=transfer, operator=operator or signed.operator, document=document,
        note=f"signed_by:{signed.operator}",
    )  # fmt: skip


def take_aboard(
    node: Node, transfer: str, requests: Sequence[QuantityRequest] | None = None, *, origin: str = "", driver: str,
    pin: str, is_final: bool = True,
) -> Recorded:  # fmt: skip
    """Take a load aboard: all that its notice says, or what is named; the driver signs for it by number and PIN.

    Before its notice has come, say what came and from where. Raises what `sign_in` and `receive_transfer` raise.
    """
    signed = sign_for(node, driver, pin)
    return receive_transfer(
        node, transfer, requests, origin=origin, is_final=is_final, operator=signed.operator,
        note=f"signed_by:{signed.operator}",
    )  # fmt: skip


def take_aboard_by_paper(node: Node, paper: TransferPaper, *, driver: str, pin: str) -> Recorded:
    """Take a load aboard by its paper, where no line has brought its notice; a paper is used once."""
    signed = sign_for(node, driver, pin)
    return receive_by_paper(node, paper, operator=signed.operator)


def aboard(node: Node) -> list[QuantityRequest]:
    """Return all that is aboard by the book, as a transfer back would name it."""
    return [QuantityRequest(one.product, one.value) for one in on_hand(node) if one.value > 0]


def unload(
    node: Node, requests: Sequence[QuantityRequest] | None = None, *, to: str = "", operator: str = "", note: str = ""
) -> Recorded:
    """Send goods back to the warehouse, all that is aboard where none are named; what stays aboard needs nothing.

    Raises RefusalError `warehouse_unknown` where nobody said which, and `goods_missing` where nothing is aboard.
    """
    where = to or home_of(node)
    if not where:
        raise RefusalError("warehouse_unknown", "say to which warehouse the goods go back")
    wanted = aboard(node) if requests is None else requests
    if not wanted:
        raise RefusalError("goods_missing", "nothing is aboard that could be unloaded")
    return dispatch_transfer(node, where, wanted, operator=operator, note=note)
