"""The verbs that put goods aside and give rights to others."""

from __future__ import annotations

from typing import Annotated

import typer

from edge.command_options import (
    GOODS_HELP,
    HERE,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    open_node,
    parse_goods,
    shown_time,
    write_json,
)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Put goods aside, and give others the right to.", no_args_is_help=True)
    verbs.command("add")(add)
    verbs.command("list")(list_open)
    verbs.command("end")(end)
    verbs.command("grant")(grant)
    verbs.command("left")(left)
    app.add_typer(verbs, name="reserve")


def add(
    goods: Annotated[str, typer.Argument(help=GOODS_HELP)],
    until: Annotated[str, typer.Option(help="Until when, such as 2026-11-23T18:00; without end if left out.")] = "",
    customer: Annotated[str, typer.Option(help="For whom, by the customer's id.")] = "",
    document: Annotated[str, typer.Option(help="What it stands for, such as a web order's number.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Put goods aside: nobody else promises them; a sale of goods in the hand is never refused."""
    from edge.clock_source import parse_time
    from edge.reserving import reserve

    with open_node(node) as opened:
        wanted = parse_goods(opened, goods)
        until_ms = parse_time(until, opened.config.time_zone) if until else 0
        made = reserve(
            opened, wanted.product, wanted.quantity_milli, unit=wanted.unit, until_ms=until_ms, customer=customer,
            document=document, operator=operator, note=note,
        )  # fmt: skip
    if as_json:
        write_json(made)
    else:
        typer.echo(made.promise)


def list_open(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show what is put aside at this location, the first to end first."""
    from edge.reserving import reservations

    with open_node(node) as opened:
        found = reservations(opened)
        if as_json:
            write_json(found)
            return
        for one in found:
            until = f"until {shown_time(opened, one.until_ms)}" if one.until_ms else "without end"
            late = "  OVERDUE" if one.is_overdue else ""
            whom = f"  {one.customer or one.document}" if one.customer or one.document else ""
            typer.echo(f"{one.promise}  {one.quantity_milli / 1000:g} {one.product}  {until}{whom}{late}")


def end(
    promise: Annotated[str, typer.Argument(help="Which, as `reserve list` shows it.")],
    outcome: Annotated[str, typer.Argument(help="fulfilled, cancelled or expired.")],
    document: Annotated[str, typer.Option(help="The receipt that fulfilled it.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
) -> None:
    """Say that goods which were put aside were handed over, or are free again."""
    from edge.reserving import end_reservation

    with open_node(node) as opened:
        typer.echo(end_reservation(opened, promise, outcome, operator=operator, document=document, note=note))


def grant(
    goods: Annotated[str, typer.Argument(help=GOODS_HELP)],
    holder: Annotated[str, typer.Argument(help="Whom: another node's id, or hub for web orders.")],
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
) -> None:
    """Give another node the right to promise goods of this location."""
    from edge.reserving import grant_right

    with open_node(node) as opened:
        wanted = parse_goods(opened, goods)
        typer.echo(grant_right(opened, wanted.product, wanted.quantity_milli, holder, operator=operator, note=note))


def left(
    product: Annotated[str, typer.Argument(help="The product's code or barcode.")],
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what may still be promised of a product, and who holds the right to how much."""
    from edge.reserving import availability

    with open_node(node) as opened:
        found = availability(opened, product)
    if as_json:
        write_json(found)
        return
    typer.echo(f"{found.available / 1000:g} of {found.product} may be promised here ({found.promised / 1000:g} are)")
    for writer, quantity in found.held_elsewhere:
        typer.echo(f"  {writer}\t{quantity / 1000:g}")
