"""The verb that lists what the hub asked this location to count again."""

from __future__ import annotations

import typer

from edge.command_options import HERE, JsonOption, NodeOption, open_node, shown_time, write_json


def count_asked(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List what the hub's desk asked this location to count again."""
    from edge.asked_counts import asked_counts

    with open_node(node) as opened:
        asked = asked_counts(opened)
        if as_json:
            write_json(asked)
            return
        for one in asked:
            zone = f" in {one.zone}" if one.zone else ""
            note = f": {one.note}" if one.note else ""
            when = shown_time(opened, one.asked_ms)
            typer.echo(f"{one.product}  {one.name}{zone}, asked by {one.operator} at {when}{note}")
        if not asked:
            typer.echo("nothing is asked to be counted again")
