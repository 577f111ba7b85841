"""The verbs that this package adds to the command `edgetill`."""

from __future__ import annotations

import typer

from edge import commands_care, commands_selling, commands_stock, commands_sync


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    for module in (commands_selling, commands_stock, commands_care, commands_sync):
        module.add_to(app)
