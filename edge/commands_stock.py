"""The verbs of stock work: receive, adjust, repack, conflicts, and what is on hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge import commands_transfer
from edge.command_options import (
    HERE,
    ApproverOption,
    GoodsArgument,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    StatedOption,
    goods_requests,
    open_node,
    print_recorded,
    shown_time,
    stated_time,
    write_json,
)
from schema.amounts import format_quantity, parse_money
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.resolving import Resolved


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command()(receive)
    app.command()(adjust)
    app.command()(repack)
    app.command()(stock)
    commands_transfer.add_to(app)
    resolve = typer.Typer(help="See and settle what the count rules could not.", no_args_is_help=True)
    resolve.command("list")(resolve_list)
    resolve.command("accept")(resolve_accept)
    resolve.command("void")(resolve_void)
    resolve.command("classify")(resolve_classify)
    app.add_typer(resolve, name="resolve")


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
            for one in goods_requests(opened, goods)
        ]  # fmt: skip
        recorded = receive_goods(
            opened, requests, supplier=supplier, document=document, operator=operator,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        print_recorded(recorded, as_json, "Received")


def adjust(
    reason: Annotated[str, typer.Argument(help="wastage, damage, own_use, theft, gift (out) or found (in).")],
    goods: GoodsArgument,
    node: NodeOption = HERE,
    document: Annotated[str, typer.Option(help="The paper's number.")] = "",
    at: StatedOption = "",
    operator: OperatorOption = "",
    approver: ApproverOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write goods off with a reason, or in where they were found, within what the operator's role may."""
    from edge.adjusting import adjust_goods

    with open_node(node) as opened:
        recorded = adjust_goods(
            opened, reason, goods_requests(opened, goods), operator=operator, approver=approver, document=document,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        print_recorded(recorded, as_json, "Adjusted")


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
        recorded = repack_now(
            opened, goods_requests(opened, goods), goods_requests(opened, into), operator=operator, note=note
        )
        print_recorded(recorded, as_json, "Repacked")


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
