"""The verb that shows what vans brought of other places: by whom, of whom, how much was new, and what was refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from hub.command_options import HERE, HubOption, JsonOption, opened, write_json


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(brought)


def brought(
    hub: HubOption = HERE,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="How many of the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the sealed bundles that other nodes brought: whose they are, who bore them, and what was taken of each."""
    from hub.brought import list_brought
    from hub.registry import list_nodes
    from schema.kinds.organisation import OrganisationFounded

    with opened(hub) as here:
        found = list_brought(here, limit)
        with here.store.snapshot() as replica:
            names = {one.node: one.till for one in list_nodes(replica)}
            founded = replica.organisation.newest(replica.connection, OrganisationFounded, "")
    if as_json:
        write_json([{**one._asdict(), "refusal": one.refusal} for one in found])
        return
    zone = ZoneInfo(founded.time_zone if founded is not None else "UTC")
    for one in found:
        at = datetime.fromtimestamp(one.at_ms / 1000, zone)
        writer, bearer = names.get(one.writer, one.writer or "?"), names.get(one.bearer, one.bearer)
        became = f"refused [{one.refusal}]" if one.refusal and not one.entries else f"{one.entries} of {one.told} new"
        if one.refusal and one.entries:
            became += f", a part refused [{one.refusal}]"
        typer.echo(f"{at:%Y-%m-%d %H:%M:%S}  {one.location or '?'} {writer}  by {bearer}  {became}")
    if not found:
        typer.echo("nothing was brought yet")
