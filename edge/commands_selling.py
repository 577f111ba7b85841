"""The verbs of the till: sell, refund, and replay another system's log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from edge.command_options import (
    GOODS_HELP,
    HERE,
    JsonOption,
    NodeOption,
    OperatorOption,
    open_node,
    parse_goods,
    write_json,
)
from schema.amounts import format_money, parse_money, parse_quantity
from schema.errors import RefusalError
from schema.rehearsal import rehearsal_clock_ms
from schema.replay import ReplayFormat

if TYPE_CHECKING:
    from edge.replaying import ReplayedBasket, ReplayReport
    from edge.returns import ReturnRequest
    from edge.selling import Completed


PrintOption = Annotated[
    bool, typer.Option("--print", help="Put its paper on the list: the till prints it, or `receipts print`.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command()(sell)
    app.command()(refund)
    app.command()(replay)


def _print_completed(completed: Completed, as_json: bool, what: str) -> None:
    if as_json:
        write_json(
            {
                "receipt": completed.receipt_number,
                "entry": completed.entry,
                "total_minor": completed.total_minor,
                "change_minor": completed.change_minor,
                "code": completed.code_text,
            }
        )
    else:
        typer.echo(f"{what} {completed.receipt_number}: {format_money(completed.total_minor)} [{completed.entry}]")


def sell(
    goods: Annotated[list[str], typer.Argument(help=GOODS_HELP + " @PRICE overrides the price.")],
    node: NodeOption = HERE,
    discount: Annotated[str, typer.Option(help="Taken off the whole, such as 1.50; spread over the lines.")] = "0",
    prints: PrintOption = False,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Sell goods for cash. When the receipt number is printed the sale is on the disk.

    For example: edgetill sell 6901234567892 2*P0001 1.5*P0042@12.80
    """
    from edge.selling import LineRequest
    from edge.selling import sell as sell_now

    with open_node(node) as opened:
        found = [parse_goods(opened, text) for text in goods]
        requests = [LineRequest(one.product, one.quantity_milli, one.unit, one.price_minor) for one in found]
        try:
            discount_minor = parse_money(discount)
        except ValueError as error:
            raise RefusalError("discount_invalid", str(error)) from None
        sold = sell_now(opened, requests, operator=operator, discount_minor=discount_minor, prints=prints)
        _print_completed(sold, as_json, "Sold")


def refund(
    what: Annotated[list[str], typer.Argument(help="A receipt number; goods with --without-receipt.")],
    node: NodeOption = HERE,
    line: Annotated[list[str] | None, typer.Option(help="N or N*QTY: a line of the sale; repeat. All without.")] = None,
    goods_to: Annotated[str, typer.Option(help="Where the goods go: shelf, damaged or supplier.")] = "shelf",
    without_receipt: Annotated[bool, typer.Option("--without-receipt", help="Nobody has the receipt.")] = False,
    prints: PrintOption = False,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take goods back at the price of their sale; all that is left of it unless lines are named."""
    from edge.selling import LineRequest, refund_without_receipt
    from edge.selling import refund as refund_now

    with open_node(node) as opened:
        if without_receipt:
            if line:
                raise RefusalError("refund_lines", "lines belong to a receipt: name the goods instead")
            found = [parse_goods(opened, text) for text in what]
            requests = [LineRequest(one.product, one.quantity_milli, one.unit, one.price_minor) for one in found]
            completed = refund_without_receipt(opened, requests, operator=operator, goods_to=goods_to, prints=prints)
        else:
            if len(what) != 1:
                raise RefusalError("refund_receipt", "name one receipt; goods need --without-receipt")
            returns = _returns(opened, what[0], line, goods_to)
            completed = refund_now(opened, what[0], returns, operator=operator, prints=prints)
        _print_completed(completed, as_json, "Refunded")


def _returns(opened: Any, receipt: str, line: list[str] | None, goods_to: str) -> list[ReturnRequest]:
    from edge.returns import ReturnRequest, find_sale

    original = find_sale(opened, receipt)
    left = {number: original.left_milli(number) for number in range(len(original.sale.lines))}
    if not line:
        return [ReturnRequest(one.line, one.quantity_milli, goods_to) for one in original.whole()]
    returns = []
    for text in line:
        place, star, quantity = text.partition("*")
        try:
            number = int(place) - 1
            amount = parse_quantity(quantity) if star else left.get(number, 0)
        except ValueError:
            raise RefusalError("refund_line", f"{text!r}: write N or N*QTY, lines count from 1") from None
        if number not in left:
            raise RefusalError("refund_line", f"the sale has no line {place}")
        if amount <= 0:
            raise RefusalError("refund_line", f"nothing of line {place} is left to come back")
        returns.append(ReturnRequest(number, amount, goods_to))
    return returns


def replay(
    file: Annotated[Path, typer.Argument(help="The log, also as .gz.", exists=True, dir_okay=False)],
    source_format: Annotated[ReplayFormat, typer.Option("--format", help="Whose log it is.")],
    node: NodeOption = HERE,
    ack: Annotated[bool, typer.Option("--ack", help="One line per basket when it is durable: receipt, entry.")] = False,
    map_catalogue: Annotated[bool, typer.Option("--map-catalogue", help="Put its goods onto our catalogue.")] = False,
    clock: Annotated[str, typer.Option(help="`recorded`: trade at the log's minutes, as fast as it goes.")] = "",
    date: Annotated[str, typer.Option(help="The day to trade on with --clock recorded: YYYY-MM-DD.")] = "",
    limit: Annotated[int | None, typer.Option(help="Stop after this many baskets.", min=1)] = None,
    operator: OperatorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Replay another system's log as sales of this node. Replaying it again changes nothing."""
    from edge.clock_source import ScriptedClock, parse_time
    from edge.replaying import last_reading_ms
    from edge.replaying import replay as replay_now

    if clock not in {"", "recorded"}:
        raise RefusalError("clock_unknown", "the clock is the machine's, or `recorded`")
    if date and not clock:
        raise RefusalError("clock_unknown", "a date needs --clock recorded")
    scripted: ScriptedClock | None = None
    if clock:
        from edge.config import read_config

        start_ms = rehearsal_clock_ms()
        if start_ms is None:  # a recorded day goes on from there: an earlier time would be a clock that was set back
            midnight_ms = parse_time(f"{date or '2000-01-01'}T00:00", read_config(node).time_zone)
            start_ms = max(midnight_ms, last_reading_ms(node))
        scripted = ScriptedClock(start_ms)
    with open_node(node, scripted) as opened, _progress(not ack and not as_json) as step:

        def acknowledge(basket: ReplayedBasket) -> None:
            if ack:  # click flushes what it echoes
                typer.echo(f"{basket.receipt_number} {basket.entry}")

        with _open_log(file) as lines:
            report = replay_now(
                opened, source_format, lines, clock=scripted, date=date, map_catalogue=map_catalogue, limit=limit,
                operator=operator, on_basket=acknowledge, on_read=step,
            )  # fmt: skip
    if as_json:
        write_json(report)
    else:
        _print_report(report, to_stderr=ack)


def _open_log(file: Path) -> IO[str]:
    """Open a log as text, also one that is packed with gzip."""
    import gzip

    try:
        if file.suffix == ".gz":
            return gzip.open(file, "rt", encoding="utf-8-sig", errors="replace", newline="")
        return file.open(encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise RefusalError("file_unreadable", f"{file} cannot be read: {error.strerror}") from None


@contextmanager
def _progress(is_wanted: bool) -> Iterator[Any]:
    if not (is_wanted and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("baskets"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("baskets", total=None)
        yield lambda: progress.advance(task)


def _print_report(report: ReplayReport, *, to_stderr: bool) -> None:
    def say(text: str) -> None:
        typer.echo(text, err=to_stderr)

    say(
        f"{report.sales} sales and {report.refunds} refunds with {report.lines} lines,"
        f" {format_money(report.total_minor)} in all; {report.skipped} were here already"
    )
    for refused in report.refused[:20]:
        say(f"  not replayed: basket {refused.source_id}: {refused.message} [{refused.code}]")
    if len(report.refused) > 20:
        say(f"  and {len(report.refused) - 20} more that were not replayed")
    kept = sum(one.is_kept for one in report.dirt)
    if report.dirt:
        say(f"{len(report.dirt)} doubtful lines: {kept} replayed all the same, {len(report.dirt) - kept} left out")
    reasons: dict[str, list[int]] = {}
    for one in report.dirt:
        reasons.setdefault(one.why, []).append(one.line)
    for why, lines in sorted(reasons.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(map(str, lines[:5]))
        say(f"  {len(lines)} × {why} (line {shown}{' …' if len(lines) > 5 else ''})")
