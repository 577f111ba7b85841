"""The verbs that this package adds to the command `edgetill`."""

from __future__ import annotations

import typer

from edge import (
    cache_commands,
    commands_buying,
    commands_care,
    commands_counting,
    commands_demo,
    commands_devices,
    commands_reserving,
    commands_selling,
    commands_shift,
    commands_stock,
    commands_survival,
    commands_sync,
    commands_van,
)


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    for module in (
        commands_selling,
        commands_shift,
        commands_devices,
        commands_stock,
        commands_counting,
        commands_buying,
        commands_reserving,
        commands_care,
        cache_commands,
        commands_sync,
        commands_van,
        commands_survival,
        commands_demo,
    ):
        module.add_to(app)
