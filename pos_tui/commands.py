"""The verb that this package adds to the command `edgetill`: the cashier's terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HERE = Path("node")


def till(
    directory: Annotated[
        Path, typer.Option("--directory", "--node", envvar="EDGETILL_NODE", help="The node's directory.")
    ] = HERE,
    demo: Annotated[
        bool, typer.Option("--demo", help="Found a sample shop with its own hub in the directory, and open its till.")
    ] = False,
    location: Annotated[
        str, typer.Option("--location", help="With --demo: where the till stands; V is the van, with a load waiting.")
    ] = "",
    web: Annotated[bool, typer.Option("--web", help="Serve the same till to a browser on this machine.")] = False,
    port: Annotated[int, typer.Option("--port", help="Where --web listens on the loopback.")] = 8400,
    language: Annotated[str, typer.Option("--language", help="zh or en; F11 switches at any time.")] = "",
    theme: Annotated[str, typer.Option("--theme", help="dark or light.")] = "",
    no_sync: Annotated[
        bool, typer.Option("--no-sync", help="Do not run the sync process beside the till: another program does.")
    ] = False,
) -> None:
    """Open the cashier's terminal on a node; it needs no network."""
    from pos_tui.launch import LaunchOptions, launch

    launch(LaunchOptions(directory, demo=demo, web=web, port=port, language=language, theme=theme, syncs=not no_sync,
                         location=location))  # fmt: skip


def commands(app: typer.Typer) -> None:
    """Add this package's verb to the command."""
    app.command()(till)
