"""The verb `edgetill import`: shows how columns were read and what is wrong, and imports all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from hub.imports import Finding, ImportKind, ImportRefusedError, summarise
from schema.errors import RefusalError

_SHOWN = 20


def add_import(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("import")(import_file)


def import_file(
    kind: Annotated[str, typer.Argument(help="products, prices, promotions, operators, customers, opening-stock …")],
    file: Annotated[Path, typer.Argument(help="A CSV or Excel file.")],
    hub: Annotated[Path, typer.Option("--hub", envvar="EDGETILL_HUB", help="The hub's directory.")] = Path("hub"),
    column: Annotated[list[str] | None, typer.Option("--map", help="field=header, where the guess is wrong.")] = None,
    location: Annotated[str, typer.Option(help="The location of rows that name none.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Only show what would be imported.")] = False,
    skip_bad_rows: Annotated[bool, typer.Option(help="Import the good rows although others are bad.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for a script.")] = False,
) -> None:
    """Import a file at the hub: every bad row is named by line and column, and nothing is half-imported."""
    from hub.importing import ImportSummary, append_import, preview
    from hub.service import open_hub

    if kind not in set(ImportKind):
        raise RefusalError("import_unknown", f"{kind!r} cannot be imported: {', '.join(ImportKind)}")
    overrides: dict[str, str] = {}
    for text in column or []:
        field, equals, header = text.partition("=")
        if not equals:
            raise RefusalError("map_malformed", f"{text!r} is no mapping: write field=header")
        overrides[field.strip()] = header.strip()
    opened = open_hub(hub)
    try:
        try:
            imported = preview(
                opened, ImportKind(kind), file, overrides=overrides, location=location, skip_bad_rows=skip_bad_rows
            )
        except ImportRefusedError as error:
            if as_json:
                typer.echo(msgspec.json.encode({"kind": kind, "taken": 0, "findings": error.findings}).decode())
            else:
                _show(error.findings, error.columns)
            raise
        entries = 0 if check else append_import(opened, imported, document=file.name)
    finally:
        opened.close()
    taken = 0 if check else len(imported.rows)
    summary = ImportSummary(
        kind, imported.read, taken, imported.skipped, entries, dict(imported.columns), tuple(imported.findings)
    )
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    _show(summary.findings, summary.columns)
    verb = "would be imported" if check else "imported"
    count = len(imported.rows)
    typer.echo(f"{count} of {summary.rows} rows {verb}" + ("" if check else f" in {entries} entries"))


def _show(findings: tuple[Finding, ...], columns: object) -> None:
    console = Console()
    if isinstance(columns, dict) and columns:
        console.print("columns: " + ", ".join(f"{field} ← {header}" for field, header in columns.items()))
    if not findings:
        return
    for one in summarise(findings):
        console.print(f"  {one.severity.value}: {one.count} × {one.code}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("line", "column", "value", "what"):
        table.add_column(title)
    for finding in findings[:_SHOWN]:
        table.add_row(str(finding.line), finding.column, finding.value[:40], finding.message)
    console.print(table)
    if len(findings) > _SHOWN:
        console.print(f"… and {len(findings) - _SHOWN} more")
