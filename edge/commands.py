"""The verbs that this package adds to the command `edgetill`."""

from __future__ import annotations

import typer

from edge.cache_commands import add_cache_commands
from edge.sync_commands import add_sync_commands


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    add_sync_commands(app)
    add_cache_commands(app)
