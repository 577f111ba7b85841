"""The verbs of a sales van's day: load, stops, collect, unload, settle, and the bundles that it carries."""

from __future__ import annotations

import secrets
from pathlib import Path
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
from edge.node import Node
from edge.stock import QuantityRequest
from schema.amounts import format_bytes, format_money, format_quantity, parse_money
from schema.command_line import EXIT_INCOMPLETE
from schema.errors import RefusalError

DriverOption = Annotated[str, typer.Option("--driver", help="Who signs, by the number that the driver signs in with.")]
PinOption = Annotated[str, typer.Option("--pin", envvar="EDGETILL_PIN", help="The driver's PIN; asked where left out.")]
PrintOption = Annotated[bool, typer.Option("--print", help="Print it as well.")]
GoodsOption = Annotated[list[str] | None, typer.Argument(help=GOODS_HELP)]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    van = typer.Typer(help="A sales van's day: load, stops, unload, settle, carry.", no_args_is_help=True)
    van.command("load-out")(load_out)
    van.command("loads")(list_loads)
    van.command("load")(load)
    van.command("stops")(list_stops)
    van.command("collect")(collect)
    van.command("unload")(unload)
    van.command("settle")(settle)
    van.command("carry")(carry)
    van.command("visit")(visit)
    van.command("answer")(answer)
    app.add_typer(van, name="van")


def _pin(pin: str) -> str:
    return pin or str(typer.prompt("PIN", hide_input=True))


def _requests(node: Node, goods: list[str]) -> list[QuantityRequest]:
    wanted = [parse_goods(node, text) for text in goods]
    return [QuantityRequest(one.product, one.quantity_milli, one.unit) for one in wanted]


def load_out(
    van: Annotated[str, typer.Argument(metavar="VAN", help="The van's location.")],
    goods: Annotated[list[str], typer.Argument(help=GOODS_HELP)],
    driver: DriverOption,
    pin: PinOption = "",
    operator: OperatorOption = "",
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Hand goods to a van at the warehouse; the driver signs by PIN."""
    from edge.van_load import load_out as hand_over

    with open_node(node) as opened:
        done = hand_over(opened, van, _requests(opened, goods), driver=driver, pin=_pin(pin), operator=operator)
    if as_json:
        write_json(done)
    else:
        typer.echo(done.transfer)


def list_loads(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List what was sent to this van and is not aboard yet."""
    from edge.van_load import loads

    with open_node(node) as opened:
        found = loads(opened)
        if as_json:
            write_json(found)
            return
        for one in found:
            sent = shown_time(opened, one.dispatched_ms) if one.dispatched_ms is not None else ""
            typer.echo(f"{one.transfer} from {one.origin} {sent}".rstrip())
            for line in one.lines:
                typer.echo(f"  {format_quantity(line.awaited_milli)}\t{line.product}")
        if not found:
            typer.echo("nothing is on its way to this van")


def load(
    driver: DriverOption,
    transfer: Annotated[str, typer.Argument(help="Which; the only one that waits where left out.")] = "",
    goods: GoodsOption = None,
    origin: Annotated[str, typer.Option("--from", help="The warehouse, before the notice has come.")] = "",
    pin: PinOption = "",
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take a load aboard: all that was sent, or what is named; the driver signs by PIN."""
    from edge.van_load import loads, take_aboard

    with open_node(node) as opened:
        if not transfer:
            waiting = loads(opened)
            if len(waiting) != 1:
                raise RefusalError("transfer_missing", f"{len(waiting)} loads are on their way: name the transfer")
            transfer = waiting[0].transfer
        requests = _requests(opened, goods) if goods else None
        done = take_aboard(opened, transfer, requests, origin=origin, driver=driver, pin=_pin(pin))
    if as_json:
        write_json(done)
        return
    for product, quantity in done.moves:
        typer.echo(f"{format_quantity(quantity)}\t{product}")


def list_stops(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List the round: customers with what they owe and may still be lent, and what was done there."""
    from edge.van_route import stops

    with open_node(node) as opened:
        found = stops(opened)
    if as_json:
        write_json(found)
        return
    for one in found:
        card = one.card
        mark = "✓" if one.is_done else " "
        owes = f"owes {format_money(card.credit_minor)} of {format_money(card.credit_limit_minor)}"
        left = f"may be lent {format_money(card.credit_left_minor)}"
        tier = f"  {card.tier}" if card.tier else ""
        typer.echo(f"{one.place:>3} {mark} {card.name or card.masked}{tier}  {owes}, {left}  {one.note}".rstrip())


def collect(
    stop: Annotated[int, typer.Argument(help="The stop's number.")],
    amount: Annotated[str, typer.Argument(help="How much of what is owed, such as 120.00.")],
    operator: OperatorOption = "",
    prints: PrintOption = False,
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take cash from a customer of the round for what is owed."""
    from edge.account_payments import repay
    from edge.van_route import stop_of

    try:
        amount_minor = parse_money(amount)
    except ValueError as error:
        raise RefusalError("money_malformed", str(error), text=amount) from None
    with open_node(node) as opened:
        person = stop_of(opened, stop).card.person
        done = repay(
            opened, person, amount_minor, operator=operator, attempt=secrets.token_hex(16), prints=prints
        )  # fmt: skip
    if as_json:
        write_json(done)
    else:
        typer.echo(f"{done.receipt_number}  {format_money(done.total_minor)}")


def unload(
    goods: GoodsOption = None,
    to: Annotated[str, typer.Option(help="The warehouse; the route's where left out.")] = "",
    operator: OperatorOption = "",
    note: NoteOption = "",
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Send goods back to the warehouse: all that is aboard, or what is named; what is left stays aboard overnight."""
    from edge.van_load import unload as send_back

    with open_node(node) as opened:
        done = send_back(opened, _requests(opened, goods) if goods else None, to=to, operator=operator, note=note)
    if as_json:
        write_json(done)
    else:
        typer.echo(done.transfer)


def settle(
    look: Annotated[bool, typer.Option("--look", help="Only show how the van stands.")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Show the paper of the last settlement.")] = False,
    uncounted: Annotated[bool, typer.Option("--uncounted", help="Uncounted goods stay aboard by the book.")] = False,
    operator: OperatorOption = "",
    note: NoteOption = "",
    prints: PrintOption = False,
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Settle the van's day: what was aboard, what came and went, what was counted, and the cash."""
    from edge.receipts import receipt_document
    from edge.van_settlement import settle_van, settlement_entry, standing

    with open_node(node) as opened:
        if paper:
            for line in receipt_document(opened, settlement_entry(opened)).preview():
                typer.echo(line)
            return
        if look:
            now = standing(opened)
            if as_json:
                write_json(now)
                return
            for told in now.settlement.lines:
                counted = "not counted" if told.closing_milli is None else f"counted {told.closing_milli / 1000:g}"
                typer.echo(
                    f"{told.product}\tbook {told.book_milli / 1000:g}\t{counted}"
                    f"\tdifference {told.difference_milli / 1000:g}\t{format_money(told.value_minor)}"
                )
            return
        done = settle_van(opened, operator=operator, note=note, allows_uncounted=uncounted, prints=prints)
        if as_json:
            write_json(done)
            return
        for line in receipt_document(opened, settlement_entry(opened, done.settlement)).preview():
            typer.echo(line)


def carry(
    file: Annotated[
        Path | None, typer.Argument(help="A sealed bundle to take along; lists what is aboard without.")
    ] = None,
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take another node's sealed bundle along: the next sync hands it to the hub; nobody here can read it."""
    from edge.carried_answers import carried_answers
    from edge.carrying import carried, take_along
    from sync.explanation import NodeNames

    with open_node(node) as opened:
        found = [take_along(opened, file)] if file is not None else carried(opened)
        if as_json:
            write_json(found)
            return
        names = NodeNames(opened.connection, opened.organisation)
        for one in found:
            state = (
                f"{one.outcome} {shown_time(opened, one.handed_ms)}"
                if one.handed_ms
                else f"waits, {format_bytes(one.size)}"
            )
            who = names.of(f"{one.writer}.1")
            typer.echo(f"{one.location}  {who}  {one.entries} entries, sealed {_age(opened, one.made_ms)}  {state}")
        if not found:
            typer.echo("no bundle of others is aboard")
        for answer in carried_answers(opened) if file is None else ():
            state = f"{answer.outcome} {shown_time(opened, answer.handed_ms)}" if answer.handed_ms else "waits"
            who = names.of(f"{answer.reader}.1")
            typer.echo(f"{answer.location}  answer for {who}, made {_age(opened, answer.made_ms)}  {state}")


def _age(node: Node, made_ms: int) -> str:
    """Say how long ago something was made; another node's clock may be ahead of this one's."""
    minutes = max(0, node.now_ms() - made_ms) // 60_000
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


def visit(
    addresses: Annotated[
        list[str] | None, typer.Argument(help="Tills as host:port; those listed or announced too.", metavar="[TILL]...")
    ] = None,
    search: Annotated[float, typer.Option(min=0, max=60, help="Seconds to wait for announcements.")] = 3.0,
    node: NodeOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take along now what the shop on this network has for the hub, and bring it the hub's answer."""
    from edge.lan_visit import visit_shops

    with open_node(node) as opened:
        reports = visit_shops(opened, addresses or (), search_s=search)
    if as_json:
        write_json(reports)
    for one in () if as_json else reports:
        told = [f"the shop has the hub's answer, {one.answered} entries were new there"] if one.answered else []
        if one.taken is not None:
            told.append(f"{one.taken.entries} entries came aboard, {format_bytes(one.taken.size)}")
        if one.refused:
            told.append(f"{one.message} [{one.refused}]")
        typer.echo(f"{one.location}: {'; '.join(told) or 'nothing is new'}")
    if not reports:
        typer.echo("no till of another place answers on this network", err=True)
    if not reports or any(one.refused for one in reports):
        raise SystemExit(EXIT_INCOMPLETE)


def answer(
    reader: Annotated[str, typer.Argument(help="The node that the answer is for, by its id or its till's code.")],
    file: Annotated[Path, typer.Argument(help="Where to write it, for `edgetill bundle import` there.")],
    node: NodeOption = HERE,
) -> None:
    """Write the hub's answer to a shop's bundle into a file, where the shop has no network of its own."""
    from edge.carried_answers import give_answer
    from schema.kinds.organisation import AuthorityGranted

    with open_node(node) as opened:
        opened.organisation.refresh(opened.connection)
        grants = opened.organisation.newest_each(opened.connection, AuthorityGranted).values()
        named = next((one.node for one in grants if one.till == reader), reader)
        given = give_answer(opened, named, file)
    typer.echo(f"the answer of {given.entries} entries is in {file}")
