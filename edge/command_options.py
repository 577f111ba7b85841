"""What the verbs of a node share: its option, how goods are written on a command line, and how answers are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import typer

from schema.amounts import format_quantity, parse_money, parse_quantity
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.clock_source import ClockSource
    from edge.node import Node
    from edge.stock import QuantityRequest, Recorded

NodeOption = Annotated[Path, typer.Option("--node", envvar="EDGETILL_NODE", help="The node's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for a script.")]
OperatorOption = Annotated[
    str, typer.Option("--operator", envvar="EDGETILL_OPERATOR", help="Who does this, by the operator's id.")
]
ApproverOption = Annotated[str, typer.Option("--approver", help="Who allowed it, by the operator's id.")]
StatedOption = Annotated[
    str, typer.Option("--at", help="When it really happened, for paper keyed in later: 2026-11-23T06:00.")
]
NoteOption = Annotated[str, typer.Option("--note", help="A remark that stays with the entry.")]
GOODS_HELP = "PRODUCT, QTY*PRODUCT or PRODUCT*QTY by code or barcode, PRODUCT/UNIT for a case; repeat."
GoodsArgument = Annotated[list[str], typer.Argument(help=GOODS_HELP)]
HERE = Path("node")


def open_node(directory: Path, clock: ClockSource | None = None) -> Node:
    """Open the node of a directory with the machine's clock, or the scripted one of EDGETILL_CLOCK."""
    from edge.clock_source import clock_from_environment
    from edge.node import Node

    return Node(directory, clock=clock or clock_from_environment())


class Goods(NamedTuple):
    """One argument of a command line: what, how much (thousandths of the unit), and a price where one is given."""

    product: str
    quantity_milli: int
    unit: str
    price_minor: int | None


def parse_goods(node: Node, text: str) -> Goods:
    """Read `P0001`, `2*P0001`, `P0001*2`, `2*P0001/case`, each with `@12.80`.

    Where both sides of the star are numbers, the one that the catalogue knows is the product.
    """
    from edge.catalog import find_product

    rest, at, price = text.partition("@")
    price_minor: int | None = None
    if at:
        try:
            price_minor = parse_money(price)
        except ValueError:
            raise RefusalError("goods_malformed", f"{text!r}: write a price after @, such as P0001@12.80") from None
    left, star, right = rest.partition("*")
    if not star:
        product, quantity = left, 1000
    else:
        sides = [(right, _quantity(left)), (left, _quantity(right))]
        readable = [(name, found) for name, found in sides if found is not None and name.strip()]
        if not readable:
            raise RefusalError("goods_malformed", f"{text!r}: write QTY*PRODUCT, such as 2*P0001")
        known = [one for one in readable if find_product(node, _split(one[0])[0]) is not None]
        product, quantity = (known or sorted(readable, key=lambda one: -len(one[0])))[0]
    name, unit = _split(product)
    if not name:
        raise RefusalError("goods_malformed", f"{text!r} names no product")
    return Goods(name, quantity, unit, price_minor)


def _split(product: str) -> tuple[str, str]:
    name, _, unit = product.strip().partition("/")
    return name.strip(), unit.strip()


def _quantity(text: str) -> int | None:
    try:
        return parse_quantity(text)
    except ValueError:
        return None


def stated_time(node: Node, text: str) -> tuple[int, int] | None:
    """Read a stated time: the minute that a person names."""
    from edge.clock_source import parse_time

    if not text:
        return None
    moment = parse_time(text, node.config.time_zone)
    return moment, moment


def shown_time(node: Node, moment_ms: int) -> str:
    """Write a moment as the location's wall clock shows it."""
    from edge.clock_source import local_time

    return local_time(moment_ms, node.config.time_zone).strftime("%Y-%m-%d %H:%M:%S")


def write_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())


def goods_requests(node: Node, goods: list[str]) -> list[QuantityRequest]:
    """Read the goods of a verb of stock work; raises RefusalError `goods_malformed` where a price is given."""
    from edge.stock import QuantityRequest

    found = [parse_goods(node, text) for text in goods]
    if any(one.price_minor is not None for one in found):
        raise RefusalError("goods_malformed", "a price has no place here")
    return [QuantityRequest(one.product, one.quantity_milli, one.unit) for one in found]


def print_recorded(recorded: Recorded, as_json: bool, what: str) -> None:
    """Print what a verb of stock work recorded."""
    if as_json:
        write_json(recorded)
        return
    transfer = f" {recorded.transfer}" if recorded.transfer else ""
    typer.echo(f"{what}{transfer} [{recorded.entry}]")
    for product, quantity in recorded.moves:
        typer.echo(f"  {product}: {'+' if quantity > 0 else ''}{format_quantity(quantity)}")
