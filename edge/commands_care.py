"""The verbs that look after a node: status, doctor and export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.command_options import HERE, JsonOption, NodeOption, open_node, shown_time, write_json
from edge.exporting import TABLES, ExportFormat
from schema.errors import CorruptionError

if TYPE_CHECKING:
    from edge.node import Node
    from edge.survival import Survival


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command()(status)
    app.command()(doctor)
    app.command()(query)
    app.command(help=f"Write a table as CSV, JSON or Excel. The tables: {', '.join(TABLES)}.")(export)


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the node's tables, such as `select * from receipt`.")],
    node: NodeOption = HERE,
) -> None:
    """Ask the node's file anything, read only: one JSON object a line."""
    import msgspec

    from edge.clock_source import clock_from_environment
    from edge.node import Node
    from edge.querying import query as ask

    with Node(node, clock=clock_from_environment(), is_read_only=True) as opened:
        for row in ask(opened, sql):
            typer.echo(msgspec.json.encode(row).decode())


def status(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show how the node is doing: entries, age of the cache, clock, conflicts."""
    from edge.status import node_status
    from sync.explanation import spell_age

    with open_node(node) as opened:
        now = node_status(opened)
        if as_json:
            write_json(now)
            return
        heard = "never" if now.exchange_age_ms is None else f"{spell_age(now.exchange_age_ms)} ago"
        bound = "unknown" if now.clock_bound_ms is None else f"at most {now.clock_bound_ms} ms"
        typer.echo(f"{now.name} at {now.location}, till {now.till}, node {now.node}.{now.incarnation}")
        typer.echo(f"last exchange {heard}; cache {now.cache}; {now.products} products")
        if now.is_lease_lapsed:
            typer.echo("the lease has lapsed: sync soon; what is sold meanwhile is marked")
        typer.echo(f"clock error {bound} (epoch {now.clock_epoch})")
        typer.echo(f"{now.entries} entries, {now.own_entries} of them its own; {now.open_conflicts} open conflicts")
        typer.echo(f"{now.waiting} entries wait for the hub")
        for line in survival_lines(opened, now.survival):
            typer.echo(line)
        for stream in now.streams:
            own = "  own" if stream.is_own else ""
            typer.echo(f"  {stream.scope}\t{stream.node}\t{stream.last_seq}\t{shown_time(opened, stream.last_ms)}{own}")
        if now.parked:
            typer.echo(f"{now.parked} entries wait for a newer release")
        for reason, count in now.inert.items():
            typer.echo(f"{count} entries without effect: {reason}")
        if now.quarantined:
            typer.echo(f"{now.quarantined} batches in quarantine")


def survival_lines(node: Node, now: Survival) -> Iterator[str]:
    """Say how well the node would survive, a sentence a line."""
    if now.neighbours or now.on_second_till:
        yield f"{now.on_second_till} of {now.own_entries} own entries are on another till; {now.neighbours} tills near"
    backup = now.backup
    if backup.state == "off":
        yield "no backup: set one with `edgetill backup set`"
    elif backup.state == "never":
        yield f"the backup to {backup.target} was never proven"
    else:
        word = {"proven": "proven", "old": "LAST proven", "failing": "CANNOT BE USED, last proven"}[backup.state]
        when = shown_time(node, backup.proven_ms) if backup.proven_ms else "never"
        yield f"backup {word} {when}{f': {backup.message}' if backup.message else ''}"
    if now.disk != "enough":
        yield f"the disk has {now.free_bytes // 1_000_000} MB left ({now.disk})"
    for one in now.missing:
        yield f"missing: entries {one.first_seq} to {one.last_seq} of {one.stream}"
    if now.twin_ms:
        yield f"another machine ran with this node's key, met {shown_time(node, now.twin_ms)}"


def doctor(
    node: NodeOption = HERE,
    mend: Annotated[bool, typer.Option("--mend", help="Put figures that differ back to what the log gives.")] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="With --mend: a bundle of the hub, where no line leads to it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the file, the log's chains and seals, and every figure against the log."""
    from edge.doctor import examine, put_back_entries
    from edge.mending import Mended, mend_log

    with open_node(node) as opened:
        replaced = put_back_entries(opened, source) if mend and source is not None else 0
        mended = mend_log(opened) if mend else Mended(0, 0, 0)
        found = examine(opened, mend=mend)
    if as_json:
        write_json(
            {
                **_builtins(found),
                "entries_replaced": replaced + mended.fetched,
                "heads_mended": mended.heads,
                "entries_per_second": found.entries_per_second,
            }
        )
    else:
        if any(mended):
            typer.echo(
                f"{mended.heads} heads and {mended.seals} seals were set anew,"
                f" {mended.fetched} entries and seals came again from the hub or a neighbour"
            )
        if replaced:
            typer.echo(f"{replaced} damaged entries were put back from {source}")
        typer.echo(
            f"{found.streams} streams with {found.entries} entries and {found.seals} seals verified;"
            f" {found.refolded} entries folded anew, {found.entries_per_second} a second"
        )
        for finding in found.findings:
            typer.echo(f"  {finding.sentence} [{finding.code}]")
        if found.unjudged:
            typer.echo(f"  not compared: {', '.join(found.unjudged)}")
        if found.is_mended:
            typer.echo("The figures were mended from the log.")
    if not found.is_healthy and not (found.is_mended and not found.damages):
        raise CorruptionError("node_unwell", "the node is not as its log says: see above")


def _builtins(value: object) -> dict[str, object]:
    import msgspec

    built: dict[str, object] = msgspec.to_builtins(value)
    return built


def export(
    table: Annotated[str, typer.Argument(help="Which table.")],
    node: NodeOption = HERE,
    to: Annotated[Path | None, typer.Option("--to", help="A file .csv, .json or .xlsx; the screen without.")] = None,
    export_format: Annotated[ExportFormat | None, typer.Option("--format", help="csv, json or xlsx.")] = None,
) -> None:
    """Write a table as CSV, JSON or Excel."""
    from edge.exporting import export_lines, export_table

    with open_node(node) as opened:
        if to is not None:
            rows = export_table(opened, table, to, export_format)
            typer.echo(f"{rows} rows written to {to}")
            return
        for text in export_lines(opened, table, export_format or ExportFormat.CSV):
            typer.echo(text, nl=False)
