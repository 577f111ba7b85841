"""The verbs of transfers: goods sent to another location, the paper that goes along, and taking them in there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.command_options import (
    HERE,
    GoodsArgument,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    StatedOption,
    goods_requests,
    open_node,
    print_recorded,
    stated_time,
    write_json,
)
from schema.amounts import format_quantity


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    transfer = typer.Typer(help="Send goods to another location and take them in there.", no_args_is_help=True)
    transfer.command("dispatch")(transfer_dispatch)
    transfer.command("receive")(transfer_receive)
    transfer.command("list")(transfer_list)
    transfer.command("paper")(transfer_paper)
    transfer.command("read-paper")(transfer_read_paper)
    app.add_typer(transfer, name="transfer")


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
            opened, destination, goods_requests(opened, goods), transfer=transfer, operator=operator, document=document,
            stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        print_recorded(recorded, as_json, "Dispatched")


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
            opened, transfer, goods_requests(opened, goods) if goods else None, origin=origin, is_final=not partial,
            operator=operator, document=document, stated=stated_time(opened, at), note=note,
        )  # fmt: skip
        print_recorded(recorded, as_json, "Received")


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
            print_recorded(receive_by_paper(opened, paper, operator=operator), as_json, "Received")
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
