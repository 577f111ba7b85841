"""The verbs of counting: sessions with plans and zones, lines, deliveries, recounts, the close and what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.command_options import (
    HERE,
    GoodsArgument,
    JsonOption,
    NodeOption,
    OperatorOption,
    open_node,
    parse_goods,
    write_json,
)
from edge.commands_asked import count_asked
from schema.amounts import format_money, format_quantity, parse_quantity
from schema.errors import RefusalError
from schema.files import read_given

if TYPE_CHECKING:
    from edge.counting import RecordedCount
    from edge.node import Node


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    count = typer.Typer(help="Count the shelf: product by product, or in a session by zones.", no_args_is_help=True)
    count.command("propose")(count_propose)
    count.command("open")(count_open)
    count.command("line")(count_line)
    count.command("papers")(count_papers)
    count.command("post")(count_post)
    count.command("missing")(count_missing)
    count.command("recounts")(count_recounts)
    count.command("recount")(count_recount)
    count.command("close")(count_close)
    count.command("report")(count_report)
    count.command("import")(count_import)
    count.command("list")(count_list)
    count.command("asked")(count_asked)
    count.command("variances")(count_variances)
    app.add_typer(count, name="count")


def count_propose(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Propose today's cycle count: value × movement × time since the last count, the most urgent first."""
    from edge.count_plans import cycle_count
    from sync.explanation import product_name

    with open_node(node) as opened:
        proposed = cycle_count(opened)
        if as_json:
            write_json([one._asdict() for one in proposed])
            return
        for one in proposed:
            since = "never counted" if one.days is None else f"counted {one.days} d ago"
            typer.echo(f"{one.grade.value}\t{one.product}\t{since}\t{product_name(opened.connection, one.product)}")


def count_open(
    node: NodeOption = HERE,
    zone: Annotated[list[str] | None, typer.Option(help="A zone that must have a line; repeat.")] = None,
    product: Annotated[list[str] | None, typer.Option(help="A product to be counted; repeat.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="All goods of a category; repeat.")] = None,
    cycle: Annotated[bool, typer.Option("--cycle", help="The goods that today's cycle count proposes.")] = False,
    book: Annotated[bool, typer.Option("--book", help="All that the book holds.")] = False,
    asked: Annotated[bool, typer.Option("--asked", help="All that the hub asks to be counted again.")] = False,
    session: Annotated[str, typer.Option(help="A name for the count; one is given without.")] = "",
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Begin a count, by zones or of the whole shelf; several tills may count in it at once."""
    from edge.count_plans import cycle_count, products_asked, products_of_category, products_on_book
    from edge.counting import open_session

    with open_node(node) as opened:
        planned = list(product or ())
        for each in category or ():
            found = products_of_category(opened, each)
            if not found:
                raise RefusalError("category_unknown", f"there is nothing to count in the category {each}")
            planned += found
        planned += [one.product for one in cycle_count(opened)] if cycle else []
        planned += products_on_book(opened) if book else ()
        planned += products_asked(opened) if asked else ()
        begun = open_session(opened, zone or (), planned, operator=operator, session=session)
        if as_json:
            write_json(begun)
        else:
            typer.echo(
                f"Opened {begun.session}: zones {', '.join(begun.zones) or 'none'},"
                f" {len(begun.products)} products planned"
            )


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


def count_papers(
    session: Annotated[str, typer.Argument(help="The count.")],
    node: NodeOption = HERE,
    on_shelf: Annotated[
        list[str] | None,
        typer.Option(help="A delivery that is on the shelf, though not keyed; repeat."),
    ] = None,
    not_back: Annotated[
        list[str] | None, typer.Option(help="A return (its receipt) that is not back on the shelf yet; repeat.")
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="DELIVERY=NOTE: the delivery note of the part that is there; repeat.")
    ] = None,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """List deliveries and returns between paper and shelf, or say where their goods are; the rest is as usual."""
    from edge.count_answers import Answer, PaperKind, answer_papers, pending_papers

    with open_node(node) as opened:
        papers = pending_papers(opened, session)
        if not (on_shelf or not_back or part):
            if as_json:
                write_json(papers)
                return
            for one in papers:
                typer.echo(f"{one.kind}\t{one.label}\t{format_quantity(one.quantity_milli)}\t{' '.join(one.products)}")
            return
        notes = dict(text.split("=", 1) for text in part or () if "=" in text)
        named = {*(on_shelf or ()), *(not_back or ()), *notes}
        unknown = named - {name for one in papers for name in (one.name, one.label)}
        if unknown:
            raise RefusalError("paper_unknown", f"nothing of {', '.join(sorted(unknown))} is between paper and shelf")
        answers = []
        for one in papers:
            is_named = bool({one.name, one.label} & named)
            there = is_named if one.kind is PaperKind.DELIVERY else not is_named
            answers.append(Answer(one, there, notes.get(one.name, notes.get(one.label, ""))))
        answer_papers(opened, session, answers, operator=operator)
        typer.echo(f"Noted for {session}: {len(answers)}")


def count_missing(
    session: Annotated[str, typer.Argument(help="The count.")], node: NodeOption = HERE, as_json: JsonOption = False
) -> None:
    """List the lines that a count lacks (未盘); closing asks before it writes zeros."""
    from edge.counting import check_open, missing_lines, open_looks

    with open_node(node) as opened:
        missing = missing_lines(opened, check_open(opened, session), open_looks(opened, session))
        if as_json:
            write_json(missing)
            return
        for line in missing:
            typer.echo(f"{line.product}\t{line.name}{f' in {line.zone}' if line.zone else ''}")


def count_recounts(
    session: Annotated[str, typer.Argument(help="The count.")], node: NodeOption = HERE, as_json: JsonOption = False
) -> None:
    """List what a second person should count again: beyond tolerance and value limit."""
    from edge.count_results import recounts_due

    with open_node(node) as opened:
        due = recounts_due(opened, session)
        if as_json:
            write_json([one._asdict() for one in due])
            return
        for one in due:
            zones = f" in {', '.join(zone for zone in one.zones if zone)}" if any(one.zones) else ""
            typer.echo(f"{one.product}\t{one.name}{zones}")


def count_recount(
    session: Annotated[str, typer.Argument(help="The count.")],
    product: Annotated[str, typer.Argument(help="The product.")],
    quantity: Annotated[str, typer.Argument(help="All that is there, in base units.")],
    operator: Annotated[str, typer.Option(help="Who counts again: somebody else than the first.")],
    node: NodeOption = HERE,
    zone: Annotated[str, typer.Option(help="The zone.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Record what a second person counted of a product."""
    from edge.acting import named_product
    from edge.count_lines import check_second_person, touch_line
    from edge.counting import record_looks

    with open_node(node) as opened:
        code = named_product(opened, product).code
        check_second_person(opened, session, code, operator)
        touch_line(
            opened, session, zone, code, parse_quantity(quantity), operator=operator, is_total=True, is_anew=True
        )
        recorded = record_looks(opened, session, operator=operator)
        if as_json:
            write_json(recorded)
        else:
            typer.echo(f"Counted again {code}: {quantity}")


def count_report(
    session: Annotated[str, typer.Argument(help="The count.")],
    node: NodeOption = HERE,
    prints: Annotated[bool, typer.Option("--print", help="Print it, marked as a copy.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a count's variance report with values at the last received cost, the greatest first."""
    from edge.count_results import count_report as reported
    from edge.count_results import print_count_report
    from schema.rules.count_slips import signed, signed_money

    with open_node(node) as opened:
        report = reported(opened, session)
        if prints and not print_count_report(opened, session):
            raise RefusalError("count_open", f"{session} is still open: its paper comes when it is closed")
        if as_json:
            write_json(report)
            return
        for one in report.lines:
            value = "?" if one.value_minor is None else signed_money(one.value_minor) + ("" if one.is_cost else "*")
            typer.echo(
                f"{one.product}\t{signed(one.variance_milli)}\tcounted {format_quantity(one.counted_milli)}\t{value}"
                f"\t{one.name}"
            )
        net = format_money(report.gain_minor + report.loss_minor)
        typer.echo(f"{report.products} products counted, {len(report.lines)} differ, net {net}")
        typer.echo("values at the last received cost" + ("; * at the selling price" if report.at_price else ""))


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
