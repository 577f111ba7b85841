"""The verbs that care for the hub's database: copy it to another kind, back it up, restore it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.command_options import HERE as _HERE
from hub.command_options import HubOption, JsonOption, opened
from hub.command_options import write_json as _write_json


def add_store_verbs(app: typer.Typer) -> None:
    """Add these verbs to `edgetill hub`."""
    app.command()(copy_to)
    app.command()(backup)
    app.command()(restore)


def _when(moment_ms: int) -> str:
    return datetime.datetime.fromtimestamp(moment_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class _Said:
    """Tells on stderr, once in a while, which table is being copied."""

    def __init__(self) -> None:
        self._table = ""
        self._rows = 0

    def __call__(self, table: str, rows: int) -> None:
        if table != self._table or rows - self._rows >= 200_000:
            self._table, self._rows = table, rows
            typer.echo(f"  {table}: {rows} rows", err=True)


def copy_to(
    target: Annotated[
        str, typer.Argument(help="An empty database: a file name in the hub's directory, or postgresql://…")
    ],
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Copy the hub's database into an empty one of either kind, and prove that it shows the same.

    The hub may serve meanwhile: what comes in after the copy began comes again from the nodes. A copy that broke
    off leaves nothing; begin it again.
    """
    from hub.moving import copy_database

    with opened(hub) as original:
        report = copy_database(original, target, progress=None if as_json else _Said())
    if as_json:
        _write_json(
            {
                "tables": report.tables,
                "rows": report.rows,
                "scopes": {
                    scope: {"entries": one.entries, "vector": one.vector.hex(), "fold": one.fold.hex()}
                    for scope, one in report.scopes.items()
                },
            }
        )
        return
    entries = sum(one.entries for one in report.scopes.values())
    typer.echo(f"{report.rows} rows of {report.tables} tables copied; {entries} entries verified by their chains")
    typer.echo(f"the vectors and figures of {len(report.scopes)} scopes are equal")
    typer.echo(f"from now on: edgetill hub serve --hub {hub} --database {target}")


def backup(
    folder: Annotated[Path, typer.Argument(help="Where backups are kept: another disk, another machine's folder.")],
    keys: Annotated[
        Path | None,
        typer.Option(help="Another folder, for the hub's key and people's keys; each backup replaces them."),
    ] = None,
    keep: Annotated[int, typer.Option(help="How many backups stay in the folder.")] = 14,
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Back the hub up while it serves, restore the backup on trial, and let nodes prune what it holds."""
    from hub.backups import back_up

    with opened(hub) as original:
        report = back_up(original, folder, keys, kept=keep, progress=None if as_json else _Said())
    if as_json:
        _write_json({**report._asdict(), "file": str(report.file)})
        return
    typer.echo(f"{report.file}: {report.entries} entries of {report.scopes} scopes, restored on trial and proven")
    if keys is None:
        typer.echo(
            f"without --keys it holds neither {hub / 'hub.key'} nor people's names and PINs: keep those elsewhere"
        )


def restore(
    file: Annotated[Path | None, typer.Argument(help="A backup; none with --from-nodes.")] = None,
    keys: Annotated[Path | None, typer.Option(help="The file `hub.keys` that was kept apart.")] = None,
    database: Annotated[str | None, typer.Option(help="Restore into this database, and use it from now on.")] = None,
    from_nodes: Annotated[
        bool, typer.Option("--from-nodes", help="Without a backup: the nodes bring what they hold.")
    ] = False,
    older: Annotated[bool, typer.Option("--older", help="Though a later backup was relied upon.")] = False,
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the hub's database; what came after it comes back from the nodes.

    End `hub serve` first. A directory without a hub is made from the keys. What was there is set aside.
    """
    from hub.backups import restore as put_back
    from hub.identity import remember_database
    from schema.errors import RefusalError

    if (file is None) != from_nodes:
        raise RefusalError("backup_unnamed", "name a backup, or say --from-nodes to begin without one")
    report = put_back(
        hub, file, keys=keys, database=database, may_be_older=older, progress=None if as_json else _Said()
    )
    if database is not None:
        remember_database(hub, database)
    if as_json:
        _write_json({**report._asdict(), "set_aside": str(report.set_aside) if report.set_aside else None})
        return
    if file is not None:
        typer.echo(f"the hub {report.hub} stands as on {_when(report.taken_ms)}, with {report.entries} entries")
    typer.echo(f"it goes on as incarnation {report.incarnation}; its nodes bring back what they have beyond that")
    if report.set_aside is not None:
        typer.echo(f"what was there is now {report.set_aside}")
    if not report.has_secrets:
        typer.echo("without --keys people's names stay unreadable here, and operators need new PINs")
