"""The verbs of stock work: receive, adjust, repack, transfers, conflicts, and what is on hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.command_options import (
    HERE,
    GoodsArgument,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    StatedOption,
    open_node,
    parse_goods,
    shown_time,
    stated_time,
    write_json,
)
from schema.amounts import format_quantity, parse_money
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.node import Node
    from edge.resolving import Resolved
    from edge.stock import QuantityRequest, Recorded


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command()(receive)
    app.command()(adjust)
    app.command()(repack)
    app.command()(stock)
    transfer = typer.Typer(help="Send goods to another location and take them in there.", no_args_is_help=True)
    transfer.command("dispatch")(transfer_dispatch)
    transfer.command("receive")(transfer_receive)
    transfer.command("list")(transfer_list)
    transfer.command("paper")(transfer_paper)
    transfer.command("read-paper")(transfer_read_paper)
    app.add_typer(transfer, name="transfer")
    resolve = typer.Typer(help="See and settle what the count rules could not.", no_args_is_help=True)
    resolve.command("list")(resolve_list)
    resolve.command("accept")(resolve_accept)
    resolve.command("void")(resolve_void)
    resolve.command("classify")(resolve_classify)
    app.add_typer(resolve, name="resolve")


def _requests(node: Node, goods: list[str]) -> list[QuantityRequest]:
    from edge.stock import QuantityRequest

    found = [parse_goods(node, text) for text in goods]
    if any(one.price_minor is not None for one in found):
        raise RefusalError("goods_malformed", "a price has no place here")
    return [QuantityRequest(one.product, one.quantity_milli, one.unit) for one in found]


def _print_recorded(recorded: Recorded, as_json: bool, what: str) -> None:
    if as_json:
        write_json(recorded)
        return
    transfer = f" {recorded.transfer}" if recorded.transfer else ""
    typer.echo(f"{what}{transfer} [{recorded.entry}]")
    for product, quantity in recorded.moves:
        typer.echo(f"  {product}: {'+' if quantity > 0 else ''}{format_quantity(quantity)}")


def receive(
    goods: GoodsArgument,
    node: NodeOption = HERE,
    supplier: Annotated[str, typer.Option(help="Who delivered.")] = "",
    document: Annotated[str, typer.Option(help="The delivery note's number.")] = "",
    cost: Annotated[
        list[str] | None, typer.Option(help="PRODUCT=PRICE: what one base unit cost; repeat for each.")
    ] = None,
    at: StatedOption = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take goods from a supplier in."""
    from edge.acting import named_product
    from edge.stock import CostedRequest, receive_goods

    with open_node(node) as opened:
        costs: dict[str, int] = {}
        for text in cost or ():
            product, _, price = text.partition("=")
            try:
                costs[named_product(opened, product).code] = parse_money(price)
            except ValueError:
                raise RefusalError("cost_invalid", f"{text!r}: write PRODUCT=PRICE") from None
        requests = [
            CostedRequest(
                one.product, one.quantity_milli, one.unit,
                cost_minor=costs.get(named_product(opened, one.product).code),
            )
            for one in _requests(opened, goods)
        ]  # fmt: skip
        recorded = receive_goods(
            opened, requests, supplier=supplier, document=document, operator=operator,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        _print_recorded(recorded, as_json, "Received")


def adjust(
    reason: Annotated[str, typer.Argument(help="wastage, damage, own_use, theft, gift (out) or found (in).")],
    goods: GoodsArgument,
    node: NodeOption = HERE,
    document: Annotated[str, typer.Option(help="The paper's number.")] = "",
    at: StatedOption = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write goods off with a reason, or in where they were found."""
    from edge.stock import adjust_stock

    with open_node(node) as opened:
        recorded = adjust_stock(
            opened, reason, _requests(opened, goods), operator=operator, document=document,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        _print_recorded(recorded, as_json, "Adjusted")


def repack(
    goods: Annotated[list[str], typer.Argument(help="What is taken; then what is made, after --into.")],
    into: Annotated[list[str], typer.Option("--into", help="What is made of it; repeat for each.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Turn some goods into others: a hamper out of its parts, bottles out of a case."""
    from edge.stock import repack as repack_now

    with open_node(node) as opened:
        recorded = repack_now(opened, _requests(opened, goods), _requests(opened, into), operator=operator, note=note)
        _print_recorded(recorded, as_json, "Repacked")


def stock(
    product: Annotated[str | None, typer.Argument(help="A product by code or barcode; all without.")] = None,
    node: NodeOption = HERE,
    why: Annotated[str | None, typer.Option("--why", help="Explain this product's figure.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is on hand, or why a figure is what it is."""
    from edge.stock import on_hand
    from edge.stock import why as explain
    from sync.explanation import explanation_lines

    with open_node(node) as opened:
        if why is not None:
            told = explain(opened, why)
            if as_json:
                write_json(told)
            else:
                for line in explanation_lines(told, lambda moment_ms: shown_time(opened, moment_ms)):
                    typer.echo(line)
            return
        rows = on_hand(opened, product)
        if as_json:
            write_json(rows)
            return
        for row in rows:
            spread = "" if row.lo == row.hi else f" ({format_quantity(row.lo)} to {format_quantity(row.hi)})"
            mark = "  below zero" if row.is_negative else ""
            typer.echo(f"{row.product}\t{format_quantity(row.value)}{spread} {row.unit}\t{row.name}{mark}")


def transfer_dispatch(
    destination: Annotated[str, typer.Argument(metavar="TO", help="The location that the goods go to.")],
    goods: GoodsArgument,
    node: NodeOption = HERE,
    transfer: Annotated[str, typer.Option(help="The transfer's number, where one is given already.")] = "",
    document: Annotated[str, typer.Option(help="The paper's number.")] = "",
    at: StatedOption = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send goods to another location; it is told with the next exchange."""
    from edge.stock import dispatch_transfer

    with open_node(node) as opened:
        recorded = dispatch_transfer(
            opened, destination, _requests(opened, goods), transfer=transfer, operator=operator, document=document,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        _print_recorded(recorded, as_json, "Dispatched")


def transfer_receive(
    transfer: Annotated[str, typer.Argument(metavar="ID", help="The transfer's number.")],
    goods: Annotated[list[str] | None, typer.Argument(help="What came; all that is on the road without.")] = None,
    node: NodeOption = HERE,
    origin: Annotated[str, typer.Option("--from", help="The sending location, where no notice is here yet.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="More of it is still to come.")] = False,
    document: Annotated[str, typer.Option(help="The paper's number.")] = "",
    at: StatedOption = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take the goods of a transfer in; works before its notice is here."""
    from edge.stock import receive_transfer

    with open_node(node) as opened:
        recorded = receive_transfer(
            opened, transfer, _requests(opened, goods) if goods else None, origin=origin, is_final=not partial,
            operator=operator, document=document, stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        _print_recorded(recorded, as_json, "Received")


def transfer_paper(
    dispatch: Annotated[str, typer.Argument(metavar="ID", help="The transfer's number, or the dispatch's entry.")],
    node: NodeOption = HERE,
    pictures: Annotated[Path | None, typer.Option(help="A folder for the pages' QR codes as PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the driver takes along: QR pages with which the other shop can take the goods in offline."""
    from edge.papers import paper_pages, save_pages

    with open_node(node) as opened:
        papers = paper_pages(opened, dispatch)
    if pictures is not None:
        for path in save_pages(papers, pictures):
            typer.echo(str(path))
    elif as_json:
        write_json(papers)
    else:
        for page in (page for pages in papers for page in pages):
            typer.echo(page)


def transfer_read_paper(
    node: NodeOption = HERE,
    receive: Annotated[bool, typer.Option(help="Take everything in at once.")] = False,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Read a paper's pages from a scanner or standard input, a page a line, until it is whole; nothing is posted."""
    from edge.papers import PaperScanner, read_paper, receive_by_paper

    scanner, pages = PaperScanner(), list[str]()
    for line in sys.stdin:
        if scanner.scan(line):
            pages.append(line)
            if scanner.is_complete:
                break
        elif line.strip():
            typer.echo(f"edgetill: this is no page of a transfer's paper: {line.strip()[:20]}", err=True)
    with open_node(node) as opened:
        paper = read_paper(opened, pages)
        if receive:
            _print_recorded(receive_by_paper(opened, paper, operator=operator), as_json, "Received")
            return
        if as_json:
            write_json(paper)
            return
        typer.echo(f"{paper.transfer} from {paper.origin}")
        for told in paper.lines:
            lot = f"  {told.lot}" if told.lot else ""
            typer.echo(f"{format_quantity(told.quantity_milli)} {told.unit}\t{told.product}\t{told.name}{lot}")


def transfer_list(
    node: NodeOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Also what has arrived.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is on the road from or to this location, with its age."""
    from edge.stock import transfers_on_road
    from sync.explanation import spell_age

    with open_node(node) as opened:
        rows = transfers_on_road(opened, with_settled=everything)
        if as_json:
            write_json(rows)
            return
        for row in rows:
            age = "no note yet" if row.age_ms is None else f"{spell_age(row.age_ms)} ago"
            problem = f"  {row.problem}" if row.problem else ""
            typer.echo(
                f"{row.transfer}\t{row.origin or '?'} → {row.destination or '?'}\t{row.product}\t"
                f"{format_quantity(row.transit_milli)} of {format_quantity(row.dispatched_milli)} on the road, "
                f"{age}{problem}"
            )


def resolve_list(
    node: NodeOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Also what a rule has settled.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what waits for a person, in sentences."""
    from edge.resolving import conflicts

    with open_node(node) as opened:
        told = conflicts(opened, with_settled=everything)
        if as_json:
            write_json(told)
            return
        for one in told:
            typer.echo(f"{one.status}\t{one.code}\t{one.product}\t{one.sentence}")
            if one.references:
                typer.echo(f"  {' '.join(one.references)}")


def _print_resolved(resolved: Resolved, as_json: bool, what: str) -> None:
    if as_json:
        write_json(resolved)
    else:
        typer.echo(f"{what} {resolved.target} as {resolved.role} [{resolved.entry}]")


def resolve_accept(
    product: Annotated[str, typer.Argument(help="The product.")],
    observation: Annotated[str, typer.Argument(help="The count to believe: its entry or its session.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Believe one of several counts."""
    from edge.resolving import accept_count

    with open_node(node) as opened:
        done = accept_count(opened, product, observation, operator=operator, note=note)
        _print_resolved(done, as_json, "Accepted")


def resolve_void(
    entry: Annotated[str, typer.Argument(help="The wrong entry, or a line of it (ENTRY#LINE), or a receipt.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a wrong entry out of stock; voiding the void brings it back."""
    from edge.resolving import void_entry

    with open_node(node) as opened:
        _print_resolved(void_entry(opened, entry, operator=operator, note=note), as_json, "Voided")


def resolve_classify(
    movement: Annotated[str, typer.Argument(help="The movement's entry.")],
    observation: Annotated[str, typer.Argument(help="The count.")],
    relation: Annotated[str, typer.Argument(help="before (the count holds it) or after.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say whether a movement came before or after a count."""
    from edge.resolving import classify_movement

    with open_node(node) as opened:
        done: Any = classify_movement(opened, movement, observation, relation, operator=operator, note=note)
        _print_resolved(done, as_json, f"Placed {relation.lower()} the count:")
