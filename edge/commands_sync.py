"""The verbs that connect a node with the rest: join, sync, bundle, and the price that it may change."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from edge.command_options import HERE, JsonOption, NodeOption, shown_time
from schema.command_line import EXIT_INCOMPLETE
from schema.errors import RefusalError, TransientError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from edge.node import Node
    from edge.sync_agent import HttpLine, SyncReport

WATCH_S = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(join)
    app.command("recover-key")(recover_key)
    app.command()(sync)
    bundles = typer.Typer(help="Carry entries on a USB stick: the same bytes as over the line.", no_args_is_help=True)
    bundles.command("export")(bundle_export)
    bundles.command("seal")(bundle_seal)
    bundles.command("import")(bundle_import)
    bundles.command("handed")(bundle_handed)
    app.add_typer(bundles, name="bundle")
    prices = typer.Typer(help="Prices of this location.", no_args_is_help=True)
    prices.command("set")(price_set)
    app.add_typer(prices, name="price")


def join(
    address: Annotated[str, typer.Argument(help="The hub's address, https://host:port.")],
    code: Annotated[str, typer.Argument(help="The invitation that the hub's administrator made.")],
    node: NodeOption = HERE,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt all that is kept here under a passphrase; for vans and laptops.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Enrol this machine as a node and load what it needs to trade for 30 days."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from edge.clock_source import clock_from_environment
    from edge.encryption import ask_new_passphrase
    from edge.joining import join as join_hub

    passphrase = ask_new_passphrase() if encrypt else None
    with Progress(
        TextColumn("loading the catalogue and the last 30 days"), BarColumn(), DownloadColumn(), disable=as_json,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("snapshot", total=None)
        joined = join_hub(
            node,
            address,
            code,
            clock_from_environment(),
            passphrase=passphrase,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(msgspec.json.encode(joined).decode())
        return
    typer.echo(f"{joined.name} ({joined.node}) joined {joined.organisation} at {joined.location}, till {joined.till}")
    typer.echo(f"recovery passphrase, shown once, keep it apart from the machine: {joined.recovery_passphrase}")


def recover_key(
    passphrase: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="What `join` showed once; asked for when left out.")
    ],
    node: NodeOption = HERE,
) -> None:
    """Write a lost node.key anew from the sealed copy in the node's database or its backup."""
    from edge.joining import recover_key as write_anew

    typer.echo(f"the key of {write_anew(node, passphrase)} is back in {node}")


def sync(
    node: NodeOption = HERE,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and exchange again every few seconds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Exchange with the hub until neither side has more. Exit status 5: some streams were refused or differ.

    With --watch it stays, exchanges with the location's other tills too, and looks after the backup.
    """
    from edge.clock_source import clock_from_environment
    from edge.hub_line import back_off_s
    from edge.node import Node
    from edge.sync_agent import HttpLine

    attempt = 0
    report: SyncReport | None = None
    with Node(node, clock=clock_from_environment()) as opened:
        line = HttpLine(opened)
        companions = ExitStack()
        is_over = threading.Event()
        try:
            if watch:
                is_over = companions.enter_context(_watching(opened))
            while True:
                try:
                    report = _sync_with_progress(opened, line, is_quiet=as_json)
                    attempt = 0
                    if not watch or report.entries_sent or report.entries_received:
                        _tell(report, as_json=as_json)
                except TransientError as error:
                    if not watch:
                        raise
                    attempt += 1
                    typer.echo(f"{error.message}; trying again", err=True)
                if not watch:
                    break
                if is_over.wait(back_off_s(attempt) if attempt else WATCH_S):
                    break
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
        finally:
            line.close()
            companions.close()
    if report is not None and (not report.is_complete or report.mismatched_folds):
        raise SystemExit(EXIT_INCOMPLETE)


def _watching(node: Node) -> AbstractContextManager[threading.Event]:
    from edge.watching import watching

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    return watching(node, tell)


def _sync_with_progress(node: Node, line: HttpLine, *, is_quiet: bool) -> SyncReport:
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from edge.sync_agent import sync_once

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), disable=is_quiet, transient=True) as bar:
        task = bar.add_task("asking the hub what is new")

        def show(sent: int, received: int) -> None:
            bar.update(task, description=f"{sent} entries sent, {received} received")

        return sync_once(node, line, progress=show)


def _tell(report: SyncReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    typer.echo(
        f"{report.entries_sent} entries sent, {report.entries_received} received,"
        f" {report.bytes_sent + report.bytes_received} bytes in {report.seconds:.2f} s"
    )
    for refusal in report.refusals:
        typer.echo(f"  refused {refusal.stream} from {refusal.seq}: {refusal.message} [{refusal.code}]")
    for scope in report.mismatched_folds:
        typer.echo(f"  {scope}: the hub shows other figures for the same entries; run `edgetill doctor`")
    if report.handed_over:
        typer.echo(f"  {report.handed_over} bundles of others were handed over")
    if report.recovered:
        typer.echo(f"  {report.recovered} entries of another branch were recorded again under a new series")


def bundle_export(
    file: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    node: NodeOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Also what the hub is known to have.")] = False,
) -> None:
    """Write what the hub may lack into a file; carrying it twice does no harm."""
    from edge.bundles import export_bundle
    from edge.clock_source import clock_from_environment
    from edge.node import Node

    with Node(node, clock=clock_from_environment()) as opened:
        entries = export_bundle(opened, file, everything=everything)
    typer.echo(f"{entries} entries in {file}")


def bundle_seal(
    file: Annotated[Path, typer.Argument(help="Where to write the sealed bundle.")],
    node: NodeOption = HERE,
) -> None:
    """Write what this node recorded into a file that only the hub can read: a van takes it along."""
    from edge.carrying import seal_for_hub
    from edge.clock_source import clock_from_environment
    from edge.node import Node

    with Node(node, clock=clock_from_environment()) as opened:
        entries = seal_for_hub(opened, file)
    typer.echo(f"{entries} entries in {file}, sealed to the hub")


def bundle_handed(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List what vans took from here over the network, and what the hub is known to hold."""
    from edge.clock_source import clock_from_environment
    from edge.handing_out import handed_out
    from edge.node import Node
    from edge.status import node_status
    from sync.explanation import NodeNames

    with Node(node, clock=clock_from_environment()) as opened:
        found = handed_out(opened)
        if as_json:
            typer.echo(msgspec.json.encode(found).decode())
            return
        names = NodeNames(opened.connection, opened.organisation)
        for one in found:
            who = names.of(f"{one.bearer}.1")
            typer.echo(f"{shown_time(opened, one.at_ms)}  {who}  {one.entries} entries, {one.size} bytes")
        if not found:
            typer.echo("no van took anything over the network")
        typer.echo(f"{node_status(opened).waiting} entries of this till are not known to be at the hub")


def bundle_import(
    file: Annotated[Path, typer.Argument(help="The bundle to take in.")],
    node: NodeOption = HERE,
) -> None:
    """Take a bundle in; entries that are here already change nothing."""
    from edge.bundles import import_bundle
    from edge.clock_source import clock_from_environment
    from edge.node import Node

    with Node(node, clock=clock_from_environment()) as opened:
        entries, refusals = import_bundle(opened, file)
    typer.echo(f"{entries} new entries from {file}")
    for refusal in refusals:
        typer.echo(f"  refused {refusal.stream} from {refusal.seq}: {refusal.message} [{refusal.code}]")
    if refusals:
        raise SystemExit(EXIT_INCOMPLETE)


def price_set(
    product: Annotated[str, typer.Argument(help="The product's code or barcode.")],
    price: Annotated[str, typer.Argument(help="The price in major units, such as 12.50.")],
    starts: Annotated[str, typer.Option("--from", help="When it begins, such as 2026-11-23T06:00; now if left out.")]
    = "",
    unit: Annotated[str, typer.Option(help="The selling unit; the base unit if left out.")] = "",
    node: NodeOption = HERE,
) -> None:  # fmt: skip
    """Change a price at this location: at once or at its time, offline too."""
    from edge.clock_source import clock_from_environment, parse_time
    from edge.node import Node
    from edge.prices import change_price
    from schema.amounts import parse_money

    try:
        price_minor = parse_money(price)
    except ValueError as error:
        raise RefusalError("price_invalid", str(error)) from None
    with Node(node, clock=clock_from_environment()) as opened:
        from_ms = parse_time(starts, opened.config.time_zone) if starts else None
        entry = change_price(opened, product, price_minor, unit=unit, from_ms=from_ms)
    typer.echo(entry)
