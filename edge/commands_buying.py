"""The verbs of goods at the door and of what is wanted: awaited deliveries, drafts for the hub, stock lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge.command_options import (
    GOODS_HELP,
    HERE,
    GoodsArgument,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    goods_requests,
    open_node,
    parse_goods,
    print_recorded,
    write_json,
)
from schema.amounts import format_quantity
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.deliveries import DeliveredLine
    from edge.node import Node


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    delivery = typer.Typer(help="Goods that are awaited here, checked as they come.", no_args_is_help=True)
    delivery.command("list")(delivery_list)
    delivery.command("receive")(delivery_receive)
    app.add_typer(delivery, name="delivery")
    draft = typer.Typer(help="What this location wants; the hub picks it up.", no_args_is_help=True)
    draft.command("order")(draft_order)
    draft.command("transfer")(draft_transfer)
    draft.command("list")(draft_list)
    draft.command("asked")(draft_asked)
    app.add_typer(draft, name="draft")
    app.command("stock-list")(show_list)


def delivery_list(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List orders and transfers whose goods are awaited here, the longest awaited first."""
    from edge.deliveries import expected_deliveries
    from sync.explanation import spell_age

    with open_node(node) as opened:
        rows = expected_deliveries(opened)
        if as_json:
            write_json(rows)
            return
        for one in rows:
            age = "" if one.age_ms is None else f", {spell_age(one.age_ms)} ago"
            due = f", due {one.due}" if one.due else ""
            typer.echo(f"{one.reference}\t{one.kind} from {one.source_name or '?'}{age}{due}")
            for line in one.lines:
                typer.echo(
                    f"  {line.product}\t{format_quantity(line.left_milli)} of {format_quantity(line.ordered_milli)}"
                    f" {line.unit}\t{line.name}"
                )


def delivery_receive(
    reference: Annotated[str, typer.Argument(metavar="ID", help="The order's or the transfer's number.")],
    goods: Annotated[
        list[str] | None, typer.Argument(help="What came good; everything as expected without. " + GOODS_HELP)
    ] = None,
    damaged: Annotated[
        list[str] | None, typer.Option(help="REASON:GOODS, such as broken:2*P0001; repeat. It counts beside the goods.")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="More of it is still to come.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is short or over: not_sent, lost, sent_more, bonus, other.")] = "",
    document: Annotated[str, typer.Option(help="The delivery note's number.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take an awaited delivery in as it came."""
    from edge.deliveries import OVER_REASONS, SHORT_REASONS, DeliveredLine, expected_delivery, receive_delivery

    if reason and reason not in {*SHORT_REASONS, *OVER_REASONS}:
        raise RefusalError(
            "reason_unknown", f"the reasons are {', '.join(dict.fromkeys((*SHORT_REASONS, *OVER_REASONS)))}"
        )
    with open_node(node) as opened:
        expected = expected_delivery(opened, reference)
        if goods or damaged:
            lines = [
                DeliveredLine(one.product, one.quantity_milli, one.unit, reason=reason)
                for one in goods_requests(opened, goods or [])
            ]
            lines += [_damaged(opened, text) for text in damaged or ()]
        else:
            lines = [
                DeliveredLine(line.product, line.left_milli, "", line.lot, line.expiry)
                for line in expected.lines if line.left_milli
            ]  # fmt: skip
        done = receive_delivery(
            opened, expected, lines, is_final=not partial, document=document, operator=operator, note=note
        )
        print_recorded(done, as_json, "Received")


def _damaged(node: Node, text: str) -> DeliveredLine:
    from edge.deliveries import DAMAGES, DeliveredLine

    damage, _, rest = text.partition(":")
    if damage not in DAMAGES or not rest:
        raise RefusalError("goods_malformed", f"{text!r}: write REASON:GOODS; the reasons are {', '.join(DAMAGES)}")
    one = parse_goods(node, rest)
    return DeliveredLine(one.product, 0, one.unit, damaged_milli=one.quantity_milli, damage=damage)


def draft_order(
    goods: GoodsArgument,
    supplier: Annotated[str, typer.Option(help="From which supplier, by its code; the hub decides without.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
) -> None:
    """Draft an order for the hub to place; prints the draft's number."""
    _draft("order", goods, supplier, operator, note, node)


def draft_transfer(
    goods: GoodsArgument,
    origin: Annotated[str, typer.Option("--from", help="From which location; the hub decides without.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
) -> None:
    """Draft a transfer from another location for the hub to ask for; prints the draft's number."""
    _draft("transfer", goods, origin, operator, note, node)


def _draft(purpose: str, goods: list[str], source: str, operator: str, note: str, node: NodeOption) -> None:
    from edge.drafting import draft_goods

    with open_node(node) as opened:
        wanted = goods_requests(opened, goods)
        typer.echo(draft_goods(opened, purpose, wanted, source=source, operator=operator, note=note))


def draft_list(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show the drafts of this location, and what became of each."""
    from edge.drafting import goods_drafts

    with open_node(node) as opened:
        rows = goods_drafts(opened)
    if as_json:
        write_json(rows)
        return
    for one in rows:
        answer = " ".join(part for part in (one.reference, one.answer) if part)
        source = one.source_name or "whoever the hub chooses"
        typer.echo(f"{one.draft}\t{one.purpose} from {source}\t{one.state} {answer}".rstrip())


def draft_asked(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show what the hub wants sent from here; dispatch it with `transfer dispatch --transfer NUMBER`."""
    from edge.drafting import asked_transfers

    with open_node(node) as opened:
        rows = asked_transfers(opened)
    if as_json:
        write_json(rows)
        return
    for one in rows:
        typer.echo(f"{one.transfer}\tto {one.destination} {one.destination_name}")
        for product, name, quantity in one.lines:
            typer.echo(f"  {format_quantity(quantity)}*{product}\t{name}")


def show_list(
    name: Annotated[str, typer.Argument(help="negative, expiring, below or uncounted.")],
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show goods that need a person: below zero, about to expire, below their minimum, not counted for long."""
    from edge.stock_lists import StockList, stock_list

    if name not in set(StockList):
        raise RefusalError("list_unknown", f"the lists are {', '.join(StockList)}")
    with open_node(node) as opened:
        rows = stock_list(opened, StockList(name))
    if as_json:
        write_json(rows)
        return
    for row in rows:
        minimum = f"\tminimum {format_quantity(row.minimum_milli)}" if row.minimum_milli else ""
        about = f"\t{row.lot} {row.date}".rstrip() if row.date else ""
        typer.echo(f"{row.product}\t{format_quantity(row.on_hand_milli)} {row.unit}{minimum}{about}\t{row.name}")
