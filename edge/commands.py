"""The verbs that this package adds to the command `edgetill`."""

from __future__ import annotations

import typer


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    del app
