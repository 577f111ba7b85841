"""The verb by which old entries leave a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

NodeOption = Annotated[Path, typer.Option("--node", envvar="EDGETILL_NODE", help="The node's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for a script.")]
_HERE = Path("node")


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module to the command."""
    app.command()(prune)


def prune(node: NodeOption = _HERE, as_json: JsonOption = False) -> None:
    """Let entries go that the hub has balanced and backed up; every figure stays. A sale never waits for it."""
    from edge.cache import cache_state, prune_old
    from edge.clock_source import clock_from_environment
    from edge.node import Node

    with Node(node, clock=clock_from_environment()) as opened:
        pruned, state = prune_old(opened), cache_state(opened)
    if as_json:
        typer.echo(msgspec.json.encode({**pruned._asdict(), "cache": state.age}).decode())
        return
    typer.echo(f"{pruned.left} entries left, {pruned.looked_at - pruned.left} older ones still matter and stay")
