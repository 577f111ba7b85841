"""The verbs of stock work: receive, adjust, repack, counts, conflicts, and what is on hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge import commands_transfer
from edge.command_options import (
    GOODS_HELP,
    HERE,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    StatedOption,
    goods_requests,
    open_node,
    parse_goods,
    print_recorded,
    shown_time,
    stated_time,
    write_json,
)
from edge.commands_asked import count_asked
from schema.amounts import format_quantity, parse_money
from schema.errors import RefusalError
from schema.files import read_given

if TYPE_CHECKING:
    from edge.counting import RecordedCount
    from edge.node import Node
    from edge.resolving import Resolved

GoodsArgument = Annotated[list[str], typer.Argument(help=GOODS_HELP)]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command()(receive)
    app.command()(adjust)
    app.command()(repack)
    app.command()(stock)
    commands_transfer.add_to(app)
    count = typer.Typer(help="Count the shelf: product by product, or in a session by zones.", no_args_is_help=True)
    count.command("open")(count_open)
    count.command("line")(count_line)
    count.command("post")(count_post)
    count.command("close")(count_close)
    count.command("import")(count_import)
    count.command("list")(count_list)
    count.command("asked")(count_asked)
    count.command("variances")(count_variances)
    app.add_typer(count, name="count")
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
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write goods off with a reason, or in where they were found."""
    from edge.stock import adjust_stock

    with open_node(node) as opened:
        recorded = adjust_stock(
            opened, reason, goods_requests(opened, goods), operator=operator, document=document,
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


def count_open(
    node: NodeOption = HERE,
    zone: Annotated[list[str] | None, typer.Option(help="A zone that must have a line; repeat.")] = None,
    product: Annotated[list[str] | None, typer.Option(help="A product to be counted; repeat.")] = None,
    session: Annotated[str, typer.Option(help="A name for the count; one is given without.")] = "",
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Begin a count by zones."""
    from edge.counting import open_session

    with open_node(node) as opened:
        begun = open_session(opened, zone or (), product or (), operator=operator, session=session)
        if as_json:
            write_json(begun)
        else:
            typer.echo(f"Opened {begun.session}: zones {', '.join(begun.zones) or 'none'}")


def count_line(
    goods: GoodsArgument,
    node: NodeOption = HERE,
    session: Annotated[str, typer.Option(help="The count that the line belongs to.")] = "",
    zone: Annotated[str, typer.Option(help="Where it was seen.")] = "",
    absorbs: Annotated[
        list[str] | None, typer.Option(help="A delivery, transfer or entry already on the shelf, not yet keyed.")
    ] = None,
    not_absorbs: Annotated[
        list[str] | None, typer.Option(help="One that is keyed but not on the shelf, such as a return.")
    ] = None,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Count products. Without a session each is recorded at once; in a session lines add up until it is closed."""
    from edge.counting import RecordedCount, count_product

    with open_node(node) as opened:
        found = [parse_goods(opened, text) for text in goods]
        if session and (absorbs or not_absorbs):
            raise RefusalError("count_declares", "declarations go with a count outside a session")
        done = []
        for one in found:
            named = _with_unit(opened, one.product, one.unit, one.quantity_milli)
            done.append(
                count_product(
                    opened, named[0], named[1], session=session, zone=zone, operator=operator,
                    absorbs=absorbs or (), not_absorbs=not_absorbs or (),
                )
            )  # fmt: skip
        if as_json:
            write_json(done)
            return
        for line in done:
            if isinstance(line, RecordedCount):
                _print_counts(opened, (line,))
            else:
                typer.echo(f"{line.product}: {format_quantity(line.quantity_milli)} so far in {line.zone or session}")


def _with_unit(node: Node, product: str, unit: str, quantity_milli: int) -> tuple[str, int]:
    """Bring a quantity of a named unit into base units."""
    from edge.acting import base_quantity, named_product

    if not unit:
        return product, quantity_milli
    named = named_product(node, product, unit)
    return named.code, base_quantity(named, quantity_milli)


def _print_counts(node: Node, counts: tuple[RecordedCount, ...]) -> None:
    from edge.counting import count_variances as variances

    reported = {one.product: one for one in variances(node, [count.product for count in counts])}
    for count in counts:
        found = reported.get(count.product)
        variance = (
            ""
            if found is None or found.observation != count.observation
            else (f", counted minus book {format_quantity(found.variance_milli)}")
        )
        typer.echo(f"Counted {count.product}: {format_quantity(count.quantity_milli)}{variance} [{count.entry}]")
    if any(count.is_clock_doubtful for count in counts):
        typer.echo("This node's clock is doubtful: it may not be possible to order the count against late sales.")


def count_post(
    session: Annotated[str, typer.Argument(help="The count.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record the lines of a session that wait at this till; another till may close it."""
    from edge.counting import record_looks

    with open_node(node) as opened:
        recorded = record_looks(opened, session, operator=operator)
        if as_json:
            write_json(recorded)
        else:
            _print_counts(opened, recorded)


def count_close(
    session: Annotated[str, typer.Argument(help="The count.")],
    node: NodeOption = HERE,
    confirm_zeros: Annotated[
        bool, typer.Option("--confirm-zeros", help="There is none of the products without a line.")
    ] = False,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a count. Products without a line are listed first (未盘); confirm that there are none of them."""
    from edge.counting import close_session

    with open_node(node) as opened:
        closed = close_session(opened, session, operator=operator, confirm_zeros=confirm_zeros)
        if as_json:
            write_json(closed)
        elif closed.is_closed:
            _print_counts(opened, closed.recorded)
            typer.echo(f"Closed {session}")
        else:
            for line in closed.missing:
                typer.echo(f"not counted: {line.product} {line.name}{f' in {line.zone}' if line.zone else ''}")
        if not closed.is_closed:
            raise RefusalError(
                "zeros_unconfirmed",
                f"{len(closed.missing)} lines are missing: count them, or say --confirm-zeros if there are none",
            )


def count_import(
    file: Annotated[Path, typer.Argument(help="CSV or Excel: product, quantity and, in a session, zone.")],
    node: NodeOption = HERE,
    session: Annotated[str, typer.Option(help="The count that the lines belong to.")] = "",
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record the counts of a spreadsheet: all its lines, or none and every fault by its line."""
    from edge.count_imports import import_counts

    content = read_given(file)
    with open_node(node) as opened:
        recorded = import_counts(opened, file.name, content, session=session, operator=operator)
        if as_json:
            write_json(recorded)
        else:
            _print_counts(opened, recorded)


def count_list(
    node: NodeOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Also the closed ones.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the counts that are open, and the lines that wait at this till."""
    from edge.counting import count_sessions, open_looks

    with open_node(node) as opened:
        sessions, looks = count_sessions(opened, with_closed=everything), open_looks(opened)
        if as_json:
            write_json({"sessions": sessions, "looks": looks})
            return
        for one in sessions:
            state = "open" if one.closed_ms is None else "closed"
            zones = ", ".join(one.zones) or "no zones"
            typer.echo(f"{one.session}\t{state}\t{zones}\t{len(one.products)} products planned")
        for look in looks:
            place = f"{look.session} {look.zone}".strip()
            typer.echo(f"  {look.product}: {format_quantity(look.quantity_milli)} waits ({place or 'no session'})")


def count_variances(
    product: Annotated[list[str] | None, typer.Argument(help="Products; all that were counted without.")] = None,
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Report counted minus book, the largest difference first; it shrinks when late sales arrive."""
    from edge.counting import count_variances as variances

    with open_node(node) as opened:
        rows = variances(opened, product)
        if as_json:
            write_json(rows)
            return
        for row in rows:
            typer.echo(
                f"{row.product}\t{format_quantity(row.variance_milli)}\tcounted {format_quantity(row.counted_milli)}"
                f"\tnow {format_quantity(row.value)}\t{row.name}"
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
