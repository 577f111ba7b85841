"""The verb `edgetill demo`: a whole day of the sample chain, as `make run` shows it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)


def demo(
    directory: Annotated[Path, typer.Option(help="Where the sample chain is made; what was there goes.")] = Path(
        "build/run"
    ),
) -> None:
    """Let a sample chain trade a real day without its hub and reconcile in the evening. Status 0: the proof holds."""
    from rich.console import Console

    from edge.demo import DemoFailedError, demonstrate, next_steps

    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        holds = demonstrate(directory, console)
    except DemoFailedError as error:
        typer.echo(f"edgetill: {error}", err=True)
        raise SystemExit(1) from None
    if sys.stdout.isatty():
        typer.echo(next_steps(directory))
    raise SystemExit(0 if holds else 1)
