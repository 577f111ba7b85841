"""The verbs of a till's drawer: shifts, cash in and out, and the reports of a shift and a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.command_options import (
    HERE,
    ApproverOption,
    JsonOption,
    NodeOption,
    NoteOption,
    OperatorOption,
    open_node,
    write_json,
)
from schema.amounts import format_money, parse_money
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language

if TYPE_CHECKING:
    from edge.node import Node
    from edge.shifts import ShiftState
    from schema.rules.slips import Report

LanguageOption = Annotated[
    Language | None, typer.Option("--language", help="The paper's language; the shop's without.")
]
PrintOption = Annotated[bool, typer.Option("--print", help="Print it as well.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    shift = typer.Typer(
        help="The drawer: open and close a shift, cash in and out, X and Z reports.", no_args_is_help=True
    )
    shift.command("open")(shift_open)
    shift.command("close")(shift_close)
    shift.command("paid-in")(paid_in)
    shift.command("paid-out")(paid_out)
    shift.command("no-sale")(no_sale)
    shift.command("x")(x_report)
    shift.command("z")(z_report)
    shift.command("list")(shift_list)
    app.add_typer(shift, name="shift")


def _amount(text: str) -> int:
    try:
        return parse_money(text)
    except ValueError as error:
        raise RefusalError("money_malformed", str(error), text=text) from None


def _print_state(state: ShiftState, as_json: bool) -> None:
    if as_json:
        write_json({**_fields(state), "variance_minor": state.variance_minor})
        return
    parts = [f"{state.shift} ({state.business_date})", "open" if state.is_open else "closed"]
    parts += [f"{state.sales} sales {format_money(state.sales_minor)}"]
    if state.refunds:
        parts.append(f"{state.refunds} refunds {format_money(state.refunds_minor)}")
    if state.counted_minor is not None and state.variance_minor is not None:
        parts += [f"expected {format_money(state.expected_minor)}", f"counted {format_money(state.counted_minor)}"]
        parts.append(f"variance {format_money(state.variance_minor)}")
    typer.echo(", ".join(parts))


def _fields(value: object) -> dict[str, Any]:
    import msgspec

    built: dict[str, Any] = msgspec.to_builtins(value)
    return built


def _print_report(node: Node, report: Report, language: Language | None, as_json: bool) -> None:
    from edge.receipts import Copy, report_document

    if as_json:
        write_json(_fields(report))
    else:
        typer.echo("\n".join(report_document(node, report, Copy(language=language)).preview()))


def shift_open(
    cash: Annotated[str, typer.Argument(metavar="FLOAT", help="The cash in the drawer, such as 200.00.")] = "0",
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take the drawer over with a float."""
    from edge.shifts import open_shift

    with open_node(node) as opened:
        _print_state(open_shift(opened, operator=operator, float_minor=_amount(cash)), as_json)


def shift_close(
    counted: Annotated[str, typer.Argument(help="The cash that was counted; with --pieces it is added up.")] = "",
    node: NodeOption = HERE,
    pieces: Annotated[
        list[str] | None, typer.Option("--pieces", help="NOTE*NUMBER, such as 100*3 or 0.5*12; repeat.")
    ] = None,
    operator: OperatorOption = "",
    approver: ApproverOption = "",
    language: LanguageOption = None,
    prints: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count the drawer and close the shift (交班); what it should hold is shown afterwards, on the slip."""
    from edge.shift_reports import print_report, shift_report
    from edge.shifts import close_shift
    from schema.rules.cash import count_cash

    try:
        found = count_cash([_pieces(text) for text in pieces or ()])
    except ValueError as error:
        raise RefusalError("denominations_differ", str(error)) from None
    if not counted and not pieces:
        raise RefusalError("amount_invalid", "say what was counted: an amount, or --pieces")
    total = _amount(counted) if counted else found.total_minor
    with open_node(node) as opened:
        closed = close_shift(opened, total, operator=operator, denominations=found.denominations, approver=approver)
        report = shift_report(opened, closed.shift)
        if prints:
            print_report(opened, report, is_copy=False)
        _print_report(opened, report, language, as_json)


def _pieces(text: str) -> tuple[int, int]:
    note, _, number = text.partition("*")
    if not number.isdecimal():
        raise RefusalError("denominations_differ", f"{text!r}: write NOTE*NUMBER, such as 100*3")
    return _amount(note), int(number)


def paid_in(
    amount: Annotated[str, typer.Argument(help="How much.")],
    reason: Annotated[str, typer.Argument(help="Why.")],
    node: NodeOption = HERE,
    note: NoteOption = "",
    operator: OperatorOption = "",
) -> None:
    """Put cash into the drawer without a sale."""
    from edge.shifts import pay_in

    with open_node(node) as opened:
        typer.echo(pay_in(opened, _amount(amount), reason, operator=operator, note=note))


def paid_out(
    amount: Annotated[str, typer.Argument(help="How much.")],
    reason: Annotated[str, typer.Argument(help="Why.")],
    node: NodeOption = HERE,
    note: NoteOption = "",
    operator: OperatorOption = "",
    approver: ApproverOption = "",
) -> None:
    """Take cash out of the drawer without a sale."""
    from edge.shifts import pay_out

    with open_node(node) as opened:
        typer.echo(pay_out(opened, _amount(amount), reason, operator=operator, note=note, approver=approver))


def no_sale(
    reason: Annotated[str, typer.Argument(help="Why.")],
    node: NodeOption = HERE,
    operator: OperatorOption = "",
    approver: ApproverOption = "",
) -> None:
    """Note that the drawer is opened with no sale."""
    from edge.shifts import open_drawer

    with open_node(node) as opened:
        typer.echo(open_drawer(opened, reason, operator=operator, approver=approver))


def x_report(
    shift: Annotated[str, typer.Argument(help="Which shift; the open one without.")] = "",
    node: NodeOption = HERE,
    language: LanguageOption = None,
    prints: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a shift stands at; of a closed one its slip again."""
    from edge.shift_reports import print_report, shift_report

    with open_node(node) as opened:
        report = shift_report(opened, shift)
        if prints:
            print_report(opened, report, is_copy=bool(shift))
        _print_report(opened, report, language, as_json)


def z_report(
    date: Annotated[str, typer.Argument(help="Which business day; today without.")] = "",
    node: NodeOption = HERE,
    close: Annotated[bool, typer.Option("--close", help="Close the day (日结).")] = False,
    operator: OperatorOption = "",
    language: LanguageOption = None,
    prints: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the till's business day; with --close close it."""
    from edge.shift_reports import close_day, day_report, print_report

    with open_node(node) as opened:
        if close:
            report = close_day(opened, date, operator=operator, prints=prints)
        else:
            report = day_report(opened, date)
            if prints:
                print_report(opened, report)
        _print_report(opened, report, language, as_json)


def shift_list(
    node: NodeOption = HERE,
    date: Annotated[str, typer.Option("--date", help="Of one business day.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the shifts of this location."""
    from edge.shifts import shifts

    with open_node(node) as opened:
        found = shifts(opened, date or None)
    if as_json:
        write_json([{**_fields(state), "variance_minor": state.variance_minor} for state in found])
    else:
        for state in found:
            _print_state(state, as_json=False)
